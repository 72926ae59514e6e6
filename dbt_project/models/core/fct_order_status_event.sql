{# Status events of orders in business time, repeated ones once (EXPORTS §8.5); late ones stand where they belong. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget() }}",
          indexes=[{'columns': ['platform', 'order_code']}]) }}

with ranked as (
    select
        e.*,
        row_number() over (partition by e.platform, e.order_code, e.status_raw, e.event_at order by e.business_day, e.export_id, e.source_row) as nth
    from {{ ref('int_order_events') }} as e
)

select
    md5(platform || '|' || order_code || '|' || status_raw || '|' || cast(extract(epoch from event_at) as text)) as event_key,
    md5(platform || '|' || order_code) as order_key,
    platform,
    order_code,
    status_raw,
    status as order_status,
    event_at,
    parse.business_day(event_at) as event_date,
    export_id,
    source_row
from ranked
where nth = 1
