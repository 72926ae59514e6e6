{# One row per order of both platforms: its status now, the days it counts on, its money, its store's commune and household on the
   created day (RULINGS 4). Only orders chosen for this build are found again. #}
-- depends_on: {{ ref('int_stores__changed') }}
{{ config(materialized='incremental', incremental_strategy='append',
          pre_hook=["{{ choose_orders() }}", "analyze ops.build_order", "{{ note_order_cells() }}", "{{ forget() }}"],
          post_hook=["{{ note_order_cells() }}", "{{ indexed('(cancelled_day, commune_code) where cancelled_day is not null') }}",
                     "{{ indexed('(returned_day, commune_code) where returned_day is not null') }}",
                     "{{ indexed('(platform, store_code) where store_valid_from is null or store_valid_from > created_day') }}"],
          indexes=[{'columns': ['platform', 'order_code'], 'unique': true}, {'columns': ['created_day', 'commune_code']},
                   {'columns': ['first_delivered_day', 'commune_code']}, {'columns': ['platform', 'order_id']}, {'columns': ['platform', 'receiver_province']}]) }}

with orders as (
    select * from {{ ref('int_orders__postmart') }}
    union all
    select * from {{ ref('int_orders__voso') }}
),

dated as (
    select o.*, parse.business_day(o.created_at) as created_day
    from orders as o
)

select
    d.platform,
    d.order_code,
    d.order_id,
    d.export_id,
    d.source_row,
    d.store_code,
    s.store_valid_from,
    coalesce(s.commune_code, '00000') as commune_code,
    s.household_code,
    d.is_test_order or coalesce(s.is_test, false) as is_test,
    d.status,
    d.status_at,
    d.created_at,
    d.created_day,
    d.confirmed_at,
    d.shipped_at,
    d.first_delivered_at,
    parse.business_day(d.first_delivered_at) as first_delivered_day,
    case when d.status = 'CANCELLED' then parse.business_day(d.first_cancelled_at) end as cancelled_day,
    case when d.status in ('RETURNED', 'REFUNDED') then parse.business_day(d.first_returned_at) end as returned_day,
    d.receiver_province,
    d.is_out_of_province,
    d.goods_gross_vnd,
    d.seller_discount_vnd,
    d.platform_discount_vnd,
    d.shipping_fee_vnd,
    d.order_total_vnd,
    d.goods_gross_vnd - d.seller_discount_vnd as goods_net_vnd,
    d.payment_method
from dated as d
-- the store's state in force on the created day or its last one before, else its first one after; looked up, as a store has a state for each day of activity
left join lateral (
    select c.*
    from (
        (
            select 1 as choice, m.valid_from as store_valid_from, m.commune_code, m.household_code, m.is_test
            from {{ ref('int_stores__matched') }} as m
            where m.platform = d.platform and m.store_code = d.store_code and m.valid_from <= d.created_day
            order by m.valid_from desc
            limit 1
        )
        union all
        (
            select 2, m.valid_from, m.commune_code, m.household_code, m.is_test
            from {{ ref('int_stores__matched') }} as m
            where m.platform = d.platform and m.store_code = d.store_code and m.valid_from > d.created_day
            order by m.valid_from
            limit 1
        )
    ) as c
    order by c.choice
    limit 1
) as s on true
