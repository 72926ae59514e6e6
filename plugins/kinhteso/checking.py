"""The checks over what was built, before it is published: expectations/warehouse.yml (EXPORTS §14: Q04–Q06, Q08, Q11–Q17).

A delivery is judged before it counts (`judging`); what needs the matching, other tables or other days is held here against its limits,
between dbt and the release. Results are kept in ops.day_check, the latest per rule, day and what it is about. An outcome `fail`

- of a check with `then: withdraw` takes the delivery back out of what counts, as a refusal by the judge would have, and builds again without
  it: the release holds the last good state of that dataset and everything else (RELIABILITY I8);
- of any other check leaves the figures as they are: the reader finds the mark beside them (`match_rate`, `rates_held`, `00000`).

Either way the run of `warehouse_daily` ends red after it has published (I6).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg.rows import dict_row

from kinhteso import building, contracts, ledger, mishaps

RUNBOOK = "docs/runbooks/check-failed.md"
SAMPLE = 5
#: A build that loses deliveries to a check is repeated; each time at least one fewer counts, so this is never reached by good code.
MAX_BUILDS = 25

log = logging.getLogger(__name__)


class CheckBroken(RuntimeError):
    """A check could not be evaluated: what was not judged is not published (RELIABILITY I6)."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found about a delivery, a commune or a dataset of a day."""

    rule_id: str
    rule_name: str
    rule: str
    outcome: str
    passed: bool
    rows_failed: int
    rows_total: int
    sample: tuple[str, ...]
    figure: float | None
    bound: float | None
    business_day: date
    source: str
    dataset: str
    commune_code: str = ""
    export_id: int | None = None
    withdrawn: bool = False

    @property
    def about(self) -> str:
        """What it is about, for messages: "voso/stores 2021-09-14", "registers/households 2021-09-14 commune 06505"."""
        return f"{self.source}{'/' + self.dataset if self.dataset else ''} {self.business_day}" + (f" commune {self.commune_code}" if self.commune_code else "")


@cache
def _parse(path: Path, changed_at: int) -> dict[str, Any]:
    given = yaml.safe_load(path.read_text(encoding="utf-8"))
    names = [check["name"] for check in given["checks"]]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise contracts.ContractError(f"expectations/{path.name}: names used twice: {sorted(doubled)}")
    for check in given["checks"]:
        if unknown := set(check) - {"rule", "name", "says", "of", "at_most", "at_least", "rows", "then", "when", "limits", "query"}:
            raise contracts.ContractError(f"expectations/{path.name}: {check['name']}: unknown entries {sorted(unknown)}")
        if ("at_most" in check) == ("at_least" in check) or check.get("then") not in (None, "withdraw") or check["of"] not in ("delivery", "commune", "day"):
            raise contracts.ContractError(f"expectations/{path.name}: {check['name']}: needs `of` and one of at_most, at_least; `then` can only be withdraw")
    return given


def settings() -> dict[str, Any]:
    """expectations/warehouse.yml, checked. Raises ContractError naming what is wrong."""
    path = contracts.folder() / "warehouse.yml"
    if not path.is_file():
        raise contracts.ContractError(f"there is no {path.name} in the folder of the contracts")
    return _parse(path, path.stat().st_mtime_ns)


# ---- one check -----------------------------------------------------------------------------------------------------------------


def judge_share(check: Mapping[str, Any], failed: int, total: int) -> tuple[str, bool, float, float | None]:
    """Outcome, whether it holds, the share measured, and the limit it was held against.

    `at_most` limits the share of rows that fail, `at_least` the share that holds. Under `rows` rows a `fail` is a `warn`: a share of few
    says little. Without any row everything holds.
    """
    limits = check.get("at_most") or check["at_least"]
    bad = failed / total if total else 0.0
    figure = bad if "at_most" in check else 1 - bad
    is_worse = (lambda limit: figure > limit) if "at_most" in check else (lambda limit: figure < limit)
    levels = [("fail", limits["fail"])] if "fail" in limits and total >= check.get("rows", 0) else []
    levels += [("warn", limits["warn"] if "warn" in limits else limits["fail"])] if "warn" in limits or not levels else []
    for outcome, limit in levels:
        if is_worse(limit):
            return outcome, False, round(figure, 6), float(limit)
    return ("fail" if "fail" in limits else "warn"), True, round(figure, 6), float(levels[-1][1])


_PLACEHOLDER = re.compile(r"\{([a-z_]+)(?:\.([A-Za-z0-9_]+))?\}")


