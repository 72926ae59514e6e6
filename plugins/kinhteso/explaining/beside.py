"""What stood aside of a cell: quarantined, unmatched, carried forward, refused. Reads `ops` and what was built; shows no value of a row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg

from kinhteso.kpis import Words

if TYPE_CHECKING:
    from kinhteso.explaining.cells import Cell, Explanation

#: Quarantined rows and unmatched entities that are named; the counts are of all.
NAMED = 20
#: Datasets whose natural key is a person's or household's: of their rows only file and row are told.
_PERSONAL = {"accounts", "households", "leads", "teams"}

#: The ten datasets that the KPIs need of each day (RULINGS 14): accepted or not, and the last day that was.
ACCEPTED = """
with needed (platform, dataset) as (
    select p, d from unnest(array['postmart', 'voso']) as p cross join unnest(array['stores', 'products', 'orders', 'refunds', 'accounts']) as d
)
select n.platform, n.dataset, e.export_id is not null as is_accepted, coalesce(e.is_reconstructed, false) as is_reconstructed, e.export_id, e.version,
    e.origin as file, (select max(x.business_day) from ops.export as x
        where x.source = n.platform and x.dataset = n.dataset and x.unit = '' and x.state = 'accepted' and x.business_day <= %(day)s) as last_day
from needed as n
left join lateral (
    select * from ops.export as x
    where x.source = n.platform and x.dataset = n.dataset and x.unit = '' and x.state = 'accepted' and x.business_day = %(day)s
    order by x.version desc limit 1
) as e on true
order by n.platform, n.dataset
"""

# Open rows of deliveries in force, and the commune that each speaks of, where it can be told. A delta counts where one of its days lies in the cell's.
_QUARANTINED = """
with force as (
    select e.export_id, e.source, e.dataset, e.business_day
    from ops.export as e
    where e.state = 'accepted' and e.source || '/' || e.dataset = any(%(sources)s)
        and case
            when e.source = 'registers' then true
            when e.mode = 'snapshot' then e.business_day = (select max(x.business_day) from ops.export as x
                where x.source = e.source and x.dataset = e.dataset and x.unit = e.unit and x.state = 'accepted' and x.business_day <= %(until)s)
            else true end
),
waiting as (
    select q.*, f.source as of_source, f.dataset as of_dataset,
        d.created, d.delivered, d.completed
    from ops.quarantine as q
    join force as f on f.export_id = q.export_id
    cross join lateral (
        select max(x.day) filter (where x.name = 'created_at') as created, max(x.day) filter (where x.name = 'delivered_at') as delivered,
            max(x.day) filter (where x.name = 'completed_at') as completed
        from (
            select v.key as name,
                case f.source when 'postmart' then parse.local_date(v.value) else parse.business_day(parse.epoch_ms(v.value)) end as day
            from jsonb_each_text(q.content) as v
            where v.key in ('created_at', 'delivered_at', 'completed_at')
        ) as x
    ) as d
    where q.state = 'open'
),
placed as (
    select w.*,
        case
            when w.of_source = 'registers' then w.content ->> 'commune_code'
            when w.of_dataset in ('stores', 'accounts') then coalesce(
                (select c.gso_code from seeds.commune_crosswalk as c
                  where c.vnpost_commune_code = lpad(btrim(w.content ->> 'commune_src_code'), 5, '0') limit 1),
                (select c.gso_code from seeds.commune_crosswalk as c where c.vtp_wards_id = w.content ->> 'wards_id' limit 1))
            else coalesce(
                (select m.commune_code from intermediate.int_stores__matched as m
                  where m.platform = w.of_source and m.store_code = coalesce(w.content ->> 'store_code', w.content ->> 'store_id')
                  order by m.valid_from <= %(until)s desc, m.valid_from desc limit 1),
                (select o.commune_code from intermediate.int_orders as o
                  where o.platform = w.of_source and o.order_code = coalesce(w.content ->> 'order_code', w.content ->> 'order_number') limit 1),
                (select o.commune_code from intermediate.int_orders as o
                  where o.platform = w.of_source and o.order_id = w.content ->> 'order_id' limit 1))
        end as commune
    from waiting as w
    where w.of_dataset not in ('orders', 'refunds', 'order_events') or (w.created is null and w.delivered is null and w.completed is null)
        or w.created between %(since)s and %(until)s or w.delivered between %(since)s and %(until)s or w.completed between %(since)s and %(until)s
)
select p.source, p.dataset, p.business_day, p.version, p.rule_id, p.rule, p.file, p.file_row, p.row_key, p.commune
from placed as p
where p.commune is null or p.commune = any(%(places)s)
order by p.commune is null, p.source, p.dataset, p.business_day, p.file_row
"""

_REFUSED = """
select source, dataset, unit, business_day, version, state, coalesce(reason, '') as reason, origin as file
from ops.export as e
where e.business_day = %(day)s and e.state in ('expected', 'rejected') and e.source || '/' || e.dataset = any(%(sources)s)
    and (e.source = 'registers' or e.unit = '')
