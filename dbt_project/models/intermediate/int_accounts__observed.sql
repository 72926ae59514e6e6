{# Every wallet account on every snapshot day. Counting: ACTIVE and identified (KPI §1.3), on pulled snapshots not after the day's end. #}
{{ config(materialized='view', tags=['standing']) }}

with account as (
    select * from {{ ref('stg_postmart__accounts') }}
    union all
    select * from {{ ref('stg_voso__accounts') }}
)

select
    a.platform,
    a.account_ref,
    a.snapshot_day,
    a.export_id,
    a.source_row,
    a.phone_key,
    a.citizen_id_key,
    {{ place_code('a.source_geography', 'a.source_commune_code') }} as source_commune_code,
    a.kyc_level,
    a.account_status,
    a.opened_day,
    a.identified_day,
    true as is_matchable,
    a.account_status = 'ACTIVE' and a.kyc_level >= 1
    and case
        when a.is_reconstructed then coalesce(a.identified_day <= a.snapshot_day, false)
        when a.platform = 'voso' then coalesce(a.identified_day <= a.snapshot_day, true)
        else true
    end as is_counting
from account as a
