"""Build the star and the KPIs with dbt: everything that this build's changes can move, and nothing else.

A build claims what became or ceased to be accepted since the last release (``ops.change``), tells dbt from which day stock figures may
have moved, and runs ``dbt build`` once, models and data tests together. Nothing of it is visible to BI before `publishing` copies it in
one transaction. A build that fails leaves its claims; the next one takes them again, and every model gives the same rows again.
"""

from __future__ import annotations

import csv
import hashlib
import logging
import os
import secrets
import tempfile
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from kinhteso import deciding, mishaps

log = logging.getLogger(__name__)

BEGINNING = date(1, 1, 1)

#: One build at a time per warehouse; a second one waits for the first.
BUILD_LOCK = 0x6B_74_73_01


#: What builds note of their scope between two releases.
FORGET_SCOPE = "truncate ops.build_order, ops.build_refund, ops.build_cell, ops.build_unit, ops.build_entity, ops.build_moved"


class BuildFailed(Exception):
    """dbt could not build the warehouse or one of its data tests failed; the last release stands."""


@dataclass(frozen=True)
class BuildScope:
    """What a build works on. Days are business days; figures before ``stock_from`` are left as they are, but for touched orders."""

    build_id: int
    business_date: date
    kpi_from: date
    stock_from: date
    rematch: bool
    full_refresh: bool
    digest: str

    def to_json(self) -> dict[str, Any]:
        """As it goes from task to task (XCom is JSON)."""
        return {k: v.isoformat() if isinstance(v, date) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> BuildScope:
        """The scope that `to_json` wrote."""
        days = {k: date.fromisoformat(given[k]) for k in ("business_date", "kpi_from", "stock_from")}
        return cls(**{**given, **days})


def project_dir() -> Path:
    """Folder of the dbt project: KINHTESO_DBT_PROJECT, else beside the plugins folder."""
    return Path(os.environ.get("KINHTESO_DBT_PROJECT") or Path(__file__).resolve().parents[2] / "dbt_project")


def state_folder() -> Path:
    """Where dbt keeps what it parsed, so that the next run need not parse again: KINHTESO_DBT_STATE, else a folder per user."""
    return Path(os.environ.get("KINHTESO_DBT_STATE") or Path(tempfile.gettempdir()) / f"kinhteso-dbt-{os.getuid()}")


def project_digest(folder: Path, first_day: date) -> str:
    """Digest of all that decides what the same rows are turned into: models, macros, seeds, first day."""
    digest = hashlib.sha256(first_day.isoformat().encode())
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix in {".sql", ".csv"} and parts[0] in {"models", "macros", "seeds"}:
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _reforms(folder: Path) -> list[date]:
    """First days of the lists of communes."""
    return _days(folder, "commune_list", "valid_from")


def _told_from_at_latest(folder: Path) -> date:
    """Bases are the figures at the end of the day before the first kick-off (KPI §1.7), so the tables begin there at the latest."""
    return min(_days(folder, "campaign_phase", "kick_off")) - timedelta(days=1)


def _days(folder: Path, seed: str, column: str) -> list[date]:
    with open(folder / "seeds" / f"{seed}.csv", encoding="utf-8", newline="") as f:
        return [date.fromisoformat(r[column]) for r in csv.DictReader(f)]


_STOCK_FROM = """
with change as (
    select distinct c.source, c.dataset, c.business_day, c.export_id from ops.change c where c.build_id = %(build)s
), first_day as (
    select source, dataset, min(business_day) as first_day from ops.export where state = 'accepted' and (source = 'registers' or unit = '')
    group by source, dataset
)
select min(case
    when c.source = 'registers' and c.dataset <> 'enterprises' then date '0001-01-01'
    when c.dataset in ('stores', 'accounts') or (c.source = 'postmart' and c.dataset = 'products')
        then case when f.first_day is null or c.business_day <= f.first_day then date '0001-01-01' else c.business_day end
    when c.source = 'voso' and c.dataset = 'products'
        then case when e.is_backlog then date '0001-01-01'
             when e.unit <> '' then least(c.business_day,
                 (select min(parse.business_day(parse.epoch_ms(r.updated_at))) from raw.voso_products r where r.export_id = e.export_id
                  and not exists (select 1 from ops.set_aside_row s where s.export_id = r.export_id and s.source_row = r.source_row)))
             else least(c.business_day, parse.business_day(e.window_since)) end
end)
from change c
join ops.export e on e.export_id = c.export_id
left join first_day f on f.source = c.source and f.dataset = c.dataset
"""

# A register moves the days from its as-of date on, unless it is the first of its kind for a commune: then it reaches back (RULINGS 12). After a
# reform a code may be another unit's, so what came under an earlier list is no predecessor.
# The newest list of lead households governs all days.
_REGISTER_FROM = """
with change as (
    select distinct c.business_day, c.export_id from ops.change c
    where c.build_id = %(build)s and c.source = 'registers' and c.dataset = %(dataset)s
), told as (
    select distinct r.commune_code, c.business_day from change c join {table} r on r.export_id = c.export_id
)
select min(case when exists (
        select 1 from ops.export e join {table} r on r.export_id = e.export_id
        where e.state = 'accepted' and e.source = 'registers' and e.dataset = %(dataset)s
          and e.business_day < t.business_day and r.commune_code = t.commune_code
          and not exists (select 1 from unnest(%(reforms)s::date[]) as reform where e.business_day < reform and reform <= t.business_day))
    then t.business_day else date '0001-01-01' end)
from told t
"""

_EARLIEST_ORDER = """
select least(
    (select min(parse.local_date(r.created_at)) from raw.postmart_orders r
     join ops.change c on c.export_id = r.export_id and c.build_id = %(build)s
     where not exists (select 1 from ops.set_aside_row s where s.export_id = r.export_id and s.source_row = r.source_row)),
    (select min(parse.business_day(parse.epoch_ms(r.created_at))) from raw.voso_orders r
     join ops.change c on c.export_id = r.export_id and c.build_id = %(build)s
     where not exists (select 1 from ops.set_aside_row s where s.export_id = r.export_id and s.source_row = r.source_row)))
"""


#: Moves with everything that happens to an export, whatever the clock says (F100), also with what is only expected or refused:
#: `bi.data_status_daily` tells of it.
_LEDGER_MARK = """
select concat_ws(' ', count(*), count(*) filter (where state = 'expected'),
    sum(hashtextextended(concat_ws('|', export_id, state, landed_at, loaded_at, judged_at, accepted_at, ended_at), 0)::numeric))
from ops.export where source = 'registers' or unit = ''
"""


def _scalar(conn: psycopg.Connection[Any], query: str, params: dict[str, Any] | None = None) -> Any:
    row = conn.execute(query, params or {}).fetchone()  # type: ignore[call-overload]
    return row[0] if row else None


def claim(conn: psycopg.Connection[Any], first_day: date, digest: str, *, full_refresh: bool = False) -> BuildScope | None:
    """Claim what no release holds yet, and find how far back it reaches. None when nothing was ever accepted or expected, or when nothing has
    happened since the last release.

    The scope's days: stock figures (stores, accounts, products, registers) are told anew from ``stock_from`` to ``business_date``.
    """
    business_date = _scalar(conn, "select max(business_day) from ops.export where source in ('postmart', 'voso')")
    if business_date is None:
        return None
    # The build lock is ours, so a build that still says "running" died with its process (F93).
    conn.execute("update ops.build set state = 'failed', ended_at = now(), message = 'its process ended without a word' where state = 'running'")
    build_id, mark = _scalar(conn, "select nextval('ops.build_seq')"), _scalar(conn, _LEDGER_MARK)
    claimed = conn.execute("update ops.change set build_id = %s where release_id is null", (build_id,)).rowcount
    last = conn.execute(
        "select project_digest, kpi_from, business_date, ledger_mark from ops.build where state = 'published' order by build_id desc limit 1"
    ).fetchone()
    if not claimed and not full_refresh and last and (last[0], last[3]) == (digest, mark) and max(business_date, first_day) <= last[2]:
        return None
    earliest = _scalar(conn, _EARLIEST_ORDER, {"build": build_id})
    kpi_from = min(d for d in (_told_from_at_latest(project_dir()), earliest, last[1] if last else None) if d is not None)
    refresh = full_refresh or last is None or last[0] != digest or kpi_from < last[1]
    days = [BEGINNING] if refresh or last is None else [last[2] + timedelta(days=1)]
    days.append(_scalar(conn, _STOCK_FROM.replace("c.source = 'registers' and c.dataset <> 'enterprises'", "false"), {"build": build_id}))
    changed = {r[0] for r in conn.execute("select distinct dataset from ops.change where build_id = %s and source = 'registers'", (build_id,))}
    for dataset in changed & {"hamlets", "households", "teams", "targets"}:
        query = _REGISTER_FROM.format(table=f"raw.registers_{dataset}")
        days.append(_scalar(conn, query, {"build": build_id, "dataset": dataset, "reforms": _reforms(project_dir())}))
    if "leads" in changed:
        days.append(BEGINNING)
    scope = BuildScope(
        build_id=build_id,
        business_date=max(business_date, first_day),
        kpi_from=kpi_from,
        stock_from=min(d for d in days if d is not None),
        rematch="households" in changed,
        full_refresh=refresh,
        digest=digest,
    )
    if refresh:
        conn.execute(FORGET_SCOPE)
    conn.execute(
        "insert into ops.build (build_id, business_date, kpi_from, stock_from, first_day, is_rematch, is_full_refresh, project_digest, ledger_mark)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (build_id, scope.business_date, scope.kpi_from, scope.stock_from, first_day, scope.rematch, refresh, digest, mark),
    )
    return scope


def dbt_environment(dsn: str) -> dict[str, str]:
    """Variables for dbt_project/profiles.yml; the password under the prefix that dbt keeps out of logs."""
    info = conninfo_to_dict(dsn)
    return {
        "KINHTESO_DBT_HOST": str(info.get("host") or "127.0.0.1"),
        "KINHTESO_DBT_PORT": str(info.get("port") or 5432),
        "KINHTESO_DBT_USER": str(info.get("user") or ""),
        "DBT_ENV_SECRET_WAREHOUSE_PASSWORD": str(info.get("password") or ""),
        "KINHTESO_DBT_DATABASE": str(info.get("dbname") or "kinhteso"),
        "DO_NOT_TRACK": "1",
    }


def _say(event: Any) -> None:
    """What dbt warns of, into the log of the task. Its own loggers write every event out and search each line for secrets: a sixth of a build's CPU."""
    if event.info.level in ("warn", "error"):
        from dbt_common.events.functions import env_scrubber

        log.log(logging.WARNING if event.info.level == "warn" else logging.ERROR, "dbt: %s", env_scrubber(event.info.msg))


def run_dbt(dsn: str, arguments: list[str], state_dir: Path) -> Any:
    """One dbt invocation in this process; returns dbt's result object. Artefacts go to ``state_dir``."""
    from dbt.cli.main import dbtRunner

    folder = project_dir()
    state_dir.mkdir(parents=True, exist_ok=True)
    saved = dict(os.environ)
    os.environ.update(dbt_environment(dsn))
    try:
        return dbtRunner(callbacks=[_say]).invoke(
            [
                *arguments,
                "--project-dir", str(folder),
                "--profiles-dir", str(folder),
                "--target-path", str(state_dir / "target"),
                "--log-path", str(state_dir / "logs"),
                "--log-level", "none",
                "--log-level-file", "none",
            ]
        )  # fmt: skip
    finally:
        os.environ.clear()
        os.environ.update(saved)


def _keep_results(dsn: str, result: Any, scope: BuildScope) -> list[str]:
    """Write per-node results to ops.dbt_result, and of each table whose model did not say it that all of it may have moved; return one line per failure,
    for a person."""
    if result.result is None or not hasattr(result.result, "results"):
        return [_line(result.exception) if result.exception else "dbt gave no result"]
    invocation = result.result.metadata.invocation_id if hasattr(result.result, "metadata") else os.urandom(8).hex()
    rows, whole, failures = [], [], []
    for r in result.result.results:
        status = str(getattr(r.status, "value", r.status))
        rows.append((invocation, r.node.unique_id, str(r.node.resource_type), status, r.execution_time, r.failures, (r.message or "")[:2000]))
        if r.node.resource_type == "model" and r.node.config.materialized != "view":
            whole.append({"build": scope.build_id, "relation": f"{r.node.schema}.{r.node.alias}"})
        if status in {"error", "fail", "runtime error"}:
            failures.append(f"{r.node.unique_id}: {r.message}")
    with psycopg.connect(dsn) as conn, conn.cursor() as cur:
        cur.executemany(
            "insert into ops.dbt_result (invocation_id, node, kind, status, seconds, failures, message) values (%s, %s, %s, %s, %s, %s, %s)"
            " on conflict (invocation_id, node) do nothing",
            rows,
        )
        cur.executemany(
            "insert into ops.build_moved (build_id, relation, predicate) select %(build)s, %(relation)s, 'true'"
            " where not exists (select from ops.build_moved where build_id = %(build)s and relation = %(relation)s)",
            whole,
        )
    return failures


def _line(error: BaseException | None) -> str:
    """Never nothing: a MemoryError has no words of its own."""
    return str(error).strip() or repr(error)


#: Looked up when orders are found again: without them a day would cost what history holds.
_INDEXES = (
    "create index if not exists postmart_orders_key on raw.postmart_orders (order_code)",
    "create index if not exists postmart_refunds_key on raw.postmart_refunds (refund_code)",
    "create index if not exists voso_orders_key on raw.voso_orders (order_number)",
    "create index if not exists voso_orders_id on raw.voso_orders (order_id)",
    "create index if not exists voso_order_events_key on raw.voso_order_events (order_id)",
    "create index if not exists voso_refunds_key on raw.voso_refunds (return_id)",
    "create index if not exists voso_products_key on raw.voso_products (product_id)",
)


def build(dsn: str, first_day: date, *, full_refresh: bool = False, state_dir: Path | None = None) -> BuildScope | None:
    """Build core and kpi for all that changed; the caller publishes.

    Returns the scope, or None when there is nothing (new) to tell of. Raises BuildFailed naming the models and tests that failed, DecisionError naming a
    decision about an address that cannot hold.
    """
    state = state_dir or state_folder()
    digest = project_digest(project_dir(), first_day)
    with psycopg.connect(dsn, autocommit=True) as lock:
        lock.execute("select pg_advisory_lock(%s)", (BUILD_LOCK,))
        with psycopg.connect(dsn) as conn:
            # A warehouse that was loaded before there were salts, and is built before anything more is loaded.
            conn.execute("insert into ops.pseudonym_salt (salt) values (%s) on conflict do nothing", [secrets.token_hex(32)])
            for statement in _INDEXES:
                conn.execute(statement)  # type: ignore[call-overload]
            scope = claim(conn, first_day, digest, full_refresh=full_refresh)
            if scope is None:
                return None
            deciding.note(conn, scope.build_id, whole=scope.full_refresh)
            has_registers = _scalar(
                conn, "select exists (select from ops.change where build_id = %(build)s and source = 'registers')", {"build": scope.build_id}
            )
        arguments = ["build", "--exclude-resource-type", "unit_test", "--no-write-json"]  # nobody reads the artefacts of a build; ops.dbt_result tells
        if scope.full_refresh:
            arguments += ["--full-refresh"]
        else:  # seeds, what is made from them alone, and views that know no day are what the last full build of the same project made them
            arguments += ["--exclude-resource-type", "seed", "--exclude", "path:models/staging", "tag:static"]
            if not has_registers:  # so are the tables made of registers, on which views stand that fall with them
                arguments += ["tag:registers", "tag:standing"]
        result = run_dbt(dsn, arguments, state)
        failures = _keep_results(dsn, result, scope)
        failed = bool(failures) or not result.success
        with psycopg.connect(dsn) as conn:
            conn.execute(
                "update ops.build set state = %s, ended_at = now(), message = %s where build_id = %s",
                ("failed" if failed else "built", "\n".join(failures)[:4000] or None, scope.build_id),
            )
    if failed:
        listed = "\n  ".join(failures[:10]) or _line(result.exception)
        what_next = mishaps.in_text(listed) or (
            "read the failing rows in schema dbt_failures, mend the model, seed or source, run the task again. Runbook: docs/runbooks/build-failed.md"
        )
        raise BuildFailed(
            f"The warehouse was not built (build {scope.build_id}, business date {scope.business_date}); the last release stands.\n  {listed}\n"
            f"Owner: data-platform. Next: {what_next}"
        )
    return scope
