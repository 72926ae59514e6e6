"""What the board shows, from `ops` and `bi`. Every query is read-only and ends after five seconds; none reads `raw`, so no row's content is shown:
of a row in quarantine its file, its row number, its natural key and the rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from kinhteso import alerting
from kinhteso.explaining.cells import LEVELS, Cell, NoSuchCell

Rows = list[dict[str, Any]]
#: Days that the overview shows, and rows of a list.
DAYS, ROWS = 35, 200

_OF_DAY = "(e.source = 'registers' or e.unit = '')"  # what is reconciled stands beside the days


@contextmanager
def reading(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that can change nothing."""
    options = "-c default_transaction_read_only=on -c statement_timeout=5000 -c timezone=Asia/Ho_Chi_Minh"
    with psycopg.connect(dsn, connect_timeout=5, options=options, application_name="kinhteso board", row_factory=dict_row) as conn:
        yield conn


@dataclass(frozen=True)
class Overview:
    """``cells[(source, dataset)][day]`` is the export that speaks for the day; ``days`` are those of which something is known, newest first."""

    days: list[date]
    cells: dict[tuple[str, str], dict[date, dict[str, Any]]]
    registers: Rows
    release: dict[str, Any] | None
    alerts: Rows
    quarantine: Rows
    failed: Rows


def overview(conn: psycopg.Connection[Any], last: date | None = None) -> Overview:
    """The last days by dataset, the release, what a person was told and is not over, and what waits in quarantine."""
    known = conn.execute(
        """select distinct business_day as day from ops.export where source <> 'registers' and business_day <= coalesce(%s, 'infinity'::date)
           order by 1 desc limit %s""",
        [last, DAYS],
    ).fetchall()
    days = [row["day"] for row in known]
    newest = days[0] if days else None
    cells: dict[tuple[str, str], dict[date, dict[str, Any]]] = {}
    for row in conn.execute(
        f"""select distinct on (e.source, e.dataset, e.business_day) e.source, e.dataset, e.business_day, e.export_id, e.state, e.version, e.rows_quarantined,
              (select count(*) from ops.check_result as c where c.export_id = e.export_id and not c.passed) as checks_failed
            from ops.export as e where e.source <> 'registers' and {_OF_DAY} and e.business_day = any(%s)
            order by e.source, e.dataset, e.business_day, case e.state when 'accepted' then 0 when 'rejected' then 1 else 2 end, e.version desc""",
        [days],
    ):
        cells.setdefault((row["source"], row["dataset"]), {})[row["business_day"]] = row
    return Overview(
        days,
        cells,
        conn.execute(
            """select e.*, f.age_days, f.limit_days, f.units, f.units_late, coalesce(f.status <> 'pass', false) as is_stale
               from (select dataset, count(*) filter (where state = 'accepted') as accepted, count(*) filter (where state = 'rejected') as rejected,
                       max(business_day) filter (where state = 'accepted') as newest, max(received_at) as received_at
                     from ops.export where source = 'registers' group by dataset) as e
               left join ops.source_freshness as f on f.source = 'registers' and f.dataset = e.dataset
               order by e.dataset"""
        ).fetchall(),
        conn.execute("select * from ops.release order by release_id desc limit 1").fetchone(),
        alerts(conn),
        quarantine(conn),
        day_checks(conn, newest) if newest else [],
    )


def alerts(conn: psycopg.Connection[Any]) -> Rows:
    """What a person was told and is not over, newest first, in the words of the message, with its runbook."""
    rows = conn.execute(
        "select kind, source, facts, first_seen, times_told from ops.alert where cleared_at is null and kind = any(%s) order by first_seen desc limit 50",
        [list(alerting.KINDS)],
    ).fetchall()
    return [row | {"titles": alerting.titles(row["kind"], row["source"], row["facts"]), "runbook": alerting.KINDS[row["kind"]].runbook} for row in rows]


def quarantine(conn: psycopg.Connection[Any]) -> Rows:
    """What is open, by dataset and rule: rows, deliveries, first and last day, first keys."""
    return conn.execute(
        """select source, dataset, rule_id, rule_name, min(rule) as rule, count(*) as rows, count(distinct export_id) as exports,
             min(business_day) as since, max(business_day) as until, min(opened_at) as opened_at,
             (array_agg(row_key order by business_day desc, source_row) filter (where row_key is not null))[1:5] as sample
           from ops.quarantine where state = 'open' and export_state <> 'superseded'
           group by source, dataset, rule_id, rule_name order by rows desc"""
    ).fetchall()


def day(conn: psycopg.Connection[Any], wanted: date) -> Rows:
    """Every delivery that speaks of ``wanted``, all versions, with what failed in words."""
    found = conn.execute(
        """select e.*, (e.source <> 'registers' and e.unit <> '') as is_reconciled,
             (select max(g.release_id) from ops.change as g where g.export_id = e.export_id) as release_id,
             exists (select from ops.check_result as c where c.export_id = e.export_id and c.expectation is not null) as has_docs
           from ops.export as e where e.business_day = %s
           order by e.source = 'registers', e.source, e.dataset, e.unit, e.version desc""",
        [wanted],
    ).fetchall()
    failed = checks(conn, [row["export_id"] for row in found], failed_only=True)
    return [row | {"failed": [c for c in failed if c["export_id"] == row["export_id"]]} for row in found]


def day_checks(conn: psycopg.Connection[Any], wanted: date) -> Rows:
    """What failed over the built tables on a day (expectations/warehouse.yml)."""
    return conn.execute(
        "select * from ops.day_check where business_day = %s and not passed order by outcome, rule_id, commune_code limit %s", [wanted, ROWS]
    ).fetchall()


