"""Processes that end with us: started in groups of their own, found again by a mark in their environment, stopped without rest."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

MARK = "KINHTESO_STACK"
TERM_SECONDS = 12


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether ``port`` can be bound on loopback."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def start(command: Iterable[str], log: Path, env: Mapping[str, str], mark: str, *, with_parent: bool) -> subprocess.Popen[bytes]:
    """Start ``command`` in a session of its own, output to ``log``; ``with_parent``: it ends when this process does, however that ends."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            list(command),
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**env, MARK: mark},
            start_new_session=True,
            preexec_fn=_die_with_parent if with_parent else None,
        )
    started = psutil.Process(process.pid).create_time()
    with (Path(mark) / "sessions").open("a") as f:
        f.write(f"{process.pid} {started}\n")
    return process


def _sessions(mark: str) -> set[int]:
    """Sessions that were started with ``mark``; a number that another process has got since is none of them."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for line in (Path(mark) / "sessions").read_text().splitlines():
            pid, started = line.split()
            try:
                if abs(psutil.Process(int(pid)).create_time() - float(started)) < 1:
                    found.add(int(pid))
            except psutil.Error:
                found.add(int(pid))  # its leader is gone; what is left of the session is ours
    return found


def marked(mark: str) -> list[psutil.Process]:
    """Every running process of ``mark``: by its session, or by the mark in its environment (a process that names itself may lose it)."""
    sessions, found = _sessions(mark), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if os.getsid(process.pid) in sessions or process.environ().get(MARK) == mark:
                found.append(process)
    return found


def stop(mark: str, first: Iterable[int] = ()) -> None:
    """End everything that carries ``mark``: SIGTERM to ``first`` (or all), SIGKILL to what is left."""
    leaders = set(first)
    processes = marked(mark)
    for process in processes:
        if not leaders or process.pid in leaders:
            with contextlib.suppress(psutil.Error):
                process.terminate()
    deadline = time.monotonic() + TERM_SECONDS
    while processes and time.monotonic() < deadline:
        _, processes = psutil.wait_procs(processes, timeout=0.5)
        processes = marked(mark)
    for process in marked(mark):
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(marked(mark), timeout=5)
    (Path(mark) / "sessions").unlink(missing_ok=True)
