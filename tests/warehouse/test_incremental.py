"""A build that takes only what changed gives what a build of everything gives (RELIABILITY I2), day by day and out of order."""

from __future__ import annotations

import csv
import random
from datetime import date, timedelta

import psycopg
from kinhteso import building, publishing
from rawworld import D0, RawWorld, local

COMPARED = {
    "kpi_commune_daily": "geography, commune_code, date",
    "kpi_district_daily": "district_code, date",
    "kpi_province_daily": "date",
    "kpi_hamlet_daily": "commune_code, hamlet_code, date",
    "target_progress_daily": "level, unit_code, indicator, date",
    "fct_order_line": "order_line_key",
    "fct_refund": "refund_key",
    "dim_store": "store_version_key",
    "dim_product": "product_version_key",
}


def release(dsn: str, *, full: bool = False) -> publishing.Release:
    """Build and publish; whatever the release compared, all of `bi` is what was built."""
    scope = building.build(dsn, D0, full_refresh=full)
    assert scope is not None
    done = publishing.publish(dsn, scope)
    with psycopg.connect(dsn) as conn:
        assert publishing.strays(conn) == []
    return done


def digest(conn: psycopg.Connection, table: str, key: str) -> tuple[int, str]:
    columns = conn.execute(
        "select string_agg(quote_ident(column_name), ', ' order by ordinal_position) from information_schema.columns"
        " where table_schema = 'bi' and table_name = %s and column_name not in ('release_id', 'published_at')",
        (table,),
    ).fetchone()[0]
    return conn.execute(f"select count(*), md5(string_agg(row({columns})::text, E'\\n' order by {key})) from bi.{table}").fetchone()


