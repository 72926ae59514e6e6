{# Lead households: the commune's newest list, whatever the day; then recognised <= day < withdrawn (RULINGS 12). #}
with newest as (
    select
        l.*,
        dense_rank() over (partition by l.commune_code order by l.as_of desc) as recency
    from {{ ref('stg_registers__leads') }} as l
)

select
    commune_code,
    household_code,
    hamlet,
    recognised_on as valid_from,
    coalesce(withdrawn_on, {{ forever() }}) as valid_to,
    as_of,
    export_id,
    source_row
from newest
where recency = 1 and coalesce(withdrawn_on, {{ forever() }}) > recognised_on
