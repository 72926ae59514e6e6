"""Deliveries without files: rows as a reader would hand them over, landed, loaded and judged. People are invented."""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from kinhteso import judging, ledger, loading
from kinhteso.contracts import load_contract

PHONE_KEY = "demo-pepper"
DAY = dt.date(2021, 9, 14)
MS = 1631589751000  # 14/09/2021 10:22:31 local
HEX = "86d476a8634482cd69dc0cdaac42e139818087791ebdedf89769c964ab50d6ae"


@dataclass
class Stream:
    """What readers.read gives: rows once, then what it counted."""

    values: list[tuple[Any, ...]]
    warnings: list[str] = field(default_factory=list)
    fails_after: int | None = None
    error: Exception | None = None

    def __iter__(self):
        for number, row in enumerate(self.values, 1):
            if self.fails_after is not None and number > self.fails_after:
                raise self.error or RuntimeError("killed in the middle of COPY")
            yield number, row
        if self.error and self.fails_after is None:
            raise self.error

    @property
    def rows(self) -> int:
        return len(self.values)

    @property
    def parts(self) -> list[Any]:
        return [SimpleNamespace(part_no=1, first_row=1, rows=len(self.values), first_file_row=6)]

    orders = None
    control_total = None


def values(contract: Any, row: dict[str, Any]) -> tuple[Any, ...]:
    unknown = set(row) - {c.name for c in contract.columns} - {"commune_code", "as_of", "district_code"}
    assert not unknown, unknown
    found = [row.get(column.name) for column in contract.columns]
    if contract.source == "registers":
        found += [row.get("commune_code"), row.get("as_of"), row.get("district_code")]
    return tuple(found)


def delivery(source: str, dataset: str, rows: list[dict[str, Any]], **given: Any) -> SimpleNamespace:
    contract = load_contract(source, dataset)
    sha = hashlib.sha256(json.dumps(rows, default=str).encode()).hexdigest()
    version, day = given.get("version", 1), given.get("day", DAY)
    d = SimpleNamespace(
        source=source, dataset=dataset, unit="", business_day=day, version=version, mode=contract.mode, is_backlog=False,
        origin=f"{contract.code}_{day:%Y%m%d}_v{version}", landing_path=f"{source}/{dataset}/{day}/v{version}", sha256=sha, bytes=len(rows),
        received_at=dt.datetime.combine(day, dt.time(18, 30), dt.UTC), pulled_at=None, window_since=None, window_until=None,
        is_reconstructed=False, rows_declared=len(rows), orders_declared=None, control_total=None, declared=None, warnings=(),
        parts=[SimpleNamespace(part_no=1, path="file", origin="file", sha256=sha, bytes=len(rows))],
    )  # fmt: skip
    for name, value in given.items():
        setattr(d, "business_day" if name == "day" else name, value)
    return d


def land(conn: Any, source: str, dataset: str, rows: list[dict[str, Any]], **given: Any) -> int:
    return ledger.landed(conn, delivery(source, dataset, rows, **given), "test")


def load(conn: Any, export_id: int, rows: list[dict[str, Any]], **stream: Any) -> loading.Loaded:
    export = ledger.get(conn, export_id)
    contract = load_contract(export.source, export.dataset)
    return loading.load(conn, export_id, contract, None, PHONE_KEY, read=lambda *_: Stream([values(contract, row) for row in rows], **stream))


def loaded(conn: Any, source: str, dataset: str, rows: list[dict[str, Any]], **given: Any) -> int:
    export_id = land(conn, source, dataset, rows, **given)
    load(conn, export_id, rows)
    return export_id


def judged(conn: Any, source: str, dataset: str, rows: list[dict[str, Any]], **given: Any) -> judging.Verdict:
    return judging.judge(conn, loaded(conn, source, dataset, rows, **given))


# ---- clean rows ----------------------------------------------------------------------------------------------------------------


def store(n: int, **change: Any) -> dict[str, Any]:
    return {
        "stt": str(n), "store_code": f"PMS{n:07d}", "store_name": f"Na Chi Lăng – Nhà {n}", "owner_type": "Hộ gia đình",
        "owner_name": "Hoàng Thị Mai", "phone": f"0900000{n % 1000:03d}", "citizen_tail": "*********417", "commune_src_code": "24137",
        "commune_name": "Phường Hoàng Văn Thụ", "hamlet_raw": "Thôn Phố Cũ", "registered_at": "02/08/2021", "approved_at": "03/08/2021",
        "status_raw": "Hoạt động", "products_on_sale": "2", "last_activity_at": "14/09/2021 20:11:05",
    } | change  # fmt: skip


