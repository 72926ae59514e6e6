"""PostgreSQL and the disks fail under the pipeline (F101–F107): each time the task fails in words, nothing half-done counts, and the same task again
brings what an undisturbed run brings."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

import invariants
import psycopg
import pytest
from case import DAY, FIRST
from forks import held, moved, published
from hosts import full, server, small_disk
from kinhteso import publishing, warehouse
from kinhteso.local.postgres import PostgresFailed
from kinhteso.settings import Settings
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from served import simulators
from wire import Plan, Wire
from workers import until

pytestmark = pytest.mark.timeout(1800)

ORDERS = {"source": "postmart", "dataset": "orders"}


def land_orders(case, workers):
    workers.do("land", dsn=case.dsn, settings=case.pipeline.settings, sources={"sftp": case.served.sftp, "http": case.served.http}, day=DAY, **ORDERS)


def books(copy, teller, number):
    told = copy.books()
    teller.rows(number, told.lost, told.doubled)
    assert not told.wrong, "\n".join(told.wrong)


# ---- connections and locks -----------------------------------------------------------------------------------------------------


@pytest.mark.fault("F102")
@pytest.mark.parametrize("how", ["cut", pytest.param("terminated", marks=pytest.mark.only_faults)])
def test_the_connection_is_lost_in_the_middle_of_copy(morning, workers, teller, how):
    case, wire, forks = morning
    land_orders(case, workers)
    with forks.fork() as fork:
        workers.do("load", dsn=fork.wired, settings=fork.settings, **ORDERS)
        right = held(fork.dsn)
    with forks.fork() as fork:

        def strike_it():
            if how == "terminated":
                with psycopg.connect(forks.admin, autocommit=True) as conn:
                    conn.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [conninfo_to_dict(fork.dsn)["dbname"]])

        before = held(fork.dsn)
        wire.arm(Plan(strike_it, copied=200))
        worker = workers.start("load", dsn=fork.wired, settings=fork.settings, **ORDERS)
        assert worker.wait() == 1 and wire.struck and "COPY" in wire.struck, worker.said()[-2000:]
        assert "docs/runbooks/warehouse-down.md" in worker.said() and "Nothing half-done counts" in worker.said(), worker.said()[-1500:]
        assert not moved(before, held(fork.dsn)), "something of the torn COPY is left"
        wire.arm()
        workers.do("load", dsn=fork.wired, settings=fork.settings, **ORDERS)
        assert not (wrong := moved(right, held(fork.dsn))), wrong
        workers.do("judge", dsn=fork.wired, settings=fork.settings, **ORDERS)
        books(fork.case(case), teller, "F102")
    teller.saw("F102", "the task failed in words, raw held nothing of the delivery, the retry loaded it whole")


@pytest.mark.only_faults
@pytest.mark.fault("F103")
def test_a_deadlock(morning, workers, teller):
    """Another transaction holds what the load wants and wants what the load holds; the server ends the load's."""
    case, _, forks = morning
    land_orders(case, workers)
    with forks.fork() as fork:
        workers.do("load", dsn=fork.dsn, settings=fork.settings, **ORDERS)
        right = held(fork.dsn)
    with forks.fork() as fork, psycopg.connect(fork.dsn) as other:
        other.execute("set deadlock_timeout = '1min'")
        other.execute("lock table ops.check_result in exclusive mode")
        worker = workers.start("load", dsn=fork.dsn, settings=fork.settings, **ORDERS)
        with psycopg.connect(fork.dsn, autocommit=True) as watch:
            waits = "select 1 from pg_stat_activity where wait_event_type = 'Lock' and pid <> %s and datname = current_database()"
            until(lambda: watch.execute(waits, [other.info.backend_pid]).fetchone())
        other.execute("select pg_advisory_xact_lock(hashtextextended(%s, 1))", [f"postmart|orders|{DAY}"])
        other.rollback()
        assert worker.wait() == 0, worker.said()[-2000:]
        assert "gave way to another transaction" in worker.said(), "there was no deadlock"
        assert not (wrong := moved(right, held(fork.dsn))), wrong
        workers.do("judge", dsn=fork.dsn, settings=fork.settings, **ORDERS)
        books(fork.case(case), teller, "F103")
    teller.saw("F103", "the load gave way, was tried again by itself, and was green")


