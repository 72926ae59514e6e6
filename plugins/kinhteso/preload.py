"""Imported by the scheduler before it forks its workers: the slow imports of a task (10 s of CPU) are then paid once, not per task."""

from __future__ import annotations

import logging
import sys


def preload() -> None:
    """Import what tasks import, in the scheduler only; a failure here is the task's to report."""
    if "scheduler" not in sys.argv[1:2]:
        return
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    for module in (
        "great_expectations",
        "great_expectations.expectations",
        "dbt.cli.main",
        "dbt.adapters.postgres",
        "kinhteso.judging",
        "kinhteso.intake",
        "kinhteso.publishing",
    ):
        try:
            __import__(module)
        except Exception as error:
            logging.getLogger(__name__).warning("%s was not preloaded: %s", module, error)