def product(n: int, **change: Any) -> dict[str, Any]:
    return {
        "product_code": str(43000 + n), "store_code": "PMS0000001", "product_name": 'Na "loại 1"; hộp\n5kg', "category": "Nông sản > Na",
        "unit": "hộp", "price_vnd": "175000", "weight_kg": "5,0", "stock": "120", "ocop": "4 sao", "status_raw": "Đang bán",
        "posted_at": "05/08/2021 09:00:00", "updated_at": "12/09/2021 18:22:10",
    } | change  # fmt: skip


def line(order: int, **change: Any) -> dict[str, Any]:
    """One line of a one-line order: 2 × 175.000, discount 20.000, shipping 35.000."""
    return {
        "stt": str(order), "order_code": f"PM210914{order:07d}", "created_at": "14/09/2021 10:22:31", "status_raw": "Đã xác nhận",
        "event_at": "14/09/2021 14:05:00", "store_code": "PMS0000001", "store_name": "Na Chi Lăng – Nhà 1", "buyer_province": "Hà Nội",
        "product_code": "43160", "product_name": "Na Chi Lăng hộp 5kg", "unit": "hộp", "quantity": "2", "unit_price_vnd": "175.000",
        "line_amount_vnd": "350.000", "goods_gross_vnd": "350.000", "seller_discount_vnd": "20.000", "shipping_fee_vnd": "35.000",
        "order_total_vnd": "365.000", "payment_method": "COD", "payment_status": "Chưa thanh toán", "waybill": "EM000000123VN",
        "carrier_status": "2", "sales_channel": "App",
    } | change  # fmt: skip


def refund(n: int, **change: Any) -> dict[str, Any]:
    return {
        "refund_code": f"HT{n:012d}", "order_code": "PM2109140000001", "product_code": "43160", "kind": "Trả hàng và hoàn tiền",
        "quantity": "1", "refund_amount_vnd": "175000", "reason": "Hàng dập", "requested_at": "14/09/2021 08:10:00",
        "completed_at": "14/09/2021 15:30:00", "status_raw": "Đã hoàn tất",
    } | change  # fmt: skip


def account(n: int, **change: Any) -> dict[str, Any]:
    return {
        "stt": str(n), "account_ref": f"PP-{n:08x}", "phone_key": HEX, "account_type": "Ví điện tử", "opened_at": "10/08/2021", "kyc_level": "1",
        "kyc_at": "10/08/2021", "status_raw": "Hoạt động", "bank_linked": "Không", "commune_src_code": "24137",
        "commune_name": "Phường Hoàng Văn Thụ", "hamlet_raw": "Thôn Phố Cũ",
    } | change  # fmt: skip


def voso_store(n: int, **change: Any) -> dict[str, Any]:
    return {
        "store_id": f"88000000000{n:05d}", "store_name": "THẠCH ĐEN", "owner_type": "HO_GIA_DINH", "owner_name": "NÔNG THỊ LAN", "phone_key": HEX,
        "province_id": "22", "district_id": "9801", "wards_id": "980101", "hamlet_name": "Pò Bó", "status": "HOAT_DONG", "created_at": str(MS),
        "approved_at": str(MS + 1000), "last_active_at": str(MS), "updated_at": str(MS), "is_deleted": "false",
    } | change  # fmt: skip


def voso_order(n: int, **change: Any) -> dict[str, Any]:
    lines = [
        {"LINE_NO": 1, "PRODUCT_ID": "911", "NAME": "Thạch đen: 500g", "QUANTITY": 3, "PRICE": 45000, "AMOUNT": 135000, "WEIGHT": 1500},
        {"LINE_NO": 2, "PRODUCT_ID": "934", "NAME": "Hoa hồi khô", "QUANTITY": 1, "PRICE": 160000, "AMOUNT": 160000, "WEIGHT": 500},
    ]
    return {
        "order_id": f"71000000000{n:05d}", "order_number": f"VS210914{n:07d}", "store_id": "8800000000000001", "status": "DANG_GIAO",
        "order_status": "500", "order_statusdate": "14/09/2021 18:41:12", "is_returning": "false", "created_at": str(MS), "updated_at": str(MS + 9000),
        "confirmed_at": str(MS + 1000), "shipped_at": str(MS + 5000), "receiver_province": "1", "goods_amount": "295000", "seller_discount": "0",
        "platform_discount": "5000", "ship_fee": "27500", "total_amount": "317500", "money_collection": "317500", "money_total": "27500",
        "cod_status": "CHUA_NHAN_COD", "payment_method": "COD", "currency": "VND", "lines": json.dumps(lines, ensure_ascii=False),
    } | change  # fmt: skip


def with_lines(n: int, *lines: dict[str, Any], **change: Any) -> dict[str, Any]:
    return voso_order(n, lines=json.dumps(lines), **change)


def voso_event(n: int, **change: Any) -> dict[str, Any]:
    return {
        "event_id": str(n), "order_id": "7100000000000001", "order_number": "VS2109140000001", "order_status": "500", "status_name": "Giao",
        "order_statusdate": "14/09/2021 18:41:12", "created_at": str(MS),
    } | change  # fmt: skip