@pytest.mark.only_faults
@pytest.mark.fault("F104")
def test_a_reader_holds_bi_at_publish(morning, workers, teller, postgres):
    case, _, forks = morning
    case.take(DAY)
    with psycopg.connect(forks.admin, autocommit=True) as conn:  # a login of this test, with the rights of bi_reader alone
        conn.execute("drop role if exists faults_reader")
        conn.execute("create role faults_reader login password 'faults' in role bi_reader")
    query = "select (select max(release_id) from bi.release), (select count(*) from bi.kpi_province_daily), (select max(date) from bi.kpi_commune_daily)"
    with forks.fork() as fork:
        workers.do("build", dsn=fork.dsn, settings=fork.settings, state=fork.state)
        reader_dsn = make_conninfo(fork.dsn, user="faults_reader", password="faults")
        with psycopg.connect(reader_dsn) as reader:
            reader.execute("set transaction isolation level repeatable read")
            old = reader.execute(query).fetchone()
            workers.do("publish", dsn=fork.dsn, settings=fork.settings, state=fork.state)
            assert reader.execute(query).fetchone() == old, "a reader's transaction saw another release in its middle"
            reader.rollback()
            assert reader.execute(query).fetchone() != old
        # A release that has to make a table again waits for whoever holds it, not for ever, and says for whom.
        with psycopg.connect(fork.dsn, autocommit=True) as conn:
            conn.execute("alter table bi.kpi_province_daily add column left_over integer")
        before = published(fork.dsn)
        with psycopg.connect(reader_dsn, application_name="a dashboard") as reader:
            reader.execute(query)
            workers.do("build", dsn=fork.dsn, settings=fork.settings, state=fork.state)
            Path(fork.state, "xcom").write_text(_scope_of_last_build(fork))
            worker = workers.start("publish", dsn=fork.dsn, settings=fork.settings, state=fork.state, lock_seconds=1)
            assert worker.wait() == 1
            said = worker.said()
            assert "PublishBlocked" in said and "role faults_reader, a dashboard" in said and "The last release stands" in said, said[-2000:]
            assert published(fork.dsn) == before, "half a release"
        workers.do("publish", dsn=fork.dsn, settings=fork.settings, state=fork.state, lock_seconds=1)
        assert published(fork.dsn).keys() == before.keys() and published(fork.dsn) != before
        with psycopg.connect(fork.dsn) as conn:
            limits = dict(
                s.split("=") for (role,) in conn.execute("select setconfig from pg_db_role_setting where setrole = 'bi_reader'::regrole limit 1") for s in role
            )
        assert limits.get("statement_timeout") == limits.get("idle_in_transaction_session_timeout") == warehouse.BI_STATEMENT_TIMEOUT, limits
        assert int(warehouse.BI_STATEMENT_TIMEOUT.rstrip("s")) < publishing.LOCK_SECONDS, "a reader ends before the release gives up"
        books(fork.case(case), teller, "F104")
    with psycopg.connect(forks.admin, autocommit=True) as conn:
        conn.execute("drop role faults_reader")
    teller.saw("F104", "an ordinary release goes through beside open readers; one with new columns waits 90 s, then fails naming who holds it; never half")


def _scope_of_last_build(fork):
    """What `build` hands over when there is nothing new: the scope of the build that stands."""
    import json
    from datetime import date

    from kinhteso.building import BuildScope

    with psycopg.connect(fork.dsn) as conn:
        row = conn.execute(
            "select build_id, business_date, kpi_from, stock_from, is_rematch, is_full_refresh, project_digest from ops.build order by build_id desc limit 1"
        ).fetchone()
    assert isinstance(row[1], date)
    return json.dumps(BuildScope(*row).to_json())


