"""HTTP and HTTPS listeners that can stop and start again on the same port, their certificates, and the trap."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from simulators.faults.answers import TRANSPORTS, Reachable, reset


def certificates(state: Path) -> dict[str, tuple[Path, Path]]:
    """Two self-signed certificates for 127.0.0.1 and localhost, `good` and `expired` (since yesterday); both are in https-ca.pem, so only the date is wrong."""
    now = datetime.now(UTC)
    made = {"good": (now - timedelta(days=1), now + timedelta(days=30)), "expired": (now - timedelta(days=400), now - timedelta(days=1))}
    found = {}
    for name, (first, last) in made.items():
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"export.voso.example {name}")])
        names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))])
        signed = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(first).not_valid_after(last).add_extension(names, False).add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
        )  # fmt: skip
        found[name] = state / f"https-{name}.pem", state / f"https-{name}.key"
        found[name][0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        found[name][1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        found[name][1].chmod(0o600)
    (state / "https-ca.pem").write_bytes(b"".join(found[n][0].read_bytes() for n in made))
    return found


class WebListener:
    """One application on one port."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        self.app, self.host, self.port = app, host, port
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, certificate: tuple[Path, Path] | None = None) -> None:
        """Listen, on the port of the first time."""
        listener = socket.create_server((self.host, self.port))
        self.port = listener.getsockname()[1]
        tls: Any = {"ssl_certfile": str(certificate[0]), "ssl_keyfile": str(certificate[1])} if certificate else {}
        config = uvicorn.Config(
            self.app,
            http=Reachable,
            log_level="critical",
            access_log=False,
            date_header=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
            **tls,
        )  # type: ignore[arg-type]
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        with contextlib.suppress(AttributeError):
            self._server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        self._task = asyncio.create_task(self._server.serve([listener]))
        while not self._server.started:
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Refuse, and cut who is there."""
        if self._server and self._task:
            self._server.should_exit = self._server.force_exit = True
            for transport in [t for t in TRANSPORTS.values() if (t.get_extra_info("sockname") or (None, None))[1] == self.port]:
                reset(transport)
            await self._task
            self._server = None


class Trap:
    """A port to which F63 sends: it keeps who came, and whether a token was shown, in a file."""

    def __init__(self, kept: Path) -> None:
        self.kept, self.port = kept, 0

    async def start(self, host: str) -> None:
        """Listen on a free port."""
        server = await asyncio.start_server(self._come, host, 0)
        self.port = server.sockets[0].getsockname()[1]
        self._server = server

    async def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
        with self.kept.open("a") as f:
            f.write(f"{head.split(b' HTTP')[0].decode(errors='replace')} token={'yes' if b'token:' in head.lower() else 'no'}\n")
        body = b'{"status":200,"error":false,"message":"OK","data":{"ITEMS":[],"PAGE_SIZE":100,"TOTAL":0,"NEXT_CURSOR":null,"HAS_MORE":false}}'
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )
        writer.close()
