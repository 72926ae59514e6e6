"""The ledger says of every delivery where it is; what comes twice, late, changed or from two sides at once ends in one state."""

import datetime as dt
import threading

import deliveries as d
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kinhteso import ledger, warehouse

NEXT_DAY = d.DAY + dt.timedelta(days=1)
NOON = dt.datetime(2021, 9, 15, 5, 0, tzinfo=dt.UTC)


@pytest.fixture()
def db(shared_db):
    """The shared warehouse, as empty as it was before."""
    with shared_db.transaction(force_rollback=True):
        yield shared_db


@pytest.fixture()
def committed(warehouse_dsn):
    """A warehouse of its own, for what others have to see and what has to outlive an error."""
    with warehouse.connect(warehouse_dsn, "kinhteso test") as conn:
        yield conn


def row(db, export_id):
    """The whole ledger row, times included."""
    return db.execute("select to_jsonb(e) from ops.export as e where export_id = %s", [export_id]).fetchone()[0]


def states(db):
    return dict(db.execute("select version, state from ops.export").fetchall())


def changes(db):
    return db.execute("select export_id, kind from ops.change order by change_id").fetchall()


def judged(db, source="postmart", dataset="products", rows=None, **given):
    """An export that is loaded and judged clean, but does not count yet."""
    export_id = d.loaded(db, source, dataset, rows if rows is not None else d.many(d.MAKERS[source, dataset], 3), **given)
    db.execute("update ops.export set state = 'judged', judged_at = now() where export_id = %s and state = 'loaded'", [export_id])
    return export_id


def accepted(db, *args, **given):
    return ledger.accept(db, judged(db, *args, **given)).export_id


# ---- landed --------------------------------------------------------------------------------------------------------------------


def test_a_delivery_is_noted_with_all_that_is_known_of_it(db):
    delivery = d.delivery("postmart", "orders", d.many(d.line, 2), orders_declared=2, control_total=730_000)
    export_id = ledger.landed(db, delivery, "run 1")
    export = ledger.get(db, export_id)
    assert export_id == ledger.export_id("postmart", "orders", "", d.DAY, 1) == ledger.export_id("postmart", "orders", "", "2021-09-14", 1)
    assert (export.state, export.label, export.run_id) == ("landed", "postmart/orders 2021-09-14 v1", "run 1")
    assert (export.rows_declared, export.orders_declared, export.control_total) == (2, 2, 730_000)
    assert (export.sha256, export.bytes, export.origin, export.received_at) == (delivery.sha256, delivery.bytes, delivery.origin, delivery.received_at)
    assert export.landed_at
    assert export.rows_delivered is None
    parts = db.execute("select part_no, path, sha256, bytes from ops.export_part where export_id = %s", [export_id]).fetchall()
    assert parts == [(1, "file", delivery.sha256, delivery.bytes)]


@pytest.mark.parametrize("state", ["landed", "loaded", "judged", "accepted", "rejected", "superseded"])
def test_the_same_delivery_again_changes_nothing_whatever_became_of_it(db, state):
    rows = d.many(d.product, 3)
    export_id = {
        "landed": lambda: d.land(db, "postmart", "products", rows),
        "loaded": lambda: d.loaded(db, "postmart", "products", rows),
        "judged": lambda: judged(db, rows=rows),
        "accepted": lambda: accepted(db, rows=rows),
        "rejected": lambda: ledger.reject(db, judged(db, rows=rows), "not good").export_id,
        "superseded": lambda: (accepted(db, rows=rows), accepted(db, version=2))[0],
    }[state]()
    before, queue = row(db, export_id), changes(db)
    assert before["state"] == state
    assert d.land(db, "postmart", "products", rows, received_at=NOON) == export_id
    assert row(db, export_id) == before
    assert changes(db) == queue
    assert db.execute("select count(*) from ops.export_part where export_id = %s", [export_id]).fetchone() == (1,)
    assert db.execute("select count(*) from ops.content_change").fetchone() == (0,)


def test_the_id_of_a_delivery_is_the_same_in_every_warehouse_and_of_no_other():
    ids = {
        ledger.export_id(source, dataset, unit, day, version)
        for source in ("postmart", "voso")
        for dataset in ("stores", "orders")
        for unit in ("", "187", "187_06505")
        for day in (d.DAY, NEXT_DAY)
        for version in (1, 2)
    }
    assert len(ids) == 48
    assert all(0 <= id < 2**52 for id in ids), "exact in JSON and in a float"
    assert ledger.export_id("postmart", "orders", "", d.DAY, 1) == 3_097_654_229_884_742, "rows of years hang on it"


