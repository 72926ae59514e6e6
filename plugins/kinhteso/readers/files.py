"""Postmart's files: XLSX sheets, CSV, ZIP of CSV parts (EXPORTS §9.2; volume form of any dataset)."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

import polars as pl

from kinhteso.readers import DeliveryRefused, PartRows, RowStream, frames, text, workbook

#: A part that unpacks to more than this, or by more than this factor, is not an export (RELIABILITY, ZIP bomb).
MAX_UNPACKED_BYTES = 8 << 30
MAX_UNPACK_FACTOR = 200
HEADING_ROW = 5
#: A foreign name may hold a letter of the old fonts; a file whose Vietnamese texts are full of them was not written in Unicode (F68).
MAX_OLD_FONT_SHARE = 0.2
_NO_BOM = "F19: {} has no BOM; read as UTF-8"
#: Headings are looked for in the first rows only.
MAX_HEADING_ROW = 15

csv.field_size_limit(1 << 22)
_PART = re.compile(r"_p(\d+)of(\d+)\.csv$", re.IGNORECASE)
_DAY_IN_NAME = re.compile(r"_(20\d{6})_")
_TOTAL = re.compile(r"^(tổng cộng|tổng số|tổng|cộng)\b", re.IGNORECASE)
_SIGNATURE = re.compile(r"^(người lập|chủ tịch|giám đốc|thủ trưởng|kế toán|xác nhận|ngày \d+ tháng)", re.IGNORECASE)
_STT = r"^\d+$"
#: A number that may be a date without its format (`text.serial_date`).
_SERIAL = r"^[3-7]\d{4}(,\d+)?$"
_PERIOD = re.compile(r"đến\s+ngày\s+(\d{2})/(\d{2})/(\d{4})", re.IGNORECASE)


class Subject:
    """Names the delivery and file in messages."""

    def __init__(self, contract: Any, export: Any, origin: str) -> None:
        self.contract, self.origin, self.day = contract, origin, export.business_day
        self.label = f"{contract.source} {contract.dataset} {export.business_day} v{export.version}: {origin}"

    def refused(self, rule: str, what: str, remedy: str | None = None) -> DeliveryRefused:
        """The refusal, with what to do next."""
        return DeliveryRefused(rule, f"{self.label}: {what} {remedy or 'Ask the supplier for a corrected version.'}")


#: Of a part: ordinals from 1, the row of the file in which its first row stands, values.
Piece = tuple[pl.Series, int, pl.DataFrame]


def read(stream: RowStream, contract: Any, parts: Sequence[Any], landing: Any, export: Any, *, is_columnar: bool = True) -> Iterator[frames.Frame]:
    """Rows of all parts, numbered through. With ``is_columnar`` false each is read by itself: the same rows, many times slower."""
    offset = 0
    for part in parts:
        subject = Subject(contract, export, part.origin)
        with landing.open(part.path) as f:
            magic = f.read(8)
            f.seek(0)
            name = part.origin.lower()
            if name.endswith(".csv"):
                found = _csv(stream, subject, _Again(f), part.origin, is_columnar)
            elif magic[:4] != b"PK\x03\x04":
                raise _not_zipped(subject, magic)
            elif name.endswith(".zip"):
                found = _zip(stream, subject, f, is_columnar)
            else:
                found = _xlsx(stream, subject, f)
            first_file_row, last, count = 1, 0, 0
            for ordinals, first, values in found:
                if values.is_empty():
                    continue
                if not count:
                    first_file_row = first
                last, count = ordinals[-1], count + values.height
                stream.rows += values.height
                yield frames.Frame(ordinals + offset, values)
            stream.parts.append(PartRows(part.part_no, offset + 1, count, first_file_row))
            offset += last


def _not_zipped(subject: Subject, magic: bytes) -> DeliveryRefused:
    if not magic:
        return subject.refused("F01", "the file is empty (0 bytes).")
    kind = "an old .xls" if magic.startswith(b"\xd0\xcf\x11\xe0") else "HTML or text" if magic.lstrip()[:1] in b"<" else "something else"
    return subject.refused("F21", f"the content is {kind}, not the XLSX or ZIP its name says.")


# ---- headings --------------------------------------------------------------------------------------------------------------------


def check_headings(stream: RowStream, subject: Subject, given: Sequence[Any]) -> None:
    """Compare with the contract by position and text (Q02). More columns at the end are told (F13); anything else is refused."""
    found = [text.heading(g) for g in given]
    while found and not found[-1]:
        found.pop()
    contract = subject.contract
    for n, column in enumerate(contract.columns):
        wanted = [text.heading(h) for h in (column.heading, *column.aliases)]
        if n < len(found) and found[n] in wanted:
            continue
        here = f"'{found[n]}'" if n < len(found) else "missing"
        raise subject.refused(
            "Q02",
            f"heading {n + 1} is {here}, expected '{column.heading}'.",
            f"Ask the supplier for a corrected version, or, if the heading changed for good, add it to `aliases` in {contract.where} and replay.",
        )
    extra = [h for h in found[len(contract.columns) :] if h]
    if extra:
        stream.warnings.append(f"F13: columns that the contract does not know stand at the end: {', '.join(extra)}; they stay in the landing")


# ---- CSV -------------------------------------------------------------------------------------------------------------------------


def _decoded(stream: RowStream, subject: Subject, f: BinaryIO, origin: str) -> Iterator[str]:
    head = f.read(4)
    if head.startswith(b"\xef\xbb\xbf"):
        encoding, skip = "utf-8", 3
    elif head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding, skip = "utf-16", 0
        stream.warnings.append(f"F19: {origin} is UTF-16; the contract says UTF-8 with BOM")
    else:
        encoding, skip = "utf-8", 0
        stream.warnings.append(_NO_BOM.format(origin))
    lines = io.TextIOWrapper(_Joined(head[skip:], f), encoding=encoding, newline="")  # type: ignore[type-var]
    try:
        for number, line in enumerate(lines, 1):
            if found := text.MOJIBAKE.search(line):  # the line itself may hold a name or a phone, so it is not told
                raise subject.refused("F18", f"{origin} was read with a wrong encoding and saved again: {found[0]!r} in line {number}.")
            yield line
    except UnicodeError as error:
        raise subject.refused("F18", f"{origin} is not UTF-8 ({error.reason if hasattr(error, 'reason') else error}).") from error


class _Joined(io.RawIOBase):
    """The bytes read ahead, then the rest of the file."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._head:
            n = min(len(self._head), len(buffer))
            buffer[:n], self._head = self._head[:n], self._head[n:]
            return n
        data = self._rest.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _csv(stream: RowStream, subject: Subject, again: Callable[[], BinaryIO], origin: str, is_columnar: bool) -> Iterator[Piece]:
    """A CSV in columns; from where something is out of the ordinary, row by row."""
    contract, said, given = subject.contract, len(stream.warnings), 0
    if is_columnar:
        filler = _Filler(contract)
        try:
            for ordinals, values in frames.csv_frames(
                again(),
                len(contract.columns),
                lambda names: check_headings(stream, subject, names),
                frames.Filler(filler.filled, filler.starts),
                lambda: stream.warnings.append(_NO_BOM.format(origin)),
            ):
                yield ordinals, 2, values
                given = ordinals[-1] if len(ordinals) else given
            return
        except frames.NotPlain:
            del stream.warnings[said:]
    rows = _csv_rows(stream, subject, again(), origin)
    for frame in frames.of_rows((ordinal, values) for ordinal, values in rows if ordinal > given):
        yield frame.source_row, 2, frame.values


