{# Refund records, newest state each. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget() }}",
          indexes=[{'columns': ['platform', 'refund_code']}]) }}

select
    md5(r.platform || '|' || r.refund_code) as refund_key,
    r.platform,
    r.refund_code,
    r.order_code,
    case when r.order_code is not null then md5(r.platform || '|' || r.order_code) end as order_key,
    {{ place_geography('r.commune_code') }} as geography,
    {{ place_commune('r.commune_code') }} as commune_code,
    r.refund_kind,
    r.refund_status,
    r.is_done,
    r.is_order_known,
    r.is_test,
    r.refund_amount_vnd,
    parse.business_day(r.requested_at) as requested_date,
    r.completed_day as completed_date,
    r.export_id,
    r.source_row
from {{ ref('int_refunds') }} as r
{% if is_incremental() %}
join {{ source('ops', 'build_refund') }} as b on b.platform = r.platform and b.refund_code = r.refund_code
{% endif %}