def deliver_day(world: RawWorld, day: date, rng: random.Random, *, version: int = 1) -> None:
    a, b, c = world.communes[:3]
    age = (day - D0).days
    backlog = day == D0
    stores = [
        world.postmart_store(n, [a, b, c][n % 3], phone=f"p{n}", approved=date(2021, 7, 1) + timedelta(days=n),
                             status=rng.choice(["Hoạt động"] * 6 + ["Tạm dừng", "Khóa"]), active=local(day - timedelta(days=rng.randint(0, 40))))
        for n in range(1, 25 + age) if rng.random() > 0.04
    ]  # fmt: skip
    world.deliver("postmart", "stores", day, stores, version=version, mode="snapshot", is_backlog=backlog)
    products = [
        {"product_code": str(n), "store_code": f"PMS{1 + n % 20:07d}", "product_name": "Na", "category": "Nông sản", "unit": "kg",
         "price_vnd": str(1000 * rng.randint(1, 3)), "status_raw": rng.choice(["Đang bán", "Đang bán", "Hết hàng"]), "posted_at": "05/08/2021 09:00:00"}
        for n in range(1, 30)
    ]  # fmt: skip
    world.deliver("postmart", "products", day, products, version=version, mode="snapshot", is_backlog=backlog)
    orders = []
    for n in range(1, 16):
        created = local(day - timedelta(days=rng.randint(0, 8 if backlog else 2)), rng.randint(0, 23), rng.randint(0, 59))
        event = max(created, local(day, rng.randint(0, 22)))
        status = rng.choice(["Chờ xác nhận", "Đang giao", "Đã giao", "Đã hủy", "Đã hoàn"])
        code = f"PM2109{rng.randint(1, 40):09d}"
        orders += world.postmart_order(
            code, f"PMS{rng.randint(1, 30):07d}", created, status, event, [1000 * rng.randint(1, 900), 7], discount=rng.choice([0, 333]),
            delivered=event if status == "Đã giao" else None, province=rng.choice(["Hà Nội", "Lạng Sơn", None]),
        ) if code not in {o["order_code"] for o in orders} else []  # fmt: skip
    world.deliver("postmart", "orders", day, orders, version=version, is_backlog=backlog)
    refunds = [
        {"refund_code": f"HT{n}", "order_code": o["order_code"], "kind": "Hoàn tiền", "refund_amount_vnd": "500", "requested_at": "12/09/2021 08:00:00",
         "completed_at": f"{day:%d/%m/%Y} 15:00:00", "status_raw": rng.choice(["Đã hoàn tất", "Chờ xử lý"])}
        for n, o in enumerate(orders[:3])
    ]  # fmt: skip
    world.deliver("postmart", "refunds", day, refunds, version=version, is_backlog=backlog)
    accounts = [
        {"account_ref": f"PP-{n}", "phone_key": f"p{n}", "kyc_level": str(rng.randint(0, 2)), "kyc_at": "10/08/2021", "opened_at": "10/08/2021",
         "status_raw": rng.choice(["Hoạt động", "Hoạt động", "Đóng"]), "commune_src_code": a["vnpost_commune_code"], "commune_name": a["gso_name"]}
        for n in range(1, 20)
    ]  # fmt: skip
    world.deliver("postmart", "accounts", day, accounts, version=version, mode="snapshot", is_backlog=backlog)
    if version > 1:
        return
    voso = [
        world.voso_store(n, [a, b, c][n % 3], phone=f"p{n}", approved=rng.choice([day + timedelta(days=1), date(2021, 8, 1)]),
                         deleted=rng.random() < 0.1, active=local(day - timedelta(days=rng.randint(0, 40))))
        for n in range(10, 30)
    ]  # fmt: skip
    world.deliver("voso", "stores", day, voso, mode="snapshot", is_backlog=backlog, is_reconstructed=not backlog and rng.random() < 0.3)
    pulled = []
    for n in {rng.randint(1, 30) for _ in range(10)}:
        created = local(D0 - timedelta(days=5), 8)
        updated = local(day, rng.randint(1, 22))
        status, at = rng.choice(
            [
                ("DANG_GIAO", {"shipped_at": updated}),
                ("GIAO_THANH_CONG", {"delivered_at": updated}),
                ("DA_HUY", {"cancelled_at": updated}),
                ("DA_HOAN", {"returned_at": updated}),
            ]
        )
        pulled.append(world.voso_order(n, str(8800000000000000 + 10 + n % 20), created, updated, status, 90000 + n, province=rng.choice([1, 22, None]), **at))
    window = {"window_since": local(day - timedelta(days=1), 23, 50), "window_until": local(day + timedelta(days=1), 0)}
    world.deliver("voso", "orders", day, pulled, mode="window", is_backlog=backlog, **window)
    world.deliver("voso", "refunds", day, [], mode="window", is_backlog=backlog, **window)
    world.deliver("voso", "accounts", day, [], mode="snapshot", is_backlog=backlog)
    items = [
        {"product_id": str(n), "store_id": str(8800000000000000 + 10 + n % 20), "name": "Thạch đen", "price": "45000", "weight": "500",
         "status": rng.choice(["DANG_BAN", "HET_HANG"]), "is_deleted": "false", "created_at": "1627000000000",
         "updated_at": str(int(local(day, rng.randint(1, 22)).timestamp() * 1000))}
        for n in rng.sample(range(1, 30), 29 if backlog else 6)
    ]  # fmt: skip
    world.deliver("voso", "products", day, items, mode="window", is_backlog=backlog, **window)


def deliver_registers(world: RawWorld, as_of: date, rng: random.Random) -> None:
    for n, commune in enumerate(world.communes[:3]):
        households = [
            world.household(f"H{i:03d}", commune, phone=f"p{i if rng.random() > 0.1 else i + 1}", name=f"name-{i}", as_of=as_of)
            for i in range(1 + n, 40, 3)
        ]  # fmt: skip
        unit = f"{commune['gso_district_code']}_{commune['gso_code']}"
        world.deliver("registers", "households", as_of, households, unit=unit, mode="form")
        world.deliver("registers", "hamlets", as_of, world.hamlets(commune, 100 + n, as_of), unit=unit, mode="form")


