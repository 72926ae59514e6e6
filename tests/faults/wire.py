"""A TCP proxy in front of PostgreSQL that knows where a client's commits lie: it kills or cuts exactly there.

Nothing in the code under test knows of it. It reads the frontend/backend protocol (PostgreSQL manual, chapter "Message Formats"), so it sees the
commits of every driver alike: psycopg 3 of the library, psycopg 2 of dbt, SQLAlchemy of Great Expectations. A commit boundary is a transaction,
or a statement outside of one, that writes. A commit that somebody adds to the pipeline tomorrow is counted tomorrow.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from psycopg.conninfo import conninfo_to_dict, make_conninfo

_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102
_COMMENT = re.compile(r"\s*(/\*.*?\*/|--[^\n]*(\n|$))", re.S)
_READS = re.compile(
    r"(select|show|set|reset|begin|start|commit|end|rollback|abort|savepoint|release|discard|deallocate|declare|fetch|close|explain|values)\b|$", re.I
)
_WRITES_INSIDE = re.compile(r"\b(insert\s+into|update|delete\s+from)\b", re.I)
_TEMPORARY = re.compile(r"(create\s+(local\s+|global\s+)?temp(orary)?|drop\s+table\s+(if\s+exists\s+)?pg_temp)\b", re.I)


def _bare(statement: str) -> str:
    """Without leading comments (dbt signs its statements with one)."""
    while (found := _COMMENT.match(statement)) is not None:
        statement = statement[found.end() :]
    return statement.strip()


def writes(statement: str) -> bool:
    """Whether a statement leaves something behind that outlives its session."""
    bare = _bare(statement)
    if bare[:4].lower() == "with":
        return bool(_WRITES_INSIDE.search(bare))
    return not _READS.match(bare) and not _TEMPORARY.match(bare) and not bare.lower().startswith("analyze")


@dataclass
class Plan:
    """Where to strike. ``at``: number of the commit, from 1; ``side``: before it reaches the server, or after the server has done it and before
    the client is told; ``copied``: in the middle of COPY, after that many bytes of rows; ``sent``: after so many bytes of a client in all."""

    strike: Callable[[], None]
    at: int | None = None
    side: str = "after"
    copied: int | None = None
    sent: int | None = None
    statement: re.Pattern[str] | None = None  # while the server works on the first statement that it fits


@dataclass
class _Session:
    client: socket.socket
    server: socket.socket
    status: str = "I"
    prepared: dict[str, str] = field(default_factory=dict)
    wrote: str = ""  # the first writing statement since the last commit
    number: int = 0  # of the commit that is under way
    undone: bool = False  # ROLLBACK, or an error outside a transaction
    copied: int = 0
    sent: int = 0
    during: str = ""  # the statement that the plan waits for has gone to the server


class Wire:
    """``dsn`` leads through the proxy to ``target``; `points` names the commits that went through since the last `arm`."""

    def __init__(self, target: str) -> None:
        info = conninfo_to_dict(target)
        self._to = (str(info["host"]), int(info["port"]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.dsn = make_conninfo(target, port=self._listener.getsockname()[1], sslmode="disable", gssencmode="disable")
        self._lock, self._sessions = threading.Lock(), set[int]()
        self._plan: Plan | None = None
        self.points: list[str] = []
        self.struck: str | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def to(self, dbname: str) -> str:
        """DSN of another database through the proxy."""
        return make_conninfo(self.dsn, dbname=dbname)

    def arm(self, plan: Plan | None = None) -> None:
        """Begin to count anew, and strike where ``plan`` says, once."""
        with self._lock:
            self._plan, self.points, self.struck = plan, [], None

    def close(self) -> None:
        self._listener.close()

    # ---- forwarding ----

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._open, args=(client,), daemon=True).start()

    def _open(self, client: socket.socket) -> None:
        try:
            while True:
                head = _exactly(client, 8)
                length, code = struct.unpack("!II", head)
                if code not in (_SSL, _GSS):
                    break
                client.sendall(b"N")
            server = socket.create_connection(self._to)
        except (OSError, EOFError):
            client.close()
            return
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        session = _Session(client, server)
        try:
            server.sendall(head + _exactly(client, length - 8))
        except (OSError, EOFError):
            _drop(session)
            return
        for source, target, look in ((client, server, self._from_client), (server, client, self._from_server)):
            threading.Thread(target=self._pump, args=(session, source, target, look), daemon=True).start()

    def _pump(self, session: _Session, source: socket.socket, target: socket.socket, look: Callable[[_Session, bytes, bytes], bool]) -> None:
        waiting = b""
        try:
            while chunk := source.recv(1 << 17):
                waiting += chunk
                at = 0
                while len(waiting) - at >= 5:
                    end = at + 1 + struct.unpack_from("!I", waiting, at + 1)[0]
                    if len(waiting) < end:
                        break
                    if not look(session, waiting[at : at + 1], waiting[at + 5 : end]):
                        return
                    kind, at = waiting[at : at + 1], end
                    if self._plan:
                        target.sendall(waiting[:at])  # one by one: what comes before a strike has gone out
                        waiting, at = waiting[at:], 0
                        if session.during and target is session.server and kind in (b"Q", b"S"):
                            time.sleep(0.05)
                            if not self._strike(f"during {session.during}"):
                                return
                target.sendall(waiting[:at])
                waiting = waiting[at:]
        except OSError:
            pass
        finally:
            _drop(session)

    # ---- what goes by ----

    def _from_client(self, s: _Session, kind: bytes, body: bytes) -> bool:
        plan = self._plan
        s.sent += len(body) + 5
        if plan and plan.sent is not None and s.sent >= plan.sent:
            return self._strike(f"after {s.sent:,} bytes")
        if kind == b"Q":
            return self._statement(s, body.rstrip(b"\0").decode(errors="replace"))
        if kind == b"P":
            name, text = body.split(b"\0", 2)[:2]
            s.prepared[name.decode()] = text.decode(errors="replace")
        elif kind == b"B":
            name = body.split(b"\0", 2)[1].decode()
            return self._statement(s, s.prepared.get(name, ""))
        elif kind == b"d":
            s.copied += len(body)
            if plan and plan.copied is not None and s.copied >= plan.copied:
                return self._strike(f"in the middle of COPY, after {s.copied:,} bytes")
        return True

    def _statement(self, s: _Session, text: str) -> bool:
        plan = self._plan
        if plan and plan.statement and plan.statement.search(text):
            s.during = _line(text)
        bare = _bare(text).lower()
        if bare.startswith(("rollback", "abort")) and not re.match(r"rollback\s+(work\s+|transaction\s+)?to\b", bare):
            s.undone = True
            return True
        is_commit = s.status != "I" and bare.startswith(("commit", "end"))
        if writes(text) and not s.wrote:
            s.wrote, s.copied = text, 0
        if s.wrote and not s.number and (is_commit or (s.status == "I" and writes(text))):
            with self._lock:
                self.points.append(_line(s.wrote))
                s.number = len(self.points)
                hit = plan is not None and plan.at == s.number and plan.side == "before"
            if hit:
                return self._strike(f"before commit {s.number}: {_line(s.wrote)}")
        return True

    def _from_server(self, s: _Session, kind: bytes, body: bytes) -> bool:
        if kind == b"E" and s.status == "I":
            s.undone = True
        elif kind == b"Z":
            s.status = body.decode()
            if s.status == "I":
                number, wrote, undone = s.number, s.wrote, s.undone
                s.number, s.wrote, s.undone = 0, "", False
                plan = self._plan
                if number and not undone and plan and plan.at == number and plan.side == "after":
                    return self._strike(f"after commit {number}: {_line(wrote)}")
        return True

    def _strike(self, where: str) -> bool:
        with self._lock:
            plan, self._plan = self._plan, None
            if plan is None:
                return True
            self.struck = where
        plan.strike()
        return False


def _line(statement: str) -> str:
    return " ".join(_bare(statement).split())[:90]


def _exactly(s: socket.socket, n: int) -> bytes:
    got = b""
    while len(got) < n:
        chunk = s.recv(n - len(got))
        if not chunk:
            raise EOFError
        got += chunk
    return got


def _drop(session: _Session) -> None:
    """Cut both sides, without a goodbye."""
    for s in (session.client, session.server):
        try:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        s.close()
