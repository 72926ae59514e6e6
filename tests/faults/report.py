"""What the suite saw, as a table: printed at the end, and written to docs/faults.md when every fault of the catalogue was struck."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from catalogue import CATALOGUE, Fault

DOC = Path(__file__).resolve().parents[2] / "docs" / "faults.md"
HEAD = """# Faults: what was struck, what was seen

Written by `make faults` from `tests/faults/`; do not edit. F01–F55 are the contract's catalogue (EXPORTS §13), the others are further faults of network, file,
data, process, database and host. Each is struck against real sources and a real PostgreSQL that knows a backlog and two days. After each one the suite
counts the rows of the landed bytes with plain readers and holds them against the ledger (I1), runs the day again (I2), reads `bi` while it is published
(I3), recounts the KPIs in plain Python (I4), looks for secrets and personal data in tables, logs and artefacts (I5), asks that what does not count was
told (I6), recovers without touching the database (I7), and asks that the other datasets, the other platform and the next day went on (I8).

| Fault | Struck by | Expected | Seen | Rows lost | Rows doubled | Recovery |
|---|---|---|---|---:|---:|---|
"""


@dataclass
class Told:
    """What a test reports of one fault."""

    number: str
    seen: list[str] = field(default_factory=list)
    lost: int | None = None
    doubled: int | None = None
    passed: bool = False


def line(fault: Fault, told: Told | None) -> str:
    """A row of the table."""
    expected = fault.expected + (f" ({fault.reading})" if fault.reading else "")
    if told is None:
        seen, lost, doubled = "**not struck**", "", ""
    else:
        seen = ("" if told.passed else "**FAILED** ") + "; ".join(dict.fromkeys(told.seen))
        lost, doubled = ("" if n is None else str(n) for n in (told.lost, told.doubled))
    return f"| {fault.number} {fault.title} | {fault.injector} | {expected} | {seen} | {lost} | {doubled} | {fault.recovery} |"


def table(results: dict[str, Told]) -> str:
    """The whole document."""
    rows = [line(f, results.get(f.number)) for f in CATALOGUE]
    good = sum(t.passed for t in results.values())
    lost, doubled = (sum(getattr(t, name) or 0 for t in results.values()) for name in ("lost", "doubled"))
    return HEAD + "\n".join(rows) + f"\n\n{good} of {len(CATALOGUE)} faults survived; {lost} rows lost, {doubled} rows doubled.\n"


def plain(results: dict[str, Told]) -> list[str]:
    """For the terminal: the struck ones only."""
    lines = []
    for fault in CATALOGUE:
        if told := results.get(fault.number):
            state = "ok" if told.passed else "FAILED"
            seen = "; ".join(dict.fromkeys(told.seen))
            lines.append(
                f"{fault.number:5} {state:6} lost {told.lost or 0} doubled {told.doubled or 0} | {fault.title} | {fault.expected} | {seen} | {fault.recovery}"
            )
    return lines
