"""The platforms' whole states against the warehouse: count, list, mend, then a release (EXPORTS §15)."""

from airflow.sdk import Asset, CronPartitionTimetable, PokeReturnValue, TriggerRule, dag, get_current_context, task, task_group
from kinhteso import dagkit

SUBJECTS = ["voso/stores", "voso/products", "voso/orders", "voso/order_events", "voso/refunds", "voso/accounts", "postmart/orders"]
POSTMART, VOSO = Asset("kinhteso://postmart/accepted"), Asset("kinhteso://voso/accepted")

DOC = """
## What
Holds Vỏ Sò's bulk at the end of day D and its re-read of 45 days, and the monthly file of Postmart that is due by then, against what counts in
the warehouse, key by key. Differences are counted, listed and mended from the better source: the later time wins, of one time the whole state.
In the end all of `bi` is held against what was built: a daily release compares only what its build can have moved.

## In and out
In: connections `voso` and `postmart`. Out: the landing, `raw`, the ledger (exports with unit `bulk`, `reread`, `month`, which never stand for a day),
`ops.reconciliation`, `ops.difference` (keys and columns, no personal data), and the platforms' assets when something new counts.

## When and why then
03:00 local on Sunday (D is Saturday: bulk and re-read) and on the 5th (the month's file; a Sunday looks for it again). A day that does not count
yet, or a file that has not come, is asked for again until 09:00, by rescheduling.

## If it fails
A red `land` says what the source said; a refused login is never tried again by itself. A red `verdict` with green tasks: differences above the limits
of `expectations/reconciliation.yml` (Q14 0.1 %, Q18 none). They are mended already; ask the platform why. A line on a
table of `bi`: a release has missed rows, the next one mends them; tell the data platform team. Runbook: `reconciliation-differs`.

## How to re-run
Clear the red task, or trigger with `{"business_day": "YYYY-MM-DD"}`, or `make reconcile DATE=…`: by hand all of it is compared. Twice changes nothing.
"""


@dag(
    dag_id="reconcile_weekly",
    # Sunday and the 5th, 03:00 local, are Saturday and the 4th, 20:00 UTC (no daylight saving): so the key is the business day D. An offset
    # would count runs, not days. Where both fields of a day are given, cron runs on either of them.
    schedule=dagkit.by_clock(CronPartitionTimetable("0 20 4 * 6", timezone="UTC", key_format=dagkit.DAY_FORMAT)),
    params=dagkit.day_params(),
    doc_md=DOC,
    **dagkit.defaults(dagkit.Tag.INTAKE, dagkit.Tag.POSTMART, dagkit.Tag.VOSO, hours=9, runs=1),
)
def reconcile_weekly():
    @task.sensor(mode="reschedule", poke_interval=300, timeout=8 * 3600, map_index_template="{{ subject }}")
    def land(subject: str) -> PokeReturnValue:
        get_current_context()["subject"] = subject
        return dagkit.land_whole(get_current_context(), subject)

    @task(trigger_rule=TriggerRule.ALL_DONE, map_index_template="{{ subject }}")
    def compare(subject: str) -> list[str]:
        get_current_context()["subject"] = subject
        return dagkit.compare_whole(get_current_context(), subject)

    @task_group
    def take(subject: str):
        land(subject) >> compare(subject)

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def verdict() -> None:
        dagkit.whole_verdict(get_current_context())

    news = [dagkit.announce_step(name, asset).override(task_id=f"announce_{name}")() for name, asset in (("postmart", POSTMART), ("voso", VOSO))]
    take.expand(subject=SUBJECTS) >> news >> verdict()


reconcile_weekly()
