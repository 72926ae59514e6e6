{# The change rows from which an account's state on any day follows. #}
{{ config(materialized='view') }}

select
    {{ pseudonym('account', "a.platform || '|' || a.account_ref || '|' || cast(a.valid_from as text)") }} as account_version_key,
    p.wallet,
    a.platform,
    {{ pseudonym('account', "a.platform || '|' || a.account_ref") }} as account_key,
    a.account_status,
    a.kyc_level,
    a.is_counting,
    {{ place_geography('a.commune_code') }} as geography,
    {{ place_commune('a.commune_code') }} as commune_code,
    {{ pseudonym('household', 'a.household_code') }} as household_key,
    a.matched_by,
    a.identified_day,
    a.is_rebuilt,
    a.valid_from,
    a.valid_to,
    a.export_id,
    a.source_row
from {{ ref('int_accounts__matched') }} as a
join {{ ref('platform') }} as p on p.platform = a.platform
