"""The life of every delivery (RELIABILITY): expected -> landed -> loaded -> judged -> accepted | rejected -> superseded.

Every move runs in a transaction under a lock of (source, dataset, business day), so two runs of the same day wait for each other
and come to the same state (F55). The functions open that transaction themselves; called inside one, they join it.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import psycopg
from psycopg.rows import class_row

_RULE = re.compile(r"([FQ]\d{2,3}):")
LOOK_BACK_DAYS = 35  # EXPORTS §9.1: what the outbox keeps, and how far a run looks for missing days


class LedgerError(RuntimeError):
    """An export is not in the state that a step needs."""


class ContentChanged(LedgerError):
    """F12: the name and version of a known delivery came again with other bytes."""


class ConservationBroken(LedgerError):
    """I1: rows delivered are not rows loaded + quarantined + exact duplicates + superseded."""


@dataclass(frozen=True, slots=True)
class Export:
    """A row of ops.export (columns described in migrations/002_ops.sql)."""

    export_id: int
    source: str
    dataset: str
    unit: str
    business_day: dt.date
    version: int
    mode: str
    is_backlog: bool
    state: str
    reason: str | None
    origin: str | None
    landing_path: str | None
    sha256: str | None
    bytes: int | None
    received_at: dt.datetime | None
    pulled_at: dt.datetime | None
    window_since: dt.datetime | None
    window_until: dt.datetime | None
    is_reconstructed: bool
    rows_declared: int | None
    orders_declared: int | None
    control_total: Any
    rows_delivered: int | None
    rows_loaded: int | None
    rows_quarantined: int | None
    rows_duplicate: int | None
    rows_superseded: int | None
    expected_at: dt.datetime | None
    landed_at: dt.datetime | None
    loaded_at: dt.datetime | None
    judged_at: dt.datetime | None
    accepted_at: dt.datetime | None
    ended_at: dt.datetime | None
    run_id: str | None

    @property
    def label(self) -> str:
        """For messages: "postmart/orders 2021-09-14 v1", for a form with its unit."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.source}/{self.dataset}{unit} {self.business_day:%Y-%m-%d} v{self.version}"


_COLUMNS = ", ".join(field.name for field in fields(Export))
#: A platform's delivery of its day. One with a unit (bulk, reread, month) is compared with the warehouse and never stands for a day (`reconciling`).
_OF_THE_DAY = "(source = 'registers' or unit = '')"

_TOO_LATE = "an older version that comes later changes nothing"


def export_id(source: str, dataset: str, unit: str, business_day: dt.date | str, version: int) -> int:
    """The id of a delivery: 52 bits of its natural key, the same in every warehouse."""
    key = f"{source}|{dataset}|{unit}|{business_day}|{version}"
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) >> 12


@contextmanager
def locked(conn: psycopg.Connection, source: str, dataset: str, business_day: dt.date) -> Iterator[None]:
    """A transaction that alone works on (source, dataset, day); others wait for it."""
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 1))", [f"{source}|{dataset}|{business_day}"])
        yield


@contextmanager
def alone(conn: psycopg.Connection, source: str, dataset: str) -> Iterator[None]:
    """Only one run at a time asks for (source, dataset), over all days: each looks back over the same 35. Others wait, and find what it took.

    Held by the session, beside its transactions; a session that dies lets go of it.
    """
    key = f"{source}|{dataset}|land"
    conn.execute("select pg_advisory_lock(hashtextextended(%s, 3))", [key])
    try:
        yield
    finally:
        if not conn.closed and not conn.broken:
            conn.execute("select pg_advisory_unlock(hashtextextended(%s, 3))", [key])


def get(conn: psycopg.Connection, id: int, for_update: bool = False) -> Export:
    """The export; raises LedgerError when there is none."""
    found = _exports(conn, f"export_id = %s{' for update' if for_update else ''}", [id])
    if not found:
        raise LedgerError(f"no export {id} in the ledger")
    return found[0]


def _exports(conn: psycopg.Connection, where: str, params: Sequence[Any]) -> list[Export]:
    with conn.cursor(row_factory=class_row(Export)) as cursor:
        return cursor.execute(f"select {_COLUMNS} from ops.export where {where}", params).fetchall()  # type: ignore[arg-type]


# ---- expected and landed -------------------------------------------------------------------------------------------------------


