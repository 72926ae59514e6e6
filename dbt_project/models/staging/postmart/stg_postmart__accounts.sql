{# A5, one row per PostPay account and snapshot day. #}
select
    'postmart' as platform,
    d.account_ref,
    d.business_day as snapshot_day,
    d.export_id,
    d.source_row,
    false as is_reconstructed,
    lower(d.phone_key) as phone_key,
    cast(null as text) as citizen_id_key,
    case when k.list is null then c.list when k.code is not null then k.list end as source_geography,
    case when k.list is null then c.gso_code else k.code end as source_commune_code,
    cast(parse.integer(d.kyc_level) as integer) as kyc_level,
    coalesce(s.canonical, 'UNKNOWN') as account_status,
    parse.local_date(d.opened_at) as opened_day,
    parse.local_date(d.kyc_at) as identified_day
from {{ accepted('postmart', 'accounts') }} as d
left join {{ words('account_status', 'postmart') }} as s on s.word = parse.word(d.status_raw)
left join {{ platform_communes('vnpost_commune_code') }} as c
    on c.vnpost_commune_code = lpad(btrim(d.commune_src_code), 5, '0') and c.code_from <= d.business_day and d.business_day < c.code_to
    and {{ same_commune('d.commune_name', 'null', 'c') }}
left join {{ decided_communes('d', 'null') }}
