{# Hamlets of the registers (R1), with the time in which their commune's list is in force, in the part where they lie if that is known. `hamlet_code` is the name's comparison form with its unit
   word ("Khối 3" is not "Thôn 3"), `hamlet` the one without; it tells a hamlet only where it is `is_bare_unique`. Where its part of
   a split commune is known, `place_code` is that part. #}
{{ config(tags=['registers'], indexes=[{'columns': ['commune_code']}]) }}

with hamlet as (
    select h.*, parse.plain(h.hamlet_name) as hamlet_code
    from {{ ref('stg_registers__hamlets') }} as h
)

select
    h.geography,
    {{ place_code('h.geography', 'h.commune_code') }} as commune_code,
    l.place_code,
    h.hamlet_code,
    h.hamlet_name,
    h.hamlet,
    count(*) over (partition by h.geography, h.commune_code, h.as_of, h.hamlet) = 1 as is_bare_unique,
    h.households,
    h.persons,
    h.as_of,
    l.valid_from,
    l.valid_to,
    h.export_id,
    h.source_row
from hamlet as h
left join {{ ref('int_hamlet_places') }} as a on a.geography = h.geography and a.commune_code = h.commune_code and a.hamlet = h.hamlet
join {{ ref('int_registers__by_place') }} as l
    on l.dataset = 'hamlets' and l.geography = h.geography and l.unit_code = h.commune_code and l.as_of = h.as_of
    and l.place_code = coalesce(a.place_code, {{ place_code('h.geography', 'h.commune_code') }})