# ---- a server of its own -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def supplier(tmp_path_factory):
    """Sources on the morning after the first day; only Postmart is taken."""
    home = tmp_path_factory.mktemp("supplier")
    with simulators(home / "sources", "--inbox", str(home / "inbox")) as served:
        served.clock(f"{FIRST + timedelta(days=1)}T06:00")
        yield served


class Own:
    """A server of its own with a warehouse ``kinhteso`` that has nothing yet, and what an undisturbed run brings (in another database)."""

    def __init__(self, own, supplier, workers, home):
        self.own, self.workers, self.home = own, workers, home
        self.sources = {"sftp": supplier.sftp, "http": supplier.http}
        self.dsn, self.wire = own.database("kinhteso"), Wire(own.dsn)
        undisturbed = own.database("undisturbed")
        for job in ("take", "release"):
            workers.do(job, **self.asked(job, undisturbed))
        self.right = held(undisturbed) | published(undisturbed)

    def asked(self, job, dsn=None):
        home = self.home / conninfo_to_dict(dsn or self.dsn)["dbname"]
        (home / "dbt").mkdir(parents=True, exist_ok=True)
        settings = Settings(str(home / "landing"), str(home / "inbox"), "demo-pepper", FIRST)
        more = {"sources": self.sources, "day": FIRST, "of": ("postmart",)} if job == "take" else {"state": str(home / "dbt")}
        return {"dsn": dsn or self.wire.to("kinhteso"), "settings": settings, **more}

    def again(self, teller, number):
        for job in ("take", "release"):
            self.workers.do(job, **self.asked(job))
        assert not (wrong := moved(self.right, held(self.dsn) | published(self.dsn))), wrong
        with psycopg.connect(self.dsn) as conn:
            told = invariants.conserved(conn, self.home / "kinhteso" / "landing")
        teller.rows(number, told.lost, told.doubled)
        assert not told.wrong, "\n".join(told.wrong)


@contextlib.contextmanager
def own_server(supplier, workers, home, wal=None):
    with server(wal) as own:
        found = Own(own, supplier, workers, home)
        yield found
        found.wire.close()


@pytest.mark.only_faults
@pytest.mark.fault("F101")
def test_postgresql_crashes_in_the_middle_of_a_load_and_of_a_build(supplier, workers, tmp_path, teller):
    with own_server(supplier, workers, tmp_path) as own:
        own.wire.arm(Plan(own.own.crash, copied=200))
        worker = workers.start("take", **own.asked("take"))
        assert worker.wait() == 1 and own.wire.struck, worker.said()[-2000:]
        assert "docs/runbooks/warehouse-down.md" in worker.said(), worker.said()[-2000:]
        assert own.own.back.wait(90), "the server did not come back"
        own.wire.arm()
        workers.do("take", **own.asked("take"))
        for n in (60, 120):
            own.wire.arm(Plan(own.own.crash, at=n, side="after"))
            worker = workers.start("release", **own.asked("release"))
            assert worker.wait() == 1 and own.wire.struck, worker.said()[-2000:]
            assert own.own.back.wait(90), "the server did not come back"
            own.wire.arm()
            assert published(own.dsn) == {}, "nothing is published of a build that broke off"
        own.again(teller, "F101")
    teller.saw("F101", "crashed inside COPY and inside dbt: failed in words, nothing published; after recovery the retry gave the same bi")


