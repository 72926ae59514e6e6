"""What stands in quarantine or was rejected, again, or dismissed with a reason: by a person, after something was corrected."""

from airflow.sdk import Asset, Param, TriggerRule, dag, get_current_context, task
from kinhteso import dagkit

REPLAYED = Asset("kinhteso://quarantine/replayed")

DOC = """
## What
`replay` judges again what a class, a delivery or a rule has in quarantine, and reads rejected deliveries again: what is good now counts, what is
still bad stays, what a higher version has replaced does not come back. `dismiss` says that it is not to count; it needs a reason.

## In and out
In: the landing, `raw`, the ledger, `expectations/`, the seeds as they are now. Out: `ops.quarantine_row`, `ops.export`, `ops.quarantine_action`
(who, when, what), and the asset `kinhteso://quarantine/replayed` when a release is due: `warehouse_daily` follows without a person.

## When and why then
By hand, after a rule, heading alias, status word or commune code was corrected. Without parameters a replay takes everything that waits.

## If it fails
`mend` refuses parameters that make no sense, in words. `verdict` is red when a delivery broke, or counts although today's rules would reject it
(its data stay as they were): correct the rule, or ask for a higher version. Runbook: `quarantine-growing`.

## How to re-run
Trigger with `{"action": "replay", "class": "postmart/orders", "export": "postmart/orders 2021-09-14 v1", "rule": "Q06"}` (each may be left out), or
`make replay-quarantine CLASS=… EXPORT=… RULE=…`, `make dismiss-quarantine … REASON="…"`. Twice changes nothing.
"""

PARAMS = {
    **dagkit.day_params(),
    "action": Param("replay", enum=["replay", "dismiss"], title="Việc cần làm: xử lý lại hoặc bỏ qua · Action: replay or dismiss"),
    "class": Param(None, type=["null", "string"], pattern="^([a-z]+(/[a-z_]+)?)?$", title="Loại dữ liệu · Class (postmart/orders)"),
    "export": Param(None, type=["null", "string"], maxLength=120, title="Tệp đã nhận · Delivery (postmart/orders 2021-09-14 v1)"),
    "rule": Param(None, type=["null", "string"], maxLength=80, title="Quy tắc · Rule (Q06, or the name of an expectation)"),
    "reason": Param(None, type=["null", "string"], maxLength=500, title="Lý do bỏ qua, bắt buộc khi bỏ qua · Reason, needed to dismiss"),
}


@dag(dag_id="quarantine_replay", schedule=None, params=PARAMS, doc_md=DOC, **dagkit.defaults(dagkit.Tag.WAREHOUSE, hours=6, runs=1))
def quarantine_replay():
    @task
    def mend() -> list[str]:
        return dagkit.mend(get_current_context())

    @task(outlets=[REPLAYED])
    def announce() -> None:
        dagkit.announce_news(get_current_context(), REPLAYED)

    @task(trigger_rule=TriggerRule.ALL_DONE)
    def verdict() -> None:
        dagkit.no_red(get_current_context(), "mend")

    mend() >> announce() >> verdict()


quarantine_replay()
