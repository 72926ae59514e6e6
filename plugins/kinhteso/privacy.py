"""Q17: no phone and no citizen number stands in a table or a log (EXPORTS §14, RELIABILITY I5).

What a build takes up is scanned with it: the rows of its deliveries in raw, and what ops keeps about them. Everything derives from these; still,
a build of everything (a changed model may show a new column) and the one of Sunday scan all tables. Logs are scanned as far as they are files
of this machine. What was found is told by its place, never by its value.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from kinhteso import building, contracts

SCHEMAS = ("raw", "ops", "staging", "intermediate", "core", "kpi", "bi", "dbt_failures")
LOG_HOURS = 26
SAMPLE = 5


def check(conn: psycopg.Connection[Any], scope: building.BuildScope, rule: Mapping[str, Any]) -> list[Any]:
    """The check of a build, as a result of `checking`."""
    from kinhteso.checking import Result

    whole = scope.full_refresh or scope.business_date.isoweekday() == 7
    found = [*(scan(conn, rule) if whole else scan_deliveries(conn, scope.build_id, rule)), *scan_logs(log_folder(), rule["logs"])]
    said = (rule["rule"], rule["name"], rule["says"], "fail", not found, len(found), len(found), tuple(found[:SAMPLE]), None, None)
    return [Result(*said, scope.business_date, "warehouse", "")]


def scan_deliveries(conn: psycopg.Connection[Any], build_id: int, rule: Mapping[str, Any]) -> list[str]:
    """Places of personal numbers in the deliveries that a build takes up: "raw.postmart_products.product_name row 17"."""
    claimed = conn.execute("select distinct c.source, c.dataset from ops.change as c where c.build_id = %s", [build_id]).fetchall()
    exports = [row[0] for row in conn.execute("select distinct export_id from ops.change where build_id = %s", [build_id])]
    places: list[str] = []
    for source, dataset in claimed:
        columns = [c for c in _raw_text(source, dataset) if c not in rule["not"]]
        places += _scan(conn, "raw", f"{source}_{dataset}", columns, rule["tables"], "source_row", exports)
    for table, columns in (("quarantine_row", ["rule", "content"]), ("check_result", ["rule", "sample"]), ("export", ["reason", "origin"])):
        places += _scan(conn, "ops", table, columns, rule["tables"], "export_id", exports, rule["not"])
    return places


def scan(conn: psycopg.Connection[Any], rule: Mapping[str, Any], schemas: Sequence[str] = SCHEMAS) -> list[str]:
    """Places of personal numbers in every text and JSON column of every table."""
    rows = conn.execute(
        """select n.nspname, c.relname, array_agg(a.attname order by a.attnum)
           from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
           join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
           where n.nspname = any(%s) and c.relkind in ('r', 'p') and a.atttypid in ('text'::regtype, 'varchar'::regtype, 'jsonb'::regtype, 'json'::regtype)
             and a.attname not like '%%\\_key' and a.attname not like '%%sha256' and not a.attname = any(%s)
           group by 1, 2 order by 1, 2""",
        [list(schemas), rule["not"]],
    ).fetchall()
    return [place for schema, table, columns in rows for place in _scan(conn, schema, table, columns, rule["tables"], None, None, rule["not"])]


def _raw_text(source: str, dataset: str) -> list[str]:
    """Columns of a raw table that hold text as delivered: keys made of personal data are none."""
    contract = contracts.load_contract(source, dataset)
    hashed = {c.name for c in contract.columns if c.type == "hex64"}
    return [name for name in contract.raw_columns if not name.endswith(("_key", "_is_test")) and name not in hashed]


#: Columns that hold JSON: without what is a code by its name.
_VALUES = {
    "content": sql.SQL("({}::jsonb - %(but)s::text[])::text"),
    "lines": sql.SQL("regexp_replace({}, '\"[A-Z_]*(_ID|_NO)\" *: *\"?[0-9]+\"?', '', 'g')"),
}


def _scan(
    conn: psycopg.Connection[Any], schema: str, table: str, columns: Sequence[str], patterns: Sequence[str], key: str | None, exports: Sequence[int] | None,
    but: Sequence[str] = (),
) -> list[str]:  # fmt: skip
    """Look through whole rows first (one pass), then name the columns of the few that match."""
    if not columns or (exports is not None and not exports):
        return []
    pattern = "|".join(f"(?:{p})" for p in patterns)
    values = [_VALUES.get(c, sql.SQL("{}::text")).format(sql.Identifier(c)) for c in columns]
    where = sql.SQL("export_id = any(%(exports)s) and ") if exports is not None else sql.SQL("")
    shown = sql.SQL("{}::text").format(sql.Identifier(key)) if key else sql.SQL("null")
    hits = conn.execute(
        sql.SQL("select {shown}, {each} from {table} where {where} concat_ws(chr(10), {values}) ~ %(pattern)s limit 50").format(
            shown=shown, table=sql.Identifier(schema, table), where=where, values=sql.SQL(", ").join(values),
            each=sql.SQL(", ").join(sql.SQL("coalesce({} ~ %(pattern)s, false)").format(v) for v in values),
        ),
        {"pattern": pattern, "exports": exports, "but": list(but)},
    ).fetchall()  # fmt: skip
    return [
        f"{schema}.{table}.{column}" + (f" {(key or '').replace('source_row', 'row')} {row[0]}" if key else "")
        for row in hits
        for column, is_hit in zip(columns, row[1:], strict=True)
        if is_hit
    ]


# ---- logs ----------------------------------------------------------------------------------------------------------------------


def log_folder() -> Path | None:
    """Where Airflow writes the logs of tasks on this machine; None where it says nothing."""
    given = os.environ.get("AIRFLOW__LOGGING__BASE_LOG_FOLDER") or (os.environ.get("AIRFLOW_HOME") and f"{os.environ['AIRFLOW_HOME']}/logs")
    return Path(given) if given else None


def scan_logs(folder: Path | None, patterns: Sequence[str], *, hours: float = LOG_HOURS) -> list[str]:
    """Places of personal numbers in the log files that were written in the last ``hours``: "log dag_id=…/attempt=1.log line 12"."""
    if folder is None or not folder.is_dir():
        return []
    wanted = re.compile("|".join(f"(?:{p})" for p in patterns))
    since = time.time() - hours * 3600
    return [place for path in sorted(folder.rglob("*.log")) if path.is_file() and path.stat().st_mtime >= since for place in _lines(path, folder, wanted)]


def _lines(path: Path, folder: Path, wanted: re.Pattern[str]) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if wanted.search(line):
                yield f"log {path.relative_to(folder)} line {number}"