def _csv_rows(stream: RowStream, subject: Subject, f: BinaryIO, origin: str) -> Iterator[tuple[int, list[str | None]]]:
    reader = csv.reader(_decoded(stream, subject, f, origin), delimiter=";", strict=True)
    width = len(subject.contract.columns)
    fill = _Filler(subject.contract)
    try:
        head = next(reader, None)
        if head is None:
            raise subject.refused("F02", f"{origin} is empty: not even headings.")
        if len(head) == 1 and width > 1 and ("," in head[0] or "\t" in head[0]):
            raise subject.refused("F20", f"{origin} is not separated by ';'.")
        check_headings(stream, subject, head)
        for ordinal, record in enumerate(reader, 1):
            values = [text.clean(v) if v else None for v in record]
            if not any(values):
                continue
            if len(values) < width or any(values[len(head) :]):
                raise subject.refused("Q02", f"{origin}, record {ordinal + 1} has {len(values)} fields, the headings {len(head)}.")
            yield ordinal, fill(values[:width])
    except csv.Error as error:
        raise subject.refused("F02", f"{origin}, line {reader.line_num}: {error}; the file may be cut inside a quoted field.") from error


class _Again:
    """The same file from its beginning, each time."""

    def __init__(self, f: BinaryIO) -> None:
        self._f = f

    def __call__(self) -> BinaryIO:
        self._f.seek(0)
        return self._f


