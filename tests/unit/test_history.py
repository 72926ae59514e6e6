"""Volume, empty days and null rates against history: what is red, what is not judged, and what the calendar explains."""

from datetime import date, timedelta

import pytest
from kinhteso import history
from kinhteso.contracts import load_contract

DAY = date(2021, 5, 18)  # a Tuesday, no holiday, no harvest
LIMIT = history.limits(load_contract("postmart", "orders"))


def weeks(*counts, day=DAY):
    return {day - timedelta(weeks=n): count for n, count in enumerate(counts, 1)}


def outcome(check):
    return None if check is None else "passed" if check.passed else check.outcome


@pytest.mark.parametrize(
    ("rows", "past", "mode", "expected"),
    [
        (100, weeks(100, 110, 90, 100), "delta", "passed"),
        (160, weeks(100, 100, 100, 100), "delta", "passed"),
        (161, weeks(100, 100, 100, 100), "delta", "warn"),
        (39, weeks(100, 100, 100, 100), "delta", "warn"),
        (40, weeks(100, 100, 100, 100), "delta", "passed"),
        (191, weeks(100, 100, 100, 100), "delta", "fail"),
        (9, weeks(100, 100, 100, 100), "window", "fail"),
        (9, weeks(100, 100, 100, 100), "snapshot", "reject"),
        (0, weeks(100, 100, 100, 100), "snapshot", "reject"),
        (500, weeks(100, 100, 100, 100), "snapshot", "warn"),  # a stock that grows is told, never refused
        (0, weeks(100, 100, 100, 100), "delta", None),  # F08 speaks
        (9, weeks(100), "delta", None),  # one day is no history
        (1, weeks(20, 20, 20, 20), "delta", None),  # too few to compare
        (300, weeks(21, 1000, 21, 21), "delta", "fail"),  # one odd week does not move the median
    ],
)
def test_rows_are_held_against_the_same_weekday(rows, past, mode, expected):
    assert outcome(history.volume(rows, past, DAY, mode, LIMIT["Q09"])) == expected


def test_other_weekdays_are_no_measure():
    past = {DAY - timedelta(days=n): 1000 for n in range(1, 29) if n % 7} | weeks(50, 50, 50, 50)
    assert outcome(history.volume(50, past, DAY, "delta", LIMIT["Q09"])) == "passed"
    assert outcome(history.volume(1000, past, DAY, "delta", LIMIT["Q09"])) == "fail"


def test_what_was_measured_is_told():
    check = history.volume(12, weeks(100, 110, 90, 100), DAY, "delta", LIMIT["Q09"])
    assert (check.rule, check.figure, check.bound, check.rows_failed, check.rows_total) == ("Q09", -0.88, 0.6, 1, 12)
    assert check.sample == ("12 rows, usual are 100 (2021-05-11 100, 2021-05-04 110, 2021-04-27 90, 2021-04-20 100)",)


def test_holidays_are_neither_judged_nor_a_measure():
    holiday = date(2021, 9, 2)
    assert holiday in history.holidays()
    assert history.volume(1, weeks(100, 100, 100, 100, day=holiday), holiday, "delta", LIMIT["Q09"]) is None
    week_later = holiday + timedelta(weeks=1)
    past = {holiday: 1, holiday - timedelta(weeks=1): 100, holiday - timedelta(weeks=2): 100}
    assert history.volume(100, past, week_later, "delta", LIMIT["Q09"]).passed
    assert history.volume(100, {holiday: 1, holiday - timedelta(weeks=1): 100}, week_later, "delta", LIMIT["Q09"]) is None, "only one day is left of it"


def test_in_a_harvest_more_is_usual_and_less_is_not():
    day = date(2021, 8, 17)
    assert history.is_harvest(day) and not history.is_harvest(DAY)
    past = weeks(100, 100, 100, 100, day=day)
    assert history.volume(1000, past, day, "delta", LIMIT["Q09"]) is None
    assert outcome(history.volume(9, past, day, "delta", LIMIT["Q09"])) == "fail"


@pytest.mark.parametrize(
    ("past", "day", "expected"),
    [
        ({DAY - timedelta(days=n): 120 for n in range(1, 29)}, DAY, "warn"),
        ({DAY - timedelta(days=n): 20 for n in range(1, 29)}, DAY, "passed"),
        ({date(2021, 9, 2) - timedelta(days=n): 120 for n in range(1, 29)}, date(2021, 9, 2), "passed"),  # a holiday
        ({DAY - timedelta(days=n): 0 for n in range(1, 4)}, DAY, "warn"),  # the fourth running
        ({DAY - timedelta(days=n): 0 for n in range(1, 3)}, DAY, "passed"),
        ({DAY - timedelta(days=1): 500}, DAY, "passed"),  # too little history
        ({}, DAY, "passed"),
    ],
)
def test_an_empty_day(past, day, expected):
    assert outcome(history.empty_day(0, past, day, "delta", LIMIT["F08"])) == expected
    assert history.empty_day(1, past, day, "delta", LIMIT["F08"]) is None


@pytest.mark.parametrize(
    ("rows", "nulls", "before", "expected"),
    [
        (100, {"a": 0, "b": 100}, {"a": (5, 500, 0), "b": (5, 500, 500)}, "passed"),  # was always empty
        (100, {"a": 100}, {"a": (5, 500, 0)}, "fail"),
        (100, {"a": 51}, {"a": (5, 500, 0)}, "fail"),
        (100, {"a": 50}, {"a": (5, 500, 0)}, "passed"),
        (100, {"a": 100}, {"a": (5, 500, 400)}, "fail"),  # one in five was given, now none
        (20, {"a": 20}, {"a": (5, 500, 400)}, "passed"),  # four would have been usual: may be chance
        (19, {"a": 19}, {"a": (5, 500, 0)}, None),
        (100, {"a": 100}, {"a": (2, 500, 0)}, None),  # too few deliveries
        (100, {"new": 100}, {}, None),
    ],
)
def test_a_column_that_goes_empty(rows, nulls, before, expected):
    check = history.null_rates(rows, nulls, before, LIMIT["F48"])
    assert outcome(check) == expected
    if expected == "fail":
        assert check.sample[0].startswith("a: ") and check.rows_failed == 1
