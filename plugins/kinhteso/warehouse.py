"""The warehouse database: how to reach it, and how it comes to have its tables.

`migrate` applies migrations/*.sql in order, once each, and keeps one raw table per contract. It needs no superuser: the owner of
the database is enough (to create the role bi_reader it also needs CREATEROLE; where a DBA has created it, it does not).
PostgreSQL 15 or newer.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

MIGRATIONS = Path(__file__).parent / "migrations"
BI_READER = "bi_reader"
BI_STATEMENT_TIMEOUT = "60s"
_LOCK = "kinhteso.migrate"
#: Row of ops.migration with the digest of everything that is in place.
_STATE = "state"

log = logging.getLogger(__name__)


class MigrationError(RuntimeError):
    """The database and the code do not agree on what was migrated."""


def conninfo(address: str) -> str:
    """A libpq connection string from what an operator may have set.

    Takes a libpq string ("host=… dbname=…"), a postgresql:// URI, and what Airflow accepts in AIRFLOW_CONN_WAREHOUSE: a postgres:// URI
    with or without a driver in the scheme and `__extra__`, or a JSON object with conn_type, host, login, password, port, schema, extra.
    """
    address = address.strip()
    if address.startswith("{"):
        given = json.loads(address)
        extra = given.get("extra") or {}
        extra = json.loads(extra) if isinstance(extra, str) else extra
        return make_conninfo(
            host=given.get("host"), port=given.get("port"), user=given.get("login"), password=given.get("password"),
            dbname=given.get("schema"), **_libpq(extra),
        )  # fmt: skip
    if "://" not in address:
        return address
    parts = urlsplit(address)
    query = dict(parse_qsl(parts.query))
    query |= {key: str(value) for key, value in json.loads(query.pop("__extra__", "{}")).items()}
    return urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(_libpq(query)), ""))


def _libpq(extra: dict[str, Any]) -> dict[str, Any]:
    """Only what libpq knows; Airflow's own extras (cursor, iam, …) are not for the driver."""
    known = {"sslmode", "sslrootcert", "sslcert", "sslkey", "connect_timeout", "target_session_attrs", "application_name", "options",
             "keepalives", "keepalives_idle", "channel_binding", "gssencmode", "host", "port"}  # fmt: skip
    return {key: value for key, value in extra.items() if key in known}


def connect(address: str, application: str = "kinhteso") -> psycopg.Connection:
    """A connection in autocommit: what belongs together is put into `with conn.transaction()` by the library functions."""
    conn = psycopg.connect(conninfo(address), autocommit=True, application_name=application, client_encoding="utf8")
    conn.execute("select set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO, DMY', false)")
    return conn


def raw_table(contract: Any) -> sql.Identifier:
    return sql.Identifier("raw", f"{contract.source}_{contract.dataset}")


def raw_columns(contract: Any) -> list[str]:
    """Text columns of the dataset's raw table after export_id and source_row, in order (kept columns; keys for personal data)."""
    names: list[str] = []
    for column in contract.columns:
        if not column.keep:
            continue
        if column.personal == "name":
            names += [f"{column.name}_key", f"{column.name}_is_test"]
        elif column.personal:
            names.append(f"{column.name}_key")
        else:
            names.append(column.name)
    if contract.source == "registers":
        names += ["commune_code", "as_of", "district_code"]
    return names


def migrate(conn: psycopg.Connection, contracts: Iterable[Any] | None = None) -> list[str]:
    """Bring the database to the state of the code; returns what was done, in words. Every task calls it: where nothing is to do it costs one
    select and touches nothing, so that tasks side by side never meet in the catalogue.

    `contracts` defaults to every contract of expectations/. Raises MigrationError when a migration that is applied has another
    content now (write a new file instead).
    """
    if contracts is None:
        from kinhteso import contracts as all_contracts

        contracts = all_contracts.all_contracts()
    contracts = list(contracts)
    state = _state(conn, contracts)
    if _state_on_file(conn) == state:
        return []
    done: list[str] = []
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [_LOCK])
        if _state_on_file(conn) == state:
            return []
        conn.execute("set local client_min_messages = warning")
        done += _apply_files(conn)
        for contract in contracts:
            done += _raw_table(conn, contract)
        _close_to_public(conn)
        told, is_complete = _bi_reader(conn)
        done += told
        if is_complete:
            conn.execute(
                "insert into ops.migration (name, checksum) values (%s, %s) on conflict (name) do update set checksum = excluded.checksum, applied_at = now()",
                [_STATE, state],
            )
    return done


