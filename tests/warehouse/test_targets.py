"""Targets over days (KPI §2): a decision made mid-phase, households revised, cascade to hamlets, cooperatives; built day by day as at once. And what BI
can find out about hamlets from all of it together."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from datetime import date, timedelta

import psycopg
import pytest
from attacker import HOUSEHOLDS, WITHIN, given_away
from kinhteso import building, explaining, publishing, warehouse
from kinhteso.explaining import Cell, proving, telling
from kinhteso.progress import COLUMNS, HAMLET_KPIS
from psycopg.rows import dict_row
from rawworld import D0, RawWorld, local
from test_incremental import digest
from written import broken

LAST = date(2021, 9, 24)
COMPARED = {"kpi_hamlet_daily": "commune_code, hamlet_code, date", "target_progress_daily": "level, unit_code, indicator, date", "dim_hamlet": "hamlet_key"}
HAMLETS = {"06505": {"Thôn Phố Cũ": 40, "Thôn Mỏ": 30, "Khối 3": 20, "Thôn 3": 10}}


def d(day: int, month: int = 9) -> date:
    return date(2021, month, day)


def target(
    unit: str,
    level: str,
    no: str,
    on: date,
    *,
    store="50",
    payment="50%",
    lead="0,1",
    teams=None,
    households=None,
    due=date(2021, 9, 20),
    as_of: date,
    **counts,
) -> dict:
    return {
        "unit_name": unit, "level_raw": level, "households": households, "store_rate": store, "payment_rate": payment, "lead_rate": lead,
        "team_count": teams, "phase": "1", "decision_no": no, "decision_on": f"{on:%d/%m/%Y}", "due_on": f"{due:%d/%m/%Y}", "commune_code": "06505",
        "as_of": as_of.isoformat(), **counts,
    }  # fmt: skip


class Campaign:
    """A few communes of phase 1 with hamlets, their households and stores."""

    def __init__(self, dsn: str, conn: psycopg.Connection):
        with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
            communes = [r for r in csv.DictReader(f) if r["list"] == "2021" and r["gso_district_code"] == "187"]
        self.dsn, self.conn, self.world, self.rng = dsn, conn, RawWorld(conn, communes), random.Random(11)
        self.communes = {c["gso_code"]: c for c in communes}
        self.hamlets = dict(HAMLETS)
        for code in [c for c in self.communes if c != "06505"][:5]:
            self.hamlets[code] = {f"Thôn {n}": self.rng.choice([3, 8, 20, 45]) for n in range(1, self.rng.randint(3, 6))}

    def form(self, dataset: str, code: str, as_of: date, rows: list[dict], version: int = 1) -> None:
        for row in rows:
            row |= {"commune_code": code, "as_of": as_of.isoformat()}
        self.world.deliver("registers", dataset, as_of, rows, unit=f"187_{code}", mode="form", version=version)

    def register(self, code: str, as_of: date, sizes: dict[str, int]) -> None:
        self.form("hamlets", code, as_of, [{"hamlet_raw": h, "households": str(n)} for h, n in sizes.items()])

    def households(self) -> None:
        """Every hamlet's households; a phone each. In 06505 stores come one a day to Phố Cũ from 10 July on, as many to Mỏ from August on."""
        stores, accounts, n = [], [], 0
        for code, sizes in self.hamlets.items():
            commune, listed = self.communes[code], []
            for hamlet, size in sizes.items():
                for i in range(size):
                    n += 1
                    home = {"hamlet_raw": hamlet} if code != "06505" or i else {"hamlet_raw": hamlet.upper()}
                    listed.append(self.world.household(f"H{n:05d}", commune, phone=f"p{n}", as_of=d(1, 7)) | home)
                    if code == "06505":
                        first = {"Thôn Phố Cũ": d(10, 7), "Thôn Mỏ": d(1, 8)}.get(hamlet)
                        opened = first + timedelta(days=i) if first else None
                    else:
                        opened = d(1, 7) + timedelta(days=self.rng.randint(0, 70)) if self.rng.random() < 0.25 else None
                    if opened and opened <= D0:
                        stores.append(self.world.postmart_store(n, commune, phone=f"p{n}", approved=opened, active=local(self.rng.choice([d(1, 7), D0]))))
                    if self.rng.random() < 0.15:
                        accounts.append({"account_ref": f"PP-{n}", "phone_key": f"p{n}", "kyc_level": "1", "kyc_at": "10/08/2021", "opened_at": "10/08/2021",
                                         "status_raw": "Hoạt động", "commune_src_code": commune["vnpost_commune_code"], "commune_name": commune["gso_name"]})  # fmt: skip
            self.form("households", code, d(1, 7), listed)
        for day in (D0, LAST):
            self.world.deliver("postmart", "stores", day, stores, mode="snapshot", is_backlog=day == D0)
            self.world.deliver("postmart", "accounts", day, accounts, mode="snapshot", is_backlog=day == D0)

    def release(self, *, full: bool = False) -> publishing.Release:
        scope = building.build(self.dsn, D0, full_refresh=full)
        assert scope is not None
        return publishing.publish(self.dsn, scope)

    def told(self) -> dict[tuple, dict]:
        with psycopg.connect(self.dsn, row_factory=dict_row) as conn:
            rows = conn.execute("select * from bi.target_progress_daily where unit_code like '06505%' or level = 'cooperative'").fetchall()
        return {(r["unit_code"], r["indicator"], r["date"]): r for r in rows}


