"""The Vỏ Sò client against a real HTTP server that misbehaves by script."""

from __future__ import annotations

import gzip
import hashlib
import json
import threading
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from kinhteso import contracts
from kinhteso.landing import Landing
from kinhteso.platforms import voso
from kinhteso.readers import DeliveryRefused

DAY = date(2021, 9, 13)
NOW = 1631574000000  # 2021-09-14 06:00 local


class Source:
    """Answers by script: `answers[path]` is a list of callables (query, body) -> (status, headers, bytes); the last one stays."""

    def __init__(self, base="/v1"):
        self.base, self.log, self.answers = base, [], {}
        self.answers["/user/Login"] = [lambda q, b: ok({"token": "short"})]
        self.answers["/user/ownerconnect"] = [lambda q, b: ok({"token": "long", "expired": 0})]
        self.answers["/export/time"] = [lambda q, b: ok({"NOW": NOW})]
        source = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                path = parts.path.removeprefix(source.base) if parts.path.startswith(source.base) else "-"
                source.log.append((self.command, path, self.headers.get("Token")))
                script = source.answers.get(path) or [lambda q, b: (404, {}, b"<html>404</html>")]
                status, headers, content = (script.pop(0) if len(script) > 1 else script[0])({k: v[0] for k, v in parse_qs(parts.query).items()}, body)
                self.send_response_only(status)
                for k, v in {"Content-Type": "application/json", **headers, "Content-Length": str(len(content))}.items():
                    self.send_header(k, v)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        ThreadingHTTPServer.block_on_close = False
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}{base}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def asked(self, path):
        return sum(p == path for _, p, _ in self.log)


def ok(data, **more):
    return 200, {}, json.dumps({"status": 200, "error": False, "message": "OK", "data": data, **more}).encode()


def error(message, code=400, status=200):
    return status, {}, json.dumps({"status": code, "error": True, "message": message, "data": None}).encode()


def listing(ids, total=None, cursor=None, id_name="ORDER_ID"):
    return ok({"ITEMS": [{id_name: i} for i in ids], "TOTAL": len(ids) if total is None else total, "NEXT_CURSOR": cursor, "HAS_MORE": cursor is not None})


@pytest.fixture()
def source():
    s = Source()
    yield s
    s.server.shutdown()


@pytest.fixture()
def waits():
    return []


def client(source, waits, password="secret"):
    return voso.VosoClient(source.url, "u", password, sleep=waits.append)


def pull(source, waits, tmp_path, dataset="orders", since=None):
    contract = contracts.load_contract("voso", dataset)
    return voso.land_day(client(source, waits), contract, DAY, since, Landing(tmp_path), 1, date(2021, 9, 12))


def test_a_window_with_cursors_lands_byte_for_byte(source, waits, tmp_path):
    seen = []

    def answer(q, b):
        seen.append(q)
        if q["PAGE_SIZE"] == "1":
            return listing(["3"], total=3)
        return listing(["3"], total=3) if q.get("CURSOR") else listing(["1", "2"], total=3, cursor="c1")

    source.answers["/export/orders"] = [answer]
    since = datetime(2021, 9, 12, 17, tzinfo=UTC)
    d = pull(source, waits, tmp_path, since=since)
    assert d.rows_declared == 3 and d.window_since == since - voso.OVERLAP and d.window_until == datetime(2021, 9, 13, 17, tzinfo=UTC)
    assert int(seen[0]["UPDATED_SINCE"]) == int(d.window_since.timestamp() * 1000)
    body = gzip.decompress((tmp_path / d.parts[0].path).read_bytes())
    assert body == listing(["1", "2"], total=3, cursor="c1")[2]
    assert hashlib.sha256((tmp_path / d.parts[0].path).read_bytes()).hexdigest() == d.parts[0].sha256
    requests = (tmp_path / d.landing_path / "requests.jsonl").read_text()
    assert "secret" not in requests and "long" not in requests


def test_not_ready_before_two(source, waits, tmp_path):
    source.answers["/export/time"] = [lambda q, b: ok({"NOW": NOW - 5 * 3_600_000})]
    with pytest.raises(voso.NotReady):
        pull(source, waits, tmp_path)


def test_a_refused_login_is_never_repeated(source, waits, tmp_path):
    for refusal in (lambda q, b: error("Invalid owner account or password!"), lambda q, b: error("Invalid owner account or password!", status=400)):
        source.log.clear()
        source.answers["/user/Login"] = [refusal]
        with pytest.raises(DeliveryRefused, match="Invalid owner account") as caught:
            pull(source, waits, tmp_path)
        assert caught.value.rule_id == "F34" and source.asked("/user/Login") == 1 and "secret" not in str(caught.value)


