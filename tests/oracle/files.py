"""Delivered bytes to plain rows: dicts by heading (Postmart, forms) or by field (Vỏ Sò), as the contract describes them (EXPORTS §9, §10, §12)."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import openpyxl

from oracle.words import nfc

Row = dict[str, Any]


@dataclass(frozen=True)
class Arrival:
    """One delivery that lies in a folder. ``pulled_at``: the source's clock, Vỏ Sò only; ``received_at``: when a form came; ``id``: its number in the ledger."""

    source: str
    dataset: str
    unit: str
    day: date
    version: int
    folder: Path
    pulled_at: datetime | None = None
    received_at: datetime | None = None
    is_bulk: bool = False
    id: int = 0


def arrivals(conn: Any, landing: Path, reconciled: Sequence[str] = ()) -> list[Arrival]:
    """What has come and was not refused, as the ledger says; the ledger is asked for facts of arrival only, for no figure and no verdict on rows.
    ``reconciled``: datasets of Vỏ Sò whose bulk counts too."""
    found = conn.execute(
        """select source, dataset, unit, business_day, version, landing_path, pulled_at, received_at, export_id from ops.export
           where state in ('accepted', 'superseded') and (source = 'registers' or unit = '' or source = 'voso' and unit = 'bulk' and dataset = any(%s))
           order by source, dataset, business_day, version""",
        [list(reconciled)],
    ).fetchall()
    return [Arrival(*row[:5], landing / row[5], row[6], row[7], any((landing / row[5]).glob("part-*.jsonl.gz")), row[8]) for row in found]


@lru_cache(maxsize=4096)
def rows(a: Arrival) -> tuple[Row, ...]:
    """All data rows of a delivery, in order; `_row` is where each stands after the headings (in forms: in the sheets), `_export` the delivery."""
    found = tuple(_rows(a))
    for n, row in enumerate(found, 1):
        row["_export"] = a.id
        row.setdefault("_row", n)
    return found


def _rows(a: Arrival) -> Iterator[Row]:
    if a.source == "voso":
        return _json(a.folder)
    if a.source == "registers":
        return _form(next(p for p in a.folder.iterdir() if p.suffix.lower() in (".xlsx", ".xlsm")))
    files = [p for p in a.folder.iterdir() if p.suffix in (".xlsx", ".csv", ".zip") and not p.name.startswith(("MANIFEST", "refused-"))]
    (path,) = files
    if path.suffix == ".xlsx":
        return _postmart_sheet(path)
    if path.suffix == ".csv":
        return _csv(path.read_bytes())
    return _zip(path)


def _zip(path: Path) -> Iterator[Row]:
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            yield from _csv(archive.read(name))


def _json(folder: Path) -> Iterator[Row]:
    for path in sorted(folder.glob("page-*.json.gz")):
        yield from json.loads(gzip.decompress(path.read_bytes()))["data"]["ITEMS"]
    for path in sorted(folder.glob("part-*.jsonl.gz")):
        yield from map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())


def _csv(content: bytes) -> Iterator[Row]:
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=";"):
        yield {nfc(k): v for k, v in row.items()}


def _book(path: Path) -> Any:
    """A workbook; without merged cells in the way of reading that takes half the time and no memory."""
    with zipfile.ZipFile(path) as archive:
        merged = any(b"<mergeCell " in archive.read(name) for name in archive.namelist() if "worksheets/sheet" in name)
    return openpyxl.load_workbook(path, read_only=not merged)


def _cells(sheet: Any) -> list[list[Any]]:
    """Values of a sheet in rows of one width, whatever extent the sheet claims to have (F22)."""
    if hasattr(sheet, "reset_dimensions"):
        sheet.reset_dimensions()
    grid = [list(row) for row in sheet.iter_rows(values_only=True)]
    width = max(map(len, grid), default=0)
    return [row + [None] * (width - len(row)) for row in grid]


def _grid(sheet: Any) -> list[list[Any]]:
    """Cells of a sheet, merged ones filled."""
    grid = _cells(sheet)
    for area in sheet.merged_cells.ranges if hasattr(sheet, "merged_cells") else ():
        value = sheet.cell(area.min_row, area.min_col).value
        for r in range(area.min_row, area.max_row + 1):
            for c in range(area.min_col, area.max_col + 1):
                grid[r - 1][c - 1] = value
    return grid


def _postmart_sheet(path: Path) -> Iterator[Row]:
    """Rows 6… under the headings of row 5, down to `Tổng cộng`; an order's cells are repeated on its further lines."""
    sheet = next(s for s in openpyxl.load_workbook(path, read_only=True).worksheets if s.sheet_state == "visible")
    grid = _cells(sheet)
    start = next(n for n, row in enumerate(grid) if row and nfc(row[0]) == "STT")
    headings = [nfc(h) for h in grid[start]]
    order: Row = {}
    for n, cells in enumerate(grid[start + 1 :], 1):
        if not cells or nfc(cells[0]) in ("Tổng cộng", "Người lập biểu") or not any(c is not None for c in cells):
            break
        if nfc(cells[0]) == "Cộng":  # a sub-total among the data (F23)
            continue
        row = dict(zip(headings, cells, strict=False)) | {"_row": n}
        if nfc(cells[0]):
            order = row
        elif "Mã đơn hàng" in row:
            row = {k: order[k] if v in (None, "") and k in ORDER_COLUMNS else v for k, v in row.items()}
        yield row


ORDER_COLUMNS = {
    "STT", "Mã đơn hàng", "Ngày đặt hàng", "Trạng thái", "Ngày cập nhật trạng thái", "Lý do hủy/hoàn", "Mã gian hàng", "Tên gian hàng", "Tỉnh/TP người nhận",
    "Tổng tiền hàng", "Giảm giá", "Phí vận chuyển", "Tổng thanh toán", "Hình thức thanh toán", "Trạng thái thanh toán", "Mã vận đơn", "Mã trạng thái VC",
    "Ngày giao thành công", "Kênh bán",
}  # fmt: skip


def _form(path: Path) -> Iterator[Row]:
    """Rows of every sheet, with `_district`, `_commune` (title block), `_as_of` and `_code` (the commune's code in the file name, or '')."""
    code = m[1] if (m := re.search(r"_(\d{5})_\d{8}", path.name)) else ""
    before = 0
    for sheet in _book(path).worksheets:
        grid = _grid(sheet)
        start = next((n for n, row in enumerate(grid) if row and nfc(row[0]) == "STT"), None)
        if start is None:
            continue
        head = " | ".join(nfc(c) for row in grid[:start] for c in row if c is not None)
        second = start + 1 < len(grid) and nfc(grid[start + 1][0]) == "STT"
        headings = []
        for k, cell in enumerate(grid[start]):
            top, below = nfc(cell), nfc(grid[start + 1][k]) if second else ""
            headings.append(top if below in ("", top) else f"{top}: {below}")
        told = re.search(r"tính đến ngày (\d\d)/(\d\d)/(\d{4})", head)
        assert told, path
        about = {
            "_district": m[0] if (m := re.search(r"(HUYỆN|THÀNH PHỐ) [^|]+", head)) else "",
            "_commune": m[1].strip() if (m := re.search(r"UBND ((?:XÃ|PHƯỜNG|THỊ TRẤN) [^|]+)", head)) else "",
            "_as_of": date(int(told[3]), int(told[2]), int(told[1])),
            "_code": code,
        }
        for n, cells in enumerate(grid[start + 1 :], before + start + 2):
            if re.fullmatch(r"\d+", nfc(cells[0])):
                yield dict(zip(headings, cells, strict=False)) | about | {"_row": n}
        before += len(grid)
