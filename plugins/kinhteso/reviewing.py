"""The review list of communes' names: what forms and Postmart's stores and accounts say and no rule can tell, until an operator has decided
(docs/addresses.md).

`note` brings ops.address_review up to what counts or waits now, `follow` takes up again the forms of what has been decided since. Twice changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from kinhteso import addresses, communes, contracts, deciding
from kinhteso.addresses import decisions
from kinhteso.addresses.resolving import DECISION, RESOLVED, Resolution
from kinhteso.settings import Settings

PIPELINE = "pipeline"
#: Rows that wait: of a form that counts and that no later version has replaced, not dismissed.
_WAITS = """r.commune_code is null and e.state = 'accepted'
  and not exists (select from ops.export as n where n.source = e.source and n.dataset = e.dataset and n.unit = e.unit and n.business_day = e.business_day
                    and n.state = 'accepted' and n.version > e.version)
  and not exists (select from ops.quarantine_row as q where q.export_id = r.export_id and q.source_row = r.source_row and q.state = 'dismissed')"""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """What rows say of their commune, with the day whose list counts, how many there are, and where the first came from."""

    source: str
    dataset: str
    code: str | None
    name: str | None
    district: str | None
    day: date
    rows: int
    export_id: int
    file: str | None

    def text(self) -> str:
        """As one text."""
        return communes.as_text(self.code, self.name, self.district)

    def look(self) -> Resolution:
        """What it means by the rules and decisions of now."""
        return communes.look(self.code, self.name, self.district, self.day)


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the review list that waits."""

    review_id: int
    source: str
    dataset: str
    text_norm: str
    list: str
    candidates: str
    candidate_names: str
    rule: str
    rows: int
    first_file: str | None
    first_seen: datetime

    @property
    def told(self) -> str:
        """One line: what, by which rule, what it can mean, where it came from."""
        can_be = f"can be {self.candidate_names}" if self.candidates else "nothing fits"
        where = f"{self.source}/{self.dataset}{f', first in {self.first_file}' if self.first_file else ''}"
        return f"“{self.text_norm}” (list {self.list}, {self.rule}; {self.rows} rows of {where}, since {self.first_seen:%Y-%m-%d}): {can_be}"


def _of_forms(conn: psycopg.Connection[Any], dataset: str | None) -> Iterator[Said]:
    """Rows of forms that count but for their commune, by what they say of it. Which columns say it is in the contract of each."""
    for contract in contracts.all_contracts():
        columns = {c.name for c in contract.columns if c.keep}
        name = next((c for c in ("commune_name", "unit_name") if c in columns), None)
        if contract.source != "registers" or name is None or dataset not in (None, contract.dataset):
            continue
        code = "nullif(btrim(r.commune_src_code), '')" if "commune_src_code" in columns else "null"
        is_commune = "parse.plain(r.level_raw) in ('xa', 'phuong', 'thitran')" if name == "unit_name" else "true"
        rows = conn.execute(
            f"""select {code}, nullif(btrim(r.{name}), ''), nullif(r.district_code, ''), r.as_of::date, count(*), min(r.export_id),
                       (array_agg(e.origin order by r.export_id, r.source_row))[1]
                from {contract.raw_table} as r join ops.export as e using (export_id)
                where {_WAITS} and {is_commune}
                group by 1, 2, 3, 4"""  # type: ignore[arg-type]
        ).fetchall()
        yield from (Said("registers", contract.dataset, *row) for row in rows if row[0] or row[1])


def _of_postmart(conn: psycopg.Connection[Any], dataset: str | None) -> Iterator[Said]:
    """Stores and accounts of Postmart's newest snapshot whose commune's name is not that of its code (or whose code nobody knows)."""
    crosswalk = deciding.Crosswalk()
    for kind, district_name in deciding.DATASETS.items():
        if dataset not in (None, kind):
            continue
        rows = conn.execute(
            f"""with newest as (select export_id, business_day, origin from ops.export
                               where source = 'postmart' and dataset = '{kind}' and state = 'accepted' and unit = ''
                               order by business_day desc, version desc limit 1)
               select coalesce(r.commune_src_code, ''), r.commune_name, {district_name}, n.business_day, count(*), n.export_id, n.origin
               from raw.postmart_{kind} as r join newest as n using (export_id) where r.commune_name <> '' group by 1, 2, 3, 4, 6, 7"""  # type: ignore[arg-type]
        ).fetchall()
        for source_code, name, in_district, day, *rest in rows:
            known = crosswalk.find(source_code, day)
            said = Said("postmart", kind, known.code if known else None, name, deciding.district(in_district), day, *rest)
            if not (known and _agree(known, said)):
                yield said


