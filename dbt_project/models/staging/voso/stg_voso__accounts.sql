{# B6, one row per Viettel Money account and snapshot day; the commune is the one declared at opening. #}
select
    'voso' as platform,
    d.account_ref,
    d.business_day as snapshot_day,
    d.export_id,
    d.source_row,
    d.is_reconstructed,
    lower(d.phone_key) as phone_key,
    lower(d.id_key) as citizen_id_key,
    c.list as source_geography,
    c.gso_code as source_commune_code,
    cast(parse.integer(d.kyc_level) as integer) as kyc_level,
    coalesce(s.canonical, 'UNKNOWN') as account_status,
    parse.business_day(parse.epoch_ms(d.opened_at)) as opened_day,
    parse.business_day(parse.epoch_ms(d.kyc_at)) as identified_day
from {{ accepted('voso', 'accounts', key='account_ref', is_snapshot=true) }} as d
left join {{ words('account_status', 'voso') }} as s on s.word = parse.word(d.status)
left join {{ platform_communes('vtp_wards_id') }} as c
    on c.vtp_province_id = d.province_id and c.vtp_wards_id = d.wards_id and c.code_from <= d.business_day and d.business_day < c.code_to