def test_day_by_day_equals_everything_at_once(warehouse_dsn, tmp_path, monkeypatch):
    monkeypatch.setenv("KINHTESO_DBT_STATE", str(tmp_path))
    rng = random.Random(1)
    with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
        communes = [r for r in csv.DictReader(f) if r["list"] == "2021"]
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        world = RawWorld(conn, communes)
        deliver_registers(world, date(2021, 7, 1), rng)
        for day in (D0, D0 + timedelta(days=2), D0 + timedelta(days=1)):
            deliver_day(world, day, rng)
            release(warehouse_dsn)
        deliver_day(world, D0 + timedelta(days=1), rng, version=2)
        deliver_registers(world, D0 + timedelta(days=2), rng)
        assert release(warehouse_dsn).is_new
        assert building.build(warehouse_dsn, D0) is None, "where nothing has happened nothing is built"
        conn.execute("update ops.build set ledger_mark = 'other'")
        assert not release(warehouse_dsn).is_new, "what is built again as it was publishes nothing"
        piecewise = {table: digest(conn, table, key) for table, key in COMPARED.items()}
        assert piecewise["kpi_commune_daily"][0] > 0
        placed = conn.execute("select sum(orders_placed), sum(revenue_gross_vnd) from bi.kpi_province_daily").fetchone()
        assert placed[0] > 20 and placed[1] > 0, "the world has to exercise the flows"
        release(warehouse_dsn, full=True)
        assert {table: digest(conn, table, key) for table, key in COMPARED.items()} == piecewise


def test_a_dataset_that_comes_late_without_a_row_makes_its_day_full(warehouse_dsn, tmp_path, monkeypatch):
    """RULINGS 14: `when it arrives, the day is FULL`, for every commune, also where none of its rows speaks of it."""
    monkeypatch.setenv("KINHTESO_DBT_STATE", str(tmp_path))
    rng = random.Random(4)
    with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
        communes = [r for r in csv.DictReader(f) if r["list"] == "2021"]
    late = D0 + timedelta(days=1)
    told = """select 'commune' as unit, completeness from bi.kpi_commune_daily where date = %(day)s union select 'district', completeness
              from bi.kpi_district_daily where date = %(day)s union select 'province', completeness from bi.kpi_province_daily where date = %(day)s"""
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        world = RawWorld(conn, communes)
        deliver_registers(world, date(2021, 7, 1), rng)
        for day in (D0, late, late + timedelta(days=1)):
            deliver_day(world, day, rng)
        missing = "source = 'voso' and dataset = 'refunds' and business_day = %s"
        for table in ("ops.change", "ops.export"):
            conn.execute(f"delete from {table} where {missing}", [late])
        conn.execute("update ops.export set is_reconstructed = false")
        release(warehouse_dsn)
        assert {c for _, c in conn.execute(told, {"day": late})} == {"STALE_VOSO"}
        world.deliver("voso", "refunds", late, [], mode="window", window_since=local(D0, 23, 50), window_until=local(late + timedelta(days=1), 0))
        scope = building.build(warehouse_dsn, D0)
        conn.execute("delete from ops.build_moved where relation = 'kpi.kpi_district_daily' and predicate like '%%business_day%%'")
        assert publishing.publish(warehouse_dsn, scope).is_new
        assert [line.split()[0] for line in publishing.strays(conn)] == ["bi.kpi_district_daily"], "what a scope does not say is missed, and found by the audit"
        assert publishing.publish(warehouse_dsn, scope).is_new and publishing.strays(conn) == []
        assert sorted(conn.execute(told, {"day": late}).fetchall()) == [("commune", "FULL"), ("district", "FULL"), ("province", "FULL")]
        piecewise = {table: digest(conn, table, key) for table, key in COMPARED.items()}
        release(warehouse_dsn, full=True)
        assert {table: digest(conn, table, key) for table, key in COMPARED.items()} == piecewise
