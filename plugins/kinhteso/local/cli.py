"""`python -m kinhteso.local demo|up|down|replay|…`: the stack on one machine (DESIGN §4); `make help` lists the commands."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from dotenv import dotenv_values
from rich.console import Console
from rich.markup import escape

from kinhteso.local import headline, processes
from kinhteso.local.airflow import ROOT, AirflowFailed, LocalAirflow
from kinhteso.local.backup import BackupFailed
from kinhteso.local.postgres import EmbeddedPostgres, PostgresFailed

DAGS = {"postmart_daily", "voso_daily", "registers_intake", "day_close", "warehouse_daily", "quarantine_replay", "reconcile_weekly", "watch"}
ALERT_SETTINGS = (
    "AIRFLOW_CONN_SMTP_DEFAULT", "AIRFLOW_CONN_ALERT_WEBHOOK", "AIRFLOW_CONN_ALERT_HEARTBEAT", "KINHTESO_ALERT_", "KINHTESO_RUNBOOKS_URL",
    "KINHTESO_BOARD_URL",
)  # fmt: skip
DEMO_FIRST_DAY = date(2021, 9, 12)
DEMO_DAYS = [DEMO_FIRST_DAY + timedelta(days=n) for n in range(4)]
DEMO_KEY = "demo-pepper"
DAY_SECONDS = 3 * 3600
SIMULATOR_SECONDS = 120

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 200)
_started = time.monotonic()


def say(text: str) -> None:
    """A line of progress with the seconds since the start."""
    console.print(f"[dim]{time.monotonic() - _started:6.1f} s[/dim]  {text}")


class Stopped(Exception):
    """Ctrl-C or SIGTERM."""


@dataclass
class Stack:
    """What runs, where its data lie (``home``), and what it was told (``env``: the process environment over .env)."""

    home: Path
    env: dict[str, str]
    simulated: bool
    postgres: EmbeddedPostgres = field(init=False)
    airflow: LocalAirflow | None = None
    ours: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.postgres = EmbeddedPostgres(self.home / "postgres", throwaway=self.simulated)

    @property
    def simulator_state(self) -> Path:
        """Folder in which the simulators keep clock and endpoints."""
        return self.home / "simulators"

    @property
    def mark(self) -> str:
        """Mark of the simulators' process."""
        return str(self.simulator_state)


def choose(env: dict[str, str], root: Path) -> Stack:
    """The operator's own sources get a home of their own; without any, the simulators' home (RULE: no simulator beside real sources)."""
    own = bool(env.get("AIRFLOW_CONN_POSTMART") or env.get("AIRFLOW_CONN_VOSO"))
    return Stack(root / ("warehouse" if own else "demo"), env, simulated=not own)


def environment() -> dict[str, str]:
    """The process environment over .env."""
    from_file = {k: v for k, v in dotenv_values(ROOT / ".env").items() if v is not None}
    return {**from_file, **os.environ}


def state_root() -> Path:
    """Folder of all state: KINHTESO_HOME (a relative one is below the checkout), else .local in the checkout."""
    return (ROOT / (environment().get("KINHTESO_HOME") or ".local")).resolve()


# ---- parts of the stack ----


