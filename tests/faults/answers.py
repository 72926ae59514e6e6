"""Faults of Vỏ Sò: network, answers, records (F31–F63 and the like). The client waits as it is told, only faster; its waits are kept."""

from __future__ import annotations

import json
from typing import Any

from case import DAY, SOURCES, Case, need
from struck import struck

ALL = tuple(f"voso/{d}" for d in SOURCES["voso"])


def off(case: Case) -> None:
    """The source is well again."""
    case.switch()


def requests(case: Case, dataset: str = "orders") -> list[dict[str, Any]]:
    """The request log of the newest accepted pull of `DAY`."""
    export = case.state(f"voso/{dataset}", "accepted")
    lines = (case.landing / str(export.landing_path) / "requests.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def waited(case: Case, *statuses: int) -> None:
    """All datasets came, and some request was asked again after a pause."""
    for name in ALL:
        case.state(name, "accepted")
    need(case.pipeline.waits, "no request was asked again")
    if statuses:
        seen = {r.get("status") for d in SOURCES["voso"] for r in requests(case, d)}
        need(seen >= set(statuses), f"the request logs hold the statuses {sorted(filter(None, seen))}")


@struck("F31", "F31@DAY:VOSO", group="voso-1")
def too_many(case: Case) -> str:
    waited(case, 429)
    need(all(w >= 1 for w in case.pipeline.waits), f"waits of {case.pipeline.waits}")
    return "waited as long as Retry-After says, both forms"


@struck("F32", "F32@DAY:VOSO")
def gateway_page(case: Case) -> str:
    waited(case, 502, 429)
    return "the page was not read, the request asked again"


@struck("F33", "F33@DAY:ORDERS", group="voso-1")
def token_ends(case: Case) -> str:
    logins = sum(r["path"].endswith("/user/Login") for r in requests(case))
    need(logins == 2, f"{logins} logins")
    need(case.export("voso/orders").rows_duplicate == 0, "rows came twice")
    return "one more login, the page again, no row twice"


@struck("F34", "F34@DAY:VOSO", out=ALL, recover=off)
def login_refused(case: Case) -> str:
    told = case.told("refused the login", "not tried again")
    need("AIRFLOW_CONN_VOSO" in told and "Runbook" in told, "no next step is told")
    need(not case.pipeline.waits, "it was tried again")
    return "failed at once, no second try"


@struck("F35", "F35@DAY:VOSO")
def system_error(case: Case) -> str:
    waited(case)
    return "twice: asked again, came"


@struck("F35", "F35@DAY:VOSO*0", out=ALL, recover=off)
def system_error_for_ever(case: Case) -> str:
    case.told("System error", "given up after 4 tries")
    return "for ever: given up after 4 tries, told"


@struck("F36", "F36@DAY:ORDER_EVENTS", out=("voso/order_events",), recover=off, group="voso-3")
def repeated_cursor(case: Case) -> str:
    case.told("voso order_events", "incomplete 3 times", "came twice")
    return "read three times, then refused; nothing of it is in raw"


@struck("F37", "F37@DAY:STORES", group="voso-2")
def page_shift(case: Case) -> str:
    case.logged("TOTAL moved from")
    case.state("voso/stores", "accepted")
    return "TOTAL moved: the whole set was read again"


@struck("F38", "F38@DAY:ORDERS", group="voso-2")
def short_pages(case: Case) -> str:
    pages = sum(r["path"].endswith("/export/orders") for r in requests(case))
    need(pages > 4, f"{pages} requests")
    return "went on to the last page"


@struck("F39", "F39@DAY:ORDERS")
def smaller_pages(case: Case) -> str:
    pages = sum(r["path"].endswith("/export/orders") for r in requests(case))
    need(pages > 3, f"{pages} requests")
    return "pages of 10 were read to the end"


@struck("F41", "F41@DAY:ORDERS", group="voso-3")
def one_moment(case: Case) -> str:
    export = case.state("voso/orders", "accepted")
    ((moments, rows),) = case.sql(
        "select count(distinct updated_at), count(*) from raw.voso_orders where export_id = %s and updated_at >= %s", export.export_id, "1631638800000"
    )
    need(rows > 3 and moments == 1, f"{moments} moments, {rows} rows")
    return "all rows once"


@struck("F43", "F43@DAY:ORDERS", group="voso-4")
def late_status(case: Case) -> str:
    export = case.state("voso/orders", "accepted")
    found = case.sql(
        "select 1 from raw.voso_orders where export_id = %s and order_status = '504' and parse.business_day(parse.epoch_ms(created_at)) < %s - 10",
        export.export_id,
        DAY,
    )
    need(found, "no old order came back")
    return "Vỏ Sò: restated on the day of the event"


@struck("F44", "F44@DAY:ORDER_EVENTS", group="voso-2")
def events_out_of_order(case: Case) -> str:
    export = case.state("voso/order_events", "accepted")
    ((twice,),) = case.sql(
        "select count(*) - count(distinct (order_id, status, order_statusdate)) from raw.voso_order_events where export_id = %s", export.export_id
    )
    need(twice >= 3, f"{twice} events came twice")
    return "the same final states"


@struck("F45", "F45@DAY:ORDERS", group="voso-4")
def return_leg(case: Case) -> str:
    export = case.state("voso/orders", "accepted")
    need(
        case.sql("select 1 from raw.voso_orders where export_id = %s and order_status = '501' and is_returning = 'true'", export.export_id),
        "no such order came",
    )
    return "RETURNED"


@struck("F46", "F46@DAY:ORDERS")
def unknown_code(case: Case) -> str:
    case.state("voso/orders", "accepted")
    case.check("voso/orders", "F46")
    case.told("voso/orders", "at most 1 %")
    return "Vỏ Sò: kept as UNKNOWN, warning; above 1 % the run is red"


@struck("F47", "F47@DAY:ORDERS", group="voso-4")
def price_as_text(case: Case) -> str:
    words, _ = case.check("voso/orders", "F47")
    need("LINES.PRICE" in words and case.state("voso/orders", "accepted").rows_quarantined == 0, words)
    return "exact whole numbers taken, warning"


@struck("F48", "F48@DAY:ORDERS", out=("voso/orders",), recover=off)
def field_gone(case: Case) -> str:
    case.told("voso/orders", "SELLER_DISCOUNT must be given")
    return "refused: the field is named; pulled again when it is back"


@struck("F49", "F49@DAY:STORES")
def unknown_ward(case: Case) -> str:
    case.state("voso/stores", "accepted")
    case.check("voso/stores", "F49")
    return "Vỏ Sò: kept, warning with the row"


@struck("F50", "F50@DAY:STORES", group="voso-4", without=lambda dataset, row: dataset == "voso/stores" and row["PROVINCE_ID"] == 20)
def other_province(case: Case) -> str:
    case.state("voso/stores", "accepted")
    rows = case.quarantined("voso/stores", "F50")
    need(len(rows) == 1, f"{len(rows)} rows")
    return "the row in quarantine, the set loaded"


@struck("F51", "F51@DAY:ORDERS")
def test_order(case: Case) -> str:
    export = case.state("voso/orders", "accepted")
    need(case.sql("select 1 from raw.voso_orders where export_id = %s and order_number = '123456789101112'", export.export_id), "no test order came")
    return "Vỏ Sò: loaded, marked, counted nowhere"


@struck("F56", "F56@DAY:VOSO", out=ALL, recover=off)
def connection_refused(case: Case) -> str:
    case.told("ConnectError", "given up after")
    return "Vỏ Sò: missing, with the reason; Postmart goes on"


@struck("F57", "F57@DAY:ORDERS")
def hang(case: Case) -> str:
    waited(case)
    need(any(r.get("error") == "ReadTimeout" for r in requests(case)), "no request ran into its limit")
    return "Vỏ Sò: given up after the limit, asked again, came"


@struck("F58", "F58@DAY:ORDERS")
def reset(case: Case) -> str:
    waited(case)
    need(any(r.get("error") for r in requests(case)), "no request broke")
    return "Vỏ Sò: asked again, came whole"


@struck("F59", "F59@DAY:ORDERS")
def truncated(case: Case) -> str:
    waited(case)
    return "Vỏ Sò: half of the JSON was not read, asked again"


@struck("F60", "F60@DAY:VOSO")
def server_errors(case: Case) -> str:
    waited(case, 503)
    return "three times: asked again, came"


@struck("F61", "F61@DAY:VOSO", out=("voso/*",), recover=off)
def password_changed(case: Case) -> str:
    case.told("refused the login", "not tried again")
    return "Vỏ Sò: what had come counts, the next login failed at once"


@struck("F62", "F62@DAY:VOSO", out=ALL, recover=off)
def login_page(case: Case) -> str:
    case.told("no JSON came", "text/html", "status 200")
    return "not read; told with what came instead"


@struck("F63", "F63@DAY:VOSO", out=ALL, recover=off)
def redirected(case: Case) -> str:
    case.told("redirect", "not followed")
    return "not followed, told"


@struck("F83", "F83@DAY:ORDERS")
def backwards(case: Case) -> str:
    export = case.state("voso/orders", "accepted")
    need(
        case.sql("select 1 from raw.voso_orders where export_id = %s and status = 'DANG_GIAO' and delivered_at is not null", export.export_id),
        "no such order came",
    )
    return "Vỏ Sò: the later business time wins"


@struck("F88", "F88@DAY:ORDERS", out=("voso/orders",), recover=off)
def bad_money(case: Case) -> str:
    case.told("voso/orders", "rejected")
    case.quarantined("voso/orders", "Q06")
    return "Vỏ Sò: above the limit: refused"
