"""What moved between two releases, by how much, why and by which delivery (KPI §1.11). A campaign of a few days in two communes, restated again and again:
a status a month late, a version 2, a corrected register, a platform that is late, a row out of quarantine, a changed rule. Expected figures are counted by hand."""

from __future__ import annotations

import csv
import datetime as dt
from decimal import Decimal

import psycopg
import pytest
from kinhteso import building, ledger, publishing
from rawworld import D0, RawWorld, local
from released import differences, seen, unexplained, untraced
from written import edit, own_project

DAY1, DAY2, LATE = D0 + dt.timedelta(days=1), D0 + dt.timedelta(days=2), D0 + dt.timedelta(days=33)
JULY = dt.date(2021, 7, 1)
VOSO = {"stores": "snapshot", "products": "window", "orders": "window", "refunds": "window", "accounts": "snapshot"}


class Campaign:
    """A world, its releases, and a copy of what BI saw in each."""

    def __init__(self, conn, dsn: str, communes: list[dict]) -> None:
        self.world, self.dsn, self.kept = RawWorld(conn, communes), dsn, {}
        self.conn, (self.a, self.b) = conn, communes[:2]

    def release(self, *, full: bool = False) -> int:
        published = publishing.publish(self.dsn, building.build(self.dsn, D0, full_refresh=full))
        self.kept[published.release_id] = seen(self.conn, self.kept.get(max(self.kept, default=0)))
        return published.release_id

    def moves(self, release_id: int, **narrowed) -> dict[tuple, tuple]:
        """(commune, date, kpi) -> (old, new, reason, export_id) of the list of 2021."""
        where = "".join(f" and {c} = %({c})s" for c in narrowed)
        rows = self.conn.execute(
            "select commune_code, date, kpi, old_value, new_value, reason, export_id from bi.kpi_restatement"
            f" where geography = '2021' and release_id = %(r)s{where} order by restatement_id", {"r": release_id, **narrowed}).fetchall()  # fmt: skip
        assert len({r[:3] for r in rows}) == len(rows), "a value is told twice"
        return {r[:3]: r[3:] for r in rows}

    def postmart(
        self, day: dt.date, *, stores: list, orders: list = (), refunds: list = (), accounts: list = (), products: list = (), **given
    ) -> dict[str, int]:
        rows = {"stores": stores, "products": products, "orders": orders, "refunds": refunds, "accounts": accounts}
        mode = {"stores": "snapshot", "products": "snapshot", "accounts": "snapshot"}
        return {d: self.world.deliver("postmart", d, day, list(r), mode=mode.get(d, "delta"), is_backlog=day == D0, **given) for d, r in rows.items()}

    def voso(self, day: dt.date, **rows) -> dict[str, int]:
        window = {"window_since": local(day - dt.timedelta(days=1), 23, 50), "window_until": local(day + dt.timedelta(days=1), 0)}
        return {
            d: self.world.deliver("voso", d, day, rows.get(d, []), mode=m, is_backlog=day == D0, **(window if m == "window" else {})) for d, m in VOSO.items()
        }

    def register(self, dataset: str, as_of: dt.date, commune: dict, rows: list, version: int = 1) -> int:
        unit = f"{commune['gso_district_code']}_{commune['gso_code']}"
        return self.world.deliver("registers", dataset, as_of, rows, unit=unit, mode="form", version=version)


def communes() -> list[dict]:
    with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
        return [r for r in csv.DictReader(f) if r["list"] == "2021" and r["gso_district_code"] == "185"]