def start_postgres(stack: Stack) -> dict[str, str]:
    """Start the server, make the databases; gives the settings that the DAGs read."""
    was_running = stack.postgres.is_running()
    stack.postgres.start()
    if not was_running:
        stack.ours.append(stack.postgres)
    own = stack.postgres.database("kinhteso")
    (stack.home.parent / "current").write_text(stack.home.name)
    env = stack.env
    uri = f"postgres://{own['user']}:{quote(own['password'])}@{own['host']}:{own['port']}/{own['dbname']}"
    settings = {
        "AIRFLOW_CONN_WAREHOUSE": env.get("AIRFLOW_CONN_WAREHOUSE") or uri,
        "KINHTESO_LANDING": env.get("KINHTESO_LANDING") or str(stack.home / "landing"),
        "KINHTESO_REGISTERS_INBOX": env.get("KINHTESO_REGISTERS_INBOX") or str(stack.home / "inbox"),
        "KINHTESO_PHONE_KEY": env.get("KINHTESO_PHONE_KEY") or (DEMO_KEY if stack.simulated else ""),
        "KINHTESO_FIRST_DAY": env.get("KINHTESO_FIRST_DAY") or str(DEMO_FIRST_DAY),
        "KINHTESO_DBT_STATE": str(stack.home / "dbt"),
    }
    if not settings["KINHTESO_PHONE_KEY"]:
        raise SystemExit("Set KINHTESO_PHONE_KEY in the environment or .env: the secret with which the sources make their phone keys (see .env.example).")
    if stack.simulated:
        settings |= {"KINHTESO_PHONE_KEY": DEMO_KEY, "KINHTESO_FIRST_DAY": str(DEMO_FIRST_DAY)}
    for name in ("AIRFLOW_CONN_POSTMART", "AIRFLOW_CONN_VOSO", "KINHTESO_EXPECTATIONS", "KINHTESO_DBT_PROJECT", "KINHTESO_TASK_RETRIES"):
        if env.get(name):
            settings[name] = env[name]
    # What simulators do is nobody's alarm: only runs on real sources send mail.
    settings |= {n: "" if stack.simulated else v for n, v in env.items() if n.startswith(ALERT_SETTINGS)}
    if "://" not in settings["KINHTESO_REGISTERS_INBOX"]:
        Path(settings["KINHTESO_REGISTERS_INBOX"]).mkdir(parents=True, exist_ok=True)
    return settings


def start_simulators(stack: Stack, inbox: str, *, with_parent: bool) -> dict[str, str]:
    """Start both simulators (or find them running); gives the two connections."""
    endpoints = stack.simulator_state / "endpoints.json"
    if not processes.marked(stack.mark):
        endpoints.unlink(missing_ok=True)
        stack.simulator_state.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable, "-m", "simulators", "serve", "--world", os.environ.get("KINHTESO_DEMO_WORLD", "campaign"), "--seed", "1",
            "--first-day", str(DEMO_FIRST_DAY), "--state", str(stack.simulator_state), "--inbox", inbox,
        ]  # fmt: skip
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        processes.start(command, stack.simulator_state / "simulators.log", env, stack.mark, with_parent=with_parent)
        stack.ours.append("simulators")
    return {}


def simulator_connections(stack: Stack) -> dict[str, str]:
    """Wait until the simulators listen; gives the two connections."""
    endpoints, deadline = stack.simulator_state / "endpoints.json", time.monotonic() + SIMULATOR_SECONDS
    while not endpoints.exists():
        if time.monotonic() > deadline or not processes.marked(stack.mark):
            log = stack.simulator_state / "simulators.log"
            raise AirflowFailed(f"The simulators did not start; see {log}:\n{log.read_text(errors='replace')[-1500:]}")
        time.sleep(0.2)
    e = json.loads(endpoints.read_text())
    sftp, http = e["sftp"], e["http"]
    return {
        "AIRFLOW_CONN_POSTMART": json.dumps(
            {"conn_type": "sftp", "host": sftp["host"], "port": sftp["port"], "login": sftp["username"], "password": sftp["password"],
             "extra": {"host_key": sftp["host_key"]}}
        ),
        "AIRFLOW_CONN_VOSO": f"http://{http['username']}:{quote(http['password'])}@{http['host']}:{http['port']}/v1",
    }  # fmt: skip


def set_clock(stack: Stack, day: date) -> None:
    """The sources' clock to the next morning at 06:00: everything of ``day`` is delivered."""
    moment = f"{day + timedelta(days=1)}T06:00"
    subprocess.run(
        [sys.executable, "-m", "simulators", "clock", "--state", str(stack.simulator_state), moment],
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )


def start_all(stack: Stack, *, with_parent: bool, schedules: bool, port: int | None = None) -> LocalAirflow:
    """PostgreSQL, the simulators where there are no own sources, and Airflow; what runs already is left running."""
    say("PostgreSQL …")
    settings = start_postgres(stack)
    if stack.simulated:
        say("simulators: Postmart (SFTP), Vỏ Sò (HTTP) …")
        start_simulators(stack, settings["KINHTESO_REGISTERS_INBOX"], with_parent=with_parent)
    given = stack.env.get("KINHTESO_AIRFLOW_PORT")
    metadata = stack.postgres.database("airflow")
    stack.airflow = LocalAirflow(stack.home, metadata, settings, port=int(given) if given else port, schedules=schedules)
    if stack.airflow.is_running():
        say(f"Airflow runs at {stack.airflow.url}")
        return stack.airflow
    processes.stop(stack.airflow.mark)
    say("Airflow: metadata …")
    stack.airflow.migrate()
    if stack.simulated:
        stack.airflow._settings = {**settings, **simulator_connections(stack)}
    say("Airflow: api-server, scheduler, dag-processor, triggerer …")
    stack.ours.append(stack.airflow)
    stack.airflow.start(with_parent=with_parent)
    stack.airflow.wait(DAGS, say)
    say(f"Airflow is healthy at {stack.airflow.url}")
    return stack.airflow