def checks(conn: psycopg.Connection[Any], exports: list[int], *, failed_only: bool = False) -> Rows:
    """Results of Great Expectations and of the readers, failed first."""
    return conn.execute(
        f"""select * from ops.check_result where export_id = any(%s) {"and not passed" if failed_only else ""}
            order by passed, case outcome when 'reject' then 0 when 'fail' then 1 when 'quarantine' then 2 else 3 end, rule_id, rule_name""",
        [exports],
    ).fetchall()


def export(conn: psycopg.Connection[Any], export_id: int) -> dict[str, Any] | None:
    """One delivery: its ledger row, its parts, its checks, its rows in quarantine with file and row, and the other versions of that day."""
    row = conn.execute("select * from ops.export where export_id = %s", [export_id]).fetchone()
    if row is None:
        return None
    return row | {
        "parts": conn.execute("select origin, sha256, bytes, rows from ops.export_part where export_id = %s order by part_no", [export_id]).fetchall(),
        "checks": checks(conn, [export_id]),
        "rows": conn.execute(
            """select file, file_row, row_key, rule_id, rule_name, rule, state, state_reason, opened_at, closed_at, closed_by from ops.quarantine
               where export_id = %s order by state <> 'open', source_row, rule_name limit %s""",
            [export_id, ROWS],
        ).fetchall(),
        "versions": conn.execute(
            """select export_id, version, state, reason, received_at from ops.export
               where source = %(source)s and dataset = %(dataset)s and unit = %(unit)s and business_day = %(business_day)s order by version desc""",
            row,
        ).fetchall(),
        "changes": conn.execute("select origin, sha256, noticed_at from ops.content_change where export_id = %s order by noticed_at", [export_id]).fetchall(),
    }


def lists(conn: psycopg.Connection[Any]) -> tuple[list[str], date | None]:
    """The lists of communes that are released, and the last day; ([], None) before the first release."""
    if not conn.execute("select to_regclass('bi.kpi_commune_daily') is not null as there").fetchone()["there"]:  # type: ignore[index]
        return [], None
    last = conn.execute("select max(business_date) as day from bi.release").fetchone()
    rows = conn.execute("select distinct geography from bi.dim_commune order by 1").fetchall()
    return [row["geography"] for row in rows], last and last["day"]


def cells(conn: psycopg.Connection[Any], cell: Cell) -> Rows:
    """The cells of one day of a level's units, to choose from: unit, name, where, value, completeness. ``cell``: list, level, day, measure; no unit.

    Raises NoSuchCell where the level has no such measure.
    """
    table, code = LEVELS[cell.level]
    unit, name, where = {
        "commune": ("commune_code", "commune_name", "district_name"),
        "hamlet": ("commune_code || '-' || hamlet_code", "hamlet_name", "commune_name"),
    }.get(cell.level, (code, code.replace("_code", "_name"), "null::text"))
    query = sql.SQL(
        f"""select {unit} as unit, {name} as name, {where} as place, {{kpi}} as value, completeness from bi.{table}
            where geography = %s and date = %s order by 3 nulls last, 1"""
    )
    try:
        return conn.execute(query.format(kpi=sql.Identifier(cell.kpi)), [cell.geography, cell.day]).fetchall()
    except psycopg.errors.UndefinedColumn as error:
        raise NoSuchCell(f"{table} không có {cell.kpi}", f"{table} has no {cell.kpi}.") from error


def targets(conn: psycopg.Connection[Any], cell: Cell) -> Rows:
    """How far the units of a level are on one day: as `cells`, with target and status; ``cell.kpi`` is a column, empty for the value."""
    query = sql.SQL(
        """select t.unit_code as unit, t.unit_name as name, c.commune_name as place, t.{kpi} as value, t.target_value, t.status as completeness
           from bi.target_progress_daily as t
           left join bi.dim_commune as c on c.geography = '2021' and c.commune_code = t.commune_code and t.level in ('hamlet', 'cooperative')
           where t.level = %s and t.indicator = %s and t.date = %s order by t.district_code nulls first, 1"""
    )
    return conn.execute(query.format(kpi=sql.Identifier(cell.kpi or "value")), [cell.level, cell.target, cell.day]).fetchall()


def builds(conn: psycopg.Connection[Any], wanted: int | None = None) -> dict[str, Rows]:
    """The last builds and releases, the last reconciliations, and of the build ``wanted`` (None: the last) dbt's models, slowest first, and its tests."""
    last = conn.execute(
        """select d.invocation_id from ops.dbt_result as d where %(build)s::bigint is null
             or exists (select from ops.build as b where b.build_id = %(build)s and d.ran_at between b.started_at and b.ended_at)
           order by d.ran_at desc limit 1""",
        {"build": wanted},
    ).fetchone()
    of_last = "from ops.dbt_result where invocation_id = %s"
    told = [last["invocation_id"]] if last else [""]
    return {
        "builds": conn.execute("select * from ops.build order by build_id desc limit 20").fetchall(),
        "releases": conn.execute("select * from ops.release order by release_id desc limit 20").fetchall(),
        "kinds": conn.execute(f"select kind, status, count(*) as nodes, sum(seconds) as seconds {of_last} group by 1, 2 order by 1, 2", told).fetchall(),
        "failed": conn.execute(f"select * {of_last} and status not in ('success', 'pass') order by node limit 50", told).fetchall(),
        "models": conn.execute(f"select node, kind, status, seconds, ran_at {of_last} and kind <> 'test' order by seconds desc limit 60", told).fetchall(),
        "tests": conn.execute(f"select node, status, failures, seconds {of_last} and kind = 'test' order by status, node limit 200", told).fetchall(),
        "reconciled": conn.execute("select * from ops.reconciliation order by reconciliation_id desc limit 30").fetchall(),
    }
