"""Each fault of Vỏ Sò, over HTTP: there when it is on, not there when it is off, and not on another day."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from served import Served, simulators

from simulators import faults
from simulators.clock import Clock
from simulators.faults import Switches
from simulators.faults.catalogue import ANSWER_FAULTS, BULK, RECORD_FAULTS

DAY = date(2021, 9, 14)
PATHS = dict(zip(BULK, ("stores", "products", "orders", "order-events", "returns", "payment-accounts"), strict=True))


def local(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() - 7 * 3600) * 1000


class Client:
    """A logged-in stranger."""

    def __init__(self, served: Served) -> None:
        self.http, self.served = served.client(), served
        self.http.timeout = httpx.Timeout(2)

    def answer(self, dataset: str, day: date = DAY, **more: Any) -> httpx.Response:
        window = {} if dataset in ("STORES", "PAYMENT_ACCOUNTS") else {"UPDATED_SINCE": local(day), "UPDATED_UNTIL": local(day + timedelta(days=1))}
        return self.http.get(f"/export/{PATHS[dataset]}", params={**window, **more})

    def page(self, dataset: str, day: date = DAY, **more: Any) -> dict:
        return self.answer(dataset, day, **more).json()["data"]

    def all(self, dataset: str, day: date = DAY) -> list[dict]:
        """Every page, by cursor or by index; at most 40."""
        found, more = [], {}
        for n in range(40):
            data = self.page(dataset, day, **more)
            found += data["ITEMS"]
            if not data["HAS_MORE"]:
                return found
            more = {"CURSOR": data["NEXT_CURSOR"]} if data["NEXT_CURSOR"] else {"PAGE_INDEX": n + 2}
        raise AssertionError("no end")


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with simulators(tmp_path_factory.mktemp("answers") / "state") as s:
        yield s


@pytest.fixture()
def on(served: Served) -> Iterator[Callable[[str], Client]]:
    """Switch on, at 06:00 of the morning in which the day is fetched, and log in before that."""
    Clock.set(served.state, datetime(2021, 9, 15, 6))

    def switch(text: str) -> Client:
        Switches(served.state).clear()
        c = Client(served)
        Switches(served.state).set(faults.parse(text))
        return c

    yield switch
    Switches(served.state).clear()


def name(text: str) -> str:
    """F31=3 as F31@2021-09-14=3."""
    return f"{text[:3]}@{DAY}{text[3:]}"


def refused(answers: list[httpx.Response], status: int) -> list[httpx.Response]:
    return [a for a in answers if a.status_code == status]


def failing(ask: Callable[[], Any], kind: type[Exception]) -> bool:
    try:
        ask()
    except kind:
        return True
    return False


def loops(c: Client, dataset: str) -> bool:
    return failing(lambda: c.all(dataset), AssertionError)


def expires(c: Client) -> bool:
    """The third page says 401 on HTTP 200; after a new login the same page comes, and no row twice."""
    seen, cursor, ended = [], None, 0
    while True:
        answer = c.answer("ORDERS", **({"CURSOR": cursor} if cursor else {}))
        if answer.json()["status"] == 401:
            ended += answer.status_code == 200
            c.http = c.served.client()
            continue
        data = answer.json()["data"]
        seen += [i["ORDER_ID"] for i in data["ITEMS"]]
        cursor = data["NEXT_CURSOR"]
        if not data["HAS_MORE"]:
            return ended == 1 and len(seen) == len(set(seen)) == data["TOTAL"]


def bulk(c: Client, dataset: str = "ORDERS", as_of: str = "20210914") -> tuple[dict, bytes]:
    job = c.http.post("/export/bulk", json={"DATASET": dataset, "AS_OF": as_of}).json()["data"]
    part = c.http.get(f"/export/bulk/{job['JOB_ID']}").json()["data"]["PARTS"][0]
    return part, c.http.get(part["URL"]).content


def shifted(c: Client) -> bool:
    """TOTAL changes after page 1, a row of page 2 is skipped, and at the second reading all is one."""
    first, second = c.page("STORES"), c.page("STORES", PAGE_INDEX=2)
    again = c.all("STORES")
    return first["TOTAL"] == second["TOTAL"] + 1 and len(again) == second["TOTAL"]


def password_changes(c: Client) -> bool:
    ok = [c.answer("STORES").json()["status"] for _ in range(5)]
    body = {"USERNAME": "langson", "PASSWORD": "demo-password"}
    gone, refusal = c.answer("STORES").json()["status"], httpx.post(f"{c.served.http['base_url']}/user/Login", json=body).json()
    new = httpx.post(f"{c.served.http['base_url']}/user/Login", json=body | {"PASSWORD": "demo-password-new"}).json()
    return set(ok) == {200} and gone == 401 and refusal["message"] == "Invalid owner account or password!" and not new["error"]


def skewed(c: Client) -> bool:
    answer = c.http.get("/export/time")
    return (
        parsedate_to_datetime(answer.headers["date"]) == datetime(2021, 9, 14, 23, 7, tzinfo=UTC)
        and answer.json()["data"]["NOW"] == local(DAY + timedelta(days=1)) + 367 * 60_000
    )


def statuses(c: Client, dataset: str, n: int = 6) -> list[int]:
    return [c.answer(dataset).status_code for _ in range(n)]


ORDERED = "ORDERS"
#: (switch, what shows). What shows must not show without it, nor on the next day.
SIGNS: list[tuple[str, Callable[[Client], bool]]] = [
    ("F03:ORDERS", lambda c: [hashlib.sha256(x).hexdigest() == p["SHA256"] for p, x in (bulk(c), bulk(c))] == [False, True]),
    ("F08:VOSO", lambda c: c.page("ORDERS")["TOTAL"] == 0 == c.page("ORDER_EVENTS")["TOTAL"] and c.page("STORES")["TOTAL"] > 0),
    ("F31", lambda c: {a.headers["retry-after"].isdigit() for a in refused([c.answer("STORES") for _ in range(6)], 429)} == {True, False}),
    ("F32", lambda c: [(a.status_code, a.headers["content-type"]) for a in [c.answer("STORES") for _ in range(6)] if a.status_code != 200] == [(502, "text/html; charset=utf-8"), (429, "text/html; charset=utf-8")]),
    ("F33", expires),
    ("F34", lambda c: httpx.post(f"{c.served.http['base_url']}/user/Login", json={"USERNAME": "langson", "PASSWORD": "demo-password"}).json()["message"] == "Invalid owner account or password!"),
    ("F35", lambda c: [(a.status_code, a.json()["message"]) for a in [c.answer("STORES") for _ in range(3)]] == [(200, "System error"), (200, "System error"), (200, "OK")]),
    ("F35:ORDERS*0", lambda c: {c.answer("ORDERS").json()["error"] for _ in range(8)} == {True} and not c.answer("STORES").json()["error"]),
    ("F36", lambda c: loops(c, "ORDERS")),
    ("F36:STORES", lambda c: c.page("STORES", PAGE_INDEX=3)["ITEMS"] == c.page("STORES", PAGE_INDEX=2)["ITEMS"] != []),
    ("F37", shifted),
    ("F38", lambda c: uneven(c)),
    ("F39", lambda c: len(c.page("ORDERS", PAGE_SIZE=500)["ITEMS"]) == 10),
    ("F40", skewed),
    ("F41", lambda c: len({i["UPDATED_AT"] for i in c.all("ORDERS")}) == 1 and len(c.page("ORDERS")["ITEMS"]) < c.page("ORDERS")["TOTAL"] == len({i["ORDER_ID"] for i in c.all("ORDERS")})),
    ("F42", lambda c: changed_in_bulk(c)),
    ("F43:ORDERS", lambda c: any(late(i) for i in c.all("ORDERS")) and any(e["ORDER_STATUS"] == 504 and e["EVENT_ID"].startswith("68") for e in c.all("ORDER_EVENTS"))),
    ("F44", lambda c: backwards(c)),
    ("F45", lambda c: any(i["ORDER_STATUS"] == 501 and i["IS_RETURNING"] for i in c.all("ORDERS")) and any(i["ORDER_STATUS"] == 501 and i["IS_RETURNING"] for i in c.all("ORDER_EVENTS"))),
    ("F46:ORDERS", lambda c: any(i["ORDER_STATUS"] == 516 for i in c.all("ORDERS")) and any(i["ORDER_STATUS"] == 516 for i in c.all("ORDER_EVENTS"))),
    ("F47", lambda c: all(isinstance(x["PRICE"], str) for i in c.all("ORDERS") for x in i["LINES"])),
    ("F48", lambda c: not any("SELLER_DISCOUNT" in i for i in c.all("ORDERS"))),
    ("F48=null", lambda c: all(i["SELLER_DISCOUNT"] is None for i in c.all("ORDERS"))),
    ("F49:STORES", lambda c: sum(i["WARDS_ID"] == 999_999 for i in c.all("STORES")) == 1),
    ("F49:PAYMENT_ACCOUNTS=2", lambda c: sum(i["WARDS_ID"] == 999_999 for i in c.all("PAYMENT_ACCOUNTS")) == 2),
    ("F50", lambda c: sum(i["PROVINCE_ID"] == 20 for i in c.all("STORES")) == 1),
    ("F51:ORDERS", lambda c: "123456789101112" in [i["ORDER_NUMBER"] for i in c.all("ORDERS")]),
    ("F51:STORES", lambda c: "KHACH HANG TEST" in [i["STORE_NAME"] for i in c.all("STORES")]),
    ("F30:STORES=40%", lambda c: c.page("STORES")["TOTAL"] < 25),
    ("F57:ORDERS=4", lambda c: failing(lambda: c.answer("ORDERS"), httpx.ReadTimeout) and c.answer("ORDERS").status_code == 200),
    ("F58:ORDERS", lambda c: failing(lambda: c.answer("ORDERS"), (httpx.ReadError, httpx.RemoteProtocolError)) and c.answer("ORDERS").status_code == 200),
    ("F59:ORDERS", lambda c: failing(lambda: c.answer("ORDERS").json(), ValueError) and c.page("ORDERS")["TOTAL"] > 0),
    ("F60=500", lambda c: statuses(c, "STORES", 5) == [500, 500, 500, 200, 200]),
    ("F60:RETURNS=502*2", lambda c: statuses(c, "RETURNS", 3) == [502, 502, 200] and statuses(c, "ORDERS", 1) == [200]),
    ("F61", password_changes),
    ("F62:ORDERS", lambda c: c.answer("ORDERS").status_code == 200 and c.answer("ORDERS").text.startswith("<!DOCTYPE html>") and c.page("STORES")["TOTAL"] > 0),
    ("F63:ORDERS=internal", lambda c: c.answer("ORDERS").status_code == 302 and "169.254.169.254" in c.answer("ORDERS").headers["location"]),
    ("F65:ORDERS", lambda c: c.page("ORDERS")["WINDOW"]["SINCE"] == local(DAY) - 86_400_000 and all(i["UPDATED_AT"] < local(DAY) for i in c.all("ORDERS"))),
    ("F67:ORDERS", lambda c: c.answer("ORDERS").status_code == 200 and c.answer("ORDERS").content == b""),
    ("F83:ORDERS", lambda c: any(i["STATUS"] == "DANG_GIAO" and i["DELIVERED_AT"] for i in c.all("ORDERS"))),
    ("F84:STORES", lambda c: "8888888800000000" in [i["STORE_ID"] for i in c.all("STORES")]),
    ("F85:STORES", lambda c: sum(i["WARDS_ID"] == 980_999 for i in c.all("STORES")) == 1),
    ("F86:STORES", lambda c: sum(i["WARDS_ID"] == 2_206_505 for i in c.all("STORES")) > 1),
    ("F87:STORES", lambda c: "8888888800000007" in [i["STORE_ID"] for i in c.all("STORES")]),
    ("F88:ORDERS", lambda c: {999_999_999_999, -50_000, "1250,5"} <= {i["TOTAL_AMOUNT"] for i in c.all("ORDERS")}),
    ("F89:ORDERS", lambda c: 0 < c.page("ORDERS")["TOTAL"] == len(c.all("ORDERS")) <= whole(c) * 6 // 10),
]  # fmt: skip


def uneven(c: Client) -> bool:
    first = c.page("ORDERS")
    if not first["HAS_MORE"]:
        return False
    second = c.page("ORDERS", CURSOR=first["NEXT_CURSOR"])
    rows = c.all("ORDERS")
    return len(first["ITEMS"]) < first["PAGE_SIZE"] == len(second["ITEMS"]) and len({i["ORDER_ID"] for i in rows}) == len(rows) == first["TOTAL"]


def whole(c: Client) -> int:
    """How many orders the day has in the events: one that no fault of ORDERS touches."""
    return len({e["ORDER_ID"] for e in c.all("ORDER_EVENTS")})


def late(item: dict) -> bool:
    return item["ORDER_STATUS"] == 504 and item["RETURNED_AT"] is not None and item["RETURNED_AT"] < local(DAY) <= item["UPDATED_AT"]


def backwards(c: Client) -> bool:
    times = [datetime.strptime(e["ORDER_STATUSDATE"], "%d/%m/%Y %H:%M:%S") for e in c.all("ORDER_EVENTS") if not e["EVENT_ID"].startswith("67")]
    twice = [e for e in c.all("ORDER_EVENTS") if e["EVENT_ID"].startswith("67")]
    return len(times) > 3 and times == sorted(times, reverse=True) and len(twice) == 3


def changed_in_bulk(c: Client) -> bool:
    """The bulk of D has a line that the bulk of D−1 has not, under the same UPDATED_AT; the window of D does not show the order."""
    import json

    sets = []
    for as_of in ("20210913", "20210914"):
        lines = gzip.decompress(bulk(c, as_of=as_of)[1]).splitlines()
        sets.append({i["ORDER_ID"]: i for i in map(json.loads, lines)})
    changed = [k for k, i in sets[1].items() if k in sets[0] and i["UPDATED_AT"] == sets[0][k]["UPDATED_AT"] and i["LINES"] != sets[0][k]["LINES"]]
    return (
        len(changed) == 1
        and changed[0] not in {i["ORDER_ID"] for i in c.all("ORDERS")}
        and sets[1][changed[0]]["GOODS_AMOUNT"] == sum(x["AMOUNT"] for x in sets[1][changed[0]]["LINES"])
    )


@pytest.mark.parametrize(("text", "shows"), SIGNS, ids=[t for t, _ in SIGNS])
def test_a_fault_shows_and_goes(served: Served, on: Callable[[str], Client], text: str, shows: Callable[[Client], bool]):
    assert shows(on(name(text)))
    assert not shows(on(""))
    other = name(text).replace("2021-09-14", "2021-09-12")  # of another day: the window and the hour are those of the 14th
    assert not shows(on(other))


def test_every_fault_is_looked_for():
    elsewhere = {"F56", "F64", "F66"}  # test_faults_of_network.py
    assert {k.name for k in (*ANSWER_FAULTS, *RECORD_FAULTS)} - elsewhere <= {t[:3] for t, _ in SIGNS}


def test_two_faults_together(on: Callable[[str], Client]):
    c = on(f"F31@{DAY},F47@{DAY},F49@{DAY}:STORES,F38@{DAY}")
    answers = [c.answer("STORES") for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    assert sum(i["WARDS_ID"] == 999_999 for i in answers[0].json()["data"]["ITEMS"]) == 1
    assert isinstance(c.page("ORDERS")["ITEMS"][0]["LINES"][0]["PRICE"], str)


def test_what_was_struck_is_told(on: Callable[[str], Client]):
    text = f"F46@{DAY}:ORDERS=2,F49@{DAY}:STORES,F89@{DAY}:RETURNS"
    c = on(text)
    told = faults.struck("small", 1, date(2021, 9, 12), faults.parse(text))
    unknown = next(s for s in told if s.fault == "F46" and s.dataset == "ORDERS")
    assert sorted(i["ORDER_ID"] for i in c.all("ORDERS") if i["STATUS"] == "CHO_DUYET_LAI") == sorted(unknown.keys) and len(unknown.keys) == 2
    moved = next(s for s in told if s.fault == "F49")
    assert [i["STORE_ID"] for i in c.all("STORES") if i["WARDS_ID"] == 999_999] == list(moved.keys)


def test_snapshots_are_struck_only_while_their_day_is_fetched(served: Served, on: Callable[[str], Client]):
    c = on(f"F49@{DAY}:STORES,F46@{DAY}:ORDERS")
    served.clock("2021-09-16T06:00")
    c = Client(served)
    assert not any(i["WARDS_ID"] == 999_999 for i in c.all("STORES"))
    assert any(i["STATUS"] == "CHO_DUYET_LAI" for i in c.all("ORDERS", DAY)) and not any(
        i["STATUS"] == "CHO_DUYET_LAI" for i in c.all("ORDERS", DAY + timedelta(days=1))
    )
