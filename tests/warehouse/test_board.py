"""The board over a real warehouse: what it says of a delivery, that nothing is shown without a login, and that what was delivered is only text."""

import html
import os
import re
import subprocess
import sys
from pathlib import Path

import deliveries as d
import psycopg
import pytest
from fastapi import HTTPException
from kinhteso import alerting, ledger
from kinhteso.board import facts, pages
from starlette.testclient import TestClient
from written import delivered, settings_in

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = '<script>alert("x")</script>.xlsx'


def refuse(status):
    def denied():
        raise HTTPException(status)

    return denied


@pytest.fixture()
def judged(db, tmp_path):
    """A delivery of orders of which one is in quarantine, under a name that is HTML."""
    rows = d.many(d.line, 98) + [d.line(900, order_total_vnd="1")]
    export_id = delivered(db, settings_in(tmp_path), "orders", rows)
    db.execute("update ops.export set origin = %s where export_id = %s", [HOSTILE, export_id])
    db.execute("update ops.export_part set origin = %s where export_id = %s", [HOSTILE, export_id])
    return export_id


def client(dsn, allowed=lambda: None, rights=pages.nobody):
    return TestClient(pages.create_app(lambda: dsn, allowed, rights), follow_redirects=False)


def addresses(app):
    """Every route of the app with something in its places, and one that does not exist."""
    for route in app.routes:
        path = route.path.replace("{day}", str(d.DAY)).replace("{export_id}", "1").replace("{name}", "export-late").replace("{path:path}", "nothing/here")
        assert "{" not in path, f"say what stands in {route.path}"
        yield from ((method, path) for method in route.methods)


@pytest.mark.parametrize("status", [401, 403])
def test_without_a_login_no_route_answers(warehouse_dsn, status):
    asked = client(warehouse_dsn, refuse(status))
    known = list(addresses(asked.app))
    assert len(known) >= 15
    assert {(m, p): asked.request(m, p).status_code for m, p in [*known, ("GET", "/openapi.json"), ("GET", "/docs")]} == dict.fromkeys(
        [*known, ("GET", "/openapi.json"), ("GET", "/docs")], status
    )
    assert client(warehouse_dsn).get("/board").status_code == 200, "with a login it does answer"


def test_a_delivery_is_told_with_its_rows_and_checks(warehouse_dsn, judged):
    page = client(warehouse_dsn).get(f"/board/export/{judged}").text
    assert "Tổng thanh toán is Tổng tiền hàng" in page and "make replay-quarantine" in page and f"/board/export/{judged}/data-docs" in page
    assert "<code>PM2109140000900</code>" in page, "the key of the row is named"
    for path in ("/board", f"/board/day/{d.DAY}", "/board/quarantine", "/board/builds"):
        answer = client(warehouse_dsn).get(path)
        assert answer.status_code == 200, answer.text[:500]
    day = client(warehouse_dsn).get(f"/board/day/{d.DAY}").text
    assert "orders" in day and f"/board/export/{judged}/data-docs" in day
    assert "order_total" in client(warehouse_dsn).get("/board/quarantine").text


def test_a_form_past_its_limit_is_marked(db, warehouse_dsn):
    ledger.expect(db, "registers", "teams", d.DAY, d.dt.datetime.now(d.dt.UTC))
    insert = "insert into ops.source_freshness values ('registers', 'teams', %s, '2021-09-14', %s, %s, 10, 200, %s) on conflict (source, dataset) do update set status = excluded.status, data_date = excluded.data_date, age_days = excluded.age_days, units_late = excluded.units_late"
    db.execute(insert, ["pass", "2021-09-10", 4, 0])
    page = client(warehouse_dsn).get("/board").text
    assert "4 / 10" in page and "đã cũ" not in page
    db.execute(insert, ["warn", "2021-09-01", 13, 7])
    page = client(warehouse_dsn).get("/board").text
    assert "⚠ đã cũ · old" in page and "13 / 10" in page and "7 / 200 đơn vị quá hạn" in page


def test_buttons_are_for_those_who_may_start_the_dag(warehouse_dsn, judged):
    started = 'data-dag="([a-z_]+)"'
    for path, dags in (
        (f"/board/day/{d.DAY}", ["postmart_daily", "voso_daily", "registers_intake", "warehouse_daily"]),
        (f"/board/export/{judged}", ["quarantine_replay", "quarantine_replay"]),
        ("/board/quarantine", ["quarantine_replay", "quarantine_replay"]),
    ):
        assert re.findall(started, client(warehouse_dsn, rights=lambda: lambda dag: True).get(path).text) == dags
        assert re.findall(started, client(warehouse_dsn).get(path).text) == []
    day = client(warehouse_dsn, rights=lambda: lambda dag: dag == "voso_daily").get(f"/board/day/{d.DAY}").text
    assert re.findall(started, day) == ["voso_daily"] and "&#34;replay&#34;" not in day, "a run that says `replay` brings no release"


