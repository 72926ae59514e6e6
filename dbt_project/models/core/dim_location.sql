{# Where orders go, as each platform names it: Postmart by province name, Vỏ Sò by Viettel Post's own province id. #}
select distinct
    md5(o.platform || '|' || o.receiver_province) as location_key,
    o.platform,
    o.receiver_province as source_province,
    coalesce(v.name, case when o.platform = 'postmart' then o.receiver_province end) as province_name,
    o.is_out_of_province
from {{ ref('int_orders') }} as o
left join {{ ref('vtp_province') }} as v on o.platform = 'voso' and v.province_id = o.receiver_province
where o.receiver_province is not null
