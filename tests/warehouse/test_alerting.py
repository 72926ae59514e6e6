"""One message per cause: from the ledger, the checks, the quarantine and the builds, each turned red by a case of its own."""

from __future__ import annotations

import datetime as dt
import json
import threading
from pathlib import Path
from types import SimpleNamespace

import deliveries as d
import psycopg
import pytest
from kinhteso import alerting, intake, judging, ledger, warehouse
from kinhteso.alerting import Cause, Limits, Links
from kinhteso.readers import DeliveryRefused
from post import listening

NOW = dt.datetime.now(dt.UTC)
DAY = d.DAY
HOUR = dt.timedelta(hours=1)


@pytest.fixture()
def said():
    """What the alert logger says."""
    with listening("kinhteso.alert") as kept:
        yield kept


class Box(list):
    """A sink that keeps what it is sent, or fails while it is ``down``."""

    down = False

    def __call__(self, message):
        if self.down:
            raise ConnectionRefusedError("down")
        self.append(message)


def look(db, box, at=NOW, **given):
    """Collect and tell; the messages of this look."""
    sinks = given.pop("sinks", {"mail": box})
    alerting.collect(db, at, given.pop("limits", Limits()), **given)
    return alerting.tell(db, sinks, at, Limits())


def absent(db, dataset, reason=None, source="postmart", day=DAY, due=NOW - HOUR):
    ledger.expect(db, source, dataset, day, due, reason=reason)


def accepted(db, source, dataset, rows, **given):
    export_id = d.loaded(db, source, dataset, rows, **given)
    db.execute("update ops.export set state = 'judged', judged_at = now() where export_id = %s", [export_id])
    return ledger.accept(db, export_id).export_id


def rejected(db, version=1, **given):
    export_id = d.land(db, "postmart", "orders", d.many(d.line, 3), version=version, **given)
    ledger.reject(db, export_id, "F15: the heading 'Tổng tiền' of PM_LSN_DONHANG_20210914_v1.xlsx is none of the contract")
    return export_id


def test_a_missing_platform_is_one_message_not_one_per_dataset(db):
    box = Box()
    for dataset in ("stores", "products", "orders", "refunds"):
        absent(db, dataset, "missing: nothing came until 15/09/2021 09:00")
    absent(db, "accounts", due=NOW + HOUR)
    (message,) = look(db, box)
    assert message.subject.startswith(
        "[kinhteso] Quá hạn, chưa có dữ liệu: postmart: orders, products, refunds, stores, 14/09/2021 · Missing past its deadline"
    )
    assert "accounts" not in message.text, "what is not due yet is not missing"
    assert "Phụ trách · Owner: data-platform" in message.text and "Hướng dẫn · Runbook: docs/runbooks/export-late.md" in message.text
    assert look(db, box) == [], "told once"
    (late,) = look(db, box, NOW + 2 * HOUR) or (None,)
    assert late is None, "another dataset of the same day and platform is the same cause"
    assert db.execute("select facts->'datasets' from ops.alert").fetchone()[0] == [
        f"postmart/{n}" for n in ("accounts", "orders", "products", "refunds", "stores")
    ]


def test_waiting_before_the_deadline_is_no_alert_and_passing_it_is(db):
    box = Box()
    absent(db, "orders", "Vỏ Sò: too recent; asked again later", source="voso", due=NOW + HOUR)
    absent(db, "stores", due=NOW + HOUR)
    assert look(db, box) == []
    (postmart, voso) = sorted(look(db, box, NOW + 2 * HOUR), key=lambda m: m.cause_key)
    assert (postmart.kind, voso.kind) == ("export_missing", "export_missing") and "asked again later" in voso.text


def test_a_refused_login_is_one_cause_for_all_days_and_datasets(db):
    box = Box()
    words = "Vỏ Sò refused the login of the connection voso: Invalid owner account or password! Runbook: docs/runbooks/login-refused.md"
    for dataset in ("stores", "orders"):
        absent(db, dataset, words, source="voso")
        absent(db, dataset, source="voso", day=DAY + dt.timedelta(1))
    absent(db, "stores")
    found = {m.kind: m for m in look(db, box)}
    assert set(found) == {"login_refused", "export_missing"}, "days that are late because of the login are part of its story; Postmart's are not"
    assert "2021-09-14, 2021-09-15" in json.dumps(db.execute("select facts->'days' from ops.alert where kind = 'login_refused'").fetchone()[0]).replace('"', "")
    assert "login-refused.md" in found["login_refused"].text and found["export_missing"].cause_key == "export_missing|postmart|2021-09-14"


