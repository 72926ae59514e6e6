{# Status events of orders in business time, repeated ones once (EXPORTS §8.5); late ones stand where they belong. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget_orders() }}",
          indexes=[{'columns': ['platform', 'order_code']}]) }}

with event as (
    select
        l.platform, l.order_code, l.status_raw, l.status, l.event_at, l.business_day, l.export_id, l.source_row
    from {{ ref('stg_postmart__order_lines') }} as l
    {% if is_incremental() %}
    where exists (select 1 from {{ source('ops', 'build_order') }} as b where b.platform = 'postmart' and b.order_code = l.order_code)
    {% endif %}
    union all
    select
        e.platform, o.order_code, coalesce(e.status_raw, cast(e.carrier_code as text)),
        case when e.carrier_code = 501 and e.is_returning then 'RETURNED' else coalesce(e.status, c.canonical, 'UNKNOWN') end,
        e.event_at, e.business_day, e.export_id, e.source_row
    from {{ ref('stg_voso__order_events') }} as e
    join {{ ref('int_orders') }} as o on o.platform = 'voso' and o.order_id = e.order_id
    left join {{ ref('carrier_status') }} as c on c.status_scheme = 'VTP' and c.code = cast(e.carrier_code as text)
    {% if is_incremental() %}
    where exists (select 1 from {{ source('ops', 'build_order') }} as b where b.platform = 'voso' and b.order_code = o.order_code)
    {% endif %}
),

ranked as (
    select
        e.*,
        row_number() over (partition by e.platform, e.order_code, e.status_raw, e.event_at order by e.business_day, e.export_id, e.source_row) as nth
    from event as e
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
