"""Copies of a warehouse and its landing at one moment, so that each strike begins from the same place; and what must be the same afterwards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import invariants
import psycopg
from case import Case
from kinhteso.settings import Settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from wire import Plan, Wire
from workers import Workers

#: Of the ledger, all but when, by which run and which build it was: these differ between a run and its retry.
_LEDGER = {
    "export": "export_id, source, dataset, unit, business_day, version, mode, state, sha256, bytes, window_since, window_until, rows_declared, rows_delivered,"
              " rows_loaded, rows_quarantined, rows_duplicate, rows_superseded",
    "export_part": "export_id, part_no, sha256, bytes, first_row, rows, first_file_row",
    "set_aside_row": "export_id, source_row, outcome",
    "quarantine_row": "export_id, source_row, rule_id, rule_name, row_key, content, state",
    "check_result": "export_id, rule_id, rule_name, rule, outcome, passed, rows_failed, rows_total",
    "change": "export_id, kind, release_id is null",
}  # fmt: skip


def held(dsn: str) -> dict[str, str]:
    """Digest of raw and the ledger, table by table."""
    with psycopg.connect(dsn) as conn:
        tables = {f"raw.{t}": "t.*" for (t,) in conn.execute("select tablename from pg_tables where schemaname = 'raw' order by 1").fetchall()}
        tables |= {f"ops.{t}": columns for t, columns in _LEDGER.items()}
        query = "select md5(coalesce(string_agg(md5(r::text), '' order by md5(r::text)), '')) from (select {} from {} as t) as r"
        return {t: conn.execute(query.format(columns, t)).fetchone()[0] for t, columns in tables.items()}  # type: ignore[arg-type,index]


def published(dsn: str) -> dict[str, str]:
    """Digest of each table of `bi`."""
    with psycopg.connect(dsn) as conn:
        return invariants.published(conn)


def said(dsn: str) -> dict[str, str]:
    """As `published`, for runs that met: a row's origin (export_id, source_row) is compared as the row of the delivery that it names, in full, with day,
    version and place; of Vỏ Sò, whose windows overlap, only as what that row says: two pulls may carry it alike."""
    with psycopg.connect(dsn) as conn:
        conn.execute("create temporary table origin (export_id bigint, source_row bigint, origin text)")
        for (table,) in conn.execute("select tablename from pg_tables where schemaname = 'raw' order by 1").fetchall():
            conn.execute(f"""insert into origin select e.export_id, r.source_row, concat_ws('|', e.source, e.dataset,
                case when e.source <> 'voso' then concat_ws('|', e.unit, e.business_day, e.version, r.source_row) end,
                md5((to_jsonb(r) - 'export_id' - 'source_row')::text)) from raw."{table}" as r join ops.export as e using (export_id)""")  # type: ignore[arg-type]
        conn.execute("analyze origin")
        return invariants.published(conn, origin="origin")


def moved(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Tables that differ."""
    return sorted(t for t in before.keys() | after.keys() if before.get(t) != after.get(t))


@dataclass(frozen=True)
class Fork:
    """One copy."""

    dsn: str
    wired: str
    settings: Settings
    state: str

    def case(self, case: Case) -> Case:
        """The copy as a case, for the checks of the suite."""
        return replace(case, pipeline=replace(case.pipeline, dsn=self.dsn, settings=self.settings, state=Path(self.state), problems=[]), seen=[])


class Forks:
    """Makes copies of ``case`` as it stands; ``wire`` leads to them."""

    def __init__(self, case: Case, wire: Wire, folder: Path) -> None:
        self.case, self.wire, self.folder, self.number = case, wire, folder, 0
        self.name = conninfo_to_dict(case.dsn)["dbname"]
        self.admin = make_conninfo(case.dsn, dbname="postgres")

    @contextmanager
    def fork(self, landing: Path | None = None):
        """A copy; gone afterwards."""
        self.number += 1
        name, home = f"{self.name}_{self.number}", self.folder / f"fork-{self.number}"
        home.mkdir(parents=True)
        there = landing or home / "landing"
        shutil.copytree(self.case.landing, there, copy_function=shutil.copy2 if landing else os.link, dirs_exist_ok=True)
        (home / "dbt").mkdir()
        with psycopg.connect(self.admin, autocommit=True) as conn:
            conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [self.name])
            conn.execute(f"create database {name} template {self.name}")  # type: ignore[arg-type]
        try:
            yield Fork(
                make_conninfo(self.case.dsn, dbname=name), self.wire.to(name), replace(self.case.pipeline.settings, landing=str(there)), str(home / "dbt")
            )
        finally:
            with psycopg.connect(self.admin, autocommit=True) as conn:
                conn.execute(f"drop database if exists {name} with (force)")  # type: ignore[arg-type]
            shutil.rmtree(home, ignore_errors=True)


def killed(wire: Wire, workers: Workers, plan: Callable[[Callable[[], None]], Plan], job: str, **kwargs: Any) -> tuple[str | None, int]:
    """A job, killed where ``plan`` says; gives where that was (None: it came to its end before) and how the process ended."""
    box: list[Any] = []
    wire.arm(plan(lambda: box[0].kill()))
    worker = workers.start(job, **kwargs)
    box.append(worker)
    status = worker.wait()
    where = wire.struck
    wire.arm()
    assert (status == -9) if where else status == 0, f"{job} ended with {status}, struck {where}: {worker.said()[-3000:]}"
    return where, status


def each_commit(
    forks: Forks, workers: Workers, look: Callable[[Fork], dict[str, str]], job: str, *, sides: tuple[str, ...] = ("before", "after"),
    only: Callable[[int], bool] = lambda n: True, **kwargs: Any,
) -> list[str]:  # fmt: skip
    """Kill ``job`` before and after each of its commits, each time from the same state, and let its retry end: `look` must see what an undisturbed
    run leaves. Gives the places."""
    wire, places = forks.wire, []

    def arguments(fork: Fork) -> dict[str, Any]:
        extra = {"state": fork.state} if job in ("build", "publish", "release", "day", "days") else {}
        return {"dsn": fork.wired, "settings": fork.settings, **extra, **kwargs}

    with forks.fork() as fork:
        wire.arm()
        workers.do(job, **arguments(fork))
        right, commits = look(fork), len(wire.points)
    n = 0
    while True:
        n += 1
        if n <= commits and not only(n):
            continue
        for side in sides:
            with forks.fork() as fork:
                where, _ = killed(wire, workers, lambda strike: Plan(strike, at=n, side=side), job, **arguments(fork))
                if where is None:
                    assert n > commits * 0.8, f"{job} has {commits} commits, and was not killed at the {n}th"
                    return places
                places.append(where)
                workers.do(job, **arguments(fork))
                wrong = moved(right, look(fork))
                assert not wrong, f"{job}, killed {where}: after its retry {wrong} differ from an undisturbed run"
