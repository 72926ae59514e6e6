"""Peak memory at one and ten times the rows; addresses; the folder of DAGs; Airflow around the campaign's days."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable

import psycopg
from kinhteso.local.cli import DEMO_DAYS
from kinhteso.local.postgres import EmbeddedPostgres

from bench import data
from bench.data import DAY
from bench.days import History
from bench.judged import JUDGED, Loaded
from bench.loads import RawLoad
from bench.measuring import Measurement, Ratio, Side, Taken, must_be
from bench.stage import ROOT, ChildFailed, Stage
from bench.worlds import World

# ---- memory --------------------------------------------------------------------------------------------------------------------


def memory(stage: Stage, size: float) -> Measurement:
    """Each worker at one and ten times the rows; only the peak is of interest."""
    sides: list[Side] = []
    ratios: list[Ratio] = []
    ends: list[Callable[[], None]] = []

    def pair(what: str, unit: int, side: Callable[[int, str], Side]) -> None:
        both = [side(n, f"{what}, {n:,}") for n in (unit, unit * 10)]
        sides.extend(both)
        ratios.append(Ratio(f"memory at 10 × the rows: {what}", both[1].name, both[0].name, "peak_mb", 1.1))

    def csv_side(rows: int, name: str) -> Side:
        archive, _, known = data.order_export(stage.data, rows)
        load = RawLoad(stage, "postmart", [archive], known)
        return Side(name, rows, load.run, load.check, load.close, rounds=1)

    def json_side(orders: int, name: str) -> Side:
        pages, _, known = data.order_pages(stage.data, orders)
        load = RawLoad(stage, "voso", pages, known)
        return Side(name, orders, load.run, load.check, load.close, rounds=1)

    def sheet_side(rows: int, name: str) -> Side:
        path, known = data.order_workbook(stage.data, rows)
        told: dict[str, Taken] = {}

        def run() -> Taken:
            told["it"] = stage.ours("read_workbook", paths=[path], source="postmart", dataset="orders", day=DAY)
            return told["it"]

        return Side(name, rows, run, lambda: must_be(told["it"].more["amount"], known.amount, "the sheet's amount"), rounds=1)

    def judge_side(rows: int, name: str) -> Side:
        loaded = Loaded(stage, rows, f"bench_loaded_{rows}")
        ends.append(lambda: stage.drop(loaded.database))
        return Side(name, rows, loaded.judge, loaded.check, lambda: stage.drop(JUDGED), rounds=1)

    def day_side(lines: int, name: str) -> Side:
        history = History(stage, World(f"memory_{lines}", days=3, lines=lines, stores=2_000 if size >= 0.1 else 400))
        ends.append(history.finish)
        return Side(name, lines, history.run, history.check, history.close, rounds=1)

    rows = max(200, int(100_000 * size) // 200 * 200)
    pair("load of CSV", rows, csv_side)
    pair("load of JSON pages", rows // 2, json_side)
    pair("reading a workbook", max(200, rows // 20), sheet_side)
    pair("judge", rows, judge_side)
    pair("the whole day", max(200, rows // 5 // 200 * 200), day_side)

    def finish() -> None:
        for end in ends:
            end()

    return Measurement("memory", "Peak memory at 1 × and 10 × the rows", sides, ratios, finish=finish)


# ---- addresses, DAGs -------------------------------------------------------------------------------------------------------------


def addresses(stage: Stage, size: float) -> Measurement:
    """Addresses of the real communes of 2021 in the ways that people write them, to their codes."""
    rows = max(500, int(50_000 * size))
    source, target = stage.home / "addresses.csv", stage.home / "resolved.csv"
    with (ROOT / "dbt_project" / "seeds" / "commune_crosswalk.csv").open(encoding="utf-8", newline="") as f:
        communes = [r for r in csv.DictReader(f) if r["list"] == "2021"]
    writings: tuple[Callable[[dict[str, str]], str], ...] = (
        lambda c: f"{c['gso_name']}, {c['district_name']}, tỉnh Lạng Sơn",
        lambda c: f"{c['gso_name']} - {c['district_name']} - Lạng Sơn".upper(),
        lambda c: f"{c['gso_name'].lower()}, {c['district_name'].lower()}",
    )
    wanted = []
    with source.open("w", encoding="utf-8", newline="") as f:
        out = csv.writer(f)
        out.writerow(("id", "raw_text", "record_date"))
        for n in range(rows):
            commune = communes[n * 7 % len(communes)]
            wanted.append(commune["gso_code"])
            out.writerow((n, f"Số {n % 211 + 1}, Thôn {n % 13 + 1}, {writings[n % 3](commune)}", "2021-09-14"))

    def check() -> None:
        with target.open(encoding="utf-8", newline="") as f:
            found = [row["code"] for row in csv.DictReader(f)]
        must_be(len(found), rows, "lines of the answer")
        wrong = [(n, a, b) for n, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b]
        must_be(wrong[:3], [], "the communes of the addresses")

    side = Side(
        "kinhteso", rows, lambda: stage.ours("resolve", path=source, to=target), check, note="`make resolve`, one process; every address is another text"
    )
    return Measurement("addresses", f"Resolving {rows:,} addresses", [side], [], "addresses")


def dags(stage: Stage, size: float) -> Measurement:
    """How long the folder of DAGs takes to be parsed."""
    wanted = ["day_close", "postmart_daily", "quarantine_replay", "reconcile_weekly", "registers_intake", "voso_daily", "warehouse_daily", "watch"]
    told: dict[str, Taken] = {}

    def run() -> Taken:
        told["it"] = stage.ours("parse_dags", folder=ROOT / "dags")
        return told["it"]

    side = Side("kinhteso", len(wanted), run, lambda: must_be((told["it"].more["dags"], told["it"].more["errors"]), (wanted, {}), "the DAGs"))
    return Measurement("dags", "Parsing the folder of DAGs, after imports", [side], [Ratio("parsing the folder of DAGs", side.name, "", "time", 1.0)], "DAGs")


# ---- Airflow ---------------------------------------------------------------------------------------------------------------------

_RUNS = """
with run as (select * from dag_run where conf ->> 'business_day' = %(day)s),
task as (select t.* from task_instance as t join run as r on r.dag_id = t.dag_id and r.run_id = t.run_id)
select extract(epoch from max(end_date) - min(queued_at))::float, bool_and(state = 'success'), (select sum(duration) from task)::float,
    (select count(*) from task where state = 'success')
