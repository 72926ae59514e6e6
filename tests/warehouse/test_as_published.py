"""Every release as it went out (KPI §1.11): what BI saw in a release is what the view says of it, cell by cell, whatever came later."""

from __future__ import annotations

import csv
import random
from datetime import date, timedelta

import psycopg
import pytest
from kinhteso import as_published, building, publishing
from rawworld import D0, RawWorld
from released import columns, differences, seen, unexplained, untraced
from test_incremental import deliver_day, deliver_registers
from written import edit, own_project


@pytest.fixture()
def world(warehouse_dsn, tmp_path, monkeypatch):
    monkeypatch.setenv("KINHTESO_DBT_STATE", str(tmp_path))
    with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
        communes = [r for r in csv.DictReader(f) if r["list"] == "2021"]
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        yield RawWorld(conn, communes)


def release(world: RawWorld, dsn: str, kept: dict[int, dict], *, full: bool = False) -> publishing.Release:
    """Build, publish, and keep a copy of what BI sees."""
    scope = building.build(dsn, D0, full_refresh=full)
    published = publishing.publish(dsn, scope)
    kept[published.release_id] = seen(world.conn, kept.get(max(kept, default=0)))
    return published


def test_each_release_is_told_as_it_went_out(world, warehouse_dsn):
    """Days out of order, a version 2, corrected registers, a full build, a build that finds nothing new: each past release stays what it was."""
    rng, kept = random.Random(5), {}
    deliver_registers(world, date(2021, 7, 1), rng)
    for day in (D0, D0 + timedelta(days=2), D0 + timedelta(days=1)):
        deliver_day(world, day, rng)
        release(world, warehouse_dsn, kept)
    deliver_day(world, D0 + timedelta(days=1), rng, version=2)
    deliver_registers(world, D0 + timedelta(days=1), rng)
    release(world, warehouse_dsn, kept)
    versions = "select count(*), count(*) filter (where valid_to_release is null) from ops.kpi_commune_daily_version"
    before = world.conn.execute(versions).fetchone()
    assert not release(world, warehouse_dsn, kept, full=True).is_new
    assert world.conn.execute(versions).fetchone() == before, "what is built again as it was keeps nothing"
    assert sorted(kept) == [1, 2, 3, 4] and differences(world.conn, kept) == []
    assert before[1] == len(kept[4]) and before[0] < sum(map(len, kept.values())) / 2, "only what moved is kept"
    assert len({tuple(sorted(map(str, rows.values()))) for rows in kept.values()}) == 4, "the world has to move"
    assert unexplained(world.conn, kept) == [] and untraced(world.conn) == []
    assert world.conn.execute("select count(distinct export_id) > 10 from bi.kpi_restatement").fetchone() == (True,)


def test_the_comparison_finds_a_row_that_was_not_kept(world, warehouse_dsn, monkeypatch):
    """The guard bites: a release that forgets one row that it put into bi is found."""
    rng, kept, keep = random.Random(5), {}, as_published.keep
    deliver_registers(world, date(2021, 7, 1), rng)
    deliver_day(world, D0, rng)
    release(world, warehouse_dsn, kept)
    came = "pg_temp.came_kpi_commune_daily"
    lost = f"delete from {came} where (geography, commune_code, date) in (select geography, commune_code, date from {came} order by date desc, commune_code limit 1)"
    monkeypatch.setattr(as_published, "keep", lambda conn, id: (conn.execute(lost), keep(conn, id)))
    deliver_day(world, D0 + timedelta(days=1), rng)
    release(world, warehouse_dsn, kept)
    assert [w.split(": ", 1)[0] for w in differences(world.conn, kept)] == ["release 2"]


def test_a_warehouse_that_was_published_before_keeps_its_standing_release(world, warehouse_dsn):
    rng, kept = random.Random(6), {}
    deliver_registers(world, date(2021, 7, 1), rng)
    deliver_day(world, D0, rng)
    release(world, warehouse_dsn, {})
    deliver_day(world, D0 + timedelta(days=1), rng)
    release(world, warehouse_dsn, kept)
    world.conn.execute("drop view bi.kpi_commune_daily_as_published; drop table ops.kpi_commune_daily_version")  # as before the upgrade
    deliver_day(world, D0 + timedelta(days=2), rng)
    release(world, warehouse_dsn, kept)
    assert sorted(kept) == [2, 3] and differences(world.conn, kept) == []
    assert world.conn.execute("select distinct release_id from bi.kpi_commune_daily_as_published order by 1").fetchall() == [(2,), (3,)], "1 is not known"


def test_a_column_that_comes_or_goes_leaves_past_releases_as_they_were(world, warehouse_dsn, tmp_path, monkeypatch):
    """dbt gains a column, and a type grows: what went out before has null in the new one and stays as it was to the digit."""
    project = own_project(monkeypatch, tmp_path)
    rng, kept = random.Random(6), {}
    deliver_registers(world, date(2021, 7, 1), rng)
    deliver_day(world, D0, rng)
    release(world, warehouse_dsn, kept)
    before = columns(world.conn)
    edit(
        project / "models/kpi/kpi_commune_daily.sql", " end as completeness\nfrom judged", " end as completeness,\n    cast(7 as integer) as probe\nfrom judged"
    )
    edit(project / "models/kpi/kpi_commune_daily.sql", "end as numeric(9, 6))\n        as match_rate", "end as numeric(12, 9))\n        as match_rate")
    models = project / "models/kpi/_kpi__models.yml"
    text = models.read_text(encoding="utf-8")
    end = text.index("  - name: kpi_district_daily")
    own = text[:end].replace("- name: match_rate\n        data_type: numeric(9,6)", "- name: match_rate\n        data_type: numeric(12,9)").rstrip()
    probe = '\n      - name: probe\n        data_type: integer\n        description: "Thử · Probe"\n'
    models.write_text(own + probe + text[end:], encoding="utf-8")
    deliver_day(world, D0 + timedelta(days=1), rng)
    release(world, warehouse_dsn, kept)
    assert "probe" in columns(world.conn) and differences(world.conn, kept) == []
    assert unexplained(world.conn, kept) == [], "a table that was made again restates what moved and nothing else"
    assert world.conn.execute("select distinct release_id, probe from bi.kpi_commune_daily_as_published order by 1").fetchall() == [(1, None), (2, 7)]
    assert world.conn.execute("select count(*) from bi.kpi_commune_daily_as_published where release_id = 1").fetchone() == (len(kept[1]),)
    assert set(before) <= set(columns(world.conn))


def test_readers_of_bi_see_past_releases_and_nothing_of_ops(world, warehouse_dsn):
    rng = random.Random(6)
    deliver_registers(world, date(2021, 7, 1), rng)
    deliver_day(world, D0, rng)
    release(world, warehouse_dsn, {})
    with world.conn.transaction(force_rollback=True):
        world.conn.execute("set local role bi_reader")
        assert world.conn.execute("select count(*) > 100 from bi.kpi_commune_daily_as_published where release_id = 1").fetchone() == (True,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            world.conn.execute("select 1 from ops.kpi_commune_daily_version")
