"""The campaign's daily run through a real Airflow: end to end beside the sum of its work. `python -m bench.airflow_day` prints the timeline.

The work is the same day in one plain process (land, load, judge, build, publish), on a copy of the same warehouse, against the same sources. What Airflow
adds is everything else: starting tasks, waiting for the scheduler, and working side by side.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import psutil
import psycopg
from kinhteso.local import cli, headline, processes
from kinhteso.local.airflow import LocalAirflow
from psycopg import sql
from psycopg.conninfo import make_conninfo

BACKLOG, DAY = cli.DEMO_DAYS[0], cli.DEMO_DAYS[-1]
INTAKE = ("registers_intake", "postmart_daily", "voso_daily")
PLAIN = "plain"


@dataclass(frozen=True)
class Task:
    """A task instance; times in seconds since the day was begun. ``began`` and ``ended`` are those of its process."""

    dag: str
    name: str
    queued: float
    began: float
    ended: float
    state: str

    @property
    def seconds(self) -> float:
        return self.ended - self.began


@dataclass(frozen=True)
class Day:
    """What a day through Airflow took: wall seconds, CPU seconds by process, its tasks; ``work``: wall seconds of the same day in one plain process."""

    day: date
    seconds: float
    cpu: dict[str, float]
    tasks: tuple[Task, ...]
    work: float | None = None

    @property
    def ratio(self) -> float | None:
        """End to end over the sum of the work."""
        return self.seconds / self.work if self.work else None

    @property
    def idle(self) -> float:
        """Seconds in which no task was running."""
        covered, until = 0.0, 0.0
        for task in sorted(self.tasks, key=lambda t: t.began):
            covered += max(0.0, task.ended - max(task.began, until))
            until = max(until, task.ended)
        return self.seconds - covered

    def told(self) -> str:
        """The timeline, in words."""
        lines = [f"{'began':>6} {'ended':>6} {'waited':>6} {'took':>6}"]
        lines += [f"{t.began:6.1f} {t.ended:6.1f} {t.began - t.queued:6.2f} {t.seconds:6.2f}  {t.dag}.{t.name} {t.state}" for t in self.tasks]
        cpu = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.cpu.items())
        lines.append(f"{self.day}: {self.seconds:.1f} s end to end, {len(self.tasks)} tasks that took {sum(t.seconds for t in self.tasks):.1f} s together,")
        lines.append(f"no task running for {self.idle:.1f} s; CPU seconds {sum(self.cpu.values()):.1f}: {cpu}")
        if self.work:
            lines.append(f"in one plain process {self.work:.1f} s: end to end is {self.ratio:.2f} times the work")
        return "\n".join(lines)


# ---- a day through Airflow -----------------------------------------------------------------------------------------------------


def tasks_of(airflow: LocalAirflow, runs: dict[str, str], since: datetime) -> Iterator[Task]:
    """Task instances of runs (dag id -> run id), through the REST API."""

    def after(moment: str | None) -> float:
        return (datetime.fromisoformat(moment) - since).total_seconds() if moment else 0.0

    for dag, run in runs.items():
        for one in airflow.tasks(dag, run):
            if one["start_date"]:
                name = f"{one['task_id']} {one.get('rendered_map_index') or ''}".strip()
                yield Task(dag, name, after(one["queued_when"]), after(one["start_date"]), after(one["end_date"]), one["state"])


def through_airflow(airflow: LocalAirflow, day: date, *, server: Path | None = None) -> Day:
    """Run a day as `make replay` does; every run has to end well. ``server``: data folder of PostgreSQL, to tell its CPU too."""
    before, began, since = _cpu(airflow, server), time.monotonic(), datetime.now().astimezone()
    conf = {"business_day": str(day), "replay": True}
    runs = {name: airflow.trigger(name, conf) for name in INTAKE}
    _ended_well(airflow, runs)
    runs["warehouse_daily"] = airflow.trigger("warehouse_daily", conf)
    _ended_well(airflow, {"warehouse_daily": runs["warehouse_daily"]})
    seconds, after = time.monotonic() - began, _cpu(airflow, server)
    tasks = sorted(tasks_of(airflow, runs, since), key=lambda t: t.began)
    return Day(day, seconds, {name: after[name] - before.get(name, 0.0) for name in after}, tuple(tasks))


def _ended_well(airflow: LocalAirflow, runs: dict[str, str]) -> None:
    left = dict(runs)
    while left:
        for dag, run in list(left.items()):
            if (state := airflow.state(dag, run)) == "failed":
                raise RuntimeError(f"{dag} failed: {airflow.failures(dag, run)}")
            if state == "success":
                del left[dag]
        time.sleep(0.5)


def _cpu(airflow: LocalAirflow, server: Path | None) -> dict[str, float]:
    """CPU seconds so far of each of Airflow's processes with its children, also those that have ended, and of the server."""
    found: dict[str, float] = {}
    for process in processes.marked(airflow.mark):
        try:
            command, times = " ".join(process.cmdline()), process.cpu_times()
        except psutil.Error:
            continue
        name = next((n for n in ("api-server", "scheduler", "dag-processor", "triggerer") if n in command or n.replace("-", "_") in command), "workers")
        found[name] = found.get(name, 0.0) + times.user + times.system + times.children_user + times.children_system
    if server:
        for process in psutil.process_iter():
            try:
                if process.name() == "postgres" and (str(server) in " ".join(process.cmdline()) or str(server) in process.parent().cwd()):
                    times = process.cpu_times()
                    found["postgres"] = found.get("postgres", 0.0) + times.user + times.system
                    if str(server) in " ".join(process.cmdline()):
                        found["postgres"] += times.children_user + times.children_system
            except (psutil.Error, AttributeError):
                continue
    return found


