"""Postmart's files from tables: the XLSX and CSV dialects of §9.2. A table can be damaged before it is written (see `faults/`)."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

import xlsxwriter

#: A dataset with more rows comes in the volume form: a ZIP of CSV parts.
XLSX_ROWS, VOLUME_PART_ROWS, PRODUCT_PART_ROWS = 50_000, 200_000, 20_000
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
ZIP_TIME = (2021, 9, 1, 0, 0, 0)


def stamp(t: datetime) -> str:
    """dd/MM/yyyy HH:mm:ss."""
    return f"{t:%d/%m/%Y %H:%M:%S}"


def dotted(amount: int) -> str:
    """1250000 as 1.250.000."""
    return f"{amount:,}".replace(",", ".")


def comma(value: float) -> str:
    """A decimal with a comma."""
    return f"{value:g}".replace(".", ",")


def with_bom(text: str) -> bytes:
    """UTF-8 with BOM."""
    return text.encode("utf-8-sig")


@dataclass
class Block:
    """The rows of one natural key; ``sums``: its part of the totals row, by heading."""

    key: str
    rows: list[list[Any]]
    sums: dict[str, Any] = field(default_factory=dict)


@dataclass
class Table:
    """A dataset of a day before it is written. ``notes``: rows that are no data, each after so many blocks."""

    dataset: str
    day: date
    version: int
    headings: list[str]
    blocks: list[Block]
    first: date
    control: str = ""
    groups: list[tuple[int, int, str]] = field(default_factory=list)
    notes: list[tuple[int, list[Any]]] = field(default_factory=list)
    separator: str = ";"
    encode: Callable[[str], bytes] = with_bom
    part_rows: int = PRODUCT_PART_ROWS
    missing_part: int = 0
    declared: tuple[int, int | None, int | None] | None = None

    def __post_init__(self) -> None:
        self.groups = self.groups or list(GROUPS.get(self.dataset, ()))

    @property
    def rows(self) -> list[list[Any]]:
        """All data rows."""
        return [row for block in self.blocks for row in block.rows]

    def column(self, heading: str) -> int:
        """Where a heading stands."""
        return self.headings.index(heading)

    def figures(self) -> tuple[int, int | None, int | None]:
        """What the supplier's system declares: rows, orders, control sum. A key counts once in the last two."""
        if self.declared:
            return self.declared
        once = self.once()
        orders = len(once) if self.dataset == "DONHANG" else (0 if self.dataset == "HOANTRA" else None)
        return sum(len(b.rows) for b in self.blocks), orders, sum(b.sums[self.control] for b in once) if self.control else None

    def once(self) -> list[Block]:
        """The first block of each key."""
        return list({block.key: block for block in reversed(self.blocks)}.values())

    def totals(self) -> dict[int, Any]:
        """The totals row, by column."""
        sums: dict[str, Any] = {}
        for block in self.once():
            for heading, value in block.sums.items():
                sums[heading] = sums.get(heading, 0) + value
        found = {self.column(h): round(v, 3) for h, v in sums.items() if h in self.headings}
        if self.dataset == "DONHANG":
            return {k: (comma(v) if isinstance(v, float) and v % 1 else dotted(int(v))) for k, v in found.items()}
        return found


@dataclass(frozen=True)
class Rendered:
    """A file with the figures that its manifest declares."""

    dataset: str
    name: str
    content: bytes
    rows: int
    orders: int | None
    control: int | None


def file_name(table: Table, suffix: str) -> str:
    """PM_LSN_<dataset>_<day>_v<N>.<suffix>."""
    return f"PM_LSN_{table.dataset}_{table.day:%Y%m%d}_v{table.version}.{suffix}"


def render(table: Table) -> Rendered:
    """The file of a table: CSV, ZIP of CSV parts, or XLSX (a ZIP again when there are too many rows)."""
    rows = table.rows
    if table.dataset == "HOANTRA":
        name, content = file_name(table, "csv"), text_file(table, with_notes(table))
    elif table.dataset == "SANPHAM":
        name, content = _zip(table, with_notes(table), table.part_rows)
    elif len(rows) > XLSX_ROWS:
        name, content = _zip(table, [[_flat(v) for v in row] for row in _filled(table)], VOLUME_PART_ROWS)
    else:
        name, content = file_name(table, "xlsx"), sheet(table)
    return Rendered(table.dataset, name, content, *table.figures())


