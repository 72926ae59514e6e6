{# R5, responsible enterprise per commune; reporting only. #}
with ranked as (
    select
        a.*,
        dense_rank() over (partition by a.commune_code, a.as_of order by a.received_at desc, a.version desc, a.export_id desc) as recency
    from {{ accepted('registers', 'enterprises') }} as a
)

select
    li.geography,
    r.commune_code,
    cast(r.as_of as date) as as_of,
    r.export_id,
    r.source_row,
    r.enterprise,
    parse.local_date(r.valid_from) as valid_from,
    parse.local_date(r.valid_to) as valid_to
from ranked as r
join {{ lists() }} as li on li.valid_from <= cast(r.as_of as date) and cast(r.as_of as date) < li.valid_to
where r.recency = 1
