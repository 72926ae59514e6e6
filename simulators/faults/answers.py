"""Faults in how Vỏ Sò answers: limits, gateways, tokens, pages, bodies that end early. They strike while D is being fetched (see `catalogue`)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from simulators.clock import aware
from simulators.faults.switch import Fault

if TYPE_CHECKING:
    from simulators.http_api import Api

Handler = Callable[[Request], Awaitable[Response]]
TRANSPORTS: dict[tuple[str, int], asyncio.Transport] = {}
GATEWAY = b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center><hr><center>nginx</center></body></html>"
LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Đăng nhập</title></head><body><form action=/login><input name=username><input type=password></form></body></html>".encode()
#: Faults of paging bring pages of a quarter of the set, so that a small world has pages; a shorter page is legal (F39).
SMALL_PAGES = ("F33", "F36", "F37", "F38", "F41")


class Reachable(H11Protocol):
    """Keeps the transport of each connection, so that a fault can reset it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        TRANSPORTS[transport.get_extra_info("peername")[:2]] = transport
        self._peer = transport.get_extra_info("peername")[:2]

    def connection_lost(self, exc: Exception | None) -> None:
        TRANSPORTS.pop(self._peer, None)
        super().connection_lost(exc)


def reset(transport: Any) -> None:
    """RST instead of FIN."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class Broken(Response):
    """Says the whole length, gives a part, waits, and cuts the connection."""

    def __init__(self, whole: Response, part: int, seconds: float) -> None:
        self.whole, self.part, self.seconds = whole, part, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI answer."""
        await send({"type": "http.response.start", "status": self.whole.status_code, "headers": self.whole.raw_headers})
        await send({"type": "http.response.body", "body": bytes(self.whole.body)[: self.part], "more_body": True})
        await asyncio.sleep(self.seconds)
        if transport := TRANSPORTS.get(tuple(scope["client"])):
            reset(transport)