@pytest.mark.parametrize("state", ["landed", "accepted", "rejected"])
def test_the_same_name_with_other_bytes_is_noted_and_refused_and_the_ledger_stays(committed, state):
    export_id = judged(committed)
    if state == "accepted":
        ledger.accept(committed, export_id)
    elif state == "rejected":
        ledger.reject(committed, export_id, "not good")
    else:
        committed.execute("update ops.export set state = 'landed' where export_id = %s", [export_id])
    before, queue = row(committed, export_id), changes(committed)
    other = d.delivery("postmart", "products", d.many(d.product, 4))
    for _ in range(2):
        with pytest.raises(ledger.ContentChanged) as raised:
            ledger.landed(committed, other, "run 2")
    for part in ("postmart/products 2021-09-14 v1", other.origin, other.sha256[:12], before["sha256"][:12], state, "higher version", "export-rejected.md"):
        assert part in str(raised.value)
    assert row(committed, export_id) == before
    assert changes(committed) == queue
    noted = committed.execute("select export_id, sha256, bytes, origin, run_id from ops.content_change").fetchall()
    assert noted == [(export_id, other.sha256, other.bytes, other.origin, "run 2")], "noted once, and it outlives the error"


def test_each_other_content_is_noted_of_its_own(db):
    export_id = accepted(db)
    for count in (4, 5, 4):
        with pytest.raises(ledger.ContentChanged):
            d.land(db, "postmart", "products", d.many(d.product, count))
    assert db.execute("select count(*) from ops.content_change where export_id = %s", [export_id]).fetchone() == (2,)
    assert d.land(db, "postmart", "products", d.many(d.product, 3)) == export_id, "the known bytes are still welcome"


def test_an_older_version_that_comes_later_is_superseded_at_once(db):
    newer = accepted(db, version=2)
    queue = changes(db)
    older = d.land(db, "postmart", "products", d.many(d.product, 2), version=1)
    export = ledger.get(db, older)
    assert (export.state, bool(export.ended_at)) == ("superseded", True)
    assert "v2 is accepted" in export.reason
    assert ledger.get(db, newer).state == "accepted"
    assert changes(db) == queue, "nothing has to be built for it"
    assert ledger.exports_to_load(db) == []


def test_an_older_version_that_is_judged_later_never_counts(db):
    older, newer = judged(db, version=1), judged(db, version=2, rows=d.many(d.product, 4))
    ledger.accept(db, newer)
    assert ledger.accept(db, older).state == "superseded"
    assert [e.export_id for e in ledger.accepted(db, "postmart", "products", d.DAY)] == [newer]
    assert changes(db) == [(newer, "accepted")]


def test_another_day_or_dataset_does_not_outrank(db):
    accepted(db, version=2)
    assert ledger.get(db, d.land(db, "postmart", "products", d.many(d.product, 2), day=NEXT_DAY)).state == "landed"
    assert ledger.get(db, d.land(db, "postmart", "stores", d.many(d.store, 2))).state == "landed"


# ---- accepted, rejected --------------------------------------------------------------------------------------------------------


def test_the_first_version_counts_and_is_queued(db):
    export = ledger.accept(db, judged(db))
    assert (export.state, bool(export.accepted_at), export.ended_at) == ("accepted", True, None)
    assert db.execute("select export_id, source, dataset, business_day, kind, release_id from ops.change").fetchall() == [
        (export.export_id, "postmart", "products", d.DAY, "accepted", None)
    ]


def test_a_higher_version_supersedes_the_lower_and_both_are_queued(db):
    first, second = accepted(db), accepted(db, version=2, rows=d.many(d.product, 4))
    assert states(db) == {1: "superseded", 2: "accepted"}
    assert "v2" in ledger.get(db, first).reason
    assert ledger.get(db, first).ended_at
    assert sorted(changes(db)) == sorted([(first, "accepted"), (first, "superseded"), (second, "accepted")])
    assert [e.export_id for e in ledger.accepted(db, "postmart", "products", d.DAY)] == [second]


def test_accepting_again_changes_nothing(db):
    export_id = accepted(db)
    before, queue = row(db, export_id), changes(db)
    assert ledger.accept(db, export_id).state == "accepted"
    assert (row(db, export_id), changes(db)) == (before, queue)


@pytest.mark.parametrize("state", ["expected", "landed", "loaded", "rejected"])
def test_only_what_was_judged_can_be_accepted(db, state):
    export_id = judged(db)
    db.execute("update ops.export set state = %s where export_id = %s", [state, export_id])
    with pytest.raises(ledger.LedgerError, match=f"is {state}, not judged"):
        ledger.accept(db, export_id)
    assert ledger.get(db, export_id).state == state
    assert changes(db) == []


