"""Faults of the contract's catalogue (§13) and beyond, that can be switched on, alone and together, at the start and while the servers run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from simulators.faults.catalogue import CATALOGUE
from simulators.faults.switch import Fault, Struck, Switches, split

#: Fault -> the dataset that it strikes when none is named.
KNOWN = {k.name: k.default for k in CATALOGUE}


def parse(text: str) -> list[Fault]:
    """Faults of a comma-separated list; raises ValueError that names what is known."""
    kinds = {k.name: k for k in CATALOGUE}
    found = []
    for match in split(text):
        kind = kinds.get(match["name"])
        if kind is None:
            raise ValueError(f"{match[0]!r} is no fault; write NAME@YYYY-MM-DD[:DATASET][=VALUE][*TIMES] with a name of {', '.join(kinds)}")
        dataset = match["dataset"] or kind.default
        if dataset not in (kind.default, *kind.datasets):
            raise ValueError(f"{match[0]!r}: {kind.name} strikes {', '.join(kind.datasets)}, not {dataset}")
        found.append(Fault(kind.name, date.fromisoformat(match["day"]), dataset, match["value"] or "", int(match["times"] or kind.times)))
    return found


def struck(world: str, seed: int, first_day: date, on: Sequence[Fault]) -> list[Struck]:
    """What faults strike in Postmart's files of a world: dataset, natural keys, and what the source says of them; without a server."""
    from simulators import campaign
    from simulators.postmart import Postmart

    supplier = Postmart(campaign.make(world, seed, first_day))
    return [s for day in sorted({f.day for f in on}) for s in supplier.folder(day, on)[1]]


__all__ = ["CATALOGUE", "KNOWN", "Fault", "Struck", "Switches", "parse", "struck"]
