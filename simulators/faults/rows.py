"""Faults in what a file of Postmart says: headings, rows, values. They strike the table, so the manifest is right for the faulty file."""

from __future__ import annotations

import copy
import random
import re
import unicodedata
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from simulators.faults import text
from simulators.faults.scene import Scene
from simulators.faults.switch import Fault
from simulators.tables import MONEY, Block, Table, comma, dotted, stamp

Strike = Callable[[Table, Fault, Scene], None]
STRIKE: dict[str, Strike] = {}
DELIVERED = ("Đã giao", "Hoàn thành")
#: A column of each dataset that it cannot be without.
RENAMED = {
    "DONHANG": ("Tổng thanh toán", "Tổng tiền"), "GIANHANG": ("Trạng thái gian hàng", "Trạng thái"), "SANPHAM": ("Giá bán", "Đơn giá bán"),
    "HOANTRA": ("Số tiền hoàn", "Tiền hoàn"), "TAIKHOANTT": ("Mức định danh", "Mức eKYC"),
}  # fmt: skip
DATES = ("Ngày đặt hàng", "Ngày cập nhật trạng thái", "Ngày giao thành công", "Ngày đăng ký", "Ngày duyệt", "Ngày hoạt động gần nhất", "Ngày mở", "Ngày định danh",
         "Ngày giao dịch đầu tiên", "Ngày đăng", "Ngày cập nhật", "Ngày yêu cầu", "Ngày hoàn tất")  # fmt: skip
NUMBERS = ("STT", "Số lượng", "Đơn giá", "Thành tiền", "Số sản phẩm đang bán", "Mức định danh", "Mã trạng thái VC", "Tồn kho", "Giá bán", "Số tiền hoàn")
LOST_ZEROS = ("Mã xã (VNPost)", "Mã sản phẩm", "Số điện thoại")


def strikes(name: str) -> Callable[[Strike], Strike]:
    """Register what a fault does to a table."""

    def register(f: Strike) -> Strike:
        STRIKE[name] = f
        return f

    return register


# ---- headings (F13–F17, F81) ----


def insert(t: Table, at: int, heading: str, value: Any = None) -> None:
    """A column at ``at``; group headings move with it."""
    t.headings.insert(at, heading)
    t.groups = [(a + (a >= at), b + (b >= at), words) for a, b, words in t.groups]
    for row in t.rows:
        row.insert(at, value)


@strikes("F13")
def extra_column(t: Table, f: Fault, scene: Scene) -> None:
    insert(t, len(t.headings), "Ghi chú nội bộ", "nội bộ")
    scene.note(f, t.dataset, "file")


@strikes("F14")
def moved_columns(t: Table, f: Fault, scene: Scene) -> None:
    if f.value == "swap":
        for row in [t.headings, *t.rows]:
            row[3], row[4] = row[4], row[3]
    else:
        insert(t, 3, "Ghi chú")
    scene.note(f, t.dataset, "file")


@strikes("F15")
def renamed_column(t: Table, f: Fault, scene: Scene) -> None:
    old, new = RENAMED[t.dataset]
    t.headings[t.column(old)] = new
    t.control = new if t.control == old else t.control
    for block in t.blocks:
        block.sums = {new if h == old else h: v for h, v in block.sums.items()}
    scene.note(f, t.dataset, "file")


@strikes("F16")
def look_alike(t: Table, f: Fault, scene: Scene) -> None:
    heading = RENAMED[t.dataset][0]
    twin = re.sub(r" (\w)", lambda m: " " + m[1].upper(), heading, count=1)
    if f.value == "inside":
        t.headings[t.column(heading) - 1] = twin
    else:
        insert(t, len(t.headings), twin, 0)
    scene.note(f, t.dataset, "file")


@strikes("F17")
def decomposed(t: Table, f: Fault, scene: Scene) -> None:
    def nfd(value: Any) -> Any:
        return unicodedata.normalize("NFD", value) if isinstance(value, str) else value

    t.control = nfd(t.control)
    t.headings = [nfd(h) for h in t.headings]
    for block in t.blocks:
        block.rows = [[nfd(v) for v in row] for row in block.rows]
        block.sums = {nfd(h): v for h, v in block.sums.items()}
    scene.note(f, t.dataset, "file")


