{# Households and hamlets per piece of the lists and time, from the R1 in force on it: hamlets go where they are known to lie, what is not known is
   shared out (KPI §1.8, §1.12). #}
{{ config(tags=['registers'], indexes=[{'columns': ['piece_code']}]) }}

with place as (
    select
        r.geography,
        r.commune_code as unit_code,
        r.as_of,
        coalesce(h.place_code, {{ place_code('r.geography', 'r.commune_code') }}) as place_code,
        sum(r.households) as households,
        count(*) as hamlets
    from {{ ref('stg_registers__hamlets') }} as r
    left join {{ ref('int_hamlet_places') }} as h on h.geography = r.geography and h.commune_code = r.commune_code and h.hamlet = r.hamlet
    group by 1, 2, 3, 4
)

select s.piece_code, s.place_code, s.as_of, f.valid_from, f.valid_to, s.households, s.hamlets
from {{ shared_out('place', ['geography', 'unit_code', 'as_of'], ['households', 'hamlets']) }} as s
join {{ ref('int_registers__in_force') }} as f
    on f.dataset = 'hamlets' and f.geography = s.geography and f.commune_code = s.unit_code and f.as_of = s.as_of and f.piece_code = s.piece_code
