"""Faults of the network and of the login, over real sockets: while the day is being fetched, and not before, after, or when switched off."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import asyncssh
import httpx
import pytest
from served import Served, simulators

from simulators import faults
from simulators.clock import Clock
from simulators.faults import Switches
from simulators.sources import settle

DAY = "2021-09-14"
ORDERS = "/langson/outbox/20210914/PM_LSN_DONHANG_20210914_v1.xlsx"


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with simulators(tmp_path_factory.mktemp("network") / "state") as s:
        yield s


@pytest.fixture()
def on(served: Served) -> Iterator[Callable[..., None]]:
    """Switch on, and set the clock: the morning in which the day is fetched unless told."""

    def switch(text: str, moment: str = "2021-09-15T06:00") -> None:
        Clock.set(served.state, datetime.fromisoformat(moment))
        Switches(served.state).set(faults.parse(text))
        settle(served.state)

    yield switch
    switch("")


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except ConnectionRefusedError:
        return True
    return False


def host_key(s: Served) -> str:
    async def ask() -> str:
        key = await asyncssh.get_server_host_key(s.sftp["host"], s.sftp["port"])
        return key.export_public_key().decode().strip()

    return asyncio.run(ask())


def fetch(s: Served, path: str = ORDERS, password: str = "demo-password", *, write: bool = False) -> tuple[bytes, int]:
    """A file over SFTP, and the size that the server states; or writes one."""

    async def get() -> tuple[bytes, int]:
        async with (
            asyncssh.connect(s.sftp["host"], s.sftp["port"], username="langson", password=password, known_hosts=None) as c,
            c.start_sftp_client() as sftp,
        ):
            async with sftp.open(path, "wb" if write else "rb") as f:
                if write:
                    await f.write(b"{}")
                    return b"", 0
                return await f.read(), (await sftp.stat(path)).size

    async def patiently() -> tuple[bytes, int]:
        return await asyncio.wait_for(get(), 3)

    return asyncio.run(patiently())


def fails(ask: Callable[[], object], *kinds: type[BaseException]) -> bool:
    try:
        ask()
    except kinds:
        return True
    return False


def endpoints(s: Served) -> dict:
    return json.loads((s.state / "endpoints.json").read_text())


def test_a_port_refuses_and_answers_again(served: Served, on: Callable[..., None]):
    client = served.client()
    on(f"F56@{DAY},F56@{DAY}:POSTMART")
    assert refuses(served.http["port"]) and refuses(served.sftp["port"]) and refuses(endpoints(served)["https"]["port"])
    assert fails(lambda: client.get("/export/time"), httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)
    on(f"F56@{DAY},F56@{DAY}:POSTMART", "2021-09-16T06:00")
    assert not refuses(served.http["port"]) and not refuses(served.sftp["port"])
    on("F56@2021-09-14")
    assert refuses(served.http["port"]) and not refuses(served.sftp["port"])
    on("")
    assert not refuses(served.http["port"])
    assert fetch(served)[0].startswith(b"PK") and served.client().get("/export/time").status_code == 200


def test_a_source_is_gone_for_days(served: Served, on: Callable[..., None]):
    seen = []
    for day in (14, 15, 16, 17):
        on(f"F66@{DAY}:POSTMART=2", f"2021-09-{day}T06:00")
        seen.append(refuses(served.sftp["port"]))
    assert seen == [False, True, True, False]
    assert not refuses(served.http["port"])


def test_the_host_key_changes_and_comes_back(served: Served, on: Callable[..., None]):
    on("")
    assert host_key(served) == served.sftp["host_key"]
    on(f"F54@{DAY}")
    assert host_key(served) != served.sftp["host_key"]
    on(f"F54@{DAY}", "2021-09-16T06:00")
    assert host_key(served) == served.sftp["host_key"]


def test_the_disk_of_the_supplier_is_full(served: Served, on: Callable[..., None]):
    ack = "/langson/inbox/PM_LSN_20210914_v1.ack"
    on(f"F54@{DAY}:POSTMART=disk")
    assert host_key(served) == served.sftp["host_key"]
    assert fails(lambda: fetch(served, ack, write=True), asyncssh.SFTPError)
    assert "PM_LSN_20210914_v1.ok" not in asyncio.run(served.listing("20210914"))
    on("")
    fetch(served, ack, write=True)
    assert "PM_LSN_20210914_v1.ok" in asyncio.run(served.listing("20210914"))


def test_a_file_that_hangs_is_cut_or_ends_early(served: Served, on: Callable[..., None]):
    on("")
    whole, size = fetch(served)
    assert len(whole) == size
    cut = (asyncssh.Error, OSError, TimeoutError)
    on(f"F57@{DAY}:DONHANG=4")
    begun = time.monotonic()
    assert fails(lambda: fetch(served), *cut) and time.monotonic() - begun >= 3
    assert fetch(served) == (whole, size)  # once
    on(f"F58@{DAY}:DONHANG=200*2")
    assert fails(lambda: fetch(served), *cut) and fails(lambda: fetch(served), *cut)
    assert fetch(served) == (whole, size)
    on(f"F59@{DAY}:DONHANG")
    assert fetch(served) == (whole[: size // 2], size)
    assert fetch(served) == (whole, size)
    on(f"F59@{DAY}:GIANHANG*0")
    assert fetch(served) == (whole, size)


def test_a_login_is_refused(served: Served, on: Callable[..., None]):
    on(f"F34@{DAY}:POSTMART")
    assert fails(lambda: fetch(served), asyncssh.PermissionDenied)
    on(f"F34@{DAY}:POSTMART", "2021-09-16T06:00")
    assert fetch(served)[0]


def test_the_password_changes_after_a_login(served: Served, on: Callable[..., None]):
    on(f"F61@{DAY}:POSTMART")
    assert fetch(served)[0]
    assert fails(lambda: fetch(served), asyncssh.PermissionDenied)
    assert fetch(served, password="demo-password-new")[0]
    on("")
    assert fetch(served)[0] and fails(lambda: fetch(served, password="demo-password-new"), asyncssh.PermissionDenied)


def test_a_redirect_leads_into_the_trap(served: Served, on: Callable[..., None]):
    on("")
    c = served.client()
    on(f"F63@{DAY}:STORES*1")
    answer = c.get("/export/stores")
    target = httpx.URL(answer.headers["location"])
    kept = Path(endpoints(served)["trap"]["kept"])
    assert answer.status_code == 302 and target.port == endpoints(served)["trap"]["port"] != served.http["port"] and not kept.exists()
    assert c.get("/export/stores").status_code == 200
    httpx.get(target, headers={"Token": "secret"})
    assert kept.read_text() == "GET /v1/export/stores token=yes\n"


def test_a_certificate_ends(served: Served, on: Callable[..., None]):
    on("")
    https = endpoints(served)["https"]
    trust = ssl.create_default_context(cafile=https["ca"])
    body = {"USERNAME": "langson", "PASSWORD": "demo-password"}

    def login() -> httpx.Response:
        return httpx.post(f"{https['base_url']}/user/Login", json=body, verify=trust)

    assert login().json()["data"]["token"]
    on(f"F64@{DAY}")
    with pytest.raises(httpx.ConnectError, match="certificate has expired"):
        login()
    assert served.client().get("/export/time").status_code == 200  # HTTP is as it was
    on(f"F64@{DAY}", "2021-09-16T06:00")
    assert login().json()["data"]["token"]
