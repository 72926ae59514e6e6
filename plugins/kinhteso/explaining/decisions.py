"""Which decision sets a target (KPI §2, RULINGS 12), found anew among the rows of R3 as they were staged: the newest list that names the unit, of it the
newest decision already made. A list counts from its as-of date on, the first reaches back; a decision never before it was made.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from kinhteso.explaining import cells, entities
from kinhteso.explaining.cells import Cursor
from kinhteso.kpis import Words

Decision = dict[str, Any]

_ON_FILE = """
with list as (
    select commune_code, as_of, row_number() over (partition by commune_code order by as_of) = 1 as is_first
    from (select distinct commune_code, as_of from staging.stg_registers__targets where geography = '2021') as d
)
select t.*, r.target_rate, r.target_count, case when l.is_first then t.decision_on else greatest(t.as_of, t.decision_on) end as starts_on
from staging.stg_registers__targets as t
join list as l on l.commune_code = t.commune_code and l.as_of = t.as_of
cross join lateral (select
    cast(case %(indicator)s when 'store' then t.store_rate when 'payment' then t.payment_rate when 'lead' then t.lead_rate end as numeric(9, 6)) as target_rate,
    case %(indicator)s when 'store' then t.store_count when 'payment' then t.payment_count when 'lead' then t.lead_count else t.team_count end as target_count
) as r
where t.geography = '2021' and t.commune_code = %(commune)s and t.target_level = %(level)s and t.phase = %(phase)s
    and t.decision_on is not null and (r.target_rate is not null or r.target_count is not null)
    and case %(level)s
        when 'COMMUNE' then true
        when 'COOPERATIVE' then parse.plain(t.unit_name) = %(name)s
        else exists (select from intermediate.int_hamlet_texts as x where x.commune_code = %(commune)s and x.hamlet_text = t.unit_name
            and x.hamlet_code = %(name)s and x.valid_from <= %(day)s and %(day)s < x.valid_to) end
order by t.as_of, t.decision_on, t.decision_no, t.export_id, t.source_row
"""
_ROW = """found as (
    select t.commune_code as place, t.export_id || '|' || t.source_row as entity, t.unit_name as shown, null::int as amount, 'target' as role,
        concat_ws(' · ', t.decision_no, t.decision_on, '→ ' || t.due_on) as note, t.export_id, t.source_row, t.unit_name as code
    from staging.stg_registers__targets as t
    where t.export_id = %(export_id)s and t.source_row = %(source_row)s
)"""
_IN_FORCE = """
select export_id, source_row from core.fct_target
where geography = '2021' and unit_code = %s and target_level = %s and indicator = %s and phase = %s and valid_from <= %s and %s < valid_to
"""


def on_file(cursor: Cursor, level: str, indicator: str, commune: str, name: str, phase: int | None, day: date) -> list[Decision]:
    """Every row of R3 that decides something of the indicator for the unit, the one that prevails last. ``name``: comparison form; of a commune empty."""
    asked = {"level": level, "indicator": indicator, "commune": commune, "name": name, "phase": phase, "day": day}
    return cursor.execute(_ON_FILE, asked).fetchall()


def in_force(known: Sequence[Decision], day: date) -> Decision | None:
    """The last of those that have started."""
    return next((d for d in reversed(known) if d["starts_on"] <= day), None)


def told(known: Sequence[Decision], decision: Decision | None, day: date, *, is_inherited: bool) -> list[Words]:
    """The decision in force and the others on file, in words."""
    if decision is None:
        found = [Words("Không có quyết định nào đang có hiệu lực: mức chung.", "No decision is in force: the default.")]
    else:
        vi, en = _in_words(decision)
        whose = Words("Theo quyết định của xã", "Inherited from the commune") if is_inherited else Words("Quyết định của chính đơn vị", "Its own decision")
        found = [Words(f"{whose.vi}: {vi}.", f"{whose.en}: {en}.")]
    for other in known:
        if other is not decision:
            vi, en = _in_words(other)
            waits = other["starts_on"] > day
            found.append(
                Words(
                    f"Trên hồ sơ còn: {vi} ({'chưa có hiệu lực' if waits else 'đã nhường'}).",
                    f"Also on file: {en} ({'not in force yet' if waits else 'has given way'}).",
                )
            )
    return found


def _in_words(d: Decision) -> Words:
    rate = f"{d['target_rate'].normalize():f}" if d["target_rate"] is not None else "—"
    count = d["target_count"] if d["target_count"] is not None else "—"
    return Words(
        f"{d['decision_no']} ngày {d['decision_on']}, Biểu 03 {d['as_of']} «{d['unit_name']}»: tỷ lệ {rate}, số {count}; "
        f"hiệu lực từ {d['starts_on']}, hạn {d['due_on'] or '—'}",
        f"{d['decision_no']} of {d['decision_on']}, R3 {d['as_of']}: rate {rate}, count {count}; in force from {d['starts_on']} on, due {d['due_on'] or '—'}",
    )


def row_of(cursor: Cursor, decision: Decision) -> list[cells.Entity]:
    """The row of R3 as an entity with the delivery that it stands in."""
    rows = cursor.execute(entities.placed(_ROW), {name: decision[name] for name in ("export_id", "source_row")}).fetchall()  # type: ignore[arg-type]
    return [cells.entity(rows)] if rows else []


def held_against_core(cursor: Cursor, d: Decision, unit: str, indicator: str, day: date) -> list[Words]:
    """fct_target, which BI's figures are made of, has to say the same."""
    rows = cursor.execute(_IN_FORCE, (unit, d["target_level"], indicator, d["phase"], day, day)).fetchall()
    there = [(r["export_id"], r["source_row"]) for r in rows]
    if there == [(d["export_id"], d["source_row"])]:
        return []
    has = ", ".join(f"{export_id}/{source_row}" for export_id, source_row in there)
    mine = f"{d['decision_no']} ({d['export_id']}/{d['source_row']})"
    return [
        Words(
            f"core.fct_target có hiệu lực {has or 'không dòng nào'}, Biểu 03 cho ra {mine}.",
            f"core.fct_target has {has or 'nothing'} in force, R3 gives {mine}.",
        )
    ]
