{# Each product's states over time. Postmart from its snapshots; Vỏ Sò from the rows of its pulls, each valid from the day of its
   UPDATED_AT (the backlog from its own day). Before the first of them a product on sale then was on sale from the day it was posted. #}
{{ config(materialized='incremental', incremental_strategy='append',
          pre_hook="{{ forget_products(ref('int_products__changed')) }}",
          indexes=[{'columns': ['platform', 'product_code']}, {'columns': ['platform', 'store_code']}]) }}

with backlog as (
    select max(business_day) as backlog_day
    from {{ source('ops', 'export') }}
    where source = 'voso' and dataset = 'products' and is_backlog and state = 'accepted'
),

pulled as (
    select
        p.*,
        greatest(case when p.is_backlog then p.business_day else parse.business_day(p.updated_at) end, b.backlog_day) as valid_from
    from {{ ref('stg_voso__products') }} as p
    cross join backlog as b
    {% if is_incremental() %}
    where not exists (select 1 from {{ this }} as t where t.platform = 'voso' and t.product_code = p.product_code)
    {% endif %}
),

newest as (
    select
        p.*,
        row_number() over (
            partition by p.product_code, p.valid_from order by p.updated_at desc, p.business_day desc, p.export_id desc, p.source_row desc
        ) as recency
    from pulled as p
),

state as (
    select
        platform, product_code, valid_from, export_id, source_row, true as is_present, store_code, product_name, category, unit,
        price_vnd, weight_g, ocop_stars, product_status, posted_day,
        product_status = 'ON_SALE' and not is_deleted as is_on_sale,
        coalesce(valid_from = (select backlog_day from backlog), false) as is_first
    from newest
    where recency = 1
    union all
    select
        c.platform, c.product_code, c.valid_from, c.export_id, c.source_row, c.is_present, c.store_code, c.product_name, c.category, c.unit,
        c.price_vnd, c.weight_g, c.ocop_stars, c.product_status, c.posted_day,
        c.is_on_sale and c.is_present,
        c.valid_from = (select min(d.first_day) from {{ snapshot_days('products', ['postmart']) }} as d)
    from {{ ref('int_products__changed') }} as c
    {% if is_incremental() %}
    where not exists (select 1 from {{ this }} as t where t.platform = c.platform and t.product_code = c.product_code)
    {% endif %}
)

select
    platform, product_code, valid_from,
    coalesce(lead(valid_from) over (partition by platform, product_code order by valid_from), {{ forever() }}) as valid_to,
    export_id, source_row, false as is_rebuilt, is_present, store_code, product_name, category, unit, price_vnd, weight_g, ocop_stars,
    product_status, posted_day, is_on_sale
from state
union all
select
    platform, product_code, posted_day, valid_from,
    export_id, source_row, true, is_present, store_code, product_name, category, unit, price_vnd, weight_g, ocop_stars,
    product_status, posted_day, is_on_sale
from state
where is_first and is_on_sale and posted_day < valid_from