def _zip(stream: RowStream, subject: Subject, f: BinaryIO, is_columnar: bool) -> Iterator[Piece]:
    try:
        archive = zipfile.ZipFile(f)
        everything = [n for n in archive.namelist() if not n.endswith("/")]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise subject.refused("F01", f"the ZIP is damaged ({error}).") from error
    # what a Mac or a file manager puts beside the parts (resource forks, folder settings) is none of them
    names = [
        n
        for n in everything
        if not n.startswith("__MACOSX/") and n.rpartition("/")[2].lower().endswith((".csv", ".txt")) and not n.rpartition("/")[2].startswith(".")
    ]
    if len(names) < len(everything):
        stream.warnings.append(f"F13: the ZIP holds what is no part: {', '.join(sorted(set(everything) - set(names)))}; it stays in the landing")
    parts = {}
    for name in names:
        if (said := _DAY_IN_NAME.search(name.rpartition("/")[2])) and said[1] != str(subject.day).replace("-", ""):
            raise subject.refused("F65", f"{name} in the ZIP is named for another day.")
        match = _PART.search(name)
        if match:
            parts[int(match[1])] = (name, int(match[2]))
    totals = {total for _, total in parts.values()}
    if not parts and len(names) == 1 and names[0].lower().endswith(".csv"):
        parts, totals = {1: (names[0], 1)}, {1}
    if len(totals) != 1 or sorted(parts) != list(range(1, max(totals, default=0) + 1)):
        raise subject.refused("F27", f"the ZIP does not hold every part: found {sorted(n for n, _ in parts.values()) or names}.")
    offset = 0
    infos = [archive.getinfo(name) for name, _ in parts.values()]
    if (total := sum(i.file_size for i in infos)) > MAX_UNPACKED_BYTES:
        raise subject.refused("F71", f"the ZIP would unpack to {total:,} bytes; that is no export.")
    for number in sorted(parts):
        info = archive.getinfo(parts[number][0])
        if info.file_size > MAX_UNPACKED_BYTES or (info.file_size > 1 << 24 and info.file_size > MAX_UNPACK_FACTOR * max(info.compress_size, 1)):
            raise subject.refused("F71", f"{info.filename} would unpack to {info.file_size:,} bytes; that is no export.")
        try:
            with contextlib.ExitStack() as opened:
                last = 0

                def again(info: zipfile.ZipInfo = info, opened: contextlib.ExitStack = opened) -> BinaryIO:
                    return opened.enter_context(archive.open(info))  # type: ignore[return-value]

                for ordinals, first, values in _csv(stream, subject, again, info.filename, is_columnar):
                    last = ordinals[-1] if len(ordinals) else last
                    yield ordinals + offset, first, values
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise subject.refused("F01", f"{info.filename} in the ZIP is damaged ({error}).") from error
        offset += last


# ---- XLSX ------------------------------------------------------------------------------------------------------------------------


class _Filler:
    """Fills order columns down inside an order's block: a row with STT or order code begins one (EXPORTS §9.2)."""

    def __init__(self, contract: Any) -> None:
        self.filled = [n for n, c in enumerate(contract.columns) if c.fill]
        self.starts = [n for n, c in enumerate(contract.columns) if c.fill and c.name in ("stt", contract.row_group)]
        self.first: list[str | None] | None = None

    def __call__(self, values: list[str | None]) -> list[str | None]:
        if not self.filled:
            return values
        if any(values[n] is not None for n in self.starts):
            self.first = values
        elif self.first is not None:
            for n in self.filled:
                if values[n] is None:
                    values[n] = self.first[n]
        return values


def sheet_rows(sheet: Any) -> Iterator[tuple[int, list[Any]]]:
    """(1-based row number, cells from column A) of a calamine sheet, whatever dimension the file claims; cells become objects as they are asked for."""
    pad = [None] * (sheet.start or (0, 0))[1]
    for n, cells in enumerate(sheet.iter_rows(), 1):
        yield n, pad + cells


def _xlsx(stream: RowStream, subject: Subject, f: BinaryIO) -> Iterator[Piece]:
    from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum

    contract = subject.contract
    try:
        workbook.guard(f, subject.refused)
        book = CalamineWorkbook.from_filelike(f)
        wanted = text.heading(contract.file.get("sheet"))
        named = [n for n in book.sheet_names if text.heading(n) == wanted]
        if not named and len(book.sheet_names) == 1:
            named = list(book.sheet_names)
            stream.warnings.append(f"Q02: the sheet is called '{named[0]}', expected '{wanted}'")
        if not named:
            raise subject.refused("Q02", f"there is no sheet '{wanted}', only {book.sheet_names}.")
        hidden = [s.name for s in book.sheets_metadata if s.visible != SheetVisibleEnum.Visible]
        if hidden:
            stream.warnings.append(f"F75: hidden sheets: {', '.join(hidden)}" + ("" if named[0] in hidden else "; they stay in the landing"))
        sheet = sheet_rows(book.get_sheet_by_name(named[0]))
        yield from _sheet(stream, subject, sheet)
    except BaseException as error:
        if not workbook.is_damage(error, CalamineError):
            raise
        raise subject.refused("F01", f"the workbook is damaged ({error}).") from None


