"""Whole days: beside a hand-written script, and again with nothing new. On histories of other lengths: `bench.history`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from kinhteso import contracts
from kinhteso.settings import Settings

from bench import worlds
from bench.measuring import Measurement, Ratio, Side, Taken, must_be
from bench.stage import Stage
from bench.worlds import DAY, World

HERE = Path(__file__).parent
#: What the rival does not tell: texts, release, and what is the same as a column that it does tell.
UNTOLD = {"geography", "commune_name", "district_code", "district_name", "date", "phase", "rates_held", "completeness", "release_id", "published_at"}


class History:
    """A world whose history is built and published, and whose next day waits at its sources; each run has a copy of its database."""

    def __init__(self, stage: Stage, world: World, *, rival: bool = False) -> None:
        self.stage, self.world = stage, world
        self.home = stage.home / "worlds" / world.name
        self.name, self.base = f"bench_{world.name}", f"bench_{world.name}_before"
        shutil.rmtree(self.home, ignore_errors=True)
        made = worlds.make(stage.fresh(self.name, "template0"), world, self.home)
        worlds.first_build(made, worlds.Clock())
        worlds.check(made, DAY - timedelta(days=1))
        worlds.arrive(made)
        if rival:
            self._rival()
        with psycopg.connect(stage.dsn(self.name), autocommit=True) as conn:
            conn.execute("vacuum analyze")
        stage.drop(self.base)
        stage.admin(f"alter database {self.name} rename to {self.base}")  # dbt has parsed for the name that the copies bear

    def _rival(self) -> None:
        """The rival's tables of the evening before, and the day's files unpacked for it: sheets and archives as plain CSV."""
        self.stage.run_psql(self.stage.dsn(self.name), file=HERE / "rival_state.sql", variables={"day": DAY})
        folder = self.home / "rival"
        folder.mkdir()
        (folder / "voso").symlink_to(self.home / "source" / "voso")
        with psycopg.connect(self.stage.dsn(self.name)) as conn:
            for contract in (c for c in contracts.all_contracts() if c.source == "postmart"):
                columns = ", ".join(f"w.{c.name}" for c in contract.columns)
                query = f"copy (select {columns} from world.postmart_{contract.dataset}('{DAY}') as w order by w.source_row) to stdout (format csv)"
                with (folder / f"{contract.dataset}.csv").open("wb") as out, conn.cursor() as cursor, cursor.copy(query) as copy:  # type: ignore[arg-type]
                    for block in copy:
                        out.write(block)
        script = (HERE / "rival.sql").read_text(encoding="utf-8").replace("{folder}", str(folder)).replace("{day}", str(DAY))
        (folder / "rival.sql").write_text(script, encoding="utf-8")

    def again(self, *, keeps_landing: bool = False) -> str:
        """DSN of a fresh copy in which the day has not come yet."""
        if not keeps_landing:
            shutil.rmtree(self.home / "landing", ignore_errors=True)
        return self.stage.fresh(self.name, self.base, by_copy=True)

    def run(self) -> Taken:
        """The day, from the sources to its release, in a worker that has imported before what it needs."""
        self.again()
        return self.stage.ours("day", dsn=self.stage.dsn(self.name), home=self.home, world=asdict(self.world), postmaster=self.stage.postmaster)

    def made(self) -> worlds.Made:
        """The world as `worlds` has it."""
        return stands(self.world, self.stage.dsn(self.name), self.home)

    def check(self) -> None:
        """`bi` holds what the plan says, to the day."""
        try:
            worlds.check(self.made(), DAY)
        except worlds.WrongResult as wrong:
            must_be(str(wrong), "", "bi against the plan")

    def kpis(self) -> dict[str, dict[str, Any]]:
        """Of the day and the list of 2021, by commune."""
        with psycopg.connect(self.stage.dsn(self.name)) as conn:
            return told(conn, f"bi.kpi_commune_daily where geography = '2021' and date = '{DAY}' and commune_code <> '00000'")

    def run_rival(self) -> Taken:
        """The hand-written script in a copy of the same database."""
        return self.stage.run_psql(self.again(), file=self.home / "rival" / "rival.sql")

    def close(self) -> None:
        """Away with the copy."""
        self.stage.drop(self.name)

    def finish(self) -> None:
        """Away with everything."""
        self.stage.drop(self.name)
        self.stage.drop(self.base)
        shutil.rmtree(self.home, ignore_errors=True)


def stands(world: World, dsn: str, home: Path) -> worlds.Made:
    """A world that was made before."""
    return worlds.Made(world, dsn, home, Settings(str(home / "landing"), str(home / "inbox"), worlds.PHONE_KEY, world.first_day))


def told(conn: psycopg.Connection[Any], of: str) -> dict[str, dict[str, Any]]:
    """Rows by commune, columns by name."""
    cursor = conn.execute(f"select * from {of}")  # type: ignore[call-overload]
    names = [column.name for column in cursor.description or ()]
    return {row["commune_code"]: row for values in cursor for row in [dict(zip(names, values, strict=True))]}


def differ(ours: dict[str, dict[str, Any]], theirs: dict[str, dict[str, Any]]) -> list[str]:
    """Cells that differ, in words; a column or a commune that only one side tells is one as well."""
    wrong = [f"commune {code} is told by one side only" for code in sorted(ours.keys() ^ theirs.keys())]
    for code in sorted(ours.keys() & theirs.keys()):
        for name in sorted((ours[code].keys() - UNTOLD) | theirs[code].keys()):
            if name not in ours[code] or name not in theirs[code] or ours[code][name] != theirs[code][name]:
                wrong.append(f"{code} {name}: {ours[code].get(name)} here, {theirs[code].get(name)} by the script")
    return wrong


def beside_rival(stage: Stage, size: float) -> Measurement:
    """A day of 1 M new order lines, land to publish, beside the hand-written script."""
    world = World("day", days=3, lines=max(200, int(1_000_000 * size) // 200 * 200), stores=max(400, int(28_000 * size) // 200 * 200))
    history = History(stage, world, rival=True)
    ours: dict[str, dict[str, Any]] = {}

    def check() -> None:
        history.check()
        ours.update(history.kpis())

    def check_rival() -> None:
        with psycopg.connect(stage.dsn(history.name)) as conn:
            must_be(differ(ours, told(conn, "rival.kpi"))[:5], [], "the script's KPIs beside ours")

    sides = [
        Side(
            "kinhteso",
            world.lines,
            history.run,
            check,
            history.close,
            rounds=2,
            note="land to publish; lists, hamlets, targets, versions too",
        ),
        Side("hand-written script", world.lines, history.run_rival, check_rival, history.close, rounds=2, note="bench/rival.sql, the files unpacked for it"),
    ]
    ratios = [Ratio("a whole day, beside a hand-written script", "kinhteso", "hand-written script", "seconds", 2.0)]
    title = f"A day of {world.lines:,} new order lines, from the sources to the release"
    return Measurement("day", title, sides, ratios, "lines", history.finish)


#: Where nothing may be written when nothing has come: rows are told by where they lie and which transaction wrote them.
QUIET = ["raw", "intermediate", "core", "kpi", "bi"]


def stamps(dsn: str, landing: Path) -> dict[str, Any]:
    """Versions of all rows of what was loaded, built and published, how many releases there are, and the times of the landing's files."""
    rows = {}
    with psycopg.connect(dsn) as conn:
        tables = conn.execute("select format('%%I.%%I', schemaname, tablename) from pg_tables where schemaname = any(%s)", [QUIET]).fetchall()
        for (table,) in sorted(tables):
            query = f"select count(*), coalesce(sum(hashtextextended(ctid::text || xmin::text, 0)::numeric), 0)::text from {table}"
            rows[table] = conn.execute(query).fetchone()
        (releases,) = conn.execute("select count(*) from ops.release").fetchone() or (0,)
    files = {str(p): (p.stat().st_mtime_ns, p.stat().st_ino) for p in landing.rglob("*") if p.is_file()}
    return {"rows": rows, "releases": releases, "files": files}


def unchanged(stage: Stage, size: float) -> Measurement:
    """The day once more, when it is published already."""
    world = worlds.long(10, *((20_000, 1_500) if size >= 0.1 else (200, 400)))
    history, before = History(stage, world), dict[str, Any]()
    dsn = stage.dsn(history.name)
    history.run()
    history.check()

    def run() -> Taken:
        before.update(stamps(dsn, history.home / "landing"))
        return stage.ours("day", dsn=dsn, home=history.home, world=asdict(world), again=True)

    def check() -> None:
        must_be(json.dumps(stamps(dsn, history.home / "landing")), json.dumps(before), "what an unchanged day leaves behind")
        history.check()

    side = Side("kinhteso", world.lines, run, check, note="every dataset asked for again, build and publish called")
    ratio = Ratio("an unchanged day again", side.name, "", "time", 5.0)
    return Measurement("unchanged", "An unchanged day, run again", [side], [ratio], "lines", history.finish)


MEASUREMENTS: dict[str, Callable[[Stage, float], Measurement]] = {"day": beside_rival, "unchanged": unchanged}
