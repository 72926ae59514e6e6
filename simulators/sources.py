"""The running pair of sources: its listeners, and the watch that brings them and the forms up to the clock and to the faults that are on."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from datetime import timedelta
from pathlib import Path

from simulators.clock import Clock
from simulators.faults import Switches
from simulators.faults.forms import REGISTERS
from simulators.faults.network import Wanted, wanted
from simulators.http_api import Api
from simulators.postmart import Outbox
from simulators.registers import Inbox
from simulators.sftp import SftpListener, host_key
from simulators.web import Trap, WebListener, certificates

WATCH_SECONDS, SETTLE_SECONDS = 0.05, 60


def settle(state: Path) -> None:
    """Wait until a running server has seen clock and faults as they are now; without one there is nothing to wait for."""
    try:
        command = Path(f"/proc/{json.loads((state / 'endpoints.json').read_text())['pid']}/cmdline").read_bytes()
    except OSError:
        return
    if b"simulators" not in command:  # the number is somebody else's by now
        return
    deadline = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < deadline:
        try:
            if (state / "seen.json").read_text() == _state(state):
                return
        except FileNotFoundError:
            pass
        time.sleep(WATCH_SECONDS / 2)


def _state(state: Path) -> str:
    """Clock and switches as they are written."""
    return json.dumps([(state / name).read_text() if (state / name).exists() else "" for name in ("clock.json", "faults.json")])


class Sources:
    """Postmart's SFTP, Vỏ Sò's HTTP and HTTPS, the districts' inbox."""

    def __init__(self, state: Path, clock: Clock, switches: Switches, outbox: Outbox, api: Api, inbox: Inbox | None, a: argparse.Namespace) -> None:
        self.state, self.clock, self.switches, self.outbox, self.api, self.inbox, self.a = state, clock, switches, outbox, api, inbox, a
        key = Path(a.authorized_key) if a.authorized_key else None
        self.sftp = SftpListener(outbox, clock, state, a.host, a.sftp_port, a.user, a.password, key, switches.on)
        app = api.app()
        self.http, self.https = WebListener(app, a.host, a.http_port), WebListener(app, a.host, a.https_port)
        self.trap, self.certificates = Trap(state / "trapped"), certificates(state)
        self.now = Wanted(sftp=True, http=True)
        self._forms: object = None

    async def start(self) -> asyncio.Task[None]:
        """Listen, write endpoints.json, and watch."""
        await self.sftp.start()
        await self.http.start()
        await self.https.start(self.certificates["good"])
        await self.trap.start(self.a.host)
        self.api.trap = f"http://{self._host}:{self.trap.port}"
        await self.bring()
        partial = self.state / "endpoints.json.part"
        login = {"username": self.a.user, "password": self.a.password}
        host = self._host
        endpoints = {
            "sftp": {"host": host, "port": self.sftp.port, **login, "host_key": host_key(self.state).export_public_key().decode().strip()},
            "http": {"base_url": f"http://{host}:{self.http.port}/v1", "host": host, "port": self.http.port, **login},
            "https": {"base_url": f"https://{host}:{self.https.port}/v1", "host": host, "port": self.https.port, **login, "ca": str(self.state / "https-ca.pem")},
            "trap": {"port": self.trap.port, "kept": str(self.state / "trapped")}, "pid": os.getpid(),
        }  # fmt: skip
        partial.write_text(json.dumps(endpoints))
        partial.chmod(0o600)
        os.replace(partial, self.state / "endpoints.json")
        print(f"Postmart: sftp://{host}:{self.sftp.port}/langson/outbox  Vỏ Sò: http://{host}:{self.http.port}/v1  clock: {self.clock.now()}", flush=True)
        return asyncio.create_task(self._watch())

    @property
    def _host(self) -> str:
        return "127.0.0.1" if self.a.host == "0.0.0.0" else self.a.host

    async def _watch(self) -> None:
        seen = ""
        while True:
            now = _state(self.state)
            if now != seen:
                await self.bring()
                (self.state / "seen.json").write_text(now)
                seen = now
            await asyncio.sleep(WATCH_SECONDS)

    async def bring(self) -> None:
        """Listeners and forms as clock and faults want them."""
        today, on = self.clock.now().date(), self.switches.on()
        want = wanted(on, today - timedelta(days=1))
        if (want.sftp, want.other_host_key) != (self.now.sftp, self.now.other_host_key):
            await self.sftp.stop()
            if want.sftp:
                await self.sftp.start("other_host_key" if want.other_host_key else "host_key")
        if want.http != self.now.http:
            await (self.http.start() if want.http else self.http.stop())
        if (want.http, want.expired) != (self.now.http, self.now.expired):
            await self.https.stop()
            if want.http:
                await self.https.start(self.certificates["expired" if want.expired else "good"])
        self.now = want
        forms = today, tuple(f for f in on if f.dataset in REGISTERS)
        if self.inbox and forms != self._forms:
            await asyncio.to_thread(self.inbox.refresh, *forms)
            self._forms = forms

    async def stop(self) -> None:
        """Stop listening."""
        await self.sftp.stop()
        await self.http.stop()
        await self.https.stop()
