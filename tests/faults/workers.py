"""Worker processes that can be killed: forked from a server that has imported what a task imports, so that one costs milliseconds."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jobs
import psutil

_PRELOAD = [
    "jobs",
    "great_expectations",
    "great_expectations.expectations",
    "great_expectations.validator.v1_validator",
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "kinhteso.judging",
    "kinhteso.readers.files",
]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_PRELOAD)


@dataclass
class Worker:
    """A running job. ``log`` holds what it printed, with the traceback of an error."""

    process: Any
    log: Path

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone (its status is for `wait` to read)."""
        os.kill(self.process.pid, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(self.process.pid) or psutil.Process(self.process.pid).status() == psutil.STATUS_ZOMBIE, every=0.002)

    def wait(self, seconds: float = 240) -> int:
        """Exit status; negative for a signal. A worker that hangs is killed and fails the test."""
        self.process.join(seconds)
        if self.process.is_alive():
            self.kill()
            raise AssertionError(f"{self.process.name} hung for {seconds:.0f} s: {self.said()[-2000:]}")
        return self.process.exitcode

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Workers:
    """Starts workers; their logs lie under ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._number = folder, 0
        folder.mkdir(parents=True, exist_ok=True)
        here = Path(__file__).parent
        os.environ["PYTHONPATH"] = os.pathsep.join([str(here), str(here.parent), str(here.parents[1] / "plugins"), str(here.parents[1])])

    def start(self, job: str, *, environment: dict[str, str] | None = None, **kwargs: Any) -> Worker:
        self._number += 1
        log = self.folder / f"{self._number:04d}-{job}.log"
        process = _context.Process(target=jobs.run, args=(job, kwargs, str(log), environment or {}), name=f"{job} {self._number}", daemon=True)
        worker = Worker(process, log)
        process.start()
        return worker

    def do(self, job: str, *, seconds: float = 240, **kwargs: Any) -> Worker:
        """Run to the end; a failure fails the test with its words."""
        worker = self.start(job, **kwargs)
        status = worker.wait(seconds)
        assert status == 0, f"{job} ended with {status}: {worker.said()[-3000:]}"
        return worker


def until(condition, seconds: float = 30, every: float = 0.02):
    """Wait for something to be true; gives it, or fails."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it did not come in time"
        time.sleep(every)
    return found
