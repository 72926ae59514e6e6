"""Runs that meet: the same day twice, two at once, a backfill beside a daily run, days out of order (F55, F94–F97). Processes of their own."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from case import DAY, NEXT, strike
from forks import Forks, said
from invariants import differing
from wire import Wire
from workers import Workers

pytestmark = pytest.mark.timeout(1800)

#: What a run says whose build was overtaken by another one: it publishes nothing, and the other one does.
OVERTAKEN = "cannot be published"


@pytest.fixture()
def runs(baseline, tmp_path, postgres):
    """Forks of the baseline on the morning after `NEXT`, and how a job is asked for on one of them."""
    wire = Wire(postgres)
    with strike(baseline, tmp_path) as case:
        case.served.clock(f"{NEXT + timedelta(days=1)}T06:00")
        yield Runs(case, Forks(case, wire, tmp_path / "forks"), Workers(tmp_path / "logs"))
    wire.close()


class Runs:
    """``reference`` is what days leave that run one after the other, in order."""

    def __init__(self, case, forks, workers):
        self.case, self.forks, self.workers = case, forks, workers
        self.sources = {"sftp": case.served.sftp, "http": case.served.http}

    def start(self, fork, job, *days, state=True, **more):
        for n, day in enumerate(days):
            asked = {"dsn": fork.dsn, "settings": fork.settings, "sources": self.sources, "day": day, "run": f"{job} {day} {n}"}
            yield self.workers.start(job, **asked, **more, **({"state": fork.state} if state else {}))

    def reference(self, *days):
        with self.forks.fork() as fork:
            self.workers.do("days", dsn=fork.dsn, settings=fork.settings, sources=self.sources, wanted=list(days), state=fork.state)
            return said(fork.dsn)

    def release(self, fork):
        self.workers.do("release", dsn=fork.dsn, settings=fork.settings, state=fork.state)

    def holds(self, fork, right, teller, *numbers):
        found = said(fork.dsn)
        assert not (wrong := differing(right, found)), f"{wrong} differ from days that ran one after the other"
        copy = fork.case(self.case)
        assert not (wrong := copy.pipeline.recounted()), wrong[:5]
        books = copy.books()
        for number in numbers:
            teller.rows(number, books.lost, books.doubled)
        assert not books.wrong, "\n".join(books.wrong)


def ledger(fork):
    """What the ledger tells of every delivery, but its number and its times."""
    with psycopg.connect(fork.dsn) as conn:
        return conn.execute(
            "select source, dataset, unit, business_day, version, state, rows_delivered, rows_loaded, rows_quarantined, rows_duplicate, rows_superseded"
            " from ops.export order by source, dataset, unit, business_day, version"
        ).fetchall()


@pytest.mark.fault("F55")
def test_two_runs_of_one_day_at_once(runs, teller):
    with runs.forks.fork() as fork:
        (alone,) = runs.start(fork, "take", DAY, state=False)
        assert alone.wait() == 0, alone.said()[-3000:]
        right = ledger(fork)
    with runs.forks.fork() as fork:
        for worker in list(runs.start(fork, "take", DAY, DAY, state=False)):
            assert worker.wait() == 0, worker.said()[-3000:]
            assert "No rule foresees" not in worker.said() and "came again" not in worker.said(), worker.said()[-2000:]
        assert ledger(fork) == right
        books = fork.case(runs.case).books()
        teller.rows("F55", books.lost, books.doubled)
        assert not books.wrong, "\n".join(books.wrong)


@pytest.mark.only_faults
@pytest.mark.fault("F55", "F94")
def test_two_runs_of_one_day_at_once_and_the_day_again(runs, teller):
    right = runs.reference(DAY)
    with runs.forks.fork() as fork:
        for worker in list(runs.start(fork, "take", DAY, DAY, state=False)):
            assert worker.wait() == 0, worker.said()[-3000:]
            assert "No rule foresees" not in worker.said() and "came again" not in worker.said(), worker.said()[-2000:]
        assert fork.case(runs.case).sql("select count(*) from ops.export where business_day = %s and version > 1", DAY) == [(0,)], "nothing was pulled twice"
        runs.release(fork)
        runs.holds(fork, right, teller, "F55")
        teller.saw("F55", "the second run waited for each dataset and found it taken; bi as after one run")
        for worker in runs.start(fork, "day", DAY):
            assert worker.wait() == 0, worker.said()[-3000:]
        runs.holds(fork, right, teller, "F94")
        teller.saw("F94", "the second run changed nothing, in the ledger and in bi")


@pytest.mark.only_faults
@pytest.mark.fault("F55")
def test_two_whole_days_to_the_release_at_once(runs, teller):
    right = runs.reference(DAY)
    with runs.forks.fork() as fork:
        states = [runs.workers.folder / str(n) for n in (1, 2)]
        workers = []
        for state in states:
            state.mkdir()
            asked = {"dsn": fork.dsn, "settings": fork.settings, "sources": runs.sources, "day": DAY, "state": str(state)}
            workers.append(runs.workers.start("day", **asked))
        ended = [worker.wait() for worker in workers]
        assert all(s == 0 or OVERTAKEN in w.said() for s, w in zip(ended, workers, strict=True)) and 0 in ended, [w.said()[-1500:] for w in workers]
        runs.release(fork)
        runs.holds(fork, right, teller, "F55")


@pytest.mark.only_faults
@pytest.mark.fault("F95", "F96", "F97")
def test_neighbours_backfills_and_days_in_another_order(runs, teller):
    right = runs.reference(DAY, NEXT)
    for number, days in (("F95", (DAY, NEXT)), ("F96", (NEXT, DAY - timedelta(days=1), DAY - timedelta(days=2), DAY))):
        with runs.forks.fork() as fork:
            for worker in list(runs.start(fork, "take", *days, state=False)):
                assert worker.wait() == 0, worker.said()[-3000:]
            runs.release(fork)
            runs.holds(fork, right, teller, number)
    with runs.forks.fork() as fork:
        runs.workers.do("days", dsn=fork.dsn, settings=fork.settings, sources=runs.sources, wanted=[NEXT, DAY - timedelta(days=1), DAY], state=fork.state)
        runs.holds(fork, right, teller, "F97")
    teller.saw("F95", "two processes at once: bi as after one day after the other")
    teller.saw("F96", "a daily run and two past days at once: bi as without the backfill")
    teller.saw("F97", "the later day first, a past one again, then the day between: bi as in order")
