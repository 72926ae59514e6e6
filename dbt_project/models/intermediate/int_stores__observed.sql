{# Every store of both platforms on every snapshot day, made alike. Counting: KPI §1.3; a pulled snapshot shows the moment of the
   pull, so what was approved after its day does not count yet, and a late pull counts only what its dates prove (RULINGS 16). #}
{{ config(materialized='view', tags=['standing']) }}

with store as (
    select * from {{ ref('stg_postmart__stores') }}
    union all
    select * from {{ ref('stg_voso__stores') }}
)

select
    s.platform,
    s.store_code,
    s.snapshot_day,
    s.export_id,
    s.source_row,
    s.owner_type,
    s.store_status,
    s.is_deleted,
    s.is_test,
    s.phone_key,
    s.citizen_id_key,
    s.owner_name_key,
    coalesce(h.place_code, {{ place_code('s.source_geography', 's.source_commune_code') }}) as source_commune_code,
    s.hamlet,
    s.registered_day,
    s.approved_day,
    s.last_activity_day,
    s.owner_type in ('HOUSEHOLD', 'HOUSEHOLD_BUSINESS') as is_matchable,
    s.store_status in ('ACTIVE', 'PAUSED') and not s.is_deleted and not s.is_test
    and case
        when s.is_reconstructed then coalesce(s.approved_day <= s.snapshot_day, false)
        when s.platform = 'voso' then coalesce(s.approved_day <= s.snapshot_day, true)
        else true
    end as is_counting
from store as s
left join {{ ref('int_hamlet_places') }} as h
    on h.geography = s.source_geography and h.commune_code = s.source_commune_code and h.hamlet = s.hamlet