def query_of(check: Mapping[str, Any], scope: building.BuildScope, transitions: Mapping[str, Sequence[str]]) -> str:
    """The query of a check with the facts of a build put in. Raises ContractError for an unknown placeholder."""

    def value(match: re.Match[str]) -> str:
        head, rest = match[1], match[2]
        if head == "day":
            return f"date '{scope.business_date}'"
        if head == "from":
            return f"date '{max(scope.stock_from, scope.kpi_from)}'"
        if head == "claimed":
            return (
                "(select x.* from ops.export as x where x.state = 'accepted' and exists "
                f"(select from ops.change as g where g.export_id = x.export_id and g.build_id = {scope.build_id}))"
            )
        if head == "limit":
            return repr(check["limits"][rest])
        if head == "transitions":
            return ", ".join(f"('{before}', '{after}')" for before, targets in transitions.items() for after in targets)
        raise contracts.ContractError(f"expectations/warehouse.yml: {check['name']}: unknown placeholder {match[0]}")

    return _PLACEHOLDER.sub(value, check["query"])


def _run(conn: psycopg.Connection[Any], check: Mapping[str, Any], scope: building.BuildScope, transitions: Mapping[str, Sequence[str]]) -> list[Result]:
    try:
        with conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query_of(check, scope, transitions)).fetchall()  # type: ignore[arg-type]
    except psycopg.Error as error:
        raise CheckBroken(
            f"{check['rule']} {check['name']} (expectations/warehouse.yml) could not be evaluated: {mishaps.first_line(error, 'no message')}. "
            f"Nothing is published. Correct its query, clear the task. Runbook: {RUNBOOK}"
        ) from None
    found = [_result(conn, check, scope, row) for row in rows]
    return _of_communes(check, found) if check["of"] == "commune" else found


def _result(conn: psycopg.Connection[Any], check: Mapping[str, Any], scope: building.BuildScope, row: Mapping[str, Any]) -> Result:
    export = ledger.get(conn, row["export_id"]) if row.get("export_id") else None
    failed, total = int(row["rows_failed"] or 0), int(row["rows_total"] or 0)
    outcome, passed, figure, bound = judge_share(check, failed, total)
    return Result(
        rule_id=check["rule"],
        rule_name=check["name"],
        rule=check["says"],
        outcome=outcome,
        passed=passed,
        rows_failed=failed,
        rows_total=total,
        sample=() if passed else tuple(str(key) for key in (row.get("sample") or [])[:SAMPLE]),
        figure=figure,
        bound=bound,
        business_day=export.business_day if export else scope.business_date,
        source=export.source if export else row["source"],
        dataset=export.dataset if export else row["dataset"],
        commune_code=row.get("commune_code") or "",
        export_id=export.export_id if export else None,
    )


def _of_communes(check: Mapping[str, Any], found: Sequence[Result]) -> list[Result]:
    """The communes that fail, and one line over all of them."""
    if not found:
        return []
    bad = sorted((result for result in found if not result.passed), key=lambda r: (r.outcome != "fail", r.commune_code))
    first = found[0]
    over_all = replace(
        first, commune_code="", passed=not bad, outcome=bad[0].outcome if bad else first.outcome, rows_failed=len(bad), rows_total=len(found),
        sample=tuple(f"{r.commune_code} ({r.figure:.2%})" for r in bad[:SAMPLE]), figure=None, bound=None,
    )  # fmt: skip
    return [over_all, *bad]


# ---- all of them ---------------------------------------------------------------------------------------------------------------


def check(conn: psycopg.Connection[Any], scope: building.BuildScope) -> list[Result]:
    """Hold what ``scope`` built against every check, keep the results, and withdraw what a check with `then: withdraw` fails.

    Returns all results; those with ``withdrawn`` ask for another build. Raises CheckBroken when a check cannot be evaluated.
    """
    from kinhteso import privacy

    given = settings()
    claimed = {f"{s}/{d}" for s, d in conn.execute("select distinct source, dataset from ops.change where build_id = %s", [scope.build_id])}
    results: list[Result] = []
    with conn.transaction():
        conn.execute("set local statement_timeout = '15min'")
        for one in given["checks"]:
            if one.get("when") and not claimed & set(one["when"]):
                continue
            found = _run(conn, one, scope, given["transitions"])
            if one.get("then") == "withdraw":
                found = [_withdraw(conn, result) if not result.passed and result.outcome == "fail" else result for result in found]
            _keep(conn, scope, one["name"], found, whole_day=one["of"] != "delivery")
            results += found
        leaks = privacy.check(conn, scope, given["privacy"])
        _keep(conn, scope, given["privacy"]["name"], leaks, whole_day=True)
        results += leaks
    for result in results:
        if not result.passed and (result.outcome == "fail" or not result.commune_code):
            level = logging.ERROR if result.outcome == "fail" else logging.WARNING
            log.log(level, "%s %s, %s: %s", result.rule_id, result.rule_name, result.about, in_words(result))
    return results


def _withdraw(conn: psycopg.Connection[Any], result: Result) -> Result:
    assert result.export_id is not None, f"{result.rule_name}: only a delivery can be withdrawn"
    ledger.withdraw(conn, result.export_id, f"withdrawn after the build by {result.rule_id} {result.rule_name}: {in_words(result)} Runbook: {RUNBOOK}")
    return replace(result, withdrawn=True)