order by 1, 2, 3, 5
"""


@dataclass
class Beside:
    """``carried``: platform datasets of which the day has none, with the last day that has one; ``quarantined``: open rows of this commune, or of none that
    could be told (``commune`` is null); ``refused``: deliveries of the day that do not count; ``unmatched``: how many have no household, and the first of
    them; ``unknown``: what stands in the row 00000."""

    completeness: str = ""
    carried: list[dict[str, Any]] = field(default_factory=list)
    quarantined: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)
    unmatched: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    unknown: dict[str, Any] = field(default_factory=dict)


def of(cursor: psycopg.Cursor[dict[str, Any]], cell: Cell, told: Explanation, completeness: str, build: dict[str, Any], places: list[str]) -> Beside:
    """What stands beside ``cell``, of the datasets that its measure is made of."""
    from kinhteso.explaining import entities

    sources, since, until = list(told.kpi.sources), told.since or cell.day, told.until or cell.day
    found = Beside(completeness)
    if not build.get("first_day") or cell.day >= build["first_day"]:
        needed = cursor.execute(ACCEPTED, {"day": cell.day}).fetchall()
        found.carried = [n for n in needed if not n["is_accepted"] and f"{n['platform']}/{n['dataset']}" in sources]
    asked = {"sources": sources, "since": since, "until": until, "places": places, "day": cell.day}
    found.quarantined = [r | {"row_key": None if r["dataset"] in _PERSONAL else r["row_key"]} for r in cursor.execute(_QUARANTINED, asked)]
    found.refused = cursor.execute(_REFUSED, asked).fetchall()
    for key, dataset in (("stores_unmatched", "stores"), ("accounts_unmatched", "accounts")):
        if told.kpi.key != key and "registers/households" in sources and any(s.endswith(f"/{dataset}") for s in sources):
            found.unmatched[key] = _named(cursor, entities.query(key), places, until)
    if not told.kpi.in_00000 and told.kpi.kind != "attribute" and cell.level == "commune":
        unknown = cursor.execute(
            """select stores, stores_unmatched, accounts, accounts_unmatched from kpi.kpi_commune_daily
               where geography = %s and commune_code = '00000' and date = %s""",
            (cell.geography, cell.day),
        ).fetchone()
        found.unknown = {name: n for name, n in (unknown or {}).items() if n and any(s.endswith(f"/{name.split('_')[0]}") for s in sources)}
    return found


def completeness_of(cursor: psycopg.Cursor[dict[str, Any]], day: date, build: dict[str, Any]) -> tuple[str, list[Words]]:
    """The word of the day from what was accepted of it (RULINGS 14), and why."""
    there = cursor.execute(ACCEPTED, {"day": day}).fetchall()
    missing = {platform: [r["dataset"] for r in there if r["platform"] == platform and not r["is_accepted"]] for platform in ("postmart", "voso")}
    told = [
        Words(f"{platform}: thiếu {', '.join(names)} của ngày.", f"{platform}: {', '.join(names)} of the day not accepted.")
        for platform, names in missing.items()
        if names
    ] or [Words("Cả mười tập dữ liệu của ngày đã được dùng.", "All ten datasets of the day are accepted.")]
    if build.get("first_day") and day < build["first_day"]:
        return "RECONSTRUCTED", [
            Words(
                f"Trước ngày đầu tiên {build['first_day']}: dựng lại từ ngày duyệt, định danh.",
                f"Before D0, {build['first_day']}: rebuilt from dates.",
            )
        ]
    if missing["postmart"] or missing["voso"]:
        return "STALE_BOTH" if all(missing.values()) else f"STALE_{'POSTMART' if missing['postmart'] else 'VOSO'}", told
    late = [r["dataset"] for r in there if r["is_reconstructed"]]
    if late:
        return "RECONSTRUCTED", [
            Words(f"Kéo về quá muộn: {', '.join(late)} (RULINGS 16).", f"Pulled too late to be that day's state: {', '.join(late)} (RULINGS 16).")
        ]
    return "FULL", told


def _named(cursor: psycopg.Cursor[dict[str, Any]], query: str, places: list[str], day: date) -> tuple[int, list[str]]:
    """How many entities a query finds, and the first of them as they may be shown."""
    days = [day] * len(places)
    given = {"places": places, "since": days, "until": days, "as_of": [None] * len(places)}
    shown = dict.fromkeys(row["shown"] for row in cursor.execute(query, given))  # type: ignore[arg-type]
    return len(shown), list(shown)[:NAMED]