def _flat(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return stamp(value)
    return comma(value) if isinstance(value, float) else value


def _filled(table: Table) -> list[list[Any]]:
    """The volume form fills the order's columns on every line."""
    if table.dataset != "DONHANG":
        return table.rows
    money = {i for i, h in enumerate(table.headings) if h in MONEY}
    rows = [[a if a is not None else b for a, b in zip(row, block.rows[0], strict=True)] for block in table.blocks for row in block.rows]
    return [[dotted(v) if i in money and isinstance(v, int) else v for i, v in enumerate(row)] for row in rows]


MONEY = ("Đơn giá", "Thành tiền", "Tổng tiền hàng", "Giảm giá", "Phí vận chuyển", "Tổng thanh toán")


def with_notes(table: Table) -> list[list[Any]]:
    """Data rows with the rows that are none between them."""
    rows: list[list[Any]] = []
    for n, block in enumerate(table.blocks):
        rows += [note for at, note in table.notes if at == n]
        rows += block.rows
    return rows + [note for at, note in table.notes if at >= len(table.blocks)]


def _zip(table: Table, rows: list[list[Any]], part_rows: int) -> tuple[str, bytes]:
    name = file_name(table, "zip")
    return name, zipped(name.removesuffix(".zip"), table, rows, part_rows, table.missing_part)


def sheet(table: Table) -> bytes:
    """An XLSX in the dialect of §9.2: title block, group headings, headings in row 5, data, `Tổng cộng`."""
    tab, title = TITLES[table.dataset]
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"constant_memory": True, "in_memory": True, "default_date_format": "dd/mm/yyyy hh:mm:ss"}) as book:
        book.set_properties({"created": datetime.combine(table.day + timedelta(days=1), time(1, 40))})  # the same bytes each time
        page = book.add_worksheet(tab)
        bold = book.add_format({"bold": True})
        width = len(table.headings) - 1
        page.merge_range(0, 0, 0, width, "TỔNG CÔNG TY BƯU ĐIỆN VIỆT NAM – BƯU ĐIỆN TỈNH LẠNG SƠN", bold)
        page.merge_range(1, 0, 1, width, title, bold)
        page.merge_range(2, 0, 2, width, f"Từ ngày {table.first:%d/%m/%Y} đến ngày {table.day:%d/%m/%Y}")
        for left, right, text in table.groups:
            if left == right:
                page.write(3, left, text, bold)
            else:
                page.merge_range(3, left, 3, right, text, bold)
        page.write_row(4, 0, table.headings, bold)
        n = 5
        for row in with_notes(table):
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
        for column, value in table.totals().items():
            page.write(n, column, value)
        if table.day.day % 2 == 0:
            page.write(n + 2, 1, "Người lập biểu")
    return out.getvalue()


def text_file(table: Table, rows: Iterable[Sequence[Any]]) -> bytes:
    """The CSV dialect of §9.2: BOM, semicolons, CRLF (unless the table says otherwise)."""
    out = io.StringIO()
    writer = csv.writer(out, delimiter=table.separator, lineterminator="\r\n")
    writer.writerow(table.headings)
    writer.writerows(rows)
    return table.encode(out.getvalue())


def plain(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV of the contract that is no dataset, as the manifest."""
    return text_file(Table("", date.min, 1, list(headings), [], date.min), rows)


def zipped(stem: str, table: Table, rows: list[list[Any]], part_rows: int, missing: int = 0) -> bytes:
    """A ZIP of CSV parts, each with BOM and headings; ``missing``: the number of a part that is left out."""
    parts = [rows[i : i + part_rows] for i in range(0, len(rows), part_rows)] or [[]]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for k, part in enumerate(parts, 1):
            if k != missing:
                info = zipfile.ZipInfo(f"{stem}_p{k:02d}of{len(parts):02d}.csv", ZIP_TIME)
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, text_file(table, part))
    return out.getvalue()
