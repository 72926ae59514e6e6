{# Stores over time (SCD 2): a row where a state, its commune or its household changes. #}
{{ config(materialized='view') }}

select
    md5(m.platform || '|' || m.store_code || '|' || cast(m.valid_from as text)) as store_version_key,
    md5(m.platform || '|' || m.store_code) as store_key,
    m.platform,
    m.store_code,
    m.owner_type,
    m.store_status,
    m.is_test,
    m.is_present,
    m.is_counting,
    {{ place_geography('m.commune_code') }} as geography,
    {{ place_commune('m.commune_code') }} as commune_code,
    {{ pseudonym('household', 'm.household_code') }} as household_key,
    m.matched_by,
    m.registered_day,
    m.approved_day,
    m.last_activity_day,
    m.is_rebuilt,
    m.valid_from,
    m.valid_to,
    m.export_id,
    m.source_row
from {{ ref('int_stores__matched') }} as m
