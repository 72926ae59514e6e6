"""Postmart's nightly files A1–A5 with manifests and markers, as the contract says (§9): what lies in the outbox at which moment."""

from __future__ import annotations

import csv
import hashlib
import io
import random
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import xlsxwriter

from simulators.faults import Fault
from simulators.keys import phone_key
from simulators.world import Order, Store, World

#: A dataset with more rows comes in the volume form: a ZIP of CSV parts.
XLSX_ROWS, VOLUME_PART_ROWS, PRODUCT_PART_ROWS = 50_000, 200_000, 20_000
STORES = (
    "STT", "Mã gian hàng", "Tên gian hàng", "Loại chủ thể", "Họ tên chủ hộ", "Số điện thoại", "Số CCCD", "Mã xã (VNPost)", "Tên huyện", "Tên xã",
    "Thôn/Bản/Khối phố", "Mã địa chỉ số", "Ngày đăng ký", "Ngày duyệt", "Trạng thái gian hàng", "Số sản phẩm đang bán", "Ngày hoạt động gần nhất",
    "Mã NV hỗ trợ", "Liên kết",
)  # fmt: skip
PRODUCTS = (
    "Mã sản phẩm", "Mã gian hàng", "Tên sản phẩm", "Danh mục", "Đơn vị tính", "Giá bán", "Khối lượng (kg)", "Tồn kho", "Mã QR truy xuất", "Sản phẩm OCOP",
    "Trạng thái", "Ngày đăng", "Ngày cập nhật",
)  # fmt: skip
ORDERS = (
    "STT", "Mã đơn hàng", "Ngày đặt hàng", "Trạng thái", "Ngày cập nhật trạng thái", "Lý do hủy/hoàn", "Mã gian hàng", "Tên gian hàng", "Tỉnh/TP người nhận",
    "Mã sản phẩm", "Tên sản phẩm", "Đơn vị tính", "Số lượng", "Đơn giá", "Thành tiền", "Tổng tiền hàng", "Giảm giá", "Phí vận chuyển", "Tổng thanh toán",
    "Hình thức thanh toán", "Trạng thái thanh toán", "Mã vận đơn", "Mã trạng thái VC", "Ngày giao thành công", "Kênh bán",
)  # fmt: skip
REFUNDS = ("Mã yêu cầu", "Mã đơn hàng", "Mã sản phẩm", "Loại", "Số lượng", "Số tiền hoàn", "Lý do", "Ngày yêu cầu", "Ngày hoàn tất", "Trạng thái")
ACCOUNTS = (
    "STT", "Mã tham chiếu TK", "Khóa đối chiếu", "Loại tài khoản", "Ngày mở", "Mức định danh", "Ngày định danh", "Trạng thái", "Liên kết ngân hàng",
    "Mã xã (VNPost)", "Tên xã", "Thôn", "Mã gian hàng liên kết", "Ngày giao dịch đầu tiên",
)  # fmt: skip
MANIFEST = (
    "Tên tệp", "Bộ dữ liệu", "Ngày dữ liệu", "Phiên bản", "Kích thước (byte)", "SHA-256", "Số dòng", "Số đơn", "Tổng tiền kiểm soát", "Lý do phát hành lại",
    "Thời điểm tạo",
)  # fmt: skip
GROUPS = {
    "DONHANG": (
        (0, 5, "Thông tin đơn hàng"),
        (6, 7, "Gian hàng"),
        (8, 8, "Người nhận"),
        (9, 14, "Chi tiết sản phẩm"),
        (15, 20, "Thanh toán"),
        (21, 24, "Vận chuyển"),
    ),
    "GIANHANG": ((0, 3, "Gian hàng"), (4, 6, "Chủ thể"), (7, 11, "Địa chỉ"), (12, 18, "Hoạt động")),
    "TAIKHOANTT": ((0, 4, "Tài khoản"), (5, 8, "Định danh"), (9, 13, "Địa bàn và liên kết")),
}
TITLES = {
    "GIANHANG": ("Gian hàng", "BÁO CÁO GIAN HÀNG SỐ"), "DONHANG": ("Đơn hàng", "BÁO CÁO ĐƠN HÀNG"), "TAIKHOANTT": ("Tài khoản", "BÁO CÁO TÀI KHOẢN THANH TOÁN"),
}  # fmt: skip
OWNER = {"HOUSEHOLD": "Hộ gia đình", "BUSINESS": "Hộ kinh doanh", "COOPERATIVE": "Hợp tác xã", "COMPANY": "Doanh nghiệp"}
STORE_STATUS = {"PENDING": "Chờ duyệt", "ACTIVE": "Hoạt động", "PAUSED": "Tạm dừng", "BLOCKED": "Khóa", "REJECTED": "Từ chối", "CLOSED": "Đã đóng"}
PRODUCT_STATUS = {"ON_SALE": "Đang bán", "OUT_OF_STOCK": "Hết hàng", "PENDING": "Chờ duyệt", "HIDDEN": "Ẩn", "DELETED": "Đã xóa"}
ORDER_STATUS = {
    "CREATED": "Chờ xác nhận", "CONFIRMED": "Đã xác nhận", "SHIPPED": "Đang giao", "DELIVERY_FAILED": "Giao không thành công", "DELIVERED": "Đã giao",
    "COMPLETED": "Hoàn thành", "RETURNING": "Đang hoàn", "RETURNED": "Đã hoàn", "REFUNDED": "Đã hoàn tiền", "CANCELLED": "Đã hủy",
}  # fmt: skip
CARRIER = {"CONFIRMED": 1, "SHIPPED": 12, "DELIVERY_FAILED": 15, "DELIVERED": 14, "COMPLETED": 14, "RETURNING": 18, "RETURNED": 19, "REFUNDED": 14}
PAYMENT = {"COD": "COD", "WALLET": "PostPay", "TRANSFER": "Chuyển khoản", "CARD": "Thẻ"}
REFUND_STATUS = {"OPEN": "Chờ xử lý", "ACCEPTED": "Đã chấp nhận", "DONE": "Đã hoàn tất", "REJECTED": "Từ chối"}
REFUND_KIND = {"RETURN": "Trả hàng", "REFUND": "Hoàn tiền", "BOTH": "Trả hàng và hoàn tiền"}
ACCOUNT_KIND = {"WALLET": "Ví điện tử", "LINKED": "Tài khoản liên kết", "MOBILE": "Ví điện tử"}
ACCOUNT_STATUS = {"ACTIVE": "Hoạt động", "BLOCKED": "Tạm khóa", "CLOSED": "Đóng", "PENDING": "Chờ định danh"}


