"""The checks over what was built: green on a sound world, and each red on a broken one; what a failure does to the release."""

from __future__ import annotations

import csv
from datetime import date, timedelta

import psycopg
import pytest
from kinhteso import building, checking, privacy, publishing
from kinhteso.contracts import ContractError
from rawworld import D0, RawWorld, dmy, dmyhms, local, ms

DAY = D0 + timedelta(days=1)
AS_OF = date(2021, 9, 8)
HOUSEHOLDS = 100
CODES = ("06505", "06463")


def communes(*codes):
    with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
        found = {r["gso_code"]: r for r in csv.DictReader(f) if r["list"] == "2021"}
    return [found[code] for code in codes]


def registers(world, as_of=AS_OF, households=HOUSEHOLDS):
    for commune in world.communes:
        code = commune["gso_code"]
        place = {"commune_code": code, "as_of": as_of.isoformat()}
        unit = f"{commune['gso_district_code']}_{code}"
        listed = [world.household(f"{code}-{n}", commune, phone=f"{code}-{n}", as_of=as_of) for n in range(households)]
        world.deliver("registers", "households", as_of, listed, unit=unit, mode="form")
        hamlets = [{"hamlet_raw": "Thôn Phố Cũ", "households": str(households), "hamlet_head_key": f"head-{code}", **place}]
        world.deliver("registers", "hamlets", as_of, hamlets, unit=unit, mode="form")
        team = [
            {"hamlet_raw": "T. Phố Cũ", "decision": "45/QĐ", "member_name_key": f"head-{code}" if n == 0 else f"member-{n}",
             "role_raw": "Tổ trưởng" if n == 0 else "Thành viên", "trained_raw": "Có", **place} for n in range(3)
        ]  # fmt: skip
        world.deliver("registers", "teams", as_of, team, unit=unit, mode="form")
        common = {"store_rate": "50", "payment_rate": "50", "lead_rate": "10", "phase": "1", "decision_no": "12/QĐ", "decision_on": dmy(as_of), **place}
        targets = [
            {"unit_name": commune["gso_name"], "level_raw": "Xã", "households": str(households), "store_count": "50", "team_count": "1", **common},
            {"unit_name": "Thôn Phố Cũ", "level_raw": "Thôn", "households": str(households), "store_count": "50", "team_count": "1", **common},
        ]
        world.deliver("registers", "targets", as_of, targets, unit=unit, mode="form")
        lead = {"hamlet_raw": "Thôn Phố Cũ", "household_code": f"{code}-0", "recognised_on": dmy(as_of), "store_codes": "PMS0000001", **place}
        world.deliver("registers", "leads", as_of, [lead], unit=unit, mode="form")


