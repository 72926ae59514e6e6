{# Each product's states over time. Postmart from its snapshots; Vỏ Sò from the rows of its pulls, each valid from the day of its
   UPDATED_AT (the backlog from its own day). A reconciliation that says something else of the same UPDATED_AT is valid from its own day, and
   what it does not know any more ends there. Before the first of them a product on sale then was on sale from the day it was posted. #}
{{ config(materialized='incremental', incremental_strategy='append',
          pre_hook="{{ forget_products(ref('int_products__changed')) }}",
          indexes=[{'columns': ['platform', 'product_code']}, {'columns': ['valid_from']}, {'columns': ['valid_to']}]) }}

with backlog as (
    select max(business_day) as backlog_day
    from {{ source('ops', 'export') }}
    where source = 'voso' and dataset = 'products' and is_backlog and state = 'accepted'
),

shown as (
    select p.*, min(p.authority) over (partition by p.product_code, p.updated_at) as least_authority
    from {% if is_incremental() %}(
        select p.*
        from {{ source('ops', 'build_entity') }} as n
        cross join lateral (select p.* from {{ ref('stg_voso__products') }} as p where p.product_code = n.code offset 0) as p
        where n.relation = 'int_products__dated' and n.platform = 'voso'
    ){% else %}{{ ref('stg_voso__products') }}{% endif %} as p
),

pulled as (
    select
        p.*,
        greatest(
            case when p.is_backlog or (p.authority > 0 and p.least_authority = 0) then p.business_day else parse.business_day(p.updated_at) end,
            b.backlog_day
        ) as valid_from
    from shown as p
    cross join backlog as b
),

withdrawn as (
    select d.key as product_code, x.business_day as valid_from
    from {{ source('ops', 'difference') }} as d
    join {{ source('ops', 'export') }} as x on x.export_id = d.export_id and x.state = 'accepted'
    where d.source = 'voso' and d.dataset = 'products' and d.kind = 'extra' and d.is_mended
      and not exists (
          select 1
          from {{ source('ops', 'difference') }} as again
          join {{ source('ops', 'export') }} as y on y.export_id = again.export_id and y.state = 'accepted'
          where again.source = d.source and again.dataset = d.dataset and again.key = d.key and again.kind <> 'extra' and again.is_mended
            and y.business_day >= x.business_day and y.accepted_at > x.accepted_at
      )
),

newest as (
    select
        p.*,
        row_number() over (
            partition by p.product_code, p.valid_from
            order by p.updated_at desc, p.business_day desc, p.authority desc, p.export_id desc, p.source_row desc
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
      and not exists (select 1 from withdrawn as w where w.product_code = newest.product_code and w.valid_from = newest.valid_from)
    union all
    select
        'voso', l.product_code, l.withdrawn_on, l.export_id, l.source_row, false, l.store_code, l.product_name, l.category, l.unit,
        l.price_vnd, l.weight_g, l.ocop_stars, l.product_status, l.posted_day, false, false
    from (
        select
            p.*, w.valid_from as withdrawn_on,
            row_number() over (
                partition by p.product_code, w.valid_from
                order by p.valid_from desc, p.updated_at desc, p.business_day desc, p.authority desc, p.export_id desc, p.source_row desc
            ) as nearness
        from withdrawn as w
        join pulled as p on p.product_code = w.product_code and p.valid_from <= w.valid_from
    ) as l
    where l.nearness = 1
    union all
    select
        c.platform, c.product_code, c.valid_from, c.export_id, c.source_row, c.is_present, c.store_code, c.product_name, c.category, c.unit,
        c.price_vnd, c.weight_g, c.ocop_stars, c.product_status, c.posted_day,
        c.is_on_sale and c.is_present,
        c.valid_from = (select min(d.first_day) from {{ snapshot_days('products', ['postmart']) }} as d)
    from {{ changes_in_scope('int_products__dated', ref('int_products__changed'), 'product_code', matched=false) }} as c
),

dated as (
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
)

select * from dated where platform = 'voso' or {{ ends_in_scope('valid_to', matched=false) }}