def stamp(t: datetime) -> str:
    """dd/MM/yyyy HH:mm:ss."""
    return f"{t:%d/%m/%Y %H:%M:%S}"


def dotted(amount: int) -> str:
    """1250000 as 1.250.000."""
    return f"{amount:,}".replace(",", ".")


def comma(value: float) -> str:
    """A decimal with a comma."""
    return f"{value:g}".replace(".", ",")


@dataclass(frozen=True)
class Rendered:
    """A file with the figures that its manifest declares."""

    dataset: str
    name: str
    content: bytes
    rows: int
    orders: int | None
    control: int | None


@dataclass(frozen=True)
class Drop:
    """A file that lies in a day's folder from ``at`` on, and until ``until`` where it goes away again."""

    at: datetime
    name: str
    content: bytes
    until: datetime | None = None


def phone_as_delivered(phone: str, r: random.Random) -> Any:
    """A phone in one of the shapes in which it arrives (§9.3, column F)."""
    bare = phone[1:]
    return r.choice([phone, phone, phone, phone, int(bare), f"84{bare}", f"+84 {bare[:3]} {bare[3:6]} {bare[6:]}", f"{bare}.0"])


def sheet(dataset: str, headings: Sequence[str], rows: Iterable[Sequence[Any]], first: date, last: date, totals: dict[int, Any], signed: bool) -> bytes:
    """An XLSX in the dialect of §9.2: title block, group headings, headings in row 5, data, `Tổng cộng`."""
    tab, title = TITLES[dataset]
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"constant_memory": True, "in_memory": True, "default_date_format": "dd/mm/yyyy hh:mm:ss"}) as book:
        page = book.add_worksheet(tab)
        bold = book.add_format({"bold": True})
        width = len(headings) - 1
        page.merge_range(0, 0, 0, width, "TỔNG CÔNG TY BƯU ĐIỆN VIỆT NAM – BƯU ĐIỆN TỈNH LẠNG SƠN", bold)
        page.merge_range(1, 0, 1, width, title, bold)
        page.merge_range(2, 0, 2, width, f"Từ ngày {first:%d/%m/%Y} đến ngày {last:%d/%m/%Y}")
        for left, right, text in GROUPS[dataset]:
            if left == right:
                page.write(3, left, text, bold)
            else:
                page.merge_range(3, left, 3, right, text, bold)
        page.write_row(4, 0, headings, bold)
        n = 5
        for row in rows:
            for column, value in enumerate(row):
                if value is None or value == "":
                    continue
                if isinstance(value, str):
                    page.write_string(n, column, value)
                elif isinstance(value, datetime):
                    page.write_datetime(n, column, value)
                else:
                    page.write_number(n, column, value)
            n += 1
        page.write(n, 0, "Tổng cộng", bold)
        for column, value in totals.items():
            page.write(n, column, value)
        if signed:
            page.write(n + 2, 1, "Người lập biểu")
    return out.getvalue()


