"""`make resolve`: a CSV of addresses in, one line per row out, in the same order, none lost; what a person has to decide goes beside it.

In: id, raw_text, record_date, in any order, with other columns or a BOM, comma, semicolon or tab. Out: id, status, code, candidates, rule.
"""

from __future__ import annotations

import csv
import io
import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TextIO

from kinhteso.addresses import spelling
from kinhteso.addresses.resolving import AMBIGUOUS, Resolution, Resolver, masked

WANTED = ("id", "raw_text", "record_date")
HEADER = ("id", "status", "code", "candidates", "rule")
REVIEW_HEADER = ("text_norm", "list", "candidates", "candidate_names", "rule", "rows", "first_id", "first_text")
#: Rule of a row that is no row of the table: more cells than headings, or a quotation mark that never closes.
DAMAGED = "row"
_MOST_LINES = 40
_LOCAL = timezone(timedelta(hours=7))
csv.field_size_limit(1 << 28)


class FileError(ValueError):
    """The file cannot be taken at all; the message says why and what to do."""


@dataclass
class Counts:
    """What came of a file: rows by status, and the different texts that wait for a person."""

    rows: Counter[str] = field(default_factory=Counter)
    texts: int = 0


# ---- days ----

_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:[T ].*)?")
_VIETNAMESE = re.compile(r"(?:ngày\s*)?(\d{1,2})\s*(?:[-/.]|tháng)\s*(\d{1,2})\s*(?:[-/.]|năm)\s*(\d{4}|\d{2})(?:[T ,].*)?", re.IGNORECASE)
_COMPACT = re.compile(r"(20\d{2})(\d{2})(\d{2})")
_SERIAL = re.compile(r"([3-7]\d{4})(?:[.,]\d+)?")


def parse_day(text: str | None) -> date | None:
    """The day of a record: yyyy-mm-dd, dd/mm/yyyy (day first, also with two digits of the year), yyyymmdd, a spreadsheet's serial; a moment with
    an offset or Z is the day in Vietnam. None for anything else."""
    text = spelling.clean(text or "").strip("'\"")
    try:
        if re.search(r"\d{2}:\d{2}.*(?:Z|[+-]\d{2}:?\d{2})$", text):
            return datetime.fromisoformat(text.replace(" ", "T", 1)).astimezone(_LOCAL).date()
        if m := _ISO.fullmatch(text):
            return date(int(m[1]), int(m[2]), int(m[3]))
        if m := _VIETNAMESE.fullmatch(text):
            return date(int(m[3]) + (2000 if len(m[3]) == 2 else 0), int(m[2]), int(m[1]))
        if m := _COMPACT.fullmatch(text):
            return date(int(m[1]), int(m[2]), int(m[3]))
        if m := _SERIAL.fullmatch(text):
            return date(1899, 12, 30) + timedelta(days=int(m[1]))
    except ValueError:
        return None
    return None


# ---- rows ----


def _open(path: Path) -> TextIO:
    """UTF-8, with or without BOM; other bytes stay as they are and are judged cell by cell. UTF-16 by its BOM."""
    with path.open("rb") as f:
        start = f.read(4)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return path.open(encoding="utf-16", errors="replace", newline="\n")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n")


def _lines(f: TextIO) -> Iterator[str]:
    """Lines with their ends. A CR alone ends a line only in a file whose heading ends so; elsewhere it is white space in a cell."""
    is_cr = None
    for line in f:
        text = line.rstrip("\r\n")
        if is_cr is None and text.strip():
            is_cr = "\r" in text
        if is_cr:
            yield from (piece + "\n" for piece in text.split("\r"))
        else:
            yield text.replace("\r", " ") + ("\n" if text != line else "")


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])


def _is_open(text: str) -> bool:
    return text.count('"') % 2 == 1


def _begins_row(line: str, delimiter: str, columns: int, day_at: int) -> bool:
    """Whether a line that should continue a quoted cell is a row of its own: a mark before it was never closed."""
    if _is_open(line):
        opening = re.match(rf'[^"]*?(?:^|{re.escape(delimiter)})"(?!{re.escape(delimiter)}|\s*$)', line)
        return opening is not None
    cells = _cells(line, delimiter)
    return len(cells) == columns and parse_day(cells[day_at]) is not None


def _records(lines: Iterator[str], delimiter: str, columns: int, day_at: int) -> Iterator[tuple[list[str], bool]]:
    """(cells, is whole) of each row. A quotation mark that never closes damages its own row, not those after it."""
    waiting: list[str] = []

    def next_line() -> str | None:
        return waiting.pop(0) if waiting else next(lines, None)

    while (line := next_line()) is not None:
        if not line.strip("\r\n"):
            continue
        if not _is_open(line):
            yield _cells(line, delimiter), True
            continue
        joined = line
        taken: list[str] = []
        while _is_open(joined) and len(taken) < _MOST_LINES and (more := next_line()) is not None:
            if _begins_row(more, delimiter, columns, day_at):
                waiting.insert(0, more)
                break
            taken.append(more)
            joined += more
        if not _is_open(joined):
            yield _cells(joined, delimiter), True
        else:
            waiting[:0] = taken
            cells = next(csv.reader([line], delimiter=delimiter, quoting=csv.QUOTE_NONE), [])
            is_inside = len(cells) == columns and not any(c.lstrip().startswith('"') for c in cells)  # a mark within a cell opens nothing
            yield [c.strip('"') if not is_inside else c for c in cells], is_inside


