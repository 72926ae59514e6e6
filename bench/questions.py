"""What BI asks of `bi`, as the SQL that a BI tool sends, each beside a look-up of the same rows by their places in the table, in the same order.

A question may take three times as long as that look-up. Times are the executor's (explain analyze, everything in memory), medians of several runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median
from typing import Any

import psycopg

LIMIT = 3.0
ROUNDS = 7

_KPIS = "households, households_with_store, store_rate, payment_rate, lead_rate, orders_valid, revenue_net_vnd"


@dataclass(frozen=True)
class Question:
    """``table`` of `bi`, what is asked of it, and the condition and order of the SQL."""

    name: str
    table: str
    columns: str
    where: str
    order: str

    @property
    def sql(self) -> str:
        """As a BI tool sends it."""
        return f"select {self.columns} from bi.{self.table} where {self.where} order by {self.order}"


@dataclass(frozen=True)
class Answer:
    """Rows, milliseconds of the question and of the look-up, and the question's plan."""

    question: Question
    rows: int
    ms: float
    lookup_ms: float
    plan: str

    @property
    def ratio(self) -> float:
        """Question over look-up."""
        return self.ms / self.lookup_ms


def questions(commune: str, district: str, day: date) -> list[Question]:
    """One commune over a year, all communes on a day, what lags (of communes; of one target), a district's trend."""
    year = f"date > date '{day - timedelta(days=365)}' and date <= date '{day}'"
    on = f"date = date '{day}'"
    behind = f"{on} and level = 'commune' and status = 'behind'"
    lag = "unit_code, unit_name, indicator, value, target_value, gap, attainment, needed_per_day, projected_date, rank_in_district"
    return [
        Question("one commune over a year", "kpi_commune_daily", f"date, {_KPIS}", f"geography = '2021' and commune_code = '{commune}' and {year}", "date"),
        Question("all communes on a day", "kpi_commune_daily", f"commune_code, commune_name, {_KPIS}", f"geography = '2021' and {on}", "store_rate desc"),
        Question("what lags", "target_progress_daily", lag, behind, "attainment, unit_code"),
        Question("what lags on one target", "target_progress_daily", lag, f"{behind} and indicator = 'payment'", "attainment, unit_code"),
        Question("a district's trend", "kpi_district_daily", f"date, {_KPIS}", f"geography = '2021' and district_code = '{district}' and {year}", "date"),
    ]


def _milliseconds(conn: psycopg.Connection[Any], query: str, params: Sequence[Any] = ()) -> float:
    times = []
    for _ in range(ROUNDS):
        row = conn.execute(f"explain (analyze, timing off, format json) {query}", params).fetchone()  # type: ignore[arg-type]
        assert row is not None
        plan = row[0] if isinstance(row[0], list) else json.loads(row[0])
        times.append(plan[0]["Execution Time"])
    return median(times)


def ask(dsn: str, day: date, commune: str | None = None) -> list[Answer]:
    """Put every question about ``day``; of the commune, or of one in the middle of the list."""
    with psycopg.connect(dsn) as conn:
        found = conn.execute(
            "select commune_code, district_code from bi.dim_commune where geography = '2021' and district_code is not null and commune_code = coalesce(%s,"
            " (select percentile_disc(0.5) within group (order by commune_code) from bi.dim_commune where geography = '2021'))",
            [commune],
        ).fetchone()
        assert found is not None, "there are no communes"
        answers = []
        for question in questions(found[0], found[1], day):
            places = [row[0] for row in conn.execute(f"select ctid from bi.{question.table} where {question.where} order by {question.order}")]  # type: ignore[arg-type]
            if not places:
                raise AssertionError(f"{question.name}: nothing answers {question.sql}")
            lookup = _milliseconds(conn, f"select {question.columns} from bi.{question.table} where ctid = any(%s::tid[]) order by {question.order}", [places])
            taken = _milliseconds(conn, question.sql)
            plan = "\n".join(row[0] for row in conn.execute(f"explain (analyze, buffers, timing off) {question.sql}"))  # type: ignore[arg-type]
            answers.append(Answer(question, len(places), taken, lookup, plan))
    return answers


def as_text(answers: Sequence[Answer]) -> str:
    """A table of the answers, then each question with its plan, for docs/performance-plans.md."""
    lines = ["| Question | Rows | ms | Look-up of the same rows, ms | Ratio |", "|---|---:|---:|---:|---:|"]
    lines += [f"| {a.question.name} | {a.rows:,} | {a.ms:.2f} | {a.lookup_ms:.2f} | {a.ratio:.2f} |" for a in answers]
    for a in answers:
        lines += ["", f"**{a.question.name}**", "", "```sql", a.question.sql, "```", "", "```", a.plan, "```"]
    return "\n".join(lines)
