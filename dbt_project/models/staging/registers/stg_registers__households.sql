{# R1b, the household list: of each commune and as-of date the file that came last. Keys only, no personal data. #}
with ranked as (
    select
        a.*,
        dense_rank() over (partition by a.commune_code, a.as_of order by a.received_at desc, a.version desc, a.export_id desc) as recency
    from {{ accepted('registers', 'households') }} as a
)

select
    r.household_code,
    li.geography,
    r.commune_code,
    cast(r.as_of as date) as as_of,
    r.export_id,
    r.source_row,
    parse.hamlet(r.hamlet_raw) as hamlet,
    r.hamlet_raw as hamlet_name,
    r.phone_key,
    r.citizen_id_key,
    r.head_name_key
from ranked as r
join {{ lists() }} as li on li.valid_from <= cast(r.as_of as date) and cast(r.as_of as date) < li.valid_to
where r.recency = 1
