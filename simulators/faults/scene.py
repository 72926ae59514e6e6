"""Where a fault of Postmart's files strikes: the supplier and the day; and the notes of what it struck."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from simulators.faults.switch import Fault, Struck

if TYPE_CHECKING:
    from simulators.postmart import Postmart


class Scene:
    """A supplier on a business day."""

    def __init__(self, postmart: Postmart, day: date) -> None:
        self.postmart, self.world, self.day = postmart, postmart.w, day
        self.start = datetime.combine(day, time())
        self.end = self.start + timedelta(days=1) - timedelta(seconds=1)
        self.struck: list[Struck] = []

    def note(self, fault: Fault, dataset: str, effect: str, keys: Sequence[str] = (), says: dict[str, dict[str, Any]] | None = None) -> None:
        """Keep which keys were struck and what the source says of them now."""
        self.struck.append(Struck(fault.name, fault.day, dataset, effect, tuple(keys), says or {}))
