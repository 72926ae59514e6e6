{# Order lines with the accumulating dates of their order. Incremental: the lines of the orders that this build found again. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget() }}",
          indexes=[{'columns': ['platform', 'order_code']}, {'columns': ['commune_code', 'created_date']}]) }}

with orders as (
    select o.*
    from {{ ref('int_orders') }} as o
    {% if is_incremental() %}
    join {{ source('ops', 'build_order') }} as b on b.platform = o.platform and b.order_code = o.order_code
    {% endif %}
),

line as (
    select * from {{ ref('int_order_lines') }}
)

select
    md5(o.platform || '|' || o.order_code || '|' || cast(l.line_no as text)) as order_line_key,
    md5(o.platform || '|' || o.order_code) as order_key,
    o.platform,
    o.order_code,
    cast(l.line_no as integer) as line_no,
    md5(o.platform || '|' || o.store_code) as store_key,
    case when o.store_valid_from is not null
        then md5(o.platform || '|' || o.store_code || '|' || cast(o.store_valid_from as text)) end as store_version_key,
    md5(o.platform || '|' || l.product_code) as product_key,
    {{ place_geography('o.commune_code') }} as geography,
    {{ place_commune('o.commune_code') }} as commune_code,
    {{ pseudonym('household', 'o.household_code') }} as household_key,
    case when o.receiver_province is not null then md5(o.platform || '|' || o.receiver_province) end as location_key,
    o.status as order_status,
    o.is_test,
    o.created_day as created_date,
    parse.business_day(o.confirmed_at) as confirmed_date,
    parse.business_day(o.shipped_at) as shipped_date,
    o.first_delivered_day as delivered_date,
    o.cancelled_day as cancelled_date,
    o.returned_day as returned_date,
    l.product_code,
    l.product_name,
    cast(l.quantity as numeric(18, 3)) as quantity,
    l.unit_price_vnd,
    l.line_amount_vnd,
    -- the order's seller discount, shared out by amount: whole VND, the rounding rest on the lines before the last
    cast(round(o.seller_discount_vnd * l.amount_up_to / nullif(o.goods_gross_vnd, 0))
        - round(o.seller_discount_vnd * (l.amount_up_to - l.line_amount_vnd) / nullif(o.goods_gross_vnd, 0)) as bigint) as discount_share_vnd,
    o.export_id,
    l.source_row
from orders as o
join line as l on l.platform = o.platform and l.order_code = o.order_code and l.export_id = o.export_id
    and (o.platform = 'postmart' or l.source_row = o.source_row)
