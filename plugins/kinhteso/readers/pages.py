"""Vỏ Sò's JSON pages and the bulk job's JSON Lines (EXPORTS §10)."""

from __future__ import annotations

import gzip
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any

import orjson
import polars as pl

from kinhteso.readers import PartRows, RowStream, frames, text
from kinhteso.readers.files import Subject

_LINE_NUMBERS = ("LINE_NO", "QUANTITY", "PRICE", "AMOUNT", "WEIGHT")
_WHOLE = {int, type(None)}
#: Of the bulk job's lines in work at once, as many as a page may hold.
_LINES = 500
_LINE_NUMBER_AS_TEXT = f'"(?:{"|".join(_LINE_NUMBERS)})":"'


def value(given: Any) -> str | None:
    """A JSON value as text: strings bare, true/false, digits, arrays and objects as JSON text, null as None."""
    if given is None:
        return None
    if isinstance(given, str):
        return text.clean(given)
    if given is True:
        return "true"
    if given is False:
        return "false"
    if isinstance(given, int):
        return str(given)
    if isinstance(given, float):
        return str(int(given)) if given.is_integer() else repr(given)
    return orjson.dumps(given).decode()


def read(stream: RowStream, contract: Any, parts: Sequence[Any], landing: Any, export: Any, *, is_columnar: bool = True) -> Iterator[frames.Frame]:
    """Items of all pages or lines of all parts, numbered through. With ``is_columnar`` false each is looked at by itself: the same rows, slower."""
    items, ordinal = _Items(contract, is_columnar), 0

    def frame() -> frames.Frame:
        values = items.given()
        ordinals = pl.int_range(stream.rows + 1, stream.rows + values.height + 1, dtype=pl.Int64, eager=True)
        stream.rows += values.height
        return frames.Frame(ordinals, values)

    for part in parts:
        subject = Subject(contract, export, part.origin)
        first = ordinal + 1
        with landing.open(part.path) as f:
            try:
                for page in _pages(gzip.GzipFile(fileobj=f), part.path):
                    if set(map(type, page)) - {dict}:
                        strange = next(item for item in page if not isinstance(item, dict))
                        raise subject.refused("F47", f"an item is no object: {str(strange)[:80]}.")
                    ordinal += len(page)
                    if page:
                        items.take(page)
                    if len(items) >= frames.BATCH_ROWS:
                        yield frame()
            except (EOFError, gzip.BadGzipFile, OSError) as error:
                raise subject.refused("F03", f"the part is damaged ({error}).") from error
            except orjson.JSONDecodeError as error:
                raise subject.refused("F47", f"not JSON ({error}).") from error
        stream.parts.append(PartRows(part.part_no, first, ordinal - first + 1, 1))
    if len(items):
        yield frame()
    stream.warnings += items.told()


class _Items:
    """Items to columns, and what was noticed about them: numbers that came as text, fields that the contract does not know.

    A page is taken apart as soon as it is there: its objects are many, and what is let go of while it is young costs little.
    """

    def __init__(self, contract: Any, is_columnar: bool) -> None:
        self._names, self._is_columnar = [c.heading for c in contract.columns], is_columnar
        self._known = set(self._names)
        self._numbers = {n for n, c in enumerate(contract.columns) if c.type in ("integer", "epoch_ms")}
        self._texts = {n for n, c in enumerate(contract.columns) if c.type == "json"}
        self._all = itemgetter(*self._names, self._names[0])  # of one name it would give no tuple
        self._columns: list[list[Any]] = [[] for _ in self._names]
        self._as_text: Counter[str] = Counter()
        self._unknown: set[str] = set()

    def __len__(self) -> int:
        return len(self._columns[0])

    def take(self, page: Sequence[dict[str, Any]]) -> None:
        """The items of a page."""
        if not self._is_columnar:
            self._take_each(page)
            return
        try:
            rows, are_odd = list(map(self._all, page)), set(map(len, page)) != {len(self._names)}
        except KeyError:
            rows, are_odd = [tuple(map(item.get, self._names)) for item in page], True
        if are_odd:
            for item in page:
                self._unknown |= item.keys() - self._known
        for n, (taken, values) in enumerate(zip(self._columns, zip(*rows, strict=True), strict=False)):
            taken.extend(_json(values) if n in self._texts else values)
        if "LINES" not in self._known:
            for item in page:
                self._count_lines(item.get("LINES"))

    def _take_each(self, page: Sequence[dict[str, Any]]) -> None:
        for item in page:
            self._unknown |= item.keys() - self._known
            self._count_lines(item.get("LINES"))
            for n, name in enumerate(self._names):
                if n in self._numbers and isinstance(item.get(name), str):
                    self._as_text[name] += 1
                self._columns[n].append(value(item.get(name)))

    def _count_lines(self, lines: Any) -> None:
        for line in lines if isinstance(lines, list) else ():
            for name in _LINE_NUMBERS if isinstance(line, dict) else ():
                if isinstance(line.get(name), str):
                    self._as_text[f"LINES.{name}"] += 1

    def given(self) -> pl.DataFrame:
        """What was taken since the last time, as text."""
        frame = {}
        for n, (name, values) in enumerate(zip(self._names, self._columns, strict=True)):
            if not self._is_columnar or n in self._texts:
                column = pl.Series(values, dtype=pl.String)
            else:
                kinds = set(map(type, values)) if n in self._numbers else set()
                if str in kinds:
                    self._as_text[name] += sum(type(v) is str for v in values)
                column = _column(values, kinds)
            if self._is_columnar and name == "LINES":
                for text_of_lines in column.filter(column.str.contains(_LINE_NUMBER_AS_TEXT)):
                    self._count_lines(_lines(text_of_lines))
            frame[str(n)] = column
            self._columns[n] = []
        return pl.DataFrame(frame)

    def told(self) -> Iterator[str]:
        """In words."""
        if self._as_text:
            told = ", ".join(f"{name} ({count:,})" for name, count in sorted(self._as_text.items()))
            yield f"F47: numbers came as text: {told}; exact whole numbers are taken, others go to quarantine"
        if self._unknown:
            yield f"F13: fields that the contract does not know: {', '.join(sorted(self._unknown))}; they stay in the landing"


def _json(values: Sequence[Any]) -> Iterator[str | None]:
    if set(map(type, values)) == {list}:
        return map(bytes.decode, map(orjson.dumps, values))
    return map(value, values)


def _column(values: Sequence[Any], kinds: set[type]) -> pl.Series:
    """Values as text; ``kinds`` are those of a column of numbers."""
    try:
        if not kinds:
            return frames.cleaned(pl.Series(values, dtype=pl.String))
        if kinds <= _WHOLE:
            return pl.Series(values, dtype=pl.Int64).cast(pl.String)
    except (OverflowError, TypeError):  # of another kind, or more than 64 bits hold
        pass
    return pl.Series([value(v) for v in values], dtype=pl.String)


def _lines(text_of_lines: str) -> Any:
    """LINES again; a string that only looks like it was no list."""
    try:
        return orjson.loads(text_of_lines)
    except orjson.JSONDecodeError:
        return None


def _pages(f: gzip.GzipFile, path: str) -> Iterator[list[Any]]:
    """The items of a page, or those of some lines."""
    if path.endswith(".jsonl.gz"):
        lines = (orjson.loads(line) for line in f if line.strip())
        while some := list(itertools.islice(lines, _LINES)):
            yield some
        return
    body = orjson.loads(f.read())
    yield (body.get("data") or {}).get("ITEMS") or []
