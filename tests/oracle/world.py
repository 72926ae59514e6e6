"""KPIs counted anew in plain Python from the world behind the simulators.

No SQL, no dbt, no import of kinhteso. Rules: KPI.md §1 and the project's readings in docs/README.md. For the worlds of the simulators: one list of
communes, household registers that do not change.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime

from simulators.world import World


def recount(world: World, day: date, known_on: date | None = None) -> dict[str, Counter[str]]:
    """Measures per commune code of ``day``: stocks at its end, orders as they are known at the end of ``known_on`` (default: the day itself)."""
    end = datetime.combine(day, datetime.max.time())
    later = datetime.combine(known_on or day, datetime.max.time())
    cells: dict[str, Counter[str]] = {c.code: Counter() for c in world.communes}
    by_phone: dict[str, list[int]] = {}
    for n, h in enumerate(world.households):
        cells[world.communes[h.commune].code]["households"] += 1
        if h.phone:
            by_phone.setdefault(h.phone, []).append(n)

    def household(phone: str) -> int | None:
        fits = by_phone.get(phone, [])
        return fits[0] if len(fits) == 1 else None

    homes: dict[int, set[str]] = {}
    active: set[int] = set()
    where: list[str] = []
    for s in world.stores:
        home = household(s.phone) if s.owner_type in ("HOUSEHOLD", "BUSINESS") else None
        code = world.communes[world.households[home].commune if home is not None else s.commune].code
        where.append(code)
        if s.registered > end or s.status(end) not in ("ACTIVE", "PAUSED"):
            continue
        cells[code]["stores"] += 1
        if home is None:
            cells[code]["stores_unmatched"] += s.owner_type in ("HOUSEHOLD", "BUSINESS")
            continue
        homes.setdefault(home, set()).add(s.platform)
        last = s.last_active(end)
        if last and (day - last.date()).days <= 30:
            active.add(home)
    for home, platforms in homes.items():
        cell = cells[world.communes[world.households[home].commune].code]
        cell["households_with_store"] += 1
        cell["households_with_store_postmart"] += "PM" in platforms
        cell["households_with_store_voso"] += "VS" in platforms
        cell["households_with_store_both"] += len(platforms) == 2
        cell["households_with_active_store"] += home in active
    payers = set()
    for a in world.accounts:
        if a.opened > end or a.status != "ACTIVE" or a.level < 1:
            continue
        home = household(a.phone)
        code = world.communes[world.households[home].commune if home is not None else a.commune].code
        cells[code]["accounts"] += 1
        cells[code]["accounts_unmatched"] += home is None
        if home is not None:
            payers.add(home)
    for home in payers:
        cells[world.communes[world.households[home].commune].code]["households_with_payment"] += 1
    for p in world.products:
        s = world.stores[p.store]
        if p.posted <= end and p.status(end) == "ON_SALE" and s.registered <= end and s.status(end) in ("ACTIVE", "PAUSED"):
            cells[where[p.store]]["products_on_sale"] += 1
    for o in world.orders:
        known = o.known(later)
        if not known:
            continue
        states = {state: t.date() for t, state, _ in o.history[:known]}
        cell, now = cells[where[o.store]], o.history[known - 1][1]
        cell["orders_placed"] += o.created.date() == day
        cell["orders_valid"] += o.created.date() == day and now != "CANCELLED"
        cell["orders_out_of_province"] += o.created.date() == day and now != "CANCELLED" and o.receiver != "Lạng Sơn"
        cell["orders_cancelled"] += now == "CANCELLED" and states["CANCELLED"] == day
        cell["orders_returned"] += states.get("RETURNED") == day
        delivered = states.get("DELIVERED")
        cell["orders_delivered"] += delivered == day and now not in ("RETURNED", "REFUNDED")
        cell["revenue_gross_vnd"] += (o.goods - o.seller_discount) if delivered == day else 0
    for f in world.refunds:
        done = next((t.date() for t, state in f.history if state == "DONE" and t <= later), None)
        cells[where[world.orders[f.order].store]]["refunds_vnd"] += f.amount if done == day else 0
    for lead in world.leads:
        if lead.recognised <= day and not (lead.withdrawn and day >= lead.withdrawn):
            cells[world.communes[world.households[lead.household].commune].code]["lead_households"] += 1
    teams: dict[tuple[int, str, str], list[object]] = {}
    for m in world.members:
        code = world.communes[m.commune].code
        cells[code]["team_members"] += 1
        cells[code]["team_members_trained"] += m.trained is not None
        teams.setdefault((m.commune, m.hamlets, m.decision), []).append(m)
    served: set[tuple[int, str]] = set()
    for (commune, hamlets, _), members in teams.items():
        heads = sum(m.role == "HEAD" for m in members)  # type: ignore[attr-defined]
        others = sum(m.trained is not None and m.role != "HEAD" for m in members)  # type: ignore[attr-defined]
        if heads and others >= 2:
            served |= {(commune, h) for h in hamlets.split(", ")}
    for commune, _ in served:
        cells[world.communes[commune].code]["hamlets_with_team"] += 1
    for cell in cells.values():
        cell["revenue_net_vnd"] = cell["revenue_gross_vnd"] - cell["refunds_vnd"]
    return cells


MEASURES = (
    "households", "households_with_store", "households_with_store_postmart", "households_with_store_voso", "households_with_store_both",
    "households_with_active_store", "stores", "stores_unmatched", "households_with_payment", "accounts", "accounts_unmatched", "lead_households",
    "hamlets_with_team", "team_members", "team_members_trained", "products_on_sale", "orders_placed", "orders_valid", "orders_delivered", "orders_cancelled",
    "orders_returned", "orders_out_of_province", "revenue_gross_vnd", "refunds_vnd", "revenue_net_vnd",
)  # fmt: skip