# ---- the same day in one plain process -----------------------------------------------------------------------------------------


def in_one_process(stack: cli.Stack, settings: dict[str, str], day: date) -> float:
    """Wall seconds of the day's steps one after the other in a process of its own, imports not counted, on the database `plain`."""
    own = stack.postgres.database("kinhteso")
    dsn = make_conninfo(stack.postgres.dsn(PLAIN, own["user"], own["password"]))
    env = {**os.environ, **settings, "KINHTESO_BENCH_DSN": dsn, "PYTHONPATH": os.pathsep.join([str(cli.ROOT / "plugins"), str(cli.ROOT)])}
    done = subprocess.run([sys.executable, "-m", "bench.airflow_day", "--plain", str(day)], env=env, cwd=cli.ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the plain process failed:\n{done.stderr[-3000:]}")
    return float(done.stdout.strip().splitlines()[-1])


def _plainly(day: date) -> float:
    import json

    import great_expectations.expectations  # noqa: F401
    import paramiko  # type: ignore[import-untyped]
    from kinhteso import checking, contracts, freshness, intake, publishing, warehouse
    from kinhteso.platforms.voso import VosoClient
    from kinhteso.settings import Settings

    __import__("dbt.cli.main"), __import__("dbt.adapters.postgres")
    settings, dsn, run = Settings.from_environment(), os.environ["KINHTESO_BENCH_DSN"], "plain"
    sftp_at, http_at = json.loads(os.environ["AIRFLOW_CONN_POSTMART"]), json.loads(os.environ["KINHTESO_BENCH_VOSO"])
    began = time.monotonic()
    with warehouse.connect(dsn) as conn, paramiko.SSHClient() as ssh:
        ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        ssh.connect(sftp_at["host"], sftp_at["port"], sftp_at["login"], sftp_at["password"], look_for_keys=False, allow_agent=False)
        sftp = ssh.open_sftp()
        for contract in contracts.all_contracts():
            source, dataset = contract.source, contract.dataset
            if source == "registers":
                intake.land_registers(conn, settings, dataset, run)
            elif source == "postmart":
                intake.land_postmart(conn, sftp, settings, dataset, day, run)
            else:
                client = VosoClient(f"http://{http_at['host']}:{http_at['port']}/v1", http_at["username"], http_at["password"])
                intake.land_voso(conn, lambda client=client: client, settings, dataset, day, run)
            intake.load(conn, settings, source, dataset)
            intake.judge(conn, settings, source, dataset)
    scope = checking.build(dsn, settings.first_day)
    if scope is None:
        raise RuntimeError("nothing was built")
    freshness.measure(dsn)
    publishing.publish(dsn, scope)
    return time.monotonic() - began


def _copied(stack: cli.Stack, settings: dict[str, str], home: Path) -> dict[str, str]:
    """Settings of the plain process: a copy of the warehouse as it stands, of the landing and of dbt's state; the same sources."""
    import json

    with psycopg.connect(stack.postgres.dsn(), autocommit=True) as admin:
        for query in ("drop database if exists {} with (force)", "create database {} template kinhteso strategy file_copy owner kinhteso"):
            admin.execute(sql.SQL(query).format(sql.Identifier(PLAIN)))  # type: ignore[arg-type]
    copied = dict(settings)
    for name in ("KINHTESO_LANDING", "KINHTESO_DBT_STATE"):
        copied[name] = str(home / name.lower())
        shutil.rmtree(copied[name], ignore_errors=True)
        shutil.copytree(settings[name], copied[name])
    endpoints = json.loads((stack.simulator_state / "endpoints.json").read_text())
    return copied | {"KINHTESO_BENCH_VOSO": json.dumps(endpoints["http"])}


# ---- the driver ----------------------------------------------------------------------------------------------------------------


@contextmanager
def demo_stack(home: Path, say: Callable[[str], None]) -> Iterator[tuple[cli.Stack, LocalAirflow]]:
    """The demo's stack in a folder of its own; everything is stopped at the end."""
    stack = cli.Stack(home / "demo", {}, simulated=True)
    stack.home.mkdir(parents=True, exist_ok=True)
    try:
        with cli.signals():
            airflow = cli.start_all(stack, with_parent=True, schedules=False)
            say(f"Airflow is up at {airflow.url}")
            yield stack, airflow
    finally:
        cli.stop_ours(stack)


def measure(home: Path | None = None, say: Callable[[str], None] = print, *, days: int = len(cli.DEMO_DAYS)) -> list[Day]:
    """The campaign through Airflow: its first day with everything that was there before, then ``days`` - 1 daily runs, of which each is measured. The last
    one is held against the same day in one plain process. With all four days the campaign's figures have to come out."""
    made = home is None
    home = home or Path(tempfile.mkdtemp(prefix="kinhteso-airflow-"))
    measured = []
    try:
        with demo_stack(home, say) as (stack, airflow):
            settings = dict(airflow._settings)
            for day in cli.DEMO_DAYS[:days]:
                is_last = day == cli.DEMO_DAYS[days - 1] and day != BACKLOG
                cli.set_clock(stack, day)
                plain = _copied(stack, settings, home) if is_last else {}
                measured.append(through_airflow(airflow, day, server=stack.postgres.data))
                say(measured[-1].told())
                if is_last:
                    measured[-1] = Day(**{**vars(measured[-1]), "work": in_one_process(stack, plain, day)})
                    say(measured[-1].told().splitlines()[-1])
            check(cli.warehouse_dsn(stack), cli.DEMO_DAYS[days - 1])
            if plain:
                check(stack.postgres.dsn(PLAIN), cli.DEMO_DAYS[days - 1])
    finally:
        if made:
            shutil.rmtree(home, ignore_errors=True)
    return measured


def check(dsn: str, day: date) -> None:
    """The last release is of ``day``, and at the campaign's end its figures came out. Raises RuntimeError saying what is wrong."""
    with psycopg.connect(dsn) as conn:
        newest = conn.execute("select max(business_date) from bi.release").fetchone()
        wrong = headline.misses(headline.figures(conn)) if day == DAY else []
    if newest != (day,) or wrong:
        raise RuntimeError(f"the last release is of {newest}, must be of {day}; {wrong}")


def main() -> int:
    """The command."""
    if sys.argv[1:2] == ["--plain"]:
        print(_plainly(date.fromisoformat(sys.argv[2])))
        return 0
    days = int(sys.argv[1]) if sys.argv[1:] else len(cli.DEMO_DAYS)
    home = Path(sys.argv[2]) if sys.argv[2:] else None
    began = time.monotonic()
    measure(home, lambda text: print(f"{timedelta(seconds=round(time.monotonic() - began))}  {text}", flush=True), days=days)
    return 0


if __name__ == "__main__":
    sys.exit(main())