def platforms(world, day, *, stores=60, phone=None, mapped=None):
    """A sound day: ``stores`` stores per commune and platform, each of its own household; ``phone`` and ``mapped`` break some."""
    phone, mapped = phone or (lambda code, n: f"{code}-{n}"), mapped or (lambda commune, n: commune)
    backlog = day == D0
    arrived = {"received_at": local(day + timedelta(days=1), 2, 10), "is_backlog": backlog}
    pulled = {**arrived, "pulled_at": local(day + timedelta(days=1), 2, 15)}
    a1, b1, order, accounts = [], [], [], []
    for c, commune in enumerate(world.communes):
        for n in range(stores):
            key = phone(commune["gso_code"], n)
            a1.append(
                world.postmart_store(1 + c * stores + n, mapped(commune, n), phone=key, approved=date(2021, 8, 1))
                | {"products_on_sale": "1" if n == 0 else "0"}
            )
            b1.append(world.voso_store(1 + c * stores + n, mapped(commune, n), phone=key, approved=date(2021, 8, 1)))
        at = local(day, 9)
        order += world.postmart_order(f"PM2109{day:%d}000000{c}", f"PMS{1 + c * stores:07d}", at, "Đã giao", at, [1000], delivered=at)
        accounts.append({"account_ref": f"PP-{c}", "phone_key": phone(commune["gso_code"], 0), "kyc_level": "1", "status_raw": "Hoạt động", "opened_at": "10/08/2021",
                         "kyc_at": "10/08/2021", "commune_src_code": commune["vnpost_commune_code"], "commune_name": commune["gso_name"],
                         "linked_store_code": f"PMS{1 + c * stores:07d}"})  # fmt: skip
    world.deliver("postmart", "stores", day, a1, mode="snapshot", **arrived)
    items = [
        {"product_code": str(c), "store_code": f"PMS{1 + c * stores:07d}", "product_name": "Na", "price_vnd": "1000", "status_raw": "Đang bán",
         "posted_at": "05/08/2021 09:00:00"} for c in range(len(world.communes))
    ]  # fmt: skip
    world.deliver("postmart", "products", day, items, mode="snapshot", **arrived)
    world.deliver("postmart", "orders", day, order, **arrived)
    refund = {"refund_code": f"HT{day:%d}", "order_code": order[0]["order_code"], "kind": "Hoàn tiền", "refund_amount_vnd": "500", "requested_at": dmyhms(local(day, 10)),
              "completed_at": dmyhms(local(day, 11)), "status_raw": "Đã hoàn tất"}  # fmt: skip
    world.deliver("postmart", "refunds", day, [refund], **arrived)
    world.deliver("postmart", "accounts", day, accounts, mode="snapshot", **{**arrived, "received_at": local(day + timedelta(days=1), 4, 20)})
    world.deliver("voso", "stores", day, b1, mode="snapshot", **pulled)
    created = local(day, 8)
    window = {**pulled, "mode": "window", "window_since": local(day, 0), "window_until": local(day + timedelta(days=1), 0)}
    number = 1 if backlog else 2
    world.deliver(
        "voso",
        "orders",
        day,
        [world.voso_order(number, "8800000000000001", created, local(day, 12), "GIAO_THANH_CONG", 9000, delivered_at=local(day, 12))],
        **window,
    )
    events = [
        {"event_id": f"{day:%d}{n}", "order_id": str(7100000000000000 + number), "status": word, "order_statusdate": dmyhms(at), "created_at": ms(at)}
        for n, (word, at) in enumerate([("CHO_DUYET", created), ("GIAO_THANH_CONG", local(day, 12)), ("HOAN_TAT", local(day, 13))])
    ]
    world.deliver("voso", "order_events", day, events, **window)
    world.deliver("voso", "refunds", day, [], **window)
    item = {"product_id": "911", "store_id": "8800000000000001", "name": "Thạch đen", "price": "45000", "status": "DANG_BAN", "is_deleted": "false",
            "created_at": "1627000000000", "updated_at": ms(local(day, 9))}  # fmt: skip
    world.deliver("voso", "products", day, [item], **window)
    purse = {"account_ref": "VM-1", "phone_key": f"{CODES[0]}-1", "kyc_level": "1", "status": "HOAT_DONG", "opened_at": "1627000000000", "kyc_at": "1627000000000",
             "updated_at": "1627000000000", "province_id": "22", "wards_id": world.communes[0]["vtp_wards_id"], "store_id": "8800000000000001"}  # fmt: skip
    world.deliver("voso", "accounts", day, [purse], mode="snapshot", **pulled)


@pytest.fixture(scope="module")
def built(module_dsn, tmp_path_factory):
    """A sound world, built and not published, with its scope: both days are claimed."""
    with psycopg.connect(module_dsn, autocommit=True) as conn:
        world = RawWorld(conn, communes(*CODES))
        registers(world)
        for day in (D0, DAY):
            platforms(world, day)
        scope = building.build(module_dsn, D0, state_dir=tmp_path_factory.mktemp("dbt"))
        conn.execute("delete from core.dim_commune where commune_code <> all (%s)", [list(CODES)])  # else most have no register
        yield conn, scope


