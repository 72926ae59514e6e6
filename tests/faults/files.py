"""F01–F30, F65–F81: files of Postmart that are late, damaged, changed, or not what they say."""

from __future__ import annotations

from case import DAY, Case, need
from struck import struck


def refused(case: Case, name: str, *words: str) -> str:
    """The dataset is rejected or still expected, and a task said why."""
    source, dataset = name.split("/")
    rows = case.sql(
        "select state from ops.export where source = %s and dataset = %s and business_day = %s and state in ('accepted', 'loaded', 'judged')",
        source,
        dataset,
        DAY,
    )
    need(not rows, f"{name} {DAY} is {rows}")
    return case.told(*words)


@struck("F01", "F01@DAY:DONHANG", out=("postmart/orders",), again=("orders",), group="transfer")
def truncated_workbook(case: Case) -> str:
    refused(case, "postmart/orders", "PM_LSN_DONHANG", "is damaged", "twice")
    need(list(case.landing.rglob("refused-*PM_LSN_DONHANG*")), "what came is not kept")
    return "refused after a second fetch; the bytes are kept"


@struck("F02", "F02@DAY:HOANTRA", out=("postmart/refunds",), again=("refunds",), group="transfer")
def truncated_csv(case: Case) -> str:
    refused(case, "postmart/refunds", "PM_LSN_HOANTRA", "is damaged", "twice")
    return "refused after a second fetch; the bytes are kept"


@struck("F09", "F09@DAY:DONHANG", out=("postmart/orders",), again=("orders",), group="empty")
def empty_by_mistake(case: Case) -> str:
    problem = refused(case, "postmart/orders", "rows declared, 0 found", "Q01")
    need("Runbook" in problem, "no runbook is named")
    return "refused: rows declared, 0 found"
