"""Lists of communes and how a figure of one list is told on another, from the seeds alone (KPI §1.12)."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path

from oracle.words import bare

SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds"
NOWHERE = "00000"


def seed(folder: Path, name: str) -> list[dict[str, str]]:
    """Rows of a seed."""
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as f:
        return list(csv.DictReader(f))


def shared(total: int, shares: Sequence[Fraction]) -> list[int]:
    """``total`` in whole parts by largest remainder; of equal remainders the larger share comes first, then the first in order."""
    whole = sum(shares)
    exact = [total * s / whole for s in shares]
    parts = [e.numerator // e.denominator for e in exact]
    for n in sorted(range(len(shares)), key=lambda n: (parts[n] - exact[n], -shares[n], n))[: total - sum(parts)]:
        parts[n] += 1
    return parts


@dataclass(frozen=True)
class Piece:
    """A smallest common part of all lists: its unit on each of them in their order, its weight (census households), and its phase."""

    units: tuple[str, ...]
    weight: Fraction
    phase: int
    kick_off: date


@dataclass(frozen=True, eq=False)
class Place:
    """Where a fact lies: a unit of the list in which it arrives, or the part of it to which its hamlet is known to belong. There is one object for each."""

    list: str
    code: str
    pieces: tuple[int, ...]
    shares: tuple[Fraction, ...]


class Geographies:
    """The lists that are ever published, the pieces between them, and the places in which facts lie."""

    def __init__(self, folder: Path = SEEDS) -> None:
        lists = sorted((r for r in seed(folder, "commune_list") if r["published"] != "never"), key=lambda r: r["valid_from"])
        self.lists = {r["list"]: (date.fromisoformat(r["valid_from"]), date.fromisoformat(r["valid_to"] or "9999-12-31"), r["published"]) for r in lists}
        self.order = list(self.lists)
        self.first = self.order[0]
        self.rank = {name: n for n, name in enumerate(self.order)}
        self.units: dict[str, dict[str, dict[str, str]]] = {name: {} for name in self.order}
        for r in seed(folder, "commune"):
            if r["list"] in self.units:
                self.units[r["list"]][r["gso_code"]] = r
        self.phases = {
            r["district_code"]: (int(r["phase"]), date.fromisoformat(r["kick_off"]), date.fromisoformat(r["due_on"])) for r in seed(folder, "campaign_phase")
        }
        steps: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
        for r in seed(folder, "commune_succession"):
            if r["old_list"] in self.lists and r["new_list"] in self.lists:
                steps[r["old_list"], r["old_code"]].append(r)
        self.pieces = sorted(self._paths(steps), key=lambda p: p.units)
        self.of_unit: dict[tuple[str, str], tuple[int, ...]] = defaultdict(tuple)
        for n, piece in enumerate(self.pieces):
            for name, code in zip(self.order, piece.units, strict=True):
                self.of_unit[name, code] += (n,)
        self.hamlets = self._hamlets(folder)
        self.nowhere = Place(self.first, NOWHERE, (), ())
        self._places: dict[tuple[str, str, tuple[int, ...]], Place] = {}
        self._shared: dict[tuple[Place, int], list[int]] = {}

    def _paths(self, steps: dict[tuple[str, str], list[dict[str, str]]]) -> Iterable[Piece]:
        for code, unit in self.units[self.first].items():
            phase, kick_off, _ = self.phases[unit["district_code"]]
            paths = [((code,), Fraction(unit["census_households"] or 0))]
            for name in self.order[:-1]:
                paths = [
                    ((*units, r["new_code"]), weight * (Fraction(r["share"]) if r["share"] else Fraction(1, len(steps[name, units[-1]]))))
                    for units, weight in paths
                    for r in steps[name, units[-1]]
                ]
            yield from (Piece(units, weight, phase, kick_off) for units, weight in paths)

    def _hamlets(self, folder: Path) -> dict[tuple[str, str], dict[str, tuple[int, ...]]]:
        """Of a unit, the hamlets whose way is known, in comparison form, with the pieces they lie in; what two alike hamlets say against each other is not known."""
        told: dict[tuple[str, str, str, str], set[str]] = defaultdict(set)
        for r in seed(folder, "hamlet_succession"):
            if r["old_list"] in self.lists and r["new_list"] in self.lists:
                told[r["old_list"], r["old_code"], bare(r["hamlet_name"]), r["new_list"]].add(r["new_code"])
        found: dict[tuple[str, str], dict[str, tuple[int, ...]]] = defaultdict(dict)
        for (old_list, old_code, name, new_list), codes in told.items():
            if len(codes) == 1:
                lie = {n for n in self.of_unit[old_list, old_code] if n in self.of_unit[new_list, next(iter(codes))]}
                for unit in {(in_list, self.pieces[n].units[k]) for n in lie for k, in_list in enumerate(self.order)}:
                    mine = tuple(sorted({*found[unit].get(name, ()), *(n for n in lie if n in self.of_unit[unit])}))
                    if len(mine) < len(self.of_unit[unit]):
                        found[unit][name] = mine
        return found

    def place(self, name: str, code: str | None, hamlet: str | None = None) -> Place:
        """The place of a fact in a unit of a list, or nowhere."""
        if not code or code == NOWHERE:
            return self.nowhere
        known = self.hamlets.get((name, code))
        way = bare(hamlet) if known and hamlet else ""
        pieces = known[way] if known and way in known else self.of_unit[name, code]
        key = (name, code, pieces)
        if key not in self._places:
            weights = [self.pieces[n].weight for n in pieces]
            weights = weights if sum(weights) else [Fraction(1)] * len(pieces)
            self._places[key] = Place(name, code, pieces, tuple(w / sum(weights) for w in weights))
        return self._places[key]

    def shared(self, place: Place, total: int) -> list[int]:
        """A number of a place in whole parts for its pieces."""
        if len(place.pieces) == 1:
            return [total]
        if (place, total) not in self._shared:
            self._shared[place, total] = shared(total, place.shares)
        return self._shared[place, total]

    def unit(self, piece: int, name: str) -> str:
        """The unit of a list in which a piece lies."""
        return self.pieces[piece].units[self.rank[name]]

    def shown(self, name: str, day: date) -> bool:
        """Whether a list has rows on a day (one in between only while it is in force)."""
        since, until, published = self.lists[name]
        return published == "always" or since <= day <= until

    def in_force(self, day: date) -> str:
        """The list in force on a day; before the first, the first."""
        return max((name for name, (since, _, _) in self.lists.items() if since <= day), default=self.first, key=self.rank.__getitem__)
