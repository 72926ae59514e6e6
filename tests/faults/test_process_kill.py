"""SIGKILL of a worker at each commit of the pipeline (F91, F93, F98): the retry must leave what an undisturbed run leaves.

Where the commits are is not written here: the wire in front of PostgreSQL sees them (wire.py).
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import openpyxl
import pytest
from case import DAY, strike
from forks import Forks, each_commit, held, killed, moved, published
from jobs import SOURCES
from wire import Plan, Wire, writes
from workers import Workers

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    return Workers(tmp_path_factory.mktemp("workers"))


@pytest.fixture()
def wire(postgres):
    wire = Wire(postgres)
    yield wire
    wire.close()


def sources(case):
    return {"sftp": case.served.sftp, "http": case.served.http}


def hold_books(case, teller, *numbers):
    """The suite's invariants on a copy; rows lost and doubled go to the table."""
    books = case.books()
    for number in numbers:
        teller.rows(number, books.lost, books.doubled)
    assert not books.wrong, "\n".join(books.wrong)


def test_the_wire_knows_what_writes():
    assert all(
        map(
            writes,
            ["insert into a values (1)", "/* dbt */ create table x as select 1", "with a as (select 1) delete from b", "truncate a", "copy a from stdin"],
        )
    )
    assert not any(
        map(writes, ["select 1", "BEGIN", " -- x\ncommit", "set a = 1", "with a as (select 1) select * from a", "create temporary table a (b int)", ""])
    )


def intake_at_each_commit(baseline, tmp_path, teller, workers, wire, chosen):
    """Every task of ``chosen`` (source, dataset), killed at each of its commits."""
    places = []
    with strike(baseline, tmp_path) as case:
        case.served.clock(f"{DAY + timedelta(days=1)}T06:00")
        asked = {"sources": sources(case), "day": DAY}
        for source, dataset in chosen:
            forks = Forks(case, wire, tmp_path / f"{source}-{dataset}")
            for job, more in (("land", asked), ("load", {}), ("judge", {})):
                places += each_commit(forks, workers, lambda fork: held(fork.dsn), job, source=source, dataset=dataset, **more)
                workers.do(job, dsn=case.dsn, settings=case.pipeline.settings, source=source, dataset=dataset, **more)
            assert case.state(f"{source}/{dataset}", "accepted").rows_delivered is not None
        hold_books(case, teller, "F91", "F98")
    return places


@pytest.mark.fault("F91", "F98")
def test_the_orders_of_postmart(baseline, tmp_path, teller, workers, wire):
    places = intake_at_each_commit(baseline, tmp_path, teller, workers, wire, [("postmart", "orders")])
    assert len(places) >= 8, places
    teller.saw("F98", "killed after each commit, before the client knew: the retry was green and the ledger as after one run")


@pytest.mark.only_faults
@pytest.mark.fault("F91", "F98")
def test_every_dataset(baseline, tmp_path, teller, workers, wire):
    chosen = [(s, d) for s in ("postmart", "voso") for d in SOURCES[s] if (s, d) != ("postmart", "orders")]
    places = intake_at_each_commit(baseline, tmp_path, teller, workers, wire, chosen)
    assert len(places) >= 70, places
    teller.saw("F91", "every commit of land, load and judge of all datasets, before and after: raw and ledger as after one run")


def send_again(case, dataset):
    """A district sends the smallest of its forms of ``dataset`` once more, saved by another hand; gives its as-of date."""
    path, day = case.sql(
        "select p.path, e.business_day from ops.export as e join ops.export_part as p using (export_id) where e.source = 'registers' and e.dataset = %s"
        " and e.state = 'accepted' order by e.bytes, e.export_id limit 1", dataset,
    )[0]  # fmt: skip
    book = openpyxl.load_workbook(case.landing / path)
    book.properties.creator = "Phòng Kinh tế"
    book.save(Path(case.pipeline.settings.registers_inbox) / Path(path).name)
    return day


