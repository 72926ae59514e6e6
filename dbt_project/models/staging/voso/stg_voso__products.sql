{# B2, one row per product state that a pull showed. #}
select
    'voso' as platform,
    d.product_id as product_code,
    d.business_day,
    d.is_backlog,
    d.authority,
    d.export_id,
    d.source_row,
    d.store_id as store_code,
    d.name as product_name,
    d.category_path as category,
    d.unit,
    cast(parse.integer(d.price) as bigint) as price_vnd,
    cast(parse.integer(d.weight) as bigint) as weight_g,
    cast(parse.integer(d.ocop_star) as integer) as ocop_stars,
    coalesce(ps.canonical, 'UNKNOWN') as product_status,
    coalesce(parse.boolean(d.is_deleted), false) as is_deleted,
    parse.business_day(parse.epoch_ms(d.created_at)) as posted_day,
    parse.epoch_ms(d.updated_at) as updated_at
from {{ accepted('voso', 'products') }} as d
left join {{ words('product_status', 'voso') }} as ps on ps.word = parse.word(d.status)
