"""Rows in columns: frames of text for files of millions of rows, where Python must not look at each value.

What is here gives exactly what the readers of rows give. It looks at a block of bytes as a whole, proves that nothing in it is out of the ordinary, and leaves
a part in which something is to the reader of rows, which knows what to say of it.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

import polars as pl

from kinhteso.readers import text

#: Of a file in work at once; frames of this size go into COPY.
BLOCK_BYTES = 4 << 20
BATCH_ROWS = 5_000
SHEET_ROWS = 10_000
#: A record longer than this is left to the reader of rows.
MAX_RECORD_BYTES = 64 << 20

_BOM, _UTF16 = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")
#: What may stand before a quote that opens a field, behind one that closes it; nothing: the beginning or the end of a block.
_BEFORE, _BEHIND = frozenset((b"", b";", b"\n")), frozenset((b"", b";", b"\r", b"\n"))
_NO_LINE_END = bytes(b for b in range(256) if b not in b"\r\n")
#: Letters and marks that are their own NFC whatever stands beside them, no blanks, and in no text that was read with a wrong encoding.
PLAIN_LETTERS = frozenset("ÀÁÂÃÈÉÊÌÍÒÓÔÕÙÚÝàáâãèéêìíòóôõùúýĂăĐđĨĩŨũƠơƯư–—“”…•₫×" + "".join(map(chr, range(0x1EA0, 0x1EFA))))
#: A whole number, dotted or not, that 64 bits can hold; the largest float of which each whole number below is one.
_WHOLE, _EXACT = r"^-?(\d{1,3}([.,]\d{3}){1,4}|\d{1,15})$", 1e15
#: A value that `text.clean` may change.
_UNCLEAN = r"(?-m)^$|^\s|\s$|[^\x20-\x7e\r\n" + "".join(sorted(PLAIN_LETTERS)) + "]"


@dataclass(frozen=True, slots=True)
class Frame:
    """Some rows of a delivery. ``source_row``: their numbers; ``values``: a column of text for each of the contract's, in its order, named 0, 1, …"""

    source_row: pl.Series
    values: pl.DataFrame

    def rows(self) -> Iterator[tuple[int, list[str | None]]]:
        """Row by row."""
        for number, values in zip(self.source_row, self.values.iter_rows(), strict=True):
            yield number, list(values)


class NotPlain(Exception):
    """Something in a part is out of the ordinary: it is read row by row."""


def of_rows(rows: Iterable[tuple[int, Sequence[str | None]]], batch: int = BATCH_ROWS) -> Iterator[Frame]:
    """Frames of rows that came one by one."""
    iterator = iter(rows)
    while taken := list(itertools.islice(iterator, batch)):
        numbers, values = zip(*taken, strict=True)
        yield Frame(
            pl.Series(numbers, dtype=pl.Int64),
            pl.DataFrame({str(n): pl.Series(column, dtype=pl.String) for n, column in enumerate(zip(*values, strict=True))}),
        )


