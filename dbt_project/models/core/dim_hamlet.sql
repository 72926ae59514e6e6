{# Hamlets of the registers, with the time in which their list is in force. Households are suppressed as in kpi_hamlet_daily, and with them persons, which
   would be a ceiling over them. #}
{{ config(tags=['registers']) }}
with judged as (
    select * from {{ hidden_counts(ref('int_hamlets__in_force'), [['place_code', 'as_of'], ['commune_code', 'as_of']], 'hamlet_code', {'households': none}) }} as h
)

select
    md5(h.commune_code || '|' || h.hamlet_code || '|' || cast(h.valid_from as text)) as hamlet_key,
    h.geography,
    {{ place_commune('h.commune_code') }} as commune_code,
    h.hamlet_code,
    h.hamlet_name,
    case when not h.households_hidden then h.households end as households,
    case when not h.households_hidden then h.persons end as persons,
    h.households_hidden as suppressed,
    h.as_of,
    h.valid_from,
    h.valid_to,
    h.export_id,
    h.source_row
from judged as h
