{# The same per place: a unit's register is in force on a place as long as on any of its pieces. A table, so that what joins it with a row per household
   knows how few rows it has. #}
{{ config(tags=['registers']) }}
select
    f.dataset,
    f.geography,
    f.commune_code as unit_code,
    f.as_of,
    p.place_code,
    min(f.valid_from) as valid_from,
    max(f.valid_to) as valid_to
from {{ ref('int_registers__in_force') }} as f
join {{ ref('int_place_pieces') }} as p on p.geography = f.geography and p.commune_code = f.commune_code and p.piece_code = f.piece_code
group by f.dataset, f.geography, f.commune_code, f.as_of, p.place_code
