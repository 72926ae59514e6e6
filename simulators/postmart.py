"""Postmart's nightly files A1–A5 with manifests and markers, as the contract says (§9): what lies in the outbox at which moment."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from simulators.clock import aware
from simulators.faults import Fault, Struck, deliveries, files, rows
from simulators.faults.scene import Scene
from simulators.issues import Drop, Issue
from simulators.keys import phone_key
from simulators.tables import VOLUME_PART_ROWS, Block, Rendered, Table, comma, dotted, render, stamp, zipped
from simulators.world import Order, Refund, Store, World

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


def phone_as_delivered(phone: str, r: random.Random) -> Any:
    """A phone in one of the shapes in which it arrives (§9.3, column F)."""
    bare = phone[1:]
    return r.choice([phone, phone, phone, phone, int(bare), f"84{bare}", f"+84 {bare[:3]} {bare[3:6]} {bare[6:]}", f"{bare}.0"])


class Postmart:
    """Renders business days of a world, with what ``faults`` strikes."""

    def __init__(self, world: World, faults: Sequence[Fault] = ()) -> None:
        self.w, self.faults = world, faults
        self.stores = [(n, s) for n, s in enumerate(world.stores) if s.platform == "PM"]
        self.products = [p for p in world.products if p.platform == "PM"]
        self.orders = [o for o in world.orders if o.platform == "PM"]
        self.accounts = [a for a in world.accounts if a.platform == "PM"]
        self.refunds = [f for f in world.refunds if f.platform == "PM"]

    # ---- datasets ----

    def day(self, day: date, version: int = 1) -> list[Rendered]:
        """A1–A5 of a day, without faults; the first day of all holds everything up to it."""
        return [render(t) for t in self.tables(day, version)]

    def tables(self, day: date, version: int = 1) -> list[Table]:
        """A1–A5 of a day before they are written."""
        end = datetime.combine(day + timedelta(days=1), time()) - timedelta(seconds=1)
        start = datetime.combine(day, time())
        backlog = day == self.w.first_day
        r = random.Random(f"{day}")  # the same file each time
        orders = [(o, k) for o in self.orders if (k := o.known(end)) and (backlog or o.history[k - 1][0] >= start)]
        orders.sort(key=lambda x: x[0].created)
        refunds = [(f, k) for f in self.refunds if (k := sum(t <= end for t, _ in f.history)) and (backlog or f.history[k - 1][0] >= start)]
        first = min((o.created.date() for o, _ in orders), default=day) if backlog else day
        return [
            self._stores(day, version, end, r), self._products(day, version, end, r), self._orders(day, version, orders, first, r),
            self._refunds(day, version, refunds), self._accounts(day, version, end, r),
        ]  # fmt: skip

    def _stores(self, day: date, version: int, end: datetime, r: random.Random) -> Table:
        on_sale: dict[int, int] = {}
        for p in self.products:
            if p.posted <= end and p.status(end) == "ON_SALE":
                on_sale[p.store] = on_sale.get(p.store, 0) + 1
        rows: list[list[Any]] = []
        for n, s in self.stores:
            if s.registered > end:
                continue
            c = self.w.told(s.commune, s.hamlet, day)
            active = s.last_active(end)
            approved = s.approved if s.approved and s.approved <= end else None
            hamlet = (
                s.hamlet
                if r.random() < 0.8
                else r.choice([s.hamlet.replace("Thôn", "T."), s.hamlet.removeprefix("Thôn ").removeprefix("Khối "), s.hamlet.upper()])
            )
            rows.append([
                len(rows) + 1, s.code, s.name[:150], OWNER[s.owner_type], s.owner if r.random() < 0.8 else s.owner.upper(), phone_as_delivered(s.phone, r),
                "*********" + (s.phone or "000")[-3:], c.vnpost, c.district_name, c.name, hamlet, None, f"{s.registered:%d/%m/%Y}",
                f"{approved:%d/%m/%Y}" if approved else None, STORE_STATUS[s.status(end)], on_sale.get(n, 0),
                (active if r.random() < 0.1 else stamp(active)) if active else None, f"BD-{self.w.communes[s.commune].district_code}-{n % 9:02d}",
                f"https://langson.postmart.vn/gian-hang-{n}.html",
            ])  # fmt: skip
        return Table("GIANHANG", day, version, list(STORES), [Block(str(row[1]), [row], sums={STORES[15]: row[15]}) for row in rows], day)

    def _products(self, day: date, version: int, end: datetime, r: random.Random) -> Table:
        rows = [
            [
                p.code, self.w.stores[p.store].code, p.name, p.category, p.unit, p.price, comma(p.grams / 1000), r.randrange(0, 300), "",
                f"{p.stars} sao" if p.stars else "", PRODUCT_STATUS[p.status(end)], stamp(p.posted), stamp(p.updated(end)),
            ]
            for p in self.products if p.posted <= end
        ]  # fmt: skip
        return Table("SANPHAM", day, version, list(PRODUCTS), [Block(row[0], [row]) for row in rows], day)

    def _orders(self, day: date, version: int, orders: list[tuple[Order, int]], first: date, r: random.Random) -> Table:
        blocks = [self.block(n, o, k, r) for n, (o, k) in enumerate(orders, 1)]
        return Table("DONHANG", day, version, list(ORDERS), blocks, first, control="Tổng thanh toán")

    def block(self, number: int, o: Order, known: int, r: random.Random) -> Block:
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
        sums = {"Số lượng": round(sum(line.quantity for line in o.lines), 3), "Tổng tiền hàng": o.goods, "Tổng thanh toán": o.total}
        return Block(o.code, rows, sums)

    def _refunds(self, day: date, version: int, refunds: list[tuple[Refund, int]]) -> Table:
        blocks = []
        for f, k in refunds:
            when, status = f.history[k - 1]
            done = stamp(when) if status == "DONE" else ""
            product = "" if f.line is None else self.w.products[self.w.orders[f.order].lines[f.line].product].code
            row = [
                f.code,
                self.w.orders[f.order].code,
                product,
                REFUND_KIND[f.kind],
                "",
                f.amount,
                f.reason,
                stamp(f.history[0][0]),
                done,
                REFUND_STATUS[status],
            ]
            blocks.append(Block(f.code, [row], {"Số tiền hoàn": f.amount}))
        return Table("HOANTRA", day, version, list(REFUNDS), blocks, day, control="Số tiền hoàn")

    def _accounts(self, day: date, version: int, end: datetime, r: random.Random) -> Table:
        stores: dict[str, Store] = {s.phone: s for _, s in self.stores if s.phone}
        rows: list[list[Any]] = []
        for a in self.accounts:
            if a.opened > end:
                continue
            c = self.w.told(a.commune, a.hamlet, day)
            linked = stores.get(a.phone)
            rows.append([
                len(rows) + 1, a.ref, phone_key(a.phone), ACCOUNT_KIND[a.kind], f"{a.opened:%d/%m/%Y}", a.level, f"{a.identified:%d/%m/%Y}" if a.identified else None,
                ACCOUNT_STATUS[a.status], "Có" if a.kind == "LINKED" else "Không", c.vnpost, c.name, a.hamlet if r.random() < 0.9 else None,
                linked.code if linked and linked.registered <= end else None, f"{a.first_used:%d/%m/%Y}" if a.first_used else None,
            ])  # fmt: skip
        return Table("TAIKHOANTT", day, version, list(ACCOUNTS), [Block(row[1], [row]) for row in rows], day)

    def month(self, month: date) -> bytes:
        """The full file of a month: all orders created or changed in it (§9.1)."""
        last = (month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        end = datetime.combine(last, time(23, 59, 59))
        orders = [(o, k) for o in self.orders if (k := o.known(end)) and o.history[k - 1][0] >= datetime.combine(month, time())]
        blocks = [self.block(n, o, k, random.Random(str(month))) for n, (o, k) in enumerate(orders, 1)]
        rows = [
            [
                "" if v is None else (stamp(v) if isinstance(v, datetime) else comma(v) if isinstance(v, float) else v)
                for v in (a if a is not None else b for a, b in zip(row, block.rows[0], strict=True))
            ]
            for block in blocks
            for row in block.rows
        ]
        return zipped(f"PM_LSN_THANG_{month:%Y%m}_v1", Table("DONHANG", last, 1, list(ORDERS), blocks, month), rows, VOLUME_PART_ROWS)

    # ---- the folder of a day ----

    def folder(self, day: date, on: Sequence[Fault] | None = None) -> tuple[list[Drop], list[Struck]]:
        """Everything that comes to lie in the day's folder, and when; and what the faults of the day struck."""
        on = [f for f in (self.faults if on is None else on) if f.day == day]
        scene = Scene(self, day)
        tables = self.tables(day)
        for f in on:
            for table in (t for t in tables if f.name in rows.STRIKE and f.strikes(t.dataset)):
                rows.STRIKE[f.name](table, f, scene)
        made = [render(t) for t in tables]
        for f in on:
            made = [files.CONTENT[f.name](g, f, scene) if f.name in files.CONTENT and f.strikes(g.dataset) else g for g in made]
        morning, wallet = (datetime.combine(day + timedelta(days=1), t) for t in (time(1, 41), time(3, 10)))
        issues = [
            Issue(day, 1, "", [f for f in made if f.dataset != "TAIKHOANTT"], morning),
            Issue(day, 1, "TAIKHOANTT_", [f for f in made if f.dataset == "TAIKHOANTT"], wallet),
        ]
        for f in on:
            if f.name in deliveries.ISSUES:
                deliveries.ISSUES[f.name](issues, f, scene)
        drops = [drop for issue in issues for drop in issue.drops()]
        for f in on:
            if f.name in deliveries.LYING:
                deliveries.LYING[f.name](drops, f, scene)
        return drops, scene.struck

    def _group(self, day: date, version: int, word: str, files: list[Rendered], at: datetime, struck: Mapping[str, Fault], reason: str = "") -> list[Drop]:
        return Issue(day, version, word, files, at, reason).drops()


