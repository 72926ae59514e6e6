"""One embedded PostgreSQL for the whole session; a database of its own, migrated, for each test that asks for `db`."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import settings
from kinhteso import building
from kinhteso.local.postgres import EmbeddedPostgres
from psycopg.conninfo import conninfo_to_dict, make_conninfo

# A red `make test` is red again; what chance finds is looked for with `pytest --hypothesis-profile=explore`.
settings.register_profile("kinhteso", derandomize=True, deadline=None, database=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("kinhteso")

_numbers = itertools.count(1)

#: Files that take longest, longest first: two processes that take a file each (`--dist loadfile`) end together when the short ones come last.
LONGEST = (
    "faults/test_sources", "e2e/test_days", "e2e/test_replay", "warehouse/test_as_published", "faults/test_process_kill", "e2e/test_reconciliation",
    "warehouse/test_incremental", "faults/test_schedules", "faults/test_process_database", "warehouse/test_restating", "e2e/test_alerts",
    "faults/test_process_host", "faults/test_process_runs", "warehouse/test_explaining", "warehouse/test_publishing", "faults/test_more_days",
    "warehouse/test_dbt_unit", "e2e/test_truth", "warehouse/test_restore", "warehouse/test_suppression", "faults", "warehouse", "simulators", "dags",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first; within a file the order stays."""
    folder = Path(__file__).parent

    def place(item: pytest.Item) -> int:
        name = item.path.relative_to(folder).with_suffix("").as_posix()
        return next((n for n, part in enumerate(LONGEST) if name == part or name.startswith(f"{part}/")), len(LONGEST))

    items.sort(key=place)


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


@pytest.fixture(scope="session", autouse=True)
def parsed_before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A state folder without a parsed project begins with what dbt parsed last for a database of that name, as the one in production does: parsing
    anew takes longer than a build. dbt itself parses what has changed since; for another database everything (`test_parsing`)."""
    kept, run = tmp_path_factory.mktemp("parsed"), building.run_dbt

    def run_dbt(dsn: str, arguments: list[str], state_dir: Path) -> Any:
        parsed, last = state_dir / "target" / "partial_parse.msgpack", kept / str(conninfo_to_dict(dsn)["dbname"])
        if last.exists() and not parsed.exists():
            parsed.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(last, parsed)
        result = run(dsn, arguments, state_dir)
        if parsed.exists() and not last.exists():
            shutil.copy(parsed, last)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "run_dbt", run_dbt)
        yield


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


@contextmanager
def fresh(postgres: str, template: str, name: str) -> Iterator[str]:
    """DSN of a database of that name, a copy of the template, that is dropped afterwards. The same name each time: dbt parses anew for another one."""
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"drop database if exists {name} with (force)")  # type: ignore[arg-type]
        admin.execute(f"create database {name} template {template}")  # type: ignore[arg-type]
    yield make_conninfo(postgres, dbname=name)
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"drop database if exists {name} with (force)")  # type: ignore[arg-type]


@pytest.fixture()
def warehouse_dsn(postgres: str, template: str) -> Iterator[str]:
    """DSN of a fresh, migrated warehouse that is dropped afterwards."""
    with fresh(postgres, template, f"kinhteso_test_{os.getpid()}") as dsn:
        yield dsn


@pytest.fixture(scope="module")
def module_dsn(postgres: str, template: str) -> Iterator[str]:
    """DSN of a fresh, migrated warehouse that the tests of a file share."""
    with fresh(postgres, template, f"kinhteso_module_{os.getpid()}") as dsn:
        yield dsn


@pytest.fixture()
def db(warehouse_dsn: str) -> Iterator[psycopg.Connection]:
    """Connection to a fresh, migrated warehouse."""
    from kinhteso import warehouse

    with warehouse.connect(warehouse_dsn, "kinhteso test") as conn:
        yield conn