def expect(
    conn: psycopg.Connection,
    source: str,
    dataset: str,
    business_day: dt.date,
    deadline: dt.datetime,
    *,
    mode: str = "snapshot",
    reason: str | None = None,
    run_id: str | None = None,
    version: int = 1,
) -> int | None:
    """Note that a day's delivery is due at `deadline`; None when one of that day is known already. Stands as version 1 until it comes.

    A higher `version` that cannot be taken (F01) is noted of its own; the lower ones stay what they are. Without a `reason` the one that was noted
    before stays.
    """
    with locked(conn, source, dataset, business_day):
        known = _exports(conn, f"source = %s and dataset = %s and business_day = %s and state <> 'expected' and {_OF_THE_DAY}", [source, dataset, business_day])
        if any(export.version >= version for export in known):
            return None
        id = export_id(source, dataset, "", business_day, version)
        conn.execute(
            """insert into ops.export (export_id, source, dataset, business_day, version, mode, state, reason, expected_at, run_id)
               values (%s, %s, %s, %s, %s, %s, 'expected', %s, %s, %s)
               on conflict (export_id) do update set expected_at = excluded.expected_at, reason = coalesce(%s, ops.export.reason),
                 run_id = coalesce(excluded.run_id, ops.export.run_id)""",
            [id, source, dataset, business_day, version, mode, reason or f"due at {deadline.isoformat()}", deadline, run_id, reason],
        )
        return id


def expected_reason(conn: psycopg.Connection, source: str, dataset: str, business_day: dt.date, version: int = 1) -> tuple[str | None, str | None]:
    """Why a day, or a higher version of it, is still expected, as it was noted last, and by which run; (None, None) where nothing is expected."""
    where = "source = %s and dataset = %s and business_day = %s and state = 'expected' and version in (1, %s) order by version desc limit 1"
    found = _exports(conn, where, [source, dataset, business_day, version])
    return (found[0].reason, found[0].run_id) if found else (None, None)


def is_known_change(conn: psycopg.Connection, export: Export, sha256: str, run_id: str | None) -> bool:
    """Whether another run than ``run_id`` has told of these other bytes under the name of ``export`` (F12)."""
    query = "select 1 from ops.content_change where export_id = %s and sha256 = %s and run_id is distinct from %s"
    return conn.execute(query, [export.export_id, sha256, run_id]).fetchone() is not None


def landed(conn: psycopg.Connection, delivery: Any, run_id: str | None = None) -> int:
    """Note a delivery whose bytes are in the landing; returns its export_id. The same bytes again change nothing.

    A lower version than the accepted one is noted as superseded at once (F11). The same natural key with other bytes is written to
    ops.content_change and raises ContentChanged; what is loaded stays as it is (F12). Call it outside a transaction: the note of F12
    has to outlive the error.
    """
    d = delivery
    unit = d.unit or ""
    id = export_id(d.source, d.dataset, unit, d.business_day, d.version)
    changed = None
    with locked(conn, d.source, d.dataset, d.business_day):
        known = _exports(conn, "export_id = %s for update", [id])
        if known and known[0].state != "expected":
            if known[0].sha256 == d.sha256:
                return id
            changed = known[0]
            conn.execute(
                """insert into ops.content_change (export_id, sha256, bytes, landing_path, origin, run_id)
                   values (%s, %s, %s, %s, %s, %s) on conflict do nothing""",
                [id, d.sha256, d.bytes, str(d.landing_path), d.origin, run_id],
            )
        else:
            _insert_landed(conn, id, unit, d, run_id)
            ignored = _outranked(conn, get(conn, id))
            if ignored:
                _end(conn, id, "superseded", ignored)
    if changed:
        raise ContentChanged(
            f"{changed.label}: {d.origin} came again with other content (sha256 {str(d.sha256)[:12]}…, known {str(changed.sha256)[:12]}…). "
            f"What was taken before stays ({changed.state}). A correction has to come as a higher version: ask {d.source}. "
            "Runbook: docs/runbooks/export-rejected.md"
        )
    return id