def run(built, name, *broken):
    """What the check finds after the statements, which are rolled back."""
    conn, scope = built
    given = checking.settings()
    (one,) = [c for c in given["checks"] if c["name"] == name]
    with conn.transaction(force_rollback=True):
        for statement in broken:
            assert conn.execute(statement).rowcount > 0, f"breaks nothing: {statement}"
        return checking._run(conn, one, scope, given["transitions"])


NAMES = [c["name"] for c in checking.settings()["checks"]]

#: Check -> (statements that break the built world, outcome, what is named).
BROKEN = {
    "orders_of_unknown_stores": (["update intermediate.int_orders set store_valid_from = null where platform = 'postmart'"], "fail", "PM2109130000000"),
    "products_of_unknown_stores": (["delete from intermediate.int_stores__matched where store_code = 'PMS0000001'"], "fail", "0"),
    "accounts_of_unknown_stores": (["delete from intermediate.int_stores__matched where store_code = '8800000000000001'"], "fail", "VM-1"),
    "refunds_of_unknown_orders": (["update core.fct_refund set is_order_known = false, requested_date = date '2021-09-06'"], "fail", "HT12"),
    "events_of_unknown_orders": (
        ["update ops.export set business_day = date '2021-09-06' where dataset = 'order_events' and business_day = date '2021-09-13'", "delete from intermediate.int_orders"],
        "warn", "130",
    ),
    "household_code_in_two_lists": (["update intermediate.int_households__in_force set household_code = '06463-0' where household_code = '06505-0'"], "warn", "06463-0"),
    "refunds_above_order": (["update intermediate.int_refunds set refund_amount_vnd = 1001"], "warn", "PM2109120000000"),
    "refund_missing": (
        ["update intermediate.int_orders set status = 'RETURNED', returned_day = date '2021-08-29' where platform = 'voso'"], "warn", "VS2109140000001"
    ),
    "illegal_transitions": (
        ["update core.fct_order_status_event set order_status = 'SHIPPED' where order_status = 'COMPLETED' and order_code = 'VS2109140000002'"],
        "fail", "VS2109140000002 DELIVERED → SHIPPED",
    ),
    "mapped_communes": (["update intermediate.int_stores__changed set source_commune_code = null where store_code like 'PMS000000_'"], "fail", "PMS0000001"),
    "matched_households": (["update intermediate.int_stores__matched set household_code = null where store_code like 'PMS00000[1-4]_' or store_code like 'PMS00000__'"], "fail", "PMS0000001"),
    "match_rate": (["update core.fct_commune_day set stores_unmatched = 13 where commune_code = '06505' and platform = 'all'"], "warn", None),
    "numerators_within_households": (["update kpi.kpi_commune_daily set rates_held = 'store_rate' where commune_code = '06505' and date = date '2021-09-12'"], "fail", "2021-09-12 store_rate"),
    "products_on_sale_agree": (["update raw.postmart_stores set products_on_sale = '2' where store_code = 'PMS0000001'"], "warn", "PMS0000001 says 2, has 1"),
    "communes_without_households": (["delete from intermediate.int_denominators__in_force where commune_code = '06463'"], "warn", "06463 Thị trấn Đồng Mỏ"),
    "communes_without_targets": (["delete from raw.registers_targets where commune_code = '06463'"], "warn", "06463 Thị trấn Đồng Mỏ"),
    "households_listed": (["delete from intermediate.int_households__in_force where household_code in ('06505-0', '06505-1', '06505-2')"], "warn", "phocu: R1 100, listed 97"),
    "target_households": (["update raw.registers_targets set households = '106' where level_raw = 'Xã'"], "warn", "12/QĐ: 106, R1 100"),
    "hamlet_targets_cover": (["update raw.registers_targets set store_count = '49' where level_raw = 'Thôn'"], "warn", "store: hamlets 49, commune 50"),
    "target_teams": (["update raw.registers_targets set team_count = '0' where level_raw = 'Xã'"], "warn", "12/QĐ: 0 teams, 1 hamlets"),
    "target_hamlets_known": (["update intermediate.int_hamlet_texts set hamlet_code = '~' where hamlet_text in (select unit_name from staging.stg_registers__targets)"], "warn", "Thôn Phố Cũ"),
    "team_hamlets_known": (["update intermediate.int_team_members__in_force set hamlet_raw = 'Thôn Lạ'"], "warn", "Thôn Lạ"),
    "team_head_is_hamlet_head": (["update raw.registers_hamlets set hamlet_head_key = 'another'"], "warn", "phocu"),
    "lead_stores_known": (["update raw.registers_leads set store_codes = 'PMS0000001; PMS9999999'"], "warn", "PMS9999999"),
    "delivered_in_time": (["update ops.export set received_at = received_at + interval '81 minutes' where source = 'postmart' and not is_backlog"], "warn", "14/09/2021 03:31"),
    "dataset_of_the_day": (["update ops.export set state = 'rejected' where dataset = 'refunds' and source = 'voso'"], "warn", "rejected"),
    "registers_fresh": (["update raw.registers_teams set as_of = '2021-09-02'"], "warn", "06463 2021-09-02"),
}  # fmt: skip


