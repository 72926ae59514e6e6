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
from oracle import KEYS
from oracle.geography import Geographies
from pipeline import Counted, Pipeline
from served import simulators

from simulators import campaign, later, registers

#: Two days before the reform of 2025-07-01; in `make test` one from it on.
FIRST_DAY = date(2025, 6, 29)
#: The campaign is moved to the reform, the lists are the real ones: phase -> kick-off, due date.
PHASES = {"1": ("2025-06-14", "2025-06-30"), "2": ("2025-06-30", "2025-08-30")}


def project(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """A copy of dbt_project/ in which the campaign comes with the reform, and the platforms' codes of the new units are known; its seeds."""
    shutil.copytree(building.project_dir(), folder / "dbt_project", ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setenv("KINHTESO_DBT_PROJECT", str(folder / "dbt_project"))
    seeds = folder / "dbt_project" / "seeds"
    rewrite(seeds / "campaign_phase.csv", lambda rows: [r | dict(zip(("kick_off", "due_on"), PHASES[r["phase"]], strict=True)) for r in rows])
    new = {c.code: c for parts in later.successors().values() for c in parts}
    rewrite(
        seeds / "commune_crosswalk.csv",
        lambda rows: rows + [
            dict.fromkeys(rows[0], "") | {
                "gso_code": c.code, "gso_name": c.name, "unit_type": c.unit_type, "name_short": c.name.removeprefix(c.unit_type).strip(), "list": "2025",
                "valid_from": "2025-07-01", "vtp_province_id": "22", "vtp_wards_id": str(c.vtp_ward), "vnpost_commune_code": c.vnpost,
            }
            for c in new.values()
        ],
    )  # fmt: skip
    return seeds


def rewrite(seed: Path, change) -> None:
    with seed.open(encoding="utf-8", newline="") as f:
        rows = change(list(csv.DictReader(f)))
    with seed.open("w", encoding="utf-8", newline="") as f:
        out = csv.DictWriter(f, list(rows[0]), lineterminator="\n")
        out.writeheader()
        out.writerows(rows)


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


def deliver_new_registers(inbox: Path, world, as_of: date) -> None:
    """R1, R1b, R2 and R4 of two units of the new list: Đình Lập with the households of the old one and of two hamlets of Bính Xá, whose own list stays in
    force for the rest of it; Khánh Khê, of parts of both phases, with all of them. A household keeps its code."""
    index, ways = {c.code: n for n, c in enumerate(world.communes)}, later.successors()
    gone = set(world.communes[index["06622"]].hamlets[:2])
    for code, name in (("06613", "Xã Đình Lập"), ("06286", "Xã Khánh Khê")):
        whole = {n for c, n in index.items() if [w.code for w in ways[c]] == [code]}
        homes = [h for h in world.households if h.commune in whole or (code == "06613" and h.commune == index["06622"] and h.hamlet in gone)]
        hamlets = sorted({h.hamlet for h in homes})
        r1 = [(n, code, name, h, sum(x.hamlet == h for x in homes), None, None, None, None, None, None) for n, h in enumerate(hamlets, 1)]
        r1b = [(n, h.code, h.head, h.citizen, h.phone, h.hamlet, h.persons, f"{as_of:%d/%m/%Y}") for n, h in enumerate(homes, 1)]
        r2 = [
            (n, name, hamlet, "9/QĐ-UBND ngày 1/7/2025", f"Người {n}", 1980, "Trưởng thôn", registers.ROLES[role], f"0900{n:06d}", "Có", date(2025, 6, 20), "Viettel Post", None)
            for n, (hamlet, role) in enumerate(((h, role) for h in hamlets[::2] for role in ("HEAD", "MEMBER", "MEMBER")), 1)
        ]  # fmt: skip
        r4 = [
            (n, name, h.hamlet, h.code, h.head, h.phone, "Hồi", "Postmart", None, as_of - timedelta(days=n % 9), as_of if n == 5 else None, None)
            for n, h in enumerate(homes[::6], 1)
        ]
        for register, word, title, headings, rows in (
            ("R1", "01", "BIỂU SỐ 01: TỔNG HỢP SỐ HỘ THEO THÔN, BẢN, KHỐI PHỐ", registers.R1, r1), ("R1B", "01b", "DANH SÁCH HỘ GIA ĐÌNH", registers.R1B, r1b),
            ("R2", "02", "BIỂU SỐ 02: DANH SÁCH TỔ CÔNG NGHỆ CỘNG ĐỒNG", registers.R2, r2), ("R4", "04", "BIỂU SỐ 04: DANH SÁCH HỘ ĐẦU TÀU", registers.R4, r4),
        ):  # fmt: skip
            form = registers.Form(register, as_of, plain=register == "R1B")
            form.sheet(name, "Tỉnh Lạng Sơn", name, title, headings, rows)
            (inbox / f"Bieu{word}_{code}_{as_of:%Y%m%d}.xlsx").write_bytes(form.content())


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("seed", "days"), [(1, 3), pytest.param(2, 5, marks=pytest.mark.only_truth)])
def test_a_world_whose_communes_are_split_and_joined(seed, days, warehouse_dsn, tmp_path, monkeypatch):
    seeds, world = project(monkeypatch, tmp_path), campaign.make("reform", seed, FIRST_DAY)
    know_hamlets(seeds, world)
    with simulators(
        tmp_path / "sources", "--inbox", str(tmp_path / "inbox"), "--world", "reform", "--seed", str(seed), "--first-day", str(FIRST_DAY)
    ) as served:
        settings = Settings(str(tmp_path / "landing"), str(tmp_path / "inbox"), "demo-pepper", FIRST_DAY)
        pipeline = Pipeline(warehouse_dsn, settings, served, tmp_path / "dbt", [])
        for n in range(days):
            if n == days - 1:
                deliver_new_registers(tmp_path / "inbox", world, later.REFORM)
            pipeline.take(FIRST_DAY + timedelta(days=n))
            if n in (1, days - 1):
                pipeline.release()
        assert pipeline.problems == []
    with psycopg.connect(warehouse_dsn) as conn:
        lists = dict(conn.execute("select geography, count(distinct date) from bi.kpi_commune_daily group by 1").fetchall())
        estimated = {
            c for (c,) in conn.execute("select distinct commune_code from bi.kpi_commune_daily where geography = '2025' and completeness = 'ESTIMATED'")
        }
        sold = conn.execute(
            """select l.created_date, l.geography, c.commune_name from bi.fct_order_line as l
               join bi.dim_commune as c on c.geography = l.geography and c.commune_code = l.commune_code"""
        ).fetchall()
    assert {geography for day, geography, _ in sold if day <= FIRST_DAY} == {"2021"}
    assert {"Xã Đình Lập", "Xã Khánh Khê"} <= {name for day, geography, name in sold if day >= later.REFORM and geography == "2025"}
    assert lists["2024"] == lists["2025"] - (days - 2) and lists["2021"] == lists["2025"] > 25
    assert estimated == {"06004", "06040", "06613", "06625", "06637"}
    counted = pipeline.counted(seeds=seeds)
    wrong = pipeline.compared(counted)
    assert wrong == [], f"{len(wrong)} differences in {counted.cells} cells: {wrong[:30]}"
    wanted = spoil(warehouse_dsn, counted)
    told = [text.split(":")[0] for text in pipeline.compared(counted)]
    assert sorted(text for text in told if not text.startswith("(")) == sorted(wanted)  # (…: what the hamlet's row gives away now


def spoil(dsn: str, counted: Counted) -> list[str]:
    """Change one cell of every table of `bi`, add a column, a table and a view, and take a column away: what the comparison has to say of each."""
    wanted = []
    with psycopg.connect(dsn) as conn:
        conn.execute("set session_replication_role = replica")  # keys of other tables are not the matter
        for name, rows in counted.tables.items():
            key, row = next((k, r) for k, r in sorted(rows.items(), key=str) if any(v is not None and c != "suppressed" for c, v in r.items()))
            column = next(c for c, v in row.items() if v is not None and c != "suppressed")
            keys = (KEYS | {"release": ("release_id",)})[name]
            value = row[column]
            new = (
                not value
                if isinstance(value, bool)
                else value + timedelta(days=1)
                if isinstance(value, date)
                else f"{value} x"
                if isinstance(value, str)
                else value + 1
            )
            where = " and ".join(f"{k} = %s" for k in keys)
            assert conn.execute(f"update bi.{name} set {column} = %s where {where}", [new, *key]).rowcount == 1
            wanted.append(f"{name} {' '.join(str(k) for k in key)} {column}")
        for statement in (
            "alter table bi.dim_wallet add column fee_vnd bigint", "create table bi.kpi_hamlet_weekly (week date)",
            "create view bi.kpi_platform_daily as select date from bi.kpi_province_daily", "alter table bi.dim_platform drop column name_en",
        ):  # fmt: skip
            conn.execute(statement)
        wanted += ["dim_wallet.fee_vnd", "kpi_hamlet_weekly", "kpi_platform_daily"]
        # a column more or less is told of each row too
        wanted += [f"dim_wallet {key[0]} fee_vnd" for key in counted.tables["dim_wallet"]] + [
            f"dim_platform {key[0]} name_en" for key in counted.tables["dim_platform"]
        ]
    return wanted


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
    counted = pipeline.counted()
    wrong = pipeline.compared(counted)
    print(f"{counted.cells} cells of {len(counted.tables)} tables")
    assert wrong == [], f"{len(wrong)} differences in {counted.cells} cells: {wrong[:30]}"