def test_a_source_that_does_not_answer_is_one_cause(db):
    words = "Postmart's SFTP server sftp.example.vn does not answer: timed out. The next run asks again. Runbook: docs/runbooks/export-late.md"
    for dataset in ("stores", "orders", "refunds"):
        absent(db, dataset, words, due=NOW + HOUR)
    (message,) = look(db, Box())
    assert message.kind == "unreachable" and "sftp.example.vn" in message.text, "told at once, not at the deadline"


def test_a_full_disk_is_one_cause_whatever_stops_for_it(db):
    box = Box()
    for source, dataset in (("postmart", "orders"), ("postmart", "stores"), ("voso", "orders")):
        absent(db, dataset, "task failed: OSError: [Errno 28] No space left on device", source=source)
    (message,) = look(db, box)
    assert message.cause_key == "disk_full" and "disk-full.md" in message.text and "voso/orders" in message.text
    db.execute("delete from ops.export")
    assert look(db, box, NOW + HOUR) == [], "only a run that ends well ends it"
    alerting.clear(db, NOW + HOUR, alerting.RUN_KINDS, dag="postmart_daily")
    assert [m.state for m in look(db, box, NOW + 2 * HOUR)] == ["over"]


def test_a_task_that_broke_is_not_called_damage_of_the_delivery(db):
    with pytest.raises(ZeroDivisionError), intake.expected(db, SimpleNamespace(first_day=DAY), "postmart", "orders", DAY):
        1 / 0
    with pytest.raises(DeliveryRefused), intake.expected(db, SimpleNamespace(first_day=DAY), "postmart", "stores", DAY):
        raise DeliveryRefused("F01", "PM_LSN_GIANHANG_20210914_v1.xlsx is damaged")
    found = {m.kind: m.text for m in look(db, Box(), dt.datetime.combine(DAY, dt.time(23), alerting.LOCAL))}
    assert set(found) == {"export_refused"} and "orders" not in found["export_refused"], (
        "the broken task tells of itself; the day is late at 09:00 at the earliest"
    )


def test_damage_is_told_before_the_deadline_per_reason(db):
    absent(db, "orders", "F01: PM_LSN_DONHANG_20210914_v1.xlsx is damaged: 30 bytes are missing", due=NOW + HOUR)
    absent(db, "stores", "F05: MANIFEST_20210914_v1.csv names files that are not there", due=NOW + HOUR)
    absent(db, "products", "F05: MANIFEST_20210914_v1.csv names files that are not there", due=NOW + HOUR)
    assert sorted(m.cause_key for m in look(db, Box())) == ["export_refused|postmart|2021-09-14|orders", "export_refused|postmart|2021-09-14|products"]


def test_a_rejected_delivery_names_rule_keys_file_owner_next_step_and_runbook(db):
    rows = [d.line(n) for n in range(1, 11)] + [d.line(n, line_amount_vnd="1") for n in range(11, 14)]
    with pytest.raises(judging.JudgementFailed):
        d.judged(db, "postmart", "orders", rows)
    box = Box()
    (message,) = look(db, box)
    assert message.kind == "export_rejected" and message.subject.endswith("Delivery rejected: postmart/orders v1, 2021-09-14")
    for part in ("A3 Đơn hàng Postmart", "Quy tắc · Rule: F28", "Khóa đầu tiên · First keys: PM2109140000011", "A3_20210914_v1", "Owner: data-platform",
                 "Next: Read rule and keys", "docs/runbooks/export-rejected.md", "Bộ dữ liệu · Dataset: postmart/orders v1"):  # fmt: skip
        assert part in message.text, f"{part}\n{message.text}"
    assert message.payload()["rules"][0]["keys"] and message.payload()["severity"] == "error"
    assert look(db, box, NOW + HOUR) == []


