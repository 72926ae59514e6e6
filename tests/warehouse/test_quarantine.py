"""Quarantine and replay: what was corrected flows on, what is still bad stays, what is replaced does not come back, and all of it is on file."""

import datetime as dt
from pathlib import Path

import deliveries as d
import psycopg
import pytest
from kinhteso import building, intake, judging, ledger, loading, publishing, quarantine
from written import delivered, edit, own_contracts, own_project, settings_in

NEXT_DAY = d.DAY + dt.timedelta(days=1)
WHO = "mai"


@pytest.fixture()
def settings(tmp_path):
    return settings_in(tmp_path)


@pytest.fixture()
def rules(monkeypatch, tmp_path):
    return own_contracts(monkeypatch, tmp_path)


@pytest.fixture()
def seeds(monkeypatch, tmp_path):
    return own_project(monkeypatch, tmp_path) / "seeds"


def orders(bad=None, count=98):
    """Good one-line orders and one more, whose total is wrong unless ``bad`` says what else is."""
    return d.many(d.line, count) + [d.line(900, **(bad or {"order_total_vnd": "1"}))]


def replay(db, settings, **said):
    return quarantine.replay(db, settings, quarantine.select(db, **said), WHO, "run")


def dismiss(db, reason="Postmart confirms: test orders", **said):
    return quarantine.dismiss(db, quarantine.select(db, **said), reason, WHO, "run")


def rows(db, what="source_row, rule_name, state", export_id=None):
    where = f"where export_id = {export_id}" if export_id else ""
    return db.execute(f"select {what} from ops.quarantine_row {where} order by export_id, source_row, rule_name").fetchall()


def changes(db):
    return [kind for (kind,) in db.execute("select kind from ops.change order by change_id").fetchall()]


def state(db, export_id):
    return ledger.get(db, export_id).state


LOOSE = ("rows: order_total_vnd <> goods_gross_vnd - seller_discount_vnd + shipping_fee_vnd", "rows: order_total_vnd < 0")
WORD = "payment_method,postmart,COD,COD\n"


# ---- history -------------------------------------------------------------------------------------------------------------------


def test_a_row_keeps_its_content_place_rule_in_words_and_state(db, settings):
    delivered(db, settings, "orders", orders())
    row = db.execute(
        "select file, file_row, landing_path, rule_id, rule, row_key, content ->> 'order_total_vnd', state, opened_at is not null from ops.quarantine"
    ).fetchall()
    path = "postmart/orders/2021-09-14/v1/PM_LSN_DONHANG_20210914_v1.xlsx"
    words = "Tổng thanh toán is Tổng tiền hàng − Giảm giá + Phí vận chuyển"
    assert row == [("PM_LSN_DONHANG_20210914_v1.xlsx", 104, path, "Q06", words, "PM2109140000900", "1", "open", True)], "99th row, headings in row 5"


def test_good_again_is_replayed_bad_again_is_opened_still_bad_keeps_its_first_time(db, settings, rules):
    export_id = delivered(db, settings, "orders", [*orders(), d.line(901, payment_method="Vàng")])
    first = rows(db, "rule_name, opened_at")
    original = (rules / "postmart/orders.yml").read_text(encoding="utf-8")
    edit(rules / "postmart/orders.yml", *LOOSE)
    (told,) = replay(db, settings, export="postmart/orders 2021-09-14 v1")
    assert (told.rows_replayed, told.rows_open, told.is_red) == (1, 1, False) and "Hình thức thanh toán" in told.words
    assert rows(db) == [(99, "order_total", "replayed"), (100, "payment_method_words", "open")]
    assert rows(db, "closed_by, closed_at is not null, state_reason") == [(WHO, True, "holds now"), (None, False, None)]
    assert rows(db, "rule_name, opened_at") == first, "both keep when they were first found"
    (rules / "postmart/orders.yml").write_text(original, encoding="utf-8")
    replay(db, settings, export=str(export_id))
    assert rows(db) == [(99, "order_total", "open"), (100, "payment_method_words", "open")]
    assert rows(db, "opened_at")[1] == first[1][1:] and rows(db, "opened_at")[0] > first[0][1:]
    assert "fails again; was replayed" in rows(db, "state_reason")[0][0]
    assert changes(db) == ["accepted", "replayed", "replayed"]
    ledger.conservation(db, export_id)


