"""The fault suite's fixtures, and its table at the end of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import pytest
import report
from case import DAY, Baseline, Case, build_baseline, strike
from forks import Forks
from report import Told
from wire import Wire
from workers import Workers

_RESULTS: dict[str, Told] = {}


@pytest.fixture(scope="session")
def baseline(postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    """A warehouse that knows the backlog and two days; made once, cloned per fault."""
    return build_baseline(postgres, template, tmp_path_factory.mktemp("baseline"))


@pytest.fixture()
def workers(tmp_path: Path) -> Workers:
    """Processes of their own, as Airflow's tasks are."""
    return Workers(tmp_path / "logs")


@pytest.fixture()
def morning(baseline: Baseline, tmp_path: Path, postgres: str) -> Iterator[tuple[Case, Wire, Forks]]:
    """The morning after `DAY`, nothing of it taken yet: the case, a wire to the database, and copies of the case behind it."""
    wire = Wire(postgres)
    with strike(baseline, tmp_path) as case:
        case.served.clock(f"{DAY + timedelta(days=1)}T06:00")
        yield case, wire, Forks(case, wire, tmp_path / "forks")
    wire.close()


class Teller:
    """Collects what a test saw of each fault that it strikes."""

    def __init__(self) -> None:
        self.told: dict[str, Told] = {}

    def saw(self, number: str, *texts: str) -> None:
        """Add to the column "Seen" (no timings, no hashes: the table is checked in)."""
        self.told.setdefault(number, Told(number)).seen += texts

    def rows(self, number: str, lost: int, doubled: int) -> None:
        """Rows lost and doubled after the fault, counted by `invariants.conserved`."""
        told = self.told.setdefault(number, Told(number))
        told.lost, told.doubled = max(lost, told.lost or 0), max(doubled, told.doubled or 0)


@pytest.fixture()
def teller(request: pytest.FixtureRequest) -> Iterator[Teller]:
    """What the test tells of its faults (`@pytest.mark.fault("F91", …)`); it counts when the test passes."""
    teller = Teller()
    for mark in request.node.iter_markers("fault"):
        for number in mark.args:
            teller.told.setdefault(number, Told(number))
    yield teller
    passed = bool(getattr(request.node, "call_passed", False))
    # The table is made by the process that prints; a test may have run in another one.
    request.node.user_properties += [("fault", asdict(replace(told, passed=passed))) for told in teller.told.values()]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take up what a test told of its faults."""
    for told in (Told(**value) for name, value in report.user_properties if name == "fault" and report.when == "teardown"):
        known = _RESULTS.setdefault(told.number, Told(told.number, passed=True))
        known.seen += told.seen
        known.passed = known.passed and told.passed
        for name in ("lost", "doubled"):
            if getattr(told, name) is not None:
                setattr(known, name, max(getattr(known, name) or 0, getattr(told, name)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    outcome = yield
    if call.when == "call":
        item.call_passed = outcome.get_result().passed  # type: ignore[attr-defined, union-attr]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _RESULTS:
        return
    terminalreporter.section("faults")
    for row in report.plain(_RESULTS):
        terminalreporter.write_line(row)
    if os.environ.get("KINHTESO_FAULTS_REPORT"):
        missing = [f.number for f in report.CATALOGUE if f.number not in _RESULTS]
        if missing and not os.environ.get("KINHTESO_FAULTS_PARTIAL"):
            terminalreporter.write_line(f"docs/faults.md is left as it is: not struck were {', '.join(missing)}")
        else:
            Path(os.environ["KINHTESO_FAULTS_REPORT"]).write_text(report.table(_RESULTS), encoding="utf-8")
