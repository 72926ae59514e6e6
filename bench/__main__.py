"""`make bench`: python -m bench [--only csv,json] [--rounds 3] [--rows-factor 0.1] [--quick]."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

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


def run(stage: Stage, names: list[str], rounds: int, size: float) -> dict[str, dict]:
    """Measure; gives what each measurement told, by name. Raises what a check raises: a wrong result is an end."""
    told = {}
    for name in names:
        stage.say(f"{name}: preparing …")
        measurement = MEASUREMENTS[name](stage, size)
        stage.say(f"{name}: {measurement.title}")
        measurement.measure(rounds, stage.say)
        told[name] = measurement.told()
    return told


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
    with Stage(given.home, say=say).running() as stage:
        told = run(stage, names, rounds, size)
        machine = reporting.machine(stage)
    results = reporting.merged(told, machine, rounds=rounds, size=size, is_whole=size == 1.0 and not given.quick)
    print(reporting.in_words(results, names))
    if size == 1.0 and not given.quick:
        reporting.write(results)
    say(f"measured {len(names)} of {len(MEASUREMENTS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
