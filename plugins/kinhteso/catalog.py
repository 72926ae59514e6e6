"""What a table looks like in the database: columns and comments, and how comments are kept as described."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

#: (name, type as format_type says it, comment)
Column = tuple[str, str, str | None]


def columns(conn: psycopg.Connection[Any], schema: str, table: str) -> list[Column]:
    """Columns of a table or view in their order; none where it does not exist."""
    return conn.execute(
        """
        select a.attname, format_type(a.atttypid, a.atttypmod), col_description(a.attrelid, a.attnum)
        from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = %s and c.relname = %s and a.attnum > 0 and not a.attisdropped order by a.attnum
        """,
        (schema, table),
    ).fetchall()


def comment(conn: psycopg.Connection[Any], schema: str, table: str) -> str | None:
    """Comment of a table or view."""
    row = conn.execute("select obj_description(to_regclass(%s))", (f"{schema}.{table}",)).fetchone()
    return row[0] if row else None


def describe(conn: psycopg.Connection[Any], schema: str, table: str, wanted: list[Column], text: str | None, *, kind: str = "table") -> None:
    """Put the comments of ``wanted`` and ``text`` where they are not yet; what needs none is not locked."""
    told = {name: said for name, _, said in columns(conn, schema, table)}
    where = sql.Identifier(schema, table)
    for name, _, said in wanted:
        if said and name in told and told[name] != said:
            conn.execute(sql.SQL("comment on column {}.{} is {}").format(where, sql.Identifier(name), sql.Literal(said)))
    if text and comment(conn, schema, table) != text:
        conn.execute(sql.SQL("comment on {} {} is {}").format(sql.SQL(kind), where, sql.Literal(text)))


def listed(names: list[str] | tuple[str, ...], alias: str | None = None) -> sql.Composed:
    """Names as a list of identifiers, each with its table's alias."""
    return sql.SQL(", ").join(sql.Identifier(alias, n) if alias else sql.Identifier(n) for n in names)


def freshen(conn: psycopg.Connection[Any], schema: str, table: str) -> None:
    """Statistics of a table that has grown or moved by a fifth since it was last looked at; a look costs the same however little a day brings."""
    row = conn.execute(
        """select c.reltuples < 0 or pg_relation_size(c.oid) > 1.2 * 8192 * c.relpages or coalesce(s.n_mod_since_analyze, 0) > 0.2 * c.reltuples
           from pg_class as c left join pg_stat_all_tables as s on s.relid = c.oid where c.oid = to_regclass(%s)""",
        (f"{schema}.{table}",),
    ).fetchone()
    if row and row[0]:
        conn.execute(sql.SQL("analyze {}").format(sql.Identifier(schema, table)))
