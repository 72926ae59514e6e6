"""At 06:00 the business day is closed: a release is due with what is complete (EXPORTS §15)."""

from airflow.sdk import Asset, CronPartitionTimetable, dag, get_current_context, task
from kinhteso import dagkit

CLOSED = Asset("kinhteso://business_day/closed")

DOC = """
## What
Says that business day D is over, so that `warehouse_daily` publishes it with what has come, even when nothing has.

## In and out
In: nothing. Out: the asset `kinhteso://business_day/closed` for D; ledger rows `expected` for what is due and has not come.

## When and why then
06:00 local, the hour at which readers look; what comes later ends in another release by itself.

## If it fails
The next accepted delivery publishes all the same. Clear the task.

## How to re-run
Trigger with `{"business_day": "YYYY-MM-DD"}`. Twice changes nothing.
"""


@dag(
    dag_id="day_close",
    schedule=dagkit.by_clock(CronPartitionTimetable("0 6 * * *", timezone=dagkit.TIMEZONE, run_offset=-1, key_format=dagkit.DAY_FORMAT)),
    params=dagkit.day_params(),
    doc_md=DOC,
    **dagkit.defaults(dagkit.Tag.WAREHOUSE, hours=1),
)
def day_close():
    @task(outlets=[CLOSED])
    def close() -> None:
        from kinhteso import intake

        context = get_current_context()
        day = dagkit.business_day(context)
        with dagkit.warehouse() as conn:
            intake.expect_day(conn, day)
        context["outlet_events"][CLOSED].add_partitions(day.isoformat())

    close()


day_close()