def test_data_docs_show_what_great_expectations_found_and_no_value(warehouse_dsn, db, tmp_path):
    bad = d.store(900, province_code="99", owner_type="Hợp tác xã <b>lạ</b>")
    export_id = delivered(db, settings_in(tmp_path), "stores", d.many(d.store, 98) + [bad])
    failed = [r[0] for r in db.execute("select rule from ops.check_result where export_id = %s and not passed and expectation is not null", [export_id])]
    asked = db.execute("select count(*) from ops.check_result where export_id = %s and expectation is not null", [export_id]).fetchone()[0]
    assert failed and asked > 10
    answer = client(warehouse_dsn).get(f"/board/export/{export_id}/data-docs")
    page, shown = answer.text, re.sub("<style.*?</style>|<script.*?</script>", "", answer.text, flags=re.S)
    assert answer.status_code == 200 and "Great Expectations 1." in shown
    assert shown.count("fa-check-circle") == asked - len(failed) and all(html.escape(rule) in shown for rule in failed)
    assert "PMS0000900" in shown and "1 unexpected values found" in shown
    assert shown.index("PMS0000900") < shown.index("fa-check-circle"), "what failed comes first"
    for value in (bad["owner_name"], bad["phone"], bad["store_name"], "lạ"):
        assert value not in page
    assert not re.search(r"(src|href)=[\"'](https?:)?//|https?://|@import|url\(", page), "an address outside"
    assert not re.search(r"<script(?! nonce)|<link|<img|<iframe| style=| on[a-z]+=", page), "nothing that the content policy would have to stop"
    assert client(warehouse_dsn, refuse(401)).get(f"/board/export/{export_id}/data-docs").status_code == 401
    db.execute("update ops.check_result set rule = %s where export_id = %s and not passed", [HOSTILE, export_id])
    page = client(warehouse_dsn).get(f"/board/export/{export_id}/data-docs").text
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page


def test_a_delivery_judged_before_there_were_data_docs_says_so(warehouse_dsn, db, judged):
    db.execute("update ops.check_result set expectation = null, arguments = null")
    assert "judged before Data Docs were kept" in client(warehouse_dsn).get(f"/board/export/{judged}/data-docs").text
    assert f"/board/export/{judged}/data-docs" not in client(warehouse_dsn).get(f"/board/export/{judged}").text
    assert client(warehouse_dsn).get("/board/export/1/data-docs").status_code == 404


def test_what_was_delivered_is_text_and_nothing_comes_from_outside(warehouse_dsn, judged):
    for path in (f"/board/export/{judged}", f"/board/day/{d.DAY}", "/board", f"/board/export/{judged}/data-docs"):
        answer = client(warehouse_dsn).get(path)
        assert "<script>alert" not in answer.text
        assert not re.search(r"(src|href)=[\"'](https?:)?//", answer.text), "an address outside"
        nonce = re.search(r"script-src 'nonce-([^']+)'", answer.headers["content-security-policy"])[1]
        assert set(re.findall(r'<(?:script|style) nonce="([^"]+)"', answer.text)) == {nonce}
    assert "&lt;script&gt;" in client(warehouse_dsn).get(f"/board/export/{judged}").text


def test_runbooks_are_readable_and_nothing_else_is(warehouse_dsn):
    asked = client(warehouse_dsn)
    assert len(pages.runbooks()) >= 9
    for name in pages.runbooks():
        assert "<h1>" in asked.get(f"/board/runbooks/{name}").text
    for name in ("..%2FREADME", "%2e%2e%2f%2e%2e%2fREADME", "passwd"):
        assert asked.get(f"/board/runbooks/{name}").status_code == 404


def test_the_board_can_change_nothing(warehouse_dsn):
    with facts.reading(warehouse_dsn) as conn, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        conn.execute("delete from ops.export")


def test_a_warehouse_that_does_not_answer_is_said(warehouse_dsn):
    answer = TestClient(pages.create_app(lambda: "host=127.0.0.1 port=1 dbname=x user=x", lambda: None), raise_server_exceptions=False).get("/board")
    assert answer.status_code == 503 and "port=1" not in answer.text


def test_a_warehouse_that_nobody_named_is_said(warehouse_dsn):
    def unnamed():
        raise pages.NoWarehouse("set AIRFLOW_CONN_WAREHOUSE")

    answer = TestClient(pages.create_app(unnamed, lambda: None)).get("/board")
    assert answer.status_code == 503 and "set AIRFLOW_CONN_WAREHOUSE" in answer.text and "/board/runbooks/warehouse-down" in answer.text