@pytest.fixture(scope="module")
def restated(module_dsn, tmp_path_factory):
    """The campaign after all that came, and by name the deliveries and releases."""
    with pytest.MonkeyPatch.context() as patch, psycopg.connect(module_dsn, autocommit=True) as conn:
        patch.setenv("KINHTESO_DBT_STATE", str(tmp_path_factory.mktemp("restated")))
        c, on = Campaign(conn, module_dsn, communes()), {}
        a, b, w = c.a, c.b, c.world
        for commune, n in ((a, 10), (b, 20)):
            c.register("hamlets", JULY, commune, [{"hamlet_raw": "Thôn Phố Cũ", "households": str(n), "commune_code": commune["gso_code"], "as_of": str(JULY)}])
        c.register("households", JULY, a, [w.household("H001", a, phone="p1", as_of=JULY), w.household("H003", a, phone="p3", as_of=JULY)])
        stores = [w.postmart_store(1, a, phone="p1", approved=JULY, active=local(D0)), w.postmart_store(2, b, phone="p2", approved=JULY, active=local(D0))]
        account = {"account_ref": "PP-1", "phone_key": "p1", "kyc_level": "2", "kyc_at": "10/08/2021", "opened_at": "10/08/2021",
                   "status_raw": "Hoạt động", "commune_src_code": a["vnpost_commune_code"], "commune_name": a["gso_name"]}  # fmt: skip
        placed = w.postmart_order("PM210912000000001", "PMS0000001", local(D0), "Chờ xác nhận", local(D0), [100_000])
        c.postmart(D0, stores=stores, orders=placed, accounts=[account])
        c.voso(D0)
        on["first"] = c.release()

        done = lambda n, store, day, amount: w.postmart_order(
            f"PM210913{n:09d}", f"PMS{store:07d}", local(day), "Đã giao", local(day, 15), [amount], delivered=local(day, 15)
        )
        on["day1"] = c.postmart(DAY1, stores=stores, orders=done(1, 1, DAY1, 200_000) + done(2, 2, DAY1, 300_000), accounts=[account])
        c.voso(DAY1)
        on["second"] = c.release()
        c.postmart(DAY2, stores=stores, accounts=[account])  # Vỏ Sò is not there yet
        on["stale"] = c.release()

        on["voso"] = c.voso(DAY2, stores=[w.voso_store(7, b, phone="p7", approved=DAY2)])
        on["late platform"] = c.release()

        on["v2"] = w.deliver("postmart", "orders", DAY1, done(1, 1, DAY1, 250_000), version=2)
        on["version 2"] = c.release()

        on["hamlets"] = c.register(
            "hamlets", JULY, b, [{"hamlet_raw": "Thôn Phố Cũ", "households": "25", "commune_code": b["gso_code"], "as_of": str(JULY)}], 2
        )
        on["register"] = c.release()

        on["households"] = c.register("households", DAY1, b, [w.household("H002", b, phone="p2", as_of=DAY1)])
        on["matched"] = c.release()

        returned = [row | {"status_raw": "Đã hoàn", "event_at": f"{LATE:%d/%m/%Y} 09:00:00"} for row in done(1, 1, DAY1, 250_000)]
        on["late day"] = c.postmart(LATE, stores=stores, orders=returned, accounts=[account], refunds=[
            {"refund_code": "HT1", "order_code": "PM210913000000001", "kind": "Hoàn tiền", "refund_amount_vnd": "250000", "requested_at": f"{DAY2:%d/%m/%Y} 08:00:00",
             "completed_at": f"{DAY2:%d/%m/%Y} 15:00:00", "status_raw": "Đã hoàn tất"}])  # fmt: skip
        c.voso(LATE)
        on["late status"] = c.release()

        conn.execute(
            "insert into ops.set_aside_row (export_id, source_row, outcome) select export_id, 1, 'quarantined' from ops.export where export_id = %s",
            [on["voso"]["stores"]],
        )
        conn.execute(
            "insert into ops.change (export_id, source, dataset, business_day, kind) values (%s, 'voso', 'stores', %s, 'replayed')",
            [on["voso"]["stores"], DAY2],
        )
        on["quarantined"] = c.release()

        on["again"] = c.release(full=True)

        ledger.withdraw(conn, on["v2"], "a test")
        on["withdrawn"] = c.release()

        project = own_project(patch, tmp_path_factory.mktemp("rule"))
        edit(project / "seeds/lead_rule.csv", ",30,10,5000000,", ",30,1,5000000,")
        on["rule"] = c.release()
        yield c, on


def test_a_first_publication_is_no_restatement(restated):
    c, on = restated
    assert c.moves(on["first"]) == {} and not {k: v for k, v in c.moves(on["second"]).items() if k[1] > D0}
    assert c.conn.execute("select min(date) >= '2021-07-19' from bi.kpi_restatement").fetchone() == (True,)