def test_over_is_told_once_when_the_day_counts_not_while_it_is_on_its_way(db):
    box = Box()
    first = rejected(db)
    assert [m.state for m in look(db, box)] == ["open"]
    ledger.reopen(db, first)
    assert look(db, box, NOW + HOUR) == [], "read again: not over, not new"
    ledger.reject(db, first, "F15: still")
    assert look(db, box, NOW + HOUR) == []
    accepted(db, "postmart", "orders", d.many(d.line, 3), version=2)
    (over,) = look(db, box, NOW + 2 * HOUR)
    assert over.state == "over" and over.subject.startswith("[kinhteso] Đã xong: Dữ liệu bị từ chối") and "Next:" not in over.text
    assert look(db, box, NOW + 3 * HOUR) == []


def test_a_damaged_version_beside_the_one_that_counts_is_told_until_a_good_one_comes(db):
    box = Box()
    accepted(db, "postmart", "orders", d.many(d.line, 3))
    words = "F01: PM_LSN_DONHANG_20210914_v2.xlsx is damaged: 9 bytes came, 12 were declared, twice. Runbook: docs/runbooks/export-rejected.md"
    ledger.expect(db, "postmart", "orders", DAY, NOW - HOUR, reason=words, version=2)
    (told,) = look(db, box)
    assert told.kind == "export_refused" and "v2.xlsx is damaged" in told.text
    assert look(db, box, NOW + HOUR) == []
    accepted(db, "postmart", "orders", d.many(d.line, 4), version=2)
    assert [m.state for m in look(db, box, NOW + 2 * HOUR)] == ["over"]


def test_another_bad_version_is_news_and_over_comes_after_both(db):
    box = Box()
    rejected(db)
    look(db, box)
    db.execute("update ops.export set sha256 = 'other' where version = 1")
    rejected(db, version=2)
    (second,) = look(db, box, NOW + HOUR)
    assert second.cause_key.endswith("|v2") and second.state == "open"
    accepted(db, "postmart", "orders", d.many(d.line, 4), version=3)
    assert [m.state for m in look(db, box, NOW + 2 * HOUR)] == ["over", "over"]


def test_a_cause_that_comes_again_after_its_end_is_told_again(db):
    box = Box()
    cause = Cause("dag_unparsable|x.py", "dag_unparsable", {"what": "x.py", "words": "SyntaxError"})
    kinds = {"dag_unparsable"}
    assert [m.state for m in look(db, box, seen=[cause], whole=kinds)] == ["open"]
    assert look(db, box, NOW + HOUR) == [], "who does not look at the DAG files does not end what others saw"
    assert [m.state for m in look(db, box, NOW + HOUR, whole=kinds)] == ["over"]
    assert [m.state for m in look(db, box, NOW + 2 * HOUR, seen=[cause], whole=kinds)] == ["open"]


def test_reminders_come_after_a_day_then_after_two_then_after_four(db):
    rejected(db)
    told = [(hour, m) for hour in range(0, 24 * 8, 3) for m in look(db, Box(), NOW + hour * HOUR)]
    assert [(hour, m.state) for hour, m in told] == [(0, "open"), (24, "reminder"), (72, "reminder"), (168, "reminder")]
    assert told[1][1].subject.startswith("[kinhteso] Nhắc lại: ")


@pytest.mark.parametrize("fault", ["down", "half"])
def test_what_could_not_be_sent_is_sent_later_and_only_where_it_did_not_arrive(db, fault):
    mail, hook = Box(), Box()
    mail.down = fault == "down"
    hook.down = True
    rejected(db)
    sinks = {"mail": mail, "webhook": hook}
    assert look(db, None, sinks=sinks) == []
    assert "ConnectionRefusedError" in db.execute("select last_error from ops.alert").fetchone()[0]
    mail.down = hook.down = False
    assert len(look(db, None, NOW + HOUR / 4, sinks=sinks)) == 1
    assert (len(mail), len(hook)) == (1, 1)
    assert look(db, None, NOW + HOUR / 2, sinks=sinks) == []