def test_other_rows_but_as_many_is_a_change(db, settings, rules):
    export_id = delivered(db, settings, "orders", [*orders(), d.line(901, quantity="3", line_amount_vnd="525.000", goods_gross_vnd="525.000",
                                                                    order_total_vnd="540.000")])  # fmt: skip
    edit(rules / "postmart/orders.yml", LOOSE[0], "rows: quantity = 3")
    judging.judge(db, export_id, again=True)
    assert rows(db, "source_row, state") == [(99, "replayed"), (100, "open")]
    assert changes(db) == ["accepted", "replayed"]


def test_the_message_of_a_rejection_names_file_rows_rule_and_remedy(db, settings):
    export_id = delivered(db, settings, "orders", [d.line(1), d.line(2, order_total_vnd="1")])
    reason = ledger.get(db, export_id).reason
    for part in ("PM_LSN_DONHANG_20210914_v1.xlsx row 7", "PM2109140000002", "Q06 order_total: Tổng thanh toán is", "replay-quarantine", "Runbook"):
        assert part in reason, reason
    assert db.execute("select places from ops.check_result where rule_name = 'order_total'").fetchone() == ("PM_LSN_DONHANG_20210914_v1.xlsx row 7",)


# ---- replay --------------------------------------------------------------------------------------------------------------------


def test_twice_changes_nothing(db, settings, seeds):
    delivered(db, settings, "orders", orders({"payment_method": "Vàng"}))
    edit(seeds / "status_words.csv", WORD, WORD + "payment_method,postmart,Vàng,COD\n")
    assert [o.rows_replayed for o in replay(db, settings, rule="Q03")] == [1]
    before = (rows(db, "*"), changes(db))
    assert replay(db, settings, rule="Q03") == [], "nothing fails the rule any more"
    assert [o.rows_replayed for o in replay(db, settings, export="postmart/orders 2021-09-14 v1")] == [0]
    assert (rows(db, "*"), changes(db)) == before and changes(db) == ["accepted", "replayed"]
    assert quarantine.open_matters(db) == []


@pytest.mark.parametrize("said", [{"class_": "postmart/refunds"}, {"rule": "Q02"}, {"export": "postmart/refunds 2021-09-14 v1"}, {"day": "2021-09-14"}, {}])
def test_a_heading_alias_lets_a_refused_file_in(db, settings, rules, said):
    """EXPORTS F15: refused until somebody says in the YAML that the heading means the same."""
    export_id = delivered(db, settings, "refunds", d.many(d.refund, 3), renamed={"Số tiền hoàn": "Tiền hoàn"})
    assert state(db, export_id) == "rejected"
    (matter,) = quarantine.open_matters(db)
    assert matter.kind == "rejected" and "heading 6 is 'Tiền hoàn'" in matter.told and "aliases" in matter.told
    (still,) = replay(db, settings, **said)
    assert (still.state_after, still.is_red) == ("rejected", False) and "still rejected" in still.words
    edit(rules / "postmart/refunds.yml", "heading: Số tiền hoàn,", "heading: Số tiền hoàn, aliases: [Tiền hoàn],")
    (told,) = replay(db, settings, **said)
    assert (told.state_after, told.rows_replayed, changes(db)) == ("accepted", 3, ["accepted"])
    assert replay(db, settings, **({"class_": "postmart/refunds"})) == []


def test_a_delivery_over_its_limit_is_read_again_and_its_history_stays(db, settings, seeds):
    bad = [d.line(n, payment_method="Vàng") for n in (901, 902, 903)]
    export_id = delivered(db, settings, "orders", [*orders(count=20), *bad, bad[0]])
    first = rows(db, "source_row, rule_name, opened_at")
    assert state(db, export_id) == "rejected" and len(first) == 4
    edit(seeds / "status_words.csv", WORD, WORD + "payment_method,postmart,Vàng,COD\n")
    (told,) = replay(db, settings, class_="postmart/orders")
    assert (told.state_before, told.state_after, told.rows_open) == ("rejected", "rejected", 0), "one wrong order of 24 is above 2 %"
    assert [s for _, _, s in rows(db)] == ["open", "replayed", "replayed", "replayed"]
    edit(Path(seeds).parent / "seeds" / "status_words.csv", WORD, WORD)
    delivered(db, settings, "orders", [*orders(count=98), *bad, bad[0]], day=NEXT_DAY)
    assert rows(db, "source_row, rule_name, opened_at", export_id) == first
    aside = db.execute("select source_row, outcome from ops.set_aside_row where export_id = %s order by 1", [export_id]).fetchall()
    assert aside == [(21, "quarantined"), (25, "duplicate")], "the exact duplicate is found again"