def test_a_rejected_version_leaves_the_last_good_one_counting(db):
    good = accepted(db)
    bad = ledger.reject(db, judged(db, version=2), "heading 3 is 'Giá'; ask the supplier")
    assert (bad.state, bad.reason, bool(bad.ended_at)) == ("rejected", "heading 3 is 'Giá'; ask the supplier", True)
    assert [e.export_id for e in ledger.accepted(db, "postmart", "products", d.DAY)] == [good]
    assert changes(db) == [(good, "accepted")]
    third = accepted(db, version=3)
    assert states(db) == {1: "superseded", 2: "rejected", 3: "accepted"}
    assert [e.export_id for e in ledger.accepted(db, "postmart", "products", d.DAY)] == [third]


def test_a_withdrawn_version_never_undoes_the_one_before_it(db):
    """A check over the built tables takes version 2 back: version 1 counts as it did, with what waits for a person in it."""
    first = with_a_row_in_quarantine(db)
    before = row(db, first)
    aside = "select state, state_reason, closed_at, closed_by from ops.quarantine_row"
    second = accepted(db, version=2)
    assert db.execute(aside).fetchone()[:2] == ("dismissed", "replaced by v2")
    gone = ledger.withdraw(db, second, "Q12: no key fits")
    assert (gone.state, gone.reason) == ("rejected", "Q12: no key fits")
    assert row(db, first) == before and db.execute(aside).fetchall() == [("open", None, None, None)]
    assert changes(db)[3:] == [(second, "withdrawn"), (first, "accepted")], "the next build is told of both"
    again = changes(db)
    assert ledger.withdraw(db, second, "once more").reason == "Q12: no key fits" and changes(db) == again
    third = accepted(db, version=3)
    assert states(db) == {1: "superseded", 2: "rejected", 3: "accepted"}
    ledger.withdraw(db, third, "Q12")
    assert states(db) == {1: "accepted", 2: "rejected", 3: "rejected"}
    ledger.withdraw(db, first, "Q12")
    assert set(states(db).values()) == {"rejected"}


def with_a_row_in_quarantine(db):
    first = accepted(db)
    db.execute("insert into ops.set_aside_row values (%s, 1, 'quarantined')", [first])
    db.execute("insert into ops.quarantine_row (export_id, source_row, rule_id, rule_name, rule, content) values (%s, 1, 'Q03', 'x', 'x', '{}')", [first])
    ledger.store_counts(db, first)
    ledger.conservation(db, first)
    return first


def test_of_several_versions_the_best_that_counted_stands_when_one_is_withdrawn(db):
    """And a lower version that came after it, unread until then (F11), is read after all."""
    first = accepted(db)
    third = accepted(db, version=3, rows=d.many(d.product, 5))
    late = d.land(db, "postmart", "products", d.many(d.product, 4), version=2)
    assert states(db) == {1: "superseded", 2: "superseded", 3: "accepted"}
    ledger.withdraw(db, third, "Q12")
    assert states(db) == {1: "accepted", 2: "landed", 3: "rejected"}
    assert (ledger.accepted(db, "postmart", "products", d.DAY)[0].export_id, ledger.exports_to_load(db)) == (first, [late])
    judged(db, version=2, rows=d.many(d.product, 4))
    ledger.accept(db, late)
    assert states(db) == {1: "superseded", 2: "accepted", 3: "rejected"}


def test_a_late_pull_stands_again_when_the_one_on_time_is_withdrawn(db):
    accepted(db, "voso", "stores", is_reconstructed=True)
    on_time = accepted(db, "voso", "stores", version=2)
    accepted(db, "voso", "stores", version=3, is_reconstructed=True)
    ledger.withdraw(db, on_time, "Q12")
    assert (states(db)[1], states(db)[2]) == ("accepted", "rejected")
    window = accepted(db, "voso", "orders")
    accepted(db, "voso", "orders", version=2)
    ledger.withdraw(db, window, "Q12")
    assert [e.version for e in ledger.accepted(db, "voso", "orders", d.DAY)] == [2], "windows add up: nothing stands for another"


@pytest.mark.parametrize("state", ["accepted", "superseded"])
def test_what_counts_or_did_count_cannot_be_rejected_any_more(db, state):
    export_id = accepted(db)
    if state == "superseded":
        accepted(db, version=2)
    before = row(db, export_id)
    with pytest.raises(ledger.LedgerError, match=f"is {state}: it cannot be rejected"):
        ledger.reject(db, export_id, "too late")
    assert row(db, export_id) == before


