{# Hamlets of the registers, with the time in which their list is in force. #}
select
    md5(h.commune_code || '|' || parse.plain(h.hamlet_name) || '|' || cast(l.valid_from as text)) as hamlet_key,
    h.commune_code,
    parse.plain(h.hamlet_name) as hamlet_code,
    h.hamlet_name,
    h.households,
    h.persons,
    l.as_of,
    l.valid_from,
    l.valid_to,
    h.export_id,
    h.source_row
from {{ ref('stg_registers__hamlets') }} as h
join {{ ref('int_denominators__in_force') }} as l on l.commune_code = h.commune_code and l.as_of = h.as_of