def days(world: World, now: datetime) -> Iterator[date]:
    """Business days whose folder is still there: 35 days back."""
    day = max(world.first_day, (now - timedelta(days=35)).date())
    while day < now.date():
        yield day
        day += timedelta(days=1)


class Outbox:
    """The folder tree that the SFTP server shows, brought up to the clock and to the faults that are on. Days are rendered once and kept beside it."""

    def __init__(self, postmart: Postmart, root: Path, kept: Path, on: Callable[[], Sequence[Fault]] = tuple) -> None:
        self.postmart, self.root, self.kept, self.on = postmart, root, kept, on
        (root / "langson" / "inbox").mkdir(parents=True, exist_ok=True)
        (root / "langson" / "outbox").mkdir(parents=True, exist_ok=True)
        self._plans: dict[date, tuple[tuple[str, ...], list[tuple[Drop, Path]]]] = {}
        self._shown: dict[Path, Path] = {}
        self._one = threading.Lock()

    def render(self, day: date) -> list[tuple[Drop, Path]]:
        """Files of the day's folder on disk, not shown yet; anew where other faults of the day are on than before."""
        on = [f for f in self.on() if f.day == day]
        with self._one:
            if day not in self._plans or self._plans[day][0] != tuple(map(str, on)):
                folder = self.kept / f"{day:%Y%m%d}" / f"{len(list((self.kept / f'{day:%Y%m%d}').glob('*'))):03d}"
                folder.mkdir(parents=True)
                drops, _ = self.postmart.folder(day, on)
                plan = []
                for n, drop in enumerate(drops):
                    path = folder / f"{n:02d}-{drop.name}"
                    path.write_bytes(drop.content)
                    plan.append((replace(drop, content=b""), path))
                self._plans[day] = tuple(map(str, on)), plan
            return self._plans[day][1]

    def refresh(self, now: datetime) -> None:
        """Show what has come by ``now``, hide what has not or has gone."""
        outbox = self.root / "langson" / "outbox"
        alive = {f"{d:%Y%m%d}": d for d in days(self.postmart.w, now)}
        for folder in outbox.iterdir():
            if folder.is_dir() and folder.name not in alive:
                for f in folder.iterdir():
                    f.unlink()
                folder.rmdir()
        for name, day in alive.items():
            plan = self.render(day)
            shown = {outbox / name / drop.name: (drop, path) for drop, path in plan if drop.lies(now)}  # what comes later lies over what came first
            for target in {outbox / name / drop.name for drop, _ in plan} | {t for t in self._shown if t.parent == outbox / name}:
                if target not in shown:
                    target.unlink(missing_ok=True)
                    self._shown.pop(target, None)
            for target, (drop, path) in shown.items():
                self._show(target, path, aware(drop.modified or drop.at).timestamp())
        fifth = now.replace(day=5, hour=2, minute=0, second=0)
        month = (fifth.replace(day=1) - timedelta(days=1)).replace(day=1).date()
        monthly = outbox / f"{fifth:%Y%m%d}" / f"PM_LSN_THANG_{month:%Y%m}_v1.zip"
        if now >= fifth and fifth.date() > self.postmart.w.first_day and not monthly.exists():
            monthly.parent.mkdir(exist_ok=True)
            monthly.write_bytes(self.postmart.month(month))

    def _show(self, target: Path, path: Path, moment: float) -> None:
        if self._shown.get(target) == path and target.exists():
            return
        target.parent.mkdir(exist_ok=True)
        partial = target.with_name(f".{target.name}.tmp")
        partial.write_bytes(path.read_bytes())
        os.utime(partial, (moment, moment))
        os.replace(partial, target)
        self._shown[target] = path
