"""The export API over HTTP (§10.1, §10.2, §10.9): login, envelope, pages, cursors, windows, limits, bulk job."""

from __future__ import annotations

import base64
import gzip
import hashlib
import secrets
import time as clock_time
from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from simulators.clock import Clock, aware, from_ms, ms
from simulators.faults import Fault, records
from simulators.faults.answers import Traffic
from simulators.voso import Record, VoSo

MAX_PAGE, BULK_PART_ROWS = 100, 5_000
DAY_MS = 86_400_000
WINDOW_MS, RECENT_MS = 31 * DAY_MS, 120_000
DAY = timedelta(days=1)
SHORT, LONG = timedelta(minutes=30), timedelta(hours=12)
CURSOR_LIFE = timedelta(minutes=15)
PATHS = {
    "/export/stores": ("STORES", "page", False), "/export/products": ("PRODUCTS", "page", True), "/export/orders": ("ORDERS", "cursor", True),
    "/export/order-events": ("ORDER_EVENTS", "cursor", True), "/export/returns": ("RETURNS", "cursor", True),
    "/export/payment-accounts": ("PAYMENT_ACCOUNTS", "page", False),
}  # fmt: skip


class Api:
    """One server's state: tokens, limits, jobs. ``refused_logins``: a file that gets a line for each login that was refused."""

    def __init__(self, voso: VoSo, clock: Clock, username: str, password: str, rate_limit: int = 0,
                 on: Callable[[], Sequence[Fault]] = tuple, refused_logins: Path | None = None) -> None:  # fmt: skip
        self.refused_logins = refused_logins
        self.voso, self.clock, self.username, self.password, self.rate_limit = voso, clock, username, password, rate_limit
        self.on, self.traffic, self.trap = on, Traffic(self, on), ""
        self._faulty: dict[tuple[str, datetime, tuple[Any, ...]], list[Record]] = {}
        self.tokens: dict[str, tuple[str, datetime]] = {}
        self.buckets: dict[str, tuple[float, float]] = {}
        self.jobs: dict[str, dict[str, Any]] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.refusals = 0

    # ---- faults ----

    def now(self) -> datetime:
        """The server's own clock, which can be wrong (F40)."""
        skew = self.traffic.one("F40", "VOSO")
        return self.clock.now() + timedelta(minutes=skew.number(7) if skew else 0)

    def records(self, dataset: str, at: datetime) -> list[Record]:
        """What a dataset holds at a moment, with the faults that are on."""
        fetching = self.clock.now().date() - timedelta(days=1)
        mine = tuple(f for f in self.on() if f.name in records.STRIKE)
        if not mine:
            return self.voso.records(dataset, at)
        key = dataset, at, (*mine, fetching)
        if key not in self._faulty:
            if len(self._faulty) > 24:
                self._faulty.clear()
            self._faulty[key] = records.apply(self.voso, dataset, at, mine, fetching)[0]
        return self._faulty[key]

    # ---- answers ----

    def answer(
        self,
        request: Request,
        data: Any,
        *,
        status: int = 200,
        error: bool = False,
        message: str = "OK",
        code: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> Response:
        """The envelope; errors usually on HTTP 200."""
        body = orjson.dumps({"status": code or status, "error": error, "message": message, "data": data})
        return self.response(request, body, "application/json; charset=UTF-8", status, headers)

    def response(self, request: Request, body: bytes, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        own = {"Date": format_datetime(aware(self.now()), usegmt=True), **(headers or {})}
        if "x-request-id" in request.headers:
            own["X-Request-Id"] = request.headers["x-request-id"]
        return Response(body, status, own, media_type=kind)

    def refuse(self, request: Request, message: str, code: int = 400) -> Response:
        """error:true on HTTP 200."""
        return self.answer(request, None, error=True, message=message, code=code)

    # ---- who and how often ----

    def gate(self, request: Request) -> Response | None:
        """Maintenance, token, limit: the answer that ends the request, or None."""
        if closed := self._maintenance(request):
            return closed
        token = request.headers.get("token")
        kind, until = self.tokens.get(token or "", ("", datetime.min))
        if kind != "export" or until <= self.now():
            self.refusals += 1
            if self.refusals % 5 == 0:
                return self.answer(request, None, status=401, error=True, message="Token invalid or expired")
            return self.refuse(request, "Header Token is required" if not token else "Token invalid or expired", 401)
        return self._limit(request, token or "")

    def _maintenance(self, request: Request) -> Response | None:
        now = self.now().time()
        if now < time(0, 30):
            return self.response(request, b"<html><body>503 Service Unavailable</body></html>", "text/html", 503, {"Retry-After": "1800"})
        return None

    def _limit(self, request: Request, token: str) -> Response | None:
        if not self.rate_limit:
            return None
        burst, now = 10.0, clock_time.monotonic()
        left, since = self.buckets.get(token, (burst, now))
        left = min(burst, left + (now - since) * self.rate_limit / 60)
        if left < 1:
            self.buckets[token] = (left, now)
            wait = max(1, round((1 - left) * 60 / self.rate_limit))
            self.refusals += 1
            after = str(wait) if self.refusals % 2 else format_datetime(aware(self.now() + timedelta(seconds=wait)), usegmt=True)
            return self.response(request, b"<html><body>429 Too Many Requests</body></html>", "text/html", 429, {"Retry-After": after})
        self.buckets[token] = (left - 1, now)
        return None

    async def login(self, request: Request) -> Response:
        """Step 1: user and password give a token of 30 minutes."""
        if closed := self._maintenance(request):
            return closed
        if not await self._known(request):
            self.refused(request)
            return self.refuse(request, "Invalid owner account or password!")
        return self._token(request, "short", SHORT, 0)

    def refused(self, request: Request) -> None:
        """Keep that a login was refused."""
        if self.refused_logins:
            with self.refused_logins.open("a") as f:
                f.write(f"{self.now()}\n")

    async def owner(self, request: Request) -> Response:
        """Step 2: with that token, the export token of 12 hours."""
        kind, until = self.tokens.get(request.headers.get("token", ""), ("", datetime.min))
        if kind != "short" or until <= self.now():
            return self.refuse(request, "Token invalid or expired", 401)
        if not await self._known(request):
            return self.refuse(request, "Invalid owner account or password!")
        return self._token(request, "export", LONG, ms(self.now() + LONG))

    async def _known(self, request: Request) -> bool:
        try:
            body = orjson.loads(await request.body())
        except orjson.JSONDecodeError:
            return False
        return isinstance(body, dict) and body.get("USERNAME") == self.username and body.get("PASSWORD") == self.traffic.password()

    def _token(self, request: Request, kind: str, life: timedelta, expired: int) -> Response:
        token = secrets.token_urlsafe(32)
        self.tokens[token] = (kind, self.now() + life)
        return self.answer(request, {"userId": 1, "token": token, "partner": 1, "phone": None, "expired": expired})

    # ---- lists ----

    async def server_time(self, request: Request) -> Response:
        """GET /export/time."""
        return self.gate(request) or self.answer(request, {"NOW": ms(self.now())})

    async def listing(self, request: Request) -> Response:
        """B1–B6."""
        if stop := self.gate(request):
            return stop
        path = "/" + request.url.path.split("/", 2)[2] if request.url.path.startswith("/v1/") else request.url.path
        dataset, paging, windowed = PATHS[path]
        try:
            q = {k.upper(): v for k, v in request.query_params.items()}
            size = max(1, min(MAX_PAGE, int(q.get("PAGE_SIZE") or MAX_PAGE)))
            now = self.now()
            since, until = int(q.get("UPDATED_SINCE") or 0), int(q.get("UPDATED_UNTIL") or ms(now))
        except ValueError as wrong:
            return self.refuse(request, f"Incorrect data: {wrong}")
        rows = self.records(dataset, now)
        window = None
        if windowed:
            if until - since > WINDOW_MS:
                return self.refuse(request, "Chỉ cho phép lọc trong 31 ngày")
            if until > ms(now) - RECENT_MS:
                return self.refuse(request, "UPDATED_UNTIL too recent")
            rows = [r for r in rows if since <= r[0] < until]
            window = {"SINCE": since, "UNTIL": until}
            if self.traffic.one("F65", dataset):
                now, since, until = now - DAY, since - DAY_MS, until - DAY_MS
                rows = [r for r in self.records(dataset, now) if since <= r[0] < until]
                window = {"SINCE": since, "UNTIL": until}
        size = self.traffic.page_size(dataset, size, len(rows))
        if paging == "page":
            return self._page(request, dataset, rows, int(q.get("PAGE_INDEX") or 1), size, window, now)
        return self._cursor(request, dataset, rows, q.get("CURSOR"), size, window, now)

    def _page(self, request: Request, dataset: str, rows: list[Record], index: int, size: int, window: Any, now: datetime) -> Response:
        if f := self.traffic.one("F37", dataset):
            rows = self._shifted(f, rows, index)
        if self.traffic.one("F36", dataset) and index > 2:
            index = 2
        first, last = (index - 1) * size, index * size
        if self.traffic.one("F38", dataset):  # every second page has half of its rows
            half = max(1, size // 2)
            first = (index - 1) // 2 * (size + half) + (0 if index % 2 else half)
            last = first + (half if index % 2 else size)
        return self._list(request, [r[2] for r in rows[first:last]], size, len(rows), None, last < len(rows), window, now)

    def _shifted(self, f: Fault, rows: list[Record], index: int) -> list[Record]:
        """F37: a row of the first page, one that counts nowhere if there is one, is gone from the second page on, for good."""
        if index > 1 and f.sign not in self.traffic.deleted:
            self.traffic.deleted[f.sign] = records.leaves(rows)
        gone = self.traffic.deleted.get(f.sign)
        return [r for r in rows if r[1] != gone]

    def _cursor(self, request: Request, dataset: str, rows: list[Record], cursor: str | None, size: int, window: Any, now: datetime) -> Response:
        def place(r: Record) -> tuple[int, int, str]:
            return (0 if dataset == "ORDER_EVENTS" else r[0], len(r[1]), r[1])

        rows = sorted(rows, key=place)
        total = len(rows)
        if cursor:
            try:
                at, *after = orjson.loads(base64.urlsafe_b64decode(cursor))
            except ValueError:
                return self.refuse(request, "Cursor invalid or expired")
            if from_ms(at) + CURSOR_LIFE < now:
                return self.refuse(request, "Cursor invalid or expired")
            rows = [r for r in rows if place(r) > (after[0], after[1], after[2])]
        given = size
        if self.traffic.one("F38", dataset) and self.traffic.page_number(dataset, cursor is None) % 2:
            given = max(1, size // 2)
        page, more = rows[:given], len(rows) > given
        following = base64.urlsafe_b64encode(orjson.dumps([ms(now), *place(page[-1])])).decode() if more else None
        if cursor and self.traffic.one("F36", dataset):
            following, more = cursor, True
        return self._list(request, [r[2] for r in page], size, total, following, more, window, now)

    def _list(self, request: Request, items: list[Any], size: int, total: int, cursor: str | None, more: bool, window: Any, now: datetime) -> Response:
        data = {"ITEMS": items, "PAGE_SIZE": size, "TOTAL": total, "NEXT_CURSOR": cursor, "HAS_MORE": more, "WINDOW": window, "SERVER_TIME": ms(now)}
        return self.answer(request, data)

    async def summary(self, request: Request) -> Response:
        """Accounts as counts per ward, the variant for a wallet that may give no rows."""
        if stop := self.gate(request):
            return stop
        try:
            day = datetime.strptime(request.query_params.get("AS_OF", ""), "%Y%m%d")
        except ValueError:
            return self.refuse(request, "Incorrect data: AS_OF")
        counts: dict[tuple[int, str], list[int]] = {}
        for _, _, item in self.records("PAYMENT_ACCOUNTS", min(self.now(), day + timedelta(days=1) - timedelta(seconds=1))):
            n = counts.setdefault((item["WARDS_ID"], item["WALLET_TYPE"]), [0, 0])
            n[0] += 1
            n[1] += item["KYC_LEVEL"] >= 1
        return self.answer(request, [{"WARDS_ID": w, "WALLET_TYPE": t, "ACCOUNTS": a, "IDENTIFIED": i} for (w, t), (a, i) in sorted(counts.items())])

    async def districts(self, request: Request) -> Response:
        """Districts of province 22, bare array."""
        if stop := self.gate(request):
            return stop
        if request.query_params.get("provinceId") != "22":
            return self.answer(request, [])
        found = {c.vtp_district: c.vtp_district_name for c in self.voso.w.communes}
        return self.answer(request, [{"DISTRICT_ID": d, "DISTRICT_VALUE": str(d), "DISTRICT_NAME": n, "PROVINCE_ID": 22} for d, n in sorted(found.items())])

    async def wards(self, request: Request) -> Response:
        """Wards of a district, names in capitals, no province in the row."""
        if stop := self.gate(request):
            return stop
        wanted = request.query_params.get("districtId")
        rows = [
            {"WARDS_ID": c.vtp_ward, "WARDS_NAME": c.vtp_ward_name, "DISTRICT_ID": c.vtp_district}
            for c in self.voso.w.communes
            if str(c.vtp_district) == wanted
        ]
        return self.answer(request, rows)

    # ---- bulk ----

    async def bulk_start(self, request: Request) -> Response:
        """POST /export/bulk: a job; its parts are ready at the first question after it."""
        if stop := self.gate(request):
            return stop
        try:
            body = orjson.loads(await request.body())
            dataset, day = str(body["DATASET"]), datetime.strptime(str(body["AS_OF"]), "%Y%m%d")
            rows = self.records(dataset, min(self.now(), day + timedelta(days=1) - timedelta(milliseconds=1)))
        except (KeyError, ValueError, TypeError):
            return self.refuse(request, "Incorrect data: DATASET")
        now = self.now()
        job_id = f"b-{now:%Y%m%d}-{len(self.jobs) + 1:04d}"
        parts = []
        cut = next((f for f in self.on() if f.name == "F03" and f.dataset == dataset and f.day == day.date() and not self.traffic.spent(f)), None)
        for n, first in enumerate(range(0, max(1, len(rows)), BULK_PART_ROWS), 1):
            chunk = rows[first : first + BULK_PART_ROWS]
            content = gzip.compress(b"".join(orjson.dumps(r[2]) + b"\n" for r in chunk), 6, mtime=0)
            parts.append(
                {
                    "NO": n,
                    "URL": f"/export/bulk/{job_id}/part-{n:05d}.jsonl.gz",
                    "BYTES": len(content),
                    "ROWS": len(chunk),
                    "SHA256": hashlib.sha256(content).hexdigest(),
                }
            )
            self.parts[job_id, n] = content[:-20] if cut and n == 1 else content
        job = {"JOB_ID": job_id, "STATUS": "QUEUED", "DATASET": dataset, "AS_OF": f"{day:%Y%m%d}"}
        self.jobs[job_id] = {**job, "STATUS": "DONE", "ROWS": len(rows), "PARTS": parts, "EXPIRES_AT": ms(now + timedelta(hours=24))}
        return self.answer(request, job)

    async def bulk_state(self, request: Request) -> Response:
        """GET /export/bulk/{JOB_ID}."""
        if stop := self.gate(request):
            return stop
        job = self.jobs.get(request.path_params["job"])
        if job is None:
            return self.refuse(request, "Incorrect data: JOB_ID")
        return self.answer(request, {**job, "STATUS": "EXPIRED", "PARTS": []} if from_ms(job["EXPIRES_AT"]) < self.now() else job)

    async def bulk_part(self, request: Request) -> Response:
        """A part, gzip JSON Lines."""
        if stop := self.gate(request):
            return stop
        name = request.path_params["part"]
        digits = name.removeprefix("part-").removesuffix(".jsonl.gz")
        content = self.parts.get((request.path_params["job"], int(digits))) if digits.isdigit() else None
        if content is None:
            return self.refuse(request, "Incorrect data: PART")
        return self.response(request, content, "application/gzip")

    def app(self) -> Starlette:
        """The routes under /v1."""

        def route(path: str, handler: Any, word: str, method: str = "GET") -> Route:
            return Route(f"/v1{path}", self.traffic.through(handler, word), methods=[method])

        return Starlette(routes=[
            route("/user/Login", self.login, "LOGIN", "POST"), route("/user/ownerconnect", self.owner, "LOGIN", "POST"), route("/export/time", self.server_time, "TIME"),
            route("/export/payment-accounts/summary", self.summary, "SUMMARY"), route("/categories/listDistrict", self.districts, "CATEGORIES"),
            route("/categories/listWards", self.wards, "CATEGORIES"), route("/export/bulk", self.bulk_start, "BULK", "POST"),
            route("/export/bulk/{job}", self.bulk_state, "BULK"), route("/export/bulk/{job}/{part}", self.bulk_part, "BULK"),
            *(route(path, self.listing, dataset) for path, (dataset, _, _) in PATHS.items()),
        ])  # fmt: skip
