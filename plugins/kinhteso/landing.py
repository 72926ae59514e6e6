"""The landing: what a source delivered, byte for byte, under source/dataset/day/version. Written once, never changed.

A path or any URL that fsspec knows (s3://, gs://, …); personal data are inside, so it is closed to all but the loader.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from upath import UPath

CHUNK = 1 << 20


class LandingConflict(RuntimeError):
    """Other bytes lie under that name already."""


@dataclass(frozen=True)
class Part:
    """A file of a delivery. ``path`` is relative to the landing, ``sha256`` is of the bytes as they came."""

    part_no: int
    path: str
    origin: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Delivery:
    """One version of one dataset and day, landed. Instants are aware; sums are whole VND."""

    source: str
    dataset: str
    business_day: date
    version: int
    mode: str
    origin: str
    landing_path: str
    sha256: str
    bytes: int
    received_at: datetime
    parts: tuple[Part, ...]
    unit: str = ""
    is_backlog: bool = False
    pulled_at: datetime | None = None
    window_since: datetime | None = None
    window_until: datetime | None = None
    is_reconstructed: bool = False
    rows_declared: int | None = None
    orders_declared: int | None = None
    control_total: Decimal | None = None
    declared: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def safe_name(name: str) -> str:
    """A file name that stays in its folder. Raises ValueError for one that would not."""
    if not name or name in {".", ".."} or PurePosixPath(name).name != name or "\\" in name or "\0" in name:
        raise ValueError(f"not a plain file name: {name!r}")
    return name


def sha256_of_parts(parts: Iterable[Part]) -> str:
    """Digest of a delivery of several parts: over the digests of its parts, in order."""
    return hashlib.sha256("".join(p.sha256 for p in parts).encode()).hexdigest()


def _sync_folder(path: str) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Landing:
    """Access to the landing by paths relative to its root."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = UPath(root)
        self._is_local = self.root.protocol in {"", "file", "local"}

    def put(self, path: str, content: bytes | BinaryIO) -> tuple[str, int]:
        """Write ``content`` and return its SHA-256 and size. The same bytes again are nothing new; others raise LandingConflict."""
        target = self.root / path
        digest, size = hashlib.sha256(), 0
        with tempfile.SpooledTemporaryFile(max_size=8 * CHUNK) as spool:
            chunks = [content] if isinstance(content, bytes) else iter(lambda: content.read(CHUNK), b"")
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                spool.write(chunk)
            if target.exists():
                if self.sha256(path) != digest.hexdigest():
                    raise LandingConflict(f"{path} is in the landing with other content; the landing is never changed")
                return digest.hexdigest(), size
            spool.seek(0)
            target.parent.mkdir(parents=True, exist_ok=True)
            if self._is_local:
                partial = target.parent / f".{target.name}.{uuid.uuid4().hex}.part"
                try:
                    with open(str(partial), "wb") as out:
                        shutil.copyfileobj(spool, out, CHUNK)
                        out.flush()
                        os.fsync(out.fileno())
                    os.replace(str(partial), str(target))
                except BaseException:  # a disk that is full gets back what this try took of it
                    with suppress(OSError):
                        os.unlink(str(partial))
                    raise
                _sync_folder(str(target.parent))  # the ledger will say that the file is there
            else:
                with target.open("wb") as out:
                    shutil.copyfileobj(spool, out, CHUNK)
        return digest.hexdigest(), size

    def move(self, scratch: str, path: str) -> None:
        """Give a scratch file its name; a file of the same content there already is left as it is."""
        if self.exists(path):
            if self.sha256(path) != self.sha256(scratch):
                raise LandingConflict(f"{path} is in the landing with other content; the landing is never changed")
            self.forget(scratch)
        else:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / scratch).rename(self.root / path)

    def forget(self, scratch: str) -> None:
        """Remove a scratch file (its name begins with a dot); nothing else is ever removed."""
        target = self.root / scratch
        if not target.name.startswith("."):
            raise LandingConflict(f"{scratch} is no scratch file")
        if target.exists():
            target.unlink()

    def open(self, path: str) -> BinaryIO:
        """The bytes under ``path``; seekable."""
        target = self.root / path
        return open(str(target), "rb") if self._is_local else target.open("rb")  # type: ignore[return-value]

    def exists(self, path: str) -> bool:
        """Whether a file or folder lies under ``path``."""
        return (self.root / path).exists()

    def sha256(self, path: str) -> str:
        """Digest of the bytes under ``path``."""
        digest = hashlib.sha256()
        with self.open(path) as f:
            for chunk in iter(lambda: f.read(CHUNK), b""):
                digest.update(chunk)
        return digest.hexdigest()