def test_every_check_has_a_broken_fixture():
    assert set(BROKEN) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_sound_is_green(built, name):
    found = run(built, name)
    assert [(r.about, r.sample) for r in found if not r.passed] == []
    if name not in ("events_of_unknown_orders", "refund_missing"):  # those look at days that this world does not have
        assert found and sum(r.rows_total for r in found) > 0, "a check that looks at nothing is green for no reason"


@pytest.mark.parametrize("name", NAMES)
def test_broken_is_red(built, name):
    statements, outcome, named = BROKEN[name]
    found = run(built, name, *statements)
    red = [r for r in found if not r.passed]
    assert red and {r.outcome for r in red} >= {outcome}
    assert named is None or any(named in r.sample for r in red), [r.sample for r in red]
    for r in red:
        assert r.rule_id.startswith("Q") and 0 < r.rows_failed <= r.rows_total and r.source and r.business_day <= DAY
        assert checking.in_words(r).startswith(r.rule)


@pytest.mark.parametrize(
    ("name", "statements"),
    [
        ("refunds_of_unknown_orders", ["update core.fct_refund set is_order_known = false, requested_date = date '2021-09-07'"]),  # six days: may still come
        ("refund_missing", ["update intermediate.int_orders set status = 'RETURNED', returned_day = date '2021-08-30' where platform = 'voso'"]),
        ("mapped_communes", ["update intermediate.int_stores__changed set source_commune_code = null where store_code = 'PMS0000001'"]),  # 1 of 120
        ("match_rate", ["update core.fct_commune_day set stores_unmatched = 6 where commune_code = '06505' and platform = 'all'"]),  # 6 of 120 are 5 %
        ("households_listed", ["delete from intermediate.int_households__in_force where household_code in ('06505-0', '06505-1')"]),
        ("target_households", ["update raw.registers_targets set households = '105' where level_raw = 'Xã'"]),
        # a code of a later list is another unit, though the campaign's list has the code too
        ("target_households", ["update raw.registers_targets set households = '106', as_of = '2025-07-10' where level_raw = 'Xã'"]),
        ("target_teams", ["update raw.registers_targets set team_count = '0', as_of = '2025-07-10' where level_raw = 'Xã'"]),
        ("delivered_in_time", ["update ops.export set received_at = received_at + interval '80 minutes' where source = 'postmart' and dataset = 'stores'"]),
        ("registers_fresh", ["update raw.registers_teams set as_of = '2021-09-03'"]),
        # DELIVERY_FAILED → COMPLETED: DELIVERED was skipped between two daily files
        ("illegal_transitions", ["update core.fct_order_status_event set order_status = 'DELIVERY_FAILED' where order_status = 'DELIVERED' and platform = 'voso'"]),
        ("illegal_transitions", ["update core.fct_order_status_event set order_status = 'UNKNOWN' where order_status = 'COMPLETED'"]),
    ],
)  # fmt: skip
def test_on_the_limit_is_green(built, name, statements):
    assert [(r.about, r.sample) for r in run(built, name, *statements) if not r.passed] == []


