"""Which places a unit of a list of communes is made of, and how much of each place's figure it gets (KPI §1.12).

A place is what a fact can be told of, a piece the smallest common part of all lists. A place that lies whole in the unit gives all it has; of one that lies
in two, each piece gets its share by largest remainder, and the unit the sum of its own. Computed here anew, not read from what was built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_FLOOR, Decimal, localcontext
from typing import Any

import psycopg

#: Figures that come from registers, by piece; all others by place and day.
REGISTERS = {
    "households": "int_denominators__by_piece", "hamlets": "int_denominators__by_piece", "hamlets_with_team": "int_teams__by_piece",
    "team_members": "int_teams__by_piece", "team_members_trained": "int_teams__by_piece",
}  # fmt: skip
#: Differences of what was shared out, so that they hold on every list.
DIFFERENCES = {
    "households_with_store_voso": (("households_with_store", 1), ("households_with_store_both", 1), ("households_with_store_postmart", -1)),
    "revenue_net_vnd": (("revenue_gross_vnd", 1), ("refunds_vnd", -1)),
    "revenue_net_vnd_to_date": (("revenue_gross_vnd_to_date", 1), ("refunds_vnd_to_date", -1)),
}


@dataclass(frozen=True)
class Place:
    """A place with the share of each of its pieces; ``ours`` are those that lie in the unit."""

    code: str
    shares: Mapping[str, Decimal]
    ours: frozenset[str]
    kick_off: date | None

    @property
    def is_shared(self) -> bool:
        """Whether other units get a part of it."""
        return len(self.ours) < len(self.shares)


@dataclass(frozen=True)
class Portion:
    """What a unit gets of a place's figure: ``value`` of the whole place, ``by_piece`` what each piece of the unit takes of it."""

    place: Place
    value: int
    by_piece: Mapping[str, int] = field(repr=False)
    as_of: date | None = None

    @property
    def taken(self) -> int:
        """The unit's part."""
        return sum(self.by_piece.values())


def shared_out(value: int, shares: Mapping[str, Decimal]) -> dict[str, int]:
    """A whole number shared out to pieces by largest remainder; ties: the larger share, then the lower code. The parts add up to ``value``."""
    with localcontext() as context:
        context.prec = 60
        exact = {piece: Decimal(value) * share for piece, share in shares.items()}
        parts = {piece: int(amount.to_integral_value(ROUND_FLOOR)) for piece, amount in exact.items()}
        order = sorted(shares, key=lambda piece: (parts[piece] - exact[piece], -shares[piece], piece))
    for piece in order[: value - sum(parts.values())]:
        parts[piece] += 1
    return parts


def of_unit(cursor: psycopg.Cursor[dict[str, Any]], geography: str, communes: Sequence[str]) -> dict[str, Place]:
    """Every place that has a piece in the unit, which is one commune of a list or several, by its code."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in cursor.execute(
        """select m.place_code, m.piece_code, m.share, bool_or(u.commune_code is not null) as is_ours, min(k.kick_off) as kick_off
           from intermediate.int_place_pieces as m
           left join intermediate.int_pieces as u on u.piece_code = m.piece_code and u.geography = %(geography)s and u.commune_code = any(%(communes)s)
           left join intermediate.int_pieces as d on d.piece_code = m.piece_code
           left join seeds.campaign_phase as k on k.district_code = d.first_district_code
           where m.place_code in (
               select x.place_code from intermediate.int_place_pieces as x join intermediate.int_pieces as y on y.piece_code = x.piece_code
               where y.geography = %(geography)s and y.commune_code = any(%(communes)s))
           group by m.place_code, m.piece_code, m.share""",
        {"geography": geography, "communes": list(communes)},
    ):
        found.setdefault(row["place_code"], {})[row["piece_code"]] = row
    return {
        code: Place(
            code,
            {piece: row["share"] for piece, row in pieces.items()},
            frozenset(piece for piece, row in pieces.items() if row["is_ours"]),
            min((row["kick_off"] for row in pieces.values() if row["kick_off"]), default=None),
        )
        for code, pieces in found.items()
    }


def portions(cursor: psycopg.Cursor[dict[str, Any]], places: Mapping[str, Place], key: str, day: date) -> list[Portion]:
    """What the unit of ``places`` gets of each place's figure ``key`` on ``day``; places that have none are left out."""
    if key in REGISTERS:
        return _of_registers(cursor, places, key, day)
    terms = DIFFERENCES.get(key, ((key, 1),))
    found: dict[str, Portion] = {}
    values: dict[str, dict[str, int | None]] = {}
    for name, _ in terms:
        column, platform = ("households_with_store", "postmart") if name == "households_with_store_postmart" else (name, "all")
        for row in cursor.execute(
            f"select place_code, {column} as value from intermediate.int_place_days where place_code = any(%s) and date = %s and platform = %s",  # type: ignore[arg-type]
            (list(places), day, platform),
        ):
            values.setdefault(row["place_code"], {})[name] = row["value"]
    for code, told in values.items():
        place = places[code]
        if any(told.get(name) is None for name, _ in terms):
            continue
        shared = {name: shared_out(int(told[name] or 0), place.shares) for name, _ in terms}
        by_piece = {piece: sum(sign * shared[name][piece] for name, sign in terms) for piece in place.ours}
        found[code] = Portion(place, sum(sign * int(told[name] or 0) for name, sign in terms), by_piece)
    return [found[code] for code in sorted(found)]


def _of_registers(cursor: psycopg.Cursor[dict[str, Any]], places: Mapping[str, Place], key: str, day: date) -> list[Portion]:
    """Of a register each piece takes what the list in force on it says; the place's whole figure is what its pieces take together."""
    found: dict[tuple[str, date], dict[str, int]] = {}
    for row in cursor.execute(
        f"""select piece_code, place_code, as_of, {key} as value from intermediate.{REGISTERS[key]}
            where place_code = any(%s) and valid_from <= %s and %s < valid_to and {key} is not null""",  # type: ignore[arg-type]
        (list(places), day, day),
    ):
        if row["piece_code"] in places[row["place_code"]].ours:
            found.setdefault((row["place_code"], row["as_of"]), {})[row["piece_code"]] = int(row["value"])
    return [Portion(places[code], sum(by_piece.values()), by_piece, as_of) for (code, as_of), by_piece in sorted(found.items())]
