"""A form's sheets to rows (EXPORTS §12): head, headings in one or two rows, merged cells, totals, footers.

People make these files, so headings are found by text, not by place; what a sheet does not say is looked for in its name, its title and the
file name, in this order. What stays unclear is refused or, for one row, left without a commune, which the suite quarantines.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, BinaryIO

import python_calamine

from kinhteso import communes, contracts
from kinhteso.readers import DeliveryRefused, PartRows, Row, RowStream, text, workbook
from kinhteso.registers import html

HEADING_ROWS = 25
#: Name of the one sheet of an HTML page under an Excel name.
HTML_SHEET = "HTML"
_AS_OF = re.compile(r"(?:tính\s+đến|đến)\s+(?:hết\s+)?ngày\s*:?\s*(\d{1,2})\s*(?:[/.-]|tháng)\s*(\d{1,2})\s*(?:[/.-]|năm)\s*(\d{4})", re.IGNORECASE)
_FILE_DATE = re.compile(r"(?<!\d)(20\d{2})(\d{2})(\d{2})(?!\d)")
#: District, with the commune where the form is of one; from 2025-07-01 on the commune alone.
_FILE_CODES = re.compile(r"^[^_]*_(?:20_)?(?:(?P<district>\d{3})(?:_(?P<of_district>\d{4,5}))?|(?P<alone>\d{4,5}))_")
_TOTAL = re.compile(r"^(tổng cộng|tổng số|tổng|cộng)\b", re.IGNORECASE)
_FOOTER = re.compile(
    r"^(người lập|người tổng hợp|chủ tịch|phó chủ tịch|tm\.|kt\.|giám đốc|thủ trưởng|xác nhận|nơi nhận|ghi chú\s*:|.{0,40}ngày\s.{0,4}\s*tháng\s)",
    re.IGNORECASE,
)
_NUMBERS_ROW = re.compile(r"^\(?(\d{1,2}|[a-z])\)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Head:
    """What a form says of itself. ``unit`` is the district, with the commune where the form is of one ("187_06505"), "20" for the province."""

    as_of: date
    unit: str


@dataclass(frozen=True)
class _Sheet:
    name: str
    rows: list[list[str | None]]
    heading_at: int
    as_of: date | None
    district: str | None
    commune: str | None
    commune_name: str | None
    blocks: dict[tuple[int, int], int]  # (row, column) of a cell under the first one of a merged block -> the row of that one


def dataset_by_title(f: BinaryIO) -> str | None:
    """The register whose title stands in the first rows of the first sheet."""
    for _, rows, _ in _workbook(f.read(), "form"):
        if rows is None:
            continue
        top = communes.plain(" ".join(c for row in rows[:10] for c in row if c))
        fits = [c for c in contracts.all_contracts() if c.source == "registers" and communes.plain(c.form["title"]) in top]
        return max(fits, key=lambda c: len(c.form["title"])).dataset if fits else None
    return None


def _refused(name: str, rule: str, what: str) -> DeliveryRefused:
    return DeliveryRefused(rule, f"form {name}: {what}")


def _workbook(content: bytes, name: str) -> Iterator[tuple[str, list[list[str | None]] | None, dict[tuple[int, int], int]]]:
    """Sheets with their cells as text, None instead for a hidden one, which is not read; and the cells that a merged block covers downwards."""
    if html.looks_like(content):
        try:
            yield HTML_SHEET, [[text.cell(c or None) for c in row] for row in html.rows(content)], {}
        except (UnicodeError, LookupError) as error:
            raise _refused(name, "F18", f"is an HTML page in an encoding that cannot be read ({error}). Save it as .xlsx and put that in.") from error
        return
    if content[:256].lstrip()[:1] == b"<":
        raise _refused(name, "F21", "is XML under an Excel name. Open it in Excel, save it as .xlsx and put that into the inbox.")
    try:
        if content.startswith(b"PK"):
            workbook.guard(io.BytesIO(content), lambda rule, what, remedy: _refused(name, rule, f"cannot be taken: {what} {remedy}"))
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        hidden = {s.name for s in book.sheets_metadata if s.visible != python_calamine.SheetVisibleEnum.Visible}
        for sheet_name in book.sheet_names:
            if sheet_name in hidden:
                yield sheet_name, None, {}
                continue
            sheet = book.get_sheet_by_name(sheet_name)
            cells = [[text.cell(c if c != "" else None) for c in row] for row in sheet.to_python(skip_empty_area=False)]
            merged = [(top, min(bottom, len(cells) - 1), left) for (top, left), (bottom, _) in sheet.merged_cell_ranges or []]
            yield sheet_name, cells, {(row, left): top for top, bottom, left in merged for row in range(top + 1, bottom + 1)}
    except BaseException as error:
        if not workbook.is_damage(error, python_calamine.CalamineError):
            raise
        raise _refused(name, "F01", f"cannot be read ({error}). Ask the district for the file again.") from None


def _as_of(name: str, rows: Sequence[Sequence[str | None]]) -> date | None:
    for row in rows:
        if match := _AS_OF.search(" ".join(c for c in row if c)):
            try:
                return date(int(match[3]), int(match[2]), int(match[1]))
            except ValueError:
                raise _refused(name, "F52", f"its as-of date {match[0]!r} is no date. Correct row 5.") from None
    return None


def _file_codes(name: str) -> tuple[str | None, str | None]:
    """District and commune code that a file name says ("Bieu01_187_06505_20210915.xlsx", "Bieu01_06505_20250915.xlsx")."""
    match = _FILE_CODES.match(name)
    if match is None:
        return None, None
    return communes.district_code(match["district"]) if match["district"] else None, match["of_district"] or match["alone"]


def _file_date(name: str) -> date | None:
    for match in _FILE_DATE.finditer(name):
        try:
            return date(int(match[1]), int(match[2]), int(match[3]))
        except ValueError:
            continue
    return None


def _sheets(content: bytes, name: str) -> tuple[list[_Sheet], list[str]]:
    """Sheets that hold a table, and warnings about those that do not."""
    file_district, file_code = _file_codes(name)
    by_name = _file_date(name)
    found, skipped = [], []
    for sheet_name, rows, blocks in _workbook(content, name):
        if rows is None:
            skipped.append(f"F75: sheet {sheet_name!r} is hidden and was not read; it stays in the landing")
            continue
        heading_at = next((i for i, row in enumerate(rows[:HEADING_ROWS]) if any(text.loose(c) in {"stt", "tt", "số tt"} for c in row)), None)
        if heading_at is None:
            if any(c for row in rows for c in row):
                skipped.append(f"sheet {sheet_name!r} has no heading STT in its first {HEADING_ROWS} rows and was not read")
            continue
        top = [c for row in rows[:heading_at] for c in row if c]
        district = next((d for c in top if (d := communes.district_code(c))), None) or file_district
        commune_name = next((communes.office(c) for c in top if communes.unit_type_and_name(c)[0] and communes.office(c) != c.strip()), None)
        as_of = _as_of(name, rows[:heading_at])
        on = as_of or by_name or communes.CAMPAIGN  # a form without a date is refused below
        file_commune = communes.resolve(file_code, None, None, on) if file_code else None
        by_title = communes.resolve(None, commune_name, district, on) if commune_name else None
        by_sheet = communes.resolve(None, sheet_name, district, on)
        commune = by_sheet or by_title or file_commune
        said = {c for c in (by_title, file_commune) if c}
        if len(said) > 1 and not by_sheet:
            raise _refused(name, "F52", f"its title says commune {by_title}, its name {file_commune}. Correct one of them.")
        found.append(_Sheet(sheet_name, rows, heading_at, as_of, district, commune, commune_name or sheet_name, blocks))
    if not found:
        raise _refused(name, "Q02", f"holds no table with the heading STT. {' '.join(skipped)} Ask the district for the form as agreed.")
    return found, skipped


def head(content: bytes, name: str, contract: Any) -> Head:
    """As-of date and unit of a form. Raises DeliveryRefused (F52) when row 5 and the file name, or two sheets, say different dates."""
    sheets, _ = _sheets(content, name)
    return _head(sheets, name)


def head_by_name(name: str, came_on: date) -> Head:
    """What the file name alone says, for a form that cannot be read: date (else the day it came), district and commune (else the province)."""
    match, (district, code) = _FILE_CODES.match(name), _file_codes(name)
    is_unknown_district = match is not None and match["district"] is not None and district is None
    unit = f"{district or '20'}_{code.zfill(5)}" if code and not is_unknown_district else district or "20"
    return Head(_file_date(name) or came_on, unit)


def _head(sheets: list[_Sheet], name: str) -> Head:
    said = {s.as_of for s in sheets if s.as_of}
    by_name = _file_date(name)
    if len(said) > 1:
        raise _refused(name, "F52", f"its sheets say different as-of dates ({', '.join(sorted(f'{d:%d/%m/%Y}' for d in said))}). Send one file per date.")
    if said and by_name and by_name not in said:
        raise _refused(name, "F52", f"row 5 says {said.pop():%d/%m/%Y}, the file name {by_name:%d/%m/%Y}. Correct one of them and put the file in again.")
    as_of = said.pop() if said else by_name
    if as_of is None:
        raise _refused(name, "F52", "says no as-of date, neither in row 5 (Số liệu tính đến ngày …) nor in its name.")
    districts = {s.district for s in sheets if s.district}
    names_commune = _FILE_CODES.match(name) is None or _file_codes(name)[1] is not None
    one = {s.commune for s in sheets}
    commune = one.pop() if len(sheets) == 1 and len(one) == 1 and None not in one else None
    if commune and (names_commune or not districts):
        return Head(as_of, f"{communes.district_of(commune, as_of) or '20'}_{commune}")
    return Head(as_of, districts.pop() if len(districts) == 1 else "20")


# ---- rows ----


def _wanted(contract: Any) -> dict[str, int]:
    return {text.loose(h): n for n, column in enumerate(contract.columns) for h in (column.heading, *column.aliases)}


def _is_integer(given: str | None) -> bool:
    return given is not None and re.fullmatch(r"\d+\.?", given) is not None


def _layout(sheet: _Sheet, contract: Any, name: str, stream: RowStream) -> tuple[dict[int, int], int, int]:
    """Contract column -> sheet column, the STT column, and the first data row (0-based)."""
    top = sheet.rows[sheet.heading_at]
    stt = next(i for i, c in enumerate(top) if text.loose(c) in {"stt", "tt", "số tt"})
    at = sheet.heading_at + 1
    sub: list[str | None] = [None] * len(top)
    while at < len(sheet.rows) and not _is_integer(_get(sheet.rows[at], stt)):
        row = sheet.rows[at]
        cells = [c for c in row if c]
        if cells and all(_NUMBERS_ROW.match(c) for c in cells):
            at += 1
            break
        if at == sheet.heading_at + 1 and cells and not _get(row, stt) and not _TOTAL.match(cells[0]) and _fits(row, top, contract):
            sub = [*row, *[None] * (len(top) - len(row))]
        elif cells:
            break
        at += 1
    else:
        if at < len(sheet.rows):
            row = sheet.rows[at]
            cells = [c for c in row if c]
            following = sheet.rows[at + 1] if at + 1 < len(sheet.rows) else []
            if len(cells) > 2 and [c.strip("()") for c in cells] == [str(n) for n in range(1, len(cells) + 1)] and _get(following, stt) in ("1", None):
                at += 1
    wanted, placed, unknown, group = _wanted(contract), {}, [], None
    for i in range(len(top)):
        group = top[i] or (group if sub[i] else None)
        if not (group or sub[i]):
            continue
        words = [f"{group}: {sub[i]}", f"{group} - {sub[i]}", f"{group} {sub[i]}", sub[i]] if sub[i] else [group]
        column = next((wanted[w] for w in map(text.loose, words) if w in wanted and wanted[w] not in placed), None)
        if column is None:
            unknown.append(text.heading(words[0]))
        else:
            placed[column] = i
    if unknown:
        stream.warnings.append(f"F13: sheet {sheet.name!r} has columns that the contract does not know: {', '.join(unknown)}; they stay in the landing")
    lacking = [c.heading for n, c in enumerate(contract.columns) if c.required and n not in placed and not (c.name == "commune_name" and sheet.commune)]
    if lacking:
        raise _refused(
            name, "Q02", f"sheet {sheet.name!r} lacks the columns {lacking}. Send the form as agreed, or add the heading as an alias in {contract.where}."
        )
    return placed, stt, at


def _fits(row: Sequence[str | None], top: Sequence[str | None], contract: Any) -> bool:
    """Whether a row under the headings continues them: one of its cells, with its group, is a heading of the contract."""
    wanted, group = _wanted(contract), None
    for i, cell in enumerate(row):
        group = _get(top, i) or group
        if cell and any(text.loose(w) in wanted for w in (f"{group}: {cell}", f"{group} - {cell}", f"{group} {cell}", cell)):
            return True
    return False


def _get(row: Sequence[str | None], i: int) -> str | None:
    return row[i] if i < len(row) else None


def rows(stream: RowStream, contract: Any, parts: Sequence[Any], landing: Any, export: Any) -> Iterator[Row]:
    """Rows of all sheets with commune code, as-of date (yyyy-mm-dd) and district code after the contract's columns.

    source_row counts the physical rows of all sheets from the first; a sheet begins where the one before it ended.
    """
    offset = 0
    for part in parts:
        with landing.open(part.path) as f:
            content = f.read()
        sheets, skipped = _sheets(content, part.origin)
        stream.warnings.extend(skipped)
        if html.looks_like(content):
            stream.warnings.append(f"F21: {part.origin} is an HTML page under an Excel name; its tables were read. Ask the district for .xlsx")
        as_of = _head(sheets, part.origin).as_of
        if as_of != export.business_day:
            raise _refused(part.origin, "F52", f"is of {as_of}, but was landed as {export.business_day}.")
        first = offset + 1
        for sheet in sheets:
            yield from _sheet_rows(stream, sheet, contract, part.origin, as_of, offset)
            offset += len(sheet.rows)
        stream.parts.append(PartRows(part.part_no, first, offset - first + 1, 1))


def _sheet_rows(stream: RowStream, sheet: _Sheet, contract: Any, origin: str, as_of: date, offset: int) -> Iterator[Row]:
    placed, stt, start = _layout(sheet, contract, origin, stream)
    names = [c.name for c in contract.columns]
    at = {name: placed[n] for n, name in enumerate(names) if n in placed}
    fills = {n: i for n, i in placed.items() if contract.columns[n].fill}
    sums = [n for n in placed if contract.columns[n].type == "money"]
    dates = [n for n in placed if contract.columns[n].type in ("date", "datetime")]
    last: dict[int, str | None] = {}
    section, ended = sheet.commune, False
    districts: dict[str | None, str | None] = {}
    subtotal, total = dict.fromkeys(sums, 0.0), dict.fromkeys(sums, 0.0)
    for number in range(start, len(sheet.rows)):
        row = sheet.rows[number]
        cells = [c for c in row if c]
        if not cells:
            continue
        first = cells[0]
        if not _is_integer(_get(row, stt)):
            if _FOOTER.match(first):
                ended = True
                continue
            if any(_TOTAL.match(c) for c in cells[:2]):
                grand = any(re.match(r"tổng", c, re.IGNORECASE) for c in cells[:2])
                _compare(stream, sheet, contract, origin, row, placed, total if grand else subtotal, number + 1)
                subtotal = dict.fromkeys(sums, 0.0)
                ended = ended or grand
                continue
            if len(cells) <= 2 and (code := communes.resolve(None, first, sheet.district, as_of)):
                section, last = code, {}
                continue
            if ended or len(cells) <= 2:
                if not ended:
                    stream.warnings.append(f"F23: sheet {sheet.name!r} row {number + 1} is no data row and was left in the landing: {len(cells)} cells, no STT")
                continue
        values: list[str | None] = [_get(row, placed[n]) if n in placed else None for n in range(len(names))]
        for n, i in placed.items():
            if values[n] is None and n not in sums and sheet.blocks.get((number, i), -1) >= start:  # a merged count is said once, not of each row
                values[n] = _get(sheet.rows[sheet.blocks[number, i]], i)
        for n in fills:
            if values[n] is None:
                values[n] = last.get(n)
            elif names[n] == "commune_name" and values[n] != last.get(n):
                last = {k: v for k, v in last.items() if names[k] == "stt"} | {n: values[n]}
            else:
                last[n] = values[n]
        for n in dates:
            values[n] = text.serial_date(values[n])
        for n in sums:
            amount = text.number(values[n])
            if amount is not None:
                subtotal[n] += amount
                total[n] += amount
        district = sheet.district
        if "district_name" in at and values[names.index("district_name")]:
            district = communes.district_code(values[names.index("district_name")] or "") or district
        commune = section
        if contract.dataset == "targets":
            commune = section = _target_commune(values, names, district, section, as_of)
        elif "commune_name" in at or "commune_src_code" in at:
            given_code = values[names.index("commune_src_code")] if "commune_src_code" in at else None
            given_name = values[names.index("commune_name")] if "commune_name" in at else None
            if given_code or given_name:
                commune = communes.resolve(given_code, given_name, district, as_of)
        if values[names.index("commune_name")] is None if "commune_name" in names else False:
            values[names.index("commune_name")] = sheet.commune_name
        if commune not in districts:  # asked once per commune: each question looks whether the seeds have changed
            districts[commune] = communes.district_of(commune, as_of)
        own = districts[commune] or district
        stream.rows += 1
        yield offset + number + 1, [*values, commune, as_of.isoformat(), own]


def _target_commune(values: list[str | None], names: list[str], district: str | None, section: str | None, as_of: date) -> str | None:
    """R3: a row of level Xã names its commune; hamlets and cooperatives under it belong to the last one named."""
    level = communes.plain(values[names.index("level_raw")] or "")
    unit = values[names.index("unit_name")]
    if level in {"xa", "phuong", "thi tran"} and unit:
        return communes.resolve(None, unit, district, as_of)
    return section


def _compare(
    stream: RowStream, sheet: _Sheet, contract: Any, origin: str, row: Sequence[str | None], placed: dict[int, int], sums: dict[int, float], number: int
) -> None:
    for n, found in sums.items():
        said = text.number(_get(row, placed[n]))
        if said is not None and abs(said - found) > 0.5:
            stream.warnings.append(
                f"F53: {origin}, sheet {sheet.name!r}, row {number}: {contract.columns[n].heading} says {said:,.0f}, its rows add up to {found:,.0f}"
            )
