{# A1, one row per store and snapshot day. A commune code counts only when name and district beside it agree (KPI §1.2); what an
   operator has decided about them goes before. #}
with delivered as (
    select * from {{ accepted('postmart', 'stores') }} as a
),

communes as (
    select * from {{ platform_communes('vnpost_commune_code') }} as c
)

select
    'postmart' as platform,
    d.store_code,
    d.business_day as snapshot_day,
    d.export_id,
    d.source_row,
    false as is_reconstructed,
    coalesce(ot.canonical, 'UNKNOWN') as owner_type,
    coalesce(ss.canonical, 'UNKNOWN') as store_status,
    false as is_deleted,
    coalesce(d.store_name_is_test, 'false') = 'true' or coalesce(d.owner_name_is_test, 'false') = 'true' as is_test,
    d.phone_key,
    cast(null as text) as citizen_id_key,
    d.owner_name_key,
    case when k.list is null then c.list when k.code is not null then k.list end as source_geography,
    case when k.list is null then c.gso_code else k.code end as source_commune_code,
    parse.hamlet(d.hamlet_raw) as hamlet,
    parse.local_date(d.registered_at) as registered_day,
    parse.local_date(d.approved_at) as approved_day,
    parse.local_date(d.last_activity_at) as last_activity_day
from delivered as d
left join {{ words('owner_type', 'postmart') }} as ot on ot.word = parse.word(d.owner_type)
left join {{ words('store_status', 'postmart') }} as ss on ss.word = parse.word(d.status_raw)
left join communes as c
    on c.vnpost_commune_code = lpad(btrim(d.commune_src_code), 5, '0') and c.code_from <= d.business_day and d.business_day < c.code_to
    and {{ same_commune('d.commune_name', 'd.district_name', 'c') }}
left join {{ decided_communes('d', 'd.district_name') }}
