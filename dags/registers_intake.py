"""The districts' Excel forms into the warehouse: land, load, judge, per form (EXPORTS §12)."""

from airflow.sdk import Asset, CronPartitionTimetable, dag, get_current_context, task, task_group
from kinhteso import dagkit

ACCEPTED = Asset("kinhteso://registers/accepted")

DOC = """
## What
Looks into the inbox and takes new forms R1–R5: each file is landed byte for byte, loaded and judged. The as-of date is read from the form itself; of one
commune and as-of date the file that came last counts. Forms whose commune an operator has decided since (docs/addresses.md) are judged again.

## In and out
In: the folder `KINHTESO_REGISTERS_INBOX`. Out: the landing, `raw.registers_*`, the ledger `ops.export`, and the asset
`kinhteso://registers/accepted` when something new counts.

## When and why then
Every hour from 07:00 to 18:00 local, because forms come at any time of the working day.

## If it fails
A red `land` or `load` names the file, the row and what to correct; the other forms go on. Runbook: `export-rejected`.

## How to re-run
Put the corrected form into the inbox; the next run takes it. Or, after the contract was corrected, trigger the DAG by hand: what was rejected is
read again. Twice changes nothing.
"""


@dag(
    dag_id="registers_intake",
    schedule=dagkit.by_clock(CronPartitionTimetable("0 7-18 * * *", timezone=dagkit.TIMEZONE, key_format=dagkit.DAY_FORMAT)),
    params=dagkit.day_params(),
    doc_md=DOC,
    **dagkit.defaults(dagkit.Tag.INTAKE, dagkit.Tag.REGISTERS, hours=2),
)
def registers_intake():
    @task
    def look() -> list[str]:
        from kinhteso import intake

        with dagkit.warehouse() as conn:
            return intake.registers_with_work(conn, dagkit.settings(), by_hand=dagkit.is_by_hand(get_current_context()))

    @task(map_index_template="{{ dataset }}")
    def land(dataset: str) -> int:
        from kinhteso import intake

        context = get_current_context()
        context["dataset"] = dataset
        with dagkit.warehouse() as conn:
            return dagkit.landed(intake.land_registers(conn, dagkit.settings(), dataset, context["run_id"]))

    @task_group
    def take(dataset: str):
        land(dataset) >> dagkit.load_step("registers")(dataset) >> dagkit.judge_step("registers")(dataset)

    taken = take.expand(dataset=look())
    taken >> dagkit.announce_step("registers", ACCEPTED)()
    taken >> dagkit.verdict_step("registers", [])()


registers_intake()
