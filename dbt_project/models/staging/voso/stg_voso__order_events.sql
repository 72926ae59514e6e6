{# B4, one row per status event as pulled (repeated and late ones included). #}
select
    'voso' as platform,
    d.event_id,
    d.order_id,
    d.order_number as order_code,
    d.export_id,
    d.source_row,
    d.business_day,
    d.status as status_raw,
    s.canonical as status,
    cast(parse.integer(d.order_status) as integer) as carrier_code,
    parse.local_time(d.order_statusdate) as event_at,
    coalesce(parse.boolean(d.is_returning), false) as is_returning,
    parse.epoch_ms(d.created_at) as arrived_at
from {{ accepted('voso', 'order_events', key='event_id') }} as d
left join {{ words('order_status', 'voso') }} as s on s.word = parse.word(d.status)