@pytest.mark.only_faults
@pytest.mark.fault("F107")
def test_the_disk_of_the_wal_is_full(supplier, workers, tmp_path, teller):
    with small_disk(160) as disk, own_server(supplier, workers, tmp_path, disk) as own:
        workers.do("take", **own.asked("take"))
        with full(disk, left=1 << 20):
            with psycopg.connect(own.own.dsn, autocommit=True) as conn, contextlib.suppress(psycopg.Error):
                conn.execute("create table ballast as select n, repeat('x', 1000) from generate_series(1, 5000) as n")
                for _ in range(12):
                    conn.execute("select pg_switch_wal()")
                    conn.execute("insert into ballast select n, repeat('y', 1000) from generate_series(1, 5000) as n")
            worker = workers.start("release", **own.asked("release"))
            assert worker.wait() == 1, "the build was green on a full WAL"
            assert "docs/runbooks/" in worker.said(), worker.said()[-2000:]
        log = (own.own.postgres.home / "postgres.log").read_text(errors="replace")
        assert "No space left on device" in log and "PANIC" in log, log[-2000:]
        until(lambda: _up(own.own), 90, 1)
        assert published(own.dsn) == {}
        own.again(teller, "F107")
    teller.saw("F107", "PostgreSQL stopped, the task failed in words; with room it recovered by itself and the retry gave the same bi")


def _up(own) -> bool:
    with contextlib.suppress(PostgresFailed):
        own.up()
    return own.postgres.is_running()


# ---- full disks ----------------------------------------------------------------------------------------------------------------


@pytest.mark.fault("F105")
def test_the_disk_of_the_landing_is_full(morning, workers, teller):
    case, _, forks = morning
    asked = {"sources": {"sftp": case.served.sftp, "http": case.served.http}, "day": DAY}
    for source, dataset in (("postmart", "products"), ("voso", "products")):
        with forks.fork() as fork:
            workers.do("land", dsn=fork.dsn, settings=fork.settings, source=source, dataset=dataset, **asked)
            right = held(fork.dsn)
        with small_disk(8) as disk, forks.fork(landing=disk) as fork:
            with full(disk):
                worker = workers.start("land", dsn=fork.dsn, settings=fork.settings, source=source, dataset=dataset, **asked)
                worker.wait()
                assert "docs/runbooks/disk-full.md" in worker.said(), worker.said()[-2000:]
                copy = fork.case(case)
                assert copy.sql(
                    "select state, reason like '%%disk-full.md%%' from ops.export where source = %s and dataset = %s and business_day = %s",
                    source,
                    dataset,
                    DAY,
                ) == [("expected", True)], "the ledger says why the day has not come"
                assert not list(disk.rglob("*.part")), "what was half-written gives its room back"
            workers.do("land", dsn=fork.dsn, settings=fork.settings, source=source, dataset=dataset, **asked)
            assert not (wrong := moved(right, held(fork.dsn))), wrong
            for job in ("load", "judge"):
                workers.do(job, dsn=fork.dsn, settings=fork.settings, source=source, dataset=dataset)
            books(fork.case(case), teller, "F105")
    teller.saw("F105", "expected, with the reason in words; no half-written file is left; the next run landed it whole")


@pytest.mark.only_faults
@pytest.mark.fault("F106")
def test_the_disk_of_the_tables_is_full(supplier, workers, tmp_path, teller):
    with small_disk(160) as disk, own_server(supplier, workers, tmp_path) as own:
        space = disk / "space"
        space.mkdir()
        own.own.postgres._give(space)
        with psycopg.connect(own.own.dsn, autocommit=True) as conn:
            conn.execute(f"create tablespace small location '{space}'")  # type: ignore[arg-type]
            conn.execute("alter database kinhteso set tablespace small")
        with full(disk):
            worker = workers.start("take", **own.asked("take"))
            worker.wait()
            assert "docs/runbooks/disk-full.md" in worker.said() and "could not extend file" in worker.said(), worker.said()[-2500:]
        workers.do("take", **own.asked("take"))
        with full(disk):
            worker = workers.start("release", **own.asked("release"))
            assert worker.wait() == 1 and "No space left" in worker.said(), worker.said()[-2500:]
        assert published(own.dsn) == {}
        own.again(teller, "F106")
        with psycopg.connect(own.own.dsn, autocommit=True) as conn:
            conn.execute("drop database kinhteso with (force)")
            conn.execute("drop tablespace small")
    teller.saw("F106", "load and build failed in words, nothing was published; with room the retry gave the same bi")