class Traffic:
    """What strikes requests: counts per switch, the pages of the reading that goes on, the password that holds."""

    def __init__(self, api: Api, on: Callable[[], Sequence[Fault]]) -> None:
        self.api, self.on = api, on
        self.counts: dict[str, int] = {}
        self.pages: dict[str, int] = {}
        self.deleted: dict[str, str] = {}

    def now(self, *names: str, target: str = "") -> list[Fault]:
        """Faults of these names that are on while this day is being fetched, for a dataset or for the whole platform."""
        on = {f.sign for f in self.on()}
        self.counts = {k: n for k, n in self.counts.items() if k.rpartition("#")[0] in on}
        self.deleted = {k: n for k, n in self.deleted.items() if k in on}
        day = self.api.clock.now().date() - timedelta(days=1)
        return [f for f in self.on() if f.day == day and f.name in names and f.dataset in ("VOSO", target)]

    def one(self, name: str, target: str) -> Fault | None:
        """The fault of a name that is on."""
        return next(iter(self.now(name, target=target)), None)

    def count(self, f: Fault, what: str = "") -> int:
        """How often this was asked since the switch, this time too."""
        key = f"{f.sign}#{what}"
        self.counts[key] = self.counts.get(key, 0) + 1
        return self.counts[key]

    def spent(self, f: Fault) -> bool:
        """Whether it has struck as often as it may; else this counts as one time more."""
        return bool(f.times) and self.count(f) > f.times

    # ---- before and after the answer ----

    def through(self, handler: Handler, word: str) -> Handler:
        """A handler with faults before and after it; ``word`` is its dataset, or LOGIN or TIME or what else it is."""

        async def endpoint(request: Request) -> Response:
            if word == "LOGIN":
                return self._login(request) or await handler(request)
            if word != "TIME":
                if early := self._early(request, word):
                    return early
                return self._late(await handler(request), word)
            return await handler(request)

        return endpoint

    def _login(self, request: Request) -> Response | None:
        if self.one("F34", "LOGIN"):
            self.api.refused(request)
            return self.api.refuse(request, "Invalid owner account or password!")
        return None

    def password(self) -> str:
        """The password that holds now: F61 changes it after so many requests for data."""
        f = self.one("F61", "VOSO")
        return f"{self.api.password}-new" if f and self.counts.get(f"{f.sign}#requests", 0) > f.number(5) else self.api.password

    def _early(self, request: Request, word: str) -> Response | None:
        for f in self.now(*EARLY, target=word):
            if answer := EARLY[f.name](self, f, request, word):
                return answer
        return None

    def _late(self, response: Response, word: str) -> Response:
        for f in self.now(*LATE, target=word):
            if not self.spent(f):
                return LATE[f.name](response, f)
        return response

    # ---- pages ----

    def page_size(self, dataset: str, size: int, total: int) -> int:
        """How many rows a page gives."""
        if f := self.one("F39", dataset):
            size = min(size, f.number(10))
        return min(size, max(1, -(-total // 4))) if self.now(*SMALL_PAGES, target=dataset) else size

    def page_number(self, dataset: str, first: bool) -> int:
        """The number of this page in the reading that goes on."""
        self.pages[dataset] = 1 if first else self.pages.get(dataset, 0) + 1
        return self.pages[dataset]


def _retry_after(t: Traffic, number: int) -> dict[str, str]:
    """One second, as a number and as a date by turns."""
    moment = t.api.now() + timedelta(seconds=1)
    return {"Retry-After": "1" if number % 2 else format_datetime(aware(moment), usegmt=True)}


def limited(t: Traffic, f: Fault, request: Request, word: str) -> Response | None:
    """F31: every third call (`=K`)."""
    n, k = t.count(f, "calls"), f.number(3)
    if n % k or t.spent(f):
        return None
    return t.api.response(request, b'{"status":429,"error":true,"message":"Too Many Requests","data":null}', "application/json", 429, _retry_after(t, n // k))


def gateway(t: Traffic, f: Fault, request: Request, word: str) -> Response | None:
    """F32: every third call (`=K`), 502 and 429 by turns, with a page of the gateway."""
    n, k = t.count(f, "calls"), f.number(3)
    if n % k or t.spent(f):
        return None
    if n // k % 2:
        return t.api.response(request, GATEWAY, "text/html", 502)
    return t.api.response(request, GATEWAY.replace(b"502 Bad Gateway", b"429 Too Many Requests"), "text/html", 429, _retry_after(t, n // k))


def expired(t: Traffic, f: Fault, request: Request, word: str) -> Response | None:
    """F33: at the third page of a reading (`=PAGE`) the token ends; once per reading."""
    first = "CURSOR" not in request.query_params if "PAGE_INDEX" not in request.query_params else request.query_params["PAGE_INDEX"] == "1"
    key = f"{f.sign}#{word} page"
    if first:
        t.counts[key] = 0
    t.counts[key] = t.counts.get(key, 0) + 1
    if t.counts[key] != f.number(3):
        return None
    t.api.tokens.pop(request.headers.get("token", ""), None)
    return t.api.refuse(request, "Token invalid or expired", 401)


def system_error(t: Traffic, f: Fault, request: Request, word: str) -> Response | None:
    """F35."""
    return None if t.spent(f) else t.api.refuse(request, "System error", 500)


def broken_server(t: Traffic, f: Fault, request: Request, word: str) -> Response | None:
    """F60: a status of 5xx, with the envelope and with a page by turns."""
    if t.spent(f):
        return None
    status = f.number(503)
    if t.count(f, "shape") % 2:
        return t.api.answer(request, None, status=status, error=True, message="System error")
    return t.api.response(request, GATEWAY.replace(b"502 Bad Gateway", f"{status} Error".encode()), "text/html", status)


def password_changed(t: Traffic, f: Fault, request: Request, word: str) -> Response | None:
    """F61: from the sixth request (`=N`: after N) on all tokens are void and the password is another."""
    if t.count(f, "requests") == f.number(5) + 1:
        t.api.tokens.clear()
    return None


def login_page(t: Traffic, f: Fault, request: Request, word: str) -> Response | None:
    """F62."""
    return None if t.spent(f) else t.api.response(request, LOGIN_PAGE, "text/html; charset=utf-8")


def redirected(t: Traffic, f: Fault, request: Request, word: str) -> Response | None:
    """F63: to the trap of this server, on another port, or to `=URL`, or to an internal address (`=internal`)."""
    if t.spent(f):
        return None
    target = {"": f"{t.api.trap}{request.url.path}", "internal": "http://169.254.169.254/latest/meta-data/"}.get(f.value, f.value)
    return t.api.response(request, b"", "text/html", 302, {"Location": target})


EARLY: dict[str, Callable[[Traffic, Fault, Request, str], Response | None]] = {
    "F61": password_changed, "F31": limited, "F32": gateway, "F33": expired, "F35": system_error, "F60": broken_server, "F62": login_page, "F63": redirected,
}  # fmt: skip


def _shorter(response: Response, length: int) -> Response:
    headers = {k: v for k, v in response.headers.items() if k != "content-length"}
    return Response(bytes(response.body)[:length], response.status_code, headers)


LATE: dict[str, Callable[[Response, Fault], Response]] = {
    "F57": lambda r, f: Broken(r, len(r.body) // 2, f.number(5)),
    "F58": lambda r, f: Broken(r, min(f.number(200), max(0, len(r.body) - 1)), 0.1),
    "F59": lambda r, f: _shorter(r, len(r.body) // 2),
    "F67": lambda r, f: _shorter(r, 0),
}
