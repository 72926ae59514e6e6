{# R1, households per hamlet: of each commune and as-of date the file that came last (EXPORTS §12, version rule). #}
with ranked as (
    select
        a.*,
        dense_rank() over (partition by a.commune_code, a.as_of order by a.received_at desc, a.version desc, a.export_id desc) as recency
    from {{ accepted('registers', 'hamlets') }} as a
)

select
    li.geography,
    r.commune_code,
    cast(r.as_of as date) as as_of,
    r.export_id,
    r.source_row,
    r.hamlet_raw as hamlet_name,
    parse.hamlet(r.hamlet_raw) as hamlet,
    cast(parse.money(r.households) as bigint) as households,
    cast(parse.money(r.persons) as bigint) as persons
from ranked as r
join {{ lists() }} as li on li.valid_from <= cast(r.as_of as date) and cast(r.as_of as date) < li.valid_to
where r.recency = 1
