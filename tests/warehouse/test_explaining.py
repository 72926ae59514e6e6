"""Every cell back to what it counts (issue: `make explain`): the entities listed are as many as the cell says, and stand in the deliveries they name."""

from __future__ import annotations

import argparse
import contextlib
import csv
import gzip
import io
import json
import random
import re
import statistics
import subprocess
import sys
import time
import zipfile
from datetime import date, timedelta
from decimal import Decimal
from html import escape
from pathlib import Path

import openpyxl
import psycopg
import pytest
import python_calamine
from fastapi import HTTPException
from kinhteso import building, explaining, publishing, warehouse
from kinhteso.board import pages
from kinhteso.explaining import Cell, measures, proving, telling
from kinhteso.kpis import KPIS
from kinhteso.landing import Landing
from kinhteso.local import cli
from kinhteso.progress import COLUMNS, HAMLET_KPIS, INDICATORS
from kinhteso.registers import html
from kinhteso.settings import Settings
from pipeline import Pipeline
from rawworld import D0, RawWorld, local, ms
from served import simulators
from starlette.testclient import TestClient
from test_incremental import deliver_day, deliver_registers
from written import broken

ROOT = Path(__file__).resolve().parents[2]

KICK_OFF = date(2021, 7, 20)
LAST = D0 + timedelta(days=3)
STALE = D0 + timedelta(days=2)
#: Đại Đồng went to two units in 2025; Vạn Linh of 2025 took over three, and is the first to send registers here.
SPLIT, MERGED_INTO, MERGED = "06040", "06505", ("06508", "06520", "06505")


def deliver_people(world: RawWorld, as_of: date, rng: random.Random) -> None:
    """Teams and lead households of the first three communes."""
    for n, commune in enumerate(world.communes[:3]):
        unit, of = f"{commune['gso_district_code']}_{commune['gso_code']}", {"commune_code": commune["gso_code"], "as_of": as_of.isoformat()}
        members = [
            {"hamlet_raw": hamlet, "decision": "45/QĐ", "member_name_key": f"name-m{k}", "role_raw": "Tổ trưởng" if k == 0 else "Thành viên",
             "trained_raw": "Có" if k <= trained else "Không", **of}
            for hamlet, trained in (("Thôn Phố Cũ, Bản Mới", 2 + n), ("Bản Mới", 1), ("Thôn Lạ", 3))
            for k in range(5)
        ]  # fmt: skip
        world.deliver("registers", "teams", as_of, members, unit=unit, mode="form")
        leads = [
            {"household_code": f"H{i:03d}", "hamlet_raw": "Bản Mới", "recognised_on": "01/08/2021", "withdrawn_on": "14/09/2021" if i % 4 == 0 else None, **of}
            for i in range(1 + n, 20, 3)
        ]
        world.deliver("registers", "leads", as_of, leads, unit=unit, mode="form")


def deliver_past(world: RawWorld) -> None:
    """Orders and a refund before kick-off, one big enough for a lead household by the rule, and an R1 that says less than there are stores."""
    store, c = str(8800000000000000 + 12), world.communes[2]
    at = {"may": local(date(2021, 5, 3)), "june": local(date(2021, 6, 1)), "august": local(date(2021, 8, 20))}
    orders = [
        world.voso_order(900 + n, store, at[month], at[month], "GIAO_THANH_CONG", amount, delivered_at=at[month])
        for n, (month, amount) in enumerate([("may", 700_000), ("june", 300_000), ("august", 6_000_000)])
    ]
    window = {"window_since": local(date(2021, 9, 10), 23, 50), "window_until": local(D0, 0)}
    world.deliver("voso", "orders", D0 - timedelta(days=1), orders, mode="window", **window)
    refunds = [
        {"return_id": str(5100 + n), "order_id": orders[n]["order_id"], "type": "HOAN_TIEN", "refund_amount": amount, "status": "HOAN_TAT",
         "requested_at": ms(done), "completed_at": ms(done), "updated_at": ms(done)}
        for n, (amount, done) in enumerate([("50000", at["june"]), ("20000", at["august"])])
    ]  # fmt: skip
    world.deliver("voso", "refunds", D0 - timedelta(days=1), refunds, mode="window", **window)
    few = {"hamlet_raw": "Thôn Phố Cũ", "households": "3", "commune_code": c["gso_code"], "as_of": STALE.isoformat()}
    world.deliver("registers", "hamlets", STALE, [few], unit=f"{c['gso_district_code']}_{c['gso_code']}", mode="form")


