{# Households of the registers over time; a surrogate key instead of the household's own code, no personal data. #}
{{ config(materialized='view', tags=['registers']) }}

select
    {{ pseudonym('household', "h.household_code || '|' || h.commune_code || '|' || cast(h.valid_from as text)") }} as household_version_key,
    {{ pseudonym('household', 'h.household_code') }} as household_key,
    {{ place_geography('h.commune_code') }} as geography,
    {{ place_commune('h.commune_code') }} as commune_code,
    h.hamlet,
    h.as_of,
    h.valid_from,
    h.valid_to,
    h.phone_key is not null as has_phone,
    h.citizen_id_key is not null as has_citizen_id,
    h.export_id,
    h.source_row
from {{ ref('int_households__in_force') }} as h