def test_what_a_withdrawn_version_had_replaced_counts_again(db):
    """As if the judge had refused it, one version at a time."""
    first, second = accepted(db), accepted(db, version=2, rows=d.many(d.product, 4))
    third = accepted(db, version=3, rows=d.many(d.product, 5))
    before = changes(db)
    assert ledger.withdraw(db, third, "Q12").reason == "Q12" and states(db) == {1: "superseded", 2: "accepted", 3: "rejected"}
    assert changes(db)[len(before) :] == [(third, "withdrawn"), (second, "accepted")]
    export = ledger.get(db, second)
    assert (export.reason, export.ended_at) == (None, None) and export.accepted_at
    assert ledger.withdraw(db, third, "again").reason == "Q12", "twice changes nothing"
    ledger.withdraw(db, second, "Q12")
    assert states(db) == {1: "accepted", 2: "rejected", 3: "rejected"}
    ledger.withdraw(db, first, "Q12")
    assert set(states(db).values()) == {"rejected"}, "nothing is left; the day before carries on"
    assert sum(-1 if kind in ("superseded", "withdrawn") else 1 for _, kind in changes(db)) == 0, "the queue adds up to what counts"


def test_an_older_version_that_was_not_read_for_a_withdrawn_one_is_read_now(db):
    newer = accepted(db, version=3)
    unread = d.land(db, "postmart", "products", d.many(d.product, 2), version=2)
    assert ledger.get(db, unread).state == "superseded"
    ledger.withdraw(db, newer, "Q12")
    assert states(db) == {2: "landed", 3: "rejected"} and ledger.exports_to_load(db) == [unread]
    assert ledger.accept(db, judged(db, version=2, rows=d.many(d.product, 2))).state == "accepted"


def test_a_late_pull_stands_in_when_the_one_on_time_is_withdrawn(db):
    on_time, late = judged(db, "voso", "stores"), judged(db, "voso", "stores", version=2, is_reconstructed=True)
    ledger.accept(db, on_time)
    ledger.accept(db, late)
    assert states(db) == {1: "accepted", 2: "superseded"}
    ledger.withdraw(db, on_time, "Q12")
    assert states(db) == {1: "rejected", 2: "landed"} and ledger.exports_to_load(db) == [late]


def test_a_withdrawn_window_leaves_the_others_of_its_day(db):
    first, second = (accepted(db, "voso", "orders", version=n) for n in (1, 2))
    ledger.withdraw(db, second, "Q11")
    assert states(db) == {1: "accepted", 2: "rejected"} and changes(db)[-1] == (second, "withdrawn")


def test_windows_and_forms_add_up_instead_of_replacing(db):
    windows = [accepted(db, "voso", "orders", version=n) for n in (1, 2)]
    forms = [accepted(db, "registers", "hamlets", version=n, unit=unit) for n, unit in ((1, "187"), (2, "187"), (1, "186"))]
    assert [e.export_id for e in ledger.accepted(db, "voso", "orders", d.DAY)] == windows
    assert {e.export_id for e in ledger.accepted(db, "registers", "hamlets", d.DAY)} == set(forms)


@pytest.mark.parametrize(
    ("first_is_late", "second_is_late", "counting"),
    [(False, False, 2), (False, True, 1), (True, False, 2), (True, True, 2)],
)
def test_a_pull_on_time_is_not_replaced_by_a_late_one(db, first_is_late, second_is_late, counting):
    accepted(db, "voso", "stores", is_reconstructed=first_is_late)
    second = accepted(db, "voso", "stores", version=2, is_reconstructed=second_is_late)
    assert ledger.get(db, second).state == ("accepted" if counting == 2 else "superseded")
    assert [e.version for e in ledger.accepted(db, "voso", "stores", d.DAY)] == [counting]
    assert sorted(states(db).values()) == ["accepted", "superseded"]