@pytest.fixture(scope="module")
def campaign(module_dsn, tmp_path_factory):
    """What BI was told after each of three releases: the first decision; a second one, made on 25 August; households revised as of 1 September."""
    with pytest.MonkeyPatch.context() as patch, psycopg.connect(module_dsn, autocommit=True) as conn:
        patch.setenv("KINHTESO_DBT_STATE", str(tmp_path_factory.mktemp("dbt")))
        c = Campaign(module_dsn, conn)
        for code, sizes in c.hamlets.items():
            c.register(code, d(1, 7), sizes)
        c.households()
        c.form("targets", "06505", d(15, 7), [
            target("Xã Vạn Linh", "Xã", "1/QĐ", d(14, 7), teams="4", as_of=d(15, 7)),
            target("Phố Cũ", "Thôn", "1/QĐ", d(14, 7), store="60", teams="1", as_of=d(15, 7)),
            target("Khối 3", "Thôn", "1/QĐ", d(14, 7), store_count="0", teams="1", as_of=d(15, 7)),
            target("HTX Na Vạn Linh", "Hợp tác xã", "1/QĐ", d(14, 7), households="25", as_of=d(15, 7)),
            target("Thôn Không Có", "Thôn", "1/QĐ", d(14, 7), as_of=d(15, 7)),
        ])  # fmt: skip
        c.release()
        c.first = c.told()
        c.form("targets", "06505", d(20, 8), [target("Xã Vạn Linh", "Xã", "2/QĐ", d(25, 8), store="70", teams="5", due=d(30), as_of=d(20, 8))])
        c.release()
        c.second = c.told()
        c.register("06505", d(1, 9), HAMLETS["06505"] | {"Thôn Phố Cũ": 60})
        c.release()
        c.third = c.told()
        yield c


def only(row: dict, *names: str) -> tuple:
    return tuple(row[n] for n in names)


def test_a_decision_moves_the_target_from_its_date_on(campaign):
    def store(day: date, told: dict) -> tuple:
        return only(told["06505", "store", day], "target_value", "decision_no")

    assert store(d(24, 8), campaign.first) == store(d(25, 8), campaign.first) == (50, "1/QĐ")
    assert store(d(24, 8), campaign.second) == (50, "1/QĐ") and store(d(25, 8), campaign.second) == (70, "2/QĐ")
    assert store(d(19, 7), campaign.second) == (50, "1/QĐ"), "the first list reaches back to its decision"
    before = [k for k in campaign.first if k[2] < d(25, 8)]
    assert before and all(campaign.first[k] == campaign.second[k] for k in before), "never before"


def test_due_dates_are_the_decision_s(campaign):
    """21 September: past the first decision's due date, before the second's."""
    assert campaign.first["06505", "payment", d(21)]["status"] == "overdue"
    row = campaign.second["06505", "payment", d(21)]
    assert row["status"] == "behind" and float(row["needed_per_day"]) == round(row["gap"] / 9, 2)
    assert campaign.first["06505", "payment", d(20)]["status"] == "behind", "the due date is the last day, not past it"
    assert campaign.first["06505", "payment", d(20)]["needed_per_day"] is None
    assert campaign.first["06505", "payment", d(19, 7)]["status"] == "not_started"


