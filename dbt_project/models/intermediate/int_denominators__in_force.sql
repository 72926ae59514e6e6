{# Households and hamlets of a commune over time: the newest R1 not later than the day; before the first, the first (KPI §1.8). #}
with list as (
    select
        commune_code,
        as_of,
        count(*) as hamlets,
        sum(households) as households,
        sum(persons) as persons
    from {{ ref('stg_registers__hamlets') }}
    group by commune_code, as_of
)

select
    commune_code,
    as_of,
    cast(households as bigint) as households,
    cast(hamlets as bigint) as hamlets,
    cast(persons as bigint) as persons,
    case when row_number() over (partition by commune_code order by as_of) = 1 then {{ beginning() }} else as_of end as valid_from,
    coalesce(lead(as_of) over (partition by commune_code order by as_of), {{ forever() }}) as valid_to
from list
