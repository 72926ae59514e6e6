{# Products over time (SCD 2). #}
{{ config(materialized='view') }}

select
    md5(p.platform || '|' || p.product_code || '|' || cast(p.valid_from as text)) as product_version_key,
    md5(p.platform || '|' || p.product_code) as product_key,
    p.platform,
    p.product_code,
    p.store_code,
    p.product_name,
    p.category,
    p.unit,
    p.price_vnd,
    p.weight_g,
    p.ocop_stars,
    p.product_status,
    p.is_on_sale,
    p.posted_day,
    p.is_rebuilt,
    p.valid_from,
    p.valid_to,
    p.export_id,
    p.source_row
from {{ ref('int_products__dated') }} as p
