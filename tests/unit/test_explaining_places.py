"""How a unit's part of a place is found: whole numbers by largest remainder, nothing lost, ties as the warehouse breaks them (KPI §1.12)."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from kinhteso.explaining.places import Place, Portion, shared_out


@pytest.mark.parametrize(
    ("value", "shares", "parts"),
    [
        (8, {"a": "0.96", "b": "0.04"}, {"a": 8, "b": 0}),
        (1, {"b": "0.5", "a": "0.5"}, {"a": 1, "b": 0}),  # equal rests and shares: the lower code
        (3, {"a": "0.25", "b": "0.25", "c": "0.5"}, {"a": 1, "b": 1, "c": 1}),  # rests .75, .75, .5
        (5, {"a": "0.1", "b": "0.9"}, {"a": 0, "b": 5}),  # equal rests: the larger share
        (-3, {"a": "0.5", "b": "0.5"}, {"a": -1, "b": -2}),
        (0, {"a": "0.3", "b": "0.7"}, {"a": 0, "b": 0}),
        (7, {"a": "1"}, {"a": 7}),
    ],
)
def test_by_largest_remainder(value, shares, parts):
    assert shared_out(value, {piece: Decimal(share) for piece, share in shares.items()}) == parts


def test_nothing_is_lost_and_no_part_is_off_by_one_or_more():
    rng = random.Random(5)
    for _ in range(500):
        weights = [rng.randint(1, 3000) for _ in range(rng.randint(1, 6))]
        shares = {f"p{n}": Decimal(w) / sum(weights) for n, w in enumerate(weights)}
        value = rng.choice([rng.randint(-50, 50), rng.randint(0, 10**12)])
        parts = shared_out(value, shares)
        assert sum(parts.values()) == value
        assert all(abs(parts[piece] - value * share) < 1 for piece, share in shares.items())


def test_what_a_unit_takes_of_a_place_is_the_sum_of_its_pieces():
    place = Place("06040", {"a": Decimal("0.6"), "b": Decimal("0.3"), "c": Decimal("0.1")}, frozenset("ab"), None)
    portion = Portion(place, 10, {"a": 6, "b": 3})
    assert place.is_shared and portion.taken == 9
    assert not Place("06505", {"a": Decimal(1)}, frozenset("a"), None).is_shared
