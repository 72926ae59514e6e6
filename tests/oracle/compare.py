"""Every column of every row of a table of `bi` against what was counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

#: What tells one release from another; which release gave a row its values is no figure.
STAMPS = ("release_id", "published_at")
Rows = Mapping[tuple[Any, ...], Mapping[str, Any]]


def table(conn: Any, name: str, keys: Sequence[str], where: str = "true") -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows of bi.``name`` by their key, without the stamps."""
    with conn.cursor() as cursor:
        cursor.execute(f"select * from bi.{name} where {where}")
        columns = [c.name for c in cursor.description]
        at = [columns.index(k) for k in keys]
        told = [(n, c) for n, c in enumerate(columns) if c not in keys and c not in STAMPS]
        return {tuple(row[n] for n in at): {c: row[n] for n, c in told} for row in cursor}


def differences(expected: Rows, published: Rows, name: str = "", may: Callable[[tuple[Any, ...], str, Any, Any], bool] | None = None) -> list[str]:
    """Every cell that is not what was counted, in words; also rows and columns that are missing or too many. ``may``: says of a cell (key, column,
    counted, published) that it may differ."""
    return list(_differences(expected, published, f"{name} " if name else "", may))


def _differences(expected: Rows, published: Rows, name: str, may: Callable[[tuple[Any, ...], str, Any, Any], bool] | None) -> Iterator[str]:
    for key in sorted(expected.keys() - published.keys(), key=str):
        yield f"{name}{_words(key)}: was counted, and no such row is published"
    for key in sorted(published.keys() - expected.keys(), key=str):
        yield f"{name}{_words(key)}: published, but there is no such unit or day"
    for key, row in expected.items():
        given = published.get(key)
        if given is None or given == row:  # compares whole rows first: nearly all are equal
            continue
        for column in sorted(row.keys() | given.keys()):
            if column not in row or column not in given:
                yield f"{name}{_words(key)} {column}: {'no such column is published' if column in row else 'published, but nothing counts it'}"
            elif row[column] != given[column] and not (may and may(key, column, row[column], given[column])):
                yield f"{name}{_words(key)} {column}: {row[column]} was counted, {given[column]} is published"


def _words(key: tuple[Any, ...]) -> str:
    return " ".join(str(k) if not isinstance(k, date) else k.isoformat() for k in key)
