{# What both platforms said of the states of the orders that this build found again, each statement as often as it came (EXPORTS §8.5). #}
{{ config(materialized='view', tags=['standing']) }}

select
    l.platform, l.order_code, l.status_raw, l.status, l.event_at, l.business_day, l.export_id, l.source_row
from {{ ref('stg_postmart__order_lines') }} as l
where exists (select 1 from {{ source('ops', 'build_order') }} as b where b.platform = 'postmart' and b.order_code = l.order_code)
union all
select
    e.platform, o.order_code, coalesce(e.status_raw, cast(e.carrier_code as text)),
    case when e.carrier_code = 501 and e.is_returning then 'RETURNED' else coalesce(e.status, c.canonical, 'UNKNOWN') end,
    e.event_at, e.business_day, e.export_id, e.source_row
from {{ ref('stg_voso__order_events') }} as e
join {{ ref('int_orders') }} as o on o.platform = 'voso' and o.order_id = e.order_id
left join {{ ref('carrier_status') }} as c on c.status_scheme = 'VTP' and c.code = cast(e.carrier_code as text)
where exists (select 1 from {{ source('ops', 'build_order') }} as b where b.platform = 'voso' and b.order_code = o.order_code)
