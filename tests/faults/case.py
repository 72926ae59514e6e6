"""One fault against a running pipeline: a clone of a warehouse that knows three days, real sources with the fault switched on, and what is checked."""

from __future__ import annotations

import hashlib
import io
import logging
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import invariants
import psycopg
from kinhteso import intake, ledger, publishing, warehouse
from kinhteso.platforms.voso import Limits, VosoClient
from kinhteso.settings import Settings
from pipeline import SOURCES, Pipeline
from psycopg.conninfo import make_conninfo
from served import Served, simulators

from simulators import campaign
from simulators.faults import Switches, parse, struck
from simulators.issues import Issue
from simulators.postmart import Postmart
from simulators.tables import Rendered, render

FIRST = date(2021, 9, 12)
#: The day that a fault strikes, and the one after it; the baseline ends with the day before.
DAY, NEXT = date(2021, 9, 15), date(2021, 9, 16)
WORDS = {"stores": "GIANHANG", "products": "SANPHAM", "orders": "DONHANG", "refunds": "HOANTRA", "accounts": "TAIKHOANTT"}
PLATFORMS = ("postmart", "voso")


class NotSeen(AssertionError):
    """The reaction that the catalogue asks for did not show."""


@dataclass
class Baseline:
    """A warehouse with the backlog and two days, released; cloned for each fault."""

    admin: str
    database: str
    home: Path

    @property
    def clone(self) -> str:
        """Name of the database of each case, one after the other. The baseline was built under it: dbt parses its project anew for another one."""
        return f"{self.database}_case"


def build_baseline(admin: str, template: str, home: Path) -> Baseline:
    """Take and release the days before `DAY`, and keep the database as a template."""
    baseline = Baseline(admin, f"{template}_faults", home)
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(f"create database {baseline.clone} template {template}")  # type: ignore[arg-type]
    dsn = make_conninfo(admin, dbname=baseline.clone)
    with simulators(home / "sources", "--inbox", str(home / "inbox")) as served:
        pipeline = Pipeline(dsn, Settings(str(home / "landing"), str(home / "inbox"), "demo-pepper", FIRST), served, home / "dbt", [])
        for n in range((DAY - FIRST).days):
            pipeline.take(FIRST + timedelta(days=n))
        pipeline.release()
        assert pipeline.problems == [], pipeline.problems
    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [baseline.clone])
        conn.execute(f"alter database {baseline.clone} rename to {baseline.database}")  # type: ignore[arg-type]
    return baseline


@dataclass
class QuickPipeline(Pipeline):
    """As Pipeline; the client of Vỏ Sò has short limits, and its pauses are kept in ``waits`` and cut short."""

    waits: list[float] = field(default_factory=list)

    def _pause(self, seconds: float) -> None:
        self.waits.append(seconds)
        time.sleep(min(seconds, 0.05))

    def _client(self) -> VosoClient:
        http = self.served.http
        return VosoClient(http["base_url"], http["username"], http["password"], sleep=self._pause, limits=Limits(read_seconds=1.5, connect_seconds=2))

    def _land(self, conn: psycopg.Connection[Any], source: str, dataset: str, day: date) -> intake.Arrivals:
        if source != "voso":
            return super()._land(conn, source, dataset, day)
        return intake.land_voso(conn, self._client, self.settings, dataset, day, f"run {self.runs}")