def deliver_later_list(world: RawWorld) -> None:
    """Registers of a unit of 2025: before the first of its parts there is no other, so they hold for its parts, each with a share."""
    day = date(2025, 7, 10)
    unit, of = f"20_{MERGED_INTO}", {"commune_code": MERGED_INTO, "as_of": day.isoformat()}
    world.deliver("registers", "hamlets", day, [{"hamlet_raw": f"Thôn {n}", "households": str(90 + n), **of} for n in range(7)], unit=unit, mode="form")
    members = [
        {"hamlet_raw": f"Thôn {n}", "decision": "1/QĐ", "member_name_key": f"name-l{n}{k}", "role_raw": "Thành viên" if k else "Tổ trưởng", "trained_raw": "Có", **of}
        for n in range(3) for k in range(4)
    ]  # fmt: skip
    world.deliver("registers", "teams", day, members, unit=unit, mode="form")
    leads = [{"household_code": f"L{n}", "hamlet_raw": "Thôn 1", "recognised_on": "01/08/2021", **of} for n in range(5)]
    world.deliver("registers", "leads", day, leads, unit=unit, mode="form")


@pytest.fixture(scope="module")
def built(module_dsn, tmp_path_factory):
    """A released world of both platforms with a stale day, a rebuilt one, a version 2, unmatched stores, a household twice; (dsn, communes)."""
    dsn, rng = module_dsn, random.Random(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KINHTESO_DBT_STATE", str(tmp_path_factory.mktemp("dbt")))
        with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
            every = [r for r in csv.DictReader(f) if r["list"] == "2021"]
        split = next(r for r in every if r["gso_code"] == SPLIT)
        first, *others = [r for r in every if r["gso_district_code"] == "187" and r["gso_code"] not in MERGED]
        communes = [first, split, *others]
        with warehouse.connect(dsn) as conn:
            world = RawWorld(conn, communes)
            for as_of in (date(2021, 7, 1), D0 + timedelta(days=1)):
                deliver_registers(world, as_of, rng)
                deliver_people(world, as_of, rng)
            conn.execute("update raw.registers_households set hamlet_raw = 'Bản Mới' where household_code in ('H004', 'H007', 'H010')")
            deliver_past(world)
            deliver_later_list(world)
            for day in (D0, D0 + timedelta(days=1), LAST):
                deliver_day(world, day, rng)
            conn.execute("delete from ops.change where export_id in (select export_id from ops.export where source = 'voso' and business_day = %s)", [LAST])
            conn.execute("update raw.postmart_accounts set kyc_at = '10/06/2021' where account_ref in ('PP-1', 'PP-2', 'PP-4', 'PP-5', 'PP-8')")
            publish(dsn)
            deliver_day(world, D0 + timedelta(days=1), rng, version=2)
            publish(dsn)
        yield dsn, [c["gso_code"] for c in communes[:4]]


def publish(dsn: str) -> None:
    scope = building.build(dsn, D0)
    assert scope is not None
    publishing.publish(dsn, scope)


@pytest.fixture()
def conn(built):
    with warehouse.connect(built[0]) as connection:
        yield connection


def test_every_cell_of_every_measure_is_what_its_entities_add_up_to(built, conn):
    told, wrong, took = 0, [], []
    seen: dict[str, set] = {}
    units = [("2021", code) for code in (*built[1][:3], *MERGED[:2], "00000")]
    units += [tuple(r) for r in conn.execute(
        """select distinct u.geography, u.commune_code from intermediate.int_pieces as u join intermediate.int_pieces as o on o.piece_code = u.piece_code
           where u.geography = '2025' and o.geography = '2021' and o.commune_code = any(%s) order by 2""", [[*built[1][:2], MERGED[0], "00000"]])]  # fmt: skip
    days = (date(2021, 7, 19), KICK_OFF, date(2021, 8, 20), D0, STALE, LAST)
    shared = set()
    for geography, commune in units:
        for day in days:
            for kpi in KPIS:
                begun = time.monotonic()
                answer = explaining.explain(conn, Cell(commune, day, kpi, geography))
                took.append(time.monotonic() - begun)
                proving.prove(conn, answer)
                told += 1
                wrong += [(geography, commune, day, p.en) for p in answer.problems]
                shared |= {p.place.code for _, one in telling.walk(answer.explanation) for p in one.portions if telling.shared_rest(one, p)}
                seen.setdefault(kpi, set()).add(answer.explanation.value)
                assert answer.published == answer.explanation.value == answer.explanation.found or answer.problems
    assert not wrong, wrong[:10]
    assert told == len(units) * len(days) * len(KPIS) and len(units) == 11
    assert shared == {SPLIT, f"2025:{MERGED_INTO}"}
    assert statistics.median(took) < 0.5
    empty = {kpi for kpi, values in seen.items() if not values - {None, 0, ""}}
    assert not empty, f"the world has to exercise every measure: {empty}"


def test_districts_and_the_province_are_explained_too(built, conn):
    wrong, told = [], 0
    with conn.cursor() as cursor:
        columns = {
            level: {c.name for c in cursor.execute(f"select * from bi.{table} limit 0").description}
            for level, (table, _) in explaining.LEVELS.items()
            if level != "hamlet"
        }
    for level, unit, geography in (("district", "187", "2021"), ("district", "180", "2021"), ("province", "20", "2021"), ("province", "20", "2025")):
        for day in (date(2021, 7, 19), date(2021, 8, 20), LAST):
            for kpi in KPIS.keys() & columns[level]:
                answer = explaining.explain(conn, Cell(unit, day, kpi, geography, level))
                wrong += [(level, unit, day, p.en) for p in answer.problems]
                told += 1
    assert not wrong, wrong[:10]
    assert told > 500
    with pytest.raises(explaining.NoSuchCell, match="has no rates_held"):
        explaining.explain(conn, Cell("187", LAST, "rates_held", level="district"))
    with pytest.raises(explaining.NoSuchCell, match="there is no level 'village'"):
        explaining.explain(conn, Cell("187", LAST, "stores", level="village"))


def test_hamlets_and_targets_are_explained_too(built, conn):
    """All of them: tests/warehouse/test_targets.py, whose world has decisions and more hamlets."""
    wrong, told = [], 0
    cells = [
        Cell(f"{commune}-{hamlet}", day, kpi, level="hamlet")
        for commune in built[1][:2]
        for hamlet in ("thonphocu", "banmoi", "~")
        for kpi in HAMLET_KPIS
        for day in (STALE, LAST)
    ]
    units = (("commune", built[1][0]), ("commune", MERGED[0]), ("hamlet", f"{built[1][0]}-banmoi"), ("district", "187"), ("province", "20"))
    cells += [Cell(unit, day, "", level=level, target=indicator) for level, unit in units for indicator in INDICATORS for day in (KICK_OFF, LAST)]
    for cell in cells:
        with contextlib.suppress(explaining.NoSuchCell):  # `~` is there on the days when it is not nothing
            answer = explaining.explain(conn, cell)
            proving.prove(conn, answer)
            wrong += [(cell, p.en) for p in answer.problems]
            told += 1
    assert not wrong, wrong[:10]
    assert told > 100


def test_every_table_of_bi_is_explained_or_it_is_said_why_not(conn):
    there = {r[0] for r in conn.execute("select table_name from information_schema.tables where table_schema = 'bi'")}
    assert there == {*explaining.EXPLAINED, *explaining.NOT_EXPLAINED}
    for asked in ("data_status_daily", "bi.dim_store"):
        with pytest.raises(explaining.NoSuchCell) as said:
            explaining.explain(conn, Cell("06505", LAST, asked))
        assert explaining.NOT_EXPLAINED[asked.removeprefix("bi.")].en in str(said.value) and "bi.target_progress_daily: LEVEL=… TARGET=store" in str(said.value)


def test_a_published_value_of_a_release_is_told_and_each_move_since(built, conn):
    moved = conn.execute(
        """select n.commune_code, n.date, o.orders_placed, n.orders_placed from bi.kpi_commune_daily_as_published as o
           join bi.kpi_commune_daily as n using (geography, commune_code, date)
           where o.release_id = 1 and n.geography = '2021' and o.orders_placed <> n.orders_placed limit 1"""
    ).fetchone()
    assert moved, "the version 2 has to move a value"
    answer = explaining.explain(conn, Cell(moved[0], moved[1], "orders_placed"), release=1)
    assert (answer.published, answer.explanation.value, answer.release["release_id"]) == (moved[2], moved[3], 1)
    shown = "\n".join(telling.text(answer))
    assert "as published in release 1" in shown and f"nay · now = {moved[3]}" in shown
    assert answer.restatements and not answer.problems and "5. Vì sao đã thay đổi" in shown and f"{moved[2]} → {moved[3]}" in shown
    moves = conn.execute("select distinct on (geography, kpi) geography, commune_code, date, kpi from bi.kpi_restatement order by geography, kpi").fetchall()
    assert len({kpi for *_, kpi in moves}) > 20
    for geography, commune, day, kpi in moves:
        answer = explaining.explain(conn, Cell(commune, day, kpi, geography), release=1)
        assert answer.restatements and not answer.problems, (geography, commune, day, kpi, answer.problems)
    with pytest.raises(explaining.NoSuchCell, match="there are releases 1 to 2"):
        explaining.explain(conn, Cell(moved[0], moved[1], "orders_placed"), release=9)


def test_moves_that_do_not_connect_are_said():
    def move(release, old, new):
        return {"release_id": release, "old_value": old, "new_value": new}

    assert measures._moves_agree(3, [move(2, Decimal("3"), Decimal("5")), move(4, 5, None)], None) == []
    assert measures._moves_agree(Decimal("0.500000"), [], Decimal("0.5")) == []
    for then, moves, now in ((3, [], 4), (3, [move(2, 4, 5)], 5), (3, [move(2, 3, 5)], 6), ("FULL", [], "STALE_VOSO")):
        (said,) = measures._moves_agree(then, moves, now)
        assert "does not connect" in said.en


# ---- what is not as listed is said, and the command fails ----


STORES = "select * from intermediate.int_stores__matched"


def asked(built, kpi="households_with_store", day=D0, commune=0):
    return Cell(built[1][commune], day, kpi)


def run(built, tmp_path, *options, kpi="households_with_store", day=D0, commune=0):
    """`make explain` as make calls it."""
    env = {"PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}", "AIRFLOW_CONN_WAREHOUSE": built[0], "KINHTESO_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-W", "ignore", "-m", "kinhteso.local", "explain", "--commune", built[1][commune], "--date", str(day), "--kpi", kpi, *options]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)


