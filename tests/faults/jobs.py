"""What a worker process of the fault suite does: the library calls of one DAG task each, as dags/*.py and dagkit.py make them."""

from __future__ import annotations

import os
import resource
import signal
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import paramiko
from kinhteso import building, checking, contracts, intake, mishaps, publishing, warehouse
from kinhteso.platforms.voso import VosoClient
from kinhteso.settings import Settings

SOURCES = {s: [c.dataset for c in contracts.all_contracts() if c.source == s] for s in ("registers", "postmart", "voso")}


@contextmanager
def outbox(sftp: dict[str, Any]):
    """An SFTP client as the DAGs have one."""
    with paramiko.SSHClient() as ssh:
        ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        ssh.connect(sftp["host"], sftp["port"], sftp["username"], sftp["password"], look_for_keys=False, allow_agent=False)
        with ssh.open_sftp() as client:
            yield client


@contextmanager
def connected(dsn: str):
    """As dagkit.warehouse: tables in place, closed at the end."""
    with mishaps.told(), warehouse.connect(dsn) as conn:
        warehouse.migrate(conn)
        yield conn


def land(dsn: str, settings: Settings, sources: dict[str, Any], source: str, dataset: str, day: date, run: str = "run") -> list[str]:
    """The task `land`: what has come for the day, into the landing and the ledger. Gives what was refused."""
    with connected(dsn) as conn:
        if source == "registers":
            return intake.land_registers(conn, settings, dataset, run).refused
        with intake.expected(conn, settings, source, dataset, day):
            if source == "postmart":
                with outbox(sources["sftp"]) as sftp:
                    return intake.land_postmart(conn, sftp, settings, dataset, day, run).refused
            http = sources["http"]
            return intake.land_voso(conn, lambda: VosoClient(http["base_url"], http["username"], http["password"]), settings, dataset, day, run).refused


def load(dsn: str, settings: Settings, source: str, dataset: str) -> None:
    """The task `load`."""
    with connected(dsn) as conn:
        intake.load(conn, settings, source, dataset)


def judge(dsn: str, settings: Settings, source: str, dataset: str) -> None:
    """The task `judge`."""
    with connected(dsn) as conn:
        intake.judge(conn, settings, source, dataset)


def take(
    dsn: str, settings: Settings, sources: dict[str, Any], day: date, run: str = "run", of: tuple[str, ...] = ("registers", "postmart", "voso")
) -> list[str]:
    """The DAGs of the sources for one day: what is refused holds nothing else up (trigger rule ALL_DONE)."""
    told = []
    for source in of:
        for dataset in SOURCES[source]:
            for step in (
                lambda: land(dsn, settings, sources, source, dataset, day, run),
                lambda: load(dsn, settings, source, dataset),
                lambda: judge(dsn, settings, source, dataset),
            ):
                try:
                    told += step() or []
                except intake.StepFailed as refused:
                    told.append(str(refused))
    return told


def build(dsn: str, settings: Settings, state: str, scope: dict | None = None) -> None:
    """The task `build`; its scope goes to the file that stands for XCom."""
    with connected(dsn):
        found = checking.build(dsn, settings.first_day, state_dir=Path(state))
    _hand_over(state, found.to_json() if found else None)


def _hand_over(state: str, scope: dict | None) -> None:
    import json

    (Path(state) / "xcom").write_text(json.dumps(scope))


def publish(dsn: str, settings: Settings, state: str, **options: Any) -> None:
    """The task `publish`, with what `build` handed over."""
    import json

    scope = json.loads((Path(state) / "xcom").read_text())
    if scope:
        publishing.publish(dsn, building.BuildScope.from_json(scope), **options)


def release(dsn: str, settings: Settings, state: str) -> None:
    """The DAG warehouse_daily."""
    build(dsn, settings, state)
    publish(dsn, settings, state)


def day(dsn: str, settings: Settings, sources: dict[str, Any], day: date, state: str, run: str = "run") -> None:
    """A whole day, from the sources to the release."""
    take(dsn, settings, sources, day, run)
    release(dsn, settings, state)


def days(dsn: str, settings: Settings, sources: dict[str, Any], wanted: list[date], state: str, run: str = "run") -> None:
    """Several days in the given order, each to its release."""
    for one in wanted:
        day(dsn, settings, sources, one, state, run)


def limited(inner: str, kwargs: dict[str, Any], *, memory: int | None = None, file_bytes: int | None = None, die_at_file_limit: bool = False) -> None:
    """The job ``inner`` with only ``memory`` bytes that are still free, or files of at most ``file_bytes``."""
    held = _starve(memory) if memory is not None else None
    if file_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL if die_at_file_limit else signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    globals()[inner](**kwargs)
    del held


def _starve(left: int) -> Any:
    """Take all memory that the process has and may still get, but ``left`` bytes; what is given holds it."""
    have = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (have + left, have + left))
    room, taken = bytearray(left), None
    for size in (1 << 20, 1 << 16, 1 << 12, 400, 16):
        try:
            while True:
                taken = (bytes(size), taken)
        except MemoryError:
            pass
    del room
    return taken


def run(job: str, kwargs: dict[str, Any], log: str, environment: dict[str, str]) -> None:
    """What the process does: output to ``log``, and how it ended as its status (0, 1; SIGKILL is seen by the parent)."""
    import traceback

    os.environ.update(environment)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    try:
        told = globals()[job](**kwargs)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    if told:
        print("\n".join(told), flush=True)
    os._exit(0)
