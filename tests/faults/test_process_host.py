"""Clock and memory of the host, a judge that only says so, and data tests that fail late (F99, F100, F108–F110)."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import hosts
import invariants
import psycopg
import pytest
from case import DAY, FIRST
from forks import held, moved, published
from hosts import server
from kinhteso import building, intake, judging, ledger, warehouse
from kinhteso.contracts import load_contract
from kinhteso.settings import Settings
from served import simulators

pytestmark = pytest.mark.timeout(1800)

HERE = Path(__file__).parent


def books(copy, teller, number):
    told = copy.books()
    teller.rows(number, told.lost, told.doubled)
    assert not told.wrong, "\n".join(told.wrong)


# ---- clock ---------------------------------------------------------------------------------------------------------------------

_ASK = """
import json
from datetime import datetime, timezone
from kinhteso import business_day, dagkit, intake
class Run: partition_key = None
def accepted(day):
    try: return str(dagkit.business_day({"params": {"business_day": day}, "dag_run": Run()}))
    except ValueError as error: return str(error)
now = datetime.now(timezone.utc)
print(json.dumps([str(business_day.of(now)), accepted("2021-09-15"), accepted("2021-09-16"), datetime.now(intake.LOCAL) >= intake.deadline(business_day.of(now))]))
"""


@pytest.mark.fault("F99")
@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_hosts_clock_around_17_00_utc(zone, shared_db, teller):
    """The local day turns at 17:00Z, whatever zone the host has: seen by a process whose clock stands on either side of it."""
    seen = []
    with hosts.clock() as clock:
        env = {**os.environ, **clock.environment, "TZ": zone, "PYTHONPATH": str(HERE.parents[1] / "plugins"), "PYTHONWARNINGS": "ignore"}
        for second in (-30, 30):  # 15/09/2021 17:00Z is 16/09 00:00 in Lạng Sơn
            clock.jump(1631725200 + second - int(time.time()))
            done = subprocess.run([sys.executable, "-c", _ASK], env=env, capture_output=True, text=True, check=True)
            seen.append(json.loads(done.stdout.strip().splitlines()[-1]))
    assert [s[0] for s in seen] == ["2021-09-15", "2021-09-16"]
    assert [s[1] for s in seen] == ["2021-09-15", "2021-09-15"] and "lies in the future" in seen[0][2] and seen[1][2] == "2021-09-16"
    assert [s[3] for s in seen] == [False, False]
    shared_db.execute("begin")
    shared_db.execute("select set_config('timezone', %s, true)", [zone])
    days = [shared_db.execute("select parse.business_day(parse.epoch_ms(%s))::text", [str((1631725200 + s) * 1000)]).fetchone()[0] for s in (-1, 0)]
    shared_db.execute("rollback")
    assert days == ["2021-09-15", "2021-09-16"], "rows fall into their local day in the database too"
    teller.saw("F99", "16:59Z is the old day, 17:00Z the new one, in the worker and in the database, whatever zone the host has")
    teller.rows("F99", 0, 0)


@pytest.mark.only_faults
@pytest.mark.fault("F100")
def test_the_clock_of_worker_and_database_jumps(tmp_path, teller, monkeypatch):
    with hosts.clock() as clock:
        straight_and_jumping(clock, tmp_path, teller, monkeypatch)


def straight_and_jumping(clock, tmp_path, teller, monkeypatch):
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(str(p) for p in (HERE, HERE.parent, HERE.parents[1] / "plugins", HERE.parents[1]))}

    def do(job, **asked):
        call = f"import pickle, sys, jobs; jobs.{job}(**pickle.load(sys.stdin.buffer))"
        done = subprocess.run([sys.executable, "-c", call], input=pickle.dumps(asked), env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-2500:]

    with server() as own, simulators(tmp_path / "sources", "--inbox", str(tmp_path / "inbox")) as served:
        served.clock(f"{FIRST + timedelta(days=1)}T06:00")
        found = []
        for name, jumps in (("straight", (0, 0, 0, 0)), ("jumping", (30 * 86400, -2 * 86400, 3600, -400 * 86400))):
            dsn, home = own.database(name), tmp_path / name
            (home / "dbt").mkdir(parents=True)
            asked = {"dsn": dsn, "settings": Settings(str(home / "landing"), str(tmp_path / "inbox"), "demo-pepper", FIRST)}
            for dataset in ("stores", "products", "orders", "refunds", "accounts"):
                more = {"source": "postmart", "dataset": dataset}
                clock.jump(jumps[0])
                do("land", **asked, **more, sources={"sftp": served.sftp, "http": served.http}, day=FIRST)
                clock.jump(jumps[1])
                do("load", **asked, **more)
                clock.jump(jumps[2])
                do("judge", **asked, **more)
            clock.jump(jumps[3])
            with psycopg.connect(dsn) as conn:
                (shown,) = conn.execute("select extract(epoch from now())::float8").fetchone()
            assert abs(shown - time.time() - jumps[3]) < 60, "the database's clock did not jump"
            do("build", **asked, state=str(home / "dbt"))
            do("publish", **asked, state=str(home / "dbt"))
            # The clock is behind everything that is noted: what happens now must still be seen by the next build.
            with warehouse.connect(dsn) as conn:
                intake.expect_day(conn, FIRST + timedelta(days=1))
            clock.jump(jumps[3] - 86400)
            with warehouse.connect(dsn) as conn:
                ledger.reject(conn, ledger.expect(conn, "postmart", "orders", FIRST + timedelta(days=1), intake.deadline(FIRST)), "for the test")
            do("build", **asked, state=str(home / "dbt"))
            assert json.loads((home / "dbt" / "xcom").read_text()), "a rejection under a clock that went back was not seen"
            do("publish", **asked, state=str(home / "dbt"))
            with psycopg.connect(dsn) as conn:
                told = invariants.conserved(conn, home / "landing")
            teller.rows("F100", told.lost, told.doubled)
            assert not told.wrong, "\n".join(told.wrong)
            found.append(held(dsn) | {t: d for t, d in published(dsn).items() if t != "data_status_daily"})
        assert not (wrong := moved(*found)), f"{wrong} depend on the clock"
    teller.saw("F100", "worker and database jumped by 30, -2 and -400 days between the steps: the same ledger and the same bi")


# ---- memory --------------------------------------------------------------------------------------------------------------------


#: A worker of which nothing can be allocated any more says so in words, or Great Expectations' and dbt's words say it.
WANT_OF_MEMORY = re.compile(r"Out of memory\b.*docs/runbooks/run-failed.md|could not judge it: MemoryError")


@pytest.mark.only_faults
@pytest.mark.fault("F108")
def test_out_of_memory(morning, workers, teller):
    case, _, forks = morning
    asked = {"source": "postmart", "dataset": "orders"}
    sources = {"sftp": case.served.sftp, "http": case.served.http}
    with forks.fork() as fork:
        for job, more in (("land", {"sources": sources, "day": DAY}), ("load", {}), ("judge", {})):
            workers.do(job, dsn=fork.dsn, settings=fork.settings, **asked, **more)
        workers.do("release", dsn=fork.dsn, settings=fork.settings, state=fork.state)
        right = held(fork.dsn) | published(fork.dsn)
    died = []
    with forks.fork() as fork:
        for job, more in (("land", {"sources": sources, "day": DAY}), ("load", {}), ("judge", {}), ("release", {"state": fork.state})):
            for memory in (64 << 10, 1 << 20, 4 << 20, 16 << 20):
                kwargs = {"dsn": fork.dsn, "settings": fork.settings, **(asked if job != "release" else {}), **more}
                worker = workers.start("limited", inner=job, kwargs=kwargs, memory=memory)
                try:
                    status = worker.wait(40)
                except AssertionError:  # a thread of a library died and the others wait for it: ended as a task that takes too long is
                    status = "hung"
                died.append((job, memory, status, bool(WANT_OF_MEMORY.search(worker.said()))))
            workers.do(job, **kwargs)
        assert {job for job, _, status, is_told in died if status == 1 and is_told} >= {"load", "judge", "release"}, died
        assert {job for job, _, status, _ in died if status != 0} == {"land", "load", "judge", "release"}, died
        assert not (wrong := moved(right, held(fork.dsn) | published(fork.dsn))), (wrong, died)
        books(fork.case(case), teller, "F108")
    teller.saw("F108", "land, load, judge and build each died for want of memory, or hung and were ended; the retry gave the same ledger and bi")


# ---- the judge -----------------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F109")
def test_great_expectations_says_no_or_breaks_without_raising(morning, teller):
    """Great Expectations raises for neither: a failed suite is success=False, and an expectation that breaks is a result with a message in it."""
    case, _, _ = morning
    right = load_contract("postmart", "stores")

    def with_pattern(pattern):
        return replace(right, columns=tuple(replace(c, pattern=pattern) if c.name == "store_code" else c for c in right.columns))

    with warehouse.connect(case.dsn) as conn:
        with _outbox(case) as sftp:
            arrivals = intake.land_postmart(conn, sftp, case.pipeline.settings, "stores", DAY, "run")
        intake.load(conn, case.pipeline.settings, "postmart", "stores")
        (export_id,) = arrivals.landed
        with pytest.raises(judging.JudgementBroken, match="Nothing was decided"):
            judging.judge(conn, export_id, with_pattern("("))
        assert ledger.get(conn, export_id).state == "loaded"
        assert case.sql("select count(*) from ops.check_result where export_id = %s and rule_name not like '%%_warning_%%'", export_id) == [(0,)]
        assert case.sql("select count(*) from ops.change where export_id = %s", export_id) == [(0,)]
        with pytest.raises(judging.JudgementFailed, match="rejected"):
            judging.judge(conn, export_id, with_pattern("^NO STORE$"))
        assert ledger.get(conn, export_id).state == "rejected"
        assert case.sql("select count(*) from ops.change where export_id = %s", export_id) == [(0,)], "nothing of it counts"
        assert ledger.reopen(conn, export_id)
    with warehouse.connect(case.dsn) as conn:
        intake.load(conn, case.pipeline.settings, "postmart", "stores")
        intake.judge(conn, case.pipeline.settings, "postmart", "stores")
        assert ledger.get(conn, export_id).state == "accepted"
    books(case, teller, "F109")
    teller.saw("F109", "success=False: rejected, and the task is red; a broken expectation: nothing decided, red; right again: accepted")


def _outbox(case):
    from pipeline import outbox

    return outbox(case.served)


# ---- dbt -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.only_faults
@pytest.mark.fault("F110")
def test_a_data_test_fails_after_the_models_were_built(morning, workers, tmp_path, teller):
    case, _, forks = morning
    case.take(DAY)
    project = tmp_path / "project"
    shutil.copytree(building.project_dir(), project, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "tests").mkdir(exist_ok=True)
    (project / "tests" / "the_last_day_is_empty.sql").write_text(
        "select * from {{ ref('kpi_province_daily') }} where date = (select max(date) from {{ ref('kpi_province_daily') }})"
    )
    with forks.fork() as fork:
        workers.do("release", dsn=fork.dsn, settings=fork.settings, state=fork.state)
        right = published(fork.dsn)
    with forks.fork() as fork:
        asked = {"dsn": fork.dsn, "settings": fork.settings, "state": fork.state}
        stood = published(fork.dsn)
        workers.do("build", **asked)  # good, and not published yet
        handed_over = Path(fork.state, "xcom").read_text()
        worker = workers.start("build", environment={"KINHTESO_DBT_PROJECT": str(project)}, **asked)
        assert worker.wait() == 1 and "the_last_day_is_empty" in worker.said() and "The last release stands" in worker.said().replace("the last", "The last"), (
            worker.said()[-2500:]
        )
        assert fork.case(case).sql("select max(date) from kpi.kpi_province_daily") == [(DAY,)], "the models were built before the test failed"
        assert published(fork.dsn) == stood
        Path(fork.state, "xcom").write_text(handed_over)
        worker = workers.start("publish", **asked)  # a person clears the publish of the run before
        assert worker.wait() == 1 and "NotBuilt" in worker.said() and "which is failed" in worker.said(), worker.said()[-2000:]
        assert published(fork.dsn) == stood, "tables that failed their test were published"
        workers.do("release", **asked)
        assert not (wrong := moved(right, published(fork.dsn))), wrong
        books(fork.case(case), teller, "F110")
    teller.saw("F110", "red, naming the test; bi as before, also when an older publish is cleared; the next good build published")
