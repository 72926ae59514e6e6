"""The campaign's world comes out at the published figures, and the same seed gives the same world."""

from datetime import date

import pytest
from oracle import recount

from simulators import campaign, faults

DAY = date(2021, 9, 15)


@pytest.fixture(scope="module")
def world():
    return campaign.make("campaign", 1, date(2021, 9, 12))


def test_the_published_figures_of_phase_one(world):
    cells = recount(world, DAY)
    phase_one = {c.code for c in world.communes if c.phase == 1}
    total = {name: sum(cells[code][name] for code in phase_one) for name in next(iter(cells.values())) | {"households": 0, "products_on_sale": 0}}
    assert total["households"] == 97_068
    assert total["households_with_store"] == 48_706
    assert total["households_with_payment"] == 24_808
    assert total["products_on_sale"] == 4_300
    assert total["lead_households"] == 2_409
    assert total["team_members_trained"] == 3_119
    assert total["hamlets_with_team"] == 998
    assert sum(c.hamlets != [] for c in world.communes) == 200
    assert sum(len(c.hamlets) for c in world.communes) == 1_705
    assert sum(len(c.hamlets) for c in world.communes if c.phase == 1) == 1_020
    assert len(world.households) == 198_805


def test_no_commune_has_more_than_all(world):
    for code, cell in recount(world, DAY).items():
        assert cell["households_with_store"] <= cell["households"], code
        assert cell["households_with_payment"] <= cell["households"], code


def test_nothing_happens_at_night(world):
    for o in world.orders:
        assert all(7 <= t.hour < 22 or t.hour == 22 and not t.minute for t, _, _ in o.history), o.code
        assert [t for t, _, _ in o.history] == sorted(t for t, _, _ in o.history), o.code


def test_a_seed_is_a_world():
    first, again, other = (campaign.make("small", seed, date(2021, 9, 12)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_an_unknown_fault_is_told():
    with pytest.raises(ValueError, match="F99"):
        faults.parse("F99@2021-09-13")
    with pytest.raises(ValueError, match="no world"):
        campaign.make("large", 1, date(2021, 9, 12))