@pytest.mark.parametrize(
    ("before", "after", "legal"),
    [
        ("CANCELLED", "SHIPPED", False), ("REFUNDED", "RETURNED", False), ("LOST", "DELIVERED", False), ("RETURNED", "REFUNDED", True), ("RETURNED", "SHIPPED", False),
        ("DELIVERED", "CONFIRMED", False), ("SHIPPED", "CREATED", False), ("RETURNING", "SHIPPED", True), ("RETURNING", "DELIVERED", True),
        ("CREATED", "COMPLETED", True), ("CONFIRMED", "LOST", True), ("COMPLETED", "RETURNED", True), ("COMPLETED", "SHIPPED", False),
    ],
)  # fmt: skip
def test_transitions(built, before, after, legal):
    """EXPORTS §8.2, with skipped steps; VS2109140000002 goes CREATED, DELIVERED, COMPLETED."""
    statements = [
        "delete from core.fct_order_status_event where order_status = 'CREATED' and platform = 'voso'",
        f"update core.fct_order_status_event set order_status = case order_status when 'DELIVERED' then '{before}' else '{after}' end where platform = 'voso'",
    ]
    found = [r for r in run(built, "illegal_transitions", *statements) if r.source == "voso"]
    assert [r.passed for r in found] == [legal] * len(found) and found


@pytest.mark.parametrize(
    ("check", "failed", "total", "outcome", "passed", "figure", "bound"),
    [
        ({"at_most": {"warn": 0, "fail": 0.005}}, 0, 200, "fail", True, 0.0, 0.0),
        ({"at_most": {"warn": 0, "fail": 0.005}}, 1, 200, "warn", False, 0.005, 0.0),
        ({"at_most": {"warn": 0, "fail": 0.005}}, 2, 200, "fail", False, 0.01, 0.005),
        ({"at_most": {"fail": 0}}, 1, 1000, "fail", False, 0.001, 0.0),
        ({"at_most": {"warn": 0}}, 1, 1000, "warn", False, 0.001, 0.0),
        ({"at_most": {"warn": 0}}, 0, 0, "warn", True, 0.0, 0.0),
        ({"at_least": {"warn": 0.95, "fail": 0.8}}, 5, 100, "fail", True, 0.95, 0.95),
        ({"at_least": {"warn": 0.95, "fail": 0.8}}, 6, 100, "warn", False, 0.94, 0.95),
        ({"at_least": {"warn": 0.95, "fail": 0.8}}, 20, 100, "warn", False, 0.8, 0.95),
        ({"at_least": {"warn": 0.95, "fail": 0.8}}, 21, 100, "fail", False, 0.79, 0.8),
        ({"at_least": {"warn": 0.95, "fail": 0.8}, "rows": 101}, 21, 100, "warn", False, 0.79, 0.95),
        ({"at_most": {"fail": 0}, "rows": 10}, 1, 9, "warn", False, 0.111111, 0.0),
    ],
)  # fmt: skip
def test_shares_and_limits(check, failed, total, outcome, passed, figure, bound):
    assert checking.judge_share(check, failed, total) == (outcome, passed, figure, bound)


def test_a_check_that_cannot_be_evaluated_stops_the_release(built):
    conn, scope = built
    with conn.transaction(force_rollback=True), pytest.raises(checking.CheckBroken, match=r"Q00 odd .* could not be evaluated.*check-failed\.md"):
        checking._run(conn, {"rule": "Q00", "name": "odd", "says": "", "of": "day", "at_most": {"fail": 0}, "query": "select no_such_column"}, scope, {})
    with pytest.raises(ContractError, match="unknown placeholder"):
        checking.query_of({"name": "odd", "query": "{dya}"}, scope, {})