def stop_ours(stack: Stack) -> None:
    """Stop what this command started, in reverse."""
    for part in reversed(stack.ours):
        with contextlib.suppress(Exception):
            if part == "simulators":
                processes.stop(stack.mark)
            else:
                part.stop()
    stack.ours.clear()


@contextlib.contextmanager
def signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP become Stopped, so that what we started is stopped."""

    def stop(number: int, _: Any) -> None:
        for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(s, signal.SIG_IGN)
        raise Stopped(signal.Signals(number).name)

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)


# ---- days ----


def wait_for(airflow: LocalAirflow, runs: dict[str, str], label: str) -> dict[str, str]:
    """Wait for runs (dag id -> run id); gives their end states."""
    states: dict[str, str] = {}
    deadline = time.monotonic() + DAY_SECONDS
    while len(states) < len(runs):
        for dag_id, run_id in runs.items():
            if dag_id not in states and (state := airflow.state(dag_id, run_id)) in ("success", "failed"):
                states[dag_id] = state
                say(f"{label}  {dag_id}: {'done' if state == 'success' else '[red]failed[/red]'}")
        if time.monotonic() > deadline:
            raise AirflowFailed(f"{label}: {sorted(set(runs) - set(states))} did not end in {DAY_SECONDS // 3600} hours; look at {airflow.url}")
        time.sleep(0.5)  # each question costs the api-server what a task's costs it
    return states


def take_day(stack: Stack, airflow: LocalAirflow, dsn: str, day: date) -> bool:
    """One business day through the DAGs; true when it ended in a release that no check calls red. Prints what was refused."""
    label = f"{day:%d/%m/%Y}"
    if stack.simulated:
        set_clock(stack, day)
    conf = {"business_day": str(day), "replay": True}
    since = _now(dsn)
    names = ("registers_intake", "postmart_daily", "voso_daily")
    runs = {name: airflow.trigger(name, conf) for name in names}
    ended = wait_for(airflow, runs, label)
    words = [w for name, state in ended.items() if state == "failed" for w in airflow.failures(name, runs[name])]
    is_green, told = build_release(airflow, dsn, label, conf)
    lines, rows = refused(dsn, day, since)
    for line in [*lines, *untold(words, lines)]:
        say(f"{label}  [yellow]refused[/yellow] {escape(line)}")
    for line in rows:
        say(f"{label}  [yellow]in quarantine[/yellow] {escape(line)}")
    say(told)
    with psycopg.connect(dsn) as conn:
        newest = conn.execute("select max(business_date) from ops.release").fetchone()[0]  # type: ignore[index]
    if is_green and (newest is None or newest < day):
        say(f"{label}  [red]no release[/red]: nothing of this day or before it is known")
        return False
    return is_green


def _now(dsn: str) -> Any:
    with psycopg.connect(dsn) as conn:
        return conn.execute("select now()").fetchone()[0]  # type: ignore[index]


def refused(dsn: str, day: date, since: Any) -> tuple[list[str], list[str]]:
    """What does not count: rejected since ``since``, and of ``day`` what has not come or is stuck on its way; and which rows were set aside."""
    with psycopg.connect(dsn) as conn:
        if conn.execute("select to_regclass('ops.export')").fetchone() == (None,):
            return ["everything: the warehouse could not be reached by the DAGs; see the task logs"], []
        lines = conn.execute(
            """select source || '/' || dataset || coalesce(' ' || nullif(unit, ''), '') || ' ' || business_day || ' v' || version || ': '
                      || case state when 'expected' then 'nothing was taken. ' when 'rejected' then 'rejected. '
                              else 'is ' || state || ' and no further: its task failed, see its log; replay the day. ' end
                      || coalesce(reason, '')
               from ops.export
               where (state = 'rejected' and greatest(ended_at, landed_at) >= %(since)s)
                  or (state in ('expected', 'landed', 'loaded', 'judged') and business_day = %(day)s and source in ('postmart', 'voso'))
                  or (state in ('landed', 'loaded', 'judged') and source = 'registers')
               order by source, dataset, business_day limit 40""",
            {"since": since, "day": day},
        ).fetchall()
        rows = conn.execute(
            """select e.source || '/' || e.dataset || ' ' || e.business_day || ' v' || e.version || ': ' || count(distinct q.source_row) || ' of '
                      || e.rows_delivered || ' rows (' || string_agg(distinct q.rule_id || ' ' || q.rule_name, ', ') || ')'
               from ops.quarantine_row as q join ops.export as e using (export_id) where e.judged_at >= %(since)s
               group by e.source, e.dataset, e.business_day, e.version, e.rows_delivered order by 1""",
            {"since": since},
        ).fetchall()
    return [r[0] for r in lines], [r[0] for r in rows]


def untold(words: list[str], lines: list[str]) -> list[str]:
    """Of what failed tasks say, line by line or refusal by refusal, that which the ledger's ``lines`` do not say already; each once."""
    said, found = "\n".join(lines), []
    for message in words:
        is_verdict = message.startswith("What does not count:")
        for part in message.splitlines()[1:] if is_verdict else message.split("\n\n"):
            part = part.strip()
            is_known = part in said or any(line.startswith(part[:40]) for line in lines) or part.startswith("the task ")
            if part and not is_known and part not in found:
                found.append(part)
    return found


