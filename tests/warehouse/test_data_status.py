"""`bi.data_status_daily` says to a BI user what the board says to an operator, in both languages."""

from __future__ import annotations

from datetime import date, timedelta

import deliveries as d
import psycopg
import pytest
from kinhteso import checking, ledger, publishing
from psycopg.rows import dict_row
from written import delivered, settings_in

DAY = d.DAY


@pytest.fixture()
def told(db, warehouse_dsn, tmp_path, monkeypatch):
    """A day whose orders hold a bad one, whose refunds were rejected, and whose products are only expected; released."""
    monkeypatch.setenv("KINHTESO_DBT_STATE", str(tmp_path / "dbt"))
    delivered(db, settings_in(tmp_path), "orders", d.many(d.line, 98) + [d.line(900, order_total_vnd="1")])
    refunds = d.land(db, "postmart", "refunds", [d.refund(1)])
    ledger.reject(db, refunds, "A4 Hoàn tiền: 9 rows declared, 1 found (Q01)")
    ledger.expect(db, "postmart", "products", DAY, mode="snapshot", deadline=d.dt.datetime(2021, 9, 15, 9, tzinfo=d.dt.UTC), reason="missing: nothing came")
    scope = checking.build(warehouse_dsn, DAY - timedelta(days=2))
    publishing.publish(warehouse_dsn, scope)
    with psycopg.connect(warehouse_dsn, row_factory=dict_row) as conn:
        return {r["dataset"]: r for r in conn.execute("select * from bi.data_status_daily where source <> 'voso' and date = %s", [DAY])}


def test_each_state_has_its_words(told):
    orders, refunds, products = told["orders"], told["refunds"], told["products"]
    assert (orders["rows"], orders["rows_loaded"], orders["rows_quarantined"], orders["rows_waiting"]) == (99, 98, 1, 1)
    assert orders["state_words"] == "Được dùng · In use; 1 dòng bị cách ly · 1 rows in quarantine" and orders["last_reason"] is None
    lines = orders["checks_failed_words"].splitlines()
    assert len(lines) == orders["checks_failed"] >= 2
    assert [line for line in lines if line.startswith("Q06 cách ly dòng · quarantines rows (1/99): Tổng thanh toán is")], lines
    assert refunds["state_words"].startswith("Bị từ chối") and refunds["last_reason"] == "v1: A4 Hoàn tiền: 9 rows declared, 1 found (Q01)"
    assert products["state_words"] == "Chưa nhận được · Not received" and products["last_reason"].endswith("missing: nothing came")
    assert products["rows"] is None and products["rows_waiting"] == 0
    assert isinstance(orders["date"], date)
    # What the checks over this very build found is in this very release.
    assert lines[0].startswith("Q05 không đạt · fails (98/98): at most 0.5 % of a delivery's orders may be of a store"), lines
    assert products["checks_failed_words"].startswith("Q16 cảnh báo · warns (1/1)") and products["checks_failed"] == 1
    hamlets = told["hamlets"]
    assert (hamlets["state"], hamlets["version"], hamlets["expected"], hamlets["checks_failed"]) == ("checked", None, False, 1)
    assert hamlets["state_words"].startswith("Không có tệp của ngày này") and hamlets["checks_failed_words"].startswith("Q15 ")