def _insert_landed(conn: psycopg.Connection, id: int, unit: str, d: Any, run_id: str | None) -> None:
    values = {
        "export_id": id, "source": d.source, "dataset": d.dataset, "unit": unit, "business_day": d.business_day, "version": d.version,
        "mode": d.mode, "is_backlog": bool(d.is_backlog), "state": "landed", "reason": None, "origin": d.origin,
        "landing_path": str(d.landing_path), "sha256": d.sha256, "bytes": d.bytes, "received_at": d.received_at, "pulled_at": d.pulled_at,
        "window_since": d.window_since, "window_until": d.window_until, "is_reconstructed": bool(d.is_reconstructed),
        "rows_declared": d.rows_declared, "orders_declared": d.orders_declared, "control_total": d.control_total, "run_id": run_id,
    }  # fmt: skip
    columns = ", ".join(values)
    places = ", ".join(f"%({name})s" for name in values)
    updates = ", ".join(f"{name} = excluded.{name}" for name in values if name != "export_id")
    conn.execute(
        f"""insert into ops.export ({columns}, landed_at) values ({places}, now())
            on conflict (export_id) do update set {updates}, landed_at = excluded.landed_at""",  # type: ignore[arg-type]
        values,
    )
    conn.execute(
        """delete from ops.export where source = %s and dataset = %s and unit = %s and business_day = %s
             and state = 'expected' and version < %s""",
        [d.source, d.dataset, unit, d.business_day, d.version],
    )
    conn.execute("delete from ops.export_part where export_id = %s", [id])
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into ops.export_part (export_id, part_no, path, origin, sha256, bytes) values (%s, %s, %s, %s, %s, %s)",
            [(id, part.part_no, str(part.path), part.origin, part.sha256, part.bytes) for part in d.parts],
        )
    note_warnings(conn, id, "landing", d.warnings)


def note_warnings(conn: psycopg.Connection, id: int, who: str, warnings: Sequence[str], rows: int = 0) -> None:
    """What was noticed at the landing or while reading ("F19: no BOM …"), as results that warn; those of ``who`` before are replaced."""
    conn.execute("delete from ops.check_result where export_id = %s and rule_name like %s", [id, f"{who}_warning_%"])
    with conn.cursor() as cursor:
        cursor.executemany(
            """insert into ops.check_result (export_id, rule_id, rule_name, rule, outcome, passed, rows_failed, rows_total)
               values (%s, %s, %s, %s, 'warn', false, 0, %s)""",
            [(id, found[1] if (found := _RULE.match(w)) else "Q02", f"{who}_warning_{n}", w, rows) for n, w in enumerate(warnings, 1)],
        )


# ---- accepted, rejected, superseded --------------------------------------------------------------------------------------------


def accept(conn: psycopg.Connection, id: int) -> Export:
    """Let a judged export count. What it replaces is superseded in the same transaction; both go into the change queue.

    Replaced are (SPEC "Versions and days"): lower versions of the same Postmart dataset and day; an earlier pull of a Vỏ Sò snapshot of
    that day, unless it was on time and the new one is not. Windows of Vỏ Sò, registers and what is reconciled add up. An export that is outranked itself
    ends as superseded and never counts. Conservation is checked first: a breach raises and nothing counts.
    """
    export = get(conn, id)
    with locked(conn, export.source, export.dataset, export.business_day):
        export = get(conn, id, for_update=True)
        if export.state in ("accepted", "superseded"):
            return export
        if export.state != "judged":
            raise LedgerError(f"{export.label} is {export.state}, not judged: it cannot be accepted")
        conservation(conn, id)
        outranked = _outranked(conn, export)
        if outranked:
            _end(conn, id, "superseded", outranked)
            return get(conn, id)
        for older in _accepted_rivals(conn, export):
            _end(conn, older.export_id, "superseded", _replaced_by(export))
            change(conn, older, "superseded")
        for older in _rejected_before(conn, export):
            _close_quarantine(conn, older.export_id, _replaced_by(export))
        conn.execute("update ops.export set state = 'accepted', reason = null, accepted_at = now(), ended_at = null where export_id = %s", [id])
        change(conn, export, "accepted")
        return get(conn, id)


def reject(conn: psycopg.Connection, id: int, reason: str) -> Export:
    """Refuse an export, with the reason in words; the last good state carries on. An accepted one cannot be refused any more."""
    export = get(conn, id)
    with locked(conn, export.source, export.dataset, export.business_day):
        export = get(conn, id, for_update=True)
        if export.state in ("accepted", "superseded"):
            raise LedgerError(f"{export.label} is {export.state}: it cannot be rejected")
        _end(conn, id, "rejected", reason)
        return get(conn, id)


