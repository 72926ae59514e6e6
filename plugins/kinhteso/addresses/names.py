"""The names that an address may say, by the list of communes in force on its date: seeds in, one index per list out. Pure but for reading the seeds.

A list's index holds the units in force and, under their old names, the units of every earlier list with what they have become in this one (R7), so
that the next reform is rows of the seeds and nothing else.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache, cached_property
from pathlib import Path

from kinhteso.addresses import spelling

Row = Mapping[str, str]
SEEDS = ("commune_list", "commune", "commune_succession", "hamlet_succession")
_PROVINCES = Path(__file__).parents[1] / "data" / "provinces.csv"
HOME = "20"


class ListError(ValueError):
    """The seeds of communes contradict each other; the message says where."""


@dataclass(frozen=True, slots=True)
class Period:
    """A list of communes and the days on which it is in force; ``valid_to`` None: until further notice."""

    name: str
    valid_from: date
    valid_to: date | None


@dataclass(frozen=True, slots=True)
class Unit:
    """A commune of a list. ``district_code`` and ``district_name`` are empty from 2025-07-01 on."""

    list: str
    code: str
    name: str
    unit_type: str
    short_name: str
    district_code: str
    district_name: str


@dataclass(frozen=True)
class Entry:
    """A name with what it means in the list of the index.

    ``targets``: codes of that list, several where the unit was split. ``districts``: where it lies, for a unit without district where its
    forerunners lay. ``hamlets``: the hamlets whose new commune is known, with its code.
    """

    unit: Unit
    key: str
    plain: str
    exact: str
    is_current: bool
    is_future: bool
    is_farm: bool
    districts: frozenset[str]
    targets: frozenset[str]
    hamlets: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """Xã, Phường or Thị trấn."""
        return self.unit.unit_type


@dataclass(frozen=True, slots=True)
class District:
    """A district by code, its name without unit word, and whether it is a city (once a town)."""

    code: str
    short_name: str
    is_city: bool


@dataclass(frozen=True)
class Lists:
    """Everything that the seeds say about communes."""

    periods: tuple[Period, ...]
    units: Mapping[tuple[str, str], Unit]
    next: Mapping[tuple[str, str], tuple[tuple[str, str], ...]]
    hamlets: Mapping[tuple[str, str], tuple[tuple[str, str, str], ...]]  # (list, code) -> (hamlet, new list, new code)

    def in_force(self, day: date) -> Period:
        """The list of a day (R8); days before the first list are of the first."""
        return next((p for p in reversed(self.periods) if p.valid_from <= day), self.periods[0])

    def period(self, name: str) -> Period | None:
        """The list of this name."""
        return next((p for p in self.periods if p.name == name), None)

    def become(self, unit: tuple[str, str], wanted: str) -> frozenset[str]:
        """Codes of the list ``wanted`` into which a unit of an earlier list (or of that one) went."""
        reached, found = {unit}, set()
        while reached:
            found |= {u for u in reached if u[0] == wanted}
            reached = {n for u in reached if u[0] != wanted for n in self.next.get(u, ())}
        return frozenset(code for _, code in found)

    @cached_property
    def previous(self) -> Mapping[tuple[str, str], tuple[tuple[str, str], ...]]:
        """The succession the other way round."""
        found: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for old, news in self.next.items():
            for new in news:
                found[new].append(old)
        return {k: tuple(v) for k, v in found.items()}

    def were(self, unit: tuple[str, str], wanted: str) -> frozenset[str]:
        """Codes of the earlier list ``wanted`` out of which a unit came."""
        reached, found = {unit}, set()
        while reached:
            found |= {u for u in reached if u[0] == wanted}
            reached = {n for u in reached if u[0] != wanted for n in self.previous.get(u, ())}
        return frozenset(code for _, code in found)

    def index(self, wanted: str) -> Index:
        """Names as they count in one list."""
        return self._indexes[wanted]

    @cached_property
    def _indexes(self) -> dict[str, Index]:
        return {p.name: _index(self, p) for p in self.periods}

    @cached_property
    def districts(self) -> tuple[District, ...]:
        """Every district of every list."""
        found = {}
        for u in self.units.values():
            if u.district_code:
                words = u.district_name.split()
                is_city = spelling.plain(words[0]) != "huyen"
                found[u.district_code] = District(u.district_code, " ".join(words[2:] if is_city else words[1:]), is_city)
        return tuple(found[c] for c in sorted(found))

    @cached_property
    def words(self) -> Words:
        """What an address may consist of, in any list."""
        return Words(self)


@dataclass(frozen=True)
class Index:
    """Names and codes in one list."""

    period: Period
    by_plain: Mapping[str, tuple[Entry, ...]]
    by_code: Mapping[str, Unit]
    old_codes: Mapping[str, tuple[Entry, ...]]
    has_districts: bool


def short_district(name: str) -> str:
    """Chi Lăng of "Huyện Chi Lăng"."""
    words = name.split()
    return " ".join(words[1:] if words and spelling.plain(words[0]) == "huyen" else words[2:])


_FARM = "nt "


def _index(lists: Lists, period: Period) -> Index:
    by_plain: dict[str, list[Entry]] = defaultdict(list)
    old_codes: dict[str, list[Entry]] = defaultdict(list)
    seen: dict[tuple[str, str, str], Entry] = {}
    order = [p.name for p in lists.periods]
    here = order.index(period.name)
    in_force = {u.code: u for u in lists.units.values() if u.list == period.name}
    has_districts = any(u.district_code for u in in_force.values())
    for name in [*order[here::-1], *order[here + 1 :]]:
        is_future = order.index(name) > here
        for unit in (u for u in lists.units.values() if u.list == name):
            own = (unit.list, unit.code)
            targets = lists.were(own, period.name) if is_future else lists.become(own, period.name)
            short = unit.short_name
            is_farm = spelling.plain(short).startswith(_FARM)
            key = spelling.key(short).removeprefix(_FARM)
            districts = frozenset([unit.district_code]) if unit.district_code else _lay(lists, own)
            hamlets = {} if is_future else _hamlets(lists, own, period.name)
            entry = Entry(
                unit, key, spelling.plain(short).removeprefix(_FARM), spelling.exact_key(short).removeprefix(_FARM), name == period.name, is_future, is_farm,
                districts, targets, hamlets,
            )  # fmt: skip
            if not is_future and name != period.name:
                old_codes[unit.code].append(entry)
            # The newest list that has a name says what it means; what its namesake of an older list gave away is known by hamlet only.
            same = (key, unit.unit_type, unit.district_code)
            if same in seen:
                if not is_future and hamlets:
                    seen[same].hamlets.update({k: v for k, v in hamlets.items() if k not in seen[same].hamlets})  # type: ignore[attr-defined]
                continue
            seen[same] = entry
            by_plain[entry.plain].append(entry)
    return Index(period, {k: tuple(v) for k, v in by_plain.items()}, in_force, {k: tuple(v) for k, v in old_codes.items()}, has_districts)


def _lay(lists: Lists, unit: tuple[str, str]) -> frozenset[str]:
    """Districts in which the forerunners of a unit without district lay, in the last list that had districts."""
    reached = {unit}
    while reached:
        codes = {lists.units[u].district_code for u in reached if u in lists.units and lists.units[u].district_code}
        if codes:
            return frozenset(codes)
        reached = {n for u in reached for n in lists.previous.get(u, ())}
    return frozenset()


def _hamlets(lists: Lists, unit: tuple[str, str], wanted: str) -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    reached = {unit}
    while reached:
        for u in reached:
            for hamlet, new_list, new_code in lists.hamlets.get(u, ()):
                if u[0] != wanted:
                    found[hamlet] = lists.become((new_list, new_code), wanted)
        reached = {n for u in reached if u[0] != wanted for n in lists.next.get(u, ())}
    return found


class Words:
    """Names (plain keys) with the roles that they can play, and the syllables that they are made of."""

    def __init__(self, lists: Lists):
        self.roles: dict[str, set[str]] = defaultdict(set)
        self.exact: dict[str, dict[str, set[str]]] = defaultdict(dict)  # plain key -> keys with marks of what is called so -> their roles
        self.spelled: set[str] = set()  # names in letters without marks, y as y
        self.districts: dict[str, list[District]] = defaultdict(list)
        self.provinces: dict[str, str] = {}
        self.province_codes: dict[str, str] = {}
        self.foreign_districts: dict[str, str] = {}
        for unit in lists.units.values():
            self._add(unit.short_name, "commune")
            plain = spelling.plain(unit.short_name)
            if plain.startswith(_FARM):
                self._add(unit.short_name.split(" ", 1)[1], "commune")
        for district in lists.districts:
            self._add(district.short_name, "district")
            self.districts[spelling.plain(district.short_name)].append(district)
        with _PROVINCES.open(encoding="utf-8", newline="") as f:
            for row in csv.DictReader(f):
                self.province_codes[row["code"]] = row["name"]
                for name in [row["name"], *filter(None, row["aliases"].split("|"))]:
                    self._add(name, "province")
                    self.provinces[spelling.plain(name)] = row["code"]
                for name in filter(None, row["districts"].split("|")):
                    self._add(name, "foreign")
                    self.foreign_districts[spelling.plain(name)] = row["code"]
        self._add("Việt Nam", "country")
        self._add("Vietnam", "country")
        self._add("VN", "country")
        self.longest = max(len(n.split()) for n in self.roles)
        self.firsts = {n.split()[0] for n in self.roles}
        self.bigrams = {(a, b) for n in self.roles for a, b in zip(n.split(), n.split()[1:], strict=False)}
        self.syllables = {s for keys in self.exact.values() for k in keys for s in k.split()}
        for rows in lists.hamlets.values():
            self.syllables |= {s for hamlet, _, _ in rows for s in spelling.key(hamlet).split()}

    def _add(self, name: str, role: str) -> None:
        self.roles[spelling.plain(name)].add(role)
        self.spelled.add(spelling.letters(name.casefold()))
        self.exact[spelling.plain(name)].setdefault(spelling.key(name), set()).add(role)


# ---- the seeds ----


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def from_rows(periods: Iterable[Row], communes: Iterable[Row], succession: Iterable[Row], hamlets: Iterable[Row] = ()) -> Lists:
    """Lists out of the rows of the four seeds. Raises ListError where a step names a unit that its list does not have."""
    found = sorted((Period(r["list"], date.fromisoformat(r["valid_from"]), _day(r["valid_to"])) for r in periods), key=lambda p: p.valid_from)
    units = {
        (r["list"], r["gso_code"]): Unit(r["list"], r["gso_code"], r["gso_name"], r["unit_type"], r["name_short"], r["district_code"], r["district_name"])
        for r in communes
    }
    steps: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for r in succession:
        old, new = (r["old_list"], r["old_code"]), (r["new_list"], r["new_code"])
        for unit in (old, new):
            if unit not in units:
                raise ListError(f"commune_succession.csv names {unit[1]} of the list {unit[0]}, which commune.csv does not have. Correct one of them.")
        steps[old].append(new)
    moved: dict[tuple[str, str], list[tuple[str, str, str]]] = defaultdict(list)
    for r in hamlets:
        moved[r["old_list"], r["old_code"]].append((r["hamlet_name"], r["new_list"], r["new_code"]))
    return Lists(tuple(found), units, {k: tuple(v) for k, v in steps.items()}, {k: tuple(v) for k, v in moved.items()})


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def seeds_dir() -> Path:
    """Where the seeds lie."""
    from kinhteso.building import project_dir

    return Path(project_dir()) / "seeds"


def state(folder: Path) -> tuple[int, ...]:
    """What tells one state of the seeds from another: a corrected file holds at once."""
    return tuple((folder / f"{name}.csv").stat().st_mtime_ns for name in SEEDS)


def from_seeds(folder: Path | None = None) -> Lists:
    """The lists of the seeds as they are now."""
    folder = folder or seeds_dir()
    return _from_seeds(folder, state(folder))


@cache
def _from_seeds(folder: Path, _: tuple[int, ...]) -> Lists:
    return from_rows(*(_rows(folder / f"{name}.csv") for name in SEEDS))
