"""Vỏ Sò's export API (EXPORTS §10): two-step login, windows, pages and cursors, the bulk job; every answer lands before it is read."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import logging
import random
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import orjson
import tenacity

from kinhteso import business_day
from kinhteso.contracts import Contract
from kinhteso.landing import Delivery, Landing, Part, sha256_of_parts
from kinhteso.readers import DeliveryRefused, SourceUnreachable

PAGE_SIZE = 100
OVERLAP = timedelta(minutes=10)
SLICE = timedelta(days=31)
#: EXPORTS §10.1: data of a day are complete at 02:00 of the next; no window may end less than two minutes ago.
COMPLETE_HOUR = 2
#: A snapshot pulled later than this on the next day is not that day's state any more (RULINGS 16).
MORNING_ENDS = 12
WINDOW_TRIES = 3
MAX_WAIT_SECONDS = 20 * 60
#: Maintenance that lasts longer than this is left to the next look.
LONG_WAIT_SECONDS = 120
TRIES_LIMITED, TRIES_FAILED = 6, 4
BULK_POLLS_SECONDS = (1, 2, 5, 10)
BULK_POLL_SECONDS, BULK_SECONDS = 30, 30 * 60
MAX_BODY_BYTES, MAX_PART_BYTES = 64 << 20, 1 << 30
RUNBOOK = "Runbook: docs/runbooks/login-refused.md"

log = logging.getLogger(__name__)


class NotReady(Exception):
    """The source cannot give the day yet (too early, maintenance); ask again later."""


class _Again(Exception):
    """This request may be repeated after ``wait`` seconds, ``tries`` times in all."""

    def __init__(self, why: str, wait: float, tries: int) -> None:
        super().__init__(why)
        self.wait, self.tries = wait, tries


class _Restart(Exception):
    """The window has to be read again from its beginning."""


class _TokenRefused(Exception):
    """The token is missing, wrong or expired."""


def base_url_of(conn_type: str | None, host: str | None, port: int | None, schema: str | None, extra: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Base URLs to try, in order, from an Airflow HTTP connection: its path if it names one (host, schema or extra), else /v1, else none.

    `http://user:password@host:port/v1` arrives as schema "v1"; schema "http" or "https" is the scheme.
    """
    given = (host or "").strip()
    scheme, path = "", ""
    if "://" in given:
        parts = urlsplit(given)
        scheme, given, path = parts.scheme, parts.hostname or "", parts.path
        port = port or parts.port
    elif "/" in given:
        given, _, rest = given.partition("/")
        path = f"/{rest}"
    extra = extra or {}
    if (schema or "").lower() in {"http", "https"}:
        scheme = scheme or str(schema).lower()
    elif schema:
        path = path or f"/{schema}"
    path = path or str(extra.get("base_path") or extra.get("path") or "")
    if not scheme:
        scheme = str(extra.get("scheme") or ("https" if (conn_type or "").lower() == "https" or port == 443 else "http"))
    if not given:
        raise ValueError("The connection voso names no host. Set AIRFLOW_CONN_VOSO (see .env.example).")
    if ":" in given and port is None and given.rpartition(":")[2].isdigit():
        given, _, digits = given.rpartition(":")
        port = int(digits)
    origin = f"{scheme}://{given}" + (f":{port}" if port else "")
    path = "/" + path.strip("/") if path.strip("/") else ""
    return (origin + path,) if path else (f"{origin}/v1", origin)


@dataclass
class Answer:
    """One answer as it came: body bytes and its parsed envelope."""

    body: bytes
    envelope: dict[str, Any]

    @property
    def data(self) -> Any:
        """The envelope's ``data``."""
        return self.envelope.get("data")


@dataclass(frozen=True)
class Limits:
    """How long an answer may take and how much of it is read (EXPORTS §10.1): a body that trickles for ever, or that never ends, holds no worker."""

    connect_seconds: float = 10
    read_seconds: float = 60
    page_seconds: float = 180
    part_read_seconds: float = 300
    part_seconds: float = 20 * 60
    page_bytes: int = MAX_BODY_BYTES
    part_bytes: int = MAX_PART_BYTES