def withdraw(conn: psycopg.Connection, id: int, reason: str) -> Export:
    """Take an accepted export back out of what counts, after a check over the built tables failed it; the last good state carries on.

    It is rejected then, as if the judge had refused it: what it had replaced counts as before. The next build is told. Where it is not accepted
    any more nothing happens.
    """
    export = get(conn, id)
    with locked(conn, export.source, export.dataset, export.business_day):
        export = get(conn, id, for_update=True)
        if export.state == "accepted":
            _end(conn, id, "rejected", reason)
            change(conn, export, "withdrawn")
            _stand_again(conn, export)
        return get(conn, id)


def _stand_again(conn: psycopg.Connection, withdrawn: Export) -> None:
    """Undo what the acceptance of ``withdrawn`` did to the other versions of its day: the best of those that counted counts again, a better one
    that was set aside unread is read after all, and what waited for a person in them waits again."""
    if not _replaces(withdrawn):
        return
    key = [withdrawn.source, withdrawn.dataset, withdrawn.unit, withdrawn.business_day]
    for other in sorted(
        _exports(conn, "source = %s and dataset = %s and unit = %s and business_day = %s and state = 'superseded'", key), key=_rank, reverse=True
    ):
        if other.accepted_at:
            conn.execute("update ops.export set state = 'accepted', reason = null, ended_at = null where export_id = %s", [other.export_id])
            change(conn, other, "accepted")
            break
        conn.execute(
            "update ops.export set state = 'landed', reason = %s, loaded_at = null, judged_at = null, ended_at = null where export_id = %s",
            [f"read after all: v{withdrawn.version} was withdrawn", other.export_id],
        )
    conn.execute(
        """update ops.quarantine_row as q set state = 'open', state_reason = null, closed_at = null, closed_by = null
           from ops.export as e
           where e.export_id = q.export_id and e.source = %s and e.dataset = %s and e.unit = %s and e.business_day = %s
             and q.state = 'dismissed' and q.closed_by = 'pipeline' and q.state_reason = %s""",
        [*key, f"replaced by v{withdrawn.version}"],
    )


def reopen(conn: psycopg.Connection, id: int) -> bool:
    """Put a rejected export back to landed, to be read and judged again after a contract, word or reference was corrected.

    False, and nothing done, where it is not rejected, its bytes never came, or a person has dismissed it.
    """
    export = get(conn, id)
    with locked(conn, export.source, export.dataset, export.business_day):
        export = get(conn, id, for_update=True)
        if export.state != "rejected" or not export.landed_at or _is_dismissed(conn, id):
            return False
        conn.execute(
            "update ops.export set state = 'landed', reason = %s, loaded_at = null, judged_at = null, ended_at = null where export_id = %s",
            [f"read again; was rejected: {(export.reason or '').splitlines()[0] if export.reason else 'no reason noted'}"[:2000], id],
        )
        return True


def _is_dismissed(conn: psycopg.Connection, id: int) -> bool:
    return conn.execute("select 1 from ops.export where export_id = %s and dismissed_at is not null", [id]).fetchone() is not None


def change(conn: psycopg.Connection, export: Export, kind: str) -> None:
    """Queue an export for the next build (kind: accepted, superseded, replayed)."""
    conn.execute(
        "insert into ops.change (export_id, source, dataset, business_day, kind) values (%s, %s, %s, %s, %s)",
        [export.export_id, export.source, export.dataset, export.business_day, kind],
    )


def _end(conn: psycopg.Connection, id: int, state: str, reason: str) -> None:
    conn.execute("update ops.export set state = %s, reason = %s, ended_at = now() where export_id = %s", [state, reason, id])
    if state == "superseded":
        _close_quarantine(conn, id, reason)


def _replaced_by(export: Export) -> str:
    return f"replaced by v{export.version}"


def _close_quarantine(conn: psycopg.Connection, id: int, reason: str) -> None:
    """What a newer version has replaced waits for nobody."""
    conn.execute(
        """update ops.quarantine_row set state = 'dismissed', state_reason = %s, closed_at = clock_timestamp(), closed_by = 'pipeline'
           where export_id = %s and state = 'open'""",
        [reason, id],
    )


