"""A decision about the commune of a Postmart store moves what the store brings (docs/addresses.md): before it under 00000, after it in the decided commune,
in a warehouse that is built on as in one that is built anew. A store and an account whose code and name disagree, one order, one product."""

import datetime as dt

import psycopg
import pytest
from kinhteso import addresses, building, deciding, reviewing
from kinhteso.addresses import decisions
from rawworld import D0, local
from test_incremental import digest
from test_restating import JULY, Campaign, communes
from test_reviewing import decide
from written import own_project

DAY1, DAY2, DAY3 = (D0 + dt.timedelta(days=n) for n in (1, 2, 3))
MEASURES = ("stores", "accounts", "households_with_store", "products_on_sale", "orders_placed", "revenue_gross_vnd")


class Town(Campaign):
    """Store 1 in commune a as it should be; store 2 and account 2 with a's code and b's name; store 3 with a code that nobody knows."""

    def day(self, day: dt.date, **more) -> None:
        a, b, w = self.a, self.b, self.world
        astray = {"commune_src_code": a["vnpost_commune_code"], "commune_name": b["gso_name"]}
        stores = [w.postmart_store(n, a, phone=None, approved=JULY, active=local(D0)) for n in (1, 2, 3)]
        stores[1] |= astray
        stores[2] |= {"commune_src_code": "99999", "commune_name": f"{b['gso_name'].upper()}"}
        accounts = [
            {"account_ref": "PP-2", "phone_key": "p9", "kyc_level": "2", "kyc_at": "10/08/2021", "opened_at": "10/08/2021", "status_raw": "Hoạt động", **astray}
        ]
        products = [
            {
                "product_code": "700",
                "store_code": "PMS0000002",
                "product_name": "Na",
                "price_vnd": "1000",
                "status_raw": "Đang bán",
                "posted_at": "05/08/2021 09:00:00",
            }
        ]
        orders = w.postmart_order(f"PM{day:%y%m%d}000000002", "PMS0000002", local(day), "Đã giao", local(day, 15), [70_000], delivered=local(day, 15))
        self.postmart(day, stores=[*stores, *more.get("stores", [])], accounts=accounts, products=products, orders=orders)
        self.voso(day)

    def told(self, day: dt.date) -> dict[str, tuple]:
        rows = self.conn.execute(f"select commune_code, {', '.join(MEASURES)} from bi.kpi_commune_daily where geography = '2021' and date = %s", [day])
        return {r[0]: tuple(v or 0 for v in r[1:]) for r in rows.fetchall()}

    def open(self) -> set[tuple]:
        reviewing.note(self.conn, "postmart")
        return set(self.conn.execute("select dataset, text_norm, rows from ops.address_review where state = 'open'").fetchall())


@pytest.fixture(scope="module")
def town(module_dsn, tmp_path_factory):
    """The town with its seeds, two days published before any decision."""
    with pytest.MonkeyPatch.context() as patch, psycopg.connect(module_dsn, autocommit=True) as conn:
        project = own_project(patch, tmp_path_factory.mktemp("project"))
        patch.setenv("KINHTESO_DBT_STATE", str(tmp_path_factory.mktemp("dbt")))
        town = Town(conn, module_dsn, communes())
        town.seeds = project / "seeds"
        households = [town.world.household("H-2", town.b, phone=None, name="name-2", as_of=JULY)]
        town.register("households", JULY, town.b, households)
        town.register("hamlets", JULY, town.b, [{"hamlet_raw": "Thôn Phố Cũ", "households": "20", "commune_code": town.b["gso_code"], "as_of": str(JULY)}])
        for day in (D0, DAY1):
            town.day(day)
        town.first = town.release()
        yield town


def text_of(town: Town, code: str | None, name: str) -> str:
    return addresses.resolver().norm(f"{code or ''} {name}, {town.a['district_name']}")


