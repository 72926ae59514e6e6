{# B1, one row per store and snapshot day. Ward ids are Viettel Post's own and never joined as official codes (EXPORTS §2.7). #}
select
    'voso' as platform,
    d.store_id as store_code,
    d.business_day as snapshot_day,
    d.export_id,
    d.source_row,
    d.is_reconstructed,
    coalesce(ot.canonical, 'UNKNOWN') as owner_type,
    coalesce(ss.canonical, 'UNKNOWN') as store_status,
    coalesce(parse.boolean(d.is_deleted), false) as is_deleted,
    coalesce(d.store_name_is_test, 'false') = 'true' or coalesce(d.owner_name_is_test, 'false') = 'true' as is_test,
    lower(d.phone_key) as phone_key,
    lower(d.id_key) as citizen_id_key,
    d.owner_name_key,
    c.list as source_geography,
    c.gso_code as source_commune_code,
    parse.hamlet(d.hamlet_name) as hamlet,
    parse.business_day(parse.epoch_ms(d.created_at)) as registered_day,
    parse.business_day(parse.epoch_ms(d.approved_at)) as approved_day,
    parse.business_day(parse.epoch_ms(d.last_active_at)) as last_activity_day
from {{ accepted('voso', 'stores', key='store_id', is_snapshot=true) }} as d
left join {{ words('owner_type', 'voso') }} as ot on ot.word = parse.word(d.owner_type)
left join {{ words('store_status', 'voso') }} as ss on ss.word = parse.word(d.status)
left join {{ platform_communes('vtp_wards_id') }} as c
    on c.vtp_province_id = d.province_id and c.vtp_wards_id = d.wards_id and c.code_from <= d.business_day and d.business_day < c.code_to
