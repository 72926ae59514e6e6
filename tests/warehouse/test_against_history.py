"""History in the database: what the judge reads of it, keeps for it, and does about it."""

import datetime as dt

import deliveries as d
import pytest
from kinhteso import intake, judging, ledger

QUIET = dt.date(2021, 5, 18)  # no holiday, no harvest


def past(conn, dataset, day, rows, *, source="postmart", mode="delta", state="accepted", nulls=None, is_backlog=False):
    export_id = ledger.export_id(source, dataset, "", day, 1)
    conn.execute(
        "insert into ops.export (export_id, source, dataset, business_day, version, mode, state, is_backlog, rows_loaded, rows_quarantined)"
        " values (%s, %s, %s, %s, 1, %s, %s, %s, %s, 0)",
        [export_id, source, dataset, day, mode, state, is_backlog, rows],
    )
    if nulls is not None:
        import json

        conn.execute("insert into ops.export_profile values (%s, %s, %s)", [export_id, rows, json.dumps(nulls)])


def order(n, day=QUIET, **change):
    stamp = f"{day:%d/%m/%Y}"
    return d.line(n, **({"created_at": f"{stamp} 10:22:31", "event_at": f"{stamp} 14:05:00"} | change))


def test_far_fewer_orders_are_kept_and_fail_the_run(db):
    for n in range(1, 5):
        past(db, "orders", QUIET - dt.timedelta(weeks=n), 200)
    export_id = d.loaded(db, "postmart", "orders", [order(n) for n in range(1, 11)], day=QUIET)
    with pytest.raises(intake.StepFailed) as failed:
        intake.judge(db, None, "postmart", "orders")
    message = str(failed.value)
    for part in ("A3", "its data count", "Q09 volume_same_weekday", "within 90%", "10 rows, usual are 200", "Owner:", "Runbook:"):
        assert part in message, part
    assert ledger.get(db, export_id).state == "accepted", "the source has no other orders to give"
    assert db.execute("select outcome, passed from ops.check_result where rule_name = 'volume_same_weekday'").fetchall() == [("fail", False)]
    assert intake.judge(db, None, "postmart", "orders") == [], "told once"


def test_usual_volume_is_green(db):
    for n in range(1, 5):
        past(db, "orders", QUIET - dt.timedelta(weeks=n), 10)
        past(db, "orders", QUIET - dt.timedelta(weeks=n, days=-1), 5000)
        past(db, "orders", QUIET - dt.timedelta(weeks=n, days=-2), 5000, state="rejected")
    d.loaded(db, "postmart", "orders", [order(n) for n in range(1, 40)], day=QUIET)
    assert len(intake.judge(db, None, "postmart", "orders")) == 1


def test_a_snapshot_that_is_almost_gone_by_its_history_is_refused(db):
    for n in range(1, 5):
        past(db, "accounts", QUIET - dt.timedelta(weeks=n), 300, mode="snapshot")
    with pytest.raises(judging.JudgementFailed, match="volume_same_weekday"):
        d.judged(db, "postmart", "accounts", [d.account(n, opened_at="10/04/2021", kyc_at="10/04/2021") for n in range(1, 20)], day=QUIET)


def test_an_empty_day_where_many_are_usual_is_told(db):
    for n in range(1, 29):
        past(db, "orders", QUIET - dt.timedelta(days=n), 120)
    verdict = d.judged(db, "postmart", "orders", [], day=QUIET)
    assert (verdict.state, [(c.rule, c.outcome) for c in verdict.failed]) == ("accepted", [("F08", "warn")])


def test_a_field_that_disappears_fails_the_run(db):
    days = [QUIET + dt.timedelta(days=n) for n in range(4)]
    for day in days[:3]:
        assert d.judged(db, "postmart", "orders", [order(n, day) for n in range(1, 31)], day=day).failed == []
    verdict = d.judged(db, "postmart", "orders", [order(n, days[3], sales_channel=None) for n in range(1, 31)], day=days[3])
    (check,) = verdict.red
    assert (verdict.state, check.rule, check.sample) == ("accepted", "F48", ("sales_channel: 100% empty, usual are 0%",))
    rows, nulls = db.execute("select rows, nulls from ops.export_profile order by export_id limit 1").fetchone()
    assert rows == 30 and nulls["delivered_at"] == 30 and nulls["order_code"] == 0


def test_a_column_that_has_ended_may_be_empty(db):
    """Districts are no more from 2025-07-01 on (EXPORTS §9.3); before, and of the columns that go on, an empty one is told."""
    days = [dt.date(2025, 6, 27) + dt.timedelta(days=n) for n in range(5)]
    for day in days[:3]:
        assert not d.judged(db, "postmart", "stores", [d.store(n, district_name="Huyện Chi Lăng") for n in range(1, 31)], day=day).red
    without = [d.store(n, district_name=None) for n in range(1, 31)]
    (early,) = d.judged(db, "postmart", "stores", without, day=days[3]).red
    assert early.sample == ("district_name: 100% empty, usual are 0%",)
    assert not d.judged(db, "postmart", "stores", without, day=days[4]).red
    (check,) = d.judged(db, "postmart", "stores", [row | {"hamlet_raw": None} for row in without], day=days[4] + dt.timedelta(days=1)).red
    assert check.sample == ("hamlet_raw: 100% empty, usual are 0%",)


def test_the_backlog_is_no_measure(db):
    for n in range(1, 5):
        past(db, "orders", QUIET - dt.timedelta(weeks=n), 7000, is_backlog=True)
    assert d.judged(db, "postmart", "orders", [order(n) for n in range(1, 11)], day=QUIET).failed == []
