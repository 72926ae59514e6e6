"""Reconciliation: for each way in which a platform's whole state and the warehouse can differ a pair of deliveries that do; counted, listed, mended."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from types import SimpleNamespace

import pytest
from deliveries import MS, Stream, judged, land, line, values, voso_account, voso_event, voso_order, voso_product, voso_refund, voso_store
from kinhteso import business_day, intake, ledger, reconciling
from kinhteso.contracts import load_contract

DAY = date(2021, 9, 18)
MONTH_END = date(2021, 9, 30)
SEEN = business_day.end(date(2021, 10, 10))
SETTINGS = SimpleNamespace(landing="/nowhere", phone_key="demo-pepper", first_day=date(2021, 9, 12))
ORDER_LINE = {"LINE_NO": 1, "PRODUCT_ID": "5500001", "NAME": "Thạch đen", "QUANTITY": 1, "PRICE": 90000, "AMOUNT": 90000}


@pytest.fixture()
def rolled_back(shared_db):
    """For deliveries without a bad row: Great Expectations has a connection of its own and sees what is committed."""
    with shared_db.transaction(force_rollback=True):
        yield shared_db


def order(n: int, amount: int = 90000, **change):
    one = {**ORDER_LINE, "PRICE": amount, "AMOUNT": amount}
    money = {"goods_amount": str(amount), "total_amount": str(amount), "seller_discount": "0", "platform_discount": "0", "ship_fee": "0"}
    return voso_order(n, lines=json.dumps([one]), **money) | change


MAKERS = {"orders": order, "products": voso_product, "refunds": voso_refund, "order_events": voso_event, "stores": voso_store, "accounts": voso_account}


def daily(conn, dataset, rows, day=DAY, source="voso", **given):
    windows = {} if load_contract(source, dataset).mode != "window" else {"window_since": business_day.start(day), "window_until": business_day.end(day)}
    verdict = judged(conn, source, dataset, rows, day=day, received_at=SEEN, **windows, **given)
    assert verdict.state == "accepted"
    return verdict.export_id


def whole(conn, dataset, rows, unit="bulk", day=DAY, source="voso", version=1, run="run 1"):
    """Land ``rows`` as a whole state, then compare as the task does."""
    contract = load_contract(source, dataset)
    export_id = land(conn, source, dataset, rows, day=day, unit=unit, mode=unit, version=version, received_at=SEEN)
    read = lambda *_: Stream([values(contract, row) for row in rows])
    done = reconciling.compare(conn, SETTINGS, source, dataset, run, read)
    return export_id, done


def listed(conn, export_id):
    rows = conn.execute("select key, kind, differs, is_mended from ops.difference where export_id = %s order by key", [export_id])
    return {key: (kind, sorted(differs), mended) for key, kind, differs, mended in rows}


def figures(one):
    return {k: getattr(one, k) for k in ("compared", "missing", "extra", "changed", "older") if getattr(one, k)}


def moves(conn, export_id):
    return conn.execute("select kind from ops.change where export_id = %s", [export_id]).fetchall()


@pytest.mark.parametrize("dataset", sorted(MAKERS))
def test_where_nothing_differs_nothing_counts_and_nothing_is_built(rolled_back, dataset):
    conn, rows = rolled_back, [MAKERS[dataset](n) for n in range(1, 6)]
    daily(conn, dataset, rows)
    export_id, [one] = whole(conn, dataset, rows)
    assert (one.state, one.passed, figures(one)) == ("equal", True, {"compared": 5})
    export = ledger.get(conn, export_id)
    assert (export.state, export.rows_delivered, export.rows_loaded, export.rows_duplicate) == ("accepted", 5, 0, 5)
    ledger.conservation(conn, export_id)
    assert moves(conn, export_id) == [], "an equal bulk must not lead to a build"
    assert reconciling.verdict(conn, "run 1") == []


def test_the_warehouse_misses_an_order(rolled_back):
    conn = rolled_back
    daily(conn, "orders", [order(1)])
    export_id, [one] = whole(conn, "orders", [order(1), order(2)])
    assert figures(one) == {"compared": 2, "missing": 1} and not one.passed
    assert (one.orders_warehouse, one.orders_source, one.goods_net_warehouse_vnd, one.goods_net_source_vnd) == (1, 2, 90000, 180000)
    assert list(listed(conn, export_id)) == [order(2)["order_id"]]
    assert ledger.get(conn, export_id).rows_loaded == 1 and moves(conn, export_id) == [("accepted",)]
    [said] = reconciling.verdict(conn, "run 1")
    assert "Q18" in said and "Orders 1 / 2" in said and order(2)["order_id"] in said and "reconciliation-differs" in said


def test_the_platform_does_not_know_an_order_any_more(rolled_back):
    conn = rolled_back
    daily(conn, "orders", [order(n) for n in range(1, 4)])
    export_id, [one] = whole(conn, "orders", [order(1), order(2)])
    assert figures(one) == {"compared": 3, "extra": 1}
    assert listed(conn, export_id) == {order(3)["order_id"]: ("extra", [], True)}
    assert moves(conn, export_id) == [("accepted",)]


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        ({"amount": 80000}, ["goods_amount", "lines", "total_amount"]),
        ({"lines": json.dumps([{**ORDER_LINE, "PRODUCT_ID": "5500002"}])}, ["lines"]),
        ({"status": "DA_DUYET"}, ["status"]),
        ({"delivered_at": str(MS + 5000)}, ["delivered_at"]),
    ],
    ids=["other amount", "other line", "other status", "other delivery"],
)
def test_other_content_under_the_same_time_is_the_bulks(rolled_back, change, columns):
    """F42: UPDATED_AT is not bumped when a line changes; the bulk wins."""
    conn = rolled_back
    daily(conn, "orders", [order(1), order(2)])
    export_id, [one] = whole(conn, "orders", [order(1), order(2, **change)])
    assert figures(one) == {"compared": 2, "changed": 1} and not one.passed
    assert listed(conn, export_id) == {order(2)["order_id"]: ("changed", columns, True)}


def test_how_a_value_is_written_is_no_difference(rolled_back):
    conn = rolled_back
    daily(conn, "orders", [order(1, is_returning="false", lines=json.dumps([ORDER_LINE]))])
    reordered = json.dumps(dict(reversed(ORDER_LINE.items())), separators=(",", ":"))
    _, [one] = whole(conn, "orders", [order(1, is_returning=None, lines=f"[{reordered}]")])
    assert figures(one) == {"compared": 1}


def test_a_bulk_that_lags_behind_changes_nothing(rolled_back):
    """The worse source: what the warehouse knows is newer and still of the day."""
    conn = rolled_back
    daily(conn, "orders", [order(1, amount=70000, updated_at=str(MS + 60000)), order(2)])
    export_id, [one] = whole(conn, "orders", [order(1), order(2)])
    assert figures(one) == {"compared": 2, "older": 1} and one.state == "equal" and not one.passed
    assert ledger.get(conn, export_id).rows_superseded == 1 and moves(conn, export_id) == []


def test_what_came_after_the_day_is_no_difference(rolled_back):
    conn = rolled_back
    daily(conn, "orders", [order(1)])
    after = str(business_day.epoch_ms(business_day.end(DAY)) + 1)
    daily(
        conn,
        "orders",
        [order(1, amount=1000, updated_at=after), order(2, created_at=after, confirmed_at=after, shipped_at=after, updated_at=after)],
        DAY + timedelta(days=1),
    )
    _, [one] = whole(conn, "orders", [order(1)])
    assert figures(one) == {} and one.passed


def test_a_bulk_that_knows_too_little_is_refused_and_withdraws_nothing(rolled_back):
    conn = rolled_back
    daily(conn, "orders", [order(n) for n in range(1, 11)])
    with pytest.raises(intake.StepFailed, match="does not know 3 of 10 keys .* no whole state"):
        whole(conn, "orders", [order(n) for n in range(1, 8)])
    export = ledger.get(conn, ledger.export_id("voso", "orders", "bulk", DAY, 1))
    assert export.state == "rejected" and listed(conn, export.export_id) == {} and moves(conn, export.export_id) == []
    assert len(reconciling.verdict(conn, "run 1")) == 1


def test_a_second_run_finds_nothing(rolled_back):
    conn = rolled_back
    daily(conn, "orders", [order(n) for n in range(1, 5)])
    truth = [order(1), order(2, amount=5000), order(4), order(5)]
    first, [one] = whole(conn, "orders", truth)
    assert figures(one) == {"compared": 5, "missing": 1, "extra": 1, "changed": 1}
    second, [again] = whole(conn, "orders", truth, version=2, run="run 2")
    assert figures(again) == {"compared": 4} and again.passed and moves(conn, second) == []
    assert ledger.get(conn, first).state == "accepted", "what the first one mended goes on counting"
    reread, [third] = whole(conn, "orders", truth, unit="reread", run="run 2")
    assert figures(third) == {"compared": 4} and moves(conn, reread) == []


def test_what_comes_back_is_known_again(rolled_back):
    conn = rolled_back
    daily(conn, "orders", [order(1), order(2)])
    whole(conn, "orders", [order(1)])
    _, [one] = whole(conn, "orders", [order(1), order(2)], version=2, run="run 2")
    assert figures(one) == {"compared": 2, "missing": 1}
    _, [again] = whole(conn, "orders", [order(1), order(2)], version=3, run="run 3")
    assert figures(again) == {"compared": 2}


def test_the_reread_withdraws_nothing_and_yields_to_the_bulk(rolled_back):
    conn = rolled_back
    daily(conn, "orders", [order(1), order(2)])
    whole(conn, "orders", [order(1, amount=5000), order(2)])
    _, [one] = whole(conn, "orders", [order(1, amount=6000), order(3)], unit="reread")
    assert figures(one) == {"compared": 2, "missing": 1, "older": 1}


@pytest.mark.parametrize(
    ("dataset", "change", "columns"),
    [("products", {"status": "HET_HANG"}, ["status"]), ("refunds", {"refund_amount": "1000"}, ["refund_amount"]),
     ("order_events", {"order_status": "501"}, ["order_status"]), ("stores", {"status": "TAM_NGUNG"}, ["status"]),
     ("accounts", {"kyc_level": "0"}, ["kyc_level"]), ("stores", {"hamlet_name": "Nà Sla"}, ["hamlet_name"])],
)  # fmt: skip
def test_every_dataset_is_compared_without_leaning_on_updated_at(rolled_back, dataset, change, columns):
    conn, make = rolled_back, MAKERS[dataset]
    daily(conn, dataset, [make(1), make(2), make(3)])
    export_id, [one] = whole(conn, dataset, [make(1), make(2, **change), make(4)])
    assert figures(one) == {"compared": 4, "missing": 1, "extra": 1, "changed": 1}
    assert sorted(v for v in listed(conn, export_id).values() if v[0] == "changed") == [("changed", columns, True)]
    _, [again] = whole(conn, dataset, [make(1), make(2, **change), make(4)], version=2)
    assert figures(again) == {"compared": 3}


def test_no_key_of_a_person_and_no_free_text_is_listed(rolled_back):
    conn = rolled_back
    daily(conn, "stores", [voso_store(1)])
    export_id, _ = whole(conn, "stores", [voso_store(1, phone_key="a" * 64, owner_name="Lương Văn Sáu", hamlet_name="Nà Sla", status="KHOA")])
    [(differs,)] = conn.execute("select differs from ops.difference where export_id = %s", [export_id]).fetchall()
    assert differs == {"phone_key": True, "owner_name_key": True, "hamlet_name": True, "status": ["HOAT_DONG", "KHOA"]}


def test_a_row_in_the_bulks_quarantine_is_not_taken_for_gone(db):
    conn = db
    daily(conn, "orders", [order(n) for n in range(1, 301)])
    export_id, [one] = whole(conn, "orders", [order(1, total_amount="7"), *(order(n) for n in range(2, 301))])
    assert ledger.get(conn, export_id).rows_quarantined == 1
    assert figures(one) == {"compared": 299}


# ---- Postmart's month ----------------------------------------------------------------------------------------------------------


def pm_line(n, **change):
    day = change.pop("on", DAY)
    return line(n, created_at=f"{day:%d/%m/%Y} 08:00:00", event_at=f"{day:%d/%m/%Y} 14:05:00") | change


def month(conn, rows, **given):
    return whole(conn, "orders", rows, unit="month", day=MONTH_END, source="postmart", **given)


def test_the_month_against_the_days(rolled_back):
    """An order lost, one gone, another amount, another line, another status, and one that is written otherwise but says the same."""
    conn = rolled_back
    daily(conn, "orders", [pm_line(n) for n in (1, 2, 3, 4, 5)], source="postmart")
    other = {"unit_price_vnd": "100000", "line_amount_vnd": "200000", "goods_gross_vnd": "200000", "order_total_vnd": "215000"}
    rows = [
        pm_line(1, unit_price_vnd="175000", quantity="2,0", sales_channel="Web"), pm_line(2, **other), pm_line(3, product_code="51877"),
        pm_line(5, status_raw="Đang giao"), pm_line(6),
    ]  # fmt: skip
    export_id, [one] = month(conn, rows)
    assert figures(one) == {"compared": 6, "missing": 1, "extra": 1, "changed": 3} and not one.passed
    code = lambda n: f"PM210914{n:07d}"
    assert listed(conn, export_id) == {
        code(2): ("changed", ["goods_gross_vnd", "lines", "order_total_vnd"], True), code(3): ("changed", ["lines"], True),
        code(4): ("extra", [], True), code(5): ("changed", ["status_raw"], True), code(6): ("missing", [], True),
    }  # fmt: skip
    assert (one.orders_warehouse, one.orders_source) == (5, 5) and one.goods_net_source_vnd - one.goods_net_warehouse_vnd == -150000
    again = reconciling.compare(conn, SETTINGS, "postmart", "orders", "run 2")
    assert [figures(r) for r in again] == [{"compared": 5}] and again[0].passed, "the same file again finds nothing"
    assert ledger.get(conn, export_id).rows_loaded == 4
    assert moves(conn, export_id) == [("accepted",)]


def test_the_month_knows_only_its_own_orders_at_its_end(rolled_back):
    """Orders of August, and what happened after the month, are no differences."""
    conn = rolled_back
    october = MONTH_END + timedelta(days=1)
    daily(conn, "orders", [pm_line(1, on=date(2021, 8, 20)), pm_line(2)], SETTINGS.first_day + timedelta(days=6), source="postmart", is_backlog=True)
    daily(conn, "orders", [pm_line(2, event_at="01/10/2021 09:00:00", status_raw="Đang giao"), pm_line(3, on=october)], october, source="postmart")
    _, [one] = month(conn, [pm_line(2)])
    assert figures(one) == {"compared": 1} and one.passed


def test_two_states_of_one_day_and_lines_in_another_order(rolled_back):
    conn = rolled_back
    second = pm_line(1, product_code="51877", quantity="1", unit_price_vnd="120000", line_amount_vnd="120000")
    head = {"goods_gross_vnd": "470000", "order_total_vnd": "485000"}
    rows = [pm_line(1, **head), {**second, **head}]
    daily(conn, "orders", rows, source="postmart")
    _, [one] = month(conn, list(reversed(rows)))
    assert figures(one) == {"compared": 1}


# ---- the ledger: a whole state never stands for a day --------------------------------------------------------------------------


def test_a_whole_state_never_stands_for_a_day(rolled_back):
    conn, first = rolled_back, SETTINGS.first_day
    daily(conn, "orders", [order(1)], first)
    daily(conn, "orders", [order(1)], DAY)
    before = ledger.watermark(conn, "voso", "orders", DAY + timedelta(days=2))
    later = DAY + timedelta(days=1)
    export_id = land(conn, "voso", "orders", [order(1)], day=later, unit="bulk", mode="bulk", window_until=business_day.end(later))
    assert ledger.exports_to_load(conn, "voso", "orders") == [], "the day's own task must not take it"
    due = datetime(2021, 9, 20, tzinfo=business_day.LOCAL)
    assert ledger.expect(conn, "voso", "orders", later, due) is not None, "the day is still expected"
    conn.execute("update ops.export set state = 'accepted' where export_id = %s", [export_id])
    assert later in ledger.missing_days(conn, "voso", "orders", first, later)
    assert ledger.accepted(conn, "voso", "orders", later) == []
    assert ledger.latest_accepted(conn, "voso", "orders", later + timedelta(days=1)).business_day == DAY
    assert ledger.watermark(conn, "voso", "orders", later + timedelta(days=1)) == before
    assert ledger.next_version(conn, "voso", "orders", later) == 1
    assert [line for line in intake.refusals(conn, "voso", later, ["orders"]) if "nothing was taken" in line]


def test_reconciling_needs_the_day_itself(rolled_back):
    with pytest.raises(reconciling.NotYet, match="Run voso_daily"):
        reconciling.land_voso(rolled_back, lambda: pytest.fail("nothing is asked"), SETTINGS, "orders", DAY, "run")


def test_what_is_due():
    assert [reconciling.month_due(d) for d in (date(2021, 10, 3), date(2021, 10, 4), date(2021, 9, 30), date(2022, 1, 4))] == [
        date(2021, 8, 1), date(2021, 9, 1), date(2021, 8, 1), date(2021, 12, 1),
    ]  # fmt: skip
    assert reconciling.is_bulk_due(DAY) and not reconciling.is_bulk_due(DAY + timedelta(days=1))
    assert reconciling.last_of_month(date(2024, 2, 11)) == date(2024, 2, 29)


def test_a_bad_bulk_is_rejected_by_its_rules(db):
    conn = db
    daily(conn, "orders", [order(1), order(2)])
    with pytest.raises(intake.StepFailed, match="Q03"):
        whole(conn, "orders", [order(1, currency="USD"), order(2)])
    assert ledger.get(conn, ledger.export_id("voso", "orders", "bulk", DAY, 1)).state == "rejected"
