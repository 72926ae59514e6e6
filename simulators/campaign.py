"""The worlds by name, and the five orders whose every day is known."""

from __future__ import annotations

from datetime import date, datetime

from simulators import later
from simulators.world import Line, Maker, Order, Size, World

SMALL = Size(
    communes=["06505", "06475", "06061"], households=300, hamlets={1: 12, 2: 4}, with_store={1: 60, 2: 5}, store_base=4, both_share=0.17, with_account={1: 38, 2: 4},
    account_base=3, products={1: 60, 2: 0}, valid_orders={1: 240, 2: 0}, leads={1: 12, 2: 1}, team_hamlets={1: 9, 2: 2}, trained={1: 31, 2: 7},
    orders_from=date(2021, 8, 20), orders_per_day_after=10, growth=None,
)  # fmt: skip
#: Communes that a later list splits (06040, 06622, 06625), the neighbours that they join, and two new units of both phases (06286, 06316). Made for its own
#: first day and moved to the wanted one.
REFORM_MADE_FOR = date(2021, 9, 19)
REFORM = Size(
    communes=[
        "05995", "06004", "06025", "06034", "06040", "06217", "06241", "06250", "06286", "06295", "06301", "06307", "06613", "06619", "06622", "06625", "06628", "06634",
    ], households=450,
    hamlets={1: 24, 2: 24}, at=date(2021, 9, 20), with_store={1: 80, 2: 70}, store_base=9, both_share=0.2, with_account={1: 45, 2: 40}, account_base=5,
    products={1: 60, 2: 50}, valid_orders={1: 150, 2: 130}, leads={1: 12, 2: 10}, team_hamlets={1: 14, 2: 15}, trained={1: 50, 2: 52},
    orders_from=date(2021, 8, 25), orders_per_day_after=30, days_after=4, growth=None,
)  # fmt: skip
#: The contract's volumes for stress (§17): 130,000 stores, 100,000 products, 120,000 accounts, 20,000 orders a day.
STRESS = Size(
    with_store={1: 68_000, 2: 50_000}, with_account={1: 62_000, 2: 46_000}, account_share=0.7, products={1: 85_000, 2: 15_000}, valid_orders={1: 60_000, 2: 20_000},
    orders_per_day_after=20_000, days_after=3,
)  # fmt: skip
GOLDEN_COMMUNE = "06463"


def make(name: str, seed: int, first_day: date) -> World:
    """World ``name`` (small, reform, campaign, stress). Raises ValueError for another name."""
    if name == "reform":
        return later.moved(Maker(REFORM, seed, REFORM_MADE_FOR).make(), first_day - REFORM_MADE_FOR)
    if name == "small":
        return _small(seed, first_day)
    if name == "campaign":
        return Maker(Size(), seed, first_day).make()
    if name == "stress":
        return Maker(STRESS, seed, first_day).make()
    raise ValueError(f"no world {name!r}; there are small, reform, campaign and stress")


def _small(seed: int, first_day: date) -> World:
    """Three communes with trade, and a fourth with the five orders only."""
    from dataclasses import replace

    communes = [c for c in SMALL.communes or [] if c != GOLDEN_COMMUNE]
    maker = Maker(replace(SMALL, communes=[*communes, GOLDEN_COMMUNE]), seed, first_day)
    golden = len(maker.w.communes) - 1
    of_phase = maker.of_phase
    maker.of_phase = lambda phase: [i for i in of_phase(phase) if i != golden]  # type: ignore[method-assign]
    maker.w.communes[golden].hamlets = ["Thôn Quán Thanh"]
    world = maker.make()
    household = next(h for h in world.households if h.commune == golden and h.phone)
    sellers = {}
    for platform in ("PM", "VS"):
        maker.store(platform, household, date(2021, 8, 2), "HOUSEHOLD")
        n = len(world.stores) - 1
        world.stores[n].history = world.stores[n].history[:2]
        sellers[platform] = (n, maker.product(n, "ON_SALE"))
    five(maker, sellers)
    for n, _ in sellers.values():
        world.stores[n].activity = sorted({*world.stores[n].activity, *(o.created for o in world.orders if o.store == n)})
    return world


def _t(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2021, 9, day, hour, minute)


def five(maker: Maker, sellers: dict[str, tuple[int, int]]) -> None:
    """The golden scenario of the contract (§8.8), O1 to O5."""
    lives = {
        "O1": ("PM", 450_000, [(_t(14, 9), "CREATED", None), (_t(14, 15), "CONFIRMED", None), (_t(15, 10), "SHIPPED", None), (_t(17, 11), "DELIVERED", None)]),
        "O2": ("VS", 295_000, [(_t(14, 10), "CREATED", None), (_t(15, 9), "SHIPPED", None), (_t(16, 16), "DELIVERED", None), (_t(24, 15, 30), "REFUNDED", None)]),
        "O3": ("PM", 200_000, [(_t(14, 11), "CREATED", None), (_t(15, 8), "CANCELLED", "Người mua đổi ý")]),
        "O4": ("VS", 90_000, [(_t(15, 8), "CREATED", None), (_t(16, 8), "CANCELLED", "TU_DONG_24H")]),
        "O5": ("VS", 160_000, [(_t(15, 12), "CREATED", None), (_t(16, 9), "SHIPPED", None), (_t(18, 14), "DELIVERY_FAILED", "505"), (_t(20, 10), "RETURNED", None)]),
    }  # fmt: skip
    world = maker.w
    for platform, goods, history in lives.values():
        store, product = sellers[platform]
        number = len(world.orders) + 1
        code = f"{platform}{history[0][0]:%y%m%d}{number:07d}"
        world.orders.append(Order(platform, code, number, store, [Line(product, 1, goods)], 0, 0, 20_000, "COD", "Hà Nội", list(history)))
        if history[-1][1] == "REFUNDED":
            maker.refund(len(world.orders) - 1, history[-2][0], history[-1][0], goods)