@strikes("F81")
def missing_column(t: Table, f: Fault, scene: Scene) -> None:
    at = t.column(f.value or {"DONHANG": "Phí vận chuyển"}.get(t.dataset, RENAMED[t.dataset][0]))
    gone = t.headings.pop(at)
    t.groups = [(a - (a > at), b - (b >= at), words) for a, b, words in t.groups if (a, b) != (at, at)]
    for row in t.rows:
        del row[at]
    for block in t.blocks:
        block.sums.setdefault(gone, 0)
    scene.note(f, t.dataset, "file")


# ---- how the text is written (F18–F20, F27, F68, F69) ----


@strikes("F18")
def wrong_encoding(t: Table, f: Fault, scene: Scene) -> None:
    t.encode = text.mojibake if f.value == "mojibake" else text.cp1258
    scene.note(f, t.dataset, "file")


@strikes("F19")
def other_unicode(t: Table, f: Fault, scene: Scene) -> None:
    t.encode = text.utf16 if f.value == "utf-16" else text.without_bom
    scene.note(f, t.dataset, "file")


@strikes("F20")
def commas(t: Table, f: Fault, scene: Scene) -> None:
    t.separator = ","
    scene.note(f, t.dataset, "file")


@strikes("F27")
def part_missing(t: Table, f: Fault, scene: Scene) -> None:
    """Three parts are made, whatever the size, and the second (or ``value``) is left out of the ZIP; the manifest counts all."""
    t.part_rows, t.missing_part = max(1, -(-len(t.rows) // 3)), f.number(2)
    scene.note(f, t.dataset, "withdrawn", [b.key for b in t.blocks[(t.missing_part - 1) * t.part_rows : t.missing_part * t.part_rows]])


@strikes("F68")
def tcvn3(t: Table, f: Fault, scene: Scene) -> None:
    """A CSV is wholly in TCVN3; in a workbook the values are, as a sheet shows them that was pasted from .VnTime."""
    if t.dataset in ("HOANTRA", "SANPHAM"):
        t.encode = text.tcvn3
    else:
        for block in t.blocks:
            block.rows = [[text.tcvn3(v).decode("latin-1") if isinstance(v, str) else v for v in row] for row in block.rows]
    scene.note(f, t.dataset, "file")


@strikes("F69")
def line_break(t: Table, f: Fault, scene: Scene) -> None:
    """Legitimate: it must load."""
    column = t.column({"SANPHAM": "Tên sản phẩm", "HOANTRA": "Lý do"}.get(t.dataset, t.headings[2]))
    hit = t.blocks[: f.of(len(t.blocks), "2")]
    for block in hit:
        block.rows[0][column] = f'{block.rows[0][column]}\nhàng mới; "loại 1"'
    scene.note(f, t.dataset, "changed", [b.key for b in hit], {b.key: {t.headings[column]: b.rows[0][column]} for b in hit})


# ---- rows that come, go or repeat (F08, F09, F23, F28–F30, F51, F84, F87, F89) ----


def drop(t: Table, gone: list[Block]) -> None:
    """Without these blocks; the running number is made anew."""
    out = {id(b) for b in gone}
    t.blocks = [b for b in t.blocks if id(b) not in out]
    renumber(t)


def renumber(t: Table) -> None:
    """STT from 1."""
    if t.headings[0] == "STT":
        for n, block in enumerate(t.blocks, 1):
            block.rows[0][0] = n


def clone(t: Table, block: Block, key: str) -> Block:
    """A copy of a block under another key, at the end."""
    new = copy.deepcopy(block)
    new.key = key
    for row in new.rows:
        if row[KEY[t.dataset]] is not None:
            row[KEY[t.dataset]] = key
    if "Số sản phẩm đang bán" in t.headings:  # a store that is made up sells nothing
        put(t, new, "Số sản phẩm đang bán", 0)
        new.sums["Số sản phẩm đang bán"] = 0
    t.blocks.append(new)
    renumber(t)
    return new


KEY = {"GIANHANG": 1, "SANPHAM": 0, "DONHANG": 1, "HOANTRA": 0, "TAIKHOANTT": 1}


def expendable(t: Table, scene: Scene) -> list[Block]:
    """Blocks in the order in which they may go: open stores that sell nothing first, so that no product or order loses its store."""
    if t.dataset != "GIANHANG":
        return t.blocks
    stores = scene.world.stores
    busy = {stores[p.store].code for p in scene.postmart.products} | {stores[o.store].code for o in scene.postmart.orders}
    return sorted(t.blocks, key=lambda b: (b.key in busy, get(t, b, "Trạng thái gian hàng") != "Hoạt động"))


@strikes("F08")
def empty_day(t: Table, f: Fault, scene: Scene) -> None:
    if t.dataset in ("DONHANG", "HOANTRA"):
        scene.note(f, t.dataset, "withdrawn", [b.key for b in t.blocks])
        t.blocks = []


@strikes("F09")
def emptied(t: Table, f: Fault, scene: Scene) -> None:
    rows, orders, control = t.figures()
    t.declared = (rows or 240, orders if rows or orders is None else 240, control)
    scene.note(f, t.dataset, "withdrawn", [b.key for b in t.blocks])
    t.blocks = []


@strikes("F23")
def notes_as_rows(t: Table, f: Fault, scene: Scene) -> None:
    """A sub-total `Cộng` in the middle, `Tổng cộng` and the signatures right below the data; the manifest counts none of them."""
    width, half = len(t.headings), len(t.blocks) // 2
    sums = t.totals()

    def line(words: str) -> list[Any]:
        row: list[Any] = [None] * width
        for column, value in sums.items():
            row[column] = value
        row[0] = words
        return row

    def signature(words: str) -> list[Any]:
        return [words] + [None] * (width - 1)

    t.notes += [
        (half, line("Cộng")),
        (len(t.blocks), line("Tổng cộng")),
        (len(t.blocks), signature("Người lập biểu")),
        (len(t.blocks), signature("Nguyễn Văn An")),
    ]
    scene.note(f, t.dataset, "file")


@strikes("F28")
def line_lost(t: Table, f: Fault, scene: Scene) -> None:
    """The last line of an order is missing; an order of one line has a smaller quantity instead."""
    several = sorted(t.blocks, key=lambda b: len(b.rows) < 2)
    hit = several[: f.of(len(several))]
    for block in hit:
        if len(block.rows) > 1:
            block.rows.pop()
        else:
            block.rows[0][t.column("Thành tiền")] = 1_000
            block.rows[0][t.column("Đơn giá")] = 1_000
            block.rows[0][t.column("Số lượng")] = 1
    scene.note(f, t.dataset, "damaged", [b.key for b in hit])


@strikes("F29")
def repeated(t: Table, f: Fault, scene: Scene) -> None:
    """The first blocks once more (``value`` conflict: with another discount or value)."""
    conflict = f.value == "conflict"
    hit = t.blocks[: 1 if conflict else f.of(len(t.blocks))]
    for block in hit:
        twin = copy.deepcopy(block)
        if conflict:
            alter(t, twin, scene)
        t.blocks.append(twin)
    scene.note(f, t.dataset, "repeated", [b.key for b in hit], {b.key: {"conflict": conflict} for b in hit})


@strikes("F30")
def vanished(t: Table, f: Fault, scene: Scene) -> None:
    hit = expendable(t, scene)[: f.of(len(t.blocks))]
    drop(t, hit)
    scene.note(f, t.dataset, "withdrawn", [b.key for b in hit])


@strikes("F89")
def fewer(t: Table, f: Fault, scene: Scene) -> None:
    """Every other row from the end until 40 % (or ``value``) are gone; what is left is valid."""
    hit = t.blocks[::-2][: f.of(len(t.blocks), "40%")]
    drop(t, hit)
    scene.note(f, t.dataset, "withdrawn", [b.key for b in hit])


@strikes("F51")
def test_data(t: Table, f: Fault, scene: Scene) -> None:
    """An order 123456789101112, or a store of `KHACH HANG TEST`."""
    if not t.blocks:
        return
    if t.dataset == "DONHANG":
        key = clone(t, t.blocks[0], "123456789101112").key
    else:
        new = clone(t, t.blocks[0], "PMS9999999")
        put(t, new, "Tên gian hàng", "KHACH HANG TEST")
        put(t, new, "Họ tên chủ hộ", "Khách hàng Test")
        put(t, new, "Số điện thoại", "0900999999")
        key = new.key
    scene.note(f, t.dataset, "added", [key])


@strikes("F84")
def unknown_household(t: Table, f: Fault, scene: Scene) -> None:
    """New stores of people whom no register has."""
    added = []
    for n in range(f.number(1)):
        new = clone(t, t.blocks[n % len(t.blocks)], f"PMS88888{n:02d}")
        for heading, value in (
            ("Loại chủ thể", "Hộ gia đình"),
            ("Họ tên chủ hộ", f"Người Chưa Biết {n}"),
            ("Số điện thoại", f"0900888{n:03d}"),
            ("Trạng thái gian hàng", "Hoạt động"),
        ):
            put(t, new, heading, value)
        added.append(new)
    scene.note(f, t.dataset, "added", [b.key for b in added])


@strikes("F87")
def on_both(t: Table, f: Fault, scene: Scene) -> None:
    """A household with a store at Vỏ Sò opens one at Postmart too."""
    mine = {s.phone for _, s in scene.postmart.stores}
    other = next(
        s
        for s in scene.world.stores
        if s.platform == "VS" and s.phone and s.phone not in mine and s.status(scene.end) == "ACTIVE" and s.owner_type == "HOUSEHOLD"
    )
    new = clone(t, t.blocks[0], "PMS7777777")
    c = scene.world.communes[other.commune]
    for heading, value in (
        ("Loại chủ thể", "Hộ gia đình"), ("Họ tên chủ hộ", other.owner), ("Số điện thoại", other.phone), ("Mã xã (VNPost)", c.vnpost), ("Tên huyện", c.district_name),
        ("Tên xã", c.name), ("Thôn/Bản/Khối phố", other.hamlet), ("Trạng thái gian hàng", "Hoạt động"),
    ):  # fmt: skip
        put(t, new, heading, value)
    scene.note(f, t.dataset, "added", [new.key], {new.key: {"other store": other.code}})


# ---- values (F24–F26, F43, F46, F49, F77, F78, F83, F85, F86, F88) ----


def put(t: Table, block: Block, heading: str, value: Any) -> None:
    """A value in the first row of a block."""
    block.rows[0][t.column(heading)] = value


def get(t: Table, block: Block, heading: str) -> Any:
    """A value of the first row of a block."""
    return block.rows[0][t.column(heading)]


def whole(value: Any) -> int:
    """Money or a count as written, as a whole number."""
    return int(str(value).split(",")[0].replace(".", "")) if isinstance(value, str) else int(value)


def alter(t: Table, block: Block, scene: Scene) -> dict[str, Any]:
    """Another value that is as valid: an order's discount, a refund's amount, a store's or product's or account's status; gives what it says."""
    if t.dataset == "DONHANG":
        discount, total = whole(get(t, block, "Giảm giá")), whole(get(t, block, "Tổng thanh toán"))
        says: dict[str, Any] = {"Giảm giá": discount + 1_000, "Tổng thanh toán": total - 1_000}
        block.sums["Tổng thanh toán"] = total - 1_000
    elif t.dataset == "HOANTRA":
        says = {"Số tiền hoàn": whole(get(t, block, "Số tiền hoàn")) - 1_000}
        block.sums["Số tiền hoàn"] = says["Số tiền hoàn"]
    elif t.dataset == "SANPHAM":
        says = {"Giá bán": whole(get(t, block, "Giá bán")) + 1_000}
    elif t.dataset == "GIANHANG":
        says = {"Trạng thái gian hàng": "Tạm dừng" if get(t, block, "Trạng thái gian hàng") != "Tạm dừng" else "Hoạt động"}
    else:
        says = {"Trạng thái": "Tạm khóa" if get(t, block, "Trạng thái") != "Tạm khóa" else "Hoạt động"}
    for heading, value in says.items():
        put(t, block, heading, value)
    return says


def orders_in(t: Table, *statuses: str) -> list[Block]:
    """Blocks of orders in a status."""
    return [b for b in t.blocks if get(t, b, "Trạng thái") in statuses]


@strikes("F24")
def mixed_money(t: Table, f: Fault, scene: Scene) -> None:
    """Every form of §8.4 in one column; all mean the same."""
    shapes: tuple[Callable[[int], Any], ...] = (int, dotted, lambda v: f"{v:,}", lambda v: f"{dotted(v)} đ", lambda v: f"{v}.0", str)
    n = 0
    for column in (t.column(h) for h in (*MONEY, "Giá bán", "Số tiền hoàn") if h in t.headings):
        for row in t.rows:
            if row[column] not in (None, ""):
                row[column], n = shapes[n % len(shapes)](whole(row[column])), n + 1
    scene.note(f, t.dataset, "file")


def moment(value: Any) -> datetime | None:
    """A date cell or text as a time."""
    if isinstance(value, datetime) or value in (None, ""):
        return value or None
    return datetime.strptime(value, "%d/%m/%Y %H:%M:%S" if ":" in value else "%d/%m/%Y")


@strikes("F25")
def swapped_dates(t: Table, f: Fault, scene: Scene) -> None:
    """Day and month change places in a true date cell, where the day can be a month: the status date on days up to the 12th, else the order date."""
    hit: list[tuple[str, str]] = []
    wanted = f.of(len(t.blocks))
    for block in t.blocks:
        for heading in ("Ngày cập nhật trạng thái", "Ngày đặt hàng", "Ngày hoạt động gần nhất"):
            at = moment(get(t, block, heading)) if heading in t.headings else None
            if at and at.day <= 12 and at.day != at.month and len(hit) < wanted:
                put(t, block, heading, at.replace(month=at.day, day=at.month))
                hit.append((block.key, heading))
                break
    scene.note(f, t.dataset, "damaged", [k for k, _ in hit], {k: {"heading": h} for k, h in hit})


@strikes("F26")
def damaged_phones(t: Table, f: Fault, scene: Scene) -> None:
    """All shapes of §9.3 in turn, and first of all one that is no phone."""
    shapes: tuple[Callable[[str], Any], ...] = (
        lambda p: int(p[1:]), lambda p: f"{p[1:]}.0", lambda p: f"84{p[1:]}", lambda p: f"+84 {p[1:4]} {p[4:7]} {p[7:]}", lambda p: f" {p[:4]} {p[4:7]} {p[7:]} ",
    )  # fmt: skip
    phones = {s.code: s.phone for _, s in scene.postmart.stores}
    for n, block in enumerate(t.blocks):
        if phones.get(block.key):
            put(t, block, "Số điện thoại", shapes[n % len(shapes)](phones[block.key]))
    impossible = t.blocks[: f.of(len(t.blocks))]
    for block in impossible:
        put(t, block, "Số điện thoại", "0900-12")
    scene.note(f, t.dataset, "damaged", [b.key for b in impossible])


def finished(t: Table, scene: Scene) -> list[Any]:
    """Orders that are not in the table and whose whole life ends with a delivery before the day; the oldest delivery first."""
    there = {b.key for b in t.blocks}
    done = [o for o in scene.postmart.orders if o.code not in there and o.history[-1][1] == "DELIVERED" and o.history[-1][0] < scene.start]
    return sorted(done, key=lambda o: o.history[-1][0])


@strikes("F43")
def late_status(t: Table, f: Fault, scene: Scene) -> None:
    """An order that was delivered weeks ago comes back today."""
    for o in finished(t, scene)[: f.number(1)]:
        block = scene.postmart.block(len(t.blocks) + 1, o, len(o.history), random.Random(o.code))
        at = scene.start + timedelta(hours=10)
        for heading, value in (
            ("Trạng thái", "Đã hoàn"),
            ("Ngày cập nhật trạng thái", stamp(at)),
            ("Lý do hủy/hoàn", "Không liên lạc được"),
            ("Mã trạng thái VC", 19),
        ):
            put(t, block, heading, value)
        t.blocks.append(block)
        scene.note(f, t.dataset, "added", [o.code], {o.code: {"Trạng thái": "Đã hoàn", "Ngày cập nhật trạng thái": stamp(at)}})


@strikes("F83")
def backwards(t: Table, f: Fault, scene: Scene) -> None:
    """An order that was delivered on an earlier day is `Đang giao` again today."""
    for o in finished(t, scene)[: -f.number(1) - 1 : -1]:
        block = scene.postmart.block(len(t.blocks) + 1, o, len(o.history), random.Random(o.code))
        at = stamp(scene.start + timedelta(hours=11))
        for heading, value in (("Trạng thái", "Đang giao"), ("Ngày cập nhật trạng thái", at), ("Mã trạng thái VC", 12), ("Ngày giao thành công", None)):
            put(t, block, heading, value)
        t.blocks.append(block)
        scene.note(f, t.dataset, "added", [o.code], {o.code: {"Trạng thái": "Đang giao", "Ngày cập nhật trạng thái": at}})


@strikes("F46")
def unknown_status(t: Table, f: Fault, scene: Scene) -> None:
    hit = t.blocks[: f.of(len(t.blocks))]
    heading = "Trạng thái gian hàng" if t.dataset == "GIANHANG" else "Trạng thái"
    for block in hit:
        put(t, block, heading, "Chờ duyệt lại")
    scene.note(f, t.dataset, "changed", [b.key for b in hit], {b.key: {heading: "Chờ duyệt lại"} for b in hit})


def recode(t: Table, f: Fault, scene: Scene, hit: list[Block], **values: Any) -> None:
    """Another commune in these rows."""
    headings = {"code": "Mã xã (VNPost)", "name": "Tên xã", "district": "Tên huyện"}
    says = {headings[k]: v for k, v in values.items() if headings[k] in t.headings}
    for block in hit:
        for heading, value in says.items():
            put(t, block, heading, value)
    scene.note(f, t.dataset, "changed", [b.key for b in hit], {b.key: dict(says) for b in hit})


@strikes("F49")
def unknown_commune(t: Table, f: Fault, scene: Scene) -> None:
    recode(t, f, scene, t.blocks[: f.of(len(t.blocks))], code="99999")


@strikes("F85")
def unclear_commune(t: Table, f: Fault, scene: Scene) -> None:
    """A code that a closed commune had (24999), or no code and a name that two communes have (``value`` ambiguous)."""
    hit = t.blocks[:1]
    if f.value == "ambiguous":
        recode(t, f, scene, hit, code=None, name="Xã Hòa Bình", district=None)
    else:
        recode(t, f, scene, hit, code="24999", name="Xã Vân An (cũ)")


@strikes("F86")
def merged_commune(t: Table, f: Fault, scene: Scene) -> None:
    """The stores of one commune carry the code that it has in the list of 2025 (a GSO code of the other list, not VNPost's)."""
    first = next(b for b in t.blocks if get(t, b, "Mã xã (VNPost)"))
    code = get(t, first, "Mã xã (VNPost)")
    recode(t, f, scene, [b for b in t.blocks if get(t, b, "Mã xã (VNPost)") == code], code="06505", name="Xã Vạn Linh", district=None)


@strikes("F77")
def numbers_as_text(t: Table, f: Fault, scene: Scene) -> None:
    """Numbers as text, and codes and phones as numbers, so that leading zeros are lost."""
    for row in t.rows:
        for column, heading in enumerate(t.headings):
            value = row[column]
            if heading in NUMBERS and isinstance(value, int | float):
                row[column] = comma(value) if isinstance(value, float) else str(value)
            elif heading in LOST_ZEROS and isinstance(value, str) and value.isdigit():
                row[column] = int(value)
    scene.note(f, t.dataset, "file")


@strikes("F78")
def serial_dates(t: Table, f: Fault, scene: Scene) -> None:
    """Dates as Excel's serial numbers, without a date format."""
    for row in t.rows:
        for column, heading in enumerate(t.headings):
            at = moment(row[column]) if heading in DATES else None
            if at:
                days = (at - datetime(1899, 12, 30)) / timedelta(days=1)
                row[column] = int(days) if days % 1 == 0 else round(days, 9)
    scene.note(f, t.dataset, "file")


@strikes("F88")
def bad_money(t: Table, f: Fault, scene: Scene) -> None:
    """Overflowing, negative and decimal-comma money, in an order each (or the one that ``value`` names)."""
    wrong = {"overflow": 999_999_999_999, "negative": -50_000, "comma": "1.250,5"}
    names = [f.value] if f.value else list(wrong)
    heading = {"SANPHAM": "Giá bán", "HOANTRA": "Số tiền hoàn"}.get(t.dataset, "Tổng thanh toán")
    hit = list(zip(t.blocks, names, strict=False))
    for block, name in hit:
        put(t, block, heading, wrong[name])
        if heading in block.sums:
            block.sums[heading] = 1_250 if name == "comma" else wrong[name]
    scene.note(f, t.dataset, "damaged", [b.key for b, _ in hit], {b.key: {heading: wrong[name]} for b, name in hit})
