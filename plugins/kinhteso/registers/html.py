"""An HTML table under an Excel name (EXPORTS F21): what some office software calls .xls. Pure."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_BLOCKS = {"p", "div", "br", "h1", "h2", "h3", "h4", "h5", "h6", "table", "caption", "body"}
_CHARSET = re.compile(rb"charset\s*=\s*[\"']?([A-Za-z0-9_-]+)", re.IGNORECASE)
_MAX_SPAN = 1_000


class _Rows(HTMLParser):
    """Rows of all tables in the order of the page; text outside a table is a row of one cell (title, as-of date, signatures). As in a sheet, the
    value of a merged cell stands in its first place and the others are blank."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self._row: list[str] | None = None
        self._cell: list[str] | None = None
        self._spans = (1, 1)
        self._below: dict[int, int] = {}
        self._loose: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "style", "head"}:
            self._hidden += 1
        elif tag == "tr":
            self._end_row()
            self._row = []
        elif tag in {"td", "th"} and self._row is not None:
            self._end_cell()
            given = dict(attrs)
            self._spans = (_span(given.get("colspan")), _span(given.get("rowspan")))
            self._cell = []
        elif tag == "br" and self._cell is not None:
            self._cell.append(" ")
        elif tag in _BLOCKS and self._row is None:
            self._end_text()

    def handle_endtag(self, tag: str) -> None:
        if tag in {"script", "style", "head"}:
            self._hidden = max(0, self._hidden - 1)
        elif tag in {"td", "th"}:
            self._end_cell()
        elif tag in {"tr", "table"}:
            self._end_row()
            if tag == "table":
                self._below = {}
        elif tag in _BLOCKS and self._row is None:
            self._end_text()

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            (self._loose if self._cell is None else self._cell).append(data)

    def _end_text(self) -> None:
        text = " ".join("".join(self._loose).split())
        self._loose = []
        if text:
            self.rows.append([text])

    def _skip_merged(self) -> None:
        assert self._row is not None
        while self._below.get(len(self._row), 0) > 0:
            self._below[len(self._row)] -= 1
            self._row.append("")

    def _end_cell(self) -> None:
        if self._cell is None or self._row is None:
            return
        self._skip_merged()
        across, down = self._spans
        for column in range(len(self._row), len(self._row) + across):
            if down > 1:
                self._below[column] = down - 1
        self._row += [" ".join("".join(self._cell).split()), *[""] * (across - 1)]
        self._cell = None

    def _end_row(self) -> None:
        self._end_cell()
        if self._row is not None:
            self._skip_merged()
            self.rows.append(self._row)
            self._loose = []
        self._row = None


def _span(given: str | None) -> int:
    return min(int(given), _MAX_SPAN) if given and given.strip().isdigit() and int(given) > 0 else 1


def looks_like(content: bytes) -> bool:
    """Whether bytes are an HTML page rather than a workbook."""
    start = content[:4096].decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace").lstrip("\ufeff \t\r\n").casefold()
    return start.startswith(("<!doctype html", "<html", "<table", "<meta", "<head", "<body", "<div", "<style"))


def rows(content: bytes) -> list[list[str]]:
    """The page's rows, all of the same length. Raises UnicodeError or LookupError when its bytes are not in the encoding that it declares."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = content.decode("utf-16")
    else:
        declared = _CHARSET.search(content[:4096])
        text = content.decode("utf-8-sig" if declared is None or declared[1].lower() in (b"utf-8", b"utf8") else declared[1].decode("ascii"))
    parser = _Rows()
    parser.feed(text)
    parser.close()
    parser._end_row()
    parser._end_text()
    width = max(map(len, parser.rows), default=0)
    return [[*row, *[""] * (width - len(row))] for row in parser.rows]
