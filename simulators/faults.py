"""Faults of the contract's catalogue that can be switched on: F10@2021-09-13, or F01@2021-09-13:SANPHAM for one dataset."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

#: Fault -> the dataset that it strikes when none is named.
KNOWN = {
    "F01": "DONHANG",  # truncated XLSX or ZIP
    "F02": "HOANTRA",  # truncated CSV
    "F03": "ORDERS",  # truncated part of the bulk job, in the first job only
    "F04": "DONHANG",  # half-written: .part and no marker until two hours later
    "F05": "DONHANG",  # marker before the file, which comes 45 minutes later
    "F06": "",  # everything at 05:00
    "F07": "",  # nothing until two days later
    "F08": "",  # an empty day: no orders, no refunds
    "F09": "DONHANG",  # no rows, but a manifest that declares them
    "F10": "DONHANG",  # version 2 at 10:00 of the next day
}


@dataclass(frozen=True)
class Fault:
    """One fault on one business day."""

    name: str
    day: date
    dataset: str


def parse(text: str) -> list[Fault]:
    """Faults of a comma-separated list; raises ValueError that names what is known."""
    found = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, at, rest = item.partition("@")
        day, _, dataset = rest.partition(":")
        if name not in KNOWN or not at:
            raise ValueError(f"{item!r} is no fault; write NAME@YYYY-MM-DD[:DATASET] with a name of {', '.join(KNOWN)}")
        found.append(Fault(name, date.fromisoformat(day), dataset or KNOWN[name]))
    return found
