{# Hamlets of the registers, with the time in which their commune's list is in force. #}
{{ config(materialized='view') }}

select
    h.commune_code,
    h.hamlet_name,
    h.households,
    h.persons,
    h.as_of,
    l.valid_from,
    l.valid_to,
    h.export_id,
    h.source_row
from {{ ref('stg_registers__hamlets') }} as h
join {{ ref('int_denominators__in_force') }} as l on l.commune_code = h.commune_code and l.as_of = h.as_of
