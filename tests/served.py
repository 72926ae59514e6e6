"""Simulators as processes of their own, on free ports, with a clock that a test moves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import httpx

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Served:
    """A running pair of simulators."""

    state: Path
    sftp: dict
    http: dict

    def clock(self, moment: str) -> None:
        """Move the sources' clock."""
        subprocess.run([sys.executable, "-m", "simulators", "clock", "--state", str(self.state), moment], check=True, cwd=ROOT)

    def refused_logins(self) -> int:
        """How many logins the export API has refused."""
        path = self.state / "refused-logins"
        return len(path.read_text().splitlines()) if path.exists() else 0

    async def listing(self, folder: str) -> list[str]:
        """Names in a folder of the outbox; empty where there is none."""
        async with asyncssh.connect(self.sftp["host"], self.sftp["port"], username="langson", password="demo-password", known_hosts=None) as c:
            async with c.start_sftp_client() as sftp:
                path = f"/langson/outbox/{folder}"
                return sorted(n for n in await sftp.listdir(path) if n not in (".", "..")) if await sftp.exists(path) else []

    async def read(self, path: str) -> bytes:
        """Bytes of a file of the outbox."""
        async with asyncssh.connect(self.sftp["host"], self.sftp["port"], username="langson", password="demo-password", known_hosts=None) as c:
            async with c.start_sftp_client() as sftp, sftp.open(f"/langson/outbox/{path}", "rb") as f:
                return await f.read()

    def client(self) -> httpx.Client:
        """A logged-in client of the export API."""
        base = self.http["base_url"]
        body = {"USERNAME": self.http["username"], "PASSWORD": self.http["password"]}
        short = httpx.post(f"{base}/user/Login", json=body).json()["data"]["token"]
        token = httpx.post(f"{base}/user/ownerconnect", json=body, headers={"Token": short}).json()["data"]["token"]
        return httpx.Client(base_url=base, headers={"Token": token})


@contextmanager
def simulators(state: Path, *options: str) -> Iterator[Served]:
    """Simulators (small world unless the options say otherwise), stopped at the end."""
    command = [sys.executable, "-m", "simulators", "serve", "--world", "small", "--state", str(state), *options]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        deadline = time.monotonic() + 120
        while not (state / "endpoints.json").exists():
            assert process.poll() is None, process.stdout.read()
            assert time.monotonic() < deadline, "the simulators did not start in 120 s"
            time.sleep(0.05)
        e = json.loads((state / "endpoints.json").read_text())
        yield Served(state, e["sftp"], e["http"])
    finally:
        process.terminate()
        ended = process.wait(10)
    assert ended == 0
