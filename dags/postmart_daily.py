"""Postmart's nightly files into the warehouse: land, load, judge, per dataset (EXPORTS §9)."""

from datetime import datetime

from airflow.sdk import Asset, CronPartitionTimetable, PokeReturnValue, dag, get_current_context, task, task_group
from kinhteso import dagkit

DATASETS = ["stores", "products", "orders", "refunds", "accounts"]
ACCEPTED = Asset("kinhteso://postmart/accepted")

DOC = """
## What
Takes A1–A5 of business day D from the supplier's outbox: each dataset is landed byte for byte, loaded and judged by itself. Each run also
looks for missing days and newer versions of the last 35 days.

## In and out
In: connection `postmart` (SFTP, `/langson/outbox/<YYYYMMDD>/`). Out: the landing, `raw.postmart_*`, the ledger `ops.export`, and the asset
`kinhteso://postmart/accepted` when something new counts.

## When and why then
02:30 local, when the files are due. Waits for the exact marker until 09:00 by rescheduling; the wallet file (A5) has its own marker and never
delays A1–A4.

## If it fails
A red `land` says what is missing or damaged, a red `load` what could not be read, a red `judge` which rule refused the delivery. The other
datasets go on; the last good state is carried forward and named. Runbooks: `export-late`, `export-rejected`.

## How to re-run
Clear the red task, or trigger with `{"business_day": "YYYY-MM-DD"}`, or `make replay FROM=… TO=…`: what was rejected of that day is read
again, so correct the contract first. Twice changes nothing.
"""


@dag(
    dag_id="postmart_daily",
    schedule=dagkit.by_clock(CronPartitionTimetable("30 2 * * *", timezone=dagkit.TIMEZONE, run_offset=-1, key_format=dagkit.DAY_FORMAT)),
    params=dagkit.day_params(),
    doc_md=DOC,
    **dagkit.defaults(dagkit.Tag.INTAKE, dagkit.Tag.POSTMART, hours=9, due=6.5),
)
def postmart_daily():
    @task.sensor(mode="reschedule", poke_interval=300, timeout=8 * 3600, map_index_template="{{ dataset }}")
    def land(dataset: str) -> PokeReturnValue:
        from kinhteso import intake

        context = get_current_context()
        context["dataset"] = dataset
        day = dagkit.business_day(context)
        with dagkit.warehouse() as conn, intake.expected(conn, dagkit.settings(), "postmart", dataset, day), dagkit.postmart_outbox(conn) as outbox:
            if dagkit.is_by_hand(context):
                intake.reopen(conn, "postmart", dataset, day)
            arrivals = intake.land_postmart(conn, outbox, dagkit.settings(), dataset, day, context["run_id"])
            is_over = dagkit.is_replay(context) or datetime.now(intake.LOCAL) >= intake.deadline(day)
            return dagkit.landed_or_wait(conn, arrivals, "postmart", dataset, day, is_over=is_over)

    @task_group
    def take(dataset: str):
        land(dataset) >> dagkit.load_step("postmart")(dataset) >> dagkit.judge_step("postmart")(dataset)

    take.expand(dataset=DATASETS) >> dagkit.announce_step("postmart", ACCEPTED)() >> dagkit.verdict_step("postmart", DATASETS)()


postmart_daily()
