"""Faults of the contract's catalogue (§13) and beyond, that can be switched on, alone and together, at the start and while the servers run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from simulators.faults.catalogue import BULK, CATALOGUE
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
        found.append(Fault(kind.name, date.fromisoformat(match["day"]), dataset, match["value"] or "", int(match["times"] or kind.times), kind.times))
    return found


def struck(world: str, seed: int, first_day: date, on: Sequence[Fault]) -> list[Struck]:
    """What faults strike in a world: dataset, natural keys, and what the source says of them; without a server.

    Of Vỏ Sò: as it is at 06:00 of the morning after the day.
    """
    from simulators import campaign
    from simulators.faults import forms, records
    from simulators.postmart import Postmart
    from simulators.registers import Districts
    from simulators.voso import VoSo

    made = campaign.make(world, seed, first_day)
    supplier, platform = Postmart(made), VoSo(made)
    found: list[Struck] = []
    for day in sorted({f.day for f in on}):
        mine = [f for f in on if f.day == day]
        found += supplier.folder(day, mine)[1]
        for dataset in BULK:
            held, told = records.apply(platform, dataset, datetime.combine(day + timedelta(days=1), time(6)), mine, day)
            found += told
            found += [Struck("F37", day, dataset, "withdrawn", (records.leaves(held),)) for f in mine if f.name == "F37" and f.dataset == dataset and held]
    for draft, hit in forms.plan(Districts(made), on):
        found += forms.struck_form(draft, hit)[1] if hit else []
    return found


__all__ = ["CATALOGUE", "KNOWN", "Fault", "Struck", "Switches", "parse", "struck"]