def _rejected_before(conn: psycopg.Connection, export: Export) -> list[Export]:
    """Rejected lower versions of the same delivery."""
    return _exports(
        conn,
        "source = %s and dataset = %s and unit = %s and business_day = %s and state = 'rejected' and version < %s",
        [export.source, export.dataset, export.unit, export.business_day, export.version],
    )


def _replaces(export: Export) -> bool:
    """Whether one export of the day counts, this or another; windows, registers and what is reconciled add up."""
    return export.source != "registers" and export.mode != "window" and not export.unit


def _rank(export: Export) -> tuple[bool, int]:
    """Which of several exports of a day counts: of Vỏ Sò one that was pulled on time, then the highest version."""
    return not (export.source == "voso" and export.is_reconstructed), export.version


def _accepted_rivals(conn: psycopg.Connection, export: Export) -> list[Export]:
    """Accepted exports that cannot count beside this one."""
    if not _replaces(export):
        return []
    return _exports(
        conn,
        "source = %s and dataset = %s and unit = %s and business_day = %s and state = 'accepted' and export_id <> %s",
        [export.source, export.dataset, export.unit, export.business_day, export.export_id],
    )


def gives_way(conn: psycopg.Connection, id: int) -> bool:
    """Whether an export that waits for its next step is outranked by now; it ends as superseded then, unread."""
    export = get(conn, id)
    with locked(conn, export.source, export.dataset, export.business_day):
        export = get(conn, id, for_update=True)
        reason = _outranked(conn, export) if export.state in ("landed", "loaded") else None
        if reason:
            _end(conn, id, "superseded", reason)
        return reason is not None


def _outranked(conn: psycopg.Connection, export: Export) -> str | None:
    """Why an accepted export of the day keeps its place against this one; None when it does not."""
    if export.unit == "month":  # versions of a month add up, but an older one that comes later would take back what the newer one knows
        newer = _exports(
            conn,
            "source = %s and dataset = %s and unit = %s and business_day = %s and state = 'accepted' and version > %s order by version desc limit 1",
            [export.source, export.dataset, export.unit, export.business_day, export.version],
        )
        return f"v{newer[0].version} is accepted; {_TOO_LATE}" if newer else None
    for rival in _accepted_rivals(conn, export):
        if export.source == "voso" and rival.is_reconstructed != export.is_reconstructed:
            if export.is_reconstructed:
                return f"v{rival.version} was pulled on time; a late pull does not show that day"
        elif rival.version > export.version:
            return f"v{rival.version} is accepted; {_TOO_LATE}"
    return None


# ---- conservation --------------------------------------------------------------------------------------------------------------


def count(conn: psycopg.Connection, id: int) -> dict[str, int]:
    """Rows of an export by what became of them, counted from the tables: held (in raw), loaded, quarantined, duplicate, superseded."""
    export = get(conn, id)
    held = conn.execute(f"select count(*) from raw.{export.source}_{export.dataset} where export_id = %s", [id]).fetchone()[0]  # type: ignore[arg-type,index]
    aside: dict[str, int] = dict(
        conn.execute(
            f"""select a.outcome, count(*) from ops.set_aside_row as a
                join raw.{export.source}_{export.dataset} as r on r.export_id = a.export_id and r.source_row = a.source_row
                where a.export_id = %s group by 1""",  # type: ignore[arg-type]
            [id],
        ).fetchall()
    )
    result = {outcome: aside.get(outcome, 0) for outcome in ("quarantined", "duplicate", "superseded")}
    return {"held": held, "loaded": held - sum(result.values()), **result}


def store_counts(conn: psycopg.Connection, id: int) -> dict[str, int]:
    """Write the counts of the tables to the ledger."""
    counted = count(conn, id)
    conn.execute(
        """update ops.export set rows_loaded = %(loaded)s, rows_quarantined = %(quarantined)s, rows_duplicate = %(duplicate)s,
             rows_superseded = %(superseded)s where export_id = %(id)s""",
        counted | {"id": id},
    )
    return counted


