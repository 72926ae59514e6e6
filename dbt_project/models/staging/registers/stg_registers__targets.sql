{# R3, targets by decision: of each commune and as-of date the file that came last. #}
with ranked as (
    select
        a.*,
        dense_rank() over (partition by a.commune_code, a.as_of order by a.received_at desc, a.version desc, a.export_id desc) as recency
    from {{ accepted('registers', 'targets') }} as a
)

select
    li.geography,
    r.commune_code,
    cast(r.as_of as date) as as_of,
    r.export_id,
    r.source_row,
    r.unit_name,
    coalesce(l.canonical, 'UNKNOWN') as target_level,
    cast(parse.integer(r.phase) as integer) as phase,
    cast(parse.money(r.households) as bigint) as households,
    parse.rate(r.store_rate) as store_rate,
    cast(parse.money(r.store_count) as bigint) as store_count,
    parse.rate(r.payment_rate) as payment_rate,
    cast(parse.money(r.payment_count) as bigint) as payment_count,
    parse.rate(r.lead_rate) as lead_rate,
    cast(parse.money(r.lead_count) as bigint) as lead_count,
    cast(parse.money(r.team_count) as bigint) as team_count,
    r.decision_no,
    parse.local_date(r.decision_on) as decision_on,
    parse.local_date(r.due_on) as due_on
from ranked as r
join {{ lists() }} as li on li.valid_from <= cast(r.as_of as date) and cast(r.as_of as date) < li.valid_to
left join {{ words('target_level', 'registers') }} as l on l.word = parse.word(r.level_raw)
where r.recency = 1
