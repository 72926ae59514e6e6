"""Imported by the scheduler before it forks its workers: the slow imports of a task (10 s of CPU) are then paid once, not per task."""

from __future__ import annotations

import gc
import logging
import os
import sys

MODULES = (
    "great_expectations",
    "great_expectations.expectations",
    "great_expectations.validator.v1_validator",
    "sqlalchemy.dialects.postgresql.psycopg",
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "paramiko",
    "pandas",
    "python_calamine",
    "airflow.providers.sftp.hooks.sftp",
    "kinhteso.checking",
    "kinhteso.dagkit",
    "kinhteso.freshness",
    "kinhteso.history",
    "kinhteso.intake",
    "kinhteso.judging",
    "kinhteso.notifying",
    "kinhteso.publishing",
)


def preload() -> None:
    """Import what tasks import, and read the contracts, in the scheduler only; a failure here is the task's to report."""
    # A process that was forked need not look through what it was given for garbage: that takes longer than most tasks, and copies all of it.
    os.register_at_fork(after_in_child=gc.freeze)
    if "scheduler" not in sys.argv[1:2]:
        return
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    for module in MODULES:
        try:
            __import__(module)
        except Exception as error:
            logging.getLogger(__name__).warning("%s was not preloaded: %s", module, error)
    try:
        from kinhteso.contracts import all_contracts

        all_contracts()
    except Exception as error:
        logging.getLogger(__name__).warning("the contracts were not read: %s", error)