def conservation(conn: psycopg.Connection, id: int, counted: dict[str, int] | None = None) -> None:
    """I1 for one loaded export (``counted``: by `store_counts`, in this transaction): raises ConservationBroken with the figures unless

    - rows delivered (as the reader counted them) = rows in raw = loaded + quarantined + duplicate + superseded, in the ledger and in the tables;
    - every row that was set aside is a row of raw, once, and every quarantined row has its reason, and no other row has an open one.
    """
    export = get(conn, id)
    counted = counted or count(conn, id)
    problems = []
    noted = {
        "loaded": export.rows_loaded,
        "quarantined": export.rows_quarantined,
        "duplicate": export.rows_duplicate,
        "superseded": export.rows_superseded,
    }
    if export.rows_delivered != counted["held"]:
        problems.append(f"{export.rows_delivered} delivered but {counted['held']} in raw")
    if export.rows_delivered != sum(value or 0 for value in noted.values()):
        problems.append(f"{export.rows_delivered} delivered is not the sum of {noted}")
    problems += [f"ledger says {noted[name]} {name}, tables say {counted[name]}" for name in noted if noted[name] != counted[name]]
    astray, without_reason, not_aside = conn.execute(
        """select
             (select count(*) from ops.set_aside_row where export_id = %(id)s) - %(aside)s,
             (select count(*) from ops.set_aside_row as a where a.export_id = %(id)s and a.outcome = 'quarantined'
                and not exists (select from ops.quarantine_row as q
                                where q.export_id = a.export_id and q.source_row = a.source_row and q.state <> 'replayed')),
             (select count(distinct q.source_row) from ops.quarantine_row as q where q.export_id = %(id)s and q.state <> 'replayed'
                and coalesce(q.last_failed_at >= %(loaded)s, true)  -- older ones are of an earlier reading, not judged again yet
                and not exists (select from ops.set_aside_row as a where a.export_id = q.export_id and a.source_row = q.source_row))""",
        {"id": id, "aside": counted["quarantined"] + counted["duplicate"] + counted["superseded"], "loaded": export.loaded_at},
    ).fetchone()  # type: ignore[misc]
    if astray:
        problems.append(f"{astray} rows set aside that raw does not hold exactly once")
    if without_reason:
        problems.append(f"{without_reason} quarantined rows without a reason")
    if not_aside:
        problems.append(f"{not_aside} rows with an open quarantine that still count")
    if problems:
        raise ConservationBroken(
            f"{export.label}: rows are not conserved: {'; '.join(problems)}. Nothing of it counts. "
            "Load the export again from the landing; if it stays, tell the data platform team. Runbook: docs/runbooks/export-rejected.md"
        )


# ---- refused logins ------------------------------------------------------------------------------------------------------------


#: How long the other tasks of a run believe the one that found the source unreachable; shorter than a sensor's pause.
UNREACHABLE_SECONDS = 240


@contextmanager
def one_login(conn: psycopg.Connection, source: str, run: str, attempt: str, kind_of: Callable[[Exception], str | None]) -> Iterator[tuple[str, str] | None]:
    """Let one task of a run log in at a time, and spare the others what it learned: that `source` refuses the login (F34: no second try, the
    account may be locked), or that it does not answer.

    `run` names the run and a digest of the credentials, `attempt` its try as well. Yields None, or (kind, words) where another task was told so
    before; then nothing is to be asked. `kind_of` an error of the body is "login_refused", "unreachable" or None.
    """
    lock, keys = f"{source}|login", {"login_refused": attempt, "unreachable": run}
    conn.execute("select pg_advisory_lock(hashtextextended(%s, 2))", [lock])
    try:
        known = conn.execute(
            "select kind, value from ops.source_pin where source = %s and kind = any(%s)"
            " and (kind <> 'unreachable' or pinned_at between now() - make_interval(secs => %s) and now()) order by kind",
            [source, list(keys), UNREACHABLE_SECONDS],
        ).fetchall()
        told = next(((kind, value.partition("\n")[2]) for kind, value in known if value.partition("\n")[0] == keys[kind]), None)
        try:
            yield told
        except Exception as error:
            kind = None if told else kind_of(error)
            if kind:
                conn.execute(
                    """insert into ops.source_pin (source, kind, value) values (%s, %s, %s)
                       on conflict (source, kind) do update set value = excluded.value, pinned_at = now()""",
                    [source, kind, f"{keys[kind]}\n{error}"],
                )
            raise
    finally:
        if not conn.closed and not conn.broken:
            conn.execute("select pg_advisory_unlock(hashtextextended(%s, 2))", [lock])


# ---- looking things up ---------------------------------------------------------------------------------------------------------


