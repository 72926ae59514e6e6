{# Where orders go, as each platform names it: Postmart by province name, Vỏ Sò by Viettel Post's own province id. Incremental: what the orders of this build
   name for the first time, without what no order names any more. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget_locations() }}") }}

select distinct
    md5(o.platform || '|' || o.receiver_province) as location_key,
    o.platform,
    o.receiver_province as source_province,
    coalesce(v.name, case when o.platform = 'postmart' then o.receiver_province end) as province_name,
    o.is_out_of_province
from {{ ref('int_orders') }} as o
left join {{ ref('vtp_province') }} as v on o.platform = 'voso' and v.province_id = o.receiver_province
{%- if is_incremental() %}
join {{ source('ops', 'build_order') }} as b on b.platform = o.platform and b.order_code = o.order_code
{%- endif %}
where o.receiver_province is not null
{%- if is_incremental() %}
    and not exists (select 1 from {{ this }} as t where t.platform = o.platform and t.source_province = o.receiver_province)
{%- endif %}
