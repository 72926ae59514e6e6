"""Communes of the province as people write them in forms (EXPORTS §8.6): code, or unit type + name + district; never a bare guess. Pure.

The list is the seed commune_crosswalk (R0), the 200 units in force from 2020-01-01 to 2024-11-30.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_TYPES = (
    (re.compile(r"^(thị trấn|thi tran|tt\.?)\s+", re.IGNORECASE), "Thị trấn"),
    (re.compile(r"^(phường|phuong|p\.)\s*", re.IGNORECASE), "Phường"),
    (re.compile(r"^(xã|xa|x\.)\s+", re.IGNORECASE), "Xã"),
)
_DISTRICT = re.compile(r"^(huyện|huyen|h\.|thành phố|thanh pho|tp\.?)\s*", re.IGNORECASE)
_OFFICE = re.compile(r"^(ủy ban nhân dân|uỷ ban nhân dân|uy ban nhan dan|ubnd)\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Commune:
    """A unit of the list; ``district_code`` is of three digits, ``unit_type`` is Xã, Phường or Thị trấn."""

    code: str
    name: str
    unit_type: str
    short_name: str
    district_code: str
    district_name: str


def plain(text: str) -> str:
    """Lower case without accents, Đ as d, single spaces."""
    folded = unicodedata.normalize("NFD", text.replace("\u00d0", "Đ").replace("\u00f0", "đ").casefold())
    return " ".join("".join(c for c in folded if not unicodedata.combining(c)).replace("đ", "d").split())


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


def all_communes() -> tuple[Commune, ...]:
    """The 200 units of the list of 2021."""
    return _read(_seed())


def _seed() -> tuple[Path, int]:
    """The list and the state it is in, under which everything made of it is kept: a corrected one holds at once."""
    from kinhteso.building import project_dir

    path = Path(project_dir()) / "seeds" / "commune_crosswalk.csv"
    return path, path.stat().st_mtime_ns


@cache
def _read(seed: tuple[Path, int]) -> tuple[Commune, ...]:
    with open(seed[0], encoding="utf-8", newline="") as f:
        return tuple(
            Commune(r["gso_code"], r["gso_name"], r["unit_type"], r["name_short"], r["gso_district_code"], r["district_name"])
            for r in csv.DictReader(f)
            if r["list"] == "2021"
        )


@cache
def _by_code(seed: tuple[Path, int]) -> dict[str, Commune]:
    return {c.code: c for c in _read(seed)}


@cache
def _by_name(seed: tuple[Path, int]) -> dict[str, tuple[Commune, ...]]:
    found: dict[str, list[Commune]] = {}
    for commune in _read(seed):
        found.setdefault(plain(commune.short_name), []).append(commune)
    return {name: tuple(communes) for name, communes in found.items()}


def district_code(text: str) -> str | None:
    """Code of a district written as code, "Huyện Chi Lăng", "UBND HUYỆN CHI LĂNG", "TP. Lạng Sơn"; None when it is none of the eleven."""
    return _district_code(_seed(), text)


@cache
def _district_code(seed: tuple[Path, int], text: str) -> str | None:
    wanted = office(text).strip()
    if re.fullmatch(r"\d{1,3}", wanted):
        return wanted.zfill(3) if wanted.zfill(3) in {c.district_code for c in _read(seed)} else None
    name = plain(_DISTRICT.sub("", wanted))
    codes = {c.district_code for c in _read(seed) if plain(_DISTRICT.sub("", c.district_name)) == name}
    return codes.pop() if len(codes) == 1 and _DISTRICT.match(wanted) else None


def resolve(code: str | None, name: str | None, district: str | None = None) -> str | None:
    """GSO code of the commune that ``code`` and ``name`` (with its unit type) say, in the district of three digits where that is known.

    A lost leading zero is put back. A code and a name that disagree, and a name that fits two units, resolve to None.
    """
    return _resolve(_seed(), code, name, district)


@cache
def _resolve(seed: tuple[Path, int], code: str | None, name: str | None, district: str | None) -> str | None:
    if code and not re.fullmatch(r"\d{1,5}", code.strip()):
        return None
    by_code = _by_code(seed).get(code.strip().zfill(5)) if code else None
    if code and (by_code is None or (district and by_code.district_code != district)):
        return None
    if not name or not name.strip():
        return by_code.code if by_code else None
    unit_type, bare = unit_type_and_name(name)
    fits = [
        c for c in _by_name(seed).get(plain(bare), ()) if (unit_type is None or c.unit_type == unit_type) and (district is None or c.district_code == district)
    ]
    if by_code:
        return by_code.code if by_code in fits else None
    if unit_type is None and district is None:
        return None
    if len(fits) > 1:
        exact = [c for c in fits if unicodedata.normalize("NFC", bare).casefold() == c.short_name.casefold()]
        fits = exact if len(exact) == 1 else fits
    return fits[0].code if len(fits) == 1 else None
