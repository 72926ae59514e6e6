{# Which decision sets a unit's target on which day (KPI §2, RULINGS 12): of the R3 lists not later than the day (before the first, the first) the newest that names
   the unit, of it the newest decision already made. Intervals of a unit, indicator and phase do not overlap. A hamlet is the one that the R1 in force means
   by the name; without one, and where a newer decision was there before it began, `valid_from` is null: never in force. A decision that says nothing of
   an indicator decides nothing of it. #}
{{ config(tags=['registers']) }}
with target as (
    select t.* from {{ ref('int_targets') }} as t
),

list as (
    select
        geography,
        commune_code,
        as_of,
        case when row_number() over (partition by geography, commune_code order by as_of) = 1 then {{ beginning() }} else as_of end as known_from
    from (select distinct geography, commune_code, as_of from target) as d
),

of_unit as (
    select
        t.export_id, t.source_row, t.indicator,
        case t.target_level when 'COMMUNE' then t.commune_code when 'COOPERATIVE' then t.commune_code || '-' || parse.plain(t.unit_name) end as unit_code,
        {{ beginning() }} as named_from,
        {{ forever() }} as named_to
    from target as t
    where t.target_level in ('COMMUNE', 'COOPERATIVE')
    union all
    select t.export_id, t.source_row, t.indicator, t.commune_code || '-' || x.hamlet_code, x.valid_from, x.valid_to
    from target as t
    join {{ ref('int_hamlet_texts') }} as x on x.commune_code = {{ place_code('t.geography', 't.commune_code') }} and x.hamlet_text = t.unit_name
    where t.target_level = 'HAMLET' and x.hamlet_code <> '~'
),

candidate as (
    select
        u.*, t.geography, t.target_level, t.phase, t.as_of, t.decision_on, t.decision_no,
        greatest(l.known_from, t.decision_on, u.named_from) as starts_on
    from of_unit as u
    join target as t on t.export_id = u.export_id and t.source_row = u.source_row and t.indicator = u.indicator
    join list as l on l.geography = t.geography and l.commune_code = t.commune_code and l.as_of = t.as_of
    where t.decision_on is not null and (t.target_rate is not null or t.target_count is not null)
),

-- what comes later in this order prevails as soon as it starts
ended as (
    select
        c.*,
        least(c.named_to, coalesce(min(c.starts_on) over (
            partition by c.geography, c.target_level, c.unit_code, c.indicator, c.phase, c.named_from
            order by c.as_of, c.decision_on, c.decision_no, c.export_id, c.source_row rows between 1 following and unbounded following
        ), {{ forever() }})) as ends_on
    from candidate as c
)

select
    t.*,
    e.unit_code,
    e.starts_on as valid_from,
    e.ends_on as valid_to
from target as t
left join ended as e
    on e.export_id = t.export_id and e.source_row = t.source_row and e.indicator = t.indicator and e.starts_on < e.ends_on
