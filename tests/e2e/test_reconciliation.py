"""Reconciliation against the simulators: what the days could not see comes in with the bulk and the month's file, and the figures are right."""

from __future__ import annotations

import asyncio
from datetime import date

import psycopg
import pytest
from kinhteso import reconciling, warehouse
from kinhteso.platforms.voso import VosoClient
from kinhteso.settings import Settings
from pipeline import Pipeline, outbox
from served import simulators

FIRST, SECOND = date(2021, 9, 29), date(2021, 9, 30)
FIGURES = ("orders_placed", "orders_valid", "orders_delivered", "revenue_gross_vnd", "products_on_sale", "stores", "refunds_vnd")
WINDOWED = ("products", "orders", "order_events", "refunds")


def reconcile(pipeline: Pipeline, day: date, run: str) -> list[reconciling.Reconciliation]:
    found, http = [], pipeline.served.http
    with warehouse.connect(pipeline.dsn) as conn:
        for dataset in ("stores", "products", "orders", "order_events", "refunds", "accounts"):
            client = lambda: VosoClient(http["base_url"], http["username"], http["password"])
            arrivals = reconciling.land_voso(conn, client, pipeline.settings, dataset, day, run)
            assert not arrivals.refused and len(arrivals.landed) == (2 if dataset in WINDOWED else 1)
            found += reconciling.compare(conn, pipeline.settings, "voso", dataset, run)
        with outbox(pipeline.served) as sftp:
            assert not reconciling.land_postmart(conn, sftp, pipeline.settings, day, run).refused
        found += reconciling.compare(conn, pipeline.settings, "postmart", "orders", run)
    return found


@pytest.fixture(scope="module")
def reconciled(postgres, template, tmp_path_factory):
    """Two days at the end of September; then the warehouse loses and twists things of its own, as a source that lied would have had it."""
    home = tmp_path_factory.mktemp("reconciliation")
    name = "kinhteso_reconciliation"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template}")
    from psycopg.conninfo import make_conninfo

    dsn = make_conninfo(postgres, dbname=name)
    settings = Settings(landing=str(home / "landing"), registers_inbox=str(home / "inbox"), phone_key="demo-pepper", first_day=FIRST)
    with simulators(home / "served", "--first-day", str(FIRST), "--inbox", str(home / "inbox")) as served:
        pipeline = Pipeline(dsn, settings, served, home / "state", [])
        for day in (FIRST, SECOND):
            pipeline.take(day)
        pipeline.release()
        yield pipeline
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)")


def test_the_simulated_month_is_the_sum_of_its_days_then_heals_what_was_lost(reconciled):
    pipeline = reconciled
    assert pipeline.problems == []
    right = {day: pipeline.cells(day, FIGURES) for day in (FIRST, SECOND)}
    pipeline.served.clock("2021-10-01T03:00")
    for one in reconcile(pipeline, SECOND, "equal"):
        assert one.differing == 0 and one.passed, one.message
    assert pipeline.release() is None, "nothing differs, so nothing is built"
    pipeline.served.clock("2021-10-05T06:00")
    assert asyncio.run(pipeline.served.listing("20211005")) == ["PM_LSN_THANG_202109_v1.zip"]
    lose(pipeline)
    assert {day: pipeline.cells(day, FIGURES) for day in (FIRST, SECOND)} != right
    with warehouse.connect(pipeline.dsn) as conn:
        with outbox(pipeline.served) as sftp:
            assert len(reconciling.land_postmart(conn, sftp, pipeline.settings, date(2021, 10, 4), "month").landed) == 1
        [month] = reconciling.compare(conn, pipeline.settings, "postmart", "orders", "month")
    assert month.missing == 2 and month.changed == 1 and month.extra == 0 and not month.passed, month.message
    found = reconcile(pipeline, SECOND, "bulk")
    assert {(one.dataset, one.unit, one.missing, one.changed, one.extra) for one in found if one.differing} == {
        ("orders", "bulk", 0, 1, 0), ("products", "bulk", 1, 0, 0), ("stores", "bulk", 1, 0, 0),
    }  # fmt: skip
    assert pipeline.release().is_new
    assert {day: pipeline.cells(day, FIGURES) for day in (FIRST, SECOND)} == right
    for one in reconcile(pipeline, SECOND, "again"):
        assert one.differing == 0 and one.passed, one.message
    assert pipeline.release() is None


def lose(pipeline: Pipeline) -> None:
    """Rows that a truncated, shifted or unbumped delivery would not have had; then a build over all that is left."""
    with psycopg.connect(pipeline.dsn, autocommit=True) as conn:
        state = "select export_id from ops.export where source = %s and dataset = %s and business_day = %s and unit = '' and state = 'accepted'"
        [(orders,)] = conn.execute(state, ["postmart", "orders", FIRST]).fetchall()
        codes = [c for (c,) in conn.execute(
            """select order_code from raw.postmart_orders where export_id = %s and order_code not in
               (select order_code from raw.postmart_orders where export_id <> %s) and parse.local_date(event_at) >= date '2021-09-01'
               group by 1 order by 1 limit 3""", [orders, orders])]  # fmt: skip
        conn.execute("delete from raw.postmart_orders where export_id = %s and order_code = any(%s)", [orders, codes[:2]])
        conn.execute("update raw.postmart_orders set seller_discount_vnd = '1' where order_code = %s", [codes[2]])
        [(voso,)] = conn.execute(state, ["voso", "orders", FIRST]).fetchall()
        conn.execute(
            """update raw.voso_orders set seller_discount = (parse.money(seller_discount) + 1000)::text where export_id = %s and order_id =
               (select min(order_id) from raw.voso_orders where export_id = %s and delivered_at is not null and order_id not in
                (select order_id from raw.voso_orders where export_id <> %s and export_id in (select export_id from ops.export where unit = '')))""",
            [voso, voso, voso],
        )
        [(products,)] = conn.execute(state, ["voso", "products", FIRST]).fetchall()
        conn.execute(
            """delete from raw.voso_products where export_id = %s and product_id = (select min(product_id) from raw.voso_products
               where export_id = %s and status = 'DANG_BAN' and product_id not in (select product_id from raw.voso_products where export_id <> %s and export_id in
                (select export_id from ops.export where unit = '')))""",
            [products, products, products],
        )
        [(stores,)] = conn.execute(state, ["voso", "stores", SECOND]).fetchall()
        conn.execute("delete from raw.voso_stores where export_id = %s and store_id = (select min(store_id) from raw.voso_stores where export_id = %s)",
                     [stores, stores])  # fmt: skip
    from kinhteso import building, publishing

    publishing.publish(pipeline.dsn, building.build(pipeline.dsn, FIRST, full_refresh=True, state_dir=pipeline.state))