def _keep(conn: psycopg.Connection[Any], scope: building.BuildScope, name: str, found: Sequence[Result], *, whole_day: bool) -> None:
    if whole_day:
        conn.execute("delete from ops.day_check where rule_name = %s and business_day = %s", [name, scope.business_date])
    columns = (
        "business_day", "source", "dataset", "commune_code", "rule_id", "rule_name", "rule", "outcome", "passed", "rows_failed", "rows_total", "sample",
        "figure", "bound", "export_id", "withdrawn", "build_id",
    )  # fmt: skip
    key = ("business_day", "source", "dataset", "commune_code", "rule_name")
    updates = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in key)
    with conn.cursor() as cursor:
        cursor.executemany(
            f"insert into ops.day_check ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})"  # type: ignore[arg-type]
            f" on conflict ({', '.join(key)}) do update set {updates}, checked_at = now()",
            [
                (r.business_day, r.source, r.dataset, r.commune_code, r.rule_id, r.rule_name, r.rule, r.outcome, r.passed, r.rows_failed, r.rows_total,
                 json.dumps(r.sample, ensure_ascii=False) if r.sample else None, r.figure, r.bound, r.export_id, r.withdrawn, scope.build_id)
                for r in _worst_last(found)
            ],
        )  # fmt: skip


def _worst_last(found: Sequence[Result]) -> list[Result]:
    """Where two deliveries of a dataset and day were judged (a window pulled twice), the worse result is the day's."""
    return sorted(found, key=lambda r: (not r.passed, r.outcome == "fail", r.rows_failed))


def in_words(result: Result) -> str:
    """Rule, measure and first keys of a failed check, for a person."""
    measured = f"{result.figure:.2%}, limit {result.bound:.2%}; " if result.figure is not None and result.bound is not None else ""
    return f"{result.rule}. Measured: {measured}{result.rows_failed} of {result.rows_total}. First: {', '.join(result.sample) or 'none named'}."


def build(dsn: str, first_day: date, *, full_refresh: bool = False, state_dir: Path | None = None) -> building.BuildScope | None:
    """Build, check, and build again without what a check took out; the caller publishes what the returned scope names (None: nothing to tell).

    Raises building.BuildFailed, and CheckBroken when a check cannot be evaluated: then the last release stands.
    """
    scope = building.build(dsn, first_day, full_refresh=full_refresh, state_dir=state_dir)
    for _ in range(MAX_BUILDS):
        if scope is None:
            return None
        with psycopg.connect(dsn, autocommit=True) as conn:
            if not any(result.withdrawn for result in check(conn, scope)):
                return scope
        scope = building.build(dsn, first_day, state_dir=state_dir)
    raise CheckBroken(f"the warehouse was built {MAX_BUILDS} times and each time a check took a delivery out. Nothing is published. Runbook: {RUNBOOK}")


def failures(conn: psycopg.Connection[Any], build_id: int) -> list[str]:
    """One line per failed check of outcome `fail` in the builds that led to the release of ``build_id``: what makes its run red, in words."""
    rows = conn.execute(
        """select rule_id, rule_name, rule, outcome, passed, rows_failed, rows_total, sample, figure, bound, business_day, source, dataset, commune_code,
                  export_id, withdrawn
           from ops.day_check
           where not passed and outcome = 'fail' and build_id <= %(build)s
             and build_id > coalesce((select max(build_id) from ops.build where state = 'published' and build_id < %(build)s), 0)
           order by rule_id, rule_name, source, dataset, business_day, commune_code""",
        {"build": build_id},
    ).fetchall()
    found = [
        Result(*row[:7], tuple(row[7] or ()), None if row[8] is None else float(row[8]), None if row[9] is None else float(row[9]), *row[10:])  # type: ignore[call-arg]
        for row in rows
    ]
    over_all = {r.rule_name for r in found if not r.commune_code}
    return [
        f"{r.rule_id} {r.rule_name}, {r.about}: {in_words(r)}" + (" The delivery was withdrawn; the last good state carries on." if r.withdrawn else "")
        for r in found
        if not r.commune_code or r.rule_name not in over_all
    ] + _withdrawn_since(conn, build_id, {r.export_id for r in found if r.withdrawn})


def _withdrawn_since(conn: psycopg.Connection[Any], build_id: int, told: set[int | None]) -> list[str]:
    """A line per delivery that was withdrawn before the build and of which ops.day_check tells no more: the version that stands again was checked
    after it."""
    query = """select distinct e.export_id, e.business_day, e.source, e.dataset, e.version, e.reason from ops.change c join ops.export e using (export_id)
               where c.kind = 'withdrawn' and c.build_id = %s and e.state = 'rejected' and not e.export_id = any(%s) order by 2, 3, 4, 5"""
    rows = conn.execute(query, [build_id, [i for i in told if i is not None]]).fetchall()
    return [f"{source}/{dataset} {day} v{version}: {reason} The last good state carries on." for _, day, source, dataset, version, reason in rows]
