{# Which unit of which list took over which part of a unit of an earlier list, on what paper: each step as published, and each list that lies
   further back put together from the steps between. #}
{{ config(tags=['static']) }}

with recursive step as (
    select
        s.old_code, s.old_list, s.new_code, s.new_list,
        coalesce(s.share, cast(1.0 as numeric) / count(*) over (partition by s.old_list, s.old_code, s.new_list)) as share,
        s.share_basis, s.legal_document
    from {{ ref('commune_succession') }} as s
),

chain as (
    select old_code, old_list, new_code, new_list, share, share_basis, legal_document from step
    union all
    select
        c.old_code, c.old_list, s.new_code, s.new_list, c.share * s.share,
        case when c.share_basis = 'whole' then s.share_basis else c.share_basis end,
        concat_ws('; ', c.legal_document, s.legal_document)
    from chain as c
    join step as s on s.old_list = c.new_list and s.old_code = c.new_code
)

select
    old_code,
    old_list,
    new_code,
    new_list,
    cast(sum(share) as numeric(9, 6)) as share,
    case when sum(share) = 1 and min(share_basis) = 'whole' then 'whole' else max(share_basis) filter (where share_basis <> 'whole') end as share_basis,
    string_agg(distinct legal_document, ' | ') as legal_document
from chain
group by old_code, old_list, new_code, new_list
