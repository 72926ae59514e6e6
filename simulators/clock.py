"""The virtual clock: local time of the sources, frozen until it is set."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
UTC_OFFSET = timedelta(hours=7)
_EPOCH = datetime(1970, 1, 1)


class Clock:
    """Reads DIR/clock.json at each question; before it is set it stands at 06:00 of the day after ``first_day``."""

    def __init__(self, state: Path, first_day: date) -> None:
        self._path = state / "clock.json"
        self._default = datetime.combine(first_day + timedelta(days=1), time(6))

    def now(self) -> datetime:
        """Local time, naive."""
        try:
            return datetime.fromisoformat(json.loads(self._path.read_text())["now"])
        except FileNotFoundError:
            return self._default

    @staticmethod
    def set(state: Path, moment: datetime) -> None:
        """Move the clock of a running or coming server."""
        state.mkdir(parents=True, exist_ok=True)
        partial = state / "clock.json.part"
        partial.write_text(json.dumps({"now": moment.isoformat()}))
        os.replace(partial, state / "clock.json")


def ms(local: datetime) -> int:
    """Epoch milliseconds of a naive local time."""
    return int((local - UTC_OFFSET - _EPOCH).total_seconds() * 1000)


def from_ms(value: int) -> datetime:
    """Naive local time of epoch milliseconds."""
    return _EPOCH + timedelta(milliseconds=value) + UTC_OFFSET


def aware(local: datetime) -> datetime:
    """The instant of a naive local time, in UTC."""
    return (local - UTC_OFFSET).replace(tzinfo=UTC)
