{# The household list over time: a commune's newest list not later than the day; before its first, the first (RULINGS 12). A household keeps its
   code, and so its identity, when its commune merges or splits. #}
{{ config(tags=['registers'], indexes=[{'columns': ['household_code']}]) }}

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
join {{ ref('int_registers__by_place') }} as l
    on l.dataset = 'households' and l.geography = h.geography and l.unit_code = h.commune_code and l.as_of = h.as_of
    and l.place_code = coalesce(a.place_code, {{ place_code('h.geography', 'h.commune_code') }})