def ask(built, tmp_path, **given):
    """`make explain` with other words than a commune's."""
    env = {"PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}", "AIRFLOW_CONN_WAREHOUSE": built[0], "KINHTESO_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    options = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "kinhteso.local", "explain", *options], env=env, cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_command_answers_for_hamlets_and_targets_and_fails_where_something_does_not_agree(built, conn, tmp_path):
    hamlet = {"level": "hamlet", "commune": built[1][0], "unit": "banmoi", "date": LAST}
    said = ask(built, tmp_path, **hamlet, kpi="households")
    assert said.returncode == 0 and "1.000 (bằng ô · equals the cell)" in said.stdout and not said.stderr, said
    hidden = ask(built, tmp_path, **hamlet, kpi="households_with_store")
    assert hidden.returncode == 0 and "= trống · null" in hidden.stdout and "HIDDEN IN bi, for operators only: quy tắc" in hidden.stdout, hidden
    target = {"commune": built[1][0], "date": LAST, "target": "store"}
    whole, gap = ask(built, tmp_path, **target), ask(built, tmp_path, **target, measure="gap", format="csv")
    assert whole.returncode == 0 and "the default 0.5" in whole.stdout and all(f"{column} = " in whole.stdout for column in COLUMNS), whole
    rows = list(csv.DictReader(io.StringIO(gap.stdout)))
    assert (
        gap.returncode == 0
        and rows[0]["kpi"] == "store/gap"
        and {"gap/value/households_with_store", "gap/target_value/denominator/households"} <= {r["part"] for r in rows}
    )
    where = f"level = 'commune' and unit_code = '{built[1][0]}' and indicator = 'store' and date = '{LAST}'"
    for schema in ("kpi", "bi"):
        conn.execute(f"update {schema}.target_progress_daily set gap = gap + 1 where {where}")
    try:
        bad = ask(built, tmp_path, **target, format="csv")
        assert bad.returncode == 1 and "gap: the cell says" in bad.stderr
        page = client(built[0]).get(f"/board/explain?unit={built[1][0]}&date={LAST}&target=store").text
        assert 'role="alert"' in page and "gap: the cell says" in page
    finally:
        for schema in ("kpi", "bi"):
            conn.execute(f"update {schema}.target_progress_daily set gap = gap - 1 where {where}")


def test_what_is_asked_wrongly_is_said_and_exits_with_2(built, tmp_path):
    cases = [
        ({"commune": "06505"}, "KPI or TARGET has to be said"),
        ({"commune": "06505", "kpi": "stores", "target": "store"}, "say one of them"),
        ({"commune": "06505", "kpi": "stores", "measure": "gap"}, "MEASURE is a column of a TARGET"),
        ({"level": "hamlet", "kpi": "households"}, "UNIT of the hamlet has to be said"),
        ({"kpi": "households"}, "COMMUNE or UNIT has to be said"),
    ]
    for given, words in cases:
        with pytest.raises(ValueError, match=words):
            cli.asked_cell(argparse.Namespace(**{**dict.fromkeys(("commune", "level", "unit", "kpi", "target", "measure", "geography"), ""), **given}), LAST)
    for given, words in ((cases[1][0], cases[1][1]), ({"commune": "06505", "target": "shops"}, "there are: store, payment, lead, team")):
        said = ask(built, tmp_path, **given, date=LAST)
        assert (said.returncode, words in said.stderr) == (2, True), said


def test_no_such_hamlet_or_target_is_said_with_what_there_is(built, conn):
    commune = built[1][0]
    for cell, words in (
        (Cell(commune, LAST, "households", level="hamlet"), "a hamlet is a commune's code, a hyphen"),
        (Cell(f"{commune}-no", LAST, "households", level="hamlet"), f"there are: {commune}-banmoi"),
        (Cell(f"{commune}-banmoi", LAST, "stores", level="hamlet"), "there is no measure 'stores' of kpi_hamlet_daily; there are: households, "),
        (Cell(f"{commune}-banmoi", date(2030, 1, 1), "households", level="hamlet"), "there are days from"),
        (Cell("06040-banmoi", LAST, "households", "2025", "hamlet"), "GEOGRAPHY=2021"),
        (Cell(commune, LAST, "", target="shops"), "there is no target 'shops'; there are: store, payment, lead, team"),
        (Cell(commune, LAST, "", "2025", target="store"), "on the list 2021 only"),
        (Cell(f"{commune}-htx", LAST, "", level="cooperative", target="store"), "there are: none"),
        (Cell(commune, date(2030, 1, 1), "", target="store"), "there are days from"),
        (Cell(commune, LAST, "stores", level="cooperative"), "there is no level 'cooperative'"),
    ):
        with pytest.raises(explaining.NoSuchCell, match=re.escape(words)):
            explaining.explain(conn, cell)
    for cell in (Cell(f"{commune}-banmoi", LAST, "households", level="hamlet"), Cell(commune, LAST, "", target="store")):
        with pytest.raises(explaining.NoSuchCell, match="only figures of communes are kept by release"):
            explaining.explain(conn, cell, release=1)


def test_an_entity_that_is_gone_from_core_is_said_and_the_command_fails(built, conn, tmp_path):
    good = run(built, tmp_path)
    assert good.returncode == 0 and "equals the cell" in good.stdout and not good.stderr, good.stderr
    gone = f"""delete from intermediate.int_stores__matched where (platform, store_code) = (
        select platform, min(store_code) from intermediate.int_stores__matched where is_counting and household_code is not null and commune_code = '{built[1][0]}'
          and valid_from <= '{D0}' and '{D0}' < valid_to and platform = 'postmart' group by 1)"""
    with broken(conn, gone, STORES):
        bad = run(built, tmp_path)
        assert bad.returncode == 1 and "DOES NOT AGREE" in bad.stdout and "households_with_store: the cell says" in bad.stderr
        assert run(built, tmp_path, "--format", "csv").returncode == 1
        rate = explaining.explain(conn, asked(built, "store_rate"))
        assert rate.problems and rate.explanation.parts[0][1].problems, "a rate over a count that does not agree does not agree"
    assert not explaining.explain(conn, asked(built)).problems


def test_a_store_whose_row_says_something_else_is_said(built, conn, tmp_path):
    row = explaining.explain(conn, asked(built)).explanation.entities[0].rows
    store = next(r for r in row if r.role == "store")
    column = "store_code" if store.source == "postmart" else "store_id"
    where = f"export_id = {store.export_id} and source_row = {store.source_row}"
    conn.execute(f"update raw.{store.source}_stores set {column} = 'other' where {where}")
    try:
        bad = run(built, tmp_path)
        assert bad.returncode == 1 and "1 rows do not stand in raw under their entity's code" in bad.stderr
        assert f"{store.business_day} v{store.version}" in bad.stderr
    finally:
        conn.execute(f"update raw.{store.source}_stores set {column} = %s where {where}", [store.code])


def test_what_bi_shows_otherwise_than_what_was_built_and_released_is_said(built, conn):
    was = conn.execute("update bi.kpi_commune_daily set stores = stores + 1 where commune_code = %s and date = %s and geography = '2021' returning stores",
                       [built[1][0], D0]).fetchone()  # fmt: skip
    try:
        assert any("bi says" in p.en for p in explaining.explain(conn, asked(built, "stores")).problems)
        conn.execute("update ops.build set state = 'built' where build_id = (select max(build_id) from ops.build)")
        between = explaining.explain(conn, asked(built, "stores"))
        assert not between.problems and any("is not released" in note.en for note in between.explanation.notes), (
            "a build is between, and it is said which is told"
        )
        assert between.published == was[0] and between.explanation.value == was[0] - 1
    finally:
        conn.execute("update ops.build set state = 'published' where build_id = (select max(build_id) from ops.build)")
        conn.execute("update bi.kpi_commune_daily set stores = stores - 1 where commune_code = %s and date = %s and geography = '2021'", [built[1][0], D0])


def test_a_build_that_is_running_is_said(built, conn):
    conn.execute("update ops.build set state = 'running' where build_id = (select max(build_id) from ops.build)")
    try:
        assert not explaining.explain(conn, asked(built)).explanation.notes
        with broken(conn, f"delete from intermediate.int_stores__matched where commune_code = '{built[1][0]}' and platform = 'voso'", STORES):
            answer = explaining.explain(conn, asked(built))
        assert answer.problems and any("A build is running" in note.en for note in answer.explanation.notes)
        conn.execute("alter table intermediate.int_place_days rename to gone")
        with pytest.raises(explaining.NoSuchCell, match="ask again after the next release"):
            explaining.explain(conn, asked(built))
    finally:
        conn.execute("alter table if exists intermediate.gone rename to int_place_days")
        conn.execute("update ops.build set state = 'published' where build_id = (select max(build_id) from ops.build)")


def test_what_there_is_not_is_said_with_what_there_is(built, conn, tmp_path):
    for cell, words in (
        (Cell(built[1][0], D0, "store"), "there are: phase, "),
        (Cell("6505", D0, "stores"), "no list has the code 6505"),
        (Cell(built[1][0], date(2030, 1, 1), "stores"), "there are days from 2021-05-03 to 2021-09-15"),
    ):
        with pytest.raises(explaining.NoSuchCell, match=words):
            explaining.explain(conn, cell)
    assert run(built, tmp_path, kpi="no").returncode == 2
    assert run(built, tmp_path, day="15/09/2021").returncode == 2
    assert run(built, tmp_path, "--format", "xml").returncode == 2


# ---- what stands beside a cell ----


def test_beside_a_stale_day_stands_since_when_and_beside_households_what_is_unmatched(built, conn):
    side = explaining.explain(conn, asked(built, day=STALE)).beside
    assert side.completeness == "STALE_BOTH"
    assert {(c["platform"], c["dataset"], c["last_day"]) for c in side.carried} == {(p, "stores", D0 + timedelta(days=1)) for p in ("postmart", "voso")}
    codes = [
        r[0] for r in conn.execute("select commune_code from bi.kpi_commune_daily where date = %s and stores_unmatched > 0 and geography = '2021'", [LAST])
    ]
    n = next(n for n, code in enumerate(built[1]) if code in codes)
    stores = explaining.explain(conn, asked(built, "stores_unmatched", LAST, n)).explanation
    assert side.unmatched.keys() == {"stores_unmatched"} and stores.value > 0
    n, names = explaining.explain(conn, asked(built, day=LAST, commune=n)).beside.unmatched["stores_unmatched"]
    assert n == stores.value and names == [e.shown for e in stores.entities][: len(names)]


def test_open_quarantine_of_the_commune_and_of_none_that_can_be_told_stands_beside(built, conn):
    answer = explaining.explain(conn, asked(built))
    export = conn.execute(
        "select export_id from ops.export where source = 'postmart' and dataset = 'stores' and business_day = %s and state = 'accepted'", [D0]
    ).fetchone()[0]
    codes = {row[0]: row[1] for row in conn.execute("select gso_code, vnpost_commune_code from seeds.commune_crosswalk")}
    rows = [(1, codes[built[1][0]], "PMS1"), (2, codes[built[1][1]], "PMS2"), (3, "99999", "PMS3")]
    try:
        for n, code, key in rows:
            conn.execute(
                """insert into ops.quarantine_row (export_id, source_row, rule_id, rule_name, rule, row_key, content)
                   values (%s, %s, 'Q06', 'x', 'a rule', %s, %s)""",
                [export, n, key, json.dumps({"commune_src_code": code, "store_code": key})],
            )
        found = {(q["row_key"], q["commune"]) for q in explaining.explain(conn, asked(built)).beside.quarantined}
        assert found == {("PMS1", built[1][0]), ("PMS3", None)} and not answer.beside.quarantined
        shown = "\n".join(telling.beside_lines(explaining.explain(conn, asked(built))))
        assert "1 (xã này · this commune), 1 (không rõ xã · commune cannot be told)" in shown and "PMS2" not in shown
    finally:
        conn.execute("delete from ops.quarantine_row")


# ---- how it is told ----


def test_the_csv_holds_every_entity_once_and_adds_up_to_the_cell(built, tmp_path, conn):
    for kpi, day in (("households_with_store", D0), ("revenue_net_vnd_to_date", LAST), ("stores", LAST)):
        out = run(built, tmp_path, "--format", "csv", kpi=kpi, day=day)
        rows = list(csv.DictReader(io.StringIO(out.stdout)))
        value = explaining.explain(conn, asked(built, kpi, day)).explanation.value
        assert sum(Decimal(r["amount"]) for r in rows if r["amount"]) == value and {r["part"] for r in rows} == {kpi}
        assert all(r["source"] and r["business_day"] and r["version"] and r["file_row"] for r in rows)


def test_no_cell_of_a_csv_is_a_formula_and_negative_numbers_stay_numbers():
    assert [telling.neutral(v) for v in ("=1+1", "+84", "-cmd", "@x", "\tx", "\rx", "-12", "-1.5", "Na", -12, None)] == [
        "'=1+1", "'+84", "'-cmd", "'@x", "'\tx", "'\rx", "-12", "-1.5", "Na", -12, None,
    ]  # fmt: skip


def test_the_text_tells_formula_counts_entities_rows_and_what_is_beside(built, tmp_path):
    out = run(built, tmp_path, "--limit", "2", kpi="store_rate").stdout
    for words in ("Tỷ lệ hộ có cửa hàng số · Share of households", "1. Công thức", "households_with_store ÷ households", "KPI §1.8", "numerator: households_with_store",
                  "3. Thực thể", "store_rate/households_with_store", "postmart/stores 2021-09-12 v1", "4. Bên cạnh", "stores_unmatched = ", "more (LIMIT="):  # fmt: skip
        assert words in out, (words, out)


# ---- on the board ----


def client(dsn, allowed=lambda: None):
    return TestClient(pages.create_app(lambda: dsn, allowed), follow_redirects=False)


def test_the_board_explains_a_cell_behind_the_login(built):
    def denied():
        raise HTTPException(401)

    address = f"/board/explain?commune={built[1][0]}&date={D0}&kpi="
    assert client(built[0], denied).get(address + "store_rate").status_code == 401
    for kpi in KPIS:
        answer = client(built[0]).get(address + kpi)
        assert answer.status_code == 200 and "DOES NOT AGREE" not in answer.text and escape(KPIS[kpi].formula.vi) in answer.text, kpi
        assert not re.search(r"<script(?! nonce)|<link|<img|<iframe| style=| on[a-z]+=|https?://", answer.text)
    page = client(built[0]).get(address + "households_with_store").text
    assert "bằng ô · equals the cell" in page and "/board/export/" in page
    cells = client(built[0]).get("/board/explain").text
    assert f"commune={built[1][0]}&amp;date={LAST}" in cells and cells.count("<tr><td>") == 201


def test_the_board_explains_every_level_and_target(built):
    commune = built[1][0]
    asked = [
        (f"level=hamlet&unit={commune}-banmoi&kpi=households", "bằng ô · equals the cell"),
        (f"level=hamlet&unit={commune}-thonphocu&kpi=store_rate", "households_with_store"),
        (f"level=hamlet&unit={commune}-banmoi&kpi=households_with_store", "HIDDEN IN bi, for operators only"),
        ("level=district&unit=187&kpi=stores", "huyện"),
        ("level=province&unit=20&kpi=households_with_store", "tỉnh"),
        (f"unit={commune}&target=store", "the default 0.5"),
        (f"unit={commune}&target=store&measure=rank_in_province", 'class="ours"><td class="n">'),
        ("level=district&unit=187&target=team&measure=value", "hamlets_with_team"),
    ]
    for query, words in asked:
        answer = client(built[0]).get(f"/board/explain?date={LAST}&{query}")
        assert answer.status_code == 200 and words in answer.text and "khớp · agrees" in answer.text, (query, answer.text[-3000:])
        assert not re.search(r"<script(?! nonce)|<link|<img|<iframe| style=| on[a-z]+=|https?://", answer.text)
    for query, words in (
        ("level=hamlet&kpi=households", f"{commune}-banmoi"), ("level=district&kpi=stores", "187 Huyện Chi Lăng"), ("level=commune&target=lead", "target_value"),
        ("level=hamlet&target=store", f"unit={commune}-banmoi"),
    ):  # fmt: skip
        answer = client(built[0]).get(f"/board/explain?date={LAST}&{query}")
        assert answer.status_code == 200 and words in answer.text, query
    hidden = client(built[0]).get(f"/board/explain?date={LAST}&level=hamlet&kpi=households_with_store").text
    assert "trống · null" in hidden, "the list shows what bi shows"
    for bad in ("level=<b>", "level=district&kpi=rates_held", "target=<b>", "target=store&measure=<b>", "level=hamlet&kpi=orders_placed", "level=cooperative"):
        answer = client(built[0]).get(f"/board/explain?date={LAST}&{bad}")
        assert answer.status_code == 404 and "<b>" not in answer.text, bad
    between = client(built[0]).get("/board/explain?geography=2024").text
    assert "<option selected>2024</option>" in between and "There are no cells of this day" in between, "a list is offered that this day is not on"


def test_the_board_says_what_does_not_agree_and_shows_what_was_delivered_as_text(built, conn):
    address = f"/board/explain?commune={built[1][0]}&date={D0}&kpi=stores"
    hostile = "<script>alert(1)</script>.xlsx"
    conn.execute("update ops.export set origin = %s", [hostile])
    try:
        with broken(conn, f"delete from intermediate.int_stores__matched where commune_code = '{built[1][0]}' and platform = 'voso'", STORES):
            page = client(built[0]).get(address).text
        assert 'role="alert"' in page and "stores: the cell says" in page
        assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    finally:
        conn.execute("update ops.export set origin = null")
    for bad in ("kpi=<b>", "commune=6505", "date=2021-13-01", "release=x", "release=99"):
        answer = client(built[0]).get(f"{address}&{bad}")
        assert answer.status_code == 404 and "<b>" not in answer.text, bad


def test_a_cell_of_too_many_entities_for_a_page_is_said(built, monkeypatch):
    def too_long(*_):
        raise psycopg.errors.QueryCanceled

    monkeypatch.setattr(explaining, "explain", too_long)
    answer = client(built[0]).get(f"/board/explain?date={LAST}&level=province&unit=20&target=store&measure=value")
    assert answer.status_code == 503 and f"make explain LEVEL=province UNIT=20 DATE={LAST} TARGET=store MEASURE=value" in answer.text


def test_before_the_first_release_there_is_nothing_to_explain(warehouse_dsn):
    assert "Nothing has been released yet" in client(warehouse_dsn).get("/board/explain").text
    answer = client(warehouse_dsn).get("/board/explain?commune=06505&date=2021-09-12")
    assert answer.status_code == 404 and "nothing has been released yet" in answer.text


# ---- from real servers: the files in the landing, and nobody in the answers ----


def landed(landing: Landing, row) -> str:
    """The row of a landed file as text: of a workbook, a CSV (packed or not) or a page."""
    with landing.open(row.landing_path) as f:
        content = f.read()
    if row.landing_path.endswith(".json.gz"):
        return json.dumps(json.loads(gzip.decompress(content))["data"]["ITEMS"][row.file_row - 1], ensure_ascii=False)
    if row.landing_path.endswith(".jsonl.gz"):
        return [line for line in gzip.decompress(content).decode().splitlines() if line.strip()][row.file_row - 1]
    if row.landing_path.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            content = archive.read(archive.namelist()[0])
    if row.landing_path.endswith((".csv", ".zip")):
        return content.decode("utf-8-sig").splitlines()[row.file_row - 1]
    if html.looks_like(content):
        return "|".join(cell or "" for cell in list(html.rows(content))[row.file_row - 1])
    book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
    lines = [line for name in book.sheet_names for line in book.get_sheet_by_name(name).to_python(skip_empty_area=False)]  # sheets are counted through
    first = row.file_row - (25 if row.role in ("member", "order") else 1)  # a merged cell and an order stand in their first row
    return "|".join(str(cell) for line in lines[max(0, first) : row.file_row] for cell in line)


def people(folder: Path) -> set[str]:
    """Names, phones and citizen numbers of every form in the inbox."""
    found: set[str] = set()
    for path in folder.rglob("*.xlsx"):
        for sheet in openpyxl.load_workbook(path, read_only=True).worksheets:
            rows = list(sheet.iter_rows(values_only=True))
            head = next((r for r in rows if any(str(c).startswith("Họ") for c in r)), ())
            columns = [n for n, c in enumerate(head) if re.match("Họ|Số CCCD|Số điện thoại", str(c))]
            found |= {str(r[n]) for r in rows[rows.index(head) + 1 :] for n in columns if n < len(r) and len(str(r[n])) > 6} if head else set()
    return found


def test_from_real_servers_every_row_is_in_its_file_and_nobody_is_named(warehouse_dsn, tmp_path):
    first, inbox = date(2021, 9, 12), tmp_path / "inbox"
    told, rows = [], {}
    with simulators(tmp_path / "sources", "--inbox", str(inbox)) as served:
        pipeline = Pipeline(warehouse_dsn, Settings(str(tmp_path / "landing"), str(inbox), "demo-pepper", first), served, tmp_path / "dbt", [])
        for day in (first, first + timedelta(days=1)):
            pipeline.take(day)
        assert pipeline.release()
    landing, day = Landing(tmp_path / "landing"), first + timedelta(days=1)
    with warehouse.connect(warehouse_dsn) as conn:
        busiest = [r[0] for r in conn.execute("select commune_code from bi.kpi_commune_daily where date = %s and geography = '2021' and commune_code <> '00000'"
                                              " order by orders_placed_to_date desc nulls last, stores desc limit 2", [day])]  # fmt: skip
        cells = [Cell(commune, day, kpi) for commune in (*busiest, "00000") for kpi in KPIS]
        hamlets = conn.execute(
            """select commune_code || '-' || hamlet_code from bi.kpi_hamlet_daily where date = %s and commune_code = %s
               union select t.unit_code from core.fct_target as t where t.target_level = 'HAMLET' and t.valid_from is not null and t.commune_code = %s""",
            [day, busiest[0], busiest[0]],
        ).fetchall()  # fmt: skip
        cells += [Cell(unit, day, kpi, level="hamlet") for (unit,) in hamlets for kpi in HAMLET_KPIS]
        units = [("hamlet", hamlets[0][0]), ("commune", busiest[0]), ("commune", busiest[1])]
        units += conn.execute("select distinct level, unit_code from bi.target_progress_daily where level = 'cooperative' order by 2 limit 3").fetchall()
        cells += [Cell(unit, day, "", level=level, target=indicator) for level, unit in units for indicator in ("store", "payment", "lead")]
        for cell in cells:
            answer = explaining.explain(conn, cell)
            proving.prove(conn, answer, landing)
            assert not answer.problems, answer.problems
            out = io.StringIO()
            telling.write_csv(answer, out)
            told += ["\n".join(telling.text(answer, 10_000)), out.getvalue()]
            rows |= {(r.export_id, r.source_row, r.code): r for _, e in telling.walk(answer.explanation) for x in e.entities for r in x.rows}
        assert {r.role for r in rows.values()} >= {"store", "household_list", "account", "product", "order", "hamlet", "member", "lead", "target"}
        for row in list(rows.values())[:: max(1, len(rows) // 300)]:
            assert row.code in landed(landing, row), row
        victim = next(iter(rows.values()))
        (tmp_path / "landing" / victim.landing_path).rename(tmp_path / "gone")
        seen = explaining.explain(conn, Cell(busiest[0], day, "stores"))
        proving.prove(conn, seen, landing)
        named = {r.landing_path for e in seen.explanation.entities for r in e.rows}
        assert (victim.landing_path in named) == any("not in the landing" in p.en for p in seen.problems)
    known = people(inbox)
    assert len(known) > 100
    everything = "\n".join(told)
    assert not [person for person in known if person in everything]
    assert not re.search(r"\b0[35789]\d{8}\b", everything)
