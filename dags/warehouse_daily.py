"""Everything that counts into one release: dbt build with its tests, then one transaction (DESIGN §3)."""

from airflow.sdk import Asset, PartitionedAssetTimetable, dag, task
from kinhteso import dagkit

SOURCES = (
    Asset("kinhteso://postmart/accepted")
    | Asset("kinhteso://voso/accepted")
    | Asset("kinhteso://registers/accepted")
    | Asset("kinhteso://quarantine/replayed")
    | Asset("kinhteso://business_day/closed")
)
RELEASED = Asset("kinhteso://warehouse/released")

DOC = """
## What
Builds the star and the KPIs from all that is accepted and in no release yet, tests them, holds them against the checks of
`expectations/warehouse.yml` (a delivery that one of them refuses is taken out again), and publishes one release of `bi` in one transaction.
A platform that is missing is carried forward and named in `completeness`. `dbt source freshness` measures how old the data of each source are.

## In and out
In: `raw` and the ledger `ops`. Out: `core`, `kpi`, then `bi`; `ops.release`, `ops.dbt_result`, `ops.day_check`,
`ops.source_freshness`; the asset `kinhteso://warehouse/released`.

## When and why then
Whenever a platform or register has something new, and at 06:00 local when `day_close` closes the business day, so that a day without any
delivery is told of as well.

## If it fails
A red `build`: the last release stands; nothing half-built is visible. It names the failing models and tests (rows in schema `dbt_failures`).
Runbook: `build-failed`. A red `verdict`: the release is out, and the checks that it names have failed. Runbook: `check-failed`.

## How to re-run
Clear the red task or trigger the DAG. What was claimed by a failed build is taken again; an unchanged warehouse publishes nothing.
"""


@dag(
    dag_id="warehouse_daily",
    schedule=PartitionedAssetTimetable(assets=SOURCES),
    params=dagkit.day_params(),
    doc_md=DOC,
    **dagkit.defaults(dagkit.Tag.WAREHOUSE, hours=3, runs=1),
)
def warehouse_daily():
    @task
    def build() -> dict | None:
        from kinhteso import checking, freshness

        with dagkit.warehouse():
            scope = checking.build(dagkit.warehouse_dsn(), dagkit.settings().first_day)
            if scope:
                freshness.measure(dagkit.warehouse_dsn())
        return scope.to_json() if scope else None

    @task(outlets=[RELEASED])
    def publish(scope: dict | None) -> dict | None:
        from kinhteso import building, publishing

        if scope is None:
            return None
        return publishing.publish(dagkit.warehouse_dsn(), building.BuildScope.from_json(scope)).to_json()

    @task
    def verdict(scope: dict | None, release: dict | None) -> None:
        from airflow.sdk.exceptions import AirflowFailException
        from kinhteso import checking, freshness

        if scope is None or release is None:
            return
        with dagkit.warehouse() as conn:
            lines = checking.failures(conn, scope["build_id"]) + freshness.unknown(conn, scope["build_id"])
        if lines:
            raise AirflowFailException("Published, but these checks failed (runbook: docs/runbooks/check-failed.md):\n  " + "\n  ".join(lines))

    scope = build()
    verdict(scope, publish(scope))


warehouse_daily()
