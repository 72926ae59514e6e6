"""What goes wrong with the host, in words and with the right runbook."""

from __future__ import annotations

import errno

import psycopg
import pytest
from kinhteso import mishaps


@pytest.mark.parametrize(
    ("text", "runbook"),
    [
        ('Database Error in model fct_refund\n  could not extend file "base/16400/17001": No space left on device', mishaps.DISK),
        ("MemoryError()", mishaps.RED),
        ("Database Error\n  out of memory\n  DETAIL:  Failed on request of size 24", mishaps.RED),
        ("server closed the connection unexpectedly", mishaps.DOWN),
        ("Database Error\n  FATAL:  the database system is in recovery mode", mishaps.DOWN),
    ],
)
def test_what_dbt_prints_of_the_host_leads_to_the_hosts_runbook(text, runbook):
    assert runbook in (mishaps.in_text(text) or "")


def test_what_a_model_or_a_test_does_wrong_is_none_of_the_hosts():
    assert mishaps.in_text("Got 3 results, configured to fail if != 0\nDatabase Error\n  division by zero") is None
    assert mishaps.in_words(ValueError("no")) is None


def test_of_the_host_only_is_told_anew_and_what_is_excepted_stays():
    with pytest.raises(mishaps.Mishap, match="disk-full"), mishaps.told():
        raise OSError(errno.ENOSPC, "No space left on device", "/landing/x.part")
    with pytest.raises(mishaps.Mishap, match="Give worker or database more"), mishaps.told():
        raise psycopg.ProgrammingError("out of memory\n")  # libpq in a process that may have no more
    with pytest.raises(psycopg.errors.LockNotAvailable), mishaps.told(but=psycopg.errors.LockNotAvailable):
        raise psycopg.errors.LockNotAvailable("held")
    with pytest.raises(KeyError), mishaps.told():
        raise KeyError("x")