@pytest.mark.parametrize(
    ("table", "statement"),
    [
        ("raw.postmart_products.product_name", "update raw.postmart_products set product_name = 'Na, gọi 0900000123' where product_code = '0'"),
        ("raw.voso_products.name", "update raw.voso_products set name = 'CCCD 020000000123'"),
        ("raw.registers_households.hamlet_raw", "update raw.registers_households set hamlet_raw = '0900000123' where household_code = '06505-0'"),
        ("ops.export.reason", "update ops.export set reason = 'gọi 0900000123' where source = 'voso'"),
    ],
)
def test_a_phone_in_a_table_is_found_and_not_repeated(built, table, statement):
    conn, scope = built
    rule = checking.settings()["privacy"]
    assert privacy.scan_deliveries(conn, scope.build_id, rule) == [] == privacy.scan(conn, rule)
    with conn.transaction(force_rollback=True):
        assert conn.execute(statement).rowcount
        found, whole = privacy.scan_deliveries(conn, scope.build_id, rule), privacy.scan(conn, rule)
        assert {place.split()[0] for place in found} == {table} and {place.split()[0] for place in whole} == {table}
        (result,) = privacy.check(conn, scope, rule)
        assert (result.rule_id, result.outcome, result.passed) == ("Q17", "fail", False)
        assert "0900000123" not in checking.in_words(result) and "020000000123" not in checking.in_words(result)


def test_a_phone_in_a_log_is_found(tmp_path):
    patterns = checking.settings()["privacy"]["logs"]
    log = tmp_path / "dag_id=a" / "attempt=1.log"
    log.parent.mkdir()
    log.write_text("started 2021-09-14T01:41:07.012345678901Z id 019a-000000000001 0.0900000123 /0900000123/ v0900000123\n")
    assert privacy.scan_logs(tmp_path, patterns) == []
    log.write_text("started\nowner called 0900000123.\n")
    assert privacy.scan_logs(tmp_path, patterns) == ["log dag_id=a/attempt=1.log line 2"]
    log.write_text("started\nowner called 0900000123, CCCD\n020000000123\n")
    assert privacy.scan_logs(tmp_path, patterns) == ["log dag_id=a/attempt=1.log line 2", "log dag_id=a/attempt=1.log line 3"]
    assert privacy.scan_logs(tmp_path, patterns, hours=-1) == [] and privacy.scan_logs(None, patterns) == []


# ---- what a failure does ---------------------------------------------------------------------------------------------------------


@pytest.fixture()
def world(warehouse_dsn, tmp_path, monkeypatch):
    monkeypatch.setenv("KINHTESO_DBT_STATE", str(tmp_path))
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        made = RawWorld(conn, communes(*CODES))
        registers(made)
        platforms(made, D0)
        yield made


def released(dsn):
    scope = checking.build(dsn, D0)
    with psycopg.connect(dsn) as conn:
        return publishing.publish(dsn, scope), checking.failures(conn, scope.build_id), scope