def warehouse_dsn(stack: Stack, settings: dict[str, str] | None = None) -> str:
    """libpq DSN of the warehouse's owner."""
    from kinhteso.warehouse import conninfo

    given = stack.env.get("AIRFLOW_CONN_WAREHOUSE")
    if given:
        if given.lstrip().startswith("{"):
            from airflow.sdk import Connection

            return conninfo(Connection.from_json(given).get_uri())
        return conninfo(given)
    own = stack.postgres.database("kinhteso")
    return stack.postgres.dsn("kinhteso", own["user"], own["password"])


# ---- commands ----


def demo(_: argparse.Namespace) -> int:
    stack = choose(environment(), state_root())
    if not stack.simulated:
        console.print(
            "make demo runs against its own simulators: unset AIRFLOW_CONN_POSTMART and AIRFLOW_CONN_VOSO (or their lines in .env), or use make replay."
        )
        return 2
    for name in ("AIRFLOW_CONN_WAREHOUSE", "KINHTESO_LANDING", "KINHTESO_REGISTERS_INBOX"):
        stack.env.pop(name, None)
    down_home(stack)
    for folder in (stack.postgres.home, stack.home):
        shutil.rmtree(folder, ignore_errors=True)
    stack = Stack(stack.home, stack.env, simulated=True)
    try:
        with signals():
            airflow = start_all(stack, with_parent=True, schedules=False)
            dsn = warehouse_dsn(stack)
            released = [take_day(stack, airflow, dsn, day) for day in DEMO_DAYS]
            with psycopg.connect(dsn) as conn:
                headline.show(conn, console)
                found = headline.figures(conn)
            wrong = headline.misses(found)
            took = time.monotonic() - _started
            if wrong or not all(released):
                console.print("[red]These figures did not come out:[/red]")
                for line in wrong or ["a day ended without a release"]:
                    console.print(f"  {line}")
                return 1
            console.print(f"[green]All {len(headline.FIGURES)} figures of the campaign came out[/green] ({took:.0f} s).")
            console.print("Next: `make dsn` (psql or a BI tool on schema bi) · `make up` (Airflow at 127.0.0.1:8080) · docs/README.md · docs/runbooks/")
            return 0
    finally:
        say("stopping what was started …")
        stop_ours(stack)


