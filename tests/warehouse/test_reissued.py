"""Issued again, late, withdrawn: what version 2 does not say any more is gone from the facts and figures, late statuses count on their own day, and what is
older or came under a known name changes nothing (EXPORTS F10, F11, F12, F43; RULINGS 6, 18). The expected figures are counted by hand."""

from __future__ import annotations

import csv
import datetime as dt

import deliveries as d
import psycopg
import pytest
from kinhteso import building, ledger, publishing
from rawworld import RawWorld
from written import delivered, settings_in

NEXT, LATE = d.DAY + dt.timedelta(days=1), d.DAY + dt.timedelta(days=31)
CELL = "geography = '2021' and commune_code = '05971'"  # Phường Hoàng Văn Thụ, where the store of all orders is
AT_HOME = "6" * 64


def done(number: int, hour: int) -> dict:
    """An order of the first day, delivered at that hour of the next: 350.000 of goods, 20.000 off."""
    return d.line(number, status_raw="Đã giao", event_at=f"15/09/2021 {hour}:00:00", delivered_at=f"15/09/2021 {hour}:00:00")


def refund(number: int, order: int, amount: int) -> dict:
    return d.refund(
        number, order_code=f"PM210914{order:07d}", refund_amount_vnd=str(amount), requested_at="15/09/2021 08:10:00", completed_at="15/09/2021 15:30:00"
    )


@pytest.fixture(scope="module")
def published(module_dsn, tmp_path_factory):
    """Figures and facts after version 1 of two days, and after all that came later; and what the ledger says in the end."""
    folder, dsn = tmp_path_factory.mktemp("reissued"), module_dsn
    settings = settings_in(folder)
    with pytest.MonkeyPatch.context() as patch, psycopg.connect(dsn, autocommit=True) as db:
        patch.setenv("KINHTESO_DBT_STATE", str(folder / "state"))
        take = lambda dataset, rows, day=NEXT, **given: delivered(db, settings, dataset, rows, day=day, **given)
        with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
            commune = next(r for r in csv.DictReader(f) if r["gso_code"] == "05971" and r["list"] == "2021")
        world = RawWorld(db, [commune])
        world.deliver("registers", "households", d.DAY, [world.household("H001", commune, phone=AT_HOME, as_of=d.DAY)], unit="178_05971", mode="form")

        backlog = {"day": d.DAY, "is_backlog": True}
        take("stores", [d.store(1)], **backlog)
        take("products", d.many(d.product, 3), **backlog)
        take("orders", d.many(d.line, 2), **backlog)
        take("refunds", [], **backlog)
        take("accounts", [d.account(1, phone_key="7" * 64)], **backlog)
        take("orders", [done(1, 14), done(2, 15), d.line(10, created_at="15/09/2021 10:22:31", event_at="15/09/2021 14:05:00")])
        take("refunds", [refund(1, 1, 175_000), refund(2, 2, 100_000)])
        take("accounts", [d.account(1, phone_key="7" * 64), d.account(2, phone_key="8" * 64), d.account(3, phone_key=AT_HOME)])
        take("products", d.many(d.product, 3), version=3)
        first = _released(db, dsn)

        take("orders", [done(1, 14)], version=2)
        take("refunds", [refund(1, 1, 150_000)], version=2)
        take("accounts", [d.account(1, phone_key="7" * 64), d.account(2, phone_key="8" * 64)], version=2)
        d.land(db, "postmart", "products", d.many(d.product, 5), version=2, day=NEXT)
        with pytest.raises(ledger.ContentChanged):
            d.land(db, "postmart", "products", d.many(d.product, 7), version=3, day=NEXT)
        returned = done(1, 14) | {"status_raw": "Đã hoàn", "event_at": "15/10/2021 09:00:00", "reason": "Khách trả"}
        take("orders", [returned], day=LATE)
        states = db.execute("select dataset, version, state from ops.export where source = 'postmart' and business_day = %s order by 1, 2", [NEXT]).fetchall()
        assert db.execute("select count(*) from ops.export where state = 'rejected' or rows_quarantined > 0").fetchone() == (0,), "all of it is sound"
        yield first, _released(db, dsn), states


def _released(db, dsn: str) -> dict:
    assert publishing.publish(dsn, building.build(dsn, d.DAY)).is_new
    ask = lambda query, *params: db.execute(query, params).fetchall()
    cells = "orders_placed, orders_delivered, orders_returned, revenue_gross_vnd, refunds_vnd, accounts, households_with_payment, products_on_sale"
    return {
        "day": ask(f"select {cells} from bi.kpi_commune_daily where geography = '2021' and {CELL} and date = %s", NEXT)[0],
        "late": ask(
            f"select orders_placed, orders_delivered, orders_returned, revenue_gross_vnd from bi.kpi_commune_daily where geography = '2021' and {CELL} and date = %s",
            LATE,
        ),
        "orders": ask("select right(order_code, 2), order_status from bi.fct_order_line where platform = 'postmart' order by 1"),
        "events": ask(
            "select right(order_code, 2), order_status, event_date::text from core.fct_order_status_event where platform = 'postmart' order by 1, 3, 2"
        ),
        "refunds": ask("select right(refund_code, 1), refund_amount_vnd from bi.fct_refund order by 1"),
        "accounts": ask("select distinct account_key from core.fct_account_state where is_counting and valid_from <= %s and valid_to > %s", NEXT, NEXT),
    }


def test_version_1_counts_first(published):
    first, _, _ = published
    assert first["day"] == (1, 2, 0, 660_000, 275_000, 3, 1, 3)
    assert first["orders"] == [("01", "DELIVERED"), ("02", "DELIVERED"), ("10", "CONFIRMED")] and first["late"] == []
    assert first["refunds"] == [("1", 175_000), ("2", 100_000)] and len(first["accounts"]) == 3


def test_an_order_that_version_2_does_not_know_is_gone_or_falls_back(published):
    """Of order 2 an older day knows the placing; of order 10 nobody knows anything any more."""
    _, last, _ = published
    assert last["orders"] == [("01", "RETURNED"), ("02", "CONFIRMED")]
    assert last["events"] == [
        ("01", "CONFIRMED", "2021-09-14"), ("01", "DELIVERED", "2021-09-15"), ("01", "RETURNED", "2021-10-15"), ("02", "CONFIRMED", "2021-09-14"),
    ]  # fmt: skip
    placed, _, _, gross, *_ = last["day"]
    assert (placed, gross) == (0, 330_000)


def test_a_refund_that_version_2_changes_or_withdraws(published):
    _, last, _ = published
    assert last["refunds"] == [("1", 150_000)] and last["day"][4] == 150_000


def test_an_account_that_version_2_withdraws(published):
    """It was the only one of its household."""
    _, last, _ = published
    assert last["day"][5:7] == (2, 0) and len(last["accounts"]) == 2


def test_a_status_that_comes_a_month_late_counts_on_its_own_day(published):
    """Returned on 15/10: no successful delivery any more, but the revenue of 15/09 stays (RULINGS 6)."""
    _, last, _ = published
    assert last["late"] == [(0, 0, 1, 0)]
    assert last["day"][1:4] == (0, 0, 330_000)


def test_an_older_version_that_comes_later_and_other_bytes_under_a_known_name_change_nothing(published):
    first, last, states = published
    assert first["day"][7] == last["day"][7] == 3
    assert [row for row in states if row[0] == "products"] == [("products", 2, "superseded"), ("products", 3, "accepted")]
    assert [row[1:] for row in states if row[0] == "orders"] == [(1, "superseded"), (2, "accepted")]
