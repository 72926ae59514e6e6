"""A world whose trade comes years later: the forms of 2021 stay, and from 2025-07-01 on the platforms know the units of that reform."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from simulators.world import Commune, World

REFORM = date(2025, 7, 1)
#: What Viettel Post says where districts were (EXPORTS §2.7).
NO_DISTRICT = (100_000_001, "Bỏ qua - Sử dụng địa chỉ 2 cấp")


def successors() -> dict[str, list[Commune]]:
    """Unit of 2021 -> the units of 2025 that took it over; a split one has two."""
    found: dict[str, list[Commune]] = {}
    with (Path(__file__).parent / "data" / "communes_2025.csv").open(encoding="utf-8", newline="") as f:
        for r in csv.DictReader(f):
            found.setdefault(r["code_2021"], []).append(
                Commune(r["code"], r["name"], r["unit_type"], "", "", 0, 0, *NO_DISTRICT, int(r["vtp_wards_id"]), r["vtp_wards_name"], r["vnpost_commune_code"])
            )
    return found


def moved(world: World, by: timedelta) -> World:
    """The same stores, products, orders, refunds and accounts, ``by`` later; targets fall due as much later. Registers and the rest of the forms stay."""

    def times(history: list[Any]) -> list[Any]:
        return [(t + by, *said) for t, *said in history]

    def later(t: datetime | None) -> datetime | None:
        return t + by if t else None

    def code(said: str, asked: datetime) -> str:
        return f"{said[:2]}{asked + by:%y%m%d}{said[8:]}" if said[:2] in ("PM", "VS", "HT") else said

    return replace(
        world,
        first_day=world.first_day + by,
        moved=by,
        reform=(REFORM, successors()),
        stores=[
            replace(s, registered=s.registered + by, approved=later(s.approved), history=times(s.history), activity=[t + by for t in s.activity])
            for s in world.stores
        ],
        products=[replace(p, posted=p.posted + by, history=times(p.history)) for p in world.products],
        orders=[replace(o, code=code(o.code, o.created), history=times(o.history)) for o in world.orders],
        refunds=[replace(f, code=code(f.code, f.history[0][0]), history=times(f.history)) for f in world.refunds],
        accounts=[replace(a, opened=a.opened + by, identified=later(a.identified), first_used=later(a.first_used)) for a in world.accounts],
    )
