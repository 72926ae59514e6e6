{# Households and hamlets of a unit over time: the newest R1 not later than the day; before the first, the first (KPI §1.8). *By piece* is what
   the KPIs divide by; this is the register as it came. #}
{{ config(tags=['registers']) }}
with list as (
    select
        geography,
        commune_code as unit_code,
        as_of,
        count(*) as hamlets,
        sum(households) as households,
        sum(persons) as persons
    from {{ ref('stg_registers__hamlets') }}
    group by geography, commune_code, as_of
)

select
    l.geography,
    l.unit_code,
    {{ place_code('l.geography', 'l.unit_code') }} as commune_code,
    l.as_of,
    cast(l.households as bigint) as households,
    cast(l.hamlets as bigint) as hamlets,
    cast(l.persons as bigint) as persons,
    f.valid_from,
    f.valid_to
from list as l
join {{ ref('int_registers__by_place') }} as f
    on f.dataset = 'hamlets' and f.geography = l.geography and f.unit_code = l.unit_code and f.as_of = l.as_of
    and f.place_code = {{ place_code('l.geography', 'l.unit_code') }}
