"""Every fault of the sources alone (`make faults`), and in groups that strike together (`make test` too)."""

from __future__ import annotations

from itertools import groupby

import answers
import files
import pytest
from case import DAY, NotSeen, strike
from struck import REGISTRY, Struck, go

MODULES = (files, answers)  # their entries register themselves
GROUPS = {name: list(entries) for name, entries in groupby(sorted((e for e in REGISTRY if e.group), key=lambda e: e.group), key=lambda e: e.group)}


def _ready(entries: list[Struck]) -> list[Struck]:
    known = [e for e in entries if e.is_known]
    if not known:
        pytest.skip(f"the simulators have no switch for {', '.join(e.number for e in entries)}")
    return known


@pytest.mark.only_faults
@pytest.mark.parametrize("entry", REGISTRY, ids=lambda e: f"{e.number}-{e.look.__name__}")
def test_a_fault_alone(baseline, tmp_path, teller, entry):
    go(baseline, tmp_path, _ready([entry]), teller)


#: Groups that are in `make test` too, of every kind of reaction; all of them run in `make faults`. What readers alone decide is in tests/unit too.
IN_MAKE_TEST = {"refused-1", "loads-1", "loads-4", "loads-5", "loads-11", "voso-1", "voso-2", "voso-4"}


@pytest.mark.parametrize("group", [pytest.param(g, marks=[] if g in IN_MAKE_TEST else [pytest.mark.only_faults]) for g in GROUPS])
def test_faults_together(baseline, tmp_path, teller, group):
    go(baseline, tmp_path, _ready(GROUPS[group]), teller)


def test_without_a_fault_nothing_is_seen(baseline, tmp_path):
    """The guard of the guards: each look at a day without its fault has to say that it sees nothing."""
    with strike(baseline, tmp_path) as case:
        case.take(DAY)
        assert case.problems == []
        blind = []
        for entry in REGISTRY:
            try:
                blind.append(f"{entry.number}: {entry.look(case)}")
            except NotSeen:
                pass
        assert not blind, "these looks see a reaction where there was no fault:\n" + "\n".join(blind)
