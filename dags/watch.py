"""Every quarter of an hour: what is wrong, also what never started, is told once (RELIABILITY, EXPORTS §15)."""

from airflow.sdk import CronPartitionTimetable, dag, task
from kinhteso import dagkit

DOC = """
## What
Looks at the ledger, the checks, the quarantine, the builds, the inbox and the DAG files, and tells a person what is wrong: one message per cause, a
reminder after a day, and one word when it is over. Missing exports past 09:00, a nightly run that never came, a release that is too old and a DAG
file that does not parse are told from here, without any run that fails.

## In and out
In: `ops`, the inbox, the DAG folder. Out: `ops.alert`; mail (connection `smtp_default`, `KINHTESO_ALERT_TO`), webhook (connection
`alert_webhook`), the log where neither is set; a call of `alert_heartbeat`, by which a server outside knows that this runs.

## When and why then
Every 15 minutes: nobody waits longer for a message, and a look costs a few seconds.

## If it fails
Alerts come late; failing runs still tell by themselves. Read the log of `look`. Runbook: `run-failed`.

## How to re-run
Trigger it. Twice tells nothing twice.
"""


@dag(
    dag_id="watch",
    schedule=dagkit.by_clock(CronPartitionTimetable("*/15 * * * *", timezone=dagkit.TIMEZONE, key_format=dagkit.DAY_FORMAT)),
    params=dagkit.day_params(),
    doc_md=DOC,
    **dagkit.defaults(dagkit.Tag.WATCH, hours=0.5, runs=1),
)
def watch():
    @task
    def look() -> list[str]:
        from kinhteso import notifying

        with dagkit.warehouse() as conn:
            return notifying.watch(conn)

    look()


watch()
