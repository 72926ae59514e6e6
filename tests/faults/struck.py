"""The way of one fault, or of several at once: struck on `DAY`, seen, recovered; then the next day, a release, the recount, and all of it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from case import DAY, NEXT, PLATFORMS, SOURCES, Baseline, Case, NotSeen, strike

from simulators import faults as switches

Look = Callable[[Case], "str | None"]


@dataclass(frozen=True)
class Struck:
    """How a fault is struck and what must be seen.

    ``switch``: faults of the simulators. ``out``: datasets of `DAY` that must not be accepted after the strike. ``again``: what the supplier
    sends again as version 2; ``recover``: what else a person does then. ``at``: when the run of `DAY` looks. ``without``: which delivered rows have to be in quarantine (for the recount).
    ``after``: what must be seen after the release. ``out`` may name "voso/*": some of its datasets.
    ``group``: faults of one group are struck together in `make test`; alone, each is struck in `make faults`.
    """

    number: str
    switch: str
    look: Look
    out: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    recover: Callable[[Case], None] | None = None
    at: str = "06:00"
    group: str = ""
    options: tuple[str, ...] = ()
    without: Callable[[str, dict[str, Any]], bool] | None = None
    after: Look | None = None

    @property
    def is_known(self) -> bool:
        """Whether the simulators have the switch."""
        try:
            switches.parse(self.switch)
        except ValueError:
            return False
        return True


REGISTRY: list[Struck] = []


def struck(number: str, switch: str = "", **options: Any) -> Callable[[Look], Look]:
    """Register a function that looks for the reaction and says what it saw; it raises NotSeen when the reaction did not show."""

    def register(look: Look) -> Look:
        REGISTRY.append(Struck(number, switch.replace("@DAY", f"@{DAY}"), look, **options))
        return look

    return register


def go(baseline: Baseline, home: Path, entries: Iterable[Struck], teller: Any) -> None:
    """Strike ``entries`` together and check everything; what was seen, lost and doubled goes to ``teller``."""
    entries = list(entries)
    faults = ",".join(dict.fromkeys(e.switch for e in entries if e.switch))
    options = tuple(o for e in entries for o in e.options)
    (at,) = {e.at for e in entries}
    with strike(baseline, home, faults, *options) as case:
        before = case.published()
        case.take(DAY, at=at)
        assert case.published() == before, "I3: nothing is published before a release"
        out = {name for e in entries for name in e.out}
        _others_go_on(case, out)
        for e in entries:
            seen = e.look(case)
            teller.saw(e.number, *([seen] if seen else []))
        if anew := sorted({dataset for e in entries for dataset in e.again}):
            case.reissue(*anew)
        for e in entries:
            if e.recover:
                e.recover(case)
        case.take(NEXT, at="11:00")
        for day in (DAY, NEXT):
            for source in PLATFORMS:
                for dataset in SOURCES[source]:
                    case.state(f"{source}/{dataset}", "accepted", day)
        case.release()
        for e in entries:
            if e.after and (seen := e.after(case)):
                teller.saw(e.number, seen)
        holds(case, entries, teller)


def _others_go_on(case: Case, out: set[str]) -> None:
    """I8: what the fault does not strike is accepted; what it strikes is not."""
    for source in PLATFORMS:
        for dataset in SOURCES[source]:
            name = f"{source}/{dataset}"
            if f"{source}/*" in out:
                continue
            counts = case.sql("select 1 from ops.export where source = %s and dataset = %s and business_day = %s and state = 'accepted'", source, dataset, DAY)
            if name in out and counts:
                raise NotSeen(f"{name} {DAY} is accepted; the fault should have kept it out")
            assert name in out or counts, f"I8: {name} {DAY} is not accepted, though nothing struck it: {case.problems}"


def holds(case: Case, entries: Iterable[Struck], teller: Any, last: date = NEXT) -> None:
    """The recount (I4), the same run again (I2), and the books (I1, I5, I6)."""
    entries = list(entries)
    wrong = recounted(case, entries)
    assert not wrong, "I4: published is not what a recount of the deliveries gives:\n" + "\n".join(wrong[:20])
    digest = case.published()
    told = len(case.problems)
    case.take(last, at="11:00")
    case.release()
    again = case.published()
    moved = [t for t in digest if again[t] != digest[t]]
    assert not moved, f"I2: the same run again moved {moved}"
    assert len(case.problems) == told, f"a repeated run told something new: {case.problems[told:]}"
    books = case.books()
    for e in entries:
        teller.rows(e.number, books.lost, books.doubled)
    assert not books.wrong, "\n".join(books.wrong)


def recounted(case: Case, entries: Iterable[Struck]) -> list[str]:
    """Every published cell against the recount of what was delivered."""
    keep_out = [e.without for e in entries if e.without]
    return case.pipeline.recounted(without=lambda dataset, row: any(f(dataset, row) for f in keep_out)) if keep_out else case.pipeline.recounted()
