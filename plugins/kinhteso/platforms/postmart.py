"""Postmart's outbox (EXPORTS §9): marker and manifest first, then the files, checked against it while they are landed."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import paramiko  # type: ignore[import-untyped]

from kinhteso import mishaps
from kinhteso.contracts import Contract
from kinhteso.landing import Delivery, Landing, Part, safe_name
from kinhteso.readers import DeliveryRefused, SourceUnreachable, text

OUTBOX = "/langson/outbox"
MAX_FILE_BYTES = 4 << 30
MANIFEST_HEADINGS = (
    "Tên tệp", "Bộ dữ liệu", "Ngày dữ liệu", "Phiên bản", "Kích thước (byte)", "SHA-256", "Số dòng", "Số đơn", "Tổng tiền kiểm soát",
    "Lý do phát hành lại", "Thời điểm tạo",
)  # fmt: skip


@dataclass(frozen=True)
class Offer:
    """A file that a manifest names. ``folder`` is its folder at the source; counts and sums are as the manifest declares them."""

    dataset: str
    day: date
    version: int
    folder: str
    file_name: str
    bytes: int
    sha256: str
    rows: int | None
    orders: int | None
    control_total: Decimal | None
    reason: str | None
    marker: str
    manifest_name: str
    manifest: Any = field(repr=False)


def marker_name(group: str, day: date, version: int) -> str:
    """Exact name of the marker that says a delivery is complete; the wallet file has its own (EXPORTS §9.1)."""
    return f"PM_LSN_{'TAIKHOANTT_' if group == 'wallet' else ''}{day:%Y%m%d}_v{version}.ok"


def manifest_name(group: str, day: date, version: int) -> str:
    """Exact name of the manifest."""
    return f"MANIFEST_{'TAIKHOANTT_' if group == 'wallet' else ''}{day:%Y%m%d}_v{version}.csv"


def _refused(rule: str, day: date, version: int, what: str, *, retriable: bool = False) -> DeliveryRefused:
    return DeliveryRefused(rule, f"postmart {day} v{version}: {what} Ask the supplier; the next run looks again.", retriable)


@contextmanager
def _answering(day: date, what: str) -> Iterator[None]:
    """Raises SourceUnreachable where the connection breaks off or falls silent while ``what`` is read (F57, F58). What the host's own disk says, and a
    file that is not there, go on as they are."""
    try:
        yield
    except (EOFError, OSError, paramiko.SSHException) as error:
        # What paramiko says of its connection has no errno; what the system says of a file has one.
        if getattr(error, "errno", None) is not None and not isinstance(error, ConnectionError | TimeoutError):
            raise
        raise SourceUnreachable(
            "F58",
            f"postmart {day}: the connection broke off while {what} was read ({mishaps.named(error)}). Nothing of it was taken; the next try or run "
            "asks again. If it stays, ask the supplier. Runbook: docs/runbooks/export-late.md",
            True,
        ) from error


def parse_manifest(content: bytes, day: date, version: int) -> list[dict[str, str | None]]:
    """Rows of a manifest by heading. Raises DeliveryRefused (Q02) when its headings are not the contract's."""
    try:
        decoded = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeError as error:
        raise _refused("F18", day, version, f"the manifest is not UTF-8 ({error}).") from error
    lines = list(csv.reader(io.StringIO(decoded, newline=""), delimiter=";"))
    head = [text.heading(h) for h in lines[0]] if lines else []
    missing = [h for h in MANIFEST_HEADINGS[:9] if h not in head]
    if missing:
        raise _refused("Q02", day, version, f"the manifest lacks the headings {missing}.")
    return [dict(zip(head, map(text.clean, line), strict=False)) for line in lines[1:] if any(line)]


def _integer(given: str | None) -> int | None:
    n = text.number(given)
    return None if n is None else int(n)


def offers(sftp: Any, day: date, contracts: Iterable[Contract]) -> list[Offer]:
    """Every version of ``contracts``' datasets that the day's folder offers: those whose exact marker is there.

    Raises DeliveryRefused (F05) when a marker is there without its manifest, or the manifest is not one.
    """
    words = {c.file["word"]: c for c in contracts}
    with _answering(day, "the day's folder"):
        folder, names = _listing(sftp, day)
    found = []
    for group in sorted({c.file["group"] for c in words.values()}):
        for version in range(1, 10):
            marker, manifest = marker_name(group, day, version), manifest_name(group, day, version)
            if marker not in names:
                continue
            if manifest not in names:
                raise _refused("F05", day, version, f"the marker {marker} is there, but not {manifest}.", retriable=True)
            with _answering(day, manifest), sftp.open(f"{folder}/{manifest}", "rb") as f:
                content = f.read(1 << 22)
            for row in parse_manifest(content, day, version):
                contract = words.get(row.get("Bộ dữ liệu") or "")
                if contract is None or contract.file["group"] != group:
                    continue
                found.append(_offer(contract, row, day, version, folder, marker, manifest, content))
    return found


