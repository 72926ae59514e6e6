{# A4, one row per refund request state that a file showed. #}
select
    'postmart' as platform,
    d.refund_code,
    d.order_code,
    d.export_id,
    d.source_row,
    d.business_day,
    d.version,
    coalesce(k.canonical, 'UNKNOWN') as refund_kind,
    coalesce(s.canonical, 'UNKNOWN') as refund_status,
    cast(parse.money(d.refund_amount_vnd) as bigint) as refund_amount_vnd,
    parse.local_time(d.requested_at) as requested_at,
    parse.local_time(d.completed_at) as completed_at,
    cast(d.business_day as timestamp) at time zone interval '+07:00' as updated_at
from {{ accepted('postmart', 'refunds') }} as d
left join {{ words('refund_kind', 'postmart') }} as k on k.word = parse.word(d.kind)
left join {{ words('refund_status', 'postmart') }} as s on s.word = parse.word(d.status_raw)
