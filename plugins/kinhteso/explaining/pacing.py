"""The arithmetic of a target (KPI §2) in exact fractions: pace, projection, status, ranks. Each gives the figure and the same in numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

#: The line of a projection runs through so many days; one that takes longer than a hundred years never arrives.
LINE_DAYS, NEVER = 14, 36_500


class Figure(NamedTuple):
    """A figure and how it comes about in numbers; the same in both languages."""

    value: Any
    numbers: str


def rounded(value: Fraction | None, digits: int) -> Decimal | None:
    """Half away from zero."""
    if value is None:
        return None
    whole = abs(value) * 10**digits + Fraction(1, 2)
    return Decimal(int(whole // 1) * (-1 if value < 0 else 1)).scaleb(-digits)


def expected(target: int | None, base: int | None, day: date, kick_off: date, due: date) -> tuple[Fraction | None, str]:
    """Where the line from ``base``, the value of the day before kick-off, to the target at the end of the due date is at the end of ``day``."""
    if target is None:
        return None, "—"
    if day >= due:
        return Fraction(target), f"{day} ≥ {due}: {target}"
    gone, whole = (day - kick_off).days + 1, (due - kick_off).days + 1
    if base is None or not whole:
        return None, f"{kick_off - timedelta(days=1)}: —"
    return base + Fraction((target - base) * gone, whole), f"{base} + ({target} − {base}) × {gone} ÷ {whole}"


def projected(values: Mapping[date, int | None], day: date, target: int | None, value: int | None, kick_off: date) -> Figure:
    """The day on which the least-squares line through the last 14 days' ``values`` reaches the target; after ``day``; None if it never does."""
    if target is None or value is None:
        return Figure(None, "—")
    if value >= target:
        return Figure(day, f"{value} ≥ {target}: {day}")
    first = day - timedelta(days=LINE_DAYS - 1)
    points = [((d - kick_off).days, n) for d, n in sorted(values.items()) if first <= d <= day and n is not None]
    told = f"{first} – {day}: {', '.join(str(n) for _, n in points)}"
    mean_x, mean_y = Fraction(sum(x for x, _ in points), len(points)), Fraction(sum(y for _, y in points), len(points))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else Fraction(0)
    if slope <= 0:
        return Figure(None, f"{told}; y = {_short(mean_y)} + {_short(slope)} × x")
    away = mean_x + (target - mean_y) / slope
    told += f"; y = {_short(mean_y - slope * mean_x)} + {_short(slope)} × x; x = {_short(away)} ({kick_off}: 0)"
    if away >= NEVER:
        return Figure(None, told)
    return Figure(kick_off + timedelta(days=max(ceil(rounded(away, 6) or 0), (day - kick_off).days + 1)), told)


def status(value: int | None, target: int | None, base: int | None, day: date, kick_off: date, due: date) -> Figure:
    """Of a unit without a base the line from 0 is what it has to reach at least."""
    line, _ = expected(target, base, day, kick_off, due)
    if value is None or target is None:
        return Figure("no_data", f"value {_n(value)}, target_value {_n(target)}")
    if day < kick_off:
        return Figure("not_started", f"{day} < {kick_off}")
    if value >= target:
        return Figure("met", f"{value} ≥ {target}")
    if day > due:
        return Figure("overdue", f"{day} > {due}, {value} < {target}")
    if line is not None:
        return Figure("on_track" if value >= line else "behind", f"{value} {'≥' if value >= line else '<'} {_short(line)}")
    least, _ = expected(target, 0, day, kick_off, due)
    return Figure("behind" if least is not None and value < least else "no_data", f"{value}, ≥ {_short(least)}?")


def ranking(units: Sequence[Mapping[str, Any]]) -> list[tuple[int, Mapping[str, Any], Fraction]]:
    """(rank, unit, attainment) of those that have one, best first; ties share the rank. Units have `unit_code`, `value`, `target_value`."""
    attained = [(Fraction(u["value"], u["target_value"]), u) for u in units if u["value"] is not None and u["target_value"]]
    attained.sort(key=lambda one: (-one[0], one[1]["unit_code"]))
    found: list[tuple[int, Mapping[str, Any], Fraction]] = []
    for nth, (attainment, unit) in enumerate(attained, 1):
        found.append((found[-1][0] if found and found[-1][2] == attainment else nth, unit, attainment))
    return found


def _n(value: Any) -> str:
    return "—" if value is None else str(value)


def _short(value: Fraction | None) -> str:
    """A fraction as a person reads it."""
    return "—" if value is None else f"{rounded(value, 4):f}".rstrip("0").rstrip(".") if value.denominator > 1 else str(value.numerator)