@dataclass
class Case:
    """A pipeline under a fault, with what was told, logged and seen."""

    pipeline: QuickPipeline
    faults: str
    log: io.StringIO
    seen: list[str] = field(default_factory=list)
    first_release: dict[str, str] = field(default_factory=dict)

    @property
    def dsn(self) -> str:
        return self.pipeline.dsn

    @property
    def landing(self) -> Path:
        return Path(self.pipeline.settings.landing)

    @property
    def problems(self) -> list[str]:
        return self.pipeline.problems

    @property
    def served(self) -> Served:
        return self.pipeline.served

    def outbox(self, day: date = DAY) -> Path:
        """The day's folder of the supplier."""
        return self.served.state / "sftp" / "langson" / "outbox" / f"{day:%Y%m%d}"

    # ---- what happens ----

    def take(self, day: date = DAY, **options: Any) -> None:
        """Land, load and judge a day, as the DAGs do."""
        self.pipeline.take(day, **options)

    def release(self) -> None:
        """Build and publish while somebody reads; the reader must have seen the old release or the new one, whole (I3)."""
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            before = _kpi_digest(conn)
        with self._reader() as read:
            self.pipeline.release()
        with psycopg.connect(self.dsn, autocommit=True) as conn:
            after = _kpi_digest(conn)
        torn = {state: {"not the old": set(state) - set(before), "not the new": set(state) - set(after)} for state in read - {before, after}}
        assert not torn, f"I3: a reader of bi saw {len(torn)} states that are neither the old release nor the new one: {list(torn.values())}"

    @contextmanager
    def _reader(self) -> Iterator[set[Any]]:
        """What a reader sees: twice a second while it is built, without a pause while it is published."""
        seen: set[Any] = set()
        over, hurry = threading.Event(), threading.Event()

        def read() -> None:
            with psycopg.connect(self.dsn, autocommit=True) as conn:
                while not over.is_set():
                    seen.add(_kpi_digest(conn))
                    hurry.wait(0.5)

        @contextmanager
        def publishing() -> Iterator[None]:
            hurry.set()
            yield

        thread = threading.Thread(target=read)
        thread.start()
        self.pipeline.while_publishing = publishing
        try:
            yield seen
        finally:
            self.pipeline.while_publishing = nullcontext
            over.set()
            hurry.set()
            thread.join()

    def reissue(
        self,
        *datasets: str,
        day: date = DAY,
        version: int = 2,
        change: Callable[[Rendered], Rendered] = lambda f: f,
        damage: Callable[[bytes], bytes] = lambda content: content,
    ) -> None:
        """The supplier sends ``datasets`` of ``day`` again as they should have been, under a higher version; ``change`` before its manifest is
        made, ``damage`` after it."""
        tables = Postmart(campaign.make("small", 1, FIRST)).tables(day, version)
        right = [change(render(t)) for t in tables if t.dataset in {WORDS[d] for d in datasets}]
        at = datetime.combine(day + timedelta(days=1), datetime.min.time()) + timedelta(hours=8)
        self.outbox(day).mkdir(exist_ok=True)
        for word in ("", "TAIKHOANTT_"):
            files = [f for f in right if (f.dataset == "TAIKHOANTT") == bool(word)]
            for drop in Issue(day, version, word, files, at, "Sửa tệp", damage={f.dataset: damage for f in files}).drops() if files else ():
                (self.outbox(day) / drop.name).write_bytes(drop.content)

    def switch(self, faults: str = "") -> None:
        """Switch these on beside the others while the sources run; without any, all off."""
        switches = Switches(self.served.state)
        switches.add(parse(faults)) if faults else switches.clear()

    def reopen(self, source: str, dataset: str, day: date = DAY) -> None:
        """A run that a person repeats: what was rejected is read again (make replay, a cleared task)."""
        with warehouse.connect(self.dsn) as conn:
            intake.reopen(conn, source, dataset, day)
            for step in (intake.load, intake.judge):
                try:
                    step(conn, self.pipeline.settings, source, dataset)
                except intake.StepFailed as failed:
                    self.problems.append(str(failed))

    # ---- what is looked at ----

    def sql(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        """Rows of a query."""
        with psycopg.connect(self.dsn) as conn:
            return conn.execute(query, params).fetchall()  # type: ignore[arg-type]

    def export(self, name: str, day: date = DAY, version: int | None = None) -> ledger.Export:
        """The export of "postmart/orders" and a day: the version asked for, else the newest. NotSeen when there is none."""
        source, dataset = name.split("/")
        with warehouse.connect(self.dsn) as conn:
            known = ledger.known_versions(conn, source, dataset, day)
        if not known or (version and version not in known):
            raise NotSeen(f"{name} {day}: the ledger knows the versions {sorted(known)}")
        return known[version or max(known)]

    def told(self, *parts: str) -> str:
        """The problem that holds all ``parts``. NotSeen when no task said it."""
        for problem in self.problems:
            if all(p in problem for p in parts):
                return problem
        raise NotSeen(f"no task told {parts}; told was: {self.problems or 'nothing'}")

    def logged(self, part: str) -> str:
        """The first log line that holds ``part``."""
        for line in self.log.getvalue().splitlines():
            if part in line:
                return line
        raise NotSeen(f"the log does not say {part!r}")

    def check(self, name: str, rule: str, day: date = DAY, version: int | None = None) -> tuple[str, int]:
        """A failed check of an export by rule id or rule name: its words and the number of rows. NotSeen when none failed."""
        export = self.export(name, day, version)
        found = self.sql(
            "select rule, rows_failed, outcome from ops.check_result where export_id = %s and not passed and (rule_id = %s or rule_name = %s or rule like %s || ':%%')"
            " order by rule_name like 'reader%%' desc, rule_name",  # the reader names the field
            export.export_id, rule, rule, rule,
        )  # fmt: skip
        if not found:
            others = self.sql("select rule_id, rule_name from ops.check_result where export_id = %s and not passed", export.export_id)
            raise NotSeen(f"{name} {day}: no check {rule} failed; failed have {others}")
        return found[0][0], found[0][1]

    def quarantined(self, name: str, rule: str, day: date = DAY) -> list[tuple[int, str]]:
        """(source_row, row_key) of an export in quarantine for a rule (id or name). NotSeen when there are none."""
        export = self.export(name, day)
        found = self.sql(
            "select source_row, row_key from ops.quarantine_row where export_id = %s and (rule_id = %s or rule_name = %s) order by 1",
            export.export_id,
            rule,
            rule,
        )
        if not found:
            raise NotSeen(f"{name} {day}: nothing is in quarantine for {rule}")
        return found  # type: ignore[return-value]

    def state(self, name: str, state: str, day: date = DAY, version: int | None = None) -> ledger.Export:
        """The export, which must be in ``state``."""
        export = self.export(name, day, version)
        need(export.state == state, f"{export.label} is {export.state}, not {state}: {export.reason}")
        return export

    # ---- what must hold ----

    def books(self) -> invariants.Books:
        """I1, I5 and I6 as they stand now."""
        with psycopg.connect(self.dsn) as conn:
            books = invariants.conserved(conn, self.landing)
            books.wrong += invariants.red_or_right(conn, self.problems)
            texts = {"log": self.log.getvalue(), "messages": "\n".join(self.problems)}
            for path in sorted((self.pipeline.state).rglob("*")):
                if path.is_file() and path.suffix in (".json", ".log", ".sql", ".txt", ".html"):
                    texts[path.name] = path.read_text(errors="replace")
            books.wrong += invariants.secrecy(conn, texts, _names())
        return books

    def struck_bytes(self, name: str) -> None:
        """The file of `DAY` is another one than it should be. NotSeen where the supplier sent what is right."""
        export = self.export(name)
        (right,) = [render(t) for t in Postmart(campaign.make("small", 1, FIRST)).tables(DAY, 1) if t.dataset == WORDS[name.partition("/")[2]]]
        need(export.sha256 != hashlib.sha256(right.content).hexdigest(), f"{name} is what it should be: no fault struck it")

    def struck(self, fault: str) -> tuple[str, ...]:
        """Natural keys that a fault struck in Postmart's files."""
        found = tuple(key for s in struck("small", 1, FIRST, parse(self.faults)) if s.fault == fault for key in s.keys)
        need(found, f"{fault} struck nothing")
        return found

    def published(self) -> dict[str, str]:
        """Digest of each table of `bi`."""
        with psycopg.connect(self.dsn) as conn:
            return invariants.published(conn)


def need(condition: Any, otherwise: str) -> None:
    """A part of the expected reaction; NotSeen with words when it does not show."""
    if not condition:
        raise NotSeen(otherwise)


def keys(faults: str) -> set[str]:
    """Natural keys that these faults strike in Postmart's files."""
    return {key for s in struck("small", 1, FIRST, parse(faults)) for key in s.keys}


def _kpi_digest(conn: psycopg.Connection[Any]) -> Any:
    """What a reader of bi has before him in one statement: of each table how many rows, and which transactions wrote them. Whatever a row says,
    another writer is another xmin, so the thread that reads all the time need not spell every row out."""
    tables = [t for (t,) in conn.execute("select relname from pg_class where relnamespace = 'bi'::regnamespace and relkind = 'r' order by 1")]
    query = " union all ".join(f"select '{t}', count(*), sum(xmin::text::bigint) from bi.{t}" for t in tables)
    return tuple(sorted(conn.execute(query).fetchall()))  # type: ignore[arg-type]


def _names() -> list[str]:
    """Full names of some people of the world, as they are written."""
    return sorted({h.head for h in campaign.make("small", 1, FIRST).households if len(h.head.split()) == 3})[:40]


@contextmanager
def strike(baseline: Baseline, home: Path, faults: str = "", *options: str, kind: type[QuickPipeline] = QuickPipeline) -> Iterator[Case]:
    """A clone of the baseline with sources that have ``faults`` (F13@2021-09-15:GIANHANG,…) switched on."""
    name = baseline.clone
    for folder in ("landing", "inbox", "dbt"):
        shutil.copytree(baseline.home / folder, home / folder)
    shutil.copytree(baseline.home / "sources" / "sftp", home / "sources" / "sftp")
    if (baseline.home / "sources" / "forms.json").exists():
        shutil.copy(baseline.home / "sources" / "forms.json", home / "sources" / "forms.json")
    with psycopg.connect(baseline.admin, autocommit=True) as conn:
        conn.execute(f"create database {name} template {baseline.database}")  # type: ignore[arg-type]
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    logging.getLogger().addHandler(handler)
    before = logging.getLogger().level
    logging.getLogger().setLevel(logging.INFO)
    try:
        with simulators(home / "sources", "--faults", faults, *options) as served:
            settings = Settings(str(home / "landing"), str(home / "inbox"), "demo-pepper", FIRST)
            yield Case(kind(make_conninfo(baseline.admin, dbname=name), settings, served, home / "dbt", []), faults, log)
    finally:
        logging.getLogger().setLevel(before)
        logging.getLogger().removeHandler(handler)
        with psycopg.connect(baseline.admin, autocommit=True) as conn:
            conn.execute(f"drop database if exists {name} with (force)")  # type: ignore[arg-type]


__all__ = ["DAY", "FIRST", "NEXT", "PLATFORMS", "SOURCES", "Baseline", "Case", "NotSeen", "build_baseline", "need", "publishing", "strike"]