def test_a_day_that_was_stale_and_became_full(restated):
    """Vỏ Sò of the third day came after its release: a household of commune b, unmatched, has a store more; the words moved for all communes."""
    c, on = restated
    moves = c.moves(on["late platform"])
    b = c.b["gso_code"]
    figures = {k: v for k, v in moves.items() if k[2] != "completeness"}
    assert {k: v[:2] for k, v in figures.items()} == {(b, DAY2, "stores"): (1, 2), (b, DAY2, "stores_unmatched"): (1, 2)}
    for _, _, reason, export_id in figures.values():
        assert export_id == on["voso"]["stores"] and reason.startswith(
            f"Dữ liệu của sàn đến muộn: voso/stores {DAY2} v1 · late platform: voso/stores {DAY2} v1"
        )
    assert len(moves) - len(figures) == 201
    words = "select distinct date, old_value, new_value, old_text, new_text from bi.kpi_restatement where kpi = 'completeness' and release_id = %s"
    assert c.conn.execute(words, [on["late platform"]]).fetchall() == [(DAY2, None, None, "STALE_VOSO", "FULL")]
    assert all("late platform" in v[2] and v[3] in on["voso"].values() for v in moves.values())


def test_a_version_2(restated):
    """Order 1 is 250.000 instead of 200.000; order 2, of commune b, is gone. Running totals and the household's commune follow to the last day."""
    c, on = restated
    moves = c.moves(on["version 2"])
    a, b = c.a["gso_code"], c.b["gso_code"]
    at = lambda commune, kpi, day=DAY1: moves[commune, day, kpi][:2]
    assert at(a, "revenue_gross_vnd") == at(a, "revenue_net_vnd") == (200_000, 250_000)
    assert at(b, "orders_placed") == at(b, "orders_delivered") == (1, 0) and at(b, "revenue_gross_vnd") == (300_000, 0)
    assert at(a, "revenue_net_vnd_to_date", DAY2) == (200_000, 250_000) and at(b, "orders_valid_to_date", DAY2) == (1, 0)
    for _, _, reason, export_id in moves.values():
        assert export_id == on["v2"] and reason == f"Bản gửi lại số 2: postmart/orders {DAY1} v2 · re-issued version 2: postmart/orders {DAY1} v2"
    assert {k[1] for k in moves} <= {DAY1, DAY2} and {k[0] for k in moves} == {a, b}


def test_a_corrected_register(restated):
    """25 households instead of 20 in commune b, from the beginning; its rates move with the denominator."""
    c, on = restated
    moves = c.moves(on["register"])
    assert {k[0] for k in moves} == {c.b["gso_code"]} and {k[2] for k in moves} <= {"households", "store_rate", "payment_rate", "lead_rate", "team_rate"}
    days = (DAY2 - dt.date(2021, 7, 19)).days + 1
    assert [v[:2] for k, v in moves.items() if k[2] == "households"] == [(20, 25)] * days
    label = f"registers/hamlets {c.b['gso_district_code']}_{c.b['gso_code']} {JULY} v2"
    assert {v[2:] for v in moves.values()} == {(f"Biểu sửa lại: {label} · corrected register: {label}", on["hamlets"])}


def test_a_register_of_households_moves_what_it_matches(restated):
    """Store 2 is of household H002 from now on: the commune's first list reaches back to the day the store was approved."""
    c, on = restated
    moves, b = c.moves(on["matched"]), c.b["gso_code"]
    assert moves[b, DAY1, "households_with_store"][:2] == (0, 1) and moves[b, DAY1, "stores_unmatched"][:2] == (1, 0)
    assert moves[b, DAY1, "store_rate"][:2] == (0, Decimal("0.04"))
    assert {v[3] for v in moves.values()} == {on["households"]} and {k[0] for k in moves} == {b}
    assert all("late register: registers/households" in v[2] for v in moves.values())