from run
"""


def airflow(stage: Stage, size: float) -> Measurement:
    """The campaign's days through a real Airflow with its simulators (`make demo` in a home of its own), as its metadata tell of them."""
    home, days = stage.home / "campaign", [str(day) for day in DEMO_DAYS[1:]]
    found: dict[str, tuple[float, bool, float, int]] = {}
    turn = {"end": 0, "work": 0}
    notes: list[str] = []

    def demo() -> None:
        shutil.rmtree(home, ignore_errors=True)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "KINHTESO"))}
        env |= {"KINHTESO_HOME": str(home), "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}", "PYTHONWARNINGS": "ignore"}
        started = time.monotonic()
        done = subprocess.run([sys.executable, "-m", "kinhteso.local", "demo"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        notes.append(f"`make demo` as a whole, from an empty folder with everything installed: {time.monotonic() - started:.0f} s.")
        if done.returncode:
            raise ChildFailed(f"make demo ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
        server = EmbeddedPostgres(home / "demo" / "postgres")
        server.start()
        try:
            with psycopg.connect(server.dsn("airflow")) as conn:
                for day in days:
                    found[day] = conn.execute(_RUNS, {"day": day}).fetchone()  # type: ignore[assignment]
        finally:
            server.stop()

    def of(which: str, column: int) -> Callable[[], Taken]:
        def run() -> Taken:
            if not found:
                demo()
            day = days[turn[which] % len(days)]
            turn[which] += 1
            return Taken(found[day][column], more={"day": day, "tasks": found[day][3]})

        return run

    def check() -> None:  # the demo itself holds every figure of the campaign, and ends with another status where one does not come out
        must_be([f"{day}: {found[day][1]}" for day in days if not found[day][1]], [], "runs that are not green")

    end = Side("a day, end to end", 1, of("end", 0), check, rounds=len(days), note="from the first run's trigger to the end of the last")
    work = Side("its work", 1, of("work", 2), check, lambda: None, rounds=len(days), note="all its tasks' seconds, as Airflow has them, one after the other")
    ratios = [
        Ratio("a campaign's day in Airflow, beside the sum of its tasks", end.name, work.name, "seconds", 1.5),
        Ratio("a campaign's day in Airflow, end to end", end.name, "", "time", 60.0),
    ]
    title = f"The campaign's days {days[0]} to {days[-1]} through Airflow (PostgreSQL as in the demo: not durable)"
    return Measurement("airflow", title, [end, work], ratios, "days", lambda: shutil.rmtree(home, ignore_errors=True), notes)


MEASUREMENTS: dict[str, Callable[[Stage, float], Measurement]] = {"airflow": airflow, "memory": memory, "addresses": addresses, "dags": dags}