def test_revised_households_move_rates_from_their_date_on(campaign):
    values = [campaign.third["06505", "store", day]["target_value"] for day in (d(31, 8), d(1))]
    assert values == [70, 84]
    assert [campaign.third["06505-thonphocu", "store", day]["target_value"] for day in (d(31, 8), d(1))] == [24, 36]
    before = [k for k in campaign.second if k[2] < d(1)]
    assert all(campaign.second[k] == campaign.third[k] for k in before)


def test_a_hamlet_inherits_its_commune_s_rate(campaign):
    assert only(campaign.second["06505-thonmo", "store", d(24, 8)], "target_value", "target_rate", "decision_no") == (15, pytest.approx(0.5), "1/QĐ")
    assert only(campaign.second["06505-thonmo", "store", d(25, 8)], "target_value", "decision_no") == (21, "2/QĐ")
    assert only(campaign.second["06505-thonphocu", "store", d(25, 8)], "target_value", "decision_no") == (24, "1/QĐ"), "its own decision, by any spelling"
    assert campaign.second["06505-thonmo", "team", d(25, 8)]["target_value"] == 1, "not its commune's number of teams"
    assert only(campaign.second["06505-thonphocu", "store", d(21)], "status") == ("met",)
    assert only(campaign.first["06505-thonmo", "payment", d(12)], "denominator", "target_value") == (30, 15)


def test_a_target_of_nothing_is_met(campaign):
    row = campaign.first["06505-khoi3", "store", d(1)]
    assert only(row, "target_value", "gap", "attainment", "status", "rank_in_district") == (0, 0, None, "met", None)
    assert campaign.first["06505-thon3", "store", d(1)]["target_value"] == 5, "Khối 3 is not Thôn 3"


def test_a_cooperative_s_target_is_told_and_its_value_is_not_guessed(campaign):
    row = campaign.first["06505-htxnavanlinh", "store", d(1)]
    assert only(row, "level", "unit_name", "denominator", "target_value", "value", "gap", "status", "decision_no") == (
        "cooperative", "HTX Na Vạn Linh", 25, 13, None, None, "no_data", "1/QĐ")  # fmt: skip


def test_pace_projection_and_ranks(campaign):
    """Phố Cũ: 10 households before kick-off, one more a day until all 40 have a store on 18 August."""
    row = campaign.first["06505-thonphocu", "store", d(29, 7)]
    assert only(row, "value", "target_value") == (20, 24) and row["projected_date"] == d(2, 8)
    assert float(row["expected_by_now"]) == round(10 + 14 * 10 / 63, 2) and row["status"] == "on_track"
    rows = [r for r in campaign.first.values() if r["level"] == "hamlet" and r["indicator"] == "store" and r["date"] == d(12) and r["attainment"] is not None]
    assert len(rows) >= 2 and all(r["rank_in_district"] >= 1 and r["rank_in_province"] >= 1 for r in rows)
    mo = {day: campaign.first["06505-thonmo", "store", day] for day in (d(5), d(12))}
    assert mo[d(12)]["rank_change_7d"] == mo[d(5)]["rank_in_province"] - mo[d(12)]["rank_in_province"]


def test_what_is_told_piecewise_is_what_is_told_at_once(campaign):
    piecewise = {table: digest(campaign.conn, table, key) for table, key in COMPARED.items()}
    campaign.release(full=True)
    assert {table: digest(campaign.conn, table, key) for table, key in COMPARED.items()} == piecewise


# ---- what BI can find out ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seen(campaign):
    """bi as its readers have it."""
    with psycopg.connect(campaign.dsn, row_factory=dict_row) as conn:
        conn.execute("set role bi_reader")
        hamlets = conn.execute("select * from bi.kpi_hamlet_daily").fetchall()
        communes = conn.execute("select * from bi.kpi_commune_daily where geography = '2021'").fetchall()
        targets = conn.execute("select * from bi.target_progress_daily where level = 'hamlet'").fetchall()
        dims = conn.execute("select * from bi.dim_hamlet").fetchall()
    return hamlets, {(c["commune_code"], c["date"]): c for c in communes}, targets, dims


