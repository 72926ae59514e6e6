"""A delivery against the history of its dataset: how many rows (EXPORTS Q09), an empty day (F08), columns that went empty (F48).

Run by the judge over the rows it judges; history are the accepted deliveries of the last four weeks. Limits: expectations/history.yml.
What is refused and what only fails the run: docs/README.md, "Readings".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from csv import DictReader
from datetime import date, timedelta
from functools import cache
from statistics import median
from typing import Any

import psycopg
import yaml

from kinhteso import contracts, ledger
from kinhteso.judging import SAMPLE, Check, seed_path

NAMES = ("volume_same_weekday", "empty_day", "null_rate")


@cache
def _settings() -> dict[str, Any]:
    path = contracts.folder() / "history.yml"
    if not path.is_file():
        raise contracts.ContractError(f"there is no {path.name} in the folder of the contracts")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def limits(contract: Any) -> dict[str, Any]:
    """The limits that hold for a dataset: those of history.yml, and over them its own."""
    own, shared = contract.limits or {}, _settings()["limits"]
    return {name: {**shared.get(name, {}), **own.get(name, {})} for name in {*shared, *own}}


@cache
def holidays() -> frozenset[date]:
    """Public holidays (dbt_project/seeds/holiday.csv)."""
    with seed_path("holiday").open(encoding="utf-8", newline="") as file:
        return frozenset(date.fromisoformat(row["date"]) for row in DictReader(file))


def is_harvest(day: date) -> bool:
    """Whether more than usual is usual on ``day``."""
    return any(season["from"] <= f"{day:%m-%d}" <= season["to"] for season in _settings().get("harvest") or [])


def checks(conn: psycopg.Connection[Any], export: ledger.Export, contract: Any, rows: int, nulls: Mapping[str, int]) -> list[Check]:
    """Hold the judged rows (how many, and in how many of them each column is empty) against history, and keep that for the days to come. Registers
    have no daily history."""
    if export.source == "registers" or export.unit:
        return []
    given = limits(contract)
    ended = {name for c in contract.columns if c.empty_from and c.empty_from <= export.business_day for name in c.raw_names}
    conn.execute(
        "insert into ops.export_profile (export_id, rows, nulls) values (%s, %s, %s)"
        " on conflict (export_id) do update set rows = excluded.rows, nulls = excluded.nulls",
        [export.export_id, rows, json.dumps(nulls)],
    )
    if export.is_backlog:
        return []
    days = max(given["Q09"]["weeks"] * 7, given["F08"]["days"])
    past = _rows_by_day(conn, export, days)
    found = [
        volume(rows, past, export.business_day, contract.mode, given["Q09"]),
        empty_day(rows, past, export.business_day, contract.mode, given["F08"]),
        null_rates(rows, {name: empty for name, empty in nulls.items() if name not in ended}, _nulls_before(conn, export, given["F48"]["days"]), given["F48"]),
    ]
    return [check for check in found if check]


def volume(rows: int, past: Mapping[date, int], day: date, mode: str, limit: Mapping[str, Any]) -> Check | None:
    """Q09. None where there is too little history, too little to compare, or the calendar explains it (an empty day is F08's)."""
    same_weekday = [d for d in (day - timedelta(weeks=n) for n in range(1, limit["weeks"] + 1)) if d in past and d not in holidays()]
    usual = median(past[d] for d in same_weekday) if len(same_weekday) >= limit["known"] else 0
    if usual <= limit["rows"] or day in holidays() or (rows == 0 and mode != "snapshot") or (rows > usual and is_harvest(day)):
        return None
    change = round(float((rows - usual) / usual), 6)
    is_over, bound = abs(change) > limit["fail"], limit["fail"] if abs(change) > limit["fail"] else limit["warn"]
    outcome = "warn"
    if is_over and mode != "snapshot":
        outcome = "fail"
    elif is_over and change < 0:
        outcome = "reject"
    says = f"rows are within {bound:.0%} of the median of the same weekday of the last {limit['weeks']} weeks"
    sample = (f"{rows} rows, usual are {usual:g} ({', '.join(f'{d} {past[d]}' for d in same_weekday)})",)
    passed = abs(change) <= limit["warn"]
    return Check("Q09", NAMES[0], outcome, says, passed, int(not passed), rows, () if passed else sample, change, bound)


def empty_day(rows: int, past: Mapping[date, int], day: date, mode: str, limit: Mapping[str, Any]) -> Check | None:
    """F08. An empty day is a good delivery; it is told when it does not look like one."""
    if rows or mode == "snapshot":
        return None
    before = [past.get(day - timedelta(days=n)) for n in range(1, limit["running"] + 1)]
    runs = all(count == 0 for count in before)
    usual = median(past.values()) if len(past) >= limit["known"] else 0
    is_odd = day not in holidays() and usual > limit["median"]
    why = [f"the {limit['running']} days before were empty too"] * runs + [f"usual are {usual:g} rows a day"] * is_odd
    says = f"an empty day is a holiday or usual (median of {limit['days']} days at most {limit['median']}), and not one of more than {limit['running']} running"
    return Check("F08", NAMES[1], "warn", says, not why, len(why), 0, tuple(why), float(usual), float(limit["median"]))


def null_rates(rows: int, nulls: Mapping[str, int], before: Mapping[str, tuple[int, int, int]], limit: Mapping[str, Any]) -> Check | None:
    """F48. ``before``: column -> (deliveries, rows, rows in which it was empty) of the days before."""
    if rows < limit["rows"]:
        return None
    worst, told = 0.0, []
    for column, empty in nulls.items():
        exports, past_rows, past_empty = before.get(column, (0, 0, 0))
        if exports < limit["exports"] or not past_rows:
            continue
        rate, usual = empty / rows, past_empty / past_rows
        worst = max(worst, rate - usual)
        if rate - usual > limit["jump"] or (empty == rows and rows * (1 - usual) >= limit["expected"]):
            told.append(f"{column}: {rate:.0%} empty, usual are {usual:.0%}")
    if not any(exports >= limit["exports"] for exports, _, _ in before.values()):
        return None
    says = f"no column is empty in more rows than in the last {limit['days']} days, by over {limit['jump']:.0%} or wholly"
    return Check("F48", NAMES[2], "fail", says, not told, len(told), len(nulls), tuple(told[:SAMPLE]), round(worst, 6), limit["jump"])


_PAST = """e.source = %(source)s and e.dataset = %(dataset)s and e.state = 'accepted' and e.unit = '' and e.export_id <> %(id)s
  and (not e.is_backlog or e.mode = 'snapshot') and e.business_day >= %(since)s and e.business_day < %(day)s"""


def _past(export: ledger.Export, days: int) -> dict[str, Any]:
    since = export.business_day - timedelta(days=days)
    return {"source": export.source, "dataset": export.dataset, "id": export.export_id, "since": since, "day": export.business_day}


def _rows_by_day(conn: psycopg.Connection[Any], export: ledger.Export, days: int) -> dict[date, int]:
    query = f"select e.business_day, sum(coalesce(e.rows_loaded, 0) + coalesce(e.rows_quarantined, 0)) from ops.export as e where {_PAST} group by 1"
    return {day: int(rows) for day, rows in conn.execute(query, _past(export, days)).fetchall()}  # type: ignore[arg-type]


def _nulls_before(conn: psycopg.Connection[Any], export: ledger.Export, days: int) -> dict[str, tuple[int, int, int]]:
    query = f"""select n.key, count(*), sum(p.rows), sum(n.value::bigint) from ops.export as e
        join ops.export_profile as p on p.export_id = e.export_id cross join lateral jsonb_each_text(p.nulls) as n
        where {_PAST} and p.rows > 0 group by 1"""
    return {key: (int(exports), int(rows), int(empty)) for key, exports, rows, empty in conn.execute(query, _past(export, days)).fetchall()}  # type: ignore[arg-type]