def test_a_broken_sink_is_asked_once_a_look_and_the_others_get_everything(db):
    class Slow(Box):
        asked = 0

        def __call__(self, message):
            self.asked += 1
            raise TimeoutError

    slow, hook = Slow(), Box()
    for day in range(5):
        absent(db, "orders", day=DAY + dt.timedelta(day))
    look(db, None, sinks={"mail": slow, "webhook": hook})
    assert (slow.asked, len(hook)) == (1, 5)


def test_two_looks_at_once_never_both_send(db, warehouse_dsn):
    for day in range(8):
        absent(db, "orders", day=DAY + dt.timedelta(day))
    sent, gate = [], threading.Barrier(4)

    def run():
        with warehouse.connect(warehouse_dsn) as conn:
            gate.wait()
            alerting.collect(conn, NOW)
            alerting.tell(conn, {"mail": lambda m: sent.append(m.cause_key)}, NOW)

    threads = [threading.Thread(target=run) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert sorted(sent) == [f"export_missing|postmart|{DAY + dt.timedelta(n)}" for n in range(8)]


def test_a_sender_that_died_is_taken_over_after_the_claim_ends(db):
    rejected(db)
    alerting.collect(db, NOW)
    db.execute("update ops.alert set claimed_at = %s", [NOW])  # as a killed worker leaves it
    box = Box()
    assert look(db, box, NOW + dt.timedelta(minutes=9)) == []
    assert len(look(db, box, NOW + dt.timedelta(minutes=11))) == 1


def test_at_most_so_many_at_once_and_the_rest_with_the_next_look_errors_first(db):
    for day in range(25):
        absent(db, "orders", day=DAY + dt.timedelta(day))
    box = Box()
    assert (len(look(db, box)), len(look(db, box)), len(look(db, box))) == (20, 5, 0)


def test_a_pull_of_voso_that_is_rejected_night_after_night_is_one_cause(db):
    box = Box()
    for version in (1, 2, 3):
        export_id = d.land(db, "voso", "stores", [d.voso_store(n) for n in range(1, 3 + version)], version=version)
        ledger.reject(db, export_id, "F30: stores vanished")
        look(db, box, NOW + version * HOUR)
    assert [m.cause_key for m in box] == ["export_rejected|voso/stores/2021-09-14"]


def test_a_corrected_form_of_another_day_ends_the_refusal_of_the_wrong_one(db):
    box = Box()
    form = lambda as_of, sha: d.delivery("registers", "households", [], unit="187", day=as_of, sha256=sha)
    ledger.reject(db, ledger.landed(db, form(dt.date(2021, 9, 1), "a"), "t"), "F52: row 5 says 10/09/2021, the name 01/09/2021")
    (message,) = look(db, box)
    assert "187" in message.subject and "F52" in message.text
    export_id = ledger.landed(db, form(dt.date(2021, 9, 10), "b"), "t")
    db.execute("update ops.export set state = 'accepted', accepted_at = now(), landed_at = landed_at + interval '1 s' where export_id = %s", [export_id])
    assert [m.state for m in look(db, box, NOW + HOUR)] == ["over"]


def test_other_content_under_a_known_name_is_told_until_a_higher_version_counts(db):
    box = Box()
    accepted(db, "postmart", "orders", d.many(d.line, 3))
    with pytest.raises(ledger.ContentChanged):
        d.land(db, "postmart", "orders", d.many(d.line, 4))
    (message,) = look(db, box)
    assert message.kind == "content_changed" and "sha256" in message.text
    accepted(db, "postmart", "orders", d.many(d.line, 4), version=2)
    assert [m.state for m in look(db, box, NOW + HOUR)] == ["over"]


@pytest.mark.parametrize(("rows", "is_told"), [(4, False), (6, True)])
def test_a_quarantine_that_grows_is_told_with_rule_and_keys(db, rows, is_told):
    export_id = accepted(db, "postmart", "products", d.many(d.product, 100))
    db.execute(
        """insert into ops.quarantine_row (export_id, source_row, rule_id, rule_name, rule, row_key, content)
           select %s, n, 'Q03', 'price_readable', 'the price is an amount in whole VND', 'product ' || n, '{}' from generate_series(1, %s) as n""",
        [export_id, rows],
    )
    box = Box()
    found = look(db, box)
    assert bool(found) == is_told
    if is_told:
        assert "6 of 100 rows" in found[0].text and "product 1, product 2" in found[0].text and found[0].payload()["severity"] == "warning"
        db.execute("update ops.quarantine_row set state = 'dismissed', state_reason = 'test'")
        assert [m.state for m in look(db, box, NOW + HOUR)] == ["over"]


def test_a_check_that_failed_over_data_that_count_is_told_with_its_rule(db):
    box = Box()
    export_id = accepted(db, "postmart", "orders", d.many(d.line, 3))
    db.execute(
        "insert into ops.check_result (export_id, rule_id, rule_name, rule, outcome, passed, rows_failed, rows_total, sample)"
        " values (%s, 'Q16', 'volume', 'as many orders as on this weekday before', 'fail', false, 1, 3, '[\"PM1\"]')",
        [export_id],
    )
    db.execute(
        "insert into ops.day_check (business_day, source, dataset, commune_code, rule_id, rule_name, rule, outcome, passed, rows_failed, rows_total, build_id)"
        " values (%s, 'warehouse', '', '', 'Q18', 'sums', 'communes add up to the province', 'fail', false, 1, 200, 1)",
        [DAY],
    )
    found = {m.cause_key: m.text for m in look(db, box)}
    assert "Q16 as many orders" in found["check_failed|postmart/orders/2021-09-14"] and "PM1" in found["check_failed|postmart/orders/2021-09-14"]
    assert "Q18 communes add up" in found["check_failed|warehouse//2021-09-14"] and "check-failed.md" in found["check_failed|warehouse//2021-09-14"]
    accepted(db, "postmart", "orders", d.many(d.line, 4), version=2)
    db.execute("update ops.day_check set passed = true")
    assert [m.state for m in look(db, box, NOW + HOUR)] == ["over", "over"]


def test_what_ages_out_is_not_called_over(db):
    box = Box()
    rejected(db)
    look(db, box)
    assert look(db, Box(), NOW + 36 * 24 * HOUR) == [] and db.execute("select cleared_at is not null from ops.alert").fetchone()[0]


def test_unknown_communes_and_status_words_are_told_once_per_source(db):
    box = Box()
    stores = [d.voso_store(n) for n in range(1, 9)] + [d.voso_store(9, wards_id="999999")]
    accounts = [d.voso_account(n, wards_id="999999" if n == 1 else "980101") for n in range(1, 9)]
    judging.judge(db, d.loaded(db, "voso", "stores", stores))
    judging.judge(db, d.loaded(db, "voso", "accounts", accounts))
    judging.judge(db, d.loaded(db, "postmart", "stores", [d.store(1)]))
    judging.judge(db, d.loaded(db, "postmart", "orders", [d.line(n, status_raw="Chờ duyệt lại" if n == 1 else "Đã xác nhận") for n in range(1, 30)]))
    found = {m.kind: m for m in look(db, box)}
    assert set(found) == {"commune_unknown", "word_unknown"}, list(found)
    assert "voso/accounts, voso/stores" in found["commune_unknown"].text and "8800000000000009"[:12] in found["commune_unknown"].text
    assert "status-word-unknown.md" in found["word_unknown"].text
    judging.judge(db, d.loaded(db, "voso", "stores", stores[:8], day=DAY + dt.timedelta(1)))
    judging.judge(db, d.loaded(db, "voso", "accounts", accounts[1:] + [d.voso_account(1)], day=DAY + dt.timedelta(1)))
    assert [m.state for m in look(db, box, NOW + HOUR)] == ["over"], "a newer snapshot without unknown codes ends it"


def _build(db, number, state, message=None, started=NOW):
    db.execute(
        "insert into ops.build (build_id, started_at, state, business_date, kpi_from, stock_from, first_day, is_full_refresh, project_digest, message)"
        " values (%s, %s, %s, '2021-09-14', '2021-07-19', '2021-09-12', '2021-09-12', false, 'x', %s)",
        [number, started, state, message],
    )


def test_a_build_that_fails_again_in_the_same_way_is_one_cause_and_a_good_build_ends_it(db):
    box = Box()
    _build(db, 1, "failed", "test.kinhteso.unique_fct_order: Got 3 results, configured to fail if != 0")
    (message,) = look(db, box)
    assert "test.kinhteso.unique_fct_order" in message.subject and "build-failed.md" in message.text
    _build(db, 2, "failed", "test.kinhteso.unique_fct_order: Got 5 results, configured to fail if != 0")
    assert look(db, box, NOW + HOUR) == []
    _build(db, 3, "failed", "model.kinhteso.fct_order: syntax error")
    assert [(m.state, "fct_order" in m.subject) for m in look(db, box, NOW + HOUR)][-1] == ("open", True)
    _build(db, 4, "published")
    assert {m.state for m in look(db, box, NOW + 2 * HOUR)} == {"over"}


def test_what_died_on_its_way_is_told_after_hours(db):
    box = Box()
    d.land(db, "postmart", "orders", d.many(d.line, 3))
    _build(db, 1, "running")
    assert look(db, box, NOW + HOUR) == []
    found = {m.kind: m for m in look(db, box, NOW + 7 * HOUR)}
    assert set(found) == {"export_stuck", "build_stuck"} and "postmart/orders v1 is landed since" in found["export_stuck"].text


def test_a_night_without_runs_is_told_by_the_clock_only(db):
    nine = dt.datetime.combine(dt.date(2021, 9, 15), dt.time(9, 1), alerting.LOCAL)
    before = nine - HOUR
    accepted(db, "postmart", "orders", d.many(d.line, 2), day=DAY - dt.timedelta(1))
    assert look(db, Box(), nine) == []
    assert [m.cause_key for m in look(db, Box(), before, by_clock=True, first_day=DAY)] == [], "08:01: nothing is due yet; the day before is before the backlog"
    box = Box()
    found = look(db, box, nine, by_clock=True, first_day=DAY)
    assert [m.cause_key for m in found] == ["export_missing|postmart|2021-09-14", "export_missing|voso|2021-09-14"]
    assert "the nightly run did not come" in found[0].text


def test_a_release_that_is_too_old_is_told_and_a_new_one_ends_it(db):
    box = Box()
    release = (
        "insert into ops.release (published_at, business_date, completeness, what_changed, rows_changed, project_digest) values (%s, %s, 'FULL', '', 1, '')"
    )
    db.execute(release, [NOW - 20 * HOUR, DAY])
    calm = {"by_clock": True, "first_day": dt.date(2121, 1, 1)}
    assert look(db, box, **calm) == []
    (message,) = look(db, box, NOW + 11 * HOUR, **calm)
    assert message.kind == "release_late" and "run-late.md" in message.text
    assert look(db, box, NOW + 12 * HOUR) == [], "whoever does not run by the clock does not end it"
    db.execute(release, [NOW + 12 * HOUR, DAY])
    assert [m.state for m in look(db, box, NOW + 13 * HOUR, **calm)] == ["over"]


def test_a_comparison_that_differs_too_much_is_told_until_the_next_one_passes(db):
    box, missing = Box(), db.execute("select to_regclass('ops.reconciliation') is null").fetchone()[0]
    if missing:  # a warehouse that was never compared
        assert look(db, box) == []
        db.execute("create table ops.difference (export_id bigint, key text)")
        db.execute(
            "create table ops.reconciliation (source text, dataset text, unit text, as_of date, export_id bigint, state text, passed boolean, compared bigint,"
            " missing bigint, extra bigint, changed bigint, older bigint, message text, compared_at timestamptz default now())"
        )
    compared = (
        "insert into ops.reconciliation (source, dataset, unit, as_of, state, passed, compared, missing, extra, changed, older, message)"
        " values ('voso', 'orders', 'bulk', %s, 'mended', %s, 1000, 12, 1, 3, 0, 'Vỏ Sò says otherwise of 16 orders')"
    )
    db.execute(compared, [DAY, False])
    (message,) = look(db, box)
    assert "voso/orders" in message.text and "missing 12, extra 1, changed 3" in message.text and "reconciliation-differs.md" in message.text
    db.execute(compared, [DAY + dt.timedelta(7), True])
    assert [m.state for m in look(db, box, NOW + HOUR)] == ["over"]


def test_without_a_sink_it_is_logged_and_counts_as_told(db, said):
    rejected(db)
    assert len(look(db, None, sinks={})) == 1
    assert "ALERT [kinhteso] Dữ liệu bị từ chối" in "\n".join(said) and "docs/runbooks/export-rejected.md" in "\n".join(said)
    assert look(db, Box(), NOW + HOUR) == []


def test_a_well_fed_warehouse_is_silent(db):
    for source, dataset in (("postmart", "products"), ("voso", "products")):
        accepted(db, source, dataset, d.many(d.MAKERS[source, dataset], 3))
    intake.expect_day(db, dt.date(2121, 1, 1))
    assert look(db, Box()) == []


def test_words_from_outside_cannot_break_out_of_the_mail():
    row = {"cause_key": "k", "kind": "export_rejected", "source": "postmart", "cleared_at": None, "times_told": 0, "first_seen": NOW,
           "facts": {"datasets": ["postmart/orders"], "days": ["2021-09-14"], "file": "<script>x</script>\r\nBcc: x@example.vn", "words": "{{ 7 * 7 }}"}}  # fmt: skip
    message = alerting.compose(row, Links("https://wiki.example.vn/runbooks/", "https://airflow.example.vn/board"))
    assert "<script>" not in message.html and "\n" not in message.subject and "{{ 7 * 7 }}" in message.html
    assert '<a href="https://wiki.example.vn/runbooks/export-rejected.md">' in message.html and '<a href="https://airflow.example.vn/board">' in message.html


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ('invalid input syntax for type integer: "0900000123"', 'invalid input syntax for type integer: "…"'),
        ("connection to https://hook.example.vn/services/T00/secret failed", "connection to https://hook.example.vn/… failed"),
        ("postgresql://user:pass@db:5432/x refused", "postgresql://db:5432/… refused"),
        ("Max retries exceeded with url: /services/secret (Caused by x)", "Max retries exceeded with url: /… (Caused by x)"),
        ("mail to lan@example.vn, phone 0900 000 123", "mail to …@…, phone …"),
        ('relation "raw.postmart_orders" does not exist', 'relation "raw.postmart_orders" does not exist'),
        ("2021-09-14 is before the backlog", "2021-09-14 is before the backlog"),
        ("KeyError: 'Nguyễn Thị Mai'", "KeyError: '…'"),
    ],
)
def test_errors_lose_what_may_be_personal_or_secret(said, kept):
    assert alerting.scrub(said) == kept


