"""How old the data are: `dbt source freshness`, really run, kept and told (EXPORTS §12; dbt_project/models/staging/_sources.yml has the limits).

Age is the business day less the date that the data bear, never the time since loading: a form that comes today and speaks of last month is old.
A dataset past its limit changes no figure; it is a row of `ops.source_freshness`, which the board shows and `alerting` tells.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import psycopg

from kinhteso import building

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Age:
    """What dbt says of a source: ``status`` is pass, warn, error or runtime error; the limit is in whole days."""

    source: str
    dataset: str
    status: str
    limit_days: int
    message: str | None = None


def measure(dsn: str, state_dir: Path | None = None) -> list[Age]:
    """Run `dbt source freshness` over the warehouse and keep what it found. No failure of it stops a release: a source that is stale is told by
    `alerting`, an age that could not be measured by `unknown`."""
    result = building.run_dbt(dsn, ["source", "freshness"], state_dir or building.state_folder())
    found = [_age(r) for r in getattr(result.result, "results", None) or []]
    if not found:
        log.error("dbt source freshness measured nothing: %s", result.exception or "no source has a limit")
    with psycopg.connect(dsn) as conn, conn.cursor() as cursor:
        cursor.execute("delete from ops.source_freshness")
        cursor.executemany(_KEEP, [{"source": a.source, "dataset": a.dataset, "status": a.status, "limit": a.limit_days, "message": a.message} for a in found])
    return found


def unknown(conn: psycopg.Connection[Any], build_id: int) -> list[str]:
    """A line for each source whose age this build could not measure."""
    rows = conn.execute("select source || '/' || dataset, message from ops.source_freshness where status = 'runtime error' order by 1").fetchall()
    measured = conn.execute(
        "select exists (select from ops.source_freshness as f join ops.build as b on b.build_id = %s where f.checked_at >= b.started_at)", [build_id]
    ).fetchone()
    lines = [f"the age of {name} could not be measured (dbt source freshness): {message}" for name, message in rows]
    return lines if measured and measured[0] else [*lines, "dbt source freshness measured nothing: the log of the task build says why"]


def _age(result: Any) -> Age:
    source, _, dataset = result.node.name.partition("_")
    limit = result.node.freshness.warn_after
    days = limit.count / (24 if str(getattr(limit.period, "value", limit.period)) == "hour" else 1)
    return Age(source, dataset, str(getattr(result.status, "value", result.status)), ceil(days), (result.message or "")[:1000] or None)


# The dates beside dbt's word are read again, so that a person sees them; `late` is the same comparison for each commune or district.
_KEEP = """
insert into ops.source_freshness (source, dataset, status, business_date, data_date, age_days, limit_days, units, units_late, message)
select %(source)s, %(dataset)s, %(status)s, b.business_date, max(u.newest), b.business_date - coalesce(max(u.newest), b.first_day), %(limit)s,
       count(u.unit) filter (where %(source)s = 'registers'),
       count(u.unit) filter (where %(source)s = 'registers' and b.business_date - u.newest > %(limit)s), %(message)s
from (select business_date, first_day from ops.build order by build_id desc limit 1) as b
left join (select unit, max(business_day) as newest from ops.export
           where (source, dataset) = (%(source)s, %(dataset)s) and state = 'accepted' and (source = 'registers' or unit = '') group by unit) as u on true
group by b.business_date, b.first_day
"""
