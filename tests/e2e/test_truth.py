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

REFORM = date(2021, 9, 17)
#: The reforms come within the world's days: the seeds' dates are moved, units and shares are the real ones.
DATES = {"2021": ("2020-01-01", "2021-09-18"), "2024": ("2021-09-19", "2021-09-20"), "2025": ("2021-09-21", "")}


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
            for k, hamlet in enumerate(c.hamlets[1:] if len(ways) > 1 else ()):
                middle, last = ways[k % 2]
                old, new = (("2021", c.code), ("2024", middle)) if len({m for m, _ in ways}) > 1 else (("2024", middle), ("2025", last))
                f.write(f"{old[0]},{old[1]},{hamlet},{new[0]},{new[1]},test\n")


@pytest.mark.parametrize("seed", [1])
def test_a_world_whose_communes_are_split_and_joined(seed, warehouse_dsn, tmp_path, monkeypatch):
    from simulators import campaign

    seeds = project(monkeypatch, tmp_path)
    know_hamlets(seeds, campaign.make("reform", seed, REFORM))
    with simulators(tmp_path / "sources", "--inbox", str(tmp_path / "inbox"), "--world", "reform", "--seed", str(seed), "--first-day", str(REFORM)) as served:
        settings = Settings(str(tmp_path / "landing"), str(tmp_path / "inbox"), "demo-pepper", REFORM)
        pipeline = Pipeline(warehouse_dsn, settings, served, tmp_path / "dbt", [])
        for n in range(5):
            pipeline.take(REFORM + timedelta(days=n))
            if n in (0, 3, 4):
                pipeline.release()
        assert pipeline.problems == []
    with psycopg.connect(warehouse_dsn) as conn:
        lists = dict(conn.execute("select geography, count(distinct date) from bi.kpi_commune_daily group by 1").fetchall())
        estimated = {
            c for (c,) in conn.execute("select distinct commune_code from bi.kpi_commune_daily where geography = '2025' and completeness = 'ESTIMATED'")
        }
    assert lists["2024"] == 2 and lists["2021"] == lists["2025"] > 50
    assert estimated == {"06004", "06040", "06613", "06625", "06637"}
    wrong = pipeline.recounted(seeds=seeds)
    assert wrong == [], f"{len(wrong)} differences: {wrong[:30]}"


CAMPAIGN = date(2021, 9, 14)


@pytest.mark.timeout(1800)
def test_the_campaign(warehouse_dsn, tmp_path):
    """The world of `make demo`, with two of its days."""
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
    wrong = pipeline.recounted()
    assert wrong == [], f"{len(wrong)} differences: {wrong[:30]}"
