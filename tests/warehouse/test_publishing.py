"""One release: a reader that polls `bi` during publishes sees the old one or the new one, whole; and bi_reader sees `bi` only."""

from __future__ import annotations

import csv
import random
import threading
from datetime import date, timedelta

import psycopg
import pytest
from kinhteso import building, publishing
from rawworld import D0, RawWorld
from test_incremental import deliver_day, deliver_registers

#: What one release must say in all its tables at once.
SEEN = """select (select max(release_id) from bi.release), (select max(release_id) from bi.kpi_commune_daily),
                 (select max(date) from bi.kpi_commune_daily), (select max(date) from bi.kpi_province_daily),
                 (select sum(orders_placed) from bi.kpi_commune_daily), (select sum(orders_placed) from bi.kpi_province_daily),
                 (select count(*) from bi.kpi_commune_daily)"""


@pytest.fixture()
def world(warehouse_dsn, tmp_path, monkeypatch):
    monkeypatch.setenv("KINHTESO_DBT_STATE", str(tmp_path))
    with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
        communes = [r for r in csv.DictReader(f) if r["list"] == "2021"]
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        yield RawWorld(conn, communes)


def test_a_poller_never_sees_a_mixed_state(world, warehouse_dsn):
    rng = random.Random(3)
    deliver_registers(world, date(2021, 7, 1), rng)
    deliver_day(world, D0, rng)
    publishing.publish(warehouse_dsn, building.build(warehouse_dsn, D0))
    deliver_day(world, D0 + timedelta(days=1), rng)
    scope = building.build(warehouse_dsn, D0)
    states, stop, polls, broken = set(), threading.Event(), [0], []

    def poll():
        with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
            while not stop.is_set():
                try:
                    states.add(conn.execute(SEEN).fetchone())
                except psycopg.Error as error:
                    broken.append(error)
                polls[0] += 1

    threads = [threading.Thread(target=poll) for _ in range(2)]
    for t in threads:
        t.start()
    while polls[0] < 5:
        pass
    publishing.publish(warehouse_dsn, scope)
    after = polls[0]
    while polls[0] < after + 5:
        pass
    stop.set()
    for t in threads:
        t.join()
    assert broken == []
    assert len(states) == 2, f"one state before and one after, seen {states}"
    for release, _, commune_day, province_day, communes, province, _ in states:
        assert commune_day == province_day and communes == province, release


def test_the_poller_would_see_a_publish_in_pieces(world, warehouse_dsn):
    """The guard bites: tables changed one by one give a third state."""
    rng = random.Random(3)
    deliver_registers(world, date(2021, 7, 1), rng)
    deliver_day(world, D0, rng)
    publishing.publish(warehouse_dsn, building.build(warehouse_dsn, D0))
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        before = conn.execute(SEEN).fetchone()
        assert publishing.strays(conn) == []
        conn.execute("update bi.kpi_province_daily set orders_placed = orders_placed + 1 where date = %s", [D0])
        assert [line.split()[0] for line in publishing.strays(conn)] == ["bi.kpi_province_daily"], "what a hand has changed is told"
        mixed = conn.execute(SEEN).fetchone()
    assert mixed != before and mixed[4] != mixed[5]


def test_tables_and_columns_carry_comments_in_both_languages(world, warehouse_dsn):
    rng = random.Random(3)
    deliver_registers(world, date(2021, 7, 1), rng)
    deliver_day(world, D0, rng)
    scope = building.build(warehouse_dsn, D0)
    publishing.publish(warehouse_dsn, scope)
    with psycopg.connect(warehouse_dsn) as conn:
        bare = conn.execute(
            """select c.table_name, c.column_name from information_schema.columns as c
               where c.table_schema = 'bi' and coalesce(col_description(format('bi.%I', c.table_name)::regclass, c.ordinal_position), '') not like '%%·%%'"""
        ).fetchall()
        odd = conn.execute(
            "select table_name, column_name, data_type from information_schema.columns where table_schema = 'bi' and data_type in ('ARRAY', 'json', 'jsonb', 'USER-DEFINED')"
        ).fetchall()
    assert bare == [] and odd == []

    keys = (
        "select conrelid::regclass::text, confrelid::regclass::text from pg_constraint where contype = 'f' and connamespace = 'bi'::regnamespace order by 1, 2"
    )
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        declared = conn.execute(keys).fetchall()
        wanted = sorted((f"bi.{table.name}", f"bi.{other}") for table in publishing.TABLES for _, other, _ in table.references)
        assert [k for k in declared if k in wanted] == wanted
        conn.execute("alter table bi.dim_commune add column surplus text")  # as an older release may have had it: the table is made again
        publishing.publish(warehouse_dsn, scope)
        assert conn.execute(keys).fetchall() == declared, "what refers to a table that was made again refers to the new one"