def _header(first: str) -> tuple[str, dict[str, int], int]:
    """Delimiter, place of each wanted column, number of columns. Raises FileError where one is missing."""
    best: list[str] = []
    for delimiter in (",", ";", "\t", "|"):
        names = [re.sub(r"[\s-]+", "_", spelling.clean(c).strip().strip('"').casefold()) for c in _cells(first, delimiter)]
        if all(names.count(w) == 1 for w in WANTED):
            return delimiter, {w: names.index(w) for w in WANTED}, len(names)
        best = max(best, names, key=lambda n: (sum(w in n for w in WANTED), len(n)))
    twice = [w for w in WANTED if best.count(w) > 1]
    lacking = [w for w in WANTED if w not in best]
    what = f"has the column {twice[0]} twice" if twice else f"lacks the column{'s' if len(lacking) > 1 else ''} {', '.join(lacking)}"
    found = ", ".join(n for n in best if n) or "nothing"
    raise FileError(f"the heading {what}; it has {found}. Name the columns {', '.join(WANTED)} in the first line.")


def _whole_text(cell: str, resolver: Resolver) -> str:
    """A cell whose bytes are no UTF-8: read as the code page of an old font if that repairs the whole of it, else with its letters marked as lost."""
    if not any("\ud800" <= c <= "\udfff" for c in cell):
        return cell
    raw = cell.encode("utf-8", "surrogateescape")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        shown = "".join(spelling.as_cp1252(b) for b in raw)
        repaired = spelling.repair(shown, resolver.reader.known_syllables)
        if repaired.how and not repaired.is_lossy and not repaired.is_damaged:
            return repaired.text
    return raw.decode("utf-8", "replace")


def safe(text: str) -> str:
    """A cell that a spreadsheet shows and does not run: = + - @ TAB CR at its start are text; a negative number stays one."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8") if any("\ud800" <= c <= "\udfff" for c in text) else text
    if text[:1] in ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20") and not re.fullmatch(r"-\d+([.,]\d+)?", text):
        return "'" + text
    return text


# ---- a file ----


def beside(target: Path) -> Path:
    """Where the review list of a result goes: out.review.csv of out.csv."""
    return target.with_name(target.name.removesuffix(".csv") + ".review.csv")


@contextmanager
def _beside(target: Path) -> Iterator[TextIO]:
    """A file that takes its name only when it is complete."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.chmod(name, 0o644)
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def resolve_file(source: Path, target: Path, resolver: Resolver) -> Counts:
    """Resolve ``source`` into ``target``, and what is ambiguous, each text once, into ``target`` + .review.csv.

    Raises FileError where the file or its heading cannot be taken; nothing is written then.
    """
    if not source.is_file():
        raise FileError("there is no such file. Say which with FILE=….")
    if target.exists() and target.samefile(source):
        raise FileError("OUT is the same file. Name another one.")
    if not target.parent.is_dir():
        raise FileError(f"there is no folder {target.parent} for OUT. Create it or name another one.")
    review_path = beside(target)
    counts, review = Counts(), _Review(resolver)
    with _open(source) as f:
        lines = _lines(f)
        first = next((line for line in lines if line.strip()), None)
        if first is None:
            raise FileError(f"it is empty. The first line names the columns {', '.join(WANTED)}.")
        delimiter, at, columns = _header(first)
        with _beside(target) as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(HEADER)
            for cells, is_whole in _records(lines, delimiter, columns, at["record_date"]):
                row_id, result, text = _resolve(cells, is_whole, at, columns, resolver)
                writer.writerow((safe(row_id), result.status, result.code, "|".join(result.candidates), result.rule))
                counts.rows[result.status] += 1
                if result.status == AMBIGUOUS:
                    review.add(row_id, text, result)
    counts.texts = len(review.found)
    if review.found:
        with _beside(review_path) as out:
            csv.writer(out, lineterminator="\n").writerows([REVIEW_HEADER, *review.rows()])
    else:
        review_path.unlink(missing_ok=True)
    return counts


def _resolve(cells: list[str], is_whole: bool, at: dict[str, int], columns: int, resolver: Resolver) -> tuple[str, Resolution, str]:
    said = {name: cells[n] if n < len(cells) else "" for name, n in at.items()}
    text = _whole_text(said["raw_text"], resolver)
    if not is_whole or any(c.strip() for c in cells[columns:]):
        return said["id"], Resolution(AMBIGUOUS, rule=DAMAGED), text
    return said["id"], resolver.resolve(text, parse_day(said["record_date"])), text


class _Review:
    """Each ambiguous text once, with its candidates in words."""

    def __init__(self, resolver: Resolver):
        self.resolver = resolver
        self.found: dict[tuple[str, str], list[object]] = {}

    def add(self, row_id: str, text: str, result: Resolution) -> None:
        key = (self.resolver.norm(text), result.list)
        entry = self.found.setdefault(key, [result, 0, row_id, text])
        entry[1] += 1  # type: ignore[operator]

    def rows(self) -> Iterator[tuple[object, ...]]:
        for (norm, list_name), (result, rows, row_id, text) in self.found.items():
            assert isinstance(result, Resolution)
            names = "; ".join(self.resolver.name_of(list_name, c) for c in result.candidates)
            yield safe(norm), list_name, "|".join(result.candidates), names, result.rule, rows, safe(str(row_id)), safe(masked(spelling.clean(str(text))))
