{# B5, one row per refund record state that a pull showed. #}
select
    'voso' as platform,
    d.return_id as refund_code,
    d.order_id,
    d.export_id,
    d.source_row,
    d.business_day,
    d.version,
    d.authority,
    coalesce(k.canonical, 'UNKNOWN') as refund_kind,
    coalesce(s.canonical, 'UNKNOWN') as refund_status,
    cast(parse.integer(d.refund_amount) as bigint) as refund_amount_vnd,
    parse.epoch_ms(d.requested_at) as requested_at,
    parse.epoch_ms(d.completed_at) as completed_at,
    parse.epoch_ms(d.updated_at) as updated_at
from {{ accepted('voso', 'refunds', key='return_id') }} as d
left join {{ words('refund_kind', 'voso') }} as k on k.word = parse.word(d.type)
left join {{ words('refund_status', 'voso') }} as s on s.word = parse.word(d.status)