def accepted(conn: psycopg.Connection, source: str, dataset: str, business_day: dt.date) -> list[Export]:
    """What counts for that day: one export, or for windows and registers several, oldest version first."""
    where = f"source = %s and dataset = %s and business_day = %s and state = 'accepted' and {_OF_THE_DAY} order by unit, version"
    return _exports(conn, where, [source, dataset, business_day])


def latest_accepted(conn: psycopg.Connection, source: str, dataset: str, before: dt.date) -> Export | None:
    """The accepted export of the last day before `before`."""
    found = _exports(
        conn,
        f"source = %s and dataset = %s and business_day < %s and state = 'accepted' and {_OF_THE_DAY} order by business_day desc, version desc limit 1",
        [source, dataset, before],
    )
    return found[0] if found else None


def known_versions(conn: psycopg.Connection, source: str, dataset: str, business_day: dt.date, unit: str = "") -> dict[int, Export]:
    """Every version that came, by number, whatever became of it."""
    found = _exports(
        conn,
        "source = %s and dataset = %s and business_day = %s and unit = %s and state <> 'expected' order by version",
        [source, dataset, business_day, unit],
    )
    return {export.version: export for export in found}


def next_version(conn: psycopg.Connection, source: str, dataset: str, business_day: dt.date, unit: str = "") -> int:
    """Number of the next pull (Vỏ Sò) or file (registers) of that day."""
    return max(known_versions(conn, source, dataset, business_day, unit), default=0) + 1


def same_content(conn: psycopg.Connection, source: str, dataset: str, sha256: str) -> Export | None:
    """The last export of that dataset with exactly these bytes: a register file sent twice is nothing new."""
    found = _exports(
        conn, "source = %s and dataset = %s and sha256 = %s and state <> 'expected' order by landed_at desc, version desc limit 1", [source, dataset, sha256]
    )
    return found[0] if found else None


def missing_days(conn: psycopg.Connection, source: str, dataset: str, first_day: dt.date, day: dt.date, within: int = LOOK_BACK_DAYS) -> list[dt.date]:
    """Days without an accepted export from `first_day` to `day`, both included, in the last `within` days; oldest first."""
    rows = conn.execute(
        f"""select d::date from generate_series(greatest(%(first)s::date, %(day)s::date - %(back)s), %(day)s::date, interval '1 day') as d
           where not exists (select from ops.export as e where e.source = %(source)s and e.dataset = %(dataset)s
                               and e.business_day = d::date and e.state = 'accepted' and {_OF_THE_DAY}) order by 1""",  # type: ignore[arg-type]
        {"first": first_day, "day": day, "back": within - 1, "source": source, "dataset": dataset},
    ).fetchall()
    return [row[0] for row in rows]


def watermark(conn: psycopg.Connection, source: str, dataset: str, day: dt.date) -> dt.datetime | None:
    """Greatest accepted window_until of days before `day` (None: nothing yet). The ten minutes of overlap are the caller's (EXPORTS §10.2)."""
    return conn.execute(
        f"select max(window_until) from ops.export where source = %s and dataset = %s and business_day < %s and state = 'accepted' and {_OF_THE_DAY}",  # type: ignore[arg-type]
        [source, dataset, day],
    ).fetchone()[0]  # type: ignore[index]


def exports_to_load(conn: psycopg.Connection, source: str | None = None, dataset: str | None = None, day: dt.date | None = None) -> list[int]:
    return _waiting(conn, "landed", source, dataset, day)


def exports_to_judge(conn: psycopg.Connection, source: str | None = None, dataset: str | None = None, day: dt.date | None = None) -> list[int]:
    return _waiting(conn, "loaded", source, dataset, day)


def _waiting(conn: psycopg.Connection, state: str, source: str | None, dataset: str | None, day: dt.date | None) -> list[int]:
    """Exports that wait for their next step, oldest day first (a snapshot is judged against the day before it)."""
    rows = conn.execute(
        f"""select export_id from ops.export where state = %(state)s and {_OF_THE_DAY}
             and (%(source)s::text is null or source = %(source)s) and (%(dataset)s::text is null or dataset = %(dataset)s)
             and (%(day)s::date is null or business_day = %(day)s)
           order by business_day, source, dataset, unit, version""",  # type: ignore[arg-type]
        {"state": state, "source": source, "dataset": dataset, "day": day},
    ).fetchall()
    return [row[0] for row in rows]