def test_what_a_higher_version_has_replaced_does_not_come_back(db, settings, rules):
    refused = delivered(db, settings, "orders", [d.line(1), d.line(2, order_total_vnd="1")])
    accepted = delivered(db, settings, "orders", [*orders(), d.line(902, payment_method="Vàng")], version=2)
    newest = delivered(db, settings, "orders", d.many(d.line, 5), version=3)
    assert [state(db, e) for e in (refused, accepted, newest)] == ["rejected", "superseded", "accepted"]
    assert {(s, why, by) for s, why, by in rows(db, "state, state_reason, closed_by")} == {
        ("dismissed", "replaced by v2", "pipeline"),
        ("dismissed", "replaced by v3", "pipeline"),
    }
    edit(rules / "postmart/orders.yml", *LOOSE)
    queue = changes(db)
    for said in ({}, {"rule": "Q06"}, {"class_": "postmart"}, {"export": "postmart/orders 2021-09-14 v1"}, {"export": "postmart/orders 2021-09-14 v2"}):
        assert [o for o in replay(db, settings, **said) if o.export_id != newest] == [], said
    assert [state(db, e) for e in (refused, accepted, newest)] == ["rejected", "superseded", "accepted"] and changes(db) == queue
    assert quarantine.open_matters(db) == []


def test_what_waits_of_a_replaced_version_waits_again_when_the_newer_is_withdrawn(db, settings):
    first = delivered(db, settings, "orders", [*orders(), d.line(901, payment_method="Vàng")])
    dismiss(db, rule="Q06")
    second = delivered(db, settings, "orders", d.many(d.line, 100), version=2)
    assert (state(db, first), state(db, second)) == ("superseded", "accepted") and quarantine.open_matters(db) == []
    ledger.withdraw(db, second, "Q12 matched_households")
    assert (state(db, first), state(db, second)) == ("accepted", "rejected")
    assert rows(db, "rule_name, state, closed_by", first) == [("order_total", "dismissed", WHO), ("payment_method_words", "open", None)]
    assert [(m.version, m.kind) for m in quarantine.open_matters(db)] == [(1, "rows"), (2, "rejected")]
    ledger.conservation(db, first)


def test_data_that_count_stay_when_a_rule_gets_stricter(db, settings, rules):
    """The last good state carries on, row for row; it is told, and the run that replays is red."""
    export_id = delivered(db, settings, "orders", orders())
    before, aside = rows(db, "*"), db.execute("select * from ops.set_aside_row").fetchall()
    original = (rules / "postmart/orders.yml").read_text(encoding="utf-8")
    edit(rules / "postmart/orders.yml", LOOSE[0], "rows: order_total_vnd < 1000000")
    (told,) = replay(db, settings, rule="Q06")
    assert told.is_red and told.state_after == "accepted" and "stays accepted and counts as it did" in told.words and "row 6, 7" not in told.words
    assert "PM_LSN_DONHANG_20210914_v1.xlsx rows 6, 7, 8, 9, 10" in told.words
    assert (rows(db, "*"), db.execute("select * from ops.set_aside_row").fetchall(), changes(db)) == (before, aside, ["accepted"])
    assert [m.kind for m in quarantine.open_matters(db)] == ["kept", "rows"]
    (rules / "postmart/orders.yml").write_text(original, encoding="utf-8")
    (told,) = replay(db, settings)
    assert not told.is_red and ledger.get(db, export_id).reason is None
    assert [m.kind for m in quarantine.open_matters(db)] == ["rows"]


def test_rows_that_a_stricter_rule_finds_within_the_limit_are_set_aside(db, settings, rules):
    delivered(db, settings, "orders", [*orders(), d.line(901, quantity="1", line_amount_vnd="175.000", goods_gross_vnd="175.000", order_total_vnd="190.000")])
    edit(rules / "postmart/orders.yml", "rows: quantity <= 0 or quantity > 10000", "rows: quantity <= 1")
    (told,) = replay(db, settings)
    assert (told.rows_replayed, told.rows_open, told.is_red) == (0, 2, False) and "1 rows newly in quarantine" in told.words
    assert changes(db) == ["accepted", "replayed"]