def ahead(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The frames, each read in a thread while the one before is worked on."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, frames, None)
        while (frame := coming.result()) is not None:
            coming = reader.submit(next, frames, None)
            yield frame


def cleaned(column: pl.Series, clean: Callable[[str], str | None] = text.clean) -> pl.Series:
    """A column as ``clean`` makes each of its values that are not plain."""
    return mapped(column, _UNCLEAN, clean)


def mapped(column: pl.Series, pattern: str, change: Callable[[str], str | None]) -> pl.Series:
    """A column in which ``change`` was made to the values that match ``pattern``, once to each different one."""
    at = column.str.contains(pattern).arg_true()
    if at.is_empty():
        return column
    return column.clone().scatter(at, each(column.gather(at), change))  # scatter writes into the column it is called on


def each(column: pl.Series, change: Callable[[str], str | None]) -> pl.Series:
    """``change`` made to a column without nulls, once to each different value."""
    different = column.unique()
    return column.replace_strict(different, pl.Series([change(value) for value in different], dtype=pl.String), return_dtype=pl.String)


def of_cells(rows: Sequence[Sequence[Any]], width: int) -> pl.DataFrame:
    """Cells of a spreadsheet as columns of text (`text.cell`), ``width`` of them."""
    columns = [_of_cells(column) for column in itertools.islice(zip(*rows, strict=True), width)]
    columns += [pl.Series([None], dtype=pl.String).new_from_index(0, len(rows))] * (width - len(columns))
    return pl.DataFrame({str(n): column for n, column in enumerate(columns)})


def _of_cells(cells: Sequence[Any]) -> pl.Series:
    kinds = set(map(type, cells)) - {type(None)}
    if kinds <= {str}:
        column = pl.Series(cells, dtype=pl.String)
        column = column.set(column == "", None)
        return cleaned(column) if column.null_count() < len(column) else column
    if kinds == {float}:
        numbers = pl.Series(cells, dtype=pl.Float64)
        whole = numbers.cast(pl.Int64, strict=False)
        if (whole.cast(pl.Float64).eq_missing(numbers)).all() and (numbers.abs() < _EXACT).all():
            return whole.cast(pl.String)
    known = {cell: text.cell(cell) for kind in kinds for cell in {c for c in cells if type(c) is kind}} if bool not in kinds else {}
    return pl.Series([known[cell] if cell in known else text.cell(cell) for cell in cells], dtype=pl.String)


def total(column: pl.Series) -> float:
    """The sum of what `text.number` makes of a column; an int where all of them are."""
    plain = column.filter(column.str.contains(_WHOLE))
    numbers = plain.str.replace_all("[.,]", "").cast(pl.Int64)
    rest = column.filter(~column.str.contains(_WHOLE))
    return int(numbers.sum()) + sum(text.number(value) or 0 for value in rest)


class Filler:
    """Fills order columns down inside an order's block, from frame to frame; see `files.Filler`."""

    def __init__(self, filled: Sequence[int], starts: Sequence[int]) -> None:
        self.filled, self.starts = [str(n) for n in filled], [str(n) for n in starts]
        self.first: dict[str, str | None] = {}

    def __call__(self, frame: pl.DataFrame) -> pl.DataFrame:
        if not self.filled or frame.is_empty():
            return frame
        begins = frame.select(pl.any_horizontal(pl.col(self.starts).is_not_null())).to_series()
        if not begins.all():
            at = pl.select(pl.when(begins).then(pl.int_range(len(begins))).forward_fill()).to_series()
            is_before = at.is_null()
            filled = []
            for name in self.filled:
                column = frame[name]
                head = column.gather(at)
                if self.first.get(name) is not None:
                    head = head.zip_with(~is_before, pl.Series([self.first[name]], dtype=pl.String).new_from_index(0, len(head)))
                filled.append(column.zip_with(column.is_not_null(), head).alias(name))
            frame = frame.with_columns(filled)
        if begins.any():
            last = begins.arg_true()[-1]
            self.first = {name: frame[name][last] for name in self.filled}
        return frame


def csv_frames(
    f: BinaryIO, width: int, check: Callable[[Sequence[str]], None], fill: Filler, is_without_bom: Callable[[], None]
) -> Iterator[tuple[pl.Series, pl.DataFrame]]:
    """(ordinals from 1, values) of a CSV with ';'. ``check`` looks at the headings.

    Raises NotPlain, perhaps after some frames, where only the reader of rows knows what is meant.
    """
    block = f.read(BLOCK_BYTES)
    if block.startswith(_BOM):
        block = block[len(_BOM) :]
    elif block[:2] in _UTF16:
        raise NotPlain
    else:
        is_without_bom()
    names, end = _headings(block)
    check(names)
    rest, ordinal = block[end:], 0
    while True:
        more = f.read(BLOCK_BYTES)
        block = rest + more if more else rest.rstrip(b"\r\n")
        cut = _record_end(block) if more else len(block)
        rest = block[cut:]
        if len(rest) > MAX_RECORD_BYTES:
            raise NotPlain
        if cut:
            frame = _parsed(block[:cut], len(names))
            ordinals = pl.int_range(ordinal + 1, ordinal + frame.height + 1, eager=True)
            ordinal += frame.height
            if frame["0"].null_count():
                is_row = frame.select(~pl.all_horizontal(pl.all().is_null())).to_series()
                if not is_row.all():
                    frame, ordinals = frame.filter(is_row), ordinals.filter(is_row)
            yield ordinals, fill(frame[:, :width])
        if not more:
            return


def _headings(block: bytes) -> tuple[list[str], int]:
    """The first record and where it ends."""
    end = block.find(b"\n") + 1
    while end and block.count(b'"', 0, end) % 2:
        end = block.find(b"\n", end) + 1
    if not end:
        raise NotPlain
    try:
        line = block[:end].decode()
        names = next(csv.reader(io.StringIO(line, newline=""), delimiter=";", strict=True))
    except (UnicodeDecodeError, csv.Error, StopIteration):
        raise NotPlain from None
    if len(names) < 2 or text.MOJIBAKE.search(line):
        raise NotPlain
    return names, end


def _record_end(block: bytes) -> int:
    """Behind the last line end that stands in no quotes."""
    at = len(block)
    while (at := block.rfind(b"\n", 0, at)) >= 0:
        if block.count(b'"', 0, at) % 2 == 0:
            return at + 1
    return 0


def _parsed(block: bytes, fields: int) -> pl.DataFrame:
    """Whole records of a CSV as columns of clean text, or NotPlain."""
    rows = _square(block, fields)
    try:
        frame = pl.read_csv(
            io.BytesIO(block), separator=";", has_header=False, schema={str(n): pl.String for n in range(fields)}, extra_columns="raise", encoding="utf8"
        )
    except pl.exceptions.PolarsError:
        raise NotPlain from None
    if frame.height != rows:
        raise NotPlain
    return frame.select(cleaned(column, _readable) for column in frame)


def _readable(value: str) -> str | None:
    if text.MOJIBAKE.search(value):
        raise NotPlain
    return text.clean(value)


def _square(block: bytes, fields: int) -> int:
    """The number of records, when each quote is where a quote belongs and the fields are as many as those of so many records; else NotPlain."""
    if b'"' in block:
        pieces = block.split(b'"')
        if len(pieces) % 2 == 0:
            raise NotPlain
        # what stands outside of quotes; nothing between two of them: a quote that means itself
        first, *middle, last = pieces[::2]
        outside = [first, *filter(None, middle), last]
        if not all(piece[-1:] in _BEFORE for piece in outside[:-1]) or not all(piece[:1] in _BEHIND for piece in outside[1:]):
            raise NotPlain
        block = b"".join(outside)
    line_ends = block.translate(None, _NO_LINE_END)
    rows = line_ends.count(b"\n")
    if line_ends not in (b"\r\n" * rows, b"\n" * rows):
        raise NotPlain
    rows += not block.endswith(b"\n")
    if block.count(b";") != rows * (fields - 1):
        raise NotPlain
    return rows