def test_limits_come_from_the_environment_and_a_wrong_one_is_named(monkeypatch):
    monkeypatch.setenv("KINHTESO_ALERT_REMIND_HOURS", "12")
    monkeypatch.setenv("KINHTESO_ALERT_QUARANTINE_ROWS", "7")
    assert (Limits.from_environment().remind_hours, Limits.from_environment().quarantine_rows) == (12, 7)
    monkeypatch.setenv("KINHTESO_ALERT_QUARANTINE_ROWS", "seven")
    with pytest.raises(ValueError, match="KINHTESO_ALERT_QUARANTINE_ROWS is 'seven', must be a number"):
        Limits.from_environment()


def test_every_kind_that_the_query_finds_is_known_and_has_words():
    import re

    found = set(re.findall(r"'([a-z]+_[a-z]+|unreachable)'", alerting._STANDING + alerting._RECONCILED)) & set(alerting.KINDS)
    assert found == alerting.STANDING_KINDS | {"disk_full"}
    root = Path(__file__).resolve().parents[2] / "docs" / "runbooks"
    assert [k for k, kind in alerting.KINDS.items() if not (root / f"{kind.runbook}.md").exists()] == []


def test_a_commit_that_fails_tells_nothing(db):
    """collect is one transaction: killed in it, nothing is half written."""
    rejected(db)
    with pytest.raises(psycopg.errors.Error):
        alerting.collect(db, NOW, seen=[Cause("x|1", "dag_unparsable", {"what": "x"}), Cause(None, "dag_unparsable", {})])
    assert db.execute("select count(*) from ops.alert").fetchone() == (0,)