def test_from_the_list_through_a_decision_into_the_figures(town):
    a, b = town.a["gso_code"], town.b["gso_code"]
    nothing = (0,) * len(MEASURES)
    assert town.told(DAY1) == {**dict.fromkeys(town.told(DAY1), nothing), a: (1, 0, 0, 0, 0, 0), "00000": (2, 1, 0, 1, 1, 70_000)}
    astray, unknown = text_of(town, a, town.b["gso_name"]), text_of(town, None, town.b["gso_name"])
    account = addresses.resolver().norm(f"{a} {town.b['gso_name']}")
    assert town.open() == {("stores", astray, 1), ("stores", unknown, 1), ("accounts", account, 1)}

    decide(town.seeds, astray, b)
    second = town.release()
    # the store's household is known by commune, hamlet and name, so it is found now
    assert town.told(DAY1) == {**dict.fromkeys(town.told(DAY1), nothing), a: (1, 0, 0, 0, 0, 0), b: (1, 0, 1, 1, 1, 70_000), "00000": (1, 1, 0, 0, 0, 0)}
    assert town.conn.execute("select source_commune_code from intermediate.int_stores__observed where store_code = 'PMS0000002'").fetchall() == [(b,)] * 2
    moves = {k: v for k, v in town.moves(second).items() if k[1] == DAY1 and k[2] in ("stores", "orders_placed", "households_with_store")}
    assert {k[::2]: v[:2] for k, v in moves.items()} == {
        (b, "stores"): (0, 1), (b, "orders_placed"): (0, 1), (b, "households_with_store"): (0, 1), ("00000", "stores"): (2, 1), ("00000", "orders_placed"): (1, 0),
    }  # fmt: skip
    assert {v[2:] for v in moves.values()} == {("Quy tắc hoặc danh mục thay đổi · changed rule or seed", None)}
    assert town.open() == {("stores", unknown, 1), ("accounts", account, 1)}, "what is decided is not asked again"
    assert town.conn.execute("select state, decided_code, decided_rule from ops.address_review where text_norm = %s", [astray]).fetchone() == (
        "decided", b, "decision")  # fmt: skip

    decide(town.seeds, account, "out_of_scope")
    decide(town.seeds, unknown, b)
    town.release()
    assert town.told(DAY1)[b] == (2, 0, 1, 1, 1, 70_000) and town.told(DAY1)["00000"] == (0, 1, 0, 0, 0, 0)
    assert town.open() == set()

    # Built on: the same text on a new day, and in another spelling.
    spelled = {**town.world.postmart_store(4, town.a, phone=None, approved=JULY), "commune_name": town.b["gso_name"].upper()}
    town.day(DAY2, stores=[spelled])
    scope = building.build(town.dsn, D0)
    assert not scope.full_refresh
    town.conn.execute("update ops.build set state = 'failed' where build_id = %s", [scope.build_id])
    town.release()
    assert town.told(DAY2)[b] == (3, 0, 1, 1, 1, 70_000) and town.told(DAY2)["00000"] == (0, 1, 0, 0, 0, 0)
    assert town.open() == set()
    tables = {"kpi_commune_daily": "geography, commune_code, date", "kpi_province_daily": "geography, date", "dim_store": "store_version_key"}
    built_on = {t: digest(town.conn, t, key) for t, key in tables.items()}
    town.release(full=True)
    assert {t: digest(town.conn, t, key) for t, key in tables.items()} == built_on

    # Taken back: the store is astray again, and the list asks.
    path = town.seeds / "address_decision.csv"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if astray not in line), encoding="utf-8")
    town.release()
    assert town.told(DAY1)["00000"] == (1, 1, 0, 1, 1, 70_000) and ("stores", astray, 2) in town.open()


def test_two_that_contradict_and_one_without_its_who_when_why_stop_the_build(town):
    path, builds = town.seeds / "address_decision.csv", "select count(*) from ops.build"
    before, kept = path.read_text(encoding="utf-8"), town.conn.execute(builds).fetchone()
    town.day(DAY3)
    for row, says in (
        ({"norm": " Xã  X, Huyện Chi Lăng", "code": "06505"}, r"row \d+: 'xã x, huyện chi lăng' was decided as 06466 before"),
        ({"norm": "xã y", "code": "06466", "decided_by": ""}, "decided_by is empty: a decision says who decided"),
        ({"norm": "xã y", "code": "06466", "decided_on": ""}, "decided_on is empty: a decision says when"),
        ({"norm": "xã y", "code": "06466", "reason": " "}, "reason is empty: a decision says why"),
    ):
        decide(town.seeds, "xã x, huyện chi lăng", "06466")
        decide(town.seeds, **row)
        with pytest.raises(decisions.DecisionError, match=says):
            building.build(town.dsn, D0)
        path.write_text(before, encoding="utf-8")
    assert town.conn.execute(builds).fetchone() == kept, "and nothing is claimed"
    assert town.release()


def test_a_decision_holds_on_its_days_and_on_its_list(town):
    """Of one text with two spans of days, and of a list in force after the reform; never twice on a day."""
    path = town.seeds / "address_decision.csv"
    before = path.read_text(encoding="utf-8")
    a, name = town.a, "Xã Lạ"
    text = text_of(town, a["gso_code"], name)
    for code, first, last in (("06466", "2021-08-01", "2021-08-31"), ("06466", "2021-08-15", "2021-09-15"), ("06523", "2021-09-16", "2024-11-30")):
        decide(town.seeds, text, code, list="", record_from=first, record_to=last)
    decide(town.seeds, text, "06463", list="2025")
    decide(town.seeds, text, "out_of_scope", list="2024")
    found = list(deciding.spans(deciding.Crosswalk(), a["vnpost_commune_code"].lstrip("0"), name, a["district_name"]))
    path.write_text(before, encoding="utf-8")
    on = lambda *day: [(s[2], s[3]) for s in found if s[0] <= dt.date(*day) < s[1]]  # noqa: E731
    assert on(2021, 7, 31) == [] and on(2021, 8, 20) == [("2021", "06466")] and on(2021, 9, 15) == [("2021", "06466")]
    assert on(2021, 9, 16) == [("2021", "06523")] and on(2024, 12, 1) == [("2024", None)] and on(2026, 1, 1) == [("2025", "06463")]