def up(_: argparse.Namespace) -> int:
    stack = choose(environment(), state_root())
    stack.home.mkdir(parents=True, exist_ok=True)
    try:
        with signals():
            by_clock = not stack.simulated and stack.env.get("KINHTESO_SCHEDULES") != "off"
            airflow = start_all(stack, with_parent=False, schedules=by_clock, port=8080)
    except BaseException:
        stop_ours(stack)
        raise
    console.print(f"Airflow: {airflow.url}  user admin, password in {airflow.home}/passwords.json. Stop with `make down`; data stay in {stack.home}.")
    if stack.simulated:
        console.print(
            "The sources are simulators whose calendar stands in September 2021, so nothing runs by the clock: `make replay FROM=2021-09-12 TO=2021-09-15`."
        )
    return 0


def down_home(stack: Stack) -> None:
    """Stop whatever runs of a home."""
    processes.stop(str(stack.home / "airflow"))
    processes.stop(stack.mark)
    stack.postgres.stop()


def down(_: argparse.Namespace) -> int:
    root = state_root()
    for name in ("demo", "warehouse"):
        if (root / name / "postgres").exists():
            down_home(Stack(root / name, environment(), simulated=name == "demo"))
    console.print(f"Stopped. Data stay in {root}.")
    return 0


def replay(arguments: argparse.Namespace) -> int:
    try:
        first, last = date.fromisoformat(arguments.first), date.fromisoformat(arguments.last or arguments.first)
    except ValueError as error:
        console.print(f"FROM and TO are days of the form YYYY-MM-DD: {error}.")
        return 2
    if last < first:
        console.print(f"FROM={first} is after TO={last}.")
        return 2
    stack = choose(environment(), state_root())
    stack.home.mkdir(parents=True, exist_ok=True)
    try:
        with signals():
            airflow = start_all(stack, with_parent=True, schedules=False)
            dsn = warehouse_dsn(stack)
            ended = [take_day(stack, airflow, dsn, first + timedelta(days=n)) for n in range((last - first).days + 1)]
            return 0 if all(ended) else 1
    finally:
        stop_ours(stack)


def reconcile(arguments: argparse.Namespace) -> int:
    """The platforms' whole states at the end of a business day against the warehouse, through the DAG, then a release; 0 when nothing is red."""
    try:
        day = date.fromisoformat(arguments.day)
    except ValueError as error:
        console.print(f"DATE is a day of the form YYYY-MM-DD: {error}.")
        return 2
    stack = choose(environment(), state_root())
    stack.home.mkdir(parents=True, exist_ok=True)
    try:
        with signals():
            airflow = start_all(stack, with_parent=True, schedules=False)
            if stack.simulated:
                set_clock(stack, day)
            run_id = airflow.trigger("reconcile_weekly", {"business_day": str(day), "replay": True})
            label = f"{day:%d/%m/%Y}"
            state = wait_for(airflow, {"reconcile_weekly": run_id}, label)["reconcile_weekly"]
            from kinhteso import reconciling

            with open_warehouse(stack) as conn:
                told = [(one.passed, one.message) for one in reconciling.of_run(conn, run_id)]
            for passed, words in told:
                say(f"{label}  {'' if passed else '[red]above the limit[/red] '}{escape(words)}")
            for line in untold(airflow.failures("reconcile_weekly", run_id), [words for _, words in told]) if state == "failed" else []:
                say(f"{label}  [red]failed[/red] {escape(line)}")
            return 0 if release_all(stack, airflow, label) and state == "success" else 1
    finally:
        stop_ours(stack)


def current_stack() -> Stack:
    """The stack whose warehouse was used last; an operator's own sources prevail."""
    env, root = environment(), state_root()
    stack, current = choose(env, root), root / "current"
    if stack.simulated and current.exists() and current.read_text().strip() == "warehouse":
        return Stack(root / "warehouse", env, simulated=False)
    return stack


