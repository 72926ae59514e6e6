"""Business days from the servers to `bi`, against a recount in plain Python; the five orders of the contract to the đồng."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from kinhteso.settings import Settings
from oracle import MEASURES, recount
from pipeline import Pipeline
from served import simulators

from simulators import campaign

FIRST = date(2021, 9, 12)
GOLDEN = "06463"
#: Day of September -> placed, valid, delivered (now successful), revenue gross, refunds, revenue net; cumulative (contract §8.8).
FIVE = {
    14: (3, 3, 0, 0, 0, 0), 15: (5, 4, 0, 0, 0, 0), 16: (5, 3, 1, 295_000, 0, 295_000), 17: (5, 3, 2, 745_000, 0, 745_000),
    20: (5, 3, 2, 745_000, 0, 745_000), 24: (5, 3, 1, 745_000, 295_000, 450_000),
}  # fmt: skip

#: The other days wait for the next release, as after a night without one.
RELEASED = {12, 19, *FIVE}


@pytest.fixture()
def pipeline(warehouse_dsn, tmp_path, request):
    inbox, faults = tmp_path / "inbox", request.param
    with simulators(tmp_path / "sources", "--inbox", str(inbox), "--faults", faults) as served:
        settings = Settings(str(tmp_path / "landing"), str(inbox), "demo-pepper", FIRST)
        yield Pipeline(warehouse_dsn, settings, served, tmp_path / "dbt", [])


def compare(pipeline: Pipeline, world, day: date, known_on: date, but: set[str] = frozenset()) -> None:
    found, wanted = pipeline.cells(day, MEASURES), recount(world, day, known_on)
    for code, cell in wanted.items():
        differs = {m: (cell[m], found[code][m]) for m in MEASURES if m not in but and cell[m] != found[code][m]}
        assert not differs, f"{code} on {day}, known on {known_on}: (recounted, published) {differs}"


@pytest.mark.parametrize("pipeline", ["F07@2021-09-15,F10@2021-09-17"], indirect=True)
def test_days_come_out_as_recounted(pipeline):
    world = campaign.make("small", 1, FIRST)
    for n in range(13):
        day = FIRST + timedelta(days=n)
        pipeline.take(day)
        if day.day not in RELEASED:
            continue
        release = pipeline.release()
        assert release is not None and release.business_date == str(day)
        if day.day in FIVE:
            with psycopg.connect(pipeline.dsn) as conn:
                sums = conn.execute(
                    "select sum(orders_placed), sum(orders_valid), sum(orders_delivered), sum(revenue_gross_vnd), sum(refunds_vnd), sum(revenue_net_vnd)"
                    " from bi.kpi_commune_daily where geography = '2021' and commune_code = %s and date between '2021-09-01' and %s",
                    [GOLDEN, day],
                ).fetchone()
            # Nothing of the 15th came from Postmart until the 18th: O3's cancelling on that day was not known before.
            late = day.day in (15, 16)
            assert tuple(map(int, sums)) == ((5, FIVE[day.day][1] + 1, *FIVE[day.day][2:]) if late else FIVE[day.day]), day
        if day.day in (12, 14, 19, 24):
            compare(pipeline, world, day, day)
    for n in range(13):
        day = FIRST + timedelta(days=n)
        touched = {"orders_placed", "orders_valid", "orders_out_of_province", "revenue_gross_vnd", "revenue_net_vnd"} if day.day >= 17 else set()
        compare(pipeline, world, day, FIRST + timedelta(days=12), but=touched)
    assert pipeline.problems == []
    assert pipeline.recounted() == []
    with psycopg.connect(pipeline.dsn) as conn:
        assert conn.execute(
            "select count(*) from ops.export where rows_delivered <> rows_loaded + rows_quarantined + rows_duplicate + rows_superseded"
        ).fetchone() == (0,)
        superseded = conn.execute("select business_day, version from ops.export where state = 'superseded' and source = 'postmart'").fetchall()
    assert superseded == [(date(2021, 9, 17), 1)]


@pytest.mark.parametrize("pipeline", ["F01@2021-09-12,F02@2021-09-12,F03@2021-09-12,F09@2021-09-13,F04@2021-09-14"], indirect=True)
def test_damaged_deliveries_are_refused_and_the_others_count(pipeline):
    pipeline.take(FIRST)
    with psycopg.connect(pipeline.dsn) as conn:
        states = dict(
            conn.execute("select source || '/' || dataset, state from ops.export where business_day = %s and source <> 'registers'", [FIRST]).fetchall()
        )
        assert states.pop("postmart/orders") == "expected" and states.pop("postmart/refunds") == "expected"
        assert set(states.values()) == {"accepted"} and len(states) == 9
    assert sum("damaged" in p for p in pipeline.problems) == 2, pipeline.problems
    assert any(p.suffix == ".xlsx" and p.name.startswith("refused-") for p in Path(pipeline.settings.landing).rglob("*")), "what came is kept"
    pipeline.problems.clear()
    pipeline.take(FIRST + timedelta(days=1))
    assert any("rows declared, 0 found" in p for p in pipeline.problems), pipeline.problems
    assert not any("damaged" in p for p in pipeline.problems), "yesterday's damage is told once, not with every later day"
    pipeline.problems.clear()
    pipeline.take(FIRST + timedelta(days=2), at="02:00", sources=("postmart",))
    with psycopg.connect(pipeline.dsn) as conn:
        query = "select count(*) from ops.export where source = 'postmart' and business_day = %s and state = 'accepted'"
        assert conn.execute(query, [FIRST + timedelta(days=2)]).fetchone() == (0,), "never without the marker"
        pipeline.take(FIRST + timedelta(days=2), at="06:00", sources=("postmart",))
        assert conn.execute(query, [FIRST + timedelta(days=2)]).fetchone() == (5,)
        digest = "select md5(string_agg(export_id || state || coalesce(rows_loaded::text, ''), ',' order by export_id)) from ops.export"
        before = conn.execute(digest).fetchone()
        pipeline.take(FIRST + timedelta(days=2), at="06:00", sources=("postmart",))
        assert conn.execute(digest).fetchone() == before, "twice changes nothing"


@pytest.mark.parametrize("pipeline", [""], indirect=True)
def test_a_file_overwritten_under_its_name_is_told_kept_and_not_taken(pipeline):
    pipeline.take(FIRST)
    folder = pipeline.served.state / "sftp" / "langson" / "outbox" / f"{FIRST:%Y%m%d}"
    file, manifest = folder / f"PM_LSN_SANPHAM_{FIRST:%Y%m%d}_v1.zip", folder / f"MANIFEST_{FIRST:%Y%m%d}_v1.csv"
    content = file.read_bytes()
    changed = content + b" "  # a ZIP may end with anything
    said = manifest.read_text("utf-8-sig").replace(hashlib.sha256(content).hexdigest(), hashlib.sha256(changed).hexdigest())
    file.write_bytes(changed)
    manifest.write_bytes(said.replace(f";{len(content)};", f";{len(changed)};").encode("utf-8-sig"))
    query = "select dataset, state, sha256 from ops.export where source = 'postmart' order by dataset"
    with psycopg.connect(pipeline.dsn, autocommit=True) as conn:
        before = conn.execute(query).fetchall()
        pipeline.take(FIRST, sources=("postmart",))
        (problem,) = pipeline.problems
        assert "came again with other content" in problem and "higher version" in problem and file.name in problem
        assert conn.execute(query).fetchall() == before, "what was taken stays in force"
        assert any(p.read_bytes() == changed for p in Path(pipeline.settings.landing).rglob(file.name)), "what came is kept"
        pipeline.problems.clear()
        pipeline.take(FIRST + timedelta(days=1), sources=("postmart",))
        assert pipeline.problems == [], "told once, and the next day goes on"
        assert conn.execute("select count(*) from ops.export where state = 'accepted' and source = 'postmart'").fetchone() == (10,)
