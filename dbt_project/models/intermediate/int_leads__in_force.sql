{# Lead households: the commune's newest list, whatever the day; then recognised <= day < withdrawn (RULINGS 12). On a list of a unit that a
   reform made a household is told of where its household lists say that it lived on the day, so that it keeps its place before the reform. #}
with newest as (
    select l.*, coalesce(l.withdrawn_on, {{ forever() }}) as ends_on
    from {{ ref('stg_registers__leads') }} as l
    where exists (
        select 1
        from {{ ref('int_registers__in_force') }} as f
        where f.dataset = 'leads' and f.geography = l.geography and f.commune_code = l.commune_code and f.as_of = l.as_of and f.valid_to = {{ forever() }}
    )
),

lived as (
    select
        h.household_code, h.commune_code, h.valid_from,
        least(h.valid_to, coalesce(lead(h.valid_from) over (partition by h.household_code order by h.as_of, h.valid_from), {{ forever() }})) as valid_to
    from {{ ref('int_households__in_force') }} as h
    where h.household_code in (select household_code from newest where geography <> {{ first_list() }})
)

select
    coalesce(w.commune_code, a.place_code, {{ place_code('n.geography', 'n.commune_code') }}) as commune_code,
    n.household_code,
    n.hamlet,
    greatest(n.recognised_on, coalesce(w.valid_from, {{ beginning() }})) as valid_from,
    least(n.ends_on, coalesce(w.valid_to, {{ forever() }})) as valid_to,
    n.as_of,
    n.export_id,
    n.source_row
from newest as n
left join {{ ref('int_hamlet_places') }} as a on a.geography = n.geography and a.commune_code = n.commune_code and a.hamlet = n.hamlet
left join lived as w on n.geography <> {{ first_list() }} and w.household_code = n.household_code
where least(n.ends_on, coalesce(w.valid_to, {{ forever() }})) > greatest(n.recognised_on, coalesce(w.valid_from, {{ beginning() }}))