@contextlib.contextmanager
def open_warehouse(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    """A connection to the stack's warehouse, its tables in place; an embedded server that was not running is started, and stopped by stop_ours."""
    from kinhteso import warehouse

    if not stack.env.get("AIRFLOW_CONN_WAREHOUSE"):
        stack.home.mkdir(parents=True, exist_ok=True)
        was_running = stack.postgres.is_running()
        stack.postgres.start()
        if not was_running:
            stack.ours.append(stack.postgres)
        stack.postgres.database("kinhteso")
    with warehouse.connect(warehouse_dsn(stack)) as conn:
        warehouse.migrate(conn)
        yield conn


def _selected(conn: psycopg.Connection[Any], arguments: argparse.Namespace) -> Any:
    from kinhteso import quarantine

    return quarantine.select(conn, class_=arguments.class_, export=arguments.export, rule=arguments.rule, day=arguments.day)


def list_quarantine(arguments: argparse.Namespace) -> int:
    """What waits for a person, in words, and the commands that end it."""
    from kinhteso import quarantine

    stack = current_stack()
    try:
        with open_warehouse(stack) as conn:
            matters = quarantine.open_matters(conn, _selected(conn, arguments))
    except quarantine.SelectionError as error:
        console.print(escape(str(error)))
        return 2
    finally:
        stop_ours(stack)
    headings = {
        "rejected": "Rejected deliveries (nothing of them counts; the last good state carries on)",
        "rows": "Rows in quarantine (the rest of their delivery counts)",
        "kept": "Deliveries that count, but would be rejected by the rules of today",
        "unmapped": "Unknown words and codes (the rows count, as UNKNOWN or under commune 00000)",
        "changed": "Other content under a known name (not taken)",
    }
    for kind, heading in headings.items():
        found = [m for m in matters if m.kind == kind]
        if found:
            console.print(f"[bold]{heading}: {len({m.export_id for m in found})}[/bold]")  # deliveries; each has a line per rule
            for matter in found:
                console.print(f"  {escape(matter.told)}")
    console.print(
        'After correcting the rule, alias, word or code: make replay-quarantine CLASS=… EXPORT="…" RULE=…. For good: make dismiss-quarantine … REASON="…".'
        if matters
        else "Nothing waits for a person."
    )
    return 0


def review(_: argparse.Namespace) -> int:
    """Names of communes that wait for a decision, with what they can mean; 2 where a decision cannot hold."""
    from kinhteso import reviewing
    from kinhteso.addresses import decisions

    stack = current_stack()
    try:
        with open_warehouse(stack) as conn:
            for source in ("registers", "postmart"):
                reviewing.note(conn, source)
            entries = reviewing.open_entries(conn)
    except decisions.DecisionError as error:
        console.print(escape(str(error)))
        return 2
    finally:
        stop_ours(stack)
    for entry in entries:
        console.print(f"  {escape(entry.told)}")
    console.print(
        "To decide: a row in dbt_project/seeds/address_decision.csv (docs/addresses.md); the next intake takes the forms up again, the next build the stores."
        if entries
        else "No name of a commune waits for a person."
    )
    return 0


def asked_cell(arguments: argparse.Namespace, day: date) -> Any:
    """The cell that is meant; ValueError says what is missing or too much."""
    from kinhteso.explaining import Cell

    level, unit = arguments.level or "commune", arguments.unit
    if arguments.target and arguments.kpi:
        raise ValueError("KPI is a measure, TARGET a target: say one of them")
    if arguments.measure and not arguments.target:
        raise ValueError("MEASURE is a column of a TARGET")
    if not arguments.kpi and not arguments.target:
        raise ValueError("KPI or TARGET has to be said")
    if level == "commune":
        unit = arguments.commune or unit
    elif level in ("hamlet", "cooperative") and unit and "-" not in unit and arguments.commune:
        unit = f"{arguments.commune}-{unit}"
    elif level == "province":
        unit = unit or "20"
    if not unit:
        raise ValueError("COMMUNE or UNIT has to be said" if level == "commune" else f"UNIT of the {level} has to be said")
    return Cell(unit, day, arguments.measure or arguments.kpi, arguments.geography or "2021", level, arguments.target)


def explain(arguments: argparse.Namespace) -> int:
    """A cell back to the rows: 0 when everything agrees, 1 when something does not (said on the error stream too), 2 said wrongly."""
    from kinhteso import explaining
    from kinhteso.explaining import proving, telling
    from kinhteso.landing import Landing

    try:
        day, release = date.fromisoformat(arguments.day or ""), int(arguments.release) if arguments.release else None
        limit = int(arguments.limit) if arguments.limit else telling.LISTED
        cell = asked_cell(arguments, day)
        if arguments.format not in ("", "text", "csv"):
            raise ValueError(f"FORMAT is text or csv, not {arguments.format!r}")
    except ValueError as error:
        print(f"DATE is a day of the form YYYY-MM-DD, RELEASE and LIMIT are numbers: {error}.", file=sys.stderr)
        return 2
    stack = current_stack()
    landing = Landing(stack.env.get("KINHTESO_LANDING") or str(stack.home / "landing"))
    try:
        with open_warehouse(stack) as conn:
            answer = explaining.explain(conn, cell, release)
            proving.prove(conn, answer, landing)
    except explaining.NoSuchCell as error:
        print(str(error), file=sys.stderr)
        return 2
    finally:
        stop_ours(stack)
    if arguments.format == "csv":
        telling.write_csv(answer, sys.stdout)
    else:
        print("\n".join(telling.text(answer, limit)))
    for problem in answer.problems:
        print(f"!!! KHÔNG KHỚP · DOES NOT AGREE: {problem.vi} · {problem.en}", file=sys.stderr)
    return 1 if answer.problems else 0


def mend_quarantine(arguments: argparse.Namespace) -> int:
    """Replay or dismiss through the DAG quarantine_replay, then a release; 0 done, 1 no release or a failure, 2 said wrongly."""
    from kinhteso import quarantine

    stack, action = current_stack(), arguments.action
    try:
        with signals():
            with open_warehouse(stack) as conn:
                try:
                    selection = _selected(conn, arguments)
                    if action == "dismiss":
                        quarantine.check_reason(arguments.reason)
                        if selection.is_all:
                            raise quarantine.SelectionError("Say what to dismiss: CLASS=…, EXPORT=… or RULE=…. Nothing was dismissed.")
                except quarantine.SelectionError as error:
                    console.print(escape(str(error)))
                    return 2
            airflow = start_all(stack, with_parent=True, schedules=False)
            given = {"class": arguments.class_, "export": arguments.export, "rule": arguments.rule, "business_day": arguments.day, "reason": arguments.reason}
            conf = {"action": action, "replay": True, **{name: value for name, value in given.items() if value}}
            run_id = airflow.trigger("quarantine_replay", conf)
            state = wait_for(airflow, {"quarantine_replay": run_id}, action)["quarantine_replay"]
            with open_warehouse(stack) as conn:
                told = quarantine.noted(conn, run_id)
            for line in told or ["nothing waits that was asked for"]:
                say(f"{action}  {escape(line)}")
            if state == "failed":
                for line in untold(airflow.failures("quarantine_replay", run_id), told):
                    say(f"{action}  [red]failed[/red] {escape(line)}")
            return 0 if release_all(stack, airflow, action) and state == "success" else 1
    finally:
        stop_ours(stack)


def release_all(stack: Stack, airflow: LocalAirflow, label: str) -> bool:
    """Build and publish what waits for a release; true when a release tells of it and no check calls it red."""
    is_green, told = build_release(airflow, warehouse_dsn(stack), label, {"replay": True})
    say(told)
    return is_green


def build_release(airflow: LocalAirflow, dsn: str, label: str, conf: dict[str, Any]) -> tuple[bool, str]:
    """One run of warehouse_daily: whether it is green, and a line that says what came of it. A release that failed checks is out all the same."""
    before = _newest_release(dsn)
    run_id = airflow.trigger("warehouse_daily", conf)
    state = wait_for(airflow, {"warehouse_daily": run_id}, label)["warehouse_daily"]
    after = _newest_release(dsn)
    if state != "success":
        words = escape("\n".join(airflow.failures("warehouse_daily", run_id)) or "see the task logs")
        what = "no release" if after == before else f"release {after}, and its run is red"
        return False, f"{label}  [red]{what}[/red]: {words} Logs: {airflow.home}/logs"
    if after == before:
        return True, f"{label}  nothing that counts has changed; release {after or 'none'} stands"
    return True, f"{label}  release {after}"


def _newest_release(dsn: str) -> int | None:
    with psycopg.connect(dsn) as conn:
        return conn.execute("select max(release_id) from ops.release").fetchone()[0]  # type: ignore[index]


@contextlib.contextmanager
def postgres_for_now(stack: Stack) -> Iterator[EmbeddedPostgres]:
    """The stack's PostgreSQL, started if it does not run, and then stopped again."""
    stack.home.mkdir(parents=True, exist_ok=True)
    was_running = stack.postgres.is_running()
    try:
        stack.postgres.start()
        yield stack.postgres
    finally:
        if not was_running:
            stack.postgres.stop()


def backup(_: argparse.Namespace) -> int:
    from kinhteso.local import backup as files

    stack = choose(environment(), state_root())
    with postgres_for_now(stack) as postgres:
        path = files.backup(postgres.bin, warehouse_dsn(stack), stack.home / "backups", stack.env.get("KINHTESO_BACKUP_KEY"))
    console.print(f"{path} ({path.stat().st_size / 1e6:.1f} MB{', encrypted' if path.suffix == '.enc' else ', not encrypted: KINHTESO_BACKUP_KEY is not set'})")
    console.print("The landing is files that never change: copy them as well. Back again: `make restore FILE=…`, docs/runbooks/restore.md")
    return 0


def restore(arguments: argparse.Namespace) -> int:
    from kinhteso import warehouse
    from kinhteso.local import backup as files

    stack, file = choose(environment(), state_root()), Path(arguments.file)
    if not file.is_file():
        console.print(f"There is no file {file}.")
        return 2
    if stack.env.get("AIRFLOW_CONN_WAREHOUSE"):
        console.print("The warehouse is a server of your own: its operators restore it, as docs/runbooks/restore.md says.")
        return 2
    if processes.marked(str(stack.home / "airflow")):
        console.print("Airflow runs: `make down` first, so that no task writes meanwhile.")
        return 2
    with postgres_for_now(stack) as postgres:
        postgres.database("kinhteso")
        old = files.restore(postgres.bin, postgres.dsn(), warehouse_dsn(stack), file, stack.env.get("KINHTESO_BACKUP_KEY"))
        with warehouse.connect(warehouse_dsn(stack)) as conn:
            warehouse.migrate(conn)
            last = conn.execute("select max(business_date) from ops.release").fetchone()
    console.print(f"Restored, up to the release of {last[0] if last else 'no day'}. What was there is in the database {old}.")
    console.print("Next: `make replay FROM=<the day after> TO=<yesterday>`.")
    return 0


def dsn(_: argparse.Namespace) -> int:
    stack = current_stack()
    env = stack.env
    if env.get("AIRFLOW_CONN_WAREHOUSE"):
        from psycopg.conninfo import conninfo_to_dict, make_conninfo

        parts: dict[str, Any] = {k: v for k, v in conninfo_to_dict(warehouse_dsn(stack)).items() if k not in ("password", "user")}
        print(make_conninfo(user="bi_reader", **parts))
        return 0
    stack.home.mkdir(parents=True, exist_ok=True)
    stack.postgres.start()
    stack.postgres.database("kinhteso")
    from kinhteso import warehouse

    with warehouse.connect(warehouse_dsn(stack)) as conn:
        warehouse.migrate(conn)
    print(stack.postgres.reader("kinhteso", "bi_reader"))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="kinhteso.local", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for function in (demo, up, down, dsn, backup, review):
        commands.add_parser(function.__name__).set_defaults(run=function)
    whole = commands.add_parser("reconcile")
    whole.add_argument("day")
    whole.set_defaults(run=reconcile)
    back = commands.add_parser("restore")
    back.add_argument("file")
    back.set_defaults(run=restore)
    again = commands.add_parser("replay")
    again.add_argument("first")
    again.add_argument("last", nargs="?")
    again.set_defaults(run=replay)
    back_to_rows = commands.add_parser("explain")
    for option in ("commune", "level", "unit", "date", "kpi", "target", "measure", "geography", "release", "format", "limit"):
        back_to_rows.add_argument(f"--{option}", dest="day" if option == "date" else option, default="")
    back_to_rows.set_defaults(run=explain)
    for name, run, action in (
        ("quarantine", list_quarantine, None), ("replay-quarantine", mend_quarantine, "replay"), ("dismiss-quarantine", mend_quarantine, "dismiss"),
    ):  # fmt: skip
        command = commands.add_parser(name)
        for option in ("class", "export", "rule", "day", "reason"):
            command.add_argument(f"--{option}", dest="class_" if option == "class" else option)
        command.set_defaults(run=run, action=action)
    arguments = parser.parse_args()
    try:
        return int(arguments.run(arguments))
    except (Stopped, KeyboardInterrupt) as why:
        console.print(f"Stopped ({why}).")
        return 130
    except (AirflowFailed, PostgresFailed, BackupFailed) as error:
        console.print(f"[red]{type(error).__name__}[/red]: {error}", markup=True)
        return 1
