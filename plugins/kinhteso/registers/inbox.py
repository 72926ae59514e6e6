"""Forms in the inbox: which register a file is, of which unit and as-of date; and its bytes to the landing."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from kinhteso import business_day, contracts
from kinhteso.landing import Delivery, Landing, Part, safe_name
from kinhteso.readers import DeliveryRefused
from kinhteso.registers import forms

SUFFIXES = {".xlsx", ".xls", ".xlsm"}
MAX_FORM_BYTES = 64 << 20
_NAME = re.compile(r"^bi[eể]u\s*(?:s[oố])?[\s_-]*0?(1b|[1-5])(?![0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class Form:
    """A file of the inbox. ``dataset`` is None when neither its name nor its title says which register it is."""

    path: Path
    dataset: str | None
    sha256: str
    received_at: datetime


def _contract_numbers() -> dict[str, str]:
    return {str(c.form["number"]).lstrip("0"): c.dataset for c in contracts.all_contracts() if c.source == "registers"}


def dataset_of(path: Path, numbers: dict[str, str] | None = None) -> str | None:
    """Which register a file is: by its name (Bieu01b_…), else by the title of its first sheet. ``numbers``: those of the contracts, if they are at hand."""
    if match := _NAME.match(path.name):
        return (_contract_numbers() if numbers is None else numbers).get(match[1].lower())
    try:
        with path.open("rb") as f:
            return forms.dataset_by_title(f)
    except DeliveryRefused:
        return None


def scan(inbox: Path) -> list[Form]:
    """Every Excel file below ``inbox``, by name; files that are still being written (`.part`, `~$…`, hidden) are left for later.

    Raises FileNotFoundError naming the folder when there is no inbox.
    """
    if not inbox.is_dir():
        raise FileNotFoundError(f"KINHTESO_REGISTERS_INBOX is {inbox}, which is no folder. Create it or correct the setting.")
    found, numbers = [], _contract_numbers()
    for path in sorted(inbox.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith((".", "~$")) or not path.is_file() or path.is_symlink():
            continue
        digest = hashlib.sha256()
        with path.open("rb") as f:
            for chunk in iter(lambda: f.read(1 << 20), b""):
                digest.update(chunk)
        found.append(Form(path, dataset_of(path, numbers), digest.hexdigest(), datetime.fromtimestamp(path.stat().st_mtime, UTC)))
    return sorted(found, key=lambda form: (form.received_at, form.path))


def land(form: Form, landing: Landing, next_version: Callable[[str, date], int]) -> tuple[Delivery, DeliveryRefused | None]:
    """The form's bytes to the landing, under its register, as-of date and unit ("187" or "187_06505").

    Where it cannot be said of which day or unit the form is (F52, F21, …) it is kept all the same, under what its name says, else under the day
    it came, and the refusal is given beside it.
    """
    assert form.dataset is not None
    contract = contracts.load_contract("registers", form.dataset)
    refusal = None
    try:
        if form.path.stat().st_size > MAX_FORM_BYTES:
            raise DeliveryRefused("F21", f"{form.path.name}: more than {MAX_FORM_BYTES:,} bytes are too many for a form. Ask the district for a smaller file.")
        head = forms.head(form.path.read_bytes(), form.path.name, contract)
    except DeliveryRefused as error:
        refusal, head = error, forms.head_by_name(form.path.name, business_day.of(form.received_at))
    version = next_version(head.unit, head.as_of)
    folder = f"registers/{form.dataset}/{head.as_of}/{head.unit}/v{version}"
    name = safe_name(form.path.name)
    with form.path.open("rb") as f:
        sha, size = landing.put(f"{folder}/{name}", f)
    delivery = Delivery(
        source="registers", dataset=form.dataset, business_day=head.as_of, version=version, mode=contract.mode, origin=name, unit=head.unit,
        landing_path=folder, sha256=sha, bytes=size, received_at=form.received_at, parts=(Part(1, f"{folder}/{name}", name, sha, size),),
    )  # fmt: skip
    return delivery, refusal
