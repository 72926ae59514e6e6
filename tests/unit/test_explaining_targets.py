"""The arithmetic of targets and of suppression as `make explain` does it anew, worked out by hand (KPI §2, §4)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from kinhteso.explaining import pacing, suppressing

KICK_OFF, DUE = date(2021, 7, 20), date(2021, 9, 20)


@pytest.mark.parametrize(
    ("day", "base", "line"),
    [
        (KICK_OFF, 10, 10 + Fraction(14, 63)),
        (date(2021, 7, 29), 10, 10 + Fraction(140, 63)),
        (DUE - timedelta(days=1), 10, 10 + Fraction(14 * 62, 63)),
        (DUE, 10, Fraction(24)),
        (DUE + timedelta(days=9), None, Fraction(24)),  # from the due date on it is the target, whatever was before
        (KICK_OFF, None, None),
    ],
)
def test_the_line_to_the_target(day, base, line):
    assert pacing.expected(24, base, day, KICK_OFF, DUE)[0] == line


@pytest.mark.parametrize(
    ("value", "target", "base", "day", "word"),
    [
        (None, 24, 10, KICK_OFF, "no_data"), (5, None, 10, KICK_OFF, "no_data"), (30, 24, 10, KICK_OFF - timedelta(days=1), "not_started"), (24, 24, 10, KICK_OFF, "met"),
        (23, 24, 10, DUE + timedelta(days=1), "overdue"), (23, 24, 10, DUE, "behind"), (13, 24, 10, date(2021, 7, 29), "on_track"), (12, 24, 10, date(2021, 7, 29), "behind"),
        (0, 24, None, date(2021, 7, 29), "behind"), (4, 24, None, date(2021, 7, 29), "no_data"), (0, 0, None, KICK_OFF, "met"),
    ],
)  # fmt: skip
def test_the_status(value, target, base, day, word):
    assert pacing.status(value, target, base, day, KICK_OFF, DUE).value == word


def test_the_day_on_which_the_line_through_14_days_arrives():
    day = date(2021, 8, 10)

    def arrives(values, target):
        return pacing.projected({day - timedelta(days=n): v for n, v in enumerate(reversed(values))}, day, target, values[-1], KICK_OFF).value

    assert arrives([7, 8, 9, 10], 14) == day + timedelta(days=4)
    assert arrives([10, 10, 10], 14) is None and arrives([12, 11, 10], 14) is None
    assert arrives([10], 14) is None, "one point has no line"
    assert arrives([14], 14) == day
    assert arrives([0, 0, 0, 13], 14) == day + timedelta(days=2)
    assert arrives([9, 10, 9, 10, 9, 10], 11) == day + timedelta(days=15)  # slope 1/35: 9.5 in the middle
    assert arrives([*[0] * 100, 10], 400_000) is None, "never within a hundred years"
    assert arrives([1_000, *range(1, 15)], 20) == day + timedelta(days=6), "the 15th day before is not looked at"
    assert arrives([None, None, 7, 8], 9) == day + timedelta(days=1)


def test_ranks_are_shared_and_units_without_attainment_have_none():
    units = [("a", 1, 2), ("b", 2, 4), ("c", 3, 4), ("d", None, 4), ("e", 3, 0), ("f", 0, 4)]
    ranked = pacing.ranking([{"unit_code": u, "value": v, "target_value": t} for u, v, t in units])
    assert [(rank, u["unit_code"]) for rank, u, _ in ranked] == [(1, "c"), (2, "a"), (2, "b"), (4, "f")]


def test_halves_are_rounded_away_from_zero():
    assert [pacing.rounded(Fraction(n, 200), 2) for n in (1, -1, 3, 2)] == [Decimal("0.01"), Decimal("-0.01"), Decimal("0.02"), Decimal("0.01")]
    assert pacing.rounded(None, 2) is None


def rows(**counts):
    """Hamlets h0, h1 … with these counts; measures that are not given are 0."""
    n = max(len(v) for v in counts.values())
    parts = counts.pop("part", ["all"] * n)
    return [
        {"hamlet_code": f"h{i}", "place_code": parts[i], "commune_code": "06505"} | {m: counts.get(m, [0] * n)[i] for m in suppressing.WITHIN} for i in range(n)
    ]


@pytest.mark.parametrize(
    ("counts", "hidden"),
    [
        ({"households": [50, 60]}, {}),
        # rule 3: one small count alone could be told from the total; ties go to the first
        ({"households": [3, 60, 50]}, {("h0", "households"): "2", ("h2", "households"): "3"}),
        ({"households": [3, 50, 50]}, {("h0", "households"): "2", ("h1", "households"): "3"}),
        ({"households": [3, 4, 50]}, {("h0", "households"): "2", ("h1", "households"): "2"}),  # 2 + 3 above 1 each leave room
        ({"households": [90, 90, 90], "households_with_store": [9, 0, 2]}, {("h0", "households_with_store"): "3", ("h2", "households_with_store"): "2"}),
        # rule 4: nothing of 5 or more to go with it: zeros too
        ({"households": [90, 90], "lead_households": [2, 0]}, {("h0", "lead_households"): "2", ("h1", "lead_households"): "4"}),
        # rule 1: a part goes with its whole
        ({"households": [4, 4, 4], "households_with_payment": [4, 0, 2]},
         {**{(f"h{i}", "households"): "2" for i in range(3)}, ("h0", "households_with_payment"): "2", ("h1", "households_with_payment"): "1", ("h2", "households_with_payment"): "2"}),
        # rule 4: the whole of one hamlet alone, whose part is small
        ({"households": [90, 90], "households_with_store": [40, 0], "households_with_active_store": [3, 0]},
         {("h0", "households_with_store"): "4", ("h1", "households_with_store"): "4", ("h0", "households_with_active_store"): "2", ("h1", "households_with_active_store"): "1"}),
        ({"households": [None, 90], "households_with_store": [6, 9]}, {}),
        ({"households": [3]}, {("h0", "households"): "2"}),
        # rule 5: of two parts of a split commune, one has room in itself (h1 goes with h0); the other's only hamlet is hidden alone and takes it too
        ({"households": [3, 60, 70, 4], "part": ["a", "a", "a", "b"]},
         {("h0", "households"): "2", ("h1", "households"): "3", ("h3", "households"): "2"}),
        # alone in its part it is its part's total; of the commune the smallest of 5 or more goes with it
        ({"households": [60, 70, 3], "part": ["a", "a", "b"]}, {("h2", "households"): "2", ("h0", "households"): "3"}),
    ],
)  # fmt: skip
def test_what_is_hidden_and_by_which_rule(counts, hidden):
    found = {key: why.en.split()[1].rstrip(":") for key, why in suppressing.hidden(rows(**counts)).items()}
    assert found == hidden