def test_the_hamlets_of_bi_give_nothing_away(campaign, seen):
    hamlets, communes, _, _ = seen
    days = {d(19, 7), d(1, 8), d(31, 8), d(12), LAST}
    group = defaultdict(list)
    for row in hamlets:
        group[row["commune_code"], row["date"]].append(row)
    assert any(r["suppressed"] for r in hamlets) and not all(r["suppressed"] for r in hamlets)
    found = {k: given_away(rows, {m: communes[k][m] for m in WITHIN}) for k, rows in group.items() if k[1] in days}
    assert len(found) >= 25 and {k: v for k, v in found.items() if v} == {}


def test_targets_are_made_of_what_is_shown(seen):
    hamlets, _, targets, dims = seen
    shown = {(f"{h['commune_code']}-{h['hamlet_code']}", h["date"]): h for h in hamlets}
    value = {"store": "households_with_store", "payment": "households_with_payment", "lead": "lead_households"}
    hidden = 0
    for t in targets:
        h = shown[t["unit_code"], t["date"]]
        if t["indicator"] != "team":
            assert t["value"] == h[value[t["indicator"]]] and t["denominator"] == h[HOUSEHOLDS]
            if t["value"] is None:
                hidden += 1
                assert t["suppressed"] and t["status"] == "no_data", t
                made = ("rate", "gap", "attainment", "needed_per_day", "projected_date", "rank_in_district", "rank_in_province", "rank_change_7d")
                assert [t[m] for m in made] == [None] * len(made), t
            if t["denominator"] is None and t["decision_no"] is None:
                assert t["target_value"] is None
    assert hidden > 100
    for h in dims:
        row = shown.get((f"{h['commune_code']}-{h['hamlet_code']}", max(h["valid_from"], d(19, 7))))
        assert row is None or row[HOUSEHOLDS] == h[HOUSEHOLDS]
        assert h["persons"] is None or h[HOUSEHOLDS] is not None


def test_the_star_does_not_say_where_a_household_lives(campaign):
    """A household's hamlet, or its row in a list that is kept by hamlet, beside a store's household would be a count of the hamlet's stores."""
    rows = campaign.conn.execute("select table_name, column_name from information_schema.columns where table_schema = 'bi'").fetchall()
    columns = defaultdict(set)
    for table, column in rows:
        columns[table].add(column)
    assert "household_key" in columns["dim_store"] and "household_key" in columns["dim_household"]
    with_household = [t for t, names in columns.items() if "household_key" in names]
    assert {t: names for t in with_household if (names := {n for n in columns[t] if n.startswith("hamlet")})} == {}
    assert "source_row" not in columns["dim_household"]
    assert {"hamlet", "source_row"} <= {r[0] for r in campaign.conn.execute(
        "select column_name from information_schema.columns where table_schema = 'core' and table_name = 'dim_household'")}  # fmt: skip


# ---- each cell explained: hamlets of which some are hidden, decisions that give way, a cooperative ------------------------------


@pytest.fixture()
def asking(campaign):
    """A connection to ask over."""
    with warehouse.connect(campaign.dsn) as conn:
        yield conn


def explained(conn, unit: str, day: date, key: str, level: str = "hamlet", target: str = ""):
    answer = explaining.explain(conn, Cell(unit, day, key, level=level, target=target))
    proving.prove(conn, answer)
    return answer


def test_every_hamlet_s_cell_is_what_its_entities_add_up_to(campaign, asking):
    told, hidden, rules = 0, 0, set()
    units = [f"{c}-{h}" for c, h in campaign.conn.execute("select distinct commune_code, hamlet_code from bi.kpi_hamlet_daily order by 1, 2")]
    for unit in units:
        for day in (d(19, 7), d(12), LAST):
            for kpi in HAMLET_KPIS:
                answer = explained(asking, unit, day, kpi)
                e = answer.explanation
                assert not answer.problems, answer.problems
                told += 1
                if e.hidden:
                    hidden += 1
                    rules.add(e.hidden.en.split(":")[0])
                    assert answer.published is None and answer.row["suppressed"]
                    assert "HIDDEN IN bi" in "\n".join(telling.text(answer)) and any(r[9] == "hidden_in_bi" for r in telling.csv_rows(answer))
                else:
                    assert answer.published == e.value == e.found
    assert told == len(units) * 3 * len(HAMLET_KPIS) and hidden > 100 and rules >= {"rule 1", "rule 2", "rule 3"}, (told, hidden, rules)