def _sheet(stream: RowStream, subject: Subject, sheet: Iterator[tuple[int, list[Any]]]) -> Iterator[Piece]:
    contract = subject.contract
    first_heading = text.heading(contract.columns[0].heading)
    header: int | None = None
    for number, cells in sheet:
        if said := _PERIOD.search(" ".join(text.heading(c) for c in cells if c) if number < HEADING_ROW else ""):
            day = f"{said[3]}-{said[2]}-{said[1]}"
            if day != str(subject.day):
                raise subject.refused("F65", f"its title says that it goes to {day}; it is another day's report under this day's name.")
        if (cells and text.heading(cells[0]) == first_heading) or number == HEADING_ROW:
            check_headings(stream, subject, cells)
            header = number
            break
        if number >= MAX_HEADING_ROW:
            break
    if header is None:
        raise subject.refused("Q02", f"no heading row was found; '{contract.columns[0].heading}' should begin row {HEADING_ROW}.")
    filler = _Filler(contract)
    fill, sums, old_font = frames.Filler(filler.filled, filler.starts), _Sums(contract), text.OldFont()
    dates = [str(n) for n, c in enumerate(contract.columns) if c.type in ("date", "datetime")]
    is_over = False
    while batch := list(itertools.islice(sheet, frames.SHEET_ROWS)):
        numbers, cells = zip(*batch, strict=True)
        values, ordinals = frames.of_cells(cells, len(contract.columns)), pl.Series(numbers, dtype=pl.Int64) - header
        totals, dropped = [], []
        for n in values.select((~pl.col("0").str.contains(_STT).fill_null(False)).arg_true()).to_series():
            row = values.row(n)
            label = next((v for v in row if v is not None), None)
            if label is None:
                dropped.append(n)
            elif _TOTAL.match(label):
                totals.append((n, row))
                dropped.append(n)
                is_over = True
            elif _SIGNATURE.match(label) or (is_over and sum(v is not None for v in row) <= 3):
                dropped.append(n)
                is_over = True
        kept = pl.int_range(len(numbers), eager=True)
        if dropped:
            kept = kept.filter(~kept.is_in(dropped))
            values, ordinals = values[kept], ordinals.gather(kept)
        values = values.with_columns(frames.mapped(values[name], _SERIAL, text.serial_date).alias(name) for name in dates)
        old_font.look_at(values)
        values = fill(values)
        done = 0
        for at, row in totals:
            until = (kept < at).sum()
            sums.add(values[done:until])
            stream.warnings += sums.differences(row, numbers[at])
            done = until
        sums.add(values[done:])
        yield ordinals, header + 1, values
    if old_font.share > MAX_OLD_FONT_SHARE:
        raise subject.refused("F68", f"{old_font.hit} of {old_font.words} Vietnamese texts are written for an old font (TCVN3, .VnTime), not in Unicode.")


class _Sums:
    """Sums of the money columns, to compare with the totals row (F23); order columns count once per block."""

    def __init__(self, contract: Any) -> None:
        self.columns = [(n, c) for n, c in enumerate(contract.columns) if c.type == "money"] if contract.row_group else []
        self.group = next((str(n) for n, c in enumerate(contract.columns) if c.name == contract.row_group), None)
        self.total: dict[int, float] = dict.fromkeys((n for n, _ in self.columns), 0)
        self._last: str | None = None

    def add(self, values: pl.DataFrame) -> None:
        if self.group is None or not self.columns or values.is_empty():
            return
        before = values[self.group].shift(1, fill_value=self._last)
        firsts = values.filter(values[self.group].ne_missing(before))
        self._last = values[self.group][-1]
        for n, column in self.columns:
            if column.name != "unit_price_vnd":
                self.total[n] += frames.total((firsts if column.fill else values)[str(n)])

    def differences(self, totals: Sequence[str | None], row: int) -> list[str]:
        """What the totals row says otherwise, in words."""
        told = []
        for n, column in self.columns:
            given = text.number(totals[n])
            if given is not None and column.name != "unit_price_vnd" and given != self.total[n]:
                told.append(f"F23: totals row {row}, '{column.heading}' says {given:,}, the rows add up to {self.total[n]:,}")
        return told