def _agree(known: deciding.Coded, said: Said) -> bool:
    """Whether a name is that of its code, on the list that the platform's code is of."""
    lists = addresses.resolver().lists
    period = lists.period(known.list)
    day = said.day if period is None or lists.in_force(said.day) == period else period.valid_from
    return communes.look(known.code, said.name, said.district, day).code == known.code


def note(conn: psycopg.Connection[Any], source: str, dataset: str | None = None) -> int:
    """Bring the review list of a source (of one dataset) up to now; returns how many different names wait. What resolves now is closed as decided."""
    said = list(_of_postmart(conn, dataset) if source == "postmart" else _of_forms(conn, dataset))
    of = addresses.resolver()
    waiting: dict[tuple[str, str, str], list[Any]] = {}
    for one in said:
        found = one.look()
        if found.rule == DECISION or (found.status == RESOLVED and one.source == "registers"):
            continue  # decided since: the next intake reads the form again, the next build places the store
        name = found.list or of.lists.in_force(one.day).name
        entry = waiting.setdefault((one.dataset, of.norm(one.text()), name), [found, 0, one.export_id, one.file])
        entry[1] += one.rows
    with conn.transaction():
        conn.execute(
            "update ops.address_review set rows = 0 where source = %s and (%s::text is null or dataset = %s) and state = 'open'", [source, dataset, dataset]
        )
        with conn.cursor() as cursor:
            cursor.executemany(
                """insert into ops.address_review (source, dataset, text_norm, list, candidates, candidate_names, rule, rows, first_export_id, first_file)
                   values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
                   on conflict (source, dataset, text_norm, list) do update set candidates = excluded.candidates, candidate_names = excluded.candidate_names,
                     rule = excluded.rule, rows = excluded.rows, last_seen = now(), state = 'open', decided_code = null, decided_rule = null,
                     decided_at = null""",
                [
                    (source, kind, norm, name, "|".join(r.candidates or [c for c in [r.code] if c]),
                     "; ".join(of.name_of(name, c) for c in r.candidates or [c for c in [r.code] if c]), r.rule, rows, export_id, file)
                    for (kind, norm, name), (r, rows, export_id, file) in waiting.items()
                ],
            )  # fmt: skip
        _close(conn, source, dataset)
    return len(waiting)


def _close(conn: psycopg.Connection[Any], source: str, dataset: str | None) -> None:
    """What waits no more: with the decision that ended it, else as told otherwise (a corrected form, code or list)."""
    of = addresses.resolver()
    rows = conn.execute(
        "select review_id, text_norm, list from ops.address_review where source = %s and (%s::text is null or dataset = %s) and state = 'open' and rows = 0",
        [source, dataset, dataset],
    ).fetchall()
    for review_id, norm, name in rows:
        decision = next((d for d in of.decided.about(norm) if decisions.touches(d, name, of.lists)), None)
        conn.execute(
            "update ops.address_review set state = 'decided', decided_code = %s, decided_rule = %s, decided_at = now() where review_id = %s",
            [decision.code if decision else None, "decision" if decision else "corrected at the source or in the lists", review_id],
        )


def follow(conn: psycopg.Connection[Any], settings: Settings) -> list[str]:
    """Read again the forms of which a name has been decided, or the list corrected, since they came; a line per form. The rest of them waits on."""
    from kinhteso import quarantine

    ready = sorted({e for one in _of_forms(conn, None) if one.look().is_resolved for e in _exports(conn, one)})
    told = []
    for export_id in ready:
        outcomes = quarantine.replay(conn, settings, quarantine.Selection(export_id=export_id, words=f"export {export_id}: its commune is known now"), PIPELINE)
        told += [f"{o.label}: {o.words}" for o in outcomes]
    if ready:
        note(conn, "registers")
    for line in told:
        log.info("%s", line)
    return told


def _exports(conn: psycopg.Connection[Any], said: Said) -> list[int]:
    table = contracts.load_contract(said.source, said.dataset).raw_table
    name = "unit_name" if said.dataset == "targets" else "commune_name"
    rows = conn.execute(
        f"""select distinct r.export_id from {table} as r join ops.export as e using (export_id)
            where {_WAITS} and r.as_of::date = %s and nullif(btrim(r.{name}), '') is not distinct from %s
              and nullif(r.district_code, '') is not distinct from %s""",  # type: ignore[arg-type]
        [said.day, said.name, said.district],
    ).fetchall()
    return [row[0] for row in rows]


def open_entries(conn: psycopg.Connection[Any]) -> list[Entry]:
    """What waits, the names with most rows first."""
    columns = ", ".join(Entry.__dataclass_fields__)
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        return cursor.execute(f"select {columns} from ops.address_review where state = 'open' order by rows desc, text_norm, list").fetchall()  # type: ignore[arg-type]
