"""The warehouse into a file and back: pg_dump and pg_restore of the embedded server's wheel, encrypted where a key is set.

A file holds the database, not the landing: that is files which never change, so a plain copy backs it up. Days after a backup are replayed.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_MAGIC = b"KINHTESO-BACKUP-1\n"
_CHUNK = 1 << 20


class BackupFailed(RuntimeError):
    """Nothing was written, or nothing was restored; the message says why and what to do."""


# ---- encryption ----------------------------------------------------------------------------------------------------------------


def _cipher(key: str, salt: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return AESGCM(Scrypt(salt=salt, length=32, n=1 << 15, r=8, p=1).derive(key.encode()))


def encrypt(source: IO[bytes], target: IO[bytes], key: str) -> None:
    """AES-256-GCM in pieces of 1 MiB, each bound to its number and to whether it is the last: none can be cut off, moved or changed unseen."""
    salt = secrets.token_bytes(16)
    cipher = _cipher(key, salt)
    target.write(_MAGIC + salt)
    number, piece = 0, source.read(_CHUNK)
    while True:
        following = source.read(_CHUNK)
        mark = number.to_bytes(11, "big") + bytes([not following])
        sealed = cipher.encrypt(mark, piece, None)
        target.write(len(sealed).to_bytes(4, "big") + sealed)
        if not following:
            return
        number, piece = number + 1, following


def decrypt(source: IO[bytes], key: str) -> Iterator[bytes]:
    """The pieces again. Raises BackupFailed for a wrong key and for a file that is damaged or cut off."""
    from cryptography.exceptions import InvalidTag

    if source.read(len(_MAGIC)) != _MAGIC:
        raise BackupFailed("This is no encrypted backup of kinhteso.")
    cipher, number, is_last = _cipher(key, source.read(16)), 0, False
    while not is_last:
        size = int.from_bytes(source.read(4), "big")
        sealed = source.read(size)
        for is_last in (False, True):
            try:
                piece = cipher.decrypt(number.to_bytes(11, "big") + bytes([is_last]), sealed, None)
                break
            except (InvalidTag, ValueError):
                continue
        else:
            raise BackupFailed("The backup cannot be read: another KINHTESO_BACKUP_KEY made it, or the file is damaged or cut off.")
        yield piece
        number += 1


# ---- dump and restore ----------------------------------------------------------------------------------------------------------


def _program(bin_dir: Path, name: str, dsn: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment; the password is in neither argument nor file."""
    parts = conninfo_to_dict(dsn)
    password = str(parts.pop("password", "") or "")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG")} | {"PGPASSWORD": password, "LC_ALL": "C"}
    return [str(bin_dir / name), "--no-password", *arguments, "--dbname", make_conninfo("", **{k: str(v) for k, v in parts.items()})], env


def backup(bin_dir: Path, dsn: str, folder: Path, key: str | None = None) -> Path:
    """Dump the database of ``dsn`` into a new file of ``folder``, encrypted with ``key``; readable by its owner only. Raises BackupFailed."""
    path = folder / f"kinhteso-{datetime.now(UTC):%Y%m%dT%H%M%S}.dump{'.enc' if key else ''}"
    part = path.with_name(path.name + ".part")
    command, env = _program(bin_dir, "pg_dump", dsn, "--format=custom", "--no-owner", "--no-privileges")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as dump:
                assert dump.stdout and dump.stderr
                if key:
                    encrypt(dump.stdout, out, key)
                else:
                    while piece := dump.stdout.read(_CHUNK):
                        out.write(piece)
                said = dump.stderr.read().decode(errors="replace").strip()
            if dump.returncode:
                raise BackupFailed(f"pg_dump failed ({dump.returncode}): {said[:500]}")
            os.fsync(out.fileno())
        part.rename(path)
    except OSError as error:
        raise BackupFailed(f"{part} could not be written: {error.strerror}. Runbook: docs/runbooks/disk-full.md") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def _pieces(file: Path, key: str | None) -> Iterator[bytes]:
    with file.open("rb") as source:
        if source.read(len(_MAGIC)) == _MAGIC:
            if not key:
                raise BackupFailed(f"{file.name} is encrypted: set KINHTESO_BACKUP_KEY. Runbook: docs/runbooks/restore.md")
            source.seek(0)
            yield from decrypt(source, key)
        else:
            source.seek(0)
            while piece := source.read(_CHUNK):
                yield piece


def restore(bin_dir: Path, admin_dsn: str, dsn: str, file: Path, key: str | None = None) -> str | None:
    """Restore ``file`` into a database beside that of ``dsn`` and put it in its place when all of it is there; returns the name that the old one
    has now, None where there was none.

    ``admin_dsn``: who may create and rename databases, in another one. Roles and grants are no part of a dump: `warehouse.migrate` makes them.
    Raises BackupFailed; then the old database is as it was.
    """
    parts = conninfo_to_dict(dsn)
    name, owner = str(parts["dbname"]), str(parts["user"])
    fresh, old = f"{name}_restoring", f"{name}_before_{datetime.now(UTC):%Y%m%dT%H%M%S}"
    with psycopg.connect(admin_dsn, autocommit=True) as admin:
        admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(fresh)))
        admin.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(fresh), sql.Identifier(owner)))
        try:
            _pour(bin_dir, make_conninfo(dsn, dbname=fresh), file, key)
        except BackupFailed:
            admin.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(fresh)))
            raise
        is_there = admin.execute("select 1 from pg_database where datname = %s", [name]).fetchone() is not None
        if is_there:
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
            admin.execute(sql.SQL("alter database {} rename to {}").format(sql.Identifier(name), sql.Identifier(old)))
        admin.execute(sql.SQL("alter database {} rename to {}").format(sql.Identifier(fresh), sql.Identifier(name)))
    return old if is_there else None


def _pour(bin_dir: Path, dsn: str, file: Path, key: str | None) -> None:
    arguments = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
    command, env = _program(bin_dir, "pg_restore", dsn, *arguments)
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as pour:
        assert pour.stdin and pour.stderr
        try:
            for piece in _pieces(file, key):
                pour.stdin.write(piece)
            pour.stdin.close()
        except BrokenPipeError:
            pass  # pg_restore says why it went
        except BackupFailed:
            pour.kill()
            raise
        said = pour.stderr.read().decode(errors="replace").strip()
    if pour.returncode:
        raise BackupFailed(f"pg_restore failed ({pour.returncode}), nothing was changed: {said[:500]}")
