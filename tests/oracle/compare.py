"""Every column of every row of every table of `bi` against what was counted; what is not counted is named here, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

#: What tells one release from another; which release gave a row its values is no figure.
STAMPS = ("release_id", "published_at")
#: Tables and columns that nothing counts, and why. What stands neither here nor among what is counted turns the comparison red (`uncovered`).
EXCEPT = {
    "kpi_commune_daily_as_published": "each release as it went out: tests/warehouse/test_as_published.py",
    "kpi_restatement": "what moved between releases, and why: tests/warehouse/test_restating.py",
}
EXCEPT_COLUMNS = {
    ("data_status_daily", "checks_failed"): "what the judge found: tests/warehouse/test_data_status.py, test_judging.py",
    ("data_status_daily", "checks_failed_words"): "the judge's words: tests/warehouse/test_data_status.py",
    ("release", "what_changed"): "the publisher's words: tests/warehouse/test_publishing.py",
}
Rows = Mapping[tuple[Any, ...], Mapping[str, Any]]


def table(conn: Any, name: str, keys: Sequence[str], where: str = "true") -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows of bi.``name`` by their key, without the stamps."""
    with conn.cursor() as cursor:
        cursor.execute(f"select * from bi.{name} where {where}")
        columns = [c.name for c in cursor.description]
        at = [columns.index(k) for k in keys]
        told = [(n, c) for n, c in enumerate(columns) if c not in keys and c not in STAMPS and (name, c) not in EXCEPT_COLUMNS]
        return {tuple(row[n] for n in at): {c: row[n] for n, c in told} for row in cursor}


def uncovered(conn: Any, counted: Mapping[str, Rows], keys: Mapping[str, Sequence[str]]) -> list[str]:
    """Tables and views of `bi`, and columns of them, that are neither counted nor excepted; exceptions that are none; tables of which no row was counted."""
    there: dict[str, set[str]] = {}
    for name, column in conn.execute("select table_name, column_name from information_schema.columns where table_schema = 'bi'").fetchall():
        there.setdefault(name, set()).add(column)
    found = [f"{name}: nothing counts it, and no exception says why" for name in sorted(there.keys() - counted.keys() - EXCEPT.keys())]
    found += [f"{name}: is counted or excepted, and bi has no such table" for name in sorted((counted.keys() | EXCEPT.keys()) - there.keys())]
    for name in sorted(counted.keys() & there.keys()):
        excepted = {c for t, c in EXCEPT_COLUMNS if t == name}
        told = {c for row in counted[name].values() for c in row}
        found += [f"{name}.{c}: nothing counts it, and no exception says why" for c in sorted(there[name] - told - excepted - {*keys[name], *STAMPS})]
        found += [f"{name}.{c}: is excepted, and is counted or not there" for c in sorted(excepted - (there[name] - told))]
        found += [f"{name}: no row of it was counted"] * (not counted[name])
    return found


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