def test_an_expired_token_is_renewed_once(source, waits, tmp_path):
    source.answers["/export/orders"] = [lambda q, b: error("Token invalid or expired", 401), lambda q, b: listing(["1"])]
    assert pull(source, waits, tmp_path).rows_declared == 1
    assert source.asked("/user/Login") == 2
    source.answers["/export/orders"] = [lambda q, b: (401, {}, b"<html>401</html>")]
    with pytest.raises(DeliveryRefused) as caught:
        pull(source, waits, tmp_path)
    assert caught.value.rule_id == "F33"


def test_retry_after_in_seconds_and_as_a_date(source, waits, tmp_path):
    html = b"<html>429</html>"
    source.answers["/export/orders"] = [
        lambda q, b: (429, {"Retry-After": "7", "Content-Type": "text/html"}, html),
        lambda q, b: (429, {"Date": "Tue, 14 Sep 2021 00:00:00 GMT", "Retry-After": "Tue, 14 Sep 2021 00:00:30 GMT"}, html),
        lambda q, b: listing(["1"]),
    ]
    pull(source, waits, tmp_path)
    assert len(waits) == 2 and 7 <= waits[0] <= 10 and 30 <= waits[1] <= 33


def test_limits_without_end_are_given_up(source, waits, tmp_path):
    source.answers["/export/orders"] = [lambda q, b: (429, {"Retry-After": "1"}, b"")]
    with pytest.raises(DeliveryRefused) as caught:
        pull(source, waits, tmp_path)
    assert caught.value.rule_id == "F31" and caught.value.retriable and source.asked("/export/orders") == voso.TRIES_LIMITED


def test_maintenance_is_left_to_the_next_look(source, waits, tmp_path):
    source.answers["/export/orders"] = [lambda q, b: (503, {"Retry-After": "1800"}, b"<html></html>")]
    with pytest.raises(voso.NotReady):
        pull(source, waits, tmp_path)


def test_html_and_system_errors_are_repeated_then_told(source, waits, tmp_path):
    source.answers["/export/orders"] = [
        lambda q, b: (200, {"Content-Type": "text/html"}, b"<html>login</html>"),
        lambda q, b: error("System error", 500),
        lambda q, b: listing(["1"]),
    ]
    assert pull(source, waits, tmp_path).rows_declared == 1
    source.answers["/export/orders"] = [lambda q, b: error("System error", 500)]
    with pytest.raises(DeliveryRefused, match="System error"):
        pull(source, waits, tmp_path)


def test_a_redirect_is_not_followed(source, waits, tmp_path):
    source.answers["/export/orders"] = [lambda q, b: (302, {"Location": "http://169.254.169.254/"}, b"")]
    with pytest.raises(DeliveryRefused, match="redirect"):
        pull(source, waits, tmp_path)


def test_a_repeated_cursor_and_a_repeated_page_end_the_try(source, waits, tmp_path):
    source.answers["/export/orders"] = [lambda q, b: listing(["1"] if "CURSOR" not in q else [q["CURSOR"] + "x"], total=9, cursor="same")]
    with pytest.raises(DeliveryRefused, match="came twice"):
        pull(source, waits, tmp_path)


def test_a_row_lost_by_a_page_shift_is_noticed(source, waits, tmp_path):
    def page(q, b):
        n = int(q["PAGE_INDEX"])
        total = 150 if n == 1 else 149
        ids = [str(i) for i in range(100)] if n == 1 else [str(i) for i in range(101, 150)]
        return ok({"ITEMS": [{"STORE_ID": i} for i in ids], "TOTAL": total, "HAS_MORE": n == 1})

    source.answers["/export/stores"] = [page]
    with pytest.raises(DeliveryRefused, match="TOTAL moved from 150 to 149") as caught:
        pull(source, waits, tmp_path, "stores")
    assert caught.value.rule_id == "F37" and source.asked("/export/stores") == 2 * voso.WINDOW_TRIES


