"""The warehouse comes to have its tables: side by side, again, in a copy, and never by an edited migration."""

import threading

import psycopg
import pytest
from kinhteso import warehouse
from psycopg import sql
from psycopg.conninfo import make_conninfo


@pytest.fixture()
def empty(postgres):
    """DSN of a database that nobody has migrated."""
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute("create database kinhteso_empty")
    yield make_conninfo(postgres, dbname="kinhteso_empty")
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute("drop database kinhteso_empty with (force)")


def side_by_side(dsn: str, tasks: int = 8) -> list[str]:
    """Errors of that many tasks that migrate at the same moment."""
    errors, start = [], threading.Barrier(tasks)

    def task() -> None:
        with warehouse.connect(dsn) as conn:
            start.wait()
            try:
                warehouse.migrate(conn)
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=task) for _ in range(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


def test_tasks_that_start_together_do_not_meet_in_the_catalogue(empty):
    assert side_by_side(empty) == []
    with warehouse.connect(empty) as conn:
        conn.execute("delete from ops.migration where name = 'state'")
    assert side_by_side(empty) == [], "all of it again, with everything in place"


def test_a_second_migration_writes_nothing(empty):
    touched = """select (select xmin::text from pg_database where datname = current_database()),
                        (select xmin::text from pg_namespace where nspname = 'bi'), (select max(xmin::text::bigint) from ops.migration)"""
    with warehouse.connect(empty) as conn:
        assert warehouse.migrate(conn)
        before = conn.execute(touched).fetchone()
        assert warehouse.migrate(conn) == []
        assert conn.execute(touched).fetchone() == before


def test_a_copy_of_the_database_gets_the_reader_s_settings(postgres, empty):
    with warehouse.connect(empty) as conn:
        warehouse.migrate(conn)
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute("create database kinhteso_restored template kinhteso_empty")
    try:
        with warehouse.connect(make_conninfo(postgres, dbname="kinhteso_restored")) as conn:
            settings = "select setconfig from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = current_database())"
            assert conn.execute(settings).fetchone() is None, "a copy has no settings of roles"
            warehouse.migrate(conn)
            assert "default_transaction_read_only=on" in conn.execute(settings).fetchone()[0]
    finally:
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute("drop database kinhteso_restored with (force)")


def test_a_column_that_a_contract_gains_is_added(empty):
    class Column:
        keep, personal = True, None

        def __init__(self, name: str) -> None:
            self.name = name

    class Contract:
        source, dataset, columns = "probe", "things", [Column("a")]

    with warehouse.connect(empty) as conn:
        warehouse.migrate(conn, [Contract])
        Contract.columns = [Column("a"), Column("b")]
        assert warehouse.migrate(conn, [Contract]) == ["added b to raw.probe_things"]


def test_an_applied_migration_that_was_edited_is_refused(empty):
    with warehouse.connect(empty) as conn:
        warehouse.migrate(conn)
        conn.execute("update ops.migration set checksum = 'other' where name = '002_ops.sql'")
        conn.execute("delete from ops.migration where name = 'state'")
        with pytest.raises(warehouse.MigrationError, match=r"002_ops\.sql .* put the change into a new file"):
            warehouse.migrate(conn)


def test_a_user_who_may_not_create_roles_is_told_what_to_ask_for(postgres):
    """Where bi_reader exists already nothing is missing; the settings of a role are what an owner without CREATEROLE may not change."""
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute("create role small_owner login password 'small-owner'")
        admin.execute(sql.SQL("create database kinhteso_small owner small_owner"))
    try:
        with warehouse.connect(make_conninfo(postgres, dbname="kinhteso_small", user="small_owner", password="small-owner")) as conn:
            warehouse.migrate(conn)
            assert conn.execute("select count(*) from ops.migration where name = 'state'").fetchone() == (0,), "not complete: it is tried again"
            assert conn.execute("select to_regclass('ops.export') is not null").fetchone() == (True,)
    finally:
        with psycopg.connect(postgres, autocommit=True) as admin:
            admin.execute("drop database kinhteso_small with (force)")
            admin.execute("drop role small_owner")