def test_a_pull_on_time_counts_even_when_a_late_one_with_a_higher_number_was_first(db):
    accepted(db, "voso", "stores", version=2, is_reconstructed=True)
    assert ledger.get(db, accepted(db, "voso", "stores", version=1)).state == "accepted"
    assert states(db) == {1: "accepted", 2: "superseded"}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.booleans(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_whatever_the_order_of_arrival_the_highest_good_version_counts(shared_db, good, random):
    """Each version lands, is judged and gets its verdict, in its own time."""
    turns = [version for version in range(1, len(good) + 1) for _ in range(3)]
    random.shuffle(turns)
    done: dict[int, int] = {}
    with shared_db.transaction(force_rollback=True):
        for version in turns:  # the k-th time a version is drawn, it takes its k-th step
            rows, stage = d.many(d.product, version), done.get(version, 0)
            done[version] = stage + 1
            id = ledger.export_id("postmart", "products", "", d.DAY, version)
            if stage == 0:
                assert d.land(shared_db, "postmart", "products", rows, version=version) == id
            elif stage == 1:
                judged(shared_db, rows=rows, version=version)
            elif good[version - 1]:
                ledger.accept(shared_db, id)
            elif ledger.get(shared_db, id).state == "judged":
                ledger.reject(shared_db, id, "not good")
        best = max((n for n, is_good in enumerate(good, 1) if is_good), default=None)
        assert [e.version for e in ledger.accepted(shared_db, "postmart", "products", d.DAY)] == ([best] if best else [])
        ended = states(shared_db)
        assert {ended[n] for n in ended if n != best} <= {"superseded", "rejected"}
        assert sum(1 if kind == "accepted" else -1 for _, kind in changes(shared_db)) == (1 if best else 0), "the queue adds up to what counts"


# ---- conservation --------------------------------------------------------------------------------------------------------------


def with_duplicate(db):
    return d.loaded(db, "postmart", "refunds", [*d.many(d.refund, 3), d.refund(2)])


def test_a_loaded_export_is_conserved_and_its_counts_are_those_of_the_tables(db):
    export_id = with_duplicate(db)
    ledger.conservation(db, export_id)
    assert ledger.count(db, export_id) == {"held": 4, "loaded": 3, "quarantined": 0, "duplicate": 1, "superseded": 0}
    export = ledger.get(db, export_id)
    assert (export.rows_delivered, export.rows_loaded, export.rows_quarantined, export.rows_duplicate, export.rows_superseded) == (4, 3, 0, 1, 0)


BREACHES = {
    "a row disappears from raw": ("delete from raw.postmart_refunds where source_row = 1", "4 delivered but 3 in raw"),
    "a row comes into raw twice": ("insert into raw.postmart_refunds select * from raw.postmart_refunds where source_row = 1", "4 delivered but 5 in raw"),
    "a row is in raw that was never delivered": (
        "insert into raw.postmart_refunds (export_id, source_row) select export_id, 99 from ops.export",
        "4 delivered but 5 in raw",
    ),
    "a row is quarantined without a reason": (
        "insert into ops.set_aside_row select export_id, 1, 'quarantined' from ops.export",
        "1 quarantined rows without a reason",
    ),
    "a row has a reason but counts": (
        "insert into ops.quarantine_row (export_id, source_row, rule_id, rule_name, rule, content) select export_id, 1, 'Q03', 'x', 'x', '{}' from ops.export",
        "1 rows with an open quarantine that still count",
    ),
    "a row is set aside that raw does not hold": (
        "insert into ops.set_aside_row select export_id, 99, 'duplicate' from ops.export",
        "1 rows set aside that raw does not hold",
    ),
    "a row set aside counts again": ("delete from ops.set_aside_row", "ledger says 1 duplicate, tables say 0"),
    "the ledger counts a row too many": ("update ops.export set rows_loaded = 4", "ledger says 4 loaded, tables say 3"),
    "the ledger forgot what was delivered": ("update ops.export set rows_delivered = null", "None delivered but 4 in raw"),
    "a duplicate is called superseded": ("update ops.set_aside_row set outcome = 'superseded'", "ledger says 0 superseded, tables say 1"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_conservation_breaks_when(db, breach):
    export_id = with_duplicate(db)
    statement, told = BREACHES[breach]
    db.execute(statement)
    with pytest.raises(ledger.ConservationBroken) as raised:
        ledger.conservation(db, export_id)
    assert told in str(raised.value)
    assert "postmart/refunds 2021-09-14 v1" in str(raised.value)


def test_what_is_not_conserved_is_not_accepted_and_what_counted_stays(db):
    good = accepted(db)
    bad = judged(db, version=2)
    db.execute("delete from raw.postmart_products where export_id = %s and source_row = 2", [bad])
    with pytest.raises(ledger.ConservationBroken):
        ledger.accept(db, bad)
    assert states(db) == {1: "accepted", 2: "judged"}
    assert changes(db) == [(good, "accepted")]


def test_a_replayed_or_dismissed_row_keeps_the_books_even(db):
    export_id = with_duplicate(db)
    db.execute(
        "insert into ops.quarantine_row (export_id, source_row, rule_id, rule_name, rule, content, state) select export_id, 1, 'Q03', 'x', 'x', '{}', 'replayed' from ops.export"
    )
    ledger.conservation(db, export_id)
    db.execute("update ops.quarantine_row set state = 'dismissed'")
    with pytest.raises(ledger.ConservationBroken, match="still count"):
        ledger.conservation(db, export_id)


# ---- expected, missing, watermark ----------------------------------------------------------------------------------------------


def test_an_expected_day_gives_way_to_its_delivery(db):
    export_id = ledger.expect(db, "postmart", "products", d.DAY, NOON)
    export = ledger.get(db, export_id)
    assert (export.state, export.version, export.expected_at, export.mode) == ("expected", 1, NOON, "snapshot")
    assert NOON.isoformat() in export.reason
    assert ledger.exports_to_load(db) == []
    assert ledger.known_versions(db, "postmart", "products", d.DAY) == {}
    assert ledger.next_version(db, "postmart", "products", d.DAY) == 1
    assert d.land(db, "postmart", "products", d.many(d.product, 3)) == export_id
    landed = ledger.get(db, export_id)
    assert (landed.state, landed.reason, landed.expected_at) == ("landed", None, NOON), "when it was due stays on file"


def test_an_expected_day_gives_way_to_a_higher_version_too(db):
    ledger.expect(db, "postmart", "products", d.DAY, NOON)
    d.land(db, "postmart", "products", d.many(d.product, 3), version=2)
    assert states(db) == {2: "landed"}


def test_a_day_is_expected_once_and_the_last_reason_stands(db):
    first = ledger.expect(db, "postmart", "orders", d.DAY, NOON, mode="delta")
    later = NOON + dt.timedelta(hours=1)
    assert ledger.expect(db, "postmart", "orders", d.DAY, later, mode="delta", reason="the marker is there, the manifest is not") == first
    export = ledger.get(db, first)
    assert (export.expected_at, export.reason, export.mode) == (later, "the marker is there, the manifest is not", "delta")
    assert db.execute("select count(*) from ops.export").fetchone() == (1,)


@pytest.mark.parametrize("version", [1, 2])
def test_a_day_that_has_come_is_not_expected(db, version):
    export_id = d.land(db, "postmart", "products", d.many(d.product, 3), version=version)
    before = row(db, export_id)
    assert ledger.expect(db, "postmart", "products", d.DAY, NOON) is None
    assert row(db, export_id) == before
    assert states(db) == {version: "landed"}


def test_a_higher_version_that_cannot_be_taken_is_noted_beside_what_counts(db):
    first = accepted(db)
    given = {"reason": "v2 is damaged", "run_id": "run 2", "version": 2}
    assert ledger.expect(db, "postmart", "products", d.DAY, NOON, **given) is not None
    assert ledger.expect(db, "postmart", "products", d.DAY, NOON) is None, "the day itself is expected no more"
    assert ledger.expected_reason(db, "postmart", "products", d.DAY, 2) == ("v2 is damaged", "run 2")
    assert ledger.expected_reason(db, "postmart", "products", d.DAY) == (None, None)
    assert states(db) == {1: "accepted", 2: "expected"} and ledger.accepted(db, "postmart", "products", d.DAY)[0].export_id == first
    assert set(ledger.known_versions(db, "postmart", "products", d.DAY)) == {1}
    accepted(db, version=3)
    assert states(db) == {1: "superseded", 3: "accepted"}, "nobody waits for it any more"
    assert ledger.expect(db, "postmart", "products", d.DAY, NOON, **given) is None


def test_missing_days_are_those_without_anything_that_counts(db):
    day = {n: d.DAY + dt.timedelta(days=n) for n in range(-3, 4)}
    accepted(db, day=day[-1])
    accepted(db, day=day[1])
    accepted(db, day=day[1], version=2)  # a superseded one beside it changes nothing
    ledger.reject(db, judged(db, day=day[2]), "not good")
    ledger.expect(db, "postmart", "products", day[0], NOON)
    accepted(db, "postmart", "stores", day=day[3])  # another dataset
    assert ledger.missing_days(db, "postmart", "products", day[-3], day[3]) == [day[-3], day[-2], day[0], day[2], day[3]]
    assert ledger.missing_days(db, "postmart", "products", day[2], day[3]) == [day[2], day[3]]
    assert ledger.missing_days(db, "postmart", "products", day[1], day[1]) == []
    assert ledger.missing_days(db, "postmart", "products", day[-3], day[3], within=2) == [day[2], day[3]]
    assert ledger.missing_days(db, "postmart", "products", day[3], day[2]) == [], "before the first day nothing is missing"


def test_no_day_is_missed_for_longer_than_the_outbox_keeps_it(db):
    missing = ledger.missing_days(db, "postmart", "products", d.DAY - dt.timedelta(days=100), d.DAY)
    assert (len(missing), missing[0], missing[-1]) == (35, d.DAY - dt.timedelta(days=34), d.DAY)


def test_the_watermark_is_the_latest_accepted_end_of_a_window_before_the_day(db):
    assert ledger.watermark(db, "voso", "orders", NEXT_DAY) is None
    ends = [NOON + dt.timedelta(hours=n) for n in range(5)]
    accepted(db, "voso", "orders", version=1, window_until=ends[1])
    accepted(db, "voso", "orders", version=2, window_until=ends[0])
    ledger.reject(db, judged(db, "voso", "orders", version=3, window_until=ends[3]), "not good")
    judged(db, "voso", "orders", version=4, window_until=ends[4])
    accepted(db, "voso", "refunds", window_until=ends[4])
    accepted(db, "voso", "orders", day=NEXT_DAY, window_until=ends[2])
    assert ledger.watermark(db, "voso", "orders", d.DAY) is None
    assert ledger.watermark(db, "voso", "orders", NEXT_DAY) == ends[1]
    assert ledger.watermark(db, "voso", "orders", NEXT_DAY + dt.timedelta(days=1)) == ends[2]


def test_what_waits_is_found_oldest_day_first(db):
    later = d.land(db, "postmart", "products", d.many(d.product, 3), day=NEXT_DAY)
    second = d.land(db, "postmart", "products", d.many(d.product, 4), version=2)
    first = d.land(db, "postmart", "products", d.many(d.product, 3))
    other = d.land(db, "voso", "orders", d.many(d.voso_order, 1))
    assert ledger.exports_to_load(db) == [first, second, other, later]
    assert ledger.exports_to_load(db, "postmart", "products", d.DAY) == [first, second]
    d.load(db, first, d.many(d.product, 3))
    assert ledger.exports_to_load(db, "postmart") == [second, later]
    assert ledger.exports_to_judge(db) == [first]
    ledger.reject(db, first, "not good")
    assert ledger.exports_to_judge(db) == []


def test_the_last_accepted_export_before_a_day_is_found(db):
    earlier = accepted(db)
    accepted(db, day=NEXT_DAY)
    assert ledger.latest_accepted(db, "postmart", "products", NEXT_DAY).export_id == earlier
    assert ledger.latest_accepted(db, "postmart", "products", d.DAY) is None


def test_the_same_bytes_are_found_again(db):
    rows = d.many(d.hamlet, 2)
    export_id = d.land(db, "registers", "hamlets", rows, unit="187")
    sha = d.delivery("registers", "hamlets", rows).sha256
    assert ledger.same_content(db, "registers", "hamlets", sha).export_id == export_id
    assert ledger.same_content(db, "registers", "teams", sha) is None
    assert ledger.next_version(db, "registers", "hamlets", d.DAY, "187") == 2
    assert ledger.next_version(db, "registers", "hamlets", d.DAY, "186") == 1


# ---- reopened ------------------------------------------------------------------------------------------------------------------


def test_a_rejected_export_can_be_read_again(db):
    rows = d.many(d.product, 3)
    export_id = judged(db, rows=rows)
    ledger.reject(db, export_id, "word 'Đang bán' is unknown\nrow 2")
    landed_at = ledger.get(db, export_id).landed_at
    assert ledger.reopen(db, export_id) is True
    export = ledger.get(db, export_id)
    assert (export.state, export.loaded_at, export.judged_at, export.ended_at) == ("landed", None, None, None)
    assert export.reason == "read again; was rejected: word 'Đang bán' is unknown"
    assert export.landed_at == landed_at
    assert ledger.exports_to_load(db) == [export_id]
    d.load(db, export_id, rows)
    assert (ledger.get(db, export_id).state, ledger.get(db, export_id).reason) == ("loaded", None)


@pytest.mark.parametrize("state", ["expected", "landed", "loaded", "judged", "accepted", "superseded"])
def test_reopening_does_nothing_to_what_is_not_rejected(db, state):
    if state == "expected":
        export_id = ledger.expect(db, "postmart", "products", d.DAY, NOON)
    else:
        export_id = judged(db)
        db.execute("update ops.export set state = %s where export_id = %s", [state, export_id])
    before = row(db, export_id)
    assert ledger.reopen(db, export_id) is False
    assert row(db, export_id) == before


def test_what_never_came_cannot_be_read_again(db):
    export_id = ledger.expect(db, "postmart", "products", d.DAY, NOON)
    ledger.reject(db, export_id, "the outbox does not keep it any more")
    before = row(db, export_id)
    assert ledger.reopen(db, export_id) is False
    assert row(db, export_id) == before


def test_an_export_that_is_not_in_the_ledger_is_told(db):
    for step in (ledger.get, ledger.accept, ledger.reopen, ledger.count, ledger.conservation):
        with pytest.raises(ledger.LedgerError, match="no export 12345"):
            step(db, 12345)


# ---- two at once ---------------------------------------------------------------------------------------------------------------


def at_once(dsn, *steps):
    """Each step on a connection and a thread of its own, let go together; what they gave or raised, in order."""
    gate, outcome = threading.Barrier(len(steps)), [None] * len(steps)

    def run(n, step):
        try:
            with warehouse.connect(dsn, "kinhteso test") as conn:
                gate.wait(timeout=30)
                outcome[n] = step(conn)
        except BaseException as error:
            outcome[n] = error

    threads = [threading.Thread(target=run, args=(n, step)) for n, step in enumerate(steps)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads), "they wait for each other for ever"
    return outcome


def test_two_runs_that_accept_the_same_export_at_once_end_the_same(committed, warehouse_dsn):
    old = accepted(committed)
    new = judged(committed, version=2)
    outcome = at_once(warehouse_dsn, *[lambda conn: ledger.accept(conn, new)] * 4)
    assert [(export.export_id, export.state) for export in outcome] == [(new, "accepted")] * 4
    assert len({export.accepted_at for export in outcome}) == 1
    assert sorted(changes(committed)) == sorted([(old, "accepted"), (old, "superseded"), (new, "accepted")]), "queued once"
    assert states(committed) == {1: "superseded", 2: "accepted"}


def test_two_versions_accepted_at_once_leave_the_higher_one(committed, warehouse_dsn):
    for day in (d.DAY + dt.timedelta(days=n) for n in range(4)):
        first, second = judged(committed, day=day), judged(committed, day=day, version=2)
        outcome = at_once(warehouse_dsn, lambda conn: ledger.accept(conn, first), lambda conn: ledger.accept(conn, second))
        assert not [error for error in outcome if isinstance(error, BaseException)]
        assert [e.export_id for e in ledger.accepted(committed, "postmart", "products", day)] == [second]
        assert ledger.get(committed, first).state == "superseded"


def test_two_runs_that_land_the_same_delivery_at_once_note_it_once(committed, warehouse_dsn):
    rows = d.many(d.product, 3)
    outcome = at_once(warehouse_dsn, *[lambda conn: d.land(conn, "postmart", "products", rows)] * 4)
    assert outcome == [ledger.export_id("postmart", "products", "", d.DAY, 1)] * 4
    assert committed.execute("select count(*), (select count(*) from ops.export_part) from ops.export").fetchone() == (1, 1)


def test_accepting_and_rejecting_at_once_end_in_one_state(committed, warehouse_dsn):
    export_id = judged(committed)
    by_accept, by_reject = at_once(warehouse_dsn, lambda conn: ledger.accept(conn, export_id), lambda conn: ledger.reject(conn, export_id, "not good"))
    state = ledger.get(committed, export_id).state
    lost = by_reject if state == "accepted" else by_accept
    assert state in ("accepted", "rejected")
    assert isinstance(lost, ledger.LedgerError), "the one that came second is told"
    assert changes(committed) == ([(export_id, "accepted")] if state == "accepted" else [])


def test_another_day_does_not_wait(committed, warehouse_dsn):
    today, tomorrow = judged(committed), judged(committed, day=NEXT_DAY)
    with ledger.locked(committed, "postmart", "products", d.DAY), warehouse.connect(warehouse_dsn, "kinhteso test") as other:
        other.execute("set lock_timeout = '300ms'")
        assert ledger.accept(other, tomorrow).state == "accepted"
        with pytest.raises(psycopg.errors.LockNotAvailable):
            ledger.accept(other, today)
    assert ledger.accept(committed, today).state == "accepted"


class Down(Exception):
    """What the tests call unreachable."""


class Refused(Exception):
    """What the tests call a refused login."""


def kind_of(error: Exception) -> str | None:
    return {"Down": "unreachable", "Refused": "login_refused"}.get(type(error).__name__)


def try_login(conn, run: str, attempt: str, error: Exception | None = None):
    """What a task is told before it asks; with ``error`` it asks and gets that."""
    try:
        with ledger.one_login(conn, "voso", run, attempt, kind_of) as told:
            if told is None and error:
                raise error
    except (Down, Refused):
        return "asked"
    return told


def test_a_refused_login_is_spared_the_other_tasks_of_the_run(db):
    assert try_login(db, "run", "run 1") is None
    assert try_login(db, "run", "run 1", Refused("wrong password")) == "asked"
    assert try_login(db, "run", "run 1", Refused("again")) == ("login_refused", "wrong password")
    assert try_login(db, "run", "run 2") is None, "a person cleared the task"
    assert try_login(db, "other", "other 1") is None, "another run, or other credentials"


def test_a_source_that_does_not_answer_is_spared_the_other_tasks_for_a_while(db):
    assert try_login(db, "run", "run 1", Down("status 503")) == "asked"
    assert try_login(db, "run", "run 2", Down("again")) == ("unreachable", "status 503"), "also the next try of the run"
    assert try_login(db, "other", "other 1") is None
    db.execute("update ops.source_pin set pinned_at = now() - interval '10 minutes'")
    assert try_login(db, "run", "run 3") is None, "the next look of a sensor asks again"


def test_other_errors_are_not_noted(db):
    with pytest.raises(KeyError), ledger.one_login(db, "voso", "run", "run 1", kind_of):
        raise KeyError("x")
    assert db.execute("select count(*) from ops.source_pin").fetchone() == (0,)
