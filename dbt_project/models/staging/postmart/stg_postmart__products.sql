{# A2, one row per product and snapshot day; weight in grams, as Vỏ Sò gives it. #}
select
    'postmart' as platform,
    d.product_code,
    d.business_day as snapshot_day,
    d.export_id,
    d.source_row,
    d.store_code,
    d.product_name,
    d.category,
    d.unit,
    cast(parse.money(d.price_vnd) as bigint) as price_vnd,
    cast(round(parse.decimal(d.weight_kg) * 1000) as bigint) as weight_g,
    cast(left(d.ocop, 1) as integer) as ocop_stars,
    coalesce(ps.canonical, 'UNKNOWN') as product_status,
    false as is_deleted,
    parse.local_date(d.posted_at) as posted_day
from {{ accepted('postmart', 'products') }} as d
left join {{ words('product_status', 'postmart') }} as ps on ps.word = parse.word(d.status_raw)
