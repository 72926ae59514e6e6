{# Every Postmart product on every snapshot day. #}
{{ config(materialized='view', tags=['standing']) }}

select
    p.platform,
    p.product_code,
    p.snapshot_day,
    p.export_id,
    p.source_row,
    p.store_code,
    p.product_name,
    p.category,
    p.unit,
    p.price_vnd,
    p.weight_g,
    p.ocop_stars,
    p.product_status,
    p.posted_day,
    p.product_status = 'ON_SALE' and not p.is_deleted as is_on_sale
from {{ ref('stg_postmart__products') }} as p
