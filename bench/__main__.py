"""`make bench`: python -m bench [--only csv,json] [--rounds 3] [--rows-factor 0.1] [--quick]."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kinhteso.local.cli import Stopped

from bench import days, history, judged, loads, reporting, small
from bench.measuring import Measurement
from bench.stage import HOME, Stage

#: In the order of the table.
MEASUREMENTS: dict[str, Callable[[Stage, float], Measurement]] = {
    "csv": loads.csv_load,
    "json": loads.json_load,
    "xlsx": loads.workbook,
    "judge": judged.judge,
    **days.MEASUREMENTS,
    **small.MEASUREMENTS,
    **history.MEASUREMENTS,
}
#: Takes long: only when it is asked for by name.
ONLY_BY_NAME = {"growth", "national"}
QUICK_SIZE = 0.001


def run(stage: Stage, names: list[str], rounds: int, size: float, keep: Callable[[str, dict[str, Any] | None], None]) -> list[str]:
    """Measure one after the other; each is kept as soon as it is done, so that what fails later does not take it away. Gives a line per measurement whose
    result was wrong or that broke: of it nothing is kept, and what was kept before goes."""
    failed = []
    for name in names:
        stage.say(f"{name}: preparing …")
        try:
            measurement = MEASUREMENTS[name](stage, size)
            stage.say(f"{name}: {measurement.title}")
            measurement.measure(rounds, stage.say)
        except Stopped:  # Ctrl-C while Airflow ran
            raise
        except Exception as error:
            failed.append(f"{name}: {type(error).__name__}: {error}")
            stage.say(failed[-1])
            keep(name, None)
        else:
            keep(name, measurement.told())
    return failed


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", help=f"some of: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows-factor", type=float, default=1.0, help="size of everything, beside the sizes that the ratios are wanted at")
    parser.add_argument("--quick", action="store_true", help="one round of a thousandth: does it still run?")
    parser.add_argument("--home", type=Path, default=HOME, help="data and server; data are kept for the next run")
    given = parser.parse_args(arguments)
    names = given.only.split(",") if given.only else [n for n in MEASUREMENTS if n not in ONLY_BY_NAME]
    if unknown := set(names) - set(MEASUREMENTS):
        parser.error(f"no such measurement: {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    rounds, size = (1, QUICK_SIZE) if given.quick else (given.rounds, given.rows_factor)
    started = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - started:7.1f} s  {text}", flush=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    is_whole = size == 1.0 and not given.quick
    with Stage(given.home, say=say).running() as stage:
        machine = reporting.machine(stage)

        def keep(name: str, told: dict[str, Any] | None) -> None:
            results = reporting.merged(name, told, machine, rounds=rounds, size=size, is_whole=is_whole)
            print(reporting.in_words(results, [name]), flush=True)
            if is_whole:
                reporting.write(results)

        failed = run(stage, names, rounds, size, keep)
    for line in failed:
        print(f"FAILED  {line}", file=sys.stderr)
    say(f"measured {len(names) - len(failed)} of {len(names)} that were asked for; there are {len(MEASUREMENTS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
