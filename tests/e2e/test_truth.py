"""Every column of every row of the KPI tables, on every list of communes, against a recount of the delivered bytes that shares nothing with the pipeline."""

from __future__ import annotations

import csv
import shutil
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from kinhteso import building
from kinhteso.settings import Settings
from oracle.geography import Geographies
from pipeline import Pipeline
from served import simulators

from simulators import campaign

REFORM = date(2021, 9, 19)
#: The reforms come within the world's days: the seeds' dates are moved, units and shares are the real ones.
DATES = {"2021": ("2020-01-01", "2021-09-19"), "2024": ("2021-09-20", "2021-09-20"), "2025": ("2021-09-21", "")}


def project(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """A copy of dbt_project/ in which the lists follow each other within a week; its seeds."""
    shutil.copytree(building.project_dir(), folder / "dbt_project", ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setenv("KINHTESO_DBT_PROJECT", str(folder / "dbt_project"))
    seeds = folder / "dbt_project" / "seeds"
    rows = list(csv.DictReader((seeds / "commune_list.csv").open(encoding="utf-8", newline="")))
    with (seeds / "commune_list.csv").open("w", encoding="utf-8", newline="") as f:
        out = csv.DictWriter(f, list(rows[0]), lineterminator="\n")
        out.writeheader()
        for r in rows:
            since, until = DATES.get(r["list"], (r["valid_from"], r["valid_to"]))
            out.writerow(r | {"valid_from": since, "valid_to": until})
    return seeds


def know_hamlets(seeds: Path, world) -> None:
    """Of every split unit the new commune of some of its hamlets."""
    geo = Geographies(seeds)
    with (seeds / "hamlet_succession.csv").open("a", encoding="utf-8") as f:
        for c in world.communes:
            ways = sorted({(geo.pieces[n].units[1], geo.pieces[n].units[2]) for n in geo.of_unit["2021", c.code]})
            for k, hamlet in enumerate(c.hamlets[1:] if len(ways) > 1 and len(c.hamlets) > 3 else ()):
                middle, last = ways[k % 2]
                old, new = (("2021", c.code), ("2024", middle)) if len({m for m, _ in ways}) > 1 else (("2024", middle), ("2025", last))
                f.write(f"{old[0]},{old[1]},{hamlet},{new[0]},{new[1]},test\n")


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1])
def test_a_world_whose_communes_are_split_and_joined(seed, warehouse_dsn, tmp_path, monkeypatch):
    seeds, world = project(monkeypatch, tmp_path), campaign.make("reform", seed, REFORM)
    know_hamlets(seeds, world)
    with simulators(tmp_path / "sources", "--inbox", str(tmp_path / "inbox"), "--world", "reform", "--seed", str(seed), "--first-day", str(REFORM)) as served:
        settings = Settings(str(tmp_path / "landing"), str(tmp_path / "inbox"), "demo-pepper", REFORM)
        pipeline = Pipeline(warehouse_dsn, settings, served, tmp_path / "dbt", [])
        for n in range(4):
            pipeline.take(REFORM + timedelta(days=n))
            if n in (1, 3):
                pipeline.release()
        assert pipeline.problems == []
    with psycopg.connect(warehouse_dsn) as conn:
        lists = dict(conn.execute("select geography, count(distinct date) from bi.kpi_commune_daily group by 1").fetchall())
        estimated = {
            c for (c,) in conn.execute("select distinct commune_code from bi.kpi_commune_daily where geography = '2025' and completeness = 'ESTIMATED'")
        }
    assert lists["2024"] == 1 and lists["2021"] == lists["2025"] > 50
    assert estimated == {"06004", "06040", "06613", "06625", "06637"}
    wrong = pipeline.recounted(seeds=seeds, hamlets_on=10)
    assert wrong == [], f"{len(wrong)} differences: {wrong[:30]}"
    with psycopg.connect(warehouse_dsn) as conn:  # and what is wrong is seen
        for table, unit in (
            ("kpi_commune_daily", "geography = '2025' and commune_code = '06625'"),
            ("kpi_district_daily", "geography = '2024' and district_code = '189'"),
            ("kpi_province_daily", "geography = '2025'"),
        ):
            conn.execute(f"update bi.{table} set revenue_net_vnd_to_date = revenue_net_vnd_to_date + 1 where date = '2021-09-20' and {unit}")
    assert [text.split(":")[0] for text in pipeline.recounted(seeds=seeds)] == [
        f"kpi_{unit} 2021-09-20 revenue_net_vnd_to_date" for unit in ("commune_daily 2025 06625", "district_daily 2024 189", "province_daily 2025 20")
    ]


CAMPAIGN = date(2021, 9, 12)


@pytest.mark.only_truth
@pytest.mark.timeout(1800)
def test_the_campaign(warehouse_dsn, tmp_path):
    """The world of `make demo`: the days that are rebuilt from its backlog, the backlog's own, and the next."""
    with simulators(tmp_path / "sources", "--inbox", str(tmp_path / "inbox"), "--world", "campaign", "--first-day", str(CAMPAIGN)) as served:
        settings = Settings(str(tmp_path / "landing"), str(tmp_path / "inbox"), "demo-pepper", CAMPAIGN)
        pipeline = Pipeline(warehouse_dsn, settings, served, tmp_path / "dbt", [])
        for n in range(2):
            pipeline.take(CAMPAIGN + timedelta(days=n))
        pipeline.release()
        assert pipeline.problems == []
    with psycopg.connect(warehouse_dsn) as conn:
        (cells,) = conn.execute(
            "select (select count(*) from bi.kpi_commune_daily) * (select count(*) from information_schema.columns where table_schema = 'bi' and table_name = 'kpi_commune_daily')"
        ).fetchone()
    assert cells > 500_000
    wrong = pipeline.recounted(hamlets_on=10)
    assert wrong == [], f"{len(wrong)} differences: {wrong[:30]}"
