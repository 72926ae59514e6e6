{# A3, one row per line of each order state that a file showed; order columns on every line. #}
select
    'postmart' as platform,
    d.order_code,
    d.export_id,
    d.source_row,
    d.business_day,
    d.version,
    d.store_code,
    d.order_code = '123456789101112' as is_test,
    parse.local_time(d.created_at) as created_at,
    d.status_raw,
    coalesce(s.canonical, 'UNKNOWN') as status,
    parse.local_time(d.event_at) as event_at,
    d.buyer_province,
    d.product_code,
    d.product_name,
    d.unit,
    parse.decimal(d.quantity) as quantity,
    cast(parse.money(d.unit_price_vnd) as bigint) as unit_price_vnd,
    cast(parse.money(d.line_amount_vnd) as bigint) as line_amount_vnd,
    cast(parse.money(d.goods_gross_vnd) as bigint) as goods_gross_vnd,
    cast(parse.money(d.seller_discount_vnd) as bigint) as seller_discount_vnd,
    cast(parse.money(d.shipping_fee_vnd) as bigint) as shipping_fee_vnd,
    cast(parse.money(d.order_total_vnd) as bigint) as order_total_vnd,
    parse.local_time(d.delivered_at) as delivered_at,
    d.payment_method
from {{ accepted('postmart', 'orders') }} as d
left join {{ words('order_status', 'postmart') }} as s on s.word = parse.word(d.status_raw)
