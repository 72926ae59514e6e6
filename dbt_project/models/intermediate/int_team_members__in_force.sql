{# Members of the community digital teams over time: the newest R2 not later than the day; before the first, the first (RULINGS 12). #}
with list as (
    select
        commune_code,
        as_of,
        case when row_number() over (partition by commune_code order by as_of) = 1 then {{ beginning() }} else as_of end as valid_from,
        coalesce(lead(as_of) over (partition by commune_code order by as_of), {{ forever() }}) as valid_to
    from (select distinct commune_code, as_of from {{ ref('stg_registers__team_members') }}) as d
)

select m.*, l.valid_from, l.valid_to
from {{ ref('stg_registers__team_members') }} as m
join list as l on l.commune_code = m.commune_code and l.as_of = m.as_of