def test_one_delivery_that_breaks_holds_up_no_other(db, settings, rules):
    first = delivered(db, settings, "refunds", d.many(d.refund, 3), renamed={"Số tiền hoàn": "Tiền hoàn"})
    second = delivered(db, settings, "refunds", d.many(d.refund, 2), renamed={"Số tiền hoàn": "Tiền hoàn"}, day=NEXT_DAY)
    (Path(settings.landing) / ledger.get(db, first).landing_path / "PM_LSN_HOANTRA_20210914_v1.csv").unlink()
    edit(rules / "postmart/refunds.yml", "heading: Số tiền hoàn,", "heading: Số tiền hoàn, aliases: [Tiền hoàn],")
    broken, told = replay(db, settings)
    assert broken.is_red and "broke" in broken.words and told.state_after == "accepted"
    assert quarantine.red([broken, told])[0].startswith("postmart/refunds 2021-09-14 v1: broke")
    assert state(db, second) == "accepted"


def test_a_replay_that_was_killed_is_taken_up_by_the_next(db, settings, rules, monkeypatch):
    export_id = delivered(db, settings, "refunds", d.many(d.refund, 3), renamed={"Số tiền hoàn": "Tiền hoàn"})
    edit(rules / "postmart/refunds.yml", "heading: Số tiền hoàn,", "heading: Số tiền hoàn, aliases: [Tiền hoàn],")
    for step in ("load", "judge"):
        with monkeypatch.context() as patch:
            patch.setattr({"load": loading, "judge": judging}[step], step, lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                replay(db, settings)
        assert state(db, export_id) == {"load": "landed", "judge": "loaded"}[step]
    assert [o.state_after for o in replay(db, settings)] == ["accepted"]


# ---- dismiss -------------------------------------------------------------------------------------------------------------------


def test_a_dismissed_row_stays_out_whatever_the_rules_say(db, settings, rules):
    export_id = delivered(db, settings, "orders", [*orders(), d.line(901, payment_method="Vàng")])
    (told,) = dismiss(db, rule="Q06")
    assert (told.rows_dismissed, told.rows_open, told.words) == (1, 1, "1 rows dismissed by mai: Postmart confirms: test orders")
    assert rows(db, "source_row, state, state_reason, closed_by")[0] == (99, "dismissed", "Postmart confirms: test orders", WHO)
    edit(rules / "postmart/orders.yml", *LOOSE)
    before = rows(db, "*")
    (told,) = replay(db, settings, class_="postmart/orders")
    assert (told.rows_replayed, told.rows_open, told.rows_dismissed) == (0, 1, 1)
    assert [row[:-2] for row in rows(db, "*")][0] == [row[:-2] for row in before][0] and changes(db) == ["accepted"]
    assert db.execute("select source_row from ops.set_aside_row where export_id = %s order by 1", [export_id]).fetchall() == [(99,), (100,)]
    assert [m.rule_name for m in quarantine.open_matters(db)] == ["payment_method_words"]
    assert ledger.get(db, export_id).rows_loaded == 98
    ledger.conservation(db, export_id)


def test_a_dismissed_delivery_is_not_read_again_but_a_higher_version_counts(db, settings):
    export_id = delivered(db, settings, "orders", [d.line(1), d.line(2, order_total_vnd="1")])
    (told,) = dismiss(db, export="postmart/orders 2021-09-14 v1")
    assert "the delivery dismissed by mai" in told.words and quarantine.open_matters(db) == []
    assert db.execute("select dismissed_by, dismissed_reason from ops.export").fetchone() == (WHO, "Postmart confirms: test orders")
    assert replay(db, settings) == [] and intake.reopen(db, "postmart", "orders", d.DAY) == [] and state(db, export_id) == "rejected"
    assert state(db, delivered(db, settings, "orders", [d.line(1)], version=2)) == "accepted"


@pytest.mark.parametrize("reason", [None, "", "   ", "x", " . "])
def test_dismissing_needs_a_reason(db, settings, reason):
    delivered(db, settings, "orders", orders())
    with pytest.raises(quarantine.SelectionError, match="needs a reason in words"):
        dismiss(db, reason=reason, rule="Q06")
    with pytest.raises(quarantine.SelectionError, match="needs a reason"):
        quarantine.run(db, settings, "dismiss", {"rule": "Q06", "reason": reason}, WHO)
    assert [s for _, _, s in rows(db)] == ["open"] and db.execute("select count(*) from ops.quarantine_action").fetchone() == (0,)


def test_dismissing_needs_to_say_what(db, settings):
    with pytest.raises(quarantine.SelectionError, match="Say what to dismiss"):
        dismiss(db)


# ---- what is meant, and what is on file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"class_": "postmart/order"}, "no class 'postmart/order'. Known are: postmart/stores"),
        ({"class_": "lazada"}, "no class 'lazada'"),
        ({"export": "orders of yesterday"}, "as it is named in messages"),
        ({"export": "postmart/orders 2021-09-14 v7"}, "knows no delivery"),
        ({"export": "99999999999999999999999"}, "knows no delivery"),
        ({"rule": "Q99"}, "What waits is under: Q06 order_total"),
        ({"day": "14/09/2021"}, "form YYYY-MM-DD"),
    ],
)
def test_what_is_said_wrongly_is_told_with_what_is_known(db, settings, said, told):
    delivered(db, settings, "orders", orders())
    with pytest.raises(quarantine.SelectionError) as raised:
        quarantine.select(db, **said)
    assert told in str(raised.value)