@pytest.mark.only_faults
@pytest.mark.fault("F91", "F98")
def test_every_form(baseline, tmp_path, teller, workers, wire):
    """The districts' forms: each register sent again, and one form that is refused, killed at each commit of land, load and judge."""
    places = []
    with strike(baseline, tmp_path) as case:
        days = {dataset: send_again(case, dataset) for dataset in SOURCES["registers"]}
        (Path(case.pipeline.settings.registers_inbox) / f"Bieu01_187_{DAY:%Y%m%d}.xlsx").write_bytes(b"PK\x03\x04 torn")
        for dataset, day in days.items():
            forks = Forks(case, wire, tmp_path / dataset)
            for job, more in (("land", {"sources": {}, "day": DAY}), ("load", {}), ("judge", {})):
                places += each_commit(forks, workers, lambda fork: held(fork.dsn), job, source="registers", dataset=dataset, **more)
                done = workers.do(job, dsn=case.dsn, settings=case.pipeline.settings, source="registers", dataset=dataset, **more)
                case.problems.append(done.said())
            assert case.sql(
                "select count(*) from ops.export where source = 'registers' and dataset = %s and business_day = %s and version = 2 and state = 'accepted'",
                dataset, day,
            ) == [(1,)]  # fmt: skip
        assert case.sql("select count(*) from ops.export where source = 'registers' and state = 'rejected'") == [(1,)], "the torn form is told once"
        hold_books(case, teller, "F91", "F98")
    assert len(places) >= 36, places
    teller.saw("F91", "every commit of land, load and judge of the districts' forms, a refused one among them: the same")


@pytest.mark.only_faults
@pytest.mark.fault("F91", "F93")
@pytest.mark.timeout(3600)
def test_build_at_more_commits(baseline, tmp_path, teller, workers, wire):
    with strike(baseline, tmp_path) as case:
        case.take(DAY)
        forks = Forks(case, wire, tmp_path / "forks")

        def released(fork):
            workers.do("publish", dsn=fork.dsn, settings=fork.settings, state=fork.state)
            return {**held(fork.dsn), **published(fork.dsn)}

        places = each_commit(forks, workers, released, "build", only=lambda n: n % 15 == 5)
        assert len(places) >= 12, places
        teller.saw("F91", "the retry of a build killed at a commit, before and after, and its release: raw, ledger and bi as after one build")


@pytest.mark.fault("F91")
def test_publish_at_its_commit(baseline, tmp_path, teller, workers, wire):
    with strike(baseline, tmp_path) as case:
        case.take(DAY, sources=("postmart",))
        forks = Forks(case, wire, tmp_path / "forks")
        stood = published(case.dsn)
        with forks.fork() as fork:
            asked = {"dsn": fork.wired, "settings": fork.settings, "state": fork.state}
            workers.do("build", **asked)
            for side in ("before", "after"):
                where, _ = killed(wire, workers, lambda strike: Plan(strike, at=1, side=side), "publish", **asked)
                assert where and where.startswith(side), where
                assert (published(fork.dsn) == stood) == (side == "before"), f"{where}: bi is neither the old release nor the new one"
            done = published(fork.dsn)
            workers.do("publish", **asked)
            assert not moved(done, published(fork.dsn)), "the retry of what was published moves nothing"
            copy = fork.case(case)
            assert not (wrong := copy.pipeline.recounted()), wrong[:5]
            hold_books(copy, teller, "F91")
        teller.saw("F91", "publish killed before its commit: the old release, after it: the new one; its retry moves nothing")