def test_the_overview_shows_five_weeks_and_the_way_to_those_before(warehouse_dsn, db):
    for n in range(facts.DAYS + 3):
        day = d.DAY - d.dt.timedelta(days=n)
        ledger.expect(db, "postmart", "products", day, mode="snapshot", deadline=d.dt.datetime(2021, 9, 15, 9, tzinfo=d.dt.UTC), reason="missing")
    page = client(warehouse_dsn).get("/board").text
    assert facts.DAYS == 35 and len(re.findall("<th><a", page)) == 35
    before = client(warehouse_dsn).get("/board" + re.search(r'href="(\?until=[0-9-]+)"', page)[1]).text
    assert f"/board/day/{d.DAY - d.dt.timedelta(days=facts.DAYS + 2)}" in before


def test_the_plugin_asks_for_a_login_whatever_was_imported_before(tmp_path):
    """In a process that has not imported Airflow's api-server, as the scheduler has not: the app is there, and closed; and without a connection it
    says so."""
    code = """
import sys, kinhteso_plugin
from starlette.testclient import TestClient
(given,) = kinhteso_plugin.KinhtesoBoard.fastapi_apps
assert "airflow.api_fastapi.app" not in sys.modules and "fastapi" not in sys.modules, "only who serves pages pays for them"
from airflow.api_fastapi.app import create_app
print(TestClient(given["app"]).get("/board").status_code)
from kinhteso.board.pages import NoWarehouse
try:
    kinhteso_plugin._dsn()
except NoWarehouse as told:
    print("AIRFLOW_CONN_WAREHOUSE" in str(told))
"""
    env = {k: v for k, v in os.environ.items() if not k.startswith("AIRFLOW")} | {"PYTHONPATH": str(ROOT / "plugins"), "AIRFLOW_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.stdout.split()[-2:] == ["401", "True"], done.stdout + done.stderr[-2000:]


def test_an_open_alert_is_told_in_the_words_of_its_message_with_its_runbook(warehouse_dsn, db):
    cause = alerting.Cause("run_late|postmart_daily|2021-09-14", "run_late", {"what": "postmart_daily", "days": ["2021-09-14"], "words": HOSTILE}, "postmart")
    alerting.note(db, [cause], d.dt.datetime(2021, 9, 15, 2, tzinfo=d.dt.UTC))
    page = client(warehouse_dsn).get("/board").text
    assert "Quá hạn, chưa chạy xong: postmart_daily, 14/09/2021" in page and "Past its deadline and not done: postmart_daily, 2021-09-14" in page
    assert "/board/runbooks/run-late" in page and "15/09/2021 09:00" in page and "<script>alert" not in page


def test_a_day_names_the_release_that_holds_each_delivery_and_a_build_its_models_and_tests(warehouse_dsn, db, judged):
    day = f"/board/day/{d.DAY}"
    assert "waits for a build" in client(warehouse_dsn).get(day).text
    db.execute("update ops.change set release_id = 7 where export_id = %s", [judged])
    page = client(warehouse_dsn).get(day).text
    assert "/board/builds#release-7" in page and "waits for a build" not in page
    for build, hour in ((1, 1), (2, 2)):
        began, ran, ended = (d.dt.datetime(2021, 9, 15, hour, minute, tzinfo=d.dt.UTC) for minute in (0, 5, 6))
        db.execute(
            """insert into ops.build (build_id, business_date, kpi_from, stock_from, first_day, is_rematch, is_full_refresh, project_digest, state,
                 started_at, ended_at) values (%s, %s, %s, %s, %s, false, false, '', 'published', %s, %s)""",
            [build, d.DAY, d.DAY, d.DAY, d.DAY, began, ended],
        )
        for kind, status, seconds in (("model", "success", build + 0.25), ("test", "fail" if build == 1 else "pass", 0.5)):
            db.execute(
                "insert into ops.dbt_result (invocation_id, node, kind, status, seconds, failures, ran_at) values (%s, %s, %s, %s, %s, 3, %s)",
                [f"run {build}", f"{kind}.of_build_{build}", kind, status, seconds, ran],
            )
    last, first = client(warehouse_dsn).get("/board/builds").text, client(warehouse_dsn).get("/board/builds?build=1").text
    assert "model.of_build_2" in last and "2.250 s" in last and "of_build_1" not in last and "đạt · pass" in last
    assert "model.of_build_1" in first and "test.of_build_1" in first and "of_build_2" not in first and "không đạt · failed" in first
    assert "No results" in client(warehouse_dsn).get("/board/builds?build=9").text
