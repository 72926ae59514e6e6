{# Hamlets of the registers, with the time in which their list is in force. #}
select
    md5(h.commune_code || '|' || parse.plain(h.hamlet_name) || '|' || cast(h.valid_from as text)) as hamlet_key,
    h.commune_code,
    parse.plain(h.hamlet_name) as hamlet_code,
    h.hamlet_name,
    h.households,
    h.persons,
    h.as_of,
    h.valid_from,
    h.valid_to,
    h.export_id,
    h.source_row
from {{ ref('int_hamlets__in_force') }} as h