def text_file(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """The CSV dialect of §9.2: BOM, semicolons, CRLF."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";", lineterminator="\r\n")
    writer.writerow(headings)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


def zipped(stem: str, headings: Sequence[str], rows: list[Sequence[Any]], part_rows: int) -> bytes:
    """A ZIP of CSV parts, each with BOM and headings."""
    parts = [rows[i : i + part_rows] for i in range(0, len(rows), part_rows)] or [[]]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for k, part in enumerate(parts, 1):
            info = zipfile.ZipInfo(f"{stem}_p{k:02d}of{len(parts):02d}.csv", (2021, 9, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, text_file(headings, part))
    return out.getvalue()


class Postmart:
    """Renders business days of a world."""

    def __init__(self, world: World, faults: Sequence[Fault] = ()) -> None:
        self.w, self.faults = world, faults
        self.stores = [(n, s) for n, s in enumerate(world.stores) if s.platform == "PM"]
        self.products = [p for p in world.products if p.platform == "PM"]
        self.orders = [o for o in world.orders if o.platform == "PM"]
        self.accounts = [a for a in world.accounts if a.platform == "PM"]
        self.refunds = [f for f in world.refunds if f.platform == "PM"]

    # ---- datasets ----

    def day(self, day: date, version: int = 1, orders: list[tuple[Order, int]] | None = None, empty: bool = False) -> list[Rendered]:
        """A1–A5 of a day; the first day of all holds everything up to it."""
        end = datetime.combine(day + timedelta(days=1), time()) - timedelta(seconds=1)
        start = datetime.combine(day, time())
        backlog = day == self.w.first_day
        r = random.Random(f"{day}")  # the same file each time
        if orders is None:
            orders = [(o, k) for o in self.orders if (k := o.known(end)) and (backlog or o.history[k - 1][0] >= start)]
            orders.sort(key=lambda x: x[0].created)
        if empty:
            orders = []
        refunds = [] if empty else [(f, k) for f in self.refunds if (k := sum(t <= end for t, _ in f.history)) and (backlog or f.history[k - 1][0] >= start)]
        first = min((o.created.date() for o, _ in orders), default=day) if backlog else day
        return [
            self._stores(day, version, end, r), self._products(day, version, end, r), self._orders(day, version, orders, first, r),
            self._refunds(day, version, refunds), self._accounts(day, version, end, r),
        ]  # fmt: skip

    def _name(self, dataset: str, day: date, version: int, suffix: str) -> str:
        return f"PM_LSN_{dataset}_{day:%Y%m%d}_v{version}.{suffix}"

    def _book(
        self, dataset: str, day: date, version: int, headings: Sequence[str], rows: list[Sequence[Any]], first: date, totals: dict[int, Any]
    ) -> tuple[str, bytes]:
        if len(rows) > XLSX_ROWS:
            stem = self._name(dataset, day, version, "zip")
            flat = [["" if v is None else (stamp(v) if isinstance(v, datetime) else (comma(v) if isinstance(v, float) else v)) for v in row] for row in rows]
            return stem, zipped(stem.removesuffix(".zip"), headings, flat, VOLUME_PART_ROWS)
        return self._name(dataset, day, version, "xlsx"), sheet(dataset, headings, rows, first, day, totals, day.day % 2 == 0)

    def _stores(self, day: date, version: int, end: datetime, r: random.Random) -> Rendered:
        on_sale: dict[int, int] = {}
        for p in self.products:
            if p.posted <= end and p.status(end) == "ON_SALE":
                on_sale[p.store] = on_sale.get(p.store, 0) + 1
        rows: list[Sequence[Any]] = []
        for n, s in self.stores:
            if s.registered > end:
                continue
            c = self.w.communes[s.commune]
            active = s.last_active(end)
            approved = s.approved if s.approved and s.approved <= end else None
            hamlet = (
                s.hamlet
                if r.random() < 0.8
                else r.choice([s.hamlet.replace("Thôn", "T."), s.hamlet.removeprefix("Thôn ").removeprefix("Khối "), s.hamlet.upper()])
            )
            rows.append((
                len(rows) + 1, s.code, s.name[:150], OWNER[s.owner_type], s.owner if r.random() < 0.8 else s.owner.upper(), phone_as_delivered(s.phone, r),
                "*********" + (s.phone or "000")[-3:], c.vnpost, c.district_name, c.name, hamlet, None, f"{s.registered:%d/%m/%Y}",
                f"{approved:%d/%m/%Y}" if approved else None, STORE_STATUS[s.status(end)], on_sale.get(n, 0),
                (active if r.random() < 0.1 else stamp(active)) if active else None, f"BD-{c.district_code}-{n % 9:02d}",
                f"https://langson.postmart.vn/gian-hang-{n}.html",
            ))  # fmt: skip
        name, content = self._book("GIANHANG", day, version, STORES, rows, day, {15: sum(int(row[15]) for row in rows)})
        return Rendered("GIANHANG", name, content, len(rows), None, None)

    def _products(self, day: date, version: int, end: datetime, r: random.Random) -> Rendered:
        rows = [
            (
                p.code, self.w.stores[p.store].code, p.name, p.category, p.unit, p.price, comma(p.grams / 1000), r.randrange(0, 300), "",
                f"{p.stars} sao" if p.stars else "", PRODUCT_STATUS[p.status(end)], stamp(p.posted), stamp(p.updated(end)),
            )
            for p in self.products if p.posted <= end
        ]  # fmt: skip
        stem = self._name("SANPHAM", day, version, "zip")
        return Rendered("SANPHAM", stem, zipped(stem.removesuffix(".zip"), PRODUCTS, list(rows), PRODUCT_PART_ROWS), len(rows), None, None)

    def _orders(self, day: date, version: int, orders: list[tuple[Order, int]], first: date, r: random.Random) -> Rendered:
        blocks = [self._block(n, o, k, r) for n, (o, k) in enumerate(orders, 1)]
        rows = [row for block in blocks for row in block]
        totals: dict[int, Any] = {
            12: round(sum(line.quantity for o, _ in orders for line in o.lines), 3),
            15: sum(o.goods for o, _ in orders),
            18: sum(o.total for o, _ in orders),
        }
        if len(rows) > XLSX_ROWS:  # the volume form fills the order's columns on every line
            rows = [[a if a is not None else b for a, b in zip(row, block[0], strict=True)] for block in blocks for row in block]
            rows = [[dotted(v) if i in (13, 14, 15, 16, 17, 18) and isinstance(v, int) else v for i, v in enumerate(row)] for row in rows]
        else:
            totals = {k: (comma(v) if isinstance(v, float) and v % 1 else dotted(int(v))) for k, v in totals.items()}
        name, content = self._book("DONHANG", day, version, ORDERS, rows, first, totals)
        return Rendered("DONHANG", name, content, len(rows), len(orders), sum(o.total for o, _ in orders))

    def _block(self, number: int, o: Order, known: int, r: random.Random) -> list[list[Any]]:
        """The rows of an order: its own columns on the first line only."""
        when, status, reason = o.history[known - 1]
        s = self.w.stores[o.store]
        delivered = next((t for t, state, _ in o.history[:known] if state == "DELIVERED"), None)
        paid = "Đã hoàn tiền" if status == "REFUNDED" else ("Đã thanh toán" if delivered or o.payment != "COD" else "Chưa thanh toán")
        waybill = f"EM{o.number:09d}VN" if known > 1 and status != "CANCELLED" else None

        def money(v: int) -> Any:
            return v if r.random() < 0.5 else dotted(v)

        def time_cell(t: datetime) -> Any:
            return t if r.random() < 0.1 else stamp(t)

        if status in ("CANCELLED", "RETURNED", "RETURNING", "REFUNDED") and not reason:
            reason = "Khác"
        if reason == "505":
            reason = "Phát thất bại"
        head = [
            number,
            o.code,
            time_cell(o.created),
            ORDER_STATUS[status],
            time_cell(when),
            reason if status in ("CANCELLED", "RETURNED", "RETURNING", "REFUNDED", "DELIVERY_FAILED") else None,
            s.code,
            s.name[:150],
            o.receiver,
        ]
        tail = [
            money(o.goods), money(o.seller_discount), money(o.shipping), money(o.total), PAYMENT[o.payment], paid, waybill, CARRIER.get(status) if waybill else None,
            time_cell(delivered) if delivered else None, r.choice(["Web", "App", "Bưu tá hỗ trợ"]),
        ]  # fmt: skip
        rows = []
        for k, line in enumerate(o.lines):
            p = self.w.products[line.product]
            quantity: Any = line.quantity if line.quantity % 1 == 0 or r.random() < 0.5 else comma(line.quantity)
            detail = [p.code, p.name, p.unit, quantity, money(line.price), money(line.amount)]
            rows.append([*head, *detail, *tail] if k == 0 else [None] * 9 + detail + [None] * 10)
        return rows

    def _refunds(self, day: date, version: int, refunds: list[Any]) -> Rendered:
        rows = []
        for f, k in refunds:
            when, status = f.history[k - 1]
            done = stamp(when) if status == "DONE" else ""
            product = "" if f.line is None else self.w.products[self.w.orders[f.order].lines[f.line].product].code
            rows.append(
                (f.code, self.w.orders[f.order].code, product, REFUND_KIND[f.kind], "", f.amount, f.reason, stamp(f.history[0][0]), done, REFUND_STATUS[status])
            )
        return Rendered("HOANTRA", self._name("HOANTRA", day, version, "csv"), text_file(REFUNDS, rows), len(rows), 0, sum(f.amount for f, _ in refunds))

    def _accounts(self, day: date, version: int, end: datetime, r: random.Random) -> Rendered:
        stores: dict[str, Store] = {s.phone: s for _, s in self.stores if s.phone}
        rows: list[Sequence[Any]] = []
        for a in self.accounts:
            if a.opened > end:
                continue
            c = self.w.communes[a.commune]
            linked = stores.get(a.phone)
            rows.append((
                len(rows) + 1, a.ref, phone_key(a.phone), ACCOUNT_KIND[a.kind], f"{a.opened:%d/%m/%Y}", a.level, f"{a.identified:%d/%m/%Y}" if a.identified else None,
                ACCOUNT_STATUS[a.status], "Có" if a.kind == "LINKED" else "Không", c.vnpost, c.name, a.hamlet if r.random() < 0.9 else None,
                linked.code if linked and linked.registered <= end else None, f"{a.first_used:%d/%m/%Y}" if a.first_used else None,
            ))  # fmt: skip
        name, content = self._book("TAIKHOANTT", day, version, ACCOUNTS, rows, day, {})
        return Rendered("TAIKHOANTT", name, content, len(rows), None, None)

    def month(self, month: date) -> bytes:
        """The full file of a month: all orders created or changed in it (§9.1)."""
        last = (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        end = datetime.combine(last, time(23, 59, 59))
        orders = [(o, k) for o in self.orders if (k := o.known(end)) and o.history[k - 1][0] >= datetime.combine(month, time())]
        blocks = [self._block(n, o, k, random.Random(str(month))) for n, (o, k) in enumerate(orders, 1)]
        rows = [
            ["" if v is None else (stamp(v) if isinstance(v, datetime) else v) for v in (a if a is not None else b for a, b in zip(row, block[0], strict=True))]
            for block in blocks
            for row in block
        ]
        return zipped(f"PM_LSN_THANG_{month:%Y%m}_v1", ORDERS, rows, VOLUME_PART_ROWS)

    # ---- the folder of a day ----

    def folder(self, day: date) -> list[Drop]:
        """Everything that comes to lie in the day's folder, and when."""
        struck = {f.name: f for f in self.faults if f.day == day}
        morning = datetime.combine(day + timedelta(days=1), time(1, 41))
        wallet = datetime.combine(day + timedelta(days=1), time(3, 10))
        if "F06" in struck:
            morning = wallet = datetime.combine(day + timedelta(days=1), time(5))
        if "F07" in struck:
            morning = wallet = datetime.combine(day + timedelta(days=3), time(5, 30))
        files = self.day(day, empty="F08" in struck)
        declared = files
        if "F09" in struck:
            bare = self.day(day, orders=[], empty=True)
            by = {f.dataset: f for f in bare}
            files = [by[f.dataset] if f.dataset == struck["F09"].dataset else f for f in files]
            declared = [replace(f, rows=g.rows, orders=g.orders, control=g.control) for f, g in zip(files, declared, strict=True)]
        drops: list[Drop] = []
        main = [f for f in declared if f.dataset != "TAIKHOANTT"]
        drops += self._group(day, 1, "", main, morning, struck)
        drops += self._group(day, 1, "TAIKHOANTT_", [f for f in declared if f.dataset == "TAIKHOANTT"], wallet, struck)
        if "F10" in struck:
            drops += self._group(day, 2, "", self.again(day), datetime.combine(day + timedelta(days=1), time(10)), {}, "Sửa giảm giá và rút một đơn")
        return drops

    def again(self, day: date) -> list[Rendered]:
        """Version 2 of a day's orders: the first order is withdrawn, the next one gets a discount (F10)."""
        end = datetime.combine(day + timedelta(days=1), time()) - timedelta(seconds=1)
        start = datetime.combine(day, time())
        orders = sorted(((o, k) for o in self.orders if (k := o.known(end)) and o.history[k - 1][0] >= start), key=lambda x: x[0].created)[1:]
        if orders:
            o, k = orders[0]
            orders[0] = (replace(o, seller_discount=o.seller_discount + 1_000), k)
        return [f for f in self.day(day, 2, orders) if f.dataset == "DONHANG"]

    def _group(self, day: date, version: int, word: str, files: list[Rendered], at: datetime, struck: dict[str, Fault], reason: str = "") -> list[Drop]:
        drops, lines, ready = [], [], at
        for k, f in enumerate(files):
            content, when = f.content, at + timedelta(seconds=2 * k)
            lines.append((
                f.name, f.dataset, f"{day:%d/%m/%Y}", version, len(f.content), hashlib.sha256(f.content).hexdigest(), f.rows, "" if f.orders is None else f.orders,
                "" if f.control is None else f.control, reason, stamp(when),
            ))  # fmt: skip
            for name in ("F01", "F02"):
                if name in struck and struck[name].dataset == f.dataset:
                    content = content[:-30] if name == "F01" else content[: len(content) // 2]
            if "F04" in struck and struck["F04"].dataset == f.dataset:
                ready = at + timedelta(hours=2)
                drops.append(Drop(when, f"{f.name}.part", content[: len(content) // 2], until=ready))
                when = ready
            if "F05" in struck and struck["F05"].dataset == f.dataset:
                when = at + timedelta(minutes=45)
            drops.append(Drop(when, f.name, content))
        drops.append(Drop(ready + timedelta(minutes=1), f"MANIFEST_{word}{day:%Y%m%d}_v{version}.csv", text_file(MANIFEST, lines)))
        drops.append(Drop(ready + timedelta(minutes=2), f"PM_LSN_{word}{day:%Y%m%d}_v{version}.ok", b""))
        return drops


def days(world: World, now: datetime) -> Iterator[date]:
    """Business days whose folder is still there: 35 days back."""
    day = max(world.first_day, (now - timedelta(days=35)).date())
    while day < now.date():
        yield day
        day += timedelta(days=1)


class Outbox:
    """The folder tree that the SFTP server shows, brought up to the clock. Days are rendered once and kept beside it."""

    def __init__(self, postmart: Postmart, root: Path, kept: Path) -> None:
        self.postmart, self.root, self.kept = postmart, root, kept
        (root / "langson" / "inbox").mkdir(parents=True, exist_ok=True)
        (root / "langson" / "outbox").mkdir(parents=True, exist_ok=True)
        self._folders: dict[date, list[tuple[datetime, str, Path, datetime | None]]] = {}

    def render(self, day: date) -> list[tuple[datetime, str, Path, datetime | None]]:
        """Files of the day's folder on disk, not shown yet."""
        if day not in self._folders:
            folder = self.kept / f"{day:%Y%m%d}"
            folder.mkdir(parents=True, exist_ok=True)
            plan = []
            for n, drop in enumerate(self.postmart.folder(day)):
                path = folder / f"{n:02d}-{drop.name}"
                path.write_bytes(drop.content)
                plan.append((drop.at, drop.name, path, drop.until))
            self._folders[day] = plan
        return self._folders[day]

    def refresh(self, now: datetime) -> None:
        """Show what has come by ``now``, hide what has not or has gone."""
        import os

        from simulators.clock import aware

        outbox = self.root / "langson" / "outbox"
        alive = {f"{d:%Y%m%d}": d for d in days(self.postmart.w, now)}
        for folder in outbox.iterdir():
            if folder.is_dir() and folder.name not in alive:
                for f in folder.iterdir():
                    f.unlink()
                folder.rmdir()
        for name, day in alive.items():
            folder = outbox / name
            for at, file_name, path, until in self.render(day):
                target = folder / file_name
                visible = at <= now and (until is None or now < until)
                if visible and not target.exists():
                    folder.mkdir(exist_ok=True)
                    partial = folder / f".{file_name}.tmp"
                    partial.write_bytes(path.read_bytes())
                    moment = aware(at).timestamp()
                    os.utime(partial, (moment, moment))
                    os.replace(partial, target)
                elif not visible and target.exists():
                    target.unlink()
        fifth = now.replace(day=5, hour=2, minute=0, second=0)
        month = (fifth.replace(day=1) - timedelta(days=1)).replace(day=1).date()
        monthly = outbox / f"{fifth:%Y%m%d}" / f"PM_LSN_THANG_{month:%Y%m}_v1.zip"
        if now >= fifth and fifth.date() > self.postmart.w.first_day and not monthly.exists():
            monthly.parent.mkdir(exist_ok=True)
            monthly.write_bytes(self.postmart.month(month))