def test_a_status_and_a_refund_a_month_late(restated):
    """Returned in October: no successful delivery on 13/09 any more, its revenue stays (RULINGS 6); a refund of 14/09 told with it."""
    c, on = restated
    moves, a = c.moves(on["late status"]), c.a["gso_code"]
    order, refund = on["late day"]["orders"], on["late day"]["refunds"]
    assert moves[a, DAY1, "orders_delivered"] == (1, 0, f"Trạng thái đến muộn: postmart/orders {LATE} v1 · late status: postmart/orders {LATE} v1", order)
    assert moves[a, DAY2, "refunds_vnd"] == (0, 250_000, f"Hoàn tiền báo muộn: postmart/refunds {LATE} v1 · late refund: postmart/refunds {LATE} v1", refund)
    assert moves[a, DAY2, "revenue_net_vnd"][0::3] == (0, refund) and (a, DAY1, "revenue_gross_vnd") not in moves
    assert {k[1] for k in moves} == {DAY1, DAY2} and {k[0] for k in moves} == {a}
    assert all(v[3] in (order, refund) for v in moves.values())


def test_rows_in_and_out_of_quarantine(restated):
    c, on = restated
    moves, b = c.moves(on["quarantined"]), c.b["gso_code"]
    assert moves[b, DAY2, "stores"][:2] == (2, 1)
    assert {v[3] for v in moves.values()} == {on["voso"]["stores"]} and all("quarantine replayed: voso/stores" in v[2] for v in moves.values())


def test_what_is_built_again_as_it_was_tells_nothing(restated):
    c, on = restated
    assert on["again"] == on["quarantined"]


def test_a_version_that_was_withdrawn(restated):
    """Version 1 stands again: order 2 is back. Of order 1 the later status stays what it is, with version 1's money on the day of its delivery."""
    c, on = restated
    moves, b = c.moves(on["withdrawn"]), c.b["gso_code"]
    assert moves[b, DAY1, "orders_placed"][:2] == (0, 1) and moves[b, DAY1, "revenue_gross_vnd"][:2] == (0, 300_000)
    assert {v[3] for v in moves.values()} == {on["v2"]} and all(f"withdrawn by a check: postmart/orders {DAY1} v2" in v[2] for v in moves.values())


def test_a_changed_rule_is_no_delivery_s_doing(restated):
    """One delivered order makes a lead household by the project's rule now; no export did that."""
    c, on = restated
    moves = c.moves(on["rule"])
    assert {k[2] for k in moves} == {"lead_households_calc"} and len(moves) > 10
    assert {v[2:] for v in moves.values()} == {("Quy tắc hoặc danh mục thay đổi · changed rule or seed", None)}


def test_units_of_the_other_list_follow_their_parts(restated):
    """Commune b of 2021 is a part of a unit of 2025: what moved there moved here, by the same delivery."""
    c, on = restated
    [(unit,)] = c.conn.execute(
        "select new_code from bi.bridge_commune_succession where old_list = '2024' and new_list = '2025' and old_code = %s", [c.b["gso_code"]]
    )
    for release, kpi, export in (
        ("version 2", "orders_placed", on["v2"]),
        ("register", "households", on["hamlets"]),
        ("matched", "stores_unmatched", on["households"]),
    ):
        query = "select date, new_value - old_value, export_id from bi.kpi_restatement where release_id = %s and geography = %s and commune_code = %s and kpi = %s order by 1"
        here, there = (c.conn.execute(query, [on[release], g, code, kpi]).fetchall() for g, code in (("2025", unit), ("2021", c.b["gso_code"])))
        assert here == there and {e for *_, e in here} == {export}, (release, kpi)


def test_nobody_changes_what_was_told(restated):
    c, _ = restated
    for statement in ("update bi.kpi_restatement set new_value = 0", "delete from bi.kpi_restatement", "truncate bi.kpi_restatement"):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            c.conn.execute(statement)


def test_restatements_add_up_and_past_releases_stand(restated):
    c, _ = restated
    assert unexplained(c.conn, c.kept) == [] and differences(c.conn, c.kept) == []
    assert {row[6] for row in untraced(c.conn)} == {"Quy tắc hoặc danh mục thay đổi · changed rule or seed"}


def test_the_sum_finds_a_restatement_that_was_not_told(restated):
    """The guard bites: one row less, and the sums do not add up."""
    c, _ = restated
    with c.conn.transaction(force_rollback=True):
        c.conn.execute("alter table bi.kpi_restatement disable trigger append_only")
        c.conn.execute(
            "delete from bi.kpi_restatement where restatement_id in (select restatement_id from bi.kpi_restatement where new_value > old_value limit 1)"
        )
        assert unexplained(c.conn, c.kept)
