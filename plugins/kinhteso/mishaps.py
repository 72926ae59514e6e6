"""What goes wrong with the host and not with the data (disk, memory, connection, locks), in words for a person; and which of it is tried again.

Whatever it was, its transaction was rolled back: nothing half-done counts, and the way back is the same task again (RELIABILITY I7).
"""

from __future__ import annotations

import errno
import logging
import random
import time
from collections.abc import Callable
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


def in_words(error: BaseException) -> str | None:
    """What happened and what to do, with the runbook; None for an error that is none of the host's. Holds no values of rows."""
    again = "Nothing half-done counts. Then clear the task, or wait for the next run."
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        where = f" ({error.filename})" if error.filename else ""
        return f"The disk under the landing or the temporary files is full{where}: {error.strerror}. Make room or give it more. {again} Runbook: {DISK}"
    if isinstance(error, errors.DiskFull):
        return f"The warehouse's disk is full: {first_line(error)}. Make room or give it more. {again} Runbook: {DISK}"
    if isinstance(error, MemoryError | errors.OutOfMemory):
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


def first_line(error: BaseException) -> str:
    """What the database adds in further lines may hold values of rows."""
    return (str(error).strip().splitlines() or [""])[0][:300].rstrip(".")


def again_when_in_the_way(step: Callable[[], T]) -> T:
    """Do ``step``; a deadlock or a serialization failure is no fault of anybody, so the one that gave way tries again (F103)."""
    for attempt in range(1, TRIES):
        try:
            return step()
        except (errors.DeadlockDetected, errors.SerializationFailure) as error:
            log.warning("gave way to another transaction (%s); tried again (%s of %s)", first_line(error), attempt + 1, TRIES)
            time.sleep(PAUSE * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
    return step()