def test_selections_narrow_each_other(db, settings):
    delivered(db, settings, "orders", orders())
    delivered(db, settings, "orders", orders({"payment_method": "Vàng", "event_at": "15/09/2021 14:05:00"}), day=NEXT_DAY)
    delivered(db, settings, "stores", [d.store(1, status_raw="?")])

    def found(**said):
        return [f"{m.label} {m.rule_id}" for m in quarantine.open_matters(db, quarantine.select(db, **said))]

    assert found(class_="postmart/orders", rule="Q03") == ["postmart/orders 2021-09-15 v1 Q03"]
    assert found(class_="postmart", day="2021-09-14", rule="order_total") == ["postmart/orders 2021-09-14 v1 Q06"]
    assert any("PM_LSN_GIANHANG_20210914_v1.xlsx row " in m.told for m in quarantine.open_matters(db)), "also of a rejected delivery: file and rows"
    assert found(rule="status_raw_words") == ["postmart/stores 2021-09-14 v1 Q03"] * 2, "its limit, and the rows that broke it"
    assert len(found()) == 4
    assert [o.label for o in replay(db, settings, rule="Q03")] == ["postmart/stores 2021-09-14 v1", "postmart/orders 2021-09-15 v1"]


def test_every_action_is_on_file_and_nobody_changes_it(db, settings):
    delivered(db, settings, "orders", orders())
    replay(db, settings, rule="Q06")
    dismiss(db, class_="postmart/orders", rule="Q06")
    noted = db.execute(
        "select action, done_by, selection, reason, export_id is null, rows_open, rows_dismissed from ops.quarantine_action order by 1, 5"
    ).fetchall()
    assert sorted(noted, key=str) == sorted(
        [
            ("replay", WHO, "rule Q06", None, True, None, None),
            ("replay", WHO, "rule Q06", None, False, 1, 0),
            ("dismiss", WHO, "class postmart/orders, rule Q06", "Postmart confirms: test orders", True, None, None),
            ("dismiss", WHO, "class postmart/orders, rule Q06", "Postmart confirms: test orders", False, 0, 1),
        ],
        key=str,
    )
    assert len(quarantine.noted(db, "run")) == 2
    for statement in ("update ops.quarantine_action set done_by = 'x'", "delete from ops.quarantine_action", "truncate ops.quarantine_action"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            db.execute(statement)


def test_the_same_name_with_other_content_waits_for_a_higher_version(db, settings):
    delivered(db, settings, "refunds", d.many(d.refund, 3))
    with pytest.raises(ledger.ContentChanged):
        d.land(db, "postmart", "refunds", d.many(d.refund, 4))
    assert [(m.kind, m.rule_id) for m in quarantine.open_matters(db)] == [("changed", "F12")]
    assert replay(db, settings) == [] and dismiss(db, class_="postmart/refunds") == []
    delivered(db, settings, "refunds", d.many(d.refund, 4), version=2)
    assert quarantine.open_matters(db) == []


def test_no_personal_data_are_told(db, settings):
    delivered(db, settings, "stores", [*d.many(d.store, 200), d.store(300, status_raw="?", phone="0900000999", owner_name="Nông Thị Lan")])
    told = " ".join(m.told for m in quarantine.open_matters(db)) + " ".join(o.words for o in replay(db, settings))
    assert "PMS0000300" in told and "0900000999" not in told and "Nông Thị Lan" not in told


# ---- into the facts ------------------------------------------------------------------------------------------------------------


def released(dsn):
    scope = building.build(dsn, d.DAY)
    return publishing.publish(dsn, scope) if scope else None


def test_a_commune_code_a_status_word_a_payment_word_and_an_alias_reach_the_facts(warehouse_dsn, settings, seeds, rules, tmp_path, monkeypatch):
    """Edit the CSV or YAML, replay, done: F49 kept the store under 00000, F46 the order as UNKNOWN, Q03 set the order aside, Q02 refused the refunds."""
    monkeypatch.setenv("KINHTESO_DBT_STATE", str(tmp_path / "state"))
    crosswalk = (seeds / "commune_crosswalk.csv").read_text(encoding="utf-8")
    line = next(text for text in crosswalk.splitlines() if text.startswith("05971,"))
    edit(seeds / "commune_crosswalk.csv", line, line.replace(",24137,", ",99137,"))
    stated = "select order_code, commune_code, order_status, line_amount_vnd from bi.fct_order_line where order_code in ('PM2109140000001', 'PM2109140000002', 'PM2109140000900') order by 1"
    with psycopg.connect(warehouse_dsn, autocommit=True) as db:
        delivered(db, settings, "stores", [d.store(1)], is_backlog=True)
        delivered(db, settings, "products", [d.product(160)], is_backlog=True)
        sold = {"status_raw": "Trao tận tay", "delivered_at": "14/09/2021 14:00:00"}
        delivered(db, settings, "orders", [*orders({"payment_method": "Vàng"}, count=110), d.line(2, **sold)][:1] + [
            d.line(2, **sold), *d.many(d.line, 112)[2:], d.line(900, payment_method="Vàng")], is_backlog=True)  # fmt: skip
        delivered(db, settings, "refunds", [d.refund(1)], renamed={"Số tiền hoàn": "Tiền hoàn"}, is_backlog=True)
        released(warehouse_dsn)
        assert db.execute(stated).fetchall() == [("PM2109140000001", "00000", "CONFIRMED", 350000), ("PM2109140000002", "00000", "UNKNOWN", 350000)]
        assert [(m.kind, m.rule_id) for m in quarantine.open_matters(db)] == [
            ("unmapped", "F49"), ("rows", "Q03"), ("unmapped", "F46"), ("rejected", "Q02"),
        ]  # fmt: skip
        refunds = "select refund_code, refund_amount_vnd, commune_code from bi.fct_refund"
        assert db.execute(refunds).fetchall() == []

        (seeds / "commune_crosswalk.csv").write_text(crosswalk, encoding="utf-8")
        edit(seeds / "status_words.csv", WORD, WORD + "payment_method,postmart,Vàng,COD\norder_status,postmart,Trao tận tay,DELIVERED\n")
        assert quarantine.has_news(db, d.DAY), "a changed seed is due for a release"
        assert [o.rows_replayed for o in replay(db, settings, rule="F49")] == [0]
        edit(rules / "postmart/refunds.yml", "heading: Số tiền hoàn,", "heading: Số tiền hoàn, aliases: [Tiền hoàn],")
        assert [o.rows_replayed for o in replay(db, settings)] == [1, 1]
        assert quarantine.open_matters(db) == []
        second = released(warehouse_dsn)
        assert second.is_new
        assert db.execute(stated).fetchall() == [
            ("PM2109140000001", "05971", "CONFIRMED", 350000),
            ("PM2109140000002", "05971", "DELIVERED", 350000),
            ("PM2109140000900", "05971", "CONFIRMED", 350000),
        ]
        assert db.execute(refunds).fetchall() == [("HT000000000001", 175000, "05971")]
        delivered_gross = "select orders_delivered, revenue_gross_vnd, refunds_vnd from bi.kpi_commune_daily where geography = '2021' and commune_code = '05971' and date = %s"
        assert db.execute(delivered_gross, [d.DAY]).fetchone() == (1, 330000, 175000)

        assert replay(db, settings) == [] and not quarantine.has_news(db, d.DAY)
        assert [o.rows_replayed for o in replay(db, settings, class_="postmart", rule="Q03")] == []
        replay(db, settings, export="postmart/orders 2021-09-14 v1")
        again = released(warehouse_dsn)
        assert again is None or (again.release_id, again.is_new) == (second.release_id, False), "twice uses up no release number"
