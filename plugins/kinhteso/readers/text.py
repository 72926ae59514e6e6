"""Cells to text, and headings made comparable. Pure."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff\u00ad"))
_SPACES = re.compile(r"\s+")
#: UTF-8 read as Windows-1252 and saved again (EXPORTS §5); "Ã" alone is a Vietnamese letter.
MOJIBAKE = re.compile("áº|á»|Ä‘|Æ°|Ã¡|Ã¢|Ã£|Ã³|Ã´|Ãª|Ã©|Ã­|Ãº|Ã½|Ã¨")


#: Letters of TCVN3 fonts as Unicode shows them, beside a letter: in Vietnamese text they stand nowhere.
_OLD = "®§¬µ¶·¸¹»¼½¾÷ßæçëîïñöøûüþ"
_OLD_FONT = f"[A-Za-z{_OLD}][{_OLD.replace('§', '')}]|[{_OLD}][A-Za-z]"
_BEYOND_ASCII = r"[^\x00-\x7f]"


class OldFont:
    """Counts how many texts with letters beyond ASCII are written for an old font (F68)."""

    def __init__(self) -> None:
        self.words = self.hit = 0

    def look_at(self, values: pl.DataFrame) -> None:
        """Take columns of text."""
        for column in values:
            if column.len() and column.str.len_bytes().sum() != column.str.len_chars().sum():
                foreign = column.filter(column.str.contains(_BEYOND_ASCII))
                self.words += foreign.len()
                self.hit += int(foreign.str.contains(_OLD_FONT).sum())

    @property
    def share(self) -> float:
        """Of the texts seen, those of an old font."""
        return self.hit / self.words if self.words else 0.0


def clean(text: str) -> str | None:
    """NFC, trimmed, NBSP as space, invisible characters away; blank is None."""
    if not text.isascii():
        if not unicodedata.is_normalized("NFC", text):
            text = unicodedata.normalize("NFC", text)
        text = text.translate(_INVISIBLE).replace("\u00a0", " ")
    return text.strip() or None


def cell(value: Any) -> str | None:
    """A spreadsheet cell as text: whole numbers without ".0", fractions with a decimal comma, dates as dd/MM/yyyy[ HH:mm:ss]."""
    if value is None:
        return None
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.15g}".replace(".", ",")
    if isinstance(value, datetime):
        rounded = value + timedelta(microseconds=500_000)
        return rounded.strftime("%d/%m/%Y" if value.time() == time() else "%d/%m/%Y %H:%M:%S")
    if isinstance(value, date):
        return value.strftime("%d/%m/%Y")
    return clean(str(value))


_SERIAL = re.compile(r"[3-7]\d{4}(,\d+)?")
#: Day 0 of spreadsheet serial dates (the 1900 system, right from March 1900 on).
_SERIAL_EPOCH = datetime(1899, 12, 30)


def serial_date(text: str | None) -> str | None:
    """A date cell that lost its format (EXPORTS §8.3, "Excel serial"): "44457,3958333" is 18/09/2021 09:30:00; any other text as it is."""
    if text is None or not _SERIAL.fullmatch(text):
        return text
    seconds = round(float(text.replace(",", ".")) * 86_400)
    return cell(_SERIAL_EPOCH + timedelta(seconds=seconds))


def heading(value: Any) -> str:
    """A heading for comparison (EXPORTS §5): NFC, Ð as Đ, no invisible characters, single spaces; case and diacritics are kept."""
    text = unicodedata.normalize("NFC", str(value if value is not None else "")).translate(_INVISIBLE)
    return _SPACES.sub(" ", text.replace("\u00d0", "Đ").replace("\u00f0", "đ").replace("\u00a0", " ")).strip()


def loose(value: Any) -> str:
    """A form's heading for comparison: as `heading`, without case, with one kind of dash and no marks around."""
    text = heading(value).casefold()
    text = re.sub(r"\s*[–—-]\s*", " - ", text)
    text = re.sub(r"\s*([/:,()])\s*", r"\1", text)
    return _SPACES.sub(" ", text).strip(" *:.")


def number(text: str | None) -> int | float | None:
    """A number written in a form or total, for comparing sums: 1.250 and 1,250 are 1250; 1,5 is 1.5; else None."""
    if text is None:
        return None
    s = re.sub(r"\s*(đ|₫|VND)$", "", text.strip())
    if re.fullmatch(r"-?\d{1,3}([.,]\d{3})+", s):
        return int(re.sub(r"[.,]", "", s))
    if re.fullmatch(r"-?\d+", s):
        return int(s)
    if re.fullmatch(r"-?\d+[.,]0{1,2}", s):
        return int(re.split(r"[.,]", s)[0])
    if re.fullmatch(r"-?\d+,\d+", s):
        return float(s.replace(",", "."))
    return None
