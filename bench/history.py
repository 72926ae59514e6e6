"""The same day on a short and on a long history, an unchanged day run again, and a day of the whole country: measurements over the worlds.

A world is made and built once (not measured) and kept as a database that each round copies. `python -m bench.history day` runs the day in a process of
its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from kinhteso import building
from kinhteso.settings import Settings

from bench import questions, worlds
from bench.clock import Clock, main
from bench.measuring import Measurement, Ratio, Side, Taken, must_be
from bench.stage import Stage

ROUND = "bench_world"
SHORT, LONG = 10, 1_000


class OnHistory:
    """A world on the stage, ready for its day; each round gets a copy."""

    def __init__(self, stage: Stage, world: worlds.World) -> None:
        self.stage, self.world, self.taken = stage, world, Taken(0.0)
        self.database, self.home = f"world_{world.name}", stage.home / "worlds" / world.name
        self.setup: list[dict[str, Any]] = []
        self._prepare()

    def _prepare(self) -> None:
        """Make it, and leave it as a night would: vacuumed, with statistics."""
        self.stage.drop(self.database)
        dsn = self.stage.fresh(self.database)
        clock = worlds.Clock(int((self.stage.server.data / "postmaster.pid").read_text().split()[0]))
        with clock.step("make"):
            made = worlds.make(dsn, self.world, self.home)
        worlds.first_build(made, clock)
        worlds.check(made, worlds.DAY - timedelta(days=1))
        self.bytes = worlds.arrive(made)
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("vacuum analyze")
        self.setup = [asdict(step) for step in clock.steps]
        self.stage.say(f"{self.world.name}: " + ", ".join(f"{s.name} {s.seconds:.0f} s (CPU {s.cpu + s.cpu_database:.0f})" for s in clock.steps))

    def made(self, database: str) -> worlds.Made:
        """The world as it stands in a database."""
        return worlds.Made(self.world, self.stage.dsn(database), self.home, _settings(self.world, self.home))

    def run(self) -> Taken:
        """The day, from the sources to its release."""
        dsn = self.stage.fresh(ROUND, self.database, by_copy=True)
        self.taken = _child(self.stage, "day", dsn=dsn, home=self.home, world=asdict(self.world))
        return self.taken

    def check(self) -> None:
        """Every figure is that of the plan."""
        worlds.check(self.made(ROUND), worlds.DAY)

    def close(self) -> None:
        """Away with the copy."""
        self.stage.drop(ROUND)

    def ends(self) -> None:
        """Away with the world."""
        self.stage.drop(self.database)


def _settings(world: worlds.World, home: Path) -> Settings:
    return Settings(str(home / "landing"), str(home / "inbox"), worlds.PHONE_KEY, world.first_day)


def _child(stage: Stage, what: str, **given: Any) -> Taken:
    import sys

    return stage.child(sys.executable, "bench.history", what, **given)


def day(clock: Clock, dsn: str, home: str, world: dict[str, Any]) -> dict[str, Any]:
    """Land, load, judge, build and publish. What a worker has imported before it begins is not counted; its steps are told."""
    import shutil

    import dbt.cli.main
    import great_expectations

    assert great_expectations and dbt.cli.main
    which = worlds.World(**world)
    shutil.rmtree(Path(home) / "landing", ignore_errors=True)  # each round lands anew
    made = worlds.Made(which, dsn, Path(home), _settings(which, Path(home)))
    with made.project():  # as in production, where the project was parsed for this database the day before
        building.run_dbt(dsn, ["parse"], made.home / "dbt")
    steps = worlds.Clock()
    clock.start()
    release = worlds.run_day(made, steps)
    clock.stop()
    return {"rows_changed": release.rows_changed, "steps": {s.name: round(s.seconds, 2) for s in steps.steps}}


def growth(stage: Stage, size: float) -> Measurement:
    """The same day of the province on 10 and on 1,000 days of history."""
    lines, stores = max(20, round(2_000 * size)), max(200, round(1_500 * min(size, 1)) // 200 * 200)
    days = (SHORT, max(12, round(LONG * size)))
    both = {f"{n:,} days": OnHistory(stage, worlds.long(n, lines, stores)) for n in days}
    sides = [Side(name, lines, one.run, one.check, one.close, note=f"history built in {_of(one, 'first build'):.0f} s") for name, one in both.items()]
    short, long = both
    wanted = [Ratio(f"a day on {long} of history, beside {short}", long, short, "seconds", 1.2)]
    return Measurement(
        "growth", f"A day of {lines:,} new order lines on a short and a long history", sides, wanted, "lines",
        finish=lambda: [one.ends() for one in both.values()],
    )  # fmt: skip


def _of(one: OnHistory, name: str) -> float:
    return next(s["seconds"] for s in one.setup if s["name"] == name)


def country(scales: Sequence[float]) -> Callable[[Stage, float], Measurement]:
    """Days of the country at several sizes; of the whole one at most 15 minutes are wanted. BI's questions are put to the largest."""

    def measurement(stage: Stage, size: float) -> Measurement:
        sides, notes = [], list[str]()
        for scale in scales:
            world = worlds.national(scale * size)
            one = Lazily(stage, world, notes)
            sides.append(Side(f"1/{round(1 / (scale * size))}", world.lines, one.run, one.check, one.close, rounds=1))
        whole = sides[-1].name
        return Measurement(
            "national", "A day of the country: 1 M new order lines over 20 M of history, 10,600 communes", sides,
            [Ratio("a national day, seconds", whole, whole, "time", 15 * 60)], "lines", notes=notes,
        )  # fmt: skip

    return measurement


class Lazily:
    """A country that is made when its turn comes, and run where it stands: two of them do not fit on the disk."""

    def __init__(self, stage: Stage, world: worlds.World, notes: list[str]) -> None:
        self.stage, self.world, self.notes = stage, world, notes
        self.one: OnHistory | None = None

    def run(self) -> Taken:
        """Make it, then its day."""
        self.one = OnHistory(self.stage, self.world)
        return _child(self.stage, "day", dsn=self.stage.dsn(self.one.database), home=self.one.home, world=asdict(self.world))

    def check(self) -> None:
        """The plan's figures; and what BI asks, in at most three times a look-up."""
        assert self.one is not None
        cells = worlds.check(self.one.made(self.one.database), worlds.DAY)
        must_be(cells > 0, True, "cells compared")
        with psycopg.connect(self.stage.dsn(self.one.database), autocommit=True) as conn:
            conn.execute("vacuum analyze bi.kpi_commune_daily, bi.kpi_district_daily, bi.target_progress_daily")
            (size,) = conn.execute("select pg_database_size(current_database())").fetchone() or (0,)
        answers = questions.ask(self.stage.dsn(self.one.database), worlds.DAY)
        self.notes.append(
            f"{self.world.name}: {size / 1e9:.1f} GB, {cells:,} cells agree, set-up "
            + ", ".join(f"{s['name']} {s['seconds']:.0f} s" for s in self.one.setup)
            + "; questions "
            + ", ".join(f"{a.question.name} {a.ratio:.1f} ×" for a in answers)
        )
        (self.stage.home / f"plans-{self.world.name}.md").write_text(questions.as_text(answers), encoding="utf-8")

    def close(self) -> None:
        """Away with it."""
        if self.one is not None:
            self.one.ends()


#: Sizes of the country, smallest first.
SCALES = (0.01, 0.1, 1.0)
MEASUREMENTS: dict[str, Callable[[Stage, float], Measurement]] = {"growth": growth, "national": country(SCALES)}
WORKS = {"day": day}

if __name__ == "__main__":
    main(WORKS)