def test_every_cell_of_every_target_is_computed_again(campaign, asking):
    told, seen = 0, defaultdict(set)
    units = campaign.conn.execute(
        """select distinct level, unit_code, indicator from bi.target_progress_daily
           where unit_code like '06505%%' or level in ('province', 'cooperative') or unit_code in ('187', '178') or unit_code = any(%s)""",
        [list(campaign.hamlets)],
    ).fetchall()
    for level, unit, indicator in units:
        for day in (d(29, 7), d(24, 8), d(25, 8), d(12), d(21), LAST):
            answer = explained(asking, unit, day, "", level, indicator)
            assert not answer.problems, (level, unit, day, indicator, answer.problems)
            for _, column in answer.explanation.parts:
                assert column.value == column.found == answer.row[column.kpi.key]
                seen[level, column.kpi.key].add(column.value)
            told += 1
    empty = {key for key in COLUMNS if not {v for (_, k), values in seen.items() if k == key for v in values} - {None}}
    assert told > 300 and not empty, (told, empty)
    assert {level for level, _ in seen} == {"province", "district", "commune", "hamlet", "cooperative"}
    assert {v for (_, k), values in seen.items() if k == "status" for v in values} == {"met", "on_track", "behind", "overdue", "no_data"}
    assert explained(asking, "06505", d(19, 7), "status", "commune", "store").published == "not_started"


def test_a_target_is_told_with_the_decision_behind_it(campaign, asking):
    def told(unit, day, key="", level="hamlet", indicator="store"):
        return "\n".join(telling.text(explained(asking, unit, day, key, level, indicator), 3))

    own = told("06505-thonphocu", d(29, 7))
    for words in ("Its own decision: 1/QĐ of 2021-07-14", "⌈0.600000 × 40⌉ = 24", "10 + (24 − 10) × 10 ÷ 63", "2/QĐ of 2021-08-25, R3 2021-08-20", "not in force yet",
                  "registers/targets 187_06505 2021-07-15 v1", "1 among 5 units", "06505-thonphocu Thôn Phố Cũ: 20 ÷ 24 = 0,833333", "20 (bằng ô · equals the cell)"):  # fmt: skip
        assert words in own, (words, own)
    assert "Inherited from the commune: 2/QĐ" in told("06505-thonmo", d(25, 8)) and "every hamlet its team" in told(
        "06505-thonmo", d(25, 8), "target_rate", indicator="team"
    )
    assert "the default 0.5" in told("187", d(12), "target_value", "district") and "the count of 1/QĐ: 0" in told("06505-khoi3", d(12), "target_value")
    assert "Nothing that is delivered links a cooperative" in told("06505-htxnavanlinh", d(12), "value", "cooperative")
    # one column: what it is made of, each thing once, its entities below
    gap = explained(asking, "06505", d(12), "gap", "commune", "store")
    paths = [path for path, _ in telling.walk(gap.explanation)]
    assert paths.count("gap/value/households_with_store") == 1 and "gap/target_value/denominator/households" in paths and not gap.problems
    rows = list(telling.csv_rows(explained(asking, "06505", d(12), "rank_in_province", "commune", "store")))
    assert sum(row[9] == "ranked" for row in rows) == len(campaign.hamlets)
    with pytest.raises(explaining.NoSuchCell, match="there are: 06505-khoi3, 06505-thon3"):
        explained(asking, "06505-thonxa", d(12), "", "hamlet", "store")
    with pytest.raises(explaining.NoSuchCell, match="there is no measure 'gaps' of target_progress_daily; there are: value, "):
        explained(asking, "06505", d(12), "gaps", "commune", "store")


OTHER = {"status": "'met'", "projected_date": "date '2021-12-24'", "decision_no": "'9/QĐ'", "suppressed": "true"}


@pytest.mark.parametrize("column", COLUMNS)
def test_a_cell_of_a_target_that_says_something_else_is_said(asking, column):
    """The same wrong figure in what was built and in what BI sees; once asked for by itself, once in its row."""
    where = "level = 'commune' and unit_code = '06505' and indicator = 'payment' and date = '2021-09-12'"
    keep = "create temporary table kept as select * from {0}.target_progress_daily where " + where
    for schema in ("kpi", "bi"):
        asking.execute(keep.format(schema).replace("kept", f"kept_{schema}"))
        asking.execute(f"update {schema}.target_progress_daily set {column} = {OTHER.get(column, f'coalesce({column}, 0) + 1')} where {where}")
    try:
        for key in ("", column):
            answer = explained(asking, "06505", d(12), key, "commune", "payment")
            assert [p.en.split(":")[0] for p in answer.problems] == [column], answer.problems
            assert "They do not agree" in answer.problems[0].en
    finally:
        for schema in ("kpi", "bi"):
            asking.execute(f"delete from {schema}.target_progress_daily where {where}")
            asking.execute(f"insert into {schema}.target_progress_daily select * from kept_{schema}")
            asking.execute(f"drop table kept_{schema}")
    assert not explained(asking, "06505", d(12), column, "commune", "payment").problems