def _state(conn: psycopg.Connection, contracts: Sequence[Any]) -> str:
    """Digest of all that `migrate` would bring about, in this database: what belongs to the database itself (grants, settings of a role) is not
    in a dump of it, so a restored or copied one is brought up to date again."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    digest.update(repr(conn.execute("select oid, datname from pg_database where datname = current_database()").fetchone()).encode())
    for path in sorted(MIGRATIONS.glob("[0-9]*.sql")):
        digest.update(path.name.encode() + path.read_bytes())
    for contract in contracts:
        digest.update(f"{contract.source}.{contract.dataset}: {raw_columns(contract)}".encode())
    return digest.hexdigest()


def _state_on_file(conn: psycopg.Connection) -> str | None:
    if conn.execute("select to_regclass('ops.migration')").fetchone() == (None,):
        return None
    row = conn.execute("select checksum from ops.migration where name = %s", [_STATE]).fetchone()
    return row[0] if row else None


def _apply_files(conn: psycopg.Connection) -> list[str]:
    conn.execute("create schema if not exists ops")
    conn.execute("create table if not exists ops.migration (name text primary key, checksum text not null, applied_at timestamptz not null default now())")
    applied: dict[str, str] = dict(conn.execute("select name, checksum from ops.migration").fetchall())
    done = []
    for path in sorted(MIGRATIONS.glob("[0-9]*.sql")):
        body = path.read_text(encoding="utf-8")
        checksum = hashlib.sha256(body.encode()).hexdigest()
        if path.name not in applied:
            conn.execute(body)  # type: ignore[arg-type]
            conn.execute("insert into ops.migration (name, checksum) values (%s, %s)", [path.name, checksum])
            done.append(f"applied {path.name}")
        elif applied[path.name] != checksum:
            raise MigrationError(f"{path.name} was applied with another content. A migration that is applied is never edited: put the change into a new file.")
    return done


def _raw_table(conn: psycopg.Connection, contract: Any) -> list[str]:
    """One table per dataset; a column that the contract gained is added, one that it lost stays (old exports hold it)."""
    name, columns = raw_table(contract), raw_columns(contract)
    there = [
        row[0]
        for row in conn.execute(
            "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
            [f"raw.{contract.source}_{contract.dataset}"],
        )
    ]
    if not there:
        conn.execute(
            sql.SQL("create table {} (export_id bigint not null, source_row bigint not null, {})").format(
                name, sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(column)) for column in columns)
            )
        )
        # One plain index: every reader comes by export. Equal keys arrive together, so the B-tree's deduplication keeps it small and COPY
        # hardly slower; BRIN would be cheaper to keep but makes the planner guess at how many rows an export has.
        conn.execute(sql.SQL("create index on {} (export_id)").format(name))
        return [f"created raw.{contract.source}_{contract.dataset}"]
    added = [column for column in columns if column not in there]
    for column in added:
        conn.execute(sql.SQL("alter table {} add column {} text").format(name, sql.Identifier(column)))
    return [f"added {column} to raw.{contract.source}_{contract.dataset}" for column in added]


def _close_to_public(conn: psycopg.Connection) -> None:
    """Nobody reads anything by default; schema bi exists so that grants on it can (publishing fills it)."""
    conn.execute("create schema if not exists bi")
    for schema in ("public", "raw", "ops", "parse", "bi"):
        owned = conn.execute("select pg_has_role(nspowner, 'usage') from pg_namespace where nspname = %s", [schema]).fetchone()
        if owned and owned[0]:
            conn.execute(sql.SQL("revoke all on schema {} from public").format(sql.Identifier(schema)))
    database = sql.Identifier(conn.info.dbname)
    conn.execute(sql.SQL("revoke all on database {} from public").format(database))


def _bi_reader(conn: psycopg.Connection) -> tuple[list[str], bool]:
    """Role bi_reader: schema bi, read-only, with a statement timeout. It cannot log in until somebody gives it a login and a password.

    Gives what was done, in words, and whether nothing is left to a DBA.
    """
    done, is_complete = [], True
    if not conn.execute("select 1 from pg_roles where rolname = %s", [BI_READER]).fetchone():
        try:
            with conn.transaction():
                conn.execute(sql.SQL("create role {} nologin").format(sql.Identifier(BI_READER)))
            done.append(f"created role {BI_READER}")
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            pass  # another migration of this cluster was faster
        except psycopg.errors.InsufficientPrivilege:
            log.warning(
                "Role %s does not exist and this user may not create it: ask the DBA for CREATE ROLE %s NOLOGIN, then migrate again.", BI_READER, BI_READER
            )
            return [f"role {BI_READER} is missing: ask the DBA for CREATE ROLE {BI_READER} NOLOGIN, then migrate again"], False
    reader, database = sql.Identifier(BI_READER), sql.Identifier(conn.info.dbname)
    conn.execute(sql.SQL("grant connect on database {} to {}").format(database, reader))
    conn.execute(sql.SQL("grant usage on schema bi to {}").format(reader))
    conn.execute(sql.SQL("grant select on all tables in schema bi to {}").format(reader))
    conn.execute(sql.SQL("alter default privileges in schema bi grant select on tables to {}").format(reader))
    for setting, value in (
        ("statement_timeout", BI_STATEMENT_TIMEOUT),
        ("idle_in_transaction_session_timeout", BI_STATEMENT_TIMEOUT),
        ("default_transaction_read_only", "on"),
    ):
        try:
            with conn.transaction():
                conn.execute(sql.SQL("alter role {} in database {} set {} = {}").format(reader, database, sql.Identifier(setting), sql.Literal(value)))
        except psycopg.errors.InsufficientPrivilege:
            is_complete = False
            log.warning("This user may not set %s for %s: ask the DBA for ALTER ROLE %s SET %s = '%s'.", setting, BI_READER, BI_READER, setting, value)
    return done, is_complete


def select_list(columns: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
