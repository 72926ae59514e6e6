"""What goes wrong with the host and not with the data (disk, memory, connection, locks), in words for a person; and which of it is tried again.

Whatever it was, its transaction was rolled back: nothing half-done counts, and the way back is the same task again (RELIABILITY I7).
"""

from __future__ import annotations

import errno
import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import psycopg
from psycopg import errors

DISK = "docs/runbooks/disk-full.md"
DOWN = "docs/runbooks/warehouse-down.md"
RED = "docs/runbooks/run-failed.md"
#: How often a step is tried that had to give way to another one, and the pause after the first time (s), doubled each time.
TRIES, PAUSE = 4, 0.2

T = TypeVar("T")
log = logging.getLogger(__name__)

_AGAIN = "Nothing half-done counts. Then clear the task, or wait for the next run."


def in_words(error: BaseException) -> str | None:
    """What happened and what to do, with the runbook; None for an error that is none of the host's. Holds no values of rows."""
    again = _AGAIN
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        where = f" ({error.filename})" if error.filename else ""
        return f"The disk under the landing or the temporary files is full{where}: {error.strerror}. Make room or give it more. {again} Runbook: {DISK}"
    if isinstance(error, errors.DiskFull):
        return f"The warehouse's disk is full: {first_line(error)}. Make room or give it more. {again} Runbook: {DISK}"
    is_libpq_short = isinstance(error, psycopg.Error) and error.sqlstate is None and "out of memory" in str(error)
    if isinstance(error, MemoryError | errors.OutOfMemory) or is_libpq_short:
        return (
            f"Out of memory: {first_line(error) or 'the worker may not have more'}. Give worker or database more, or run less beside it. {again} Runbook: {RED}"
        )
    if isinstance(error, errors.DeadlockDetected | errors.SerializationFailure):
        return f"Two transactions were in each other's way {TRIES} times: {first_line(error)}. {again} Runbook: {RED}"
    if isinstance(error, errors.LockNotAvailable):
        return f"Somebody holds a lock for longer than is waited for: {first_line(error)}. {again} Runbook: {RED}"
    if isinstance(error, errors.AdminShutdown | errors.CrashShutdown | errors.CannotConnectNow | errors.TooManyConnections):
        return f"The warehouse is going down, coming up or takes no more connections: {first_line(error)}. {again} Runbook: {DOWN}"
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate is None or error.sqlstate[:2] in ("08", "57")):
        return f"The connection to the warehouse was lost or refused: {first_line(error)}. {again} Runbook: {DOWN}"
    return None


#: How PostgreSQL and its clients say it; dbt hands on their words and not the error.
_TOLD = (
    (r"No space left on device|could not extend file|disk quota exceeded", "A disk of the warehouse is full. Make room or give it more", DISK),
    (r"out of memory|MemoryError|cannot allocate memory|can't start new thread", "Out of memory. Give worker or database more", RED),
    (
        r"server closed the connection|connection (already closed|refused|to server .* failed)|terminating connection|the database system is",
        "The connection to the warehouse was lost or refused",
        DOWN,
    ),
)


def in_text(text: str) -> str | None:
    """As `in_words`, from what another library printed of the error."""
    return next((f"{what}. {_AGAIN} Runbook: {runbook}" for pattern, what, runbook in _TOLD if re.search(pattern, text, re.IGNORECASE)), None)


class Mishap(RuntimeError):
    """Something with the host and not with the data; the message says what, and what to do."""


@contextmanager
def told(*, but: type[Exception] | tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """What of the host goes wrong inside is raised as a Mishap in words; everything else, and ``but``, as it is."""
    try:
        yield
    except Exception as error:
        words = None if isinstance(error, but) else in_words(error)
        if words is None:
            raise
        raise Mishap(words) from error


def first_line(error: object, default: str = "") -> str:
    """The first line of an error, of 300 characters at most, without its full stop; ``default`` when it says nothing.

    What a database adds in further lines may hold values of rows; a NUL can be stored in no text column.
    """
    said = (str(error).strip().splitlines() or [""])[0][:300].replace("\0", "␀").rstrip(".")
    return said or default


def named(error: BaseException) -> str:
    """The kind of an error and its first line, for one that no rule foresees."""
    return f"{type(error).__name__}: {first_line(error, 'no message')}"


def again_when_in_the_way(step: Callable[[], T]) -> T:
    """Do ``step``; a deadlock or a serialization failure is no fault of anybody, so the one that gave way tries again (F103)."""
    for attempt in range(1, TRIES):
        try:
            return step()
        except (errors.DeadlockDetected, errors.SerializationFailure) as error:
            log.warning("gave way to another transaction (%s); tried again (%s of %s)", first_line(error), attempt + 1, TRIES)
            time.sleep(PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
    return step()
