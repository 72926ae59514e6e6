"""Communes of Postmart's stores and accounts as they are written (code, name, district), and what operators have decided about them (docs/addresses.md).

A build calls `note` before dbt: `ops.commune_decided` then says for each text that has come, and the days of which a decision speaks, the commune that
counts. A new decision is a changed seed, so everything is built again; between two of them only texts that come new are looked up.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg

from kinhteso import addresses, communes
from kinhteso.addresses import decisions

BEGINNING, FOREVER = date(1, 1, 1), date(9999, 12, 31)
#: Dataset -> what stands there for a district.
DATASETS = {"stores": "coalesce(r.district_name, '')", "accounts": "''"}


@dataclass(frozen=True, slots=True)
class Coded:
    """A unit that a platform's code means, from a day on."""

    valid_from: date
    list: str
    code: str


class Crosswalk:
    """R0 for VNPost's codes: what a code means on a day. A code's first row reaches back, as in the models."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Coded]] = {}
        with (addresses.names.seeds_dir() / "commune_crosswalk.csv").open(encoding="utf-8", newline="") as f:
            for row in csv.DictReader(f):
                if code := row["vnpost_commune_code"]:
                    self._rows.setdefault(code, []).append(Coded(date.fromisoformat(row["valid_from"]), row["list"], row["gso_code"]))
        for rows in self._rows.values():
            rows.sort(key=lambda r: r.valid_from)

    def of(self, source_code: str) -> list[Coded]:
        """All that a code has meant, oldest first; lost zeros are put back."""
        return self._rows.get(source_code.strip().zfill(5), [])

    def find(self, source_code: str, day: date) -> Coded | None:
        """What a code means on a day; None where nobody knows it."""
        rows = self.of(source_code)
        return next((r for r in reversed(rows) if r.valid_from <= day), rows[0] if rows else None)


def district(text: str | None) -> str | None:
    """Code of the district in a column that is a district's name, also without unit word."""
    return communes.district_code(text) or communes.district_code(f"Huyện {text}") or communes.district_code(f"Thành phố {text}") if text else None


def spans(crosswalk: Crosswalk, source_code: str, name: str, district_name: str) -> Iterator[tuple[date, date, str, str | None]]:
    """(from, to, list, code) of the days on which a decision speaks of a text: half open, none overlaps. ``code`` is None where it is out of scope.

    Days before the campaign's list have no rows: nothing is told of those lists.
    """
    of = addresses.resolver()
    codes: list[str | None] = [r.code for r in crosswalk.of(source_code)] or [None]
    texts = {c: of.norm(communes.as_text(c, name, district(district_name))) for c in codes}
    about = [d for text in texts.values() for d in of.decided.about(text)]
    if not about:
        return
    first = of.lists.in_force(communes.CAMPAIGN).valid_from
    edges = {first, *(p.valid_from for p in of.lists.periods), *(r.valid_from for r in crosswalk.of(source_code))}
    edges |= {d.record_from for d in about if d.record_from} | {d.record_to + timedelta(days=1) for d in about if d.record_to and d.record_to < FOREVER}
    days = sorted(e for e in edges if e >= first)
    for begins, ends in zip(days, [*days[1:], FOREVER], strict=True):
        known, name_of_list = crosswalk.find(source_code, begins), of.lists.in_force(begins).name
        decision = of.decided.find(texts[known.code if known else None], name_of_list, begins)
        if decision is not None and begins < ends:
            yield begins, ends, name_of_list, None if decision.code == decisions.OUT else decision.code


def note(conn: psycopg.Connection[Any], build_id: int, *, whole: bool) -> int:
    """Bring ops.commune_decided up to the decisions of now: for the texts of this build's deliveries, or of all (``whole``). Returns how many texts
    a decision speaks of. Raises DecisionError where a decision cannot hold."""
    of = addresses.resolver()
    if whole:
        conn.execute("delete from ops.commune_decided")
    if not of.decided:
        return 0
    only = "" if whole else "join ops.change as c on c.export_id = r.export_id and c.build_id = %(build)s"
    texts = {
        tuple(row)
        for dataset, district_name in DATASETS.items()
        for row in conn.execute(
            f"select distinct coalesce(r.commune_src_code, ''), coalesce(r.commune_name, ''), {district_name} from raw.postmart_{dataset} as r {only}",
            {"build": build_id},  # type: ignore[arg-type]
        )
    }
    crosswalk = Crosswalk()
    found = [(*text, *span) for text in sorted(texts) for span in spans(crosswalk, *text)]
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into ops.commune_decided (source_code, commune_name, district_name, valid_from, valid_to, list, code)"
            " values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
            found,
        )
    return len({row[:3] for row in found})
