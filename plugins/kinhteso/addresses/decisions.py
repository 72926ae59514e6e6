"""What operators have decided about addresses that no rule can tell: rows of the seed address_decision, with who, when and why. Pure but for reading it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from kinhteso.addresses.names import Lists

SEED = "address_decision"
COLUMNS = ("text_norm", "list", "record_from", "record_to", "code", "decided_by", "decided_on", "reason")
OUT = "out_of_scope"
RUNBOOK = "docs/addresses.md"


class DecisionError(ValueError):
    """A row of the seed that cannot hold; the message says which, why, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An address (its normal form) means ``code`` in records of these days; ``code`` is of the lists in force on them, or out_of_scope."""

    text_norm: str
    list: str
    record_from: date | None
    record_to: date | None
    code: str
    decided_by: str
    decided_on: date
    reason: str

    def holds(self, list_name: str, day: date) -> bool:
        """Whether it speaks of records of this day."""
        return self.list in ("", list_name) and (self.record_from is None or self.record_from <= day) and (self.record_to is None or day <= self.record_to)


class Decisions:
    """All decisions, by the normal form of the address."""

    def __init__(self, decisions: Iterable[Decision] = ()):
        self._by_text: dict[str, list[Decision]] = {}
        for decision in decisions:
            self._by_text.setdefault(decision.text_norm, []).append(decision)

    def __bool__(self) -> bool:
        return bool(self._by_text)

    def find(self, text_norm: str, list_name: str, day: date) -> Decision | None:
        """The decision about an address of that day."""
        return next((d for d in self._by_text.get(text_norm, ()) if d.holds(list_name, day)), None)

    def about(self, text_norm: str) -> tuple[Decision, ...]:
        """All decisions about an address, of whatever days."""
        return tuple(self._by_text.get(text_norm, ()))


def from_rows(rows: Iterable[Mapping[str, str | None]], lists: Lists) -> Decisions:
    """Decisions out of the rows of the seed. Raises DecisionError naming row and remedy, for the first one that cannot hold."""
    found: list[Decision] = []
    for number, row in enumerate(rows, start=2):
        decision = _checked(row, number, lists)
        for other in found:
            if other.text_norm == decision.text_norm and other.code != decision.code and _overlap(other, decision, lists):
                raise DecisionError(
                    f"{SEED}.csv row {number}: {decision.text_norm!r} was decided as {other.code} before, for the same days. Keep one of them. See {RUNBOOK}."
                )
        found.append(decision)
    return Decisions(found)


def _checked(row: Mapping[str, str | None], number: int, lists: Lists) -> Decision:
    def wrong(what: str) -> DecisionError:
        return DecisionError(f"{SEED}.csv row {number}: {what} See {RUNBOOK}.")

    lacking = [c for c in COLUMNS if c not in row]
    if lacking:
        raise wrong(f"the columns {', '.join(lacking)} are missing. The heading is {','.join(COLUMNS)}.")
    said = {c: (row[c] or "").strip() for c in COLUMNS}
    for column, meaning in (("text_norm", "the address"), ("code", "the commune"), ("decided_by", "who decided"), ("decided_on", "when"), ("reason", "why")):
        if not said[column]:
            raise wrong(f"{column} is empty: a decision says {meaning}. Fill it in.")
    days = {}
    for column in ("record_from", "record_to", "decided_on"):
        try:
            days[column] = date.fromisoformat(said[column]) if said[column] else None
        except ValueError:
            raise wrong(f"{column} is {said[column]!r}. Write a day as YYYY-MM-DD.") from None
    first, last, on = days["record_from"], days["record_to"], days["decided_on"]
    assert on is not None
    if not said["list"] and first is None:
        raise wrong("neither list nor record_from is filled in: a code means nothing without its list. Say one of them.")
    if said["list"] and lists.period(said["list"]) is None:
        raise wrong(f"there is no list {said['list']!r}. Known are {', '.join(p.name for p in lists.periods)}.")
    if first and last and last < first:
        raise wrong(f"record_to {last} is before record_from {first}. Turn them round.")
    from kinhteso.addresses.resolving import norm

    decision = Decision(norm(said["text_norm"]), said["list"], first, last, said["code"], said["decided_by"], on, said["reason"])
    touched = [p for p in lists.periods if touches(decision, p.name, lists)]
    if not touched:
        raise wrong(f"the list {said['list']} is not in force on any of the days from {first or '…'} to {last or '…'}. Correct one of them.")
    for period in touched:
        if said["code"] != OUT and (period.name, said["code"]) not in lists.units:
            known = [p.name for p in lists.periods if (p.name, said["code"]) in lists.units]
            where = f"it is in the list{'s' if len(known) > 1 else ''} {', '.join(known)}" if known else "no list has it"
            raise wrong(f"{said['code']} is no unit of the list {period.name}; {where}. Write a code of that list (5 characters), or {OUT}.")
    return decision


def touches(decision: Decision, name: str, lists: Lists) -> bool:
    """Whether a decision speaks of any day of a list."""
    period = lists.period(name)
    assert period is not None
    is_first = period == lists.periods[0]
    begins = date.min if is_first else period.valid_from
    return (
        decision.list in ("", name)
        and (decision.record_to is None or begins <= decision.record_to)
        and (decision.record_from is None or period.valid_to is None or decision.record_from <= period.valid_to)
    )


def _overlap(a: Decision, b: Decision, lists: Lists) -> bool:
    is_apart = (a.record_to and b.record_from and a.record_to < b.record_from) or (b.record_to and a.record_from and b.record_to < a.record_from)
    return not is_apart and any(touches(a, p.name, lists) and touches(b, p.name, lists) for p in lists.periods)


def from_seeds(folder: Path, lists: Lists) -> Decisions:
    """The decisions of the seed; none where there is no such file."""
    path = folder / f"{SEED}.csv"
    if not path.exists():
        return Decisions()
    with path.open(encoding="utf-8-sig", newline="") as f:
        reader = csv.DictReader(f)
        if lacking := [c for c in COLUMNS if c not in (reader.fieldnames or ())]:
            raise DecisionError(f"{SEED}.csv: the columns {', '.join(lacking)} are missing. The heading is {','.join(COLUMNS)}. See {RUNBOOK}.")
        return from_rows(reader, lists)