def _listing(sftp: Any, day: date) -> tuple[str, set[str]]:
    return _listing_of(sftp, f"/{day:%Y%m%d}")


def _listing_of(sftp: Any, place: str) -> tuple[str, set[str]]:
    for root in (OUTBOX, OUTBOX.lstrip("/")):
        folder = f"{root}{place}"
        try:
            return folder, set(sftp.listdir(folder))
        except FileNotFoundError:
            continue
    return f"{OUTBOX}{place}", set()


def _offer(contract: Contract, row: dict[str, str | None], day: date, version: int, folder: str, marker: str, manifest: str, content: bytes) -> Offer:
    name = row["Tên tệp"] or ""
    said_day, said_version = row["Ngày dữ liệu"], _integer(row["Phiên bản"])
    if said_day != f"{day:%d/%m/%Y}" or said_version != version:
        raise _refused("Q01", day, version, f"the manifest says {name} is of {said_day} v{said_version}; it lies in another day's folder.")
    try:
        safe_name(name)
    except ValueError as error:
        raise _refused("Q01", day, version, f"the manifest names a file outside its folder ({error}).") from error
    size, sha = _integer(row["Kích thước (byte)"]), (row["SHA-256"] or "").lower()
    if size is None or len(sha) != 64:
        raise _refused("Q01", day, version, f"the manifest gives no size or SHA-256 for {name}.")
    control = text.number(row["Tổng tiền kiểm soát"])
    return Offer(
        dataset=contract.dataset, day=day, version=version, folder=folder, file_name=name, bytes=size, sha256=sha,
        rows=_integer(row["Số dòng"]), orders=_integer(row["Số đơn"]), control_total=None if control is None else Decimal(str(control)),
        reason=row.get("Lý do phát hành lại"), marker=marker, manifest_name=manifest, manifest=content,
    )  # fmt: skip


def land(sftp: Any, offer: Offer, contract: Contract, landing: Landing, first_day: date) -> Delivery:
    """Stream the offered file to the landing, its manifest and marker beside it.

    Bytes or SHA-256 that differ from the manifest are fetched once more; then DeliveryRefused (F01), and what came is kept under a name of
    its own. A file that is not there yet is refused as retriable (F05).
    """
    base = f"postmart/{offer.dataset}/{offer.day}/v{offer.version}"
    came = ""
    for attempt in (1, 2):
        source = f"{offer.folder}/{offer.file_name}"
        try:
            with _answering(offer.day, offer.file_name):
                status = sftp.stat(source)
                if status.st_size > MAX_FILE_BYTES or not stat.S_ISREG(status.st_mode or stat.S_IFREG):
                    raise _refused("F01", offer.day, offer.version, f"{offer.file_name} is no export ({status.st_size:,} bytes).")
                with sftp.open(source, "rb") as f:
                    f.prefetch(status.st_size)
                    scratch = f"{base}/.fetch-{attempt}"
                    sha, size = _fetch(f, landing, scratch)
        except FileNotFoundError as error:
            raise _refused("F05", offer.day, offer.version, f"{offer.file_name} is in the manifest but not in the folder.", retriable=True) from error
        if sha == offer.sha256 and size == offer.bytes:
            there = f"{base}/{offer.file_name}"
            if landing.exists(there) and landing.sha256(there) != sha:  # F12: kept beside what came first; the ledger refuses it
                base = f"{base}/again-{sha[:12]}"
            landing.move(scratch, f"{base}/{offer.file_name}")
            landing.put(f"{base}/{offer.manifest_name}", offer.manifest)
            landing.put(f"{base}/{offer.marker}", b"")
            part = Part(1, f"{base}/{offer.file_name}", offer.file_name, sha, size)
            return Delivery(
                source="postmart", dataset=offer.dataset, business_day=offer.day, version=offer.version, mode=contract.mode,
                origin=offer.file_name, landing_path=base, sha256=sha, bytes=size, parts=(part,), is_backlog=offer.day == first_day,
                received_at=datetime.fromtimestamp(status.st_mtime, UTC), rows_declared=offer.rows, orders_declared=offer.orders,
                control_total=offer.control_total, declared={"reason": offer.reason},
            )  # fmt: skip
        came = f"{size:,} bytes with SHA-256 {sha[:12]}… came, {offer.bytes:,} with {offer.sha256[:12]}… were declared"
        landing.move(scratch, f"{base}/refused-{sha[:12]}-{offer.file_name}")
    raise _refused("F01", offer.day, offer.version, f"{offer.file_name} is damaged: {came}, twice.", retriable=True)


