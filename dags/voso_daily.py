"""Vỏ Sò's export API into the warehouse: pull, land, load, judge, per dataset (EXPORTS §10)."""

from datetime import datetime

from airflow.sdk import Asset, CronPartitionTimetable, PokeReturnValue, dag, get_current_context, task, task_group
from kinhteso import dagkit

DATASETS = ["stores", "products", "orders", "order_events", "refunds", "accounts"]
ACCEPTED = Asset("kinhteso://voso/accepted")

DOC = """
## What
Pulls B1–B6 of business day D: the window `[D 00:00, D+1 00:00)` local with ten minutes of overlap, page by page until the completeness rule
holds. The first day of all comes by the bulk job. Each run also pulls the days of the last 35 that have no accepted pull.

## In and out
In: connection `voso` (HTTP, two-step login). Out: the landing (raw pages and request log), `raw.voso_*`, the ledger `ops.export` with the
watermark, and the asset `kinhteso://voso/accepted` when something new counts.

## When and why then
02:15 local: the source says that D is complete from 02:00. A source that is not ready is asked again until 09:00, by rescheduling.

## If it fails
A red `land` names the request and what the source said; a refused login is never tried again by itself. The watermark moves only with accepted
data, so the next run begins where the last good one ended. Runbooks: `export-late`, `login-refused`, `export-rejected`.

## How to re-run
Clear the red task, or trigger with `{"business_day": "YYYY-MM-DD"}`, or `make replay FROM=… TO=…`: a day that was rejected is pulled
again. Twice changes nothing.
"""


@dag(
    dag_id="voso_daily",
    schedule=dagkit.by_clock(CronPartitionTimetable("15 2 * * *", timezone=dagkit.TIMEZONE, run_offset=-1, key_format=dagkit.DAY_FORMAT)),
    params=dagkit.day_params(),
    doc_md=DOC,
    **dagkit.defaults(dagkit.Tag.INTAKE, dagkit.Tag.VOSO, hours=9, due=6.75),
)
def voso_daily():
    @task.sensor(mode="reschedule", poke_interval=300, timeout=8 * 3600, map_index_template="{{ dataset }}")
    def land(dataset: str) -> PokeReturnValue:
        from kinhteso import intake

        context = get_current_context()
        context["dataset"] = dataset
        day = dagkit.business_day(context)
        with dagkit.warehouse() as conn, intake.expected(conn, dagkit.settings(), "voso", dataset, day):
            arrivals = intake.land_voso(conn, lambda: dagkit.voso_client(conn), dagkit.settings(), dataset, day, context["run_id"])
            is_over = dagkit.is_replay(context) or datetime.now(intake.LOCAL) >= intake.deadline(day)
            return dagkit.landed_or_wait(conn, arrivals, "voso", dataset, day, is_over=is_over)

    @task_group
    def take(dataset: str):
        land(dataset) >> dagkit.load_step("voso")(dataset) >> dagkit.judge_step("voso")(dataset)

    take.expand(dataset=DATASETS) >> dagkit.announce_step("voso", ACCEPTED)() >> dagkit.verdict_step("voso", DATASETS)()


voso_daily()
