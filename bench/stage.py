"""Where measurements run: an embedded PostgreSQL with durable settings, fresh databases, child processes that are timed and weighed."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from kinhteso import ledger, warehouse
from kinhteso.contracts import load_contract
from kinhteso.landing import Delivery, Landing, Part, sha256_of_parts
from kinhteso.local.postgres import EmbeddedPostgres
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bench.measuring import Taken

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".local" / "bench"
PEERS = ROOT / ".venv-bench" / "bin" / "python"
#: How often a child's memory is looked at.
LOOK_SECONDS = 0.05
TICKS = os.sysconf("SC_CLK_TCK")


class ChildFailed(RuntimeError):
    """A measured process ended with an error; its last words are in the message."""


class Stage:
    """The server and folders of one run of the bench. The server is durable (fsync, synchronous_commit, full_page_writes on), as in production; the rest of
    its settings are those of `kinhteso.local.postgres`, the same for every side. ``durable`` false is for tests, where nothing is timed."""

    def __init__(self, home: Path = HOME, *, say: Callable[[str], None] = print, durable: bool = True) -> None:
        self.home, self.say = home, say
        home.mkdir(parents=True, exist_ok=True)
        self.server = EmbeddedPostgres(home / "postgres", throwaway=not durable)
        self.data = home / "data"
        self.landing = home / "landing"

    @contextmanager
    def running(self) -> Iterator[Stage]:
        """The server started, stopped at the end, whatever happens."""
        self.server.start()
        try:
            self._template()
            yield self
        finally:
            self.server.stop()

    @property
    def psql(self) -> str:
        """The client beside the server's binaries."""
        return str(self.server.bin / "psql")

    def dsn(self, database: str) -> str:
        """Of a database, as superuser: it may tell the server to write a checkpoint before a run."""
        return make_conninfo(self.server.dsn(), dbname=database)

    def _template(self) -> None:
        with psycopg.connect(self.server.dsn()) as conn:
            left = conn.execute("select datname from pg_database where datname like 'bench\\_%'").fetchall()
        for (name,) in left:  # by a run that was killed
            self.drop(name)
        self.admin("create database bench_template")
        with warehouse.connect(self.dsn("bench_template")) as conn:
            warehouse.migrate(conn)

    def drop(self, name: str) -> None:
        """Away with a database."""
        self.admin(f"drop database if exists {name} with (force)")

    def admin(self, statement: str) -> None:
        """A statement of the server's owner."""
        with psycopg.connect(self.server.dsn(), autocommit=True) as conn:
            conn.execute(statement)  # type: ignore[call-overload]

    def fresh(self, name: str, template: str = "bench_template", *, by_copy: bool = False) -> str:
        """DSN of a new database, a copy of ``template`` (`template0`: an empty one). ``by_copy``: file by file, for large ones."""
        self.drop(name)
        self.admin(f"create database {name} template {template}" + (" strategy file_copy" if by_copy else ""))
        return self.dsn(name)

    def settle(self) -> None:
        """Write out what the last run left in the server, so that it is not counted to the next."""
        self.admin("checkpoint")

    # ---- time and memory ----

    def server_cpu_seconds(self) -> float:
        """CPU that the server and all its backends, present and past, have used. One that ends just now is waited for, else it would be counted nowhere."""
        time.sleep(0.2)
        return _cpu(self.postmaster, past=True) + sum(_cpu(pid) for pid in _children().get(self.postmaster, ()))

    @property
    def postmaster(self) -> int:
        """Process id of the server."""
        return int((self.server.data / "postmaster.pid").read_text().split()[0])

    def timed(self, work: Callable[[], Any]) -> Taken:
        """Time a piece of work of this process and of the server's."""
        self.settle()
        server, own, started = self.server_cpu_seconds(), _own_cpu(), time.perf_counter()
        more = work()
        seconds, own = time.perf_counter() - started, _own_cpu() - own
        return Taken(seconds, own + self.server_cpu_seconds() - server, 0.0, more if isinstance(more, dict) else {})

    def child(self, python: str | Path, module: str, what: str, **given: Any) -> Taken:
        """Run `python -m module what`, given its arguments as JSON: it prints a line of JSON with the seconds of its work (imports and start are not in
        them). Peak memory is of the process and all that it starts, together."""
        self.settle()
        env = {
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}",
            "PYTHONWARNINGS": "ignore",
            "KINHTESO_DBT_STATE": str(self.home / "dbt"),
            "AIRFLOW_HOME": str(self.home / "airflow"),
        }
        server = self.server_cpu_seconds()
        with subprocess.Popen(
            [str(python), "-m", module, what], cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            peak = _Weight(process.pid)
            try:
                out, err = process.communicate(json.dumps(given, default=str))  # not among the arguments: a password is in it
            except BaseException:  # Ctrl-C, SIGTERM: nothing is left behind
                process.terminate()
                raise
            finally:
                peak.ends()
        if process.returncode:
            raise ChildFailed(f"{module} {what} ended with {process.returncode}:\n{(out + err)[-4000:]}")
        told = json.loads(out.strip().splitlines()[-1])
        return Taken(told.pop("seconds"), told.pop("cpu_seconds") + self.server_cpu_seconds() - server, peak.megabytes, told)

    def ours(self, what: str, **given: Any) -> Taken:
        """A piece of kinhteso's work (bench.ours) in a process of its own."""
        return self.child(sys.executable, "bench.ours", what, **given)

    def peer(self, what: str, **given: Any) -> Taken:
        """A peer's (bench.peers), in the peers' environment."""
        return self.child(PEERS, "bench.peers", what, **given)

    def run_psql(self, dsn: str, *commands: str, file: Path | None = None, variables: dict[str, Any] | None = None) -> Taken:
        """psql with commands or a script, stopping at the first error."""
        arguments = [part for command in commands for part in ("-c", command)] + (["-f", str(file)] if file else [])
        arguments += [part for name, value in (variables or {}).items() for part in ("-v", f"{name}={value}")]
        info = conninfo_to_dict(dsn)
        env = {**os.environ, "PGPASSWORD": str(info.pop("password")), "PGOPTIONS": "-c client_min_messages=warning"}
        command = [self.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", make_conninfo(**info), *arguments]

        def run() -> None:
            done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
            if done.returncode:
                raise ChildFailed(f"psql: {done.stderr[-2000:]}")

        return self.timed(run)

    # ---- deliveries ----

    def land(self, dsn: str, root: Path, source: str, dataset: str, day: Any, files: list[Path], **given: Any) -> int:
        """Note ``files`` as landed, under ``root`` with the names that they would have there; returns the export's id. They are linked, not copied."""
        contract, landing, folder = load_contract(source, dataset), Landing(root), f"{source}/{dataset}/{day}/v1"
        parts = []
        (root / folder).mkdir(parents=True, exist_ok=True)
        for n, file in enumerate(files, 1):
            there = root / folder / file.name
            if not there.exists():
                os.link(file, there)
            parts.append(Part(n, f"{folder}/{file.name}", file.name, landing.sha256(f"{folder}/{file.name}"), file.stat().st_size))
        delivery = Delivery(
            source=source, dataset=dataset, business_day=day, version=1, mode=contract.mode, origin=files[0].name, landing_path=folder,
            sha256=parts[0].sha256 if len(parts) == 1 else sha256_of_parts(parts), bytes=sum(p.bytes for p in parts), parts=tuple(parts), **given,
        )  # fmt: skip
        with warehouse.connect(dsn) as conn:
            return ledger.landed(conn, delivery, "bench")


class _Weight:
    """The most memory that a process and its descendants held together, looked at twenty times a second (resident, so what they share counts twice)."""

    def __init__(self, pid: int) -> None:
        self.pid, self.kilobytes, self._over = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        is_over = False
        while not is_over:
            is_over = self._over.wait(LOOK_SECONDS if self.kilobytes else 0.001)
            children, family = _children(), [self.pid]
            for pid in family:
                family += children.get(pid, ())
            # alone it is asked for its own high water mark, which no look can miss
            self.kilobytes = max(self.kilobytes, _memory(self.pid, "VmHWM:") if len(family) == 1 else sum(_memory(pid, "VmRSS:") for pid in family))

    def ends(self) -> None:
        self._over.set()
        self._thread.join()

    @property
    def megabytes(self) -> float:
        return self.kilobytes / 1024


def _memory(pid: int, line: str) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(found.split()[1]) for found in text.splitlines() if found.startswith(line)), 0)


def _stat(pid: int | str) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _children() -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(entry.name)):
            found.setdefault(int(stat[1]), []).append(int(entry.name))
    return found


def _cpu(pid: int, *, past: bool = False) -> float:
    stat = _stat(pid)
    return sum(map(int, stat[11 : 15 if past else 13])) / TICKS if stat else 0.0


def _own_cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)
