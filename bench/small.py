"""Peak memory at one and ten times the rows; addresses; the folder of DAGs; Airflow around the campaign's days."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable

from kinhteso.local.cli import DEMO_DAYS

from bench import data
from bench.data import DAY
from bench.days import History
from bench.judged import JUDGED, Loaded
from bench.loads import RawLoad
from bench.measuring import Measurement, Ratio, Side, Taken, must_be
from bench.stage import ROOT, Stage
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
    pair("the whole day", max(200, rows // 20 // 200 * 200), day_side)

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


def airflow(stage: Stage, size: float) -> Measurement:
    """The campaign's days through a real Airflow with its simulators (`bench.airflow_day`), the last one beside the same day in one plain process."""
    from bench import airflow_day

    home, days = stage.home / "campaign", DEMO_DAYS[1:]
    found: list[airflow_day.Day] = []
    turn = iter(range(len(days)))

    def measured() -> list[airflow_day.Day]:
        if not found:
            shutil.rmtree(home, ignore_errors=True)
            found.extend(airflow_day.measure(home, stage.say)[1:])
        return found

    def a_day() -> Taken:
        day = measured()[next(turn)]
        return Taken(day.seconds, sum(day.cpu.values()), more={"day": str(day.day), "tasks": len(day.tasks), "idle": day.idle})

    def last_day() -> Taken:
        return Taken(measured()[-1].seconds, sum(measured()[-1].cpu.values()))

    def plainly() -> Taken:
        return Taken(measured()[-1].work or 0.0)

    def check() -> None:  # `measure` holds the releases and every figure of the campaign, on both ways, and raises where one does not come out
        must_be([str(day.day) for day in found], [str(day) for day in days], "the days that were measured")
        must_be([task.name for day in found for task in day.tasks if task.state not in ("success", "skipped")], [], "tasks that are not green")

    sides = [
        Side("a day, end to end", 1, a_day, check, rounds=len(days), note="from the trigger of its first run to the end of its last, three days"),
        Side("the last day, end to end", 1, last_day, check, rounds=1),
        Side("the last day in one process", 1, plainly, check, rounds=1, note="land to publish on a copy of the warehouse, from the same sources"),
    ]
    ratios = [
        Ratio("a campaign's day in Airflow, beside the sum of its work", sides[1].name, sides[2].name, "seconds", 1.5),
        Ratio("a campaign's day in Airflow, end to end", sides[0].name, "", "time", 60.0),
    ]
    title = f"The campaign's days {days[0]} to {days[-1]} through Airflow (PostgreSQL as in the demo: not durable)"
    return Measurement("airflow", title, sides, ratios, "days", lambda: shutil.rmtree(home, ignore_errors=True))


MEASUREMENTS: dict[str, Callable[[Stage, float], Measurement]] = {"airflow": airflow, "memory": memory, "addresses": addresses, "dags": dags}
