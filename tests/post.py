"""A mail server and a webhook of our own on loopback: what they are sent is kept."""

from __future__ import annotations

import json
import logging
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Post:
    """Both servers; ``is_down``: the mail server refuses and the webhook answers 500."""

    smtp_port: int = 0
    http_port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    beats: int = 0
    smtp_down: bool = False
    http_down: bool = False
    paths: list[str] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        """The settings that lead alerts here."""
        smtp = {"conn_type": "smtp", "host": "127.0.0.1", "port": self.smtp_port,
                "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "kinhteso@example.vn", "retry_limit": 0, "timeout": 5}}  # fmt: skip
        return {
            "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(smtp),
            "KINHTESO_ALERT_TO": "truc@example.vn, lanh-dao@example.vn",
            "AIRFLOW_CONN_ALERT_WEBHOOK": json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{self.http_port}/services/secret-token-abc"}),
            "AIRFLOW_CONN_ALERT_HEARTBEAT": json.dumps({"conn_type": "http", "host": f"http://127.0.0.1:{self.http_port}/beat"}),
        }

    def words(self) -> list[str]:
        """Subject and body of every mail."""
        return [f"{m['subject']}\n{body_of(m)}" for m in self.mails]


def body_of(mail: EmailMessage) -> str:
    """The readable part of a mail."""
    return "".join(part.get_content() for part in mail.walk() if part.get_content_maintype() == "text")


@contextmanager
def listening(*names: str) -> Iterator[list[str]]:
    """What these loggers say, whoever has set up logging (Airflow's import does)."""
    said: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    handler, loggers = Keep(), [logging.getLogger(n) for n in names]
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield said
    finally:
        for logger in loggers:
            logger.removeHandler(handler)


@contextmanager
def post() -> Iterator[Post]:
    """Servers that run until the end of the block."""
    kept = Post()

    class Smtp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            say = lambda line: self.wfile.write(f"{line}\r\n".encode())
            if kept.smtp_down:
                say("421 down")
                return
            say("220 test")
            while line := self.rfile.readline():
                verb = line.strip().upper()[:4]
                if verb == b"DATA":
                    say("354 go on")
                    body = b""
                    while (part := self.rfile.readline()) not in (b".\r\n", b""):
                        body += part[1:] if part.startswith(b"..") else part
                    kept.mails.append(message_from_bytes(body, policy=policy.default))  # type: ignore[arg-type]
                say("221 bye" if verb == b"QUIT" else "250 ok")
                if verb == b"QUIT":
                    return

    class Http(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.paths.append(self.path)
            if not kept.http_down:
                kept.posts.append(json.loads(body))
            self.send_response(500 if kept.http_down else 200)
            self.end_headers()

        def do_GET(self) -> None:
            kept.beats += self.path == "/beat"
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    smtp, http = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp), ThreadingHTTPServer(("127.0.0.1", 0), Http)
    smtp.daemon_threads = True
    kept.smtp_port, kept.http_port = smtp.server_address[1], http.server_address[1]
    for server in (smtp, http):
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield kept
    finally:
        for server in (smtp, http):
            server.shutdown()
            server.server_close()
