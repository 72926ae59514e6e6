"""The outbox over SFTP (asyncssh): one user, password or key, chrooted; a new session sees what the clock has brought."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncssh

from simulators.clock import Clock
from simulators.postmart import Outbox


def host_key(state: Path) -> asyncssh.SSHKey:
    """The server's ed25519 key; made once per state folder."""
    path = state / "host_key"
    if not path.exists():
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(path))
        path.chmod(0o600)
    return asyncssh.read_private_key(str(path))


class _Login(asyncssh.SSHServer):
    def __init__(self, username: str, password: str) -> None:
        self._username, self._password = username, password

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return username == self._username and password == self._password


async def serve(outbox: Outbox, clock: Clock, state: Path, host: str, port: int, username: str, password: str, authorized: Path | None) -> Any:
    """Listen; gives the listener."""

    class Files(asyncssh.SFTPServer):
        def __init__(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
            outbox.refresh(clock.now())
            super().__init__(chan, chroot=str(outbox.root).encode())

    return await asyncssh.listen(
        host, port, server_host_keys=[host_key(state)], server_factory=lambda: _Login(username, password), sftp_factory=Files, allow_scp=False,
        authorized_client_keys=str(authorized) if authorized else None, reuse_address=True,
    )  # fmt: skip