def test_rows_that_moved_past_the_window_are_complete(source, waits, tmp_path):
    totals = iter([3, 2])
    source.answers["/export/orders"] = [lambda q, b: listing(["1", "2"] if q["PAGE_SIZE"] != "1" else ["1"], total=next(totals))]
    assert pull(source, waits, tmp_path).rows_declared == 2
    totals = iter([2, 3] * 3)
    source.answers["/export/orders"] = [lambda q, b: listing(["1", "2"] if q["PAGE_SIZE"] != "1" else ["1"], total=next(totals))]
    with pytest.raises(DeliveryRefused, match="TOTAL was 2 at first and 3 at last"):
        pull(source, waits, tmp_path)


def test_long_windows_are_sliced(source, waits, tmp_path):
    seen = []
    source.answers["/export/orders"] = [lambda q, b: seen.append(q) or listing([])]
    pull(source, waits, tmp_path, since=datetime(2021, 7, 1, tzinfo=UTC))
    spans = [(int(q["UPDATED_UNTIL"]) - int(q["UPDATED_SINCE"])) / 86_400_000 for q in seen]
    assert max(spans) <= 31 and int(seen[-1]["UPDATED_UNTIL"]) == 1631552400000


def bulk(source, content, *, rows=2, sha=None, url="/export/bulk/b-1/part-00001.jsonl.gz"):
    job = {"JOB_ID": "b-1", "STATUS": "RUNNING"}
    done = {
        "JOB_ID": "b-1",
        "STATUS": "DONE",
        "ROWS": rows,
        "PARTS": [{"NO": 1, "URL": url, "BYTES": len(content), "ROWS": rows, "SHA256": sha or hashlib.sha256(content).hexdigest()}],
    }
    source.answers["/export/bulk"] = [lambda q, b: ok(job)]
    source.answers["/export/bulk/b-1"] = [lambda q, b: ok(job), lambda q, b: ok(done)]
    source.answers["/export/bulk/b-1/part-00001.jsonl.gz"] = [lambda q, b: (200, {"Content-Type": "application/gzip"}, content)]


def backlog(source, waits, tmp_path):
    return voso.land_backlog(client(source, waits), contracts.load_contract("voso", "orders"), date(2021, 9, 12), Landing(tmp_path), 1)


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_the_backlog_by_the_bulk_job(source, waits, tmp_path, prefix):
    content = gzip.compress(b'{"ORDER_ID":"1"}\n{"ORDER_ID":"2"}\n')
    bulk(source, content, url=f"{prefix}/export/bulk/b-1/part-00001.jsonl.gz")
    d = backlog(source, waits, tmp_path)
    assert d.is_backlog and d.rows_declared == 2 and (tmp_path / d.parts[0].path).read_bytes() == content
    assert d.window_until == datetime(2021, 9, 12, 17, tzinfo=UTC)


def test_a_damaged_part_fails_the_job_and_it_is_asked_for_again(source, waits, tmp_path):
    bulk(source, b"cut", sha="0" * 64)
    with pytest.raises(DeliveryRefused, match="part 1 is damaged") as caught:
        backlog(source, waits, tmp_path)
    assert caught.value.rule_id == "F03" and source.asked("/export/bulk") == 2


def test_a_part_on_another_host_is_not_fetched(source, waits, tmp_path):
    bulk(source, b"x", url="http://example.org/part")
    with pytest.raises(DeliveryRefused, match="another host"):
        backlog(source, waits, tmp_path)


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("http", "h", 80, "v1", {}), ("http://h:80/v1",)),
        (("http", "http://h", 8088, None, {"base_path": "/v1"}), ("http://h:8088/v1",)),
        (("http", "http://h:8088/v1", None, None, {}), ("http://h:8088/v1",)),
        (("http", "h", 8088, "http", {}), ("http://h:8088/v1", "http://h:8088")),
        (("http", "h", None, "https", {}), ("https://h/v1", "https://h")),
        (("https", "h", None, None, None), ("https://h/v1", "https://h")),
        (("http", "h/api/v2", 81, None, {}), ("http://h:81/api/v2",)),
    ],
)
def test_base_urls_of_a_connection(args, expected):
    assert voso.base_url_of(*args) == expected


def test_without_a_path_both_places_are_tried(waits, tmp_path):
    s = Source(base="")
    try:
        s.answers["/export/orders"] = [lambda q, b: listing(["1"])]
        c = voso.VosoClient(voso.base_url_of("http", "127.0.0.1", s.server.server_port, None, {}), "u", "p", sleep=waits.append)
        assert voso.land_day(c, contracts.load_contract("voso", "orders"), DAY, None, Landing(tmp_path), 1, date(2021, 9, 12)).rows_declared == 1
    finally:
        s.server.shutdown()
