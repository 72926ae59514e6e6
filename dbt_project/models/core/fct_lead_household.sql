{# Lead households in force, by their commune's newest list. #}
{{ config(tags=['registers']) }}
select
    md5(cast(l.export_id as text) || '|' || cast(l.source_row as text) || '|' || cast(l.valid_from as text)) as lead_household_key,
    {{ place_geography('l.commune_code') }} as geography,
    {{ place_commune('l.commune_code') }} as commune_code,
    {{ pseudonym('household', 'l.household_code') }} as household_key,
    l.valid_from,
    l.valid_to,
    l.as_of,
    l.export_id,
    l.source_row
from {{ ref('int_leads__in_force') }} as l
