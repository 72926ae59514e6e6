"""What a whole state does not know any more is withdrawn in the facts, built piecewise as at once (EXPORTS §10.3)."""

from __future__ import annotations

import csv
import random
from datetime import date, timedelta

import psycopg
from kinhteso import building
from rawworld import D0, RawWorld
from test_incremental import COMPARED, deliver_day, deliver_registers, digest, release


def test_an_order_a_product_and_a_store_that_are_gone(warehouse_dsn, tmp_path, monkeypatch):
    monkeypatch.setenv("KINHTESO_DBT_STATE", str(tmp_path))
    rng, day = random.Random(3), D0 + timedelta(days=1)
    with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
        communes = [r for r in csv.DictReader(f) if r["list"] == "2021"]
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        world = RawWorld(conn, communes)
        deliver_registers(world, date(2021, 7, 1), rng)
        for one in (D0, day):
            deliver_day(world, one, rng)
        conn.execute("update ops.export set accepted_at = now()")
        release(warehouse_dsn)
        [(order_id, code)] = conn.execute("select order_id, order_code from intermediate.int_orders where platform = 'voso' order by 1 limit 1").fetchall()
        on_sale = "select product_code from intermediate.int_products__dated where platform = 'voso' and is_on_sale and valid_from <= %s and valid_to > %s"
        product = sorted(p for (p,) in conn.execute(on_sale, [day, day]))[0]
        [(store,)] = conn.execute(
            "select min(store_code) from intermediate.int_stores__matched where platform = 'voso' and is_counting and valid_from <= %s and valid_to > %s",
            [day, day],
        ).fetchall()
        before = conn.execute("select stores, products_on_sale, orders_placed_to_date from bi.kpi_province_daily where date = %s", [D0]).fetchone()
        for dataset, key in (("orders", order_id), ("products", product), ("stores", store)):
            bulk = world.deliver("voso", dataset, day, [], unit="bulk", mode="bulk") if dataset != "stores" else _beside(conn, world, day)
            conn.execute("update ops.export set accepted_at = clock_timestamp() where export_id = %s", [bulk])
            conn.execute("insert into ops.difference values (%s, 'voso', %s, %s, 'extra', '{}', true)", [bulk, dataset, key])
        assert release(warehouse_dsn).is_new
        assert conn.execute("select count(*) from bi.fct_order_line where platform = 'voso' and order_code = %s", [code]).fetchone() == (0,)
        assert product not in {p for (p,) in conn.execute(on_sale, [day, day])}
        assert conn.execute(
            "select is_counting from intermediate.int_stores__matched where platform = 'voso' and store_code = %s and valid_from <= %s and valid_to > %s",
            [store, day, day],
        ).fetchall() in ([], [(False,)])
        after = conn.execute("select stores, products_on_sale from bi.kpi_province_daily where date = %s", [D0]).fetchone()
        assert after == before[:2], "the day before keeps its stores and products"
        piecewise = {table: digest(conn, table, key) for table, key in COMPARED.items()}
        release(warehouse_dsn, full=True)
        assert {table: digest(conn, table, key) for table, key in COMPARED.items()} == piecewise


def _beside(conn, world: RawWorld, day: date) -> int:
    """A bulk of a snapshot: it stands beside the day's own, which the helper would supersede."""
    own = conn.execute("select export_id from ops.export where source = 'voso' and dataset = 'stores' and business_day = %s", [day]).fetchone()[0]
    bulk = world.deliver("voso", "stores", day, [], unit="bulk", mode="bulk")
    conn.execute("update ops.export set state = 'accepted' where export_id = %s", [own])
    conn.execute("delete from ops.change where export_id = %s and kind = 'superseded'", [own])
    return bulk
