"""The board over a real warehouse: what it says of a delivery, that nothing is shown without a login, and that what was delivered is only text."""

import re

import deliveries as d
import psycopg
import pytest
from fastapi import HTTPException
from kinhteso.board import facts, pages
from starlette.testclient import TestClient
from written import delivered, settings_in

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


def client(dsn, allowed=lambda: None):
    return TestClient(pages.create_app(lambda: dsn, allowed), follow_redirects=False)


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
    assert "order_total" in page and "Tổng thanh toán là" not in page and "make replay-quarantine" in page
    assert "PM" in page, "the key of the row is named"
    for path in ("/board", f"/board/day/{d.DAY}", "/board/quarantine", "/board/builds"):
        answer = client(warehouse_dsn).get(path)
        assert answer.status_code == 200, answer.text[:500]
    assert "orders" in client(warehouse_dsn).get(f"/board/day/{d.DAY}").text and "order_total" in client(warehouse_dsn).get("/board/quarantine").text


def test_what_was_delivered_is_text_and_nothing_comes_from_outside(warehouse_dsn, judged):
    for path in (f"/board/export/{judged}", f"/board/day/{d.DAY}", "/board"):
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