class VosoClient:
    """Talks to the export API. Messages and logs never hold the password or a token.

    ``one_login`` is entered for each log-in; what it yields is what another task of the run was told, and then nothing is asked.
    """

    def __init__(
        self,
        base_urls: Sequence[str] | str,
        username: str | None,
        password: str | None,
        *,
        one_login: Callable[[], contextlib.AbstractContextManager[DeliveryRefused | None]] = contextlib.nullcontext,
        sleep: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._bases = (base_urls,) if isinstance(base_urls, str) else tuple(base_urls)
        self._base: str | None = self._bases[0] if len(self._bases) == 1 else None
        self._username, self._password = username or "", password or ""
        self._token: str | None = None
        self._may_log_in_again = True
        self._one_login = one_login
        self._sleep = sleep
        self.requests: list[dict[str, Any]] = []
        self.clock_skew = timedelta()
        self._limits = limits or Limits()
        timeout = httpx.Timeout(self._limits.read_seconds, connect=self._limits.connect_seconds)
        self._http = httpx.Client(timeout=timeout, follow_redirects=False, transport=transport, trust_env=False)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    # ---- requests ----

    def begin_step(self) -> None:
        """A new run step: one more log-in is allowed if the token ends in its middle (EXPORTS §10.1)."""
        self._may_log_in_again = True
        self.requests = []

    def get(self, path: str, **params: Any) -> Answer:
        """A JSON answer. Raises DeliveryRefused, NotReady; a token that ended is renewed once per step and the request repeated."""
        return self._with_token(lambda: self._patiently(lambda: self._json("GET", path, params=params)))

    def post(self, path: str, body: Mapping[str, Any]) -> Answer:
        """As `get`, sending JSON."""
        return self._with_token(lambda: self._patiently(lambda: self._json("POST", path, json=body)))

    def download(self, url: str) -> tuple[bytes, str]:
        """Bytes of a bulk part and the SHA-256 over them. Only this server is asked; a redirect is refused."""
        target = self._same_host(url)
        body = self._with_token(lambda: self._patiently(lambda: self._send("GET", target, is_part=True).content))
        return body, hashlib.sha256(body).hexdigest()

    def now(self) -> datetime:
        """The source's clock (GET /export/time, else the header Date); a skew above 5 minutes is left for the log (F40)."""
        try:
            told = datetime.fromtimestamp(int(self.get("/export/time").data["NOW"]) / 1000, UTC)
        except (DeliveryRefused, TypeError, KeyError, ValueError) as error:
            if isinstance(error, DeliveryRefused) and error.rule_id in ("F33", "F34"):
                raise
            told = self._date_header or datetime.now(UTC)
        self.clock_skew = told - datetime.now(UTC)
        return told

    _date_header: datetime | None = None

    def _with_token(self, ask: Callable[[], Any]) -> Any:
        if self._token is None:
            self._log_in()
        try:
            return ask()
        except _TokenRefused:
            if not self._may_log_in_again:
                raise DeliveryRefused("F33", f"Vỏ Sò refused a fresh token again; nothing more is asked of it. {RUNBOOK}") from None
        self._may_log_in_again = False
        self._log_in()
        try:
            return ask()
        except _TokenRefused:
            raise DeliveryRefused("F33", f"Vỏ Sò refuses the token that it has just given. Ask Viettel Post. {RUNBOOK}") from None

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        def enough(state: tenacity.RetryCallState) -> bool:
            error = state.outcome.exception() if state.outcome else None
            return isinstance(error, _Again) and state.attempt_number >= error.tries

        def pause(state: tenacity.RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            assert isinstance(error, _Again)
            return error.wait * (1 if error.tries == TRIES_LIMITED else 2 ** (state.attempt_number - 1))

        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Again),
            stop=tenacity.stop_any(enough, tenacity.stop_after_delay(MAX_WAIT_SECONDS)),  # type: ignore[arg-type]
            wait=pause,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            return retrying(ask)
        except _Again as error:
            raise DeliveryRefused(
                "F31" if error.tries == TRIES_LIMITED else "F35", f"Vỏ Sò: {error}; given up after {error.tries} tries. The next run asks again.", True
            ) from error

    def _url(self, path: str) -> str:
        assert self._base is not None
        return self._base.rstrip("/") + path

    def _same_host(self, url: str) -> str:
        assert self._base is not None
        base = urlsplit(self._base)
        if "://" not in url:
            prefix = base.path.rstrip("/")
            target = f"{base.scheme}://{base.netloc}{url}" if prefix and url.startswith(f"{prefix}/") else self._url("/" + url.lstrip("/"))
        else:
            target = urljoin(self._base, url)
        if urlsplit(target).netloc != base.netloc:
            raise DeliveryRefused("F03", f"Vỏ Sò names a bulk part on another host ({urlsplit(target).netloc}); it is not followed. Ask Viettel Post.")
        return target

    def _body(self, method: str, url: str, *, is_part: bool, **kwargs: Any) -> httpx.Response:
        """The whole answer, if it comes in time and is no larger than it may be."""
        limits, started = self._limits, time.monotonic()
        most, seconds = (limits.part_bytes, limits.part_seconds) if is_part else (limits.page_bytes, limits.page_seconds)
        if is_part:
            kwargs["timeout"] = httpx.Timeout(limits.part_read_seconds, connect=limits.connect_seconds)
        with self._http.stream(method, url, **kwargs) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > most:
                    raise DeliveryRefused("F35", f"Vỏ Sò: {method} {urlsplit(url).path} answers with more than {most:,} bytes. Ask Viettel Post.")
                if time.monotonic() - started > seconds:
                    raise httpx.ReadTimeout(f"the body took longer than {seconds:.0f} s", request=response.request)
            headers = [(k, v) for k, v in response.headers.multi_items() if k.lower() not in ("content-encoding", "content-length", "transfer-encoding")]
            return httpx.Response(response.status_code, headers=headers, content=bytes(body), request=response.request)

    def _send(self, method: str, url: str, *, token: bool = True, is_part: bool = False, **kwargs: Any) -> httpx.Response:
        request_id, started = uuid.uuid4().hex, time.monotonic()
        headers = {"X-Request-Id": request_id, "Accept": "application/json"}
        if token and self._token:
            headers["Token"] = self._token
        note: dict[str, Any] = {"at": datetime.now(UTC).isoformat(), "method": method, "path": urlsplit(url).path, "params": kwargs.get("params")}
        note["request_id"] = request_id
        try:
            response = self._body(method, url, is_part=is_part, headers=headers, **kwargs)
        except (httpx.HTTPError, httpx.StreamError) as error:
            self.requests.append(note | {"error": type(error).__name__})
            raise _Again(f"{method} {urlsplit(url).path}: {type(error).__name__} ({error})", 2, TRIES_FAILED) from error
        self.requests.append(note | {"status": response.status_code, "bytes": len(response.content), "seconds": round(time.monotonic() - started, 3)})
        if "Date" in response.headers:
            with contextlib.suppress(ValueError, TypeError):
                self._date_header = _instant(response.headers["Date"])
        where = f"{method} {urlsplit(url).path}"
        status = response.status_code
        if status in (429, 503):
            wait = _retry_after(response)
            if status == 503 and wait is not None and wait > LONG_WAIT_SECONDS:
                raise NotReady(f"Vỏ Sò is under maintenance for {wait:.0f} s; asked again later")
            if wait is not None and wait > MAX_WAIT_SECONDS:
                raise NotReady(f"Vỏ Sò asks for a pause of {wait:.0f} s; asked again later")
            raise _Again(f"{where}: status {status}", (wait if wait is not None else 5) + random.uniform(0, 3), TRIES_LIMITED)
        if status == 401 and token:
            raise _TokenRefused
        if 300 <= status < 400:
            raise DeliveryRefused("F35", f"Vỏ Sò: {where} answers with a redirect, which is not followed. Check the base URL of the connection voso.")
        if status >= 500:
            raise _Again(f"{where}: status {status}", 2, TRIES_FAILED)
        return response

    def _json(self, method: str, path: str, **kwargs: Any) -> Answer:
        response = self._send(method, self._url(path), **kwargs)
        answer = _envelope(response, f"{method} {path}")
        envelope = answer.envelope
        message = str(envelope.get("message") or "")
        if envelope.get("status") == 401:
            raise _TokenRefused
        if envelope.get("error") or response.status_code >= 400:
            if "cursor" in message.casefold():
                raise _Restart(message)
            if "too recent" in message.casefold():
                raise NotReady(f"Vỏ Sò: {message}; asked again later")
            if response.status_code in (400, 403, 404) or "31 ngày" in message or message.startswith("Incorrect data"):
                raise DeliveryRefused("F35", f"Vỏ Sò: {method} {path} is refused: {message or response.status_code}. Ask Viettel Post.")
            raise _Again(f"{method} {path}: {message or 'error without a message'}", 2, TRIES_FAILED)
        return answer

    # ---- login ----

    def _log_in(self) -> None:
        with self._one_login() as told:
            if told:
                raise told
            try:
                self._ask_for_tokens()
            except DeliveryRefused as error:
                if error.retriable:
                    raise SourceUnreachable(error.rule_id, str(error), True) from error
                raise

    def _ask_for_tokens(self) -> None:
        self._token = None
        candidates = (self._base,) if self._base else self._bases
        for n, base in enumerate(candidates):
            self._base = base
            first = self._patiently(functools.partial(self._login_step, "/user/Login", None, n + 1 < len(candidates)))
            if first is None:
                continue
            self._token = self._patiently(functools.partial(self._login_step, "/user/ownerconnect", first, False))
            return
        raise DeliveryRefused("F34", f"Vỏ Sò: no login under {' or '.join(candidates)}. Check host and path of the connection voso. {RUNBOOK}")

    def _login_step(self, path: str, token: str | None, may_be_elsewhere: bool) -> str | None:
        self._token = token
        body = {"USERNAME": self._username, "PASSWORD": self._password}
        try:
            response = self._send("POST", self._url(path), token=token is not None, json=body)
        except _TokenRefused:
            raise self._login_refused("status 401") from None
        if response.status_code == 404 and path.endswith("/Login"):
            if may_be_elsewhere:
                return None
            raise self._login_refused("status 404: nothing there; check host and path of the connection")
        answer = _envelope(response, f"POST {path}")
        envelope = answer.envelope
        message = str(envelope.get("message") or response.status_code)
        if envelope.get("error") or response.status_code >= 400 or not (answer.data or {}).get("token"):
            if message == "System error":
                raise _Again(f"POST {path}: System error", 2, TRIES_FAILED)
            raise self._login_refused(message)
        return str(answer.data["token"])

    def _login_refused(self, message: str) -> DeliveryRefused:
        self._token = None
        return DeliveryRefused(
            "F34",
            f"Vỏ Sò refused the login of the connection voso: {message} It is not tried again, to avoid a lock-out. Correct AIRFLOW_CONN_VOSO, then "
            f"clear the task. {RUNBOOK}",
        )


def _instant(given: str) -> datetime:
    found = parsedate_to_datetime(given)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait; a date is relative to the answer's own Date (RULINGS 27)."""
    given = response.headers.get("Retry-After", "").strip()
    if not given:
        return None
    if given.isdigit():
        return float(given)
    try:
        until = _instant(given)
        since = _instant(response.headers["Date"]) if "Date" in response.headers else datetime.now(UTC)
    except (ValueError, TypeError):
        return None
    return max(0.0, (until - since).total_seconds())


def _envelope(response: httpx.Response, where: str) -> Answer:
    """The JSON envelope; a gateway's HTML page is no answer (F32)."""
    try:
        parsed = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise _Again(
            f"{where}: no JSON came ({response.headers.get('Content-Type', 'no content type')}, status {response.status_code})", 2, TRIES_FAILED
        ) from None
    return Answer(response.content, parsed if isinstance(parsed, dict) else {"data": parsed})


# ---- a day ----


@dataclass
class _Pull:
    """What one try to read a window gave."""

    pages: list[tuple[str, bytes]] = field(default_factory=list)
    first_totals: list[int] = field(default_factory=list)


def _folder(landing: Landing, dataset: str, day: date, version: int, unit: str = "") -> str:
    """A folder of its own for each pull; what a pull that died left stays where it is."""
    base = f"voso/{dataset}/{day}/{unit and unit + '-'}v{version}"
    n, path = 1, base
    while landing.exists(path):
        n += 1
        path = f"{base}.{n}"
    return path


def slices(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The window in pieces of at most 31 days."""
    while since < until:
        end = min(until, since + SLICE)
        yield since, end
        since = end


def land_day(client: VosoClient, contract: Contract, day: date, since: datetime | None, landing: Landing, version: int, first_day: date) -> Delivery:
    """Pull ``contract``'s dataset for business day ``day`` into the landing: a full snapshot, or the window that ends with the day.

    ``since`` is the end of the last accepted window; ten minutes of it are read again. Raises NotReady before 02:00 of the next day by the
    source's clock, DeliveryRefused when the pages do not come out complete three times (F36, F37) or the source refuses.
    """
    client.begin_step()
    now = client.now()
    ready = business_day.at(day + timedelta(days=1), COMPLETE_HOUR)
    if now < ready:
        raise NotReady(
            f"voso {contract.dataset} {day}: complete at {ready:%d/%m %H:%M}, the source's clock says {now.astimezone(business_day.LOCAL):%d/%m %H:%M}"
        )
    windowed = bool(contract.api["window"])
    until = min(business_day.end(day), now - timedelta(minutes=2))
    start = (since - OVERLAP) if since else business_day.start(first_day)
    pull = _read_windows(client, contract, day, list(slices(start, until)) if windowed else [None])
    late = now >= business_day.at(day + timedelta(days=1), MORNING_ENDS)
    skew = client.clock_skew
    return _delivery(
        client, contract, day, landing, version, pull, pulled_at=now, window_since=start if windowed else None, window_until=until,
        is_reconstructed=not windowed and late,
        warnings=(f"F40: the source's clock is off by {skew}",) if timedelta(minutes=5) < abs(skew) < timedelta(days=1) else (),
    )  # fmt: skip


def land_reread(client: VosoClient, contract: Contract, day: date, since: date, landing: Landing, version: int) -> Delivery:
    """Read again what was changed from the beginning of ``since`` to the end of ``day``, in windows of at most 31 days (EXPORTS §10.2).

    Raises as `land_day`; the delivery has the unit ``reread`` and never stands for a day.
    """
    client.begin_step()
    now = client.now()
    start, until = business_day.start(since), min(business_day.end(day), now - timedelta(minutes=2))
    pull = _read_windows(client, contract, day, list(slices(start, until)))
    return _delivery(client, contract, day, landing, version, pull, unit="reread", mode="reread", pulled_at=now, window_since=start, window_until=until)


def _read_windows(client: VosoClient, contract: Contract, day: date, windows: Sequence[tuple[datetime, datetime] | None]) -> _Pull:
    pull, restarts = _Pull(), 0
    while True:
        try:
            pull = _Pull()
            for window in windows:
                (_by_cursor if contract.api["paging"] == "cursor" else _by_page)(client, contract, window, pull)
            return pull
        except _Restart as why:
            restarts += 1
            log.warning("voso %s %s: %s; the window is read again (%s of %s)", contract.dataset, day, why, restarts, WINDOW_TRIES)
            if restarts >= WINDOW_TRIES:
                raise DeliveryRefused(
                    "F37", f"voso {contract.dataset} {day}: incomplete {restarts} times: {why}. The next run asks again; if it stays, ask Viettel Post.", True
                ) from why


def _delivery(client: VosoClient, contract: Contract, day: date, landing: Landing, version: int, pull: _Pull, **given: Any) -> Delivery:
    folder = _folder(landing, contract.dataset, day, version, given.get("unit", ""))
    parts = []
    for number, (name, body) in enumerate(pull.pages, 1):
        path = f"{folder}/{name}"
        sha, size = landing.put(path, gzip.compress(body, 5, mtime=0))
        parts.append(Part(number, path, name, sha, size))
    _put_requests(client, landing, folder)
    whole: dict[str, Any] = {"mode": contract.mode, **given}
    return Delivery(
        source="voso", dataset=contract.dataset, business_day=day, version=version, origin=f"GET {contract.api['path']}", landing_path=folder,
        sha256=sha256_of_parts(parts), bytes=sum(p.bytes for p in parts), received_at=datetime.now(UTC), parts=tuple(parts),
        rows_declared=sum(pull.first_totals), **whole,
    )  # fmt: skip


def _params(window: tuple[datetime, datetime] | None) -> dict[str, int]:
    if window is None:
        return {}
    return {"UPDATED_SINCE": business_day.epoch_ms(window[0]), "UPDATED_UNTIL": business_day.epoch_ms(window[1])}


def _page(answer: Answer) -> tuple[list[Any], int]:
    data = answer.data
    if not isinstance(data, dict) or not isinstance(data.get("ITEMS"), list) or not isinstance(data.get("TOTAL"), int):
        raise DeliveryRefused("F47", "Vỏ Sò: a page has no ITEMS or TOTAL; the interface has changed. Ask Viettel Post.")
    return data["ITEMS"], data["TOTAL"]


def _keep(pull: _Pull, answer: Answer) -> None:
    pull.pages.append((f"page-{len(pull.pages) + 1:05d}.json.gz", answer.body))


def _ids(items: list[Any], contract: Contract) -> list[str]:
    return [str(i.get(contract.api["id"])) if isinstance(i, dict) else repr(i) for i in items]


def _by_page(client: VosoClient, contract: Contract, window: tuple[datetime, datetime] | None, pull: _Pull) -> None:
    """Page index: TOTAL equal on every page and equal to the distinct ids (EXPORTS §10.2)."""
    total, seen, hashes, number = -1, set[str](), set[str](), 0
    while True:
        number += 1
        answer = client.get(contract.api["path"], **_params(window), PAGE_INDEX=number, PAGE_SIZE=PAGE_SIZE)
        items, said = _page(answer)
        total = said if total < 0 else total
        if said != total:
            raise _Restart(f"TOTAL moved from {total} to {said} while paging")
        ids = _ids(items, contract)
        digest = hashlib.sha256("\0".join(ids).encode()).hexdigest()
        if items and digest in hashes:
            raise _Restart(f"page {number} came twice")
        hashes.add(digest)
        seen.update(ids)
        _keep(pull, answer)
        more = answer.data.get("HAS_MORE")
        if not items or more is False or (more is None and len(seen) >= total):
            break
        if more and len(seen) >= total and len(items) == 0:
            break
        if number > total / max(1, min(PAGE_SIZE, len(items))) + 5:
            raise _Restart(f"{number} pages for {total} rows")
    if len(seen) != total:
        raise _Restart(f"{len(seen)} distinct ids read, TOTAL says {total}")
    pull.first_totals.append(total)


def _by_cursor(client: VosoClient, contract: Contract, window: tuple[datetime, datetime] | None, pull: _Pull) -> None:
    """Keyset cursor: final TOTAL <= distinct ids <= first TOTAL (EXPORTS §10.2); a repeated cursor or page ends the try."""
    first, cursor, cursors, hashes, seen, number, smallest = -1, None, set[str](), set[str](), set[str](), 0, PAGE_SIZE
    path = contract.api["path"]
    while True:
        number += 1
        answer = client.get(path, **_params(window), PAGE_SIZE=PAGE_SIZE, **({"CURSOR": cursor} if cursor else {}))
        items, said = _page(answer)
        first = said if first < 0 else first
        ids = _ids(items, contract)
        digest = hashlib.sha256("\0".join(ids).encode()).hexdigest()
        if items and digest in hashes:
            raise _Restart(f"page {number} came twice")
        hashes.add(digest)
        seen.update(ids)
        _keep(pull, answer)
        cursor = answer.data.get("NEXT_CURSOR")
        if not answer.data.get("HAS_MORE") or not cursor:
            break
        if cursor in cursors:
            raise _Restart("a cursor came twice")
        cursors.add(cursor)
        smallest = min(smallest, max(1, len(items)))
        if number > first / smallest + 5:
            raise _Restart(f"{number} pages for {first} rows")
    _, final = _page(client.get(path, **_params(window), PAGE_SIZE=1))
    if not final <= len(seen) <= first:
        raise _Restart(f"{len(seen)} distinct ids read, TOTAL was {first} at first and {final} at last")
    pull.first_totals.append(len(seen))


def _put_requests(client: VosoClient, landing: Landing, folder: str) -> None:
    landing.put(f"{folder}/requests.jsonl", b"".join(orjson.dumps(r) + b"\n" for r in client.requests))


def land_backlog(client: VosoClient, contract: Contract, day: date, landing: Landing, version: int) -> Delivery:
    """The history up to the end of ``day``, as the first day's delivery; see `land_bulk`."""
    return land_bulk(client, contract, day, landing, version, unit="", mode=contract.mode, is_backlog=True, window_until=business_day.end(day))


def land_bulk(client: VosoClient, contract: Contract, day: date, landing: Landing, version: int, **given: Any) -> Delivery:
    """All that the platform knows at the end of ``day`` through the bulk job (EXPORTS §10.9), parts checked by size, SHA-256 and declared rows.

    The delivery has the unit ``bulk`` and never stands for a day, unless ``given`` says otherwise. A failed job or a bad part fails the whole job; it
    is asked for once more, then DeliveryRefused (F03).
    """
    client.begin_step()
    now = client.now()
    ready = business_day.at(day + timedelta(days=1), COMPLETE_HOUR)
    if now < ready:
        raise NotReady(f"voso {contract.dataset} {day}: the bulk of that day is complete at {ready:%d/%m %H:%M}")
    whole: dict[str, Any] = {"unit": "bulk", "mode": "bulk", **given}
    why = ""
    for _ in range(2):
        try:
            job = _job(client, contract, day)
            folder = _folder(landing, contract.dataset, day, version, whole["unit"])
            parts = tuple(_part(client, landing, folder, p) for p in sorted(job.get("PARTS") or [], key=lambda p: int(p["NO"])))
            rows = sum(int(p["ROWS"]) for p in job.get("PARTS") or [])
            if job.get("ROWS") is not None and int(job["ROWS"]) != rows:
                raise _Restart(f"the job declares {job['ROWS']} rows, its parts {rows}")
            _put_requests(client, landing, folder)
            return Delivery(
                source="voso", dataset=contract.dataset, business_day=day, version=version,
                origin=f"bulk {contract.api['bulk']} AS_OF {day:%Y%m%d}", landing_path=folder, sha256=sha256_of_parts(parts),
                bytes=sum(p.bytes for p in parts), received_at=datetime.now(UTC), parts=parts, pulled_at=now,
                rows_declared=rows, declared={"job_id": job.get("JOB_ID")}, **whole,
            )  # fmt: skip
        except _Restart as error:
            why = str(error)
            log.warning("voso %s %s: bulk job failed: %s", contract.dataset, day, why)
    raise DeliveryRefused(
        "F03", f"voso {contract.dataset} {day}: the bulk job failed twice: {why}. The next run asks again; if it stays, ask Viettel Post.", True
    )


def _job(client: VosoClient, contract: Contract, day: date) -> dict[str, Any]:
    job = client.post("/export/bulk", {"DATASET": contract.api["bulk"], "AS_OF": f"{day:%Y%m%d}"}).data or {}
    job_id, waited, polls = job.get("JOB_ID"), 0.0, iter(BULK_POLLS_SECONDS)
    while job.get("STATUS") in ("QUEUED", "RUNNING"):
        if waited >= BULK_SECONDS:
            raise _Restart(f"job {job_id} is {job.get('STATUS')} after {BULK_SECONDS // 60} minutes")
        pause = next(polls, BULK_POLL_SECONDS)
        client._sleep(pause)
        waited += pause
        job = client.get(f"/export/bulk/{job_id}").data or {}
    if job.get("STATUS") != "DONE":
        raise _Restart(f"job {job_id} is {job.get('STATUS')}")
    return job


def _part(client: VosoClient, landing: Landing, folder: str, given: Mapping[str, Any]) -> Part:
    number = int(given["NO"])
    body, sha = client.download(str(given["URL"]))
    if sha != str(given["SHA256"]).lower() or (given.get("BYTES") is not None and int(given["BYTES"]) != len(body)):
        landing.put(f"{folder}/refused-{sha[:12]}-part-{number:05d}.jsonl.gz", body)
        raise _Restart(f"part {number} is damaged: {len(body):,} bytes came, {given.get('BYTES')} with SHA-256 {str(given['SHA256'])[:12]}… were declared")
    path = f"{folder}/part-{number:05d}.jsonl.gz"
    landing.put(path, body)
    return Part(number, path, f"part-{number:05d}.jsonl.gz", sha, len(body))
