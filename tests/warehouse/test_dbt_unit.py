"""The dbt unit tests pass, and each bites: with its rule broken in a copy of the project, that test is red."""

from __future__ import annotations

import csv
import random
import re
import shutil
from datetime import date
from pathlib import Path

import psycopg
import pytest
from kinhteso import building
from rawworld import D0, RawWorld
from test_incremental import deliver_day, deliver_registers

#: Unit test -> (file, what stands there, what would be wrong).
BROKEN = {
    "a_decimal_kilogram_is_read_with_its_comma": ("staging/postmart/stg_postmart__products.sql", "* 1000)", "* 100)"),
    "rows_set_aside_and_exports_not_accepted_do_not_count": ("staging/postmart/stg_postmart__refunds.sql", "{{ accepted('postmart', 'refunds') }}", "(select r.*, e.business_day, e.version from raw.postmart_refunds as r join ops.export as e using (export_id))"),
    "a_code_and_a_name_that_disagree_are_not_resolved": ("staging/postmart/stg_postmart__stores.sql", "    and {{ same_commune('d.commune_name', 'd.district_name', 'c') }}", ""),
    "the_five_orders_count_to_the_dong": ("intermediate/int_effects.sql", "case when status in ('RETURNED', 'REFUNDED') then 0 else 1 end", "1"),
    "a_late_failed_attempt_does_not_undo_a_return": ("intermediate/int_orders__voso.sql", "case when g.carrier_code = 501 and g.is_returning then 'RETURNED'", "case when false then 'RETURNED'"),
    "the_latest_business_time_wins_not_the_latest_file": ("intermediate/int_orders__postmart.sql", "order by s.event_at desc, s.authority desc, s.status_rank desc", "order by s.version desc, s.event_at desc, s.status_rank desc"),
    "midnight_in_utc_is_seven_in_the_morning": ("intermediate/int_orders.sql", "parse.business_day(o.created_at) as created_day", "cast(o.created_at at time zone 'UTC' as date) as created_day"),
    "a_phone_shared_by_two_households_fits_none": ("intermediate/int_household_key.sql", "where household_code = other_household_code", "where true"),
    "a_household_on_both_platforms_counts_once": ("intermediate/int_stock__intervals.sql", "group by measure, platform, commune_code, household_code, island", "group by measure, platform, commune_code, household_code, island, valid_from, valid_to"),
    "a_team_needs_a_head_and_two_trained_besides": ("intermediate/int_teams__in_force.sql", "filter (where team_role <> 'HEAD' and is_trained)", "filter (where is_trained)"),
    "a_target_is_met_on_track_behind_or_overdue": ("kpi/target_progress_daily.sql", "case when t.target_value is not null and t.value is not null then greatest(t.target_value - t.value, 0) end", "greatest(t.target_value - t.value, 0)"),
}  # fmt: skip


@pytest.fixture(scope="module")
def built(postgres, template, tmp_path_factory):
    """A warehouse with every relation in place."""
    from psycopg.conninfo import make_conninfo

    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"create database kinhteso_unit template {template}")
    dsn = make_conninfo(postgres, dbname="kinhteso_unit")
    rng = random.Random(1)
    with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
        communes = [r for r in csv.DictReader(f) if r["list"] == "2021"]
    with psycopg.connect(dsn, autocommit=True) as conn:
        world = RawWorld(conn, communes)
        deliver_registers(world, date(2021, 7, 1), rng)
        deliver_day(world, D0, rng)
    building.build(dsn, D0, state_dir=tmp_path_factory.mktemp("dbt"))
    yield dsn
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute("drop database kinhteso_unit with (force)")


def statuses(dsn: str, state: Path) -> dict[str, str]:
    result = building.run_dbt(dsn, ["test", "--select", "test_type:unit"], state)
    assert result.result is not None, result.exception
    return {re.sub(r"_v\d+$", "", r.node.name): str(r.status) for r in result.result.results}  # of a versioned model the test's name ends in it


def test_unit_tests_pass_and_bite(built, tmp_path, monkeypatch):
    whole = statuses(built, tmp_path / "whole")
    assert set(whole) == set(BROKEN) and set(whole.values()) == {"pass"}, whole
    copy = tmp_path / "dbt_project"
    shutil.copytree(building.project_dir(), copy, ignore=shutil.ignore_patterns("target", "logs"))
    for name, (path, right, wrong) in BROKEN.items():
        model = copy / "models" / path
        text = model.read_text()
        assert right in text, f"{name}: {path} no longer says {right!r}"
        model.write_text(text.replace(right, wrong))
    monkeypatch.setenv("KINHTESO_DBT_PROJECT", str(copy))
    broken = statuses(built, tmp_path / "broken")
    assert {n for n, s in broken.items() if s == "pass"} == set(), broken
