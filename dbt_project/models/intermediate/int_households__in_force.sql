{# The household list over time: a commune's newest list not later than the day; before its first, the first (RULINGS 12). A household keeps its
   code, and so its identity, when its commune merges or splits. #}
{{ config(indexes=[{'columns': ['household_code']}]) }}

with in_force as (
    select f.geography, f.commune_code as unit_code, f.as_of, p.place_code, min(f.valid_from) as valid_from, max(f.valid_to) as valid_to
    from {{ registers_in_force(ref('stg_registers__households')) }} as f
    join {{ ref('int_place_pieces') }} as p
        on p.geography = f.geography and p.commune_code = f.commune_code and p.piece_code = f.piece_code
    where f.valid_from < f.valid_to
    group by f.geography, f.commune_code, f.as_of, p.place_code
)

select
    h.household_code,
    l.place_code as commune_code,
    h.hamlet,
    h.phone_key,
    h.citizen_id_key,
    h.head_name_key,
    l.as_of,
    l.valid_from,
    l.valid_to,
    h.hamlet_name,
    h.export_id,
    h.source_row
from {{ ref('stg_registers__households') }} as h
left join {{ ref('int_hamlet_places') }} as a on a.geography = h.geography and a.commune_code = h.commune_code and a.hamlet = h.hamlet
join in_force as l
    on l.geography = h.geography and l.unit_code = h.commune_code and l.as_of = h.as_of
    and l.place_code = coalesce(a.place_code, {{ place_code('h.geography', 'h.commune_code') }})
