"""Whether each listed row is there: in `raw` under the entity's own code, and its file in the landing. Reads keys only, never another value of a row."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from kinhteso.explaining.cells import Answer, Row
from kinhteso.explaining.entities import RAW_KEYS
from kinhteso.explaining.telling import place, walk
from kinhteso.kpis import Words
from kinhteso.landing import Landing

#: Rows that are named; the count is of all.
NAMED = 5


def prove(conn: psycopg.Connection[Any], answer: Answer, landing: Landing | None = None) -> None:
    """Add to the answer's problems what is not as listed: a row that is gone or speaks of something else, a file that the landing does not have."""
    rows = [row for _, told in walk(answer.explanation) for entity in told.entities for row in entity.rows]
    bad = [row for row in rows if row.source is None or row.dataset is None or (row.role, row.source) not in RAW_KEYS]
    grouped: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row.source and row.dataset and (row.role, row.source) in RAW_KEYS:
            grouped.setdefault((row.source, row.dataset, RAW_KEYS[row.role, row.source]), []).append(row)
    for (source, dataset, key), wanted in grouped.items():
        bad += _missing(conn, sql.Identifier("raw", f"{source}_{dataset}"), sql.Identifier(key), wanted)
    if bad:
        named = "; ".join(place(row) for row in bad[:NAMED])
        answer.explanation.problems.append(
            Words(
                f"{len(bad)} dòng không còn trong raw dưới mã của thực thể: {named}.",
                f"{len(bad)} rows do not stand in raw under their entity's code: {named}.",
            )
        )
    if landing is not None:
        gone = sorted(path for path in {row.landing_path for row in rows if row.landing_path} if not landing.exists(path))
        if gone:
            named = "; ".join(gone[:NAMED])
            answer.explanation.problems.append(
                Words(f"{len(gone)} tệp không có trong landing: {named}.", f"{len(gone)} files are not in the landing: {named}.")
            )


def _missing(conn: psycopg.Connection[Any], table: sql.Identifier, key: sql.Identifier, wanted: list[Row]) -> list[Row]:
    found = conn.execute(
        sql.SQL(
            """select w.nth from unnest(%s::bigint[], %s::bigint[], %s::text[]) with ordinality as w (export_id, source_row, code, nth)
               where not exists (select from {table} as r where r.export_id = w.export_id and r.source_row = w.source_row and btrim(r.{key}) = btrim(w.code))"""
        ).format(table=table, key=key),
        ([r.export_id for r in wanted], [r.source_row for r in wanted], [r.code for r in wanted]),
    ).fetchall()
    return [wanted[n - 1] for (n,) in found]