def test_a_snapshot_that_fits_no_household_is_withdrawn_and_the_rest_is_published(world, warehouse_dsn):
    """Q12: in version 2 of one platform no key fits any more; version 1 stands, the other platform and the orders go out, the run is red."""
    release, red, _ = released(warehouse_dsn)
    assert red == []
    conn = world.conn
    seen = "select sum(households_with_store), sum(households_with_store_voso), sum(orders_placed) from bi.kpi_commune_daily where geography = '2021' and date = %s"
    assert conn.execute(seen, [D0]).fetchone() == (120, 120, 3)
    platforms(world, DAY)
    stores = [
        world.voso_store(1 + c * 60 + n, commune, phone="another pepper", approved=date(2021, 8, 1))
        for c, commune in enumerate(world.communes)
        for n in range(60)
    ]
    world.deliver("voso", "stores", DAY, stores, version=2, mode="snapshot", pulled_at=local(DAY + timedelta(days=1), 2))
    release, red, scope = released(warehouse_dsn)
    (line,) = red
    for part in ("Q12 matched_households", "voso/stores 2021-09-13", "0.00%, limit 80.00%", "120 of 120", "8800000000000001", "withdrawn"):
        assert part in line, part
    assert release.is_new and release.completeness == "FULL"
    assert conn.execute(seen, [DAY]).fetchone() == (120, 120, 3), "version 1, which it had replaced, counts again; the day's orders are there"
    versions = "select version, state, reason from ops.export where source = 'voso' and dataset = 'stores' and business_day = %s order by 1"
    (_, first, _), (_, second, reason) = conn.execute(versions, [DAY]).fetchall()
    assert (first, second) == ("accepted", "rejected") and "Q12 matched_households" in reason
    checked = "select withdrawn, outcome, passed from ops.day_check where rule_name = 'matched_households' and source = 'voso' and business_day = %s"
    assert conn.execute(checked, [DAY]).fetchone() == (False, "fail", True), "the day's check is of the version that stands"
    nothing_before = DAY + timedelta(days=1)
    world.deliver("voso", "stores", nothing_before, stores, mode="snapshot", pulled_at=local(DAY + timedelta(days=2), 2))
    _, red, _ = released(warehouse_dsn)
    assert len(red) == 1 and "voso/stores 2021-09-14" in red[0] and "withdrawn" in red[0]
    assert conn.execute(versions, [nothing_before]).fetchone()[:2] == (1, "rejected")
    assert conn.execute(seen.split(", sum(orders")[0] + " from bi.kpi_commune_daily where geography = '2021' and date = %s", [nothing_before]).fetchone() == (
        120,
        120,
    )
    assert conn.execute(checked, [nothing_before]).fetchone() == (True, "fail", False)
    assert checking.build(warehouse_dsn, D0) is None, "nothing is left to do"


def test_a_commune_that_fails_is_named_and_the_others_stand(world, warehouse_dsn):
    """Q13: a new R1 says fewer households than have a store. That commune's rate keeps its last good value, and the run is red."""
    released(warehouse_dsn)
    bad, good = world.communes
    place = {"commune_code": bad["gso_code"], "as_of": DAY.isoformat()}
    world.deliver("registers", "hamlets", DAY, [{"hamlet_raw": "Thôn Phố Cũ", "households": "59", **place}], unit=f"187_{bad['gso_code']}", mode="form")
    platforms(world, DAY)
    _, red, scope = released(warehouse_dsn)
    told = [line for line in red if line.startswith("Q13")]
    assert len(told) == 1 and "06505" in told[0] and "1 of 2" in told[0]
    rates = dict(
        world.conn.execute(
            "select commune_code, row(store_rate, rates_held)::text from bi.kpi_commune_daily where geography = '2021' and date = %s and commune_code <> '00000' and households is not null",
            [DAY],
        ).fetchall()
    )
    assert rates == {"06505": "(0.600000,store_rate)", "06463": "(0.600000,)"}
    rows = world.conn.execute(
        "select commune_code, passed, rows_failed, rows_total, sample ->> 0 from ops.day_check where rule_name = 'numerators_within_households' and business_day = %s order by 1",
        [DAY],
    ).fetchall()
    assert rows[0][:4] == ("", False, 1, 2) and rows[1][:2] == ("06505", False) and rows[1][4] == "2021-09-13 store_rate"
    world.deliver(
        "registers", "hamlets", DAY, [{"hamlet_raw": "Thôn Phố Cũ", "households": "100", **place}], unit=f"187_{bad['gso_code']}", version=2, mode="form"
    )
    _, red, _ = released(warehouse_dsn)
    assert [line for line in red if line.startswith("Q13")] == [], "a corrected form is green again"
    assert world.conn.execute("select passed from ops.day_check where rule_name = 'numerators_within_households' and business_day = %s", [DAY]).fetchall() == [
        (True,)
    ]


def test_results_are_kept_once_per_day_however_often_it_is_built(world, warehouse_dsn):
    released(warehouse_dsn)
    query = "select business_day, source, dataset, commune_code, rule_name, passed, rows_failed, rows_total from ops.day_check order by 1, 2, 3, 4, 5"
    before = world.conn.execute(query).fetchall()
    assert len(before) > 20
    world.conn.execute("update ops.change set release_id = null")
    released(warehouse_dsn)
    assert world.conn.execute(query).fetchall() == before
