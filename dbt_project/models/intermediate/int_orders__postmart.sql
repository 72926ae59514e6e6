{# Postmart orders: of the states that accepted files showed, the one with the latest business time, ties by rank (EXPORTS §8.1);
   a later file never takes back a first delivery, only a corrected file of that day or of the month does (RULINGS 6, 18, EXPORTS §8.4). #}
{{ config(materialized='view', tags=['standing']) }}

with line as (
    select l.*
    from {{ ref('stg_postmart__order_lines') }} as l
    where exists (select 1 from {{ source('ops', 'build_order') }} as b where b.platform = 'postmart' and b.order_code = l.order_code)
),

state as (
    select
        l.*,
        s.rank as status_rank,
        row_number() over (partition by l.order_code, l.export_id order by l.source_row) as row_in_block,
        max(case when l.authority > 0 then l.business_day end) over (partition by l.order_code) as corrected_on
    from line as l
    join {{ ref('order_status') }} as s on s.status = l.status
),

ranked as (
    select
        s.*,
        row_number() over (
            partition by s.order_code
            order by s.event_at desc, s.authority desc, s.status_rank desc, s.business_day desc, s.version desc, s.export_id desc
        ) as recency,
        min(case when s.corrected_on is null or s.business_day > s.corrected_on or (s.business_day = s.corrected_on and s.authority > 0)
                then s.delivered_at end) over (partition by s.order_code) as first_delivered_at,
        min(case when s.status = 'CANCELLED' then s.event_at end) over (partition by s.order_code) as first_cancelled_at,
        min(case when s.status = 'RETURNED' then s.event_at end) over (partition by s.order_code) as first_returned_at
    from state as s
    where s.row_in_block = 1
)

select
    platform,
    order_code,
    cast(null as text) as order_id,
    export_id,
    source_row,
    store_code,
    is_test as is_test_order,
    created_at,
    status,
    event_at as status_at,
    cast(null as timestamptz) as confirmed_at,
    cast(null as timestamptz) as shipped_at,
    first_delivered_at,
    first_cancelled_at,
    first_returned_at,
    buyer_province as receiver_province,
    case when parse.blank(buyer_province) then null
         else parse.plain(buyer_province) not in ('langson', 'tinhlangson') end as is_out_of_province,
    goods_gross_vnd,
    seller_discount_vnd,
    cast(0 as bigint) as platform_discount_vnd,
    shipping_fee_vnd,
    order_total_vnd,
    payment_method
from ranked
where recency = 1
