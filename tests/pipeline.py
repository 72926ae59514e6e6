"""The way of a day without Airflow: what the DAGs' tasks do, against real servers and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import paramiko
import psycopg
from kinhteso import checking, contracts, intake, publishing, warehouse
from kinhteso.platforms.voso import VosoClient
from kinhteso.settings import Settings
from oracle import COUNTED, KEYS, Recount, arrivals, differences, hamlets, star, table, targets, uncovered
from served import Served

SOURCES = {s: [c.dataset for c in contracts.all_contracts() if c.source == s] for s in ("registers", "postmart", "voso")}


#: Rows of a table of `bi` that are compared, where not all are: days of a form on which nothing came hold what the judge said of the build.
ONLY = {"release": "release_id = (select max(release_id) from bi.release)", "data_status_daily": "state <> 'checked'"}


@contextmanager
def outbox(served: Served) -> Iterator[paramiko.SFTPClient]:
    """An SFTP client as the DAGs have one."""
    with paramiko.SSHClient() as ssh:
        ssh.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        ssh.connect(served.sftp["host"], served.sftp["port"], served.sftp["username"], served.sftp["password"], look_for_keys=False, allow_agent=False)
        with ssh.open_sftp() as sftp:
            yield sftp


@dataclass(frozen=True)
class Counted:
    """The tables of `bi` as they should be, and what the hamlets have before anything is withheld."""

    tables: dict[str, Any]
    of_hamlets: Any

    @property
    def cells(self) -> int:
        """Values beside the keys."""
        return sum(len(row) for rows in self.tables.values() for row in rows.values())


@dataclass
class Pipeline:
    """A warehouse with its settings, fed from ``served``."""

    dsn: str
    settings: Settings
    served: Served
    state: Path
    problems: list[str]
    runs: int = 0
    red: list[str] = field(default_factory=list)
    while_publishing: Callable[[], AbstractContextManager[object]] = nullcontext

    def take(self, day: date, *, at: str | None = "06:00", sources: tuple[str, ...] = ("registers", "postmart", "voso")) -> None:
        """Land, load and judge everything that is there for ``day`` on the next morning (``at`` None: at the clock's present time)."""
        if at:
            self.served.clock(f"{day + timedelta(days=1)}T{at}")
        self.runs += 1
        with warehouse.connect(self.dsn) as conn:
            for source in sources:
                for dataset in SOURCES[source]:
                    arrivals = self._land(conn, source, dataset, day)
                    self.problems += arrivals.refused
                    for step in (intake.load, intake.judge):
                        try:
                            step(conn, self.settings, source, dataset)
                        except intake.StepFailed as failed:
                            self.problems.append(str(failed))

    def _land(self, conn: psycopg.Connection[Any], source: str, dataset: str, day: date) -> intake.Arrivals:
        if source == "registers":
            return intake.land_registers(conn, self.settings, dataset, None)
        if source == "postmart":
            with outbox(self.served) as sftp:
                return intake.land_postmart(conn, sftp, self.settings, dataset, day, f"run {self.runs}")
        http = self.served.http
        return intake.land_voso(conn, lambda: VosoClient(http["base_url"], http["username"], http["password"]), self.settings, dataset, day, f"run {self.runs}")

    def release(self) -> publishing.Release | None:
        """Build, check and publish; what would turn the run red is added to ``red``."""
        scope = checking.build(self.dsn, self.settings.first_day, state_dir=self.state)
        if scope is None:
            return None
        with psycopg.connect(self.dsn) as conn:
            self.red += checking.failures(conn, scope.build_id)
        with self.while_publishing():
            return publishing.publish(self.dsn, scope)

    def recounted(self, reconciled: tuple[str, ...] = (), **limits: Any) -> list[str]:
        """Every column of every published row of communes, districts and the province against the recount of what has come: the differences, in words.
        ``reconciled``: datasets whose bulk counts too; ``limits``: of the recount."""
        with psycopg.connect(self.dsn) as conn:
            come = arrivals(conn, Path(self.settings.landing), reconciled)
            published = {name: table(conn, name, keys) for name, keys in COUNTED.items()}
        recount = Recount(come, self.settings.first_day, self.settings.phone_key, **limits)
        counted = recount.tables({key[2] for key in published["kpi_commune_daily"]})
        return [text for name in COUNTED for text in differences(counted[name], published[name], name)]

    def counted(self, **limits: Any) -> Counted:
        """Every table of `bi` counted anew, of a world in which nothing is refused."""
        with psycopg.connect(self.dsn) as conn:
            come = arrivals(conn, Path(self.settings.landing))
            days = [day for (day,) in conn.execute("select distinct date from bi.kpi_province_daily order by 1")]
            (release,) = conn.execute("select max(release_id) from bi.release").fetchone() or (None,)
        recount = Recount(come, self.settings.first_day, self.settings.phone_key, **limits)
        seeds = {"seeds": limits["seeds"]} if "seeds" in limits else {}
        found = recount.tables(days)
        of_hamlets = hamlets.hamlets(recount, days)
        found["kpi_hamlet_daily"] = hamlets.shown(of_hamlets)
        found["target_progress_daily"] = targets.targets(recount, found, days, shown=found["kpi_hamlet_daily"], **seeds)
        found |= star.star(recount, **seeds)
        found["release"] = {(release,): {"business_date": days[-1], "completeness": recount.completeness(days[-1])}}
        return Counted(found, of_hamlets)

    def compared(self, counted: Counted) -> list[str]:
        """All of `bi` against ``counted``: what differs, and what nothing counts, in words."""
        keys = KEYS | {"release": ("release_id",)}
        with psycopg.connect(self.dsn) as conn:
            wrong = uncovered(conn, counted.tables, keys)
            for name, rows in counted.tables.items():
                published = table(conn, name, keys[name], ONLY.get(name, "true"))
                wrong += differences(rows, published, name)
                if name == "kpi_hamlet_daily":
                    wrong += hamlets.withheld(counted.of_hamlets, published)
        return wrong

    def cells(self, day: date, measures: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        """bi.kpi_commune_daily of a day, by commune."""
        with psycopg.connect(self.dsn) as conn:
            query = f"select commune_code, {', '.join(measures)} from bi.kpi_commune_daily where geography = '2021' and date = %s"
            return {row[0]: dict(zip(measures, row[1:], strict=True)) for row in conn.execute(query, [day])}
