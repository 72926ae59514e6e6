"""SIGKILL of the scheduler, and of a task's worker, in the middle of a day in a real Airflow (F92): started again, the day ends in a release."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import invariants
import psutil
import psycopg
import pytest
from kinhteso.local import cli, processes
from oracle import MEASURES, recount
from served import simulators
from workers import until

from simulators import campaign

FIRST = date(2021, 9, 12)


@pytest.fixture()
def stack(tmp_path, monkeypatch):
    """An operator's stack with sources of its own."""
    home = Path(tempfile.mkdtemp(prefix="kinhteso-stack-"))
    home.chmod(0o755)
    inbox = tmp_path / "inbox"
    with simulators(tmp_path / "sources", "--inbox", str(inbox)) as served:
        for name in [n for n in os.environ if n.startswith(("AIRFLOW", "KINHTESO"))]:
            monkeypatch.delenv(name)
        sftp, http = served.sftp, served.http
        connection = {"conn_type": "sftp", "host": sftp["host"], "port": sftp["port"], "login": sftp["username"], "password": sftp["password"]}
        for name, value in {
            "KINHTESO_HOME": str(home),
            "AIRFLOW_CONN_POSTMART": json.dumps(connection),
            "AIRFLOW_CONN_VOSO": f"http://{http['username']}:{http['password']}@{http['host']}:{http['port']}/v1",
            "KINHTESO_PHONE_KEY": "demo-pepper",
            "KINHTESO_FIRST_DAY": str(FIRST),
            "KINHTESO_REGISTERS_INBOX": str(inbox),
            # A worker that is gone is missed after 300 s, and looked for as often: for a test that is long.
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
        }.items():
            monkeypatch.setenv(name, value)
        chosen = cli.choose(cli.environment(), cli.state_root())
        chosen.home.mkdir(parents=True, exist_ok=True)
        hurried = {k: v for k, v in os.environ.items() if k.startswith("AIRFLOW__SCHEDULER__")}
        try:
            served.clock("2021-09-13T06:00")
            yield chosen, hurried
        finally:
            cli.stop_ours(chosen)
            cli.down_home(chosen)
            shutil.rmtree(home, ignore_errors=True)


def tree(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


@pytest.mark.only_faults
@pytest.mark.fault("F92", "F91")
@pytest.mark.timeout(1500)
def test_the_scheduler_and_a_worker_are_killed_in_the_middle_of_a_day(stack, teller, monkeypatch):
    chosen, hurried = stack
    environment = cli.LocalAirflow.environment
    monkeypatch.setattr(cli.LocalAirflow, "environment", lambda self: {**environment(self), **hurried})
    airflow = cli.start_all(chosen, with_parent=True, schedules=False)
    dsn = cli.warehouse_dsn(chosen)

    def count(where: str) -> int:
        with contextlib.suppress(psycopg.errors.UndefinedTable), psycopg.connect(dsn) as conn:
            return conn.execute(f"select count(*) from ops.export where {where}").fetchone()[0]  # type: ignore[arg-type,index]
        return 0

    conf = {"business_day": str(FIRST), "replay": True}
    runs = {name: airflow.trigger(name, conf) for name in ("registers_intake", "postmart_daily", "voso_daily")}
    until(lambda: count("state in ('loaded', 'accepted')") >= 2, 300, 0.1)
    pids = json.loads((airflow.home / "pids.json").read_text())
    # A worker first: a child of the scheduler that runs a task.
    workers = [p for p in tree(pids["scheduler"]) if any("airflow" in part for part in [*p.cmdline(), p.name()])]
    busy = max(workers, key=lambda p: (len(p.parents()), p.create_time()))
    busy.send_signal(signal.SIGKILL)
    time.sleep(2)
    before = count("true")
    for process in [psutil.Process(pids["scheduler"]), *tree(pids["scheduler"])]:
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGKILL)
    until(lambda: not psutil.pid_exists(pids["scheduler"]) or psutil.Process(pids["scheduler"]).status() == psutil.STATUS_ZOMBIE)
    assert any(airflow.state(name, run) in ("running", "queued") for name, run in runs.items()), "the day was over before the scheduler died"
    again = processes.start(
        [sys.executable, "-m", "airflow", "scheduler", "--skip-serve-logs"],
        airflow.home / "scheduler.log",
        airflow.environment(),
        airflow.mark,
        with_parent=True,
    )
    pids["scheduler"] = again.pid
    (airflow.home / "pids.json").write_text(json.dumps(pids))
    states = cli.wait_for(airflow, runs, "12")
    assert count("true") >= before
    # Whatever the killed tasks left red is done by a run like any other; nobody touches the database.
    repeated = {name: airflow.trigger(name, conf) for name, state in states.items() if state != "success"}
    assert set(cli.wait_for(airflow, repeated, "12 again").values()) <= {"success"}, {n: airflow.failures(n, r) for n, r in repeated.items()}
    assert cli.wait_for(airflow, {"warehouse_daily": airflow.trigger("warehouse_daily", conf)}, "12") == {"warehouse_daily": "success"}
    with psycopg.connect(dsn) as conn:
        found = {
            r[0]: dict(zip(MEASURES, r[1:], strict=True))
            for r in conn.execute(f"select commune_code, {', '.join(MEASURES)} from bi.kpi_commune_daily where geography = '2021' and date = %s", [FIRST])
        }
        told = invariants.conserved(conn, chosen.home / "landing")
        stuck = conn.execute("select source, dataset, state from ops.export where state in ('landed', 'loaded', 'expected')").fetchall()
    assert stuck == [] and not told.wrong, (stuck, told.wrong)
    for code, cell in recount(campaign.make("small", 1, FIRST), FIRST).items():
        assert {m: found[code][m] for m in MEASURES} == {m: cell[m] for m in MEASURES}, code
    teller.rows("F92", told.lost, told.doubled)
    teller.saw("F92", "a worker and the scheduler killed in the middle of a day: a new scheduler went on, the day ended in a release that is the recount")
