"""Addresses and commune names to communes of the list in force (EXPORTS §8.6, domain rules R1–R14): `resolver().resolve(text, day)`.

`spelling` makes text comparable and repairs it, `names` knows the lists, `reading` finds the pieces, `resolving` puts them together, `decisions` goes
before all rules, `files` does it for a CSV, `hamlets` finds a hamlet within its commune.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from kinhteso.addresses import decisions, names
from kinhteso.addresses.resolving import AMBIGUOUS, OUT_OF_SCOPE, RESOLVED, Resolution, Resolver

__all__ = ["AMBIGUOUS", "OUT_OF_SCOPE", "RESOLVED", "Resolution", "Resolver", "resolver"]


def resolver() -> Resolver:
    """The resolver of the seeds as they are now; a corrected list or a new decision holds at once. Raises DecisionError where a decision cannot hold."""
    folder = names.seeds_dir()
    path = folder / f"{decisions.SEED}.csv"
    return _resolver(folder, (*names.state(folder), path.stat().st_mtime_ns if path.exists() else 0))


@cache
def _resolver(folder: Path, _: tuple[int, ...]) -> Resolver:
    lists = names.from_seeds(folder)
    return Resolver(lists, decisions.from_seeds(folder, lists))