@pytest.mark.only_faults
@pytest.mark.fault("F91", "F93")
@pytest.mark.timeout(3600)
def test_a_build_that_is_killed_again_and_again(baseline, tmp_path, teller, workers, wire):
    """Each retry comes five commits further than the one before it, over all that the killed ones left, until one comes to its end."""
    with strike(baseline, tmp_path) as case:
        case.take(DAY)
        forks = Forks(case, wire, tmp_path / "forks")
        with forks.fork() as fork:
            workers.do("release", dsn=fork.wired, settings=fork.settings, state=fork.state)
            right = published(fork.dsn)
        with forks.fork() as fork:
            stood, n = published(fork.dsn), 1
            while True:
                n += 5
                asked = {"dsn": fork.wired, "settings": fork.settings, "state": fork.state}
                where, _ = killed(wire, workers, lambda strike: Plan(strike, at=n, side="after"), "build", **asked)
                assert published(fork.dsn) == stood, f"killed {where}: bi moved before a release"
                if where is None:
                    break
            workers.do("publish", **asked)
            assert n > 90 and not (wrong := moved(right, published(fork.dsn))), wrong
            copy = fork.case(case)
            assert not (wrong := copy.pipeline.recounted()), wrong[:5]
            hold_books(copy, teller, "F91", "F93")
    teller.saw("F93", "a build whose retries were killed too, each five commits further: the last release stood, then bi as from one undisturbed build")


#: Statements in whose middle dbt dies: a table of the star, the delta by orders, the KPIs, a data test.
IN_THE_MIDDLE = ("insert into ops.build_order", "delete from .*fct_order_line", "kpi_commune_daily.*dbt_tmp", "dbt_failures")


@pytest.mark.only_faults
@pytest.mark.fault("F93")
@pytest.mark.parametrize("statement", IN_THE_MIDDLE)
def test_dbt_dies_while_the_server_works_on_a_statement(baseline, tmp_path, teller, workers, wire, statement):
    with strike(baseline, tmp_path) as case:
        case.take(DAY)
        forks = Forks(case, wire, tmp_path / "forks")
        with forks.fork() as fork:
            workers.do("release", dsn=fork.wired, settings=fork.settings, state=fork.state)
            right = published(fork.dsn)
        with forks.fork() as fork:
            asked = {"dsn": fork.wired, "settings": fork.settings, "state": fork.state}
            stood = published(fork.dsn)
            where, _ = killed(wire, workers, lambda strike: Plan(strike, statement=re.compile(statement, re.S)), "build", **asked)
            assert where and where.startswith("during") and published(fork.dsn) == stood
            workers.do("release", **asked)
            assert not (wrong := moved(right, published(fork.dsn))), wrong
            copy = fork.case(case)
            assert copy.sql("select count(*) from ops.build where state = 'running'") == [(0,)], "a build that died is told as failed"
            hold_books(copy, teller, "F93")
    teller.saw("F93", "killed inside a statement: the last release stood, the next build gave the same bi")


@pytest.mark.fault("F91")
def test_a_worker_that_dies_in_the_middle_of_writing_a_file(baseline, tmp_path, teller, workers, wire):
    """Between the first and the last byte of a landed file: SIGXFSZ ends the process there."""
    with strike(baseline, tmp_path) as case:
        case.served.clock(f"{DAY + timedelta(days=1)}T06:00")
        forks = Forks(case, wire, tmp_path / "forks")
        asked = {"sources": sources(case), "source": "postmart", "dataset": "products", "day": DAY}
        with forks.fork() as fork:
            workers.do("land", dsn=fork.dsn, settings=fork.settings, **asked)
            right = held(fork.dsn)
        with forks.fork() as fork:
            asked |= {"dsn": fork.dsn, "settings": fork.settings}
            status = workers.start("limited", inner="land", kwargs=asked, file_bytes=600, die_at_file_limit=True).wait()
            assert status == -25, status  # SIGXFSZ
            left = [p for p in case.landing.parent.rglob("*.part") if "fork-" in str(p)]
            assert left, "nothing half-written was left, so nothing was tried"
            workers.do("land", **asked)
            assert not (wrong := moved(right, held(fork.dsn))), wrong
    teller.saw("F91", "killed inside the writing of a landed file: the next try writes it whole")
