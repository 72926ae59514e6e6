{# R4, lead households: of each commune and as-of date the file that came last. #}
with ranked as (
    select
        a.*,
        dense_rank() over (partition by a.commune_code, a.as_of order by a.received_at desc, a.version desc, a.export_id desc) as recency
    from {{ accepted('registers', 'leads') }} as a
)

select
    li.geography,
    r.commune_code,
    cast(r.as_of as date) as as_of,
    r.export_id,
    r.source_row,
    btrim(r.household_code) as household_code,
    parse.hamlet(r.hamlet_raw) as hamlet,
    r.main_goods,
    parse.local_date(r.recognised_on) as recognised_on,
    parse.local_date(r.withdrawn_on) as withdrawn_on
from ranked as r
join {{ lists() }} as li on li.valid_from <= cast(r.as_of as date) and cast(r.as_of as date) < li.valid_to
where r.recency = 1
