"""Business days in Asia/Ho_Chi_Minh: day D is [D-1 17:00Z, D 17:00Z) (EXPORTS §8.3)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")


def start(day: date) -> datetime:
    """First instant of ``day``, aware."""
    return datetime.combine(day, time(), LOCAL)


def end(day: date) -> datetime:
    """First instant after ``day``, aware."""
    return start(day + timedelta(days=1))


def of(instant: datetime) -> date:
    """The business day that an aware instant falls in."""
    return instant.astimezone(LOCAL).date()


def at(day: date, hour: int, minute: int = 0) -> datetime:
    """A local time of ``day`` as an aware instant."""
    return datetime.combine(day, time(hour, minute), LOCAL)


def epoch_ms(instant: datetime) -> int:
    """Milliseconds since 1970 UTC."""
    return int(instant.timestamp() * 1000)
