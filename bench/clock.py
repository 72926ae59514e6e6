"""What a measured process tells of itself: one line of JSON. Imported in both environments, so it needs nothing but Python."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any


class Clock:
    """Seconds and CPU between `start` and `stop`; of a process that never starts it, from its making."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """What was before does not count."""
        self._wall, self._cpu = time.perf_counter(), _cpu()
        self.seconds = self.cpu_seconds = 0.0

    def stop(self) -> None:
        """What comes does not count."""
        self.seconds, self.cpu_seconds = time.perf_counter() - self._wall, _cpu() - self._cpu


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def main(works: dict[str, Callable[..., dict[str, Any] | None]]) -> None:
    """`python -m bench.… <work>`, arguments as JSON from its standard input: do the work with a clock, print what it took and told."""
    clock = Clock()
    told = works[sys.argv[1]](clock, **json.load(sys.stdin)) or {}
    if not clock.seconds:
        clock.stop()
    print("\n" + json.dumps({**told, "seconds": clock.seconds, "cpu_seconds": clock.cpu_seconds}, default=str))
