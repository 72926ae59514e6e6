"""Communes of the province as forms write them (EXPORTS §8.6): code, or unit type + name + district; never a bare guess.

The list is the one in force on the form's as-of date. How names are compared and what is ambiguous lies in `kinhteso.addresses`.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from functools import lru_cache

from kinhteso import addresses
from kinhteso.addresses import names, spelling
from kinhteso.addresses.names import Lists
from kinhteso.addresses.resolving import Resolution

#: The list that is meant where nothing says a date: the campaign's.
CAMPAIGN = date(2021, 7, 20)
_TYPES = (
    (re.compile(r"^(thị trấn|thi tran|tt\.?)\s+", re.IGNORECASE), "Thị trấn"),
    (re.compile(r"^(phường|phuong|p\.)\s*", re.IGNORECASE), "Phường"),
    (re.compile(r"^(xã|xa|x\.)\s+", re.IGNORECASE), "Xã"),
)
_DISTRICT = re.compile(r"^(huyện|huyen|h\.|thành phố|thanh pho|tp\.?)\s*", re.IGNORECASE)
_OFFICE = re.compile(r"^(ủy ban nhân dân|uỷ ban nhân dân|uy ban nhan dan|ubnd)\s+", re.IGNORECASE)

Commune = names.Unit


def plain(text: str) -> str:
    """Lower case without accents, Đ as d, single spaces."""
    return " ".join(spelling.letters(unicodedata.normalize("NFC", text.replace("\u00d0", "Đ").replace("\u00f0", "đ").casefold())).split())


def office(text: str) -> str:
    """What follows "UBND" in a form's head, else the text itself."""
    return _OFFICE.sub("", unicodedata.normalize("NFC", text).strip())


def unit_type_and_name(text: str) -> tuple[str | None, str]:
    """("Xã", "Vạn Linh") of "Xã Vạn Linh", "UBND XÃ VẠN LINH", "X. Vạn Linh"; the type is None where none is written."""
    rest = " ".join(office(text).replace("\u00a0", " ").split())
    for pattern, unit_type in _TYPES:
        if pattern.match(rest):
            return unit_type, pattern.sub("", rest, count=1)
    return None, rest


def _lists() -> Lists:
    return addresses.resolver().lists


def all_communes(on: date = CAMPAIGN) -> tuple[Commune, ...]:
    """The units of the list in force on a day."""
    lists = _lists()
    wanted = lists.in_force(on).name
    return tuple(u for u in lists.units.values() if u.list == wanted)


def district_of(code: str | None, on: date) -> str | None:
    """Code of the district of a commune of the list in force on a day; None from 2025-07-01 on, and for a code that is not in it."""
    lists = _lists()
    unit = lists.units.get((lists.in_force(on).name, code or ""))
    return unit.district_code or None if unit else None


def district_code(text: str) -> str | None:
    """Code of a district written as code, "Huyện Chi Lăng", "UBND HUYỆN CHI LĂNG", "TP. Lạng Sơn"; None when it is none of the eleven."""
    wanted = office(text).strip()
    districts = _lists().districts
    if re.fullmatch(r"\d{1,3}", wanted):
        return wanted.zfill(3) if wanted.zfill(3) in {d.code for d in districts} else None
    if not _DISTRICT.match(wanted):
        return None
    name = spelling.plain(_DISTRICT.sub("", wanted))
    codes = {d.code for d in districts if spelling.plain(d.short_name) == name}
    return codes.pop() if len(codes) == 1 else None


def resolve(code: str | None, name: str | None, district: str | None = None, on: date = CAMPAIGN) -> str | None:
    """Code of the commune that ``code`` and ``name`` (with its unit type) say, in the district of three digits where that is known, on the day ``on``.

    A lost leading zero is put back. A code and a name that disagree, and a name that fits two units, resolve to None, unless an operator has decided.
    """
    found = look(code, name, district, on)
    return found.code if found.is_resolved else None


def look(code: str | None, name: str | None, district: str | None, on: date) -> Resolution:
    """As `resolve`, with the candidates and the rule where it is ambiguous."""
    return _look(addresses.resolver(), (code or "").strip(), " ".join((name or "").split()), district, on)


@lru_cache(maxsize=16_384)
def _look(of: addresses.Resolver, code: str, name: str, district: str | None, on: date) -> Resolution:
    if code and not re.fullmatch(r"\d{1,5}", code):
        return Resolution(addresses.AMBIGUOUS, rule="R14")
    unit_type, bare = unit_type_and_name(name)
    found = of.resolve_named(code or None, unit_type, bare, district, on, text=as_text(code, name, district))
    if found.is_resolved and not code and unit_type is None and district is None and of.lists.index(found.list).has_districts:
        return Resolution(addresses.AMBIGUOUS, candidates=(found.code,), rule="R4", list=found.list)  # no type and no district: a guess
    return found


def as_text(code: str | None, name: str | None, district: str | None) -> str:
    """What a form says of a commune as one text, for the review list and for decisions: "06505 Xã Vạn Linh, Huyện Chi Lăng"."""
    unit = next((d for d in _lists().districts if d.code == district), None)
    said = f"{'Thành phố' if unit.is_city else 'Huyện'} {unit.short_name}" if unit else ""
    return ", ".join(filter(None, [" ".join(filter(None, [code, office(name or "")])), said]))