def test_what_stands_behind_a_target_and_says_something_else_is_said(asking):
    def problems(unit, key="", level="commune", indicator="store"):
        return " ".join(p.en for p in explained(asking, unit, d(12), key, level, indicator).problems)

    cases = [
        ("update core.fct_target set valid_to = '2021-09-01' where unit_code = '06505' and decision_no = '2/QĐ'", "core.fct_target", "06505", "core.fct_target has nothing in force"),
        ("delete from raw.registers_targets where decision_no = '2/QĐ'", "raw.registers_targets", "06505", "decision_no: the cell says 2/QĐ, computed were 1/QĐ"),
        ("update raw.registers_targets set store_rate = '65' where decision_no = '2/QĐ'", "raw.registers_targets", "06505", "target_value: the cell says 84, computed were 78"),
        ("delete from intermediate.int_stores__matched where store_code = 'PMS0000001'", "intermediate.int_stores__matched", "06505", "households_with_store: the cell says"),
        ("update kpi.kpi_commune_daily set households_with_store = 71 where commune_code = '06505' and geography = '2021' and date = '2021-09-12'",
         "kpi.kpi_commune_daily", "06505", "value: the cell says 70, computed were 71"),
        ("update bi.target_progress_daily set gap = 1 where unit_code = '06505'", "bi.target_progress_daily", "06505", "gap: bi says 1, what was built and released says 14"),
        ("update kpi.target_progress_daily set value = 99 where unit_code = '06463' and level = 'commune'", "kpi.target_progress_daily", "06505", "rank_in_district: the cell says 1"),
    ]  # fmt: skip
    for change, table, unit, words in cases:
        with broken(asking, change, f"select * from {table}"):
            said = problems(unit)
            assert words in said, (change, said)
        assert not problems(unit), change


def test_a_hamlet_whose_rows_say_something_else_is_said(asking):
    def problems(key, day=d(12)):
        return " ".join(p.en for p in explained(asking, "06505-thonphocu", day, key).problems)

    one = "household_code = 'H00001'"
    cases = [
        (f"delete from intermediate.int_hamlet_households where {one}", "intermediate.int_hamlet_households", "households_with_store", "listed were 39"),
        ("update core.fct_hamlet_day set households_with_payment = 99 where hamlet_code = 'thonphocu'", "core.fct_hamlet_day", "households_with_payment", "the cell says 99"),
        ("update kpi.kpi_hamlet_daily set households = null where hamlet_code = 'thonphocu'", "kpi.kpi_hamlet_daily", "households", "by the rules of suppression it has to be 60"),
        ("update bi.kpi_hamlet_daily set store_rate = 0.5 where hamlet_code = 'thonphocu'", "bi.kpi_hamlet_daily", "store_rate", "store_rate: bi says 0.5"),
        ("update raw.registers_hamlets set hamlet_raw = 'Khác' where hamlet_raw = 'Thôn Phố Cũ'", "raw.registers_hamlets", "households", "1 rows do not stand in raw"),
    ]  # fmt: skip
    for change, table, key, words in cases:
        with broken(asking, change, f"select * from {table}"):
            said = problems(key)
            assert words in said, (change, said)
        assert not problems(key), (change, problems(key))
    # a small count that is shown
    unit, day = asking.execute(
        "select commune_code || '-' || hamlet_code, date from core.fct_hamlet_day where households_with_payment between 1 and 4 and date = '2021-09-12' order by 1 limit 1"
    ).fetchone()
    with broken(
        asking, "update kpi.kpi_hamlet_daily set households_with_payment = 2 where households_with_payment is null", "select * from kpi.kpi_hamlet_daily"
    ):
        said = explained(asking, unit, day, "households_with_payment").problems
        assert any("by the rules of suppression it has to be None" in p.en for p in said), said
