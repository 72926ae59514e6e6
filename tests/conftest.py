"""One embedded PostgreSQL for the whole session; a database of its own, migrated, for each test that asks for `db`."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from kinhteso.local.postgres import EmbeddedPostgres
from psycopg.conninfo import make_conninfo

# A red `make test` is red again; what chance finds is looked for with `pytest --hypothesis-profile=explore`.
settings.register_profile("kinhteso", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("kinhteso")

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
        server = EmbeddedPostgres(home)
        dsn = server.start()
        try:
            yield dsn
        finally:
            server.stop()
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


@pytest.fixture(scope="module")
def shared_db(postgres: str, template: str) -> Iterator[psycopg.Connection]:
    """One migrated warehouse for a whole file: making one takes longer than most tests. What a test writes it has to roll back."""
    from kinhteso import warehouse

    name = f"kinhteso_shared_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template}")  # type: ignore[arg-type]
    with warehouse.connect(make_conninfo(postgres, dbname=name), "kinhteso test") as conn:
        yield conn
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)")  # type: ignore[arg-type]


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