# ---- the month ----


def month_name(month: date, version: int) -> str:
    """Name of the file with all orders created or changed in a month (EXPORTS §9.1)."""
    return f"PM_LSN_THANG_{month:%Y%m}_v{version}.zip"


def land_month(
    sftp: Any, month: date, contract: Contract, landing: Landing, known: Callable[[int], str | None]
) -> Iterator[tuple[int, Delivery | DeliveryRefused]]:
    """Land each version of the month's file that the outbox holds and whose bytes are not ``known`` (version -> SHA-256), lowest version first.

    The contract names the file and its day, no folder, manifest or marker: it is looked for in the folders of the month's last day and of the
    5th to the 11th after it, and in the outbox itself. It is complete when its name is there (EXPORTS §9.1: uploaded as .part, then renamed);
    what a manifest beside it declares has to hold. Of a file that does not the refusal (F01) is given in its place: it holds up no higher version.
    """
    last = (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
    places: dict[int, tuple[str, set[str]]] = {}
    for day in (last, *(last + timedelta(days=n) for n in range(5, 12)), None):
        with _answering(last, "the outbox"):
            folder, names = _listing(sftp, day) if day else _listing_of(sftp, "")
        for version in range(1, 10):
            if month_name(month, version) in names:
                places.setdefault(version, (folder, names))
    for version, (folder, names) in sorted(places.items()):
        try:
            with _answering(last, month_name(month, version)):
                delivery = _land_month(sftp, folder, names, month_name(month, version), last, version, contract, landing, known(version))
        except SourceUnreachable:
            raise
        except DeliveryRefused as error:
            yield version, error
        else:
            if delivery:
                yield version, delivery


def _land_month(
    sftp: Any, folder: str, names: set[str], name: str, last: date, version: int, contract: Contract, landing: Landing, known: str | None
) -> Delivery | None:
    base = f"postmart/{contract.dataset}/{last}/month-v{version}"
    status = sftp.stat(f"{folder}/{name}")
    if status.st_size > MAX_FILE_BYTES:
        raise _refused("F01", last, version, f"{name} is no export ({status.st_size:,} bytes).")
    with sftp.open(f"{folder}/{name}", "rb") as f:
        f.prefetch(status.st_size)
        sha, size = _fetch(f, landing, f"{base}/.fetch")
    if sha == known:
        landing.forget(f"{base}/.fetch")
        return None
    if landing.exists(f"{base}/{name}") and landing.sha256(f"{base}/{name}") != sha:  # F12, as in `land`
        base = f"{base}/again-{sha[:12]}"
        landing.move(f"postmart/{contract.dataset}/{last}/month-v{version}/.fetch", f"{base}/{name}")
    else:
        landing.move(f"{base}/.fetch", f"{base}/{name}")
    declared: dict[str, Any] = {}
    manifest = f"MANIFEST_THANG_{last:%Y%m}_v{version}.csv"
    if manifest in names:
        with sftp.open(f"{folder}/{manifest}", "rb") as f:
            rows = [row for row in parse_manifest(f.read(1 << 22), last, version) if row["Tên tệp"] == name]
        if not rows or _integer(rows[0]["Kích thước (byte)"]) != size or (rows[0]["SHA-256"] or "").lower() != sha:
            raise _refused("F01", last, version, f"{name} is not what {manifest} declares ({size:,} bytes with SHA-256 {sha[:12]}… came).", retriable=True)
        declared = {"rows_declared": _integer(rows[0]["Số dòng"]), "orders_declared": _integer(rows[0]["Số đơn"])}
    return Delivery(
        source="postmart", dataset=contract.dataset, unit="month", business_day=last, version=version, mode="month", origin=name, landing_path=base,
        sha256=sha, bytes=size, parts=(Part(1, f"{base}/{name}", name, sha, size),), received_at=datetime.fromtimestamp(status.st_mtime, UTC), **declared,
    )  # fmt: skip


def _fetch(f: Any, landing: Landing, path: str) -> tuple[str, int]:
    landing.forget(path)
    return landing.put(path, f)
