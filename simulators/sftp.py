"""The outbox over SFTP (asyncssh): one user, password or key, chrooted; a new session sees what the clock has brought."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh

from simulators.clock import Clock
from simulators.faults import Fault
from simulators.faults.answers import reset
from simulators.faults.network import Logins, holds
from simulators.postmart import Outbox


def host_key(state: Path, name: str = "host_key") -> asyncssh.SSHKey:
    """One of the server's ed25519 keys; made once per state folder."""
    path = state / name
    if not path.exists():
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(path))
        path.chmod(0o600)
    return asyncssh.read_private_key(str(path))


class SftpListener:
    """Listens, stops, and listens again on the same port, with one host key or the other."""

    def __init__(
        self, outbox: Outbox, clock: Clock, state: Path, host: str, port: int, username: str, password: str, authorized: Path | None,
        on: Callable[[], Sequence[Fault]],
    ) -> None:  # fmt: skip
        self.outbox, self.clock, self.state, self.host, self.port = outbox, clock, state, host, port
        self.username, self.authorized, self.on = username, authorized, on
        self.logins = Logins(password)
        self.reads: dict[str, int] = {}
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None

    async def start(self, key: str = "host_key") -> None:
        """Listen with a host key; on the port of the first time."""
        files = _files(self)
        self._acceptor = await asyncssh.listen(
            self.host, self.port, server_host_keys=[host_key(self.state, key)], server_factory=lambda: _Login(self), sftp_factory=files, allow_scp=False,
            authorized_client_keys=str(self.authorized) if self.authorized else None, reuse_address=True,
        )  # fmt: skip
        self.port = self._acceptor.get_port()

    async def stop(self) -> None:
        """Refuse, and cut who is there."""
        for connection in list(self.connections):
            connection.abort()
        if self._acceptor:
            self._acceptor.close()
            await self._acceptor.wait_closed()
            self._acceptor = None

    def damage(self, path: str) -> Fault | None:
        """F57, F58 or F59 of the file that is opened; as often as it may strike."""
        for f in self.on():
            if f.name in ("F57", "F58", "F59") and f"_{f.dataset}_{f.day:%Y%m%d}_" in path:
                self.reads[f.sign] = self.reads.get(f.sign, 0) + 1
                if not f.times or self.reads[f.sign] <= f.times:
                    return f
        self.reads = {k: n for k, n in self.reads.items() if k in {f.sign for f in self.on()}}
        return None


class _Login(asyncssh.SSHServer):
    def __init__(self, listener: SftpListener) -> None:
        self._l = listener

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._conn = conn
        self._l.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._l.connections.discard(self._conn)

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        fetching = self._l.clock.now().date() - timedelta(days=1)
        return username == self._l.username and self._l.logins.good(password, self._l.on(), fetching)


def _files(listener: SftpListener) -> type[asyncssh.SFTPServer]:
    class Files(asyncssh.SFTPServer):
        def __init__(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
            listener.outbox.refresh(listener.clock.now())
            self._damaged: dict[Any, Fault] = {}
            super().__init__(chan, chroot=str(listener.outbox.root).encode())

        def open(self, path: bytes, pflags: int, attrs: asyncssh.SFTPAttrs) -> Any:
            """Open a file; F54 `disk`: no space to write."""
            full = holds(listener.on(), "F54", listener.clock.now().date() - timedelta(days=1), "POSTMART")
            if pflags & asyncssh.FXF_WRITE and full and full.value == "disk":
                raise OSError(errno.ENOSPC, "No space left on device")
            opened = super().open(path, pflags, attrs)
            if not pflags & asyncssh.FXF_WRITE and (f := listener.damage(path.decode())):
                self._damaged[opened] = f
            return opened

        async def read(self, file_obj: Any, offset: int, size: int) -> bytes:
            """F57: nothing for `value` (5) seconds, then the end. F58: `value` (200) bytes, then a reset. F59: half of the file."""
            f = self._damaged.get(file_obj)
            if f is None:
                return bytes(super().read(file_obj, offset, size))  # type: ignore[arg-type]
            if f.name == "F59":
                half = _size(file_obj) // 2
                return bytes(super().read(file_obj, offset, max(0, min(size, half - offset))))  # type: ignore[arg-type]
            if f.name == "F58" and offset < f.number(200):
                return bytes(super().read(file_obj, offset, min(size, f.number(200) - offset)))  # type: ignore[arg-type]
            await asyncio.sleep(f.number(5) if f.name == "F57" else 0)
            reset(self.channel.get_connection())
            return b""

        def close(self, file_obj: Any) -> None:
            """Forget the damage too."""
            self._damaged.pop(file_obj, None)
            super().close(file_obj)

    return Files


def _size(file_obj: Any) -> int:
    import os

    return os.fstat(file_obj.fileno()).st_size
