"""A measurement: sides that do the same work, in rounds side by side, each checked; and what their numbers say."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any


class WrongResult(AssertionError):
    """What was measured did not do its work: its time means nothing."""


def must_be(found: Any, wanted: Any, what: str) -> None:
    """Raise WrongResult where ``found`` is not ``wanted``."""
    if found != wanted:
        raise WrongResult(f"{what}: {found!r}, must be {wanted!r}")


@dataclass(frozen=True)
class Taken:
    """What a run took: wall and CPU seconds (its processes and the server's), the peak of its processes' memory together in MB; ``more``: what it told."""

    seconds: float
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    more: dict[str, Any] = field(default_factory=dict)


@dataclass
class Side:
    """One way to do the work. ``run`` prepares (not timed) and does it, ``check`` raises WrongResult, ``close`` takes away what it left. ``units``: how
    many rows (orders, ...) a run works on; ``rounds``: at most so many; ``note``: what a reader has to know of it."""

    name: str
    units: int
    run: Callable[[], Taken]
    check: Callable[[], None]
    close: Callable[[], None] = lambda: None
    rounds: int | None = None
    note: str = ""
    taken: list[Taken] = field(default_factory=list)

    def median(self, what: str = "seconds") -> float:
        """Median over the rounds."""
        return statistics.median(getattr(one, what) for one in self.taken)

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.units / max(self.median(), 1e-9)


@dataclass(frozen=True)
class Ratio:
    """What is wanted of ``ours`` beside ``peer``. ``of``: "rate" (units per second, at least ``wanted`` times the peer's), "seconds" or "peak_mb" (at
    most ``wanted`` times), "time" (seconds of ours, at most ``wanted``, without a peer). ``wanted`` none: told, and nothing is wanted."""

    label: str
    ours: str
    peer: str
    of: str
    wanted: float | None = None

    def value(self, sides: dict[str, Side]) -> float:
        """The ratio of the medians."""
        ours = sides[self.ours]
        if self.of == "time":
            return ours.median()
        peer = sides[self.peer]
        return ours.rate / peer.rate if self.of == "rate" else ours.median(self.of) / max(peer.median(self.of), 1e-9)

    def is_reached(self, value: float) -> bool | None:
        """Whether ``value`` is what was wanted; none where nothing is."""
        if self.wanted is None:
            return None
        return value >= self.wanted if self.of == "rate" else value <= self.wanted


@dataclass
class Measurement:
    """``name`` for --only, ``title`` for people; ``prepare`` makes data and state that all rounds share, ``finish`` takes them away again."""

    name: str
    title: str
    sides: list[Side]
    ratios: list[Ratio]
    unit: str = "rows"
    finish: Callable[[], None] = lambda: None
    notes: list[str] = field(default_factory=list)

    def measure(self, rounds: int, say: Callable[[str], None]) -> None:
        """Round by round each side in turn, so that what drifts hits all; each result is looked at before the next begins."""
        try:
            for number in range(rounds):
                for side in self.sides:
                    if side.rounds is not None and number >= side.rounds:
                        continue
                    try:
                        taken = side.run()
                        side.check()
                    finally:
                        side.close()
                    side.taken.append(taken)
                    memory = f", {taken.peak_mb:,.0f} MB" if taken.peak_mb else ""
                    turn = f"{self.name} {number + 1}/{min(side.rounds or rounds, rounds)}"
                    say(f"{turn}: {side.name}: {taken.seconds:.2f} s, CPU {taken.cpu_seconds:.2f} s{memory}")
        finally:
            self.finish()

    def told(self) -> dict[str, Any]:
        """For results.json."""
        by_name = {side.name: side for side in self.sides if side.taken}
        ratios = []
        for ratio in self.ratios:
            if ratio.ours in by_name and (ratio.of == "time" or ratio.peer in by_name):
                value = ratio.value(by_name)
                ratios.append(asdict(ratio) | {"value": round(value, 3), "reached": ratio.is_reached(value)})
        return {
            "title": self.title,
            "unit": self.unit,
            "notes": self.notes,
            "sides": {
                side.name: {
                    "units": side.units,
                    "note": side.note,
                    "rounds": [asdict(one) for one in side.taken],
                    "seconds": {"median": side.median(), "min": min(t.seconds for t in side.taken), "max": max(t.seconds for t in side.taken)},
                    "cpu_seconds": side.median("cpu_seconds"),
                    "peak_mb": side.median("peak_mb"),
                    "rate": side.rate,
                }
                for side in by_name.values()
            },
            "ratios": ratios,
        }