def voso_refund(n: int, **change: Any) -> dict[str, Any]:
    return {
        "return_id": str(n), "order_id": "7100000000000001", "type": "HOAN_TIEN", "refund_amount": "295000", "status": "HOAN_TAT",
        "requested_at": str(MS), "completed_at": str(MS + 1000), "updated_at": str(MS + 1000),
    } | change  # fmt: skip


def voso_product(n: int, **change: Any) -> dict[str, Any]:
    return {
        "product_id": str(5500000 + n), "store_id": "8800000000000001", "name": "Thạch đen", "category_path": '["Nông sản"]', "unit": "gói",
        "price": "45000", "weight": "500", "stock": "7", "ocop_star": "4", "status": "DANG_BAN", "created_at": str(MS), "updated_at": str(MS),
        "is_deleted": "false",
    } | change  # fmt: skip


def voso_account(n: int, **change: Any) -> dict[str, Any]:
    return {
        "account_ref": f"VM-{n}", "phone_key": HEX, "wallet_type": "VI_DIEN_TU", "kyc_level": "1", "status": "HOAT_DONG", "opened_at": str(MS),
        "kyc_at": str(MS), "updated_at": str(MS), "province_id": "22", "district_id": "9801", "wards_id": "980101",
    } | change  # fmt: skip


_PLACE = {"commune_code": "06505", "as_of": "2021-09-10", "district_code": "187"}


def hamlet(n: int, **change: Any) -> dict[str, Any]:
    return _PLACE | {
        "stt": str(n), "commune_src_code": "06505", "commune_name": "Xã Vạn Linh", "hamlet_raw": f"Thôn {n}", "households": "142",
        "households_farming": "120", "households_business": "15", "households_poor": "9", "persons": "611", "hamlet_head": "Hoàng Văn Bảo",
    } | change  # fmt: skip


def household(n: int, **change: Any) -> dict[str, Any]:
    return _PLACE | {
        "stt": str(n), "household_code": f"H{n:06d}", "head_name": "Hoàng Thị Mai", "citizen_id": f"020000{n:06d}",
        "phone": f"0900000{n % 1000:03d}", "hamlet_raw": "Thôn 1", "persons": "4", "updated_on": "01/09/2021",
    } | change  # fmt: skip


def member(n: int, **change: Any) -> dict[str, Any]:
    return _PLACE | {
        "stt": str(n), "commune_name": "Xã Vạn Linh", "hamlet_raw": "Thôn 1", "decision": "45/QĐ-UBND ngày 30/7/2021",
        "member_name": f"Hoàng Văn {'ABCDEFGH'[n % 8]}", "role_raw": "Tổ trưởng" if n == 1 else "Thành viên", "phone": "0900000001",
        "trained_raw": "x", "trained_on": "01/08/2021",
    } | change  # fmt: skip


def target(n: int, **change: Any) -> dict[str, Any]:
    return _PLACE | {
        "stt": str(n), "unit_name": f"Thôn {n}", "level_raw": "Thôn", "households": "142", "store_rate": "50%", "payment_rate": "0,5",
        "lead_rate": "10", "team_count": "1", "phase": "1", "decision_no": "12/QĐ", "decision_on": "15/07/2021", "due_on": "20/09/2021",
    } | change  # fmt: skip


def lead(n: int, **change: Any) -> dict[str, Any]:
    return _PLACE | {
        "stt": str(n), "commune_name": "Xã Vạn Linh", "hamlet_raw": "Thôn 1", "household_code": f"H{n:06d}", "head_name": "Hoàng Thị Mai",
        "phone": "0900000001", "recognised_on": "01/08/2021",
    } | change  # fmt: skip


def enterprise(n: int, **change: Any) -> dict[str, Any]:
    return _PLACE | {
        "stt": str(n), "district_name": "Huyện Chi Lăng", "commune_name": "Xã Vạn Linh", "enterprise": "Bưu điện tỉnh",
        "valid_from": f"{n % 28 + 1:02d}/07/2021",
    } | change  # fmt: skip


MAKERS = {
    ("postmart", "stores"): store, ("postmart", "products"): product, ("postmart", "orders"): line, ("postmart", "refunds"): refund,
    ("postmart", "accounts"): account, ("voso", "stores"): voso_store, ("voso", "products"): voso_product, ("voso", "orders"): voso_order,
    ("voso", "order_events"): voso_event, ("voso", "refunds"): voso_refund, ("voso", "accounts"): voso_account,
    ("registers", "hamlets"): hamlet, ("registers", "households"): household, ("registers", "teams"): member, ("registers", "targets"): target,
    ("registers", "leads"): lead, ("registers", "enterprises"): enterprise,
}  # fmt: skip


def many(maker: Any, count: int) -> list[dict[str, Any]]:
    return [maker(n) for n in range(1, count + 1)]
