{# Lead households: the newest list, whatever the day; then recognised <= day < withdrawn (RULINGS 12). A list of a unit that a reform made ends those of
   the units it took over, part by part: who is known to live in a part that it covers counts as it says, and whom it names counts by it alone. On such a list a
   household is told of where its household lists say that it lived on the day, so that it keeps its place before the reform. #}
{{ config(tags=['registers']) }}
with placed as (
    select
        l.*,
        coalesce(l.withdrawn_on, {{ forever() }}) as ends_on,
        coalesce(a.place_code, {{ place_code('l.geography', 'l.commune_code') }}) as place_code
    from {{ ref('stg_registers__leads') }} as l
    left join {{ ref('int_hamlet_places') }} as a on a.geography = l.geography and a.commune_code = l.commune_code and a.hamlet = l.hamlet
),

newest as (
    select p.*
    from placed as p
    where exists (
        select 1
        from {{ ref('int_registers__in_force') }} as f
        join {{ ref('int_place_pieces') }} as m on m.piece_code = f.piece_code
        where f.dataset = 'leads' and f.geography = p.geography and f.commune_code = p.commune_code and f.as_of = p.as_of and f.valid_to = {{ forever() }}
            and m.place_code = p.place_code
    )
),

named as (
    select n.*
    from newest as n
    where not exists (
        select 1
        from newest as o
        join {{ ref('int_pieces') }} as t on t.geography = o.geography and t.commune_code = o.commune_code
        join {{ ref('int_pieces') }} as u on u.piece_code = t.piece_code and u.geography = n.geography and u.commune_code = n.commune_code
        where o.household_code = n.household_code and (o.as_of, o.geography) > (n.as_of, n.geography)
    )
),

lived as (
    select
        h.household_code, h.commune_code, h.valid_from,
        least(h.valid_to, coalesce(lead(h.valid_from) over (partition by h.household_code order by h.as_of, h.valid_from), {{ forever() }})) as valid_to
    from {{ ref('int_households__in_force') }} as h
    where h.household_code in (select household_code from named where geography <> {{ first_list() }})
)

select
    coalesce(w.commune_code, n.place_code) as commune_code,
    n.household_code,
    n.hamlet,
    greatest(n.recognised_on, coalesce(w.valid_from, {{ beginning() }})) as valid_from,
    least(n.ends_on, coalesce(w.valid_to, {{ forever() }})) as valid_to,
    n.as_of,
    n.export_id,
    n.source_row
from named as n
left join lived as w on n.geography <> {{ first_list() }} and w.household_code = n.household_code
where least(n.ends_on, coalesce(w.valid_to, {{ forever() }})) > greatest(n.recognised_on, coalesce(w.valid_from, {{ beginning() }}))
