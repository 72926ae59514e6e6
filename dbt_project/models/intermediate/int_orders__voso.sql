{# Vỏ Sò orders: the newest state (UPDATED_AT) gives money, lines and two candidates for the status, events give more; the latest
   second wins, ties by rank (RULINGS 26). A carrier code that says "no change" is no candidate. #}
{{ config(materialized='view', tags=['standing']) }}

with corrected as (
    select
        o.*,
        max(case when o.authority > 0 then o.business_day end) over (partition by o.order_code) as corrected_on,
        max(case when o.authority > 0 then o.updated_at end) over (partition by o.order_code) as corrected_to
    from {{ ref('stg_voso__orders') }} as o
    where exists (select 1 from {{ source('ops', 'build_order') }} as b where b.platform = 'voso' and b.order_code = o.order_code)
),

-- a bulk correction may take back a delivery that an earlier pull stated (EXPORTS §8.4)
shown as (
    select
        c.*,
        row_number() over (
            partition by c.order_code
            order by c.updated_at desc, c.business_day desc, c.authority desc, c.version desc, c.export_id desc, c.source_row desc
        ) as recency,
        min(case when c.corrected_on is null or c.business_day > c.corrected_on or c.updated_at > c.corrected_to
                or (c.business_day = c.corrected_on and c.authority > 0)
                then c.delivered_at end) over (partition by c.order_code) as first_stated_delivery_at
    from corrected as c
),

newest as (
    select * from shown where recency = 1
),

signal as (
    select
        order_code,
        status,
        coalesce(
            case status
                when 'CREATED' then created_at when 'CONFIRMED' then confirmed_at when 'SHIPPED' then shipped_at
                when 'DELIVERED' then delivered_at when 'CANCELLED' then cancelled_at when 'RETURNED' then returned_at
            end, updated_at) as at,
        cast(null as integer) as carrier_code,
        is_returning
    from newest
    union all
    select order_code, cast(null as text), coalesce(carrier_at, updated_at), carrier_code, is_returning
    from newest
    where carrier_code is not null
    union all
    select n.order_code, e.status, e.event_at, cast(null as integer), e.is_returning
    from {{ ref('stg_voso__order_events') }} as e
    join newest as n on n.order_id = e.order_id
    where e.status_raw is not null
    union all
    select n.order_code, cast(null as text), e.event_at, e.carrier_code, e.is_returning
    from {{ ref('stg_voso__order_events') }} as e
    join newest as n on n.order_id = e.order_id
    where e.carrier_code is not null
),

candidate as (
    select
        g.order_code,
        date_trunc('second', g.at) as at,
        case when g.carrier_code = 501 and g.is_returning then 'RETURNED'
             when g.carrier_code is not null then coalesce(c.canonical, 'UNKNOWN')
             else coalesce(g.status, 'UNKNOWN') end as status
    from signal as g
    left join {{ ref('carrier_status') }} as c on c.status_scheme = 'VTP' and c.code = cast(g.carrier_code as text)
    where g.at is not null and not coalesce(c.is_no_change, false)
),

ranked as (
    select
        c.*,
        row_number() over (partition by c.order_code order by c.at desc, s.rank desc) as recency,
        min(case when c.status in ('DELIVERED', 'COMPLETED') then c.at end) over (partition by c.order_code) as first_delivered_at,
        min(case when c.status = 'CANCELLED' then c.at end) over (partition by c.order_code) as first_cancelled_at,
        min(case when c.status = 'RETURNED' then c.at end) over (partition by c.order_code) as first_returned_at
    from candidate as c
    join {{ ref('order_status') }} as s on s.status = c.status
)

select
    n.platform,
    n.order_code,
    n.order_id,
    n.export_id,
    n.source_row,
    n.store_code,
    n.is_test as is_test_order,
    n.created_at,
    r.status,
    r.at as status_at,
    n.confirmed_at,
    n.shipped_at,
    coalesce(n.first_stated_delivery_at, r.first_delivered_at) as first_delivered_at,
    coalesce(n.cancelled_at, r.first_cancelled_at) as first_cancelled_at,
    coalesce(n.returned_at, r.first_returned_at) as first_returned_at,
    n.receiver_province,
    case when coalesce(parse.integer(n.receiver_province), 0) <= 0 then null
         else btrim(n.receiver_province) <> (select province_id from {{ ref('vtp_province') }} where name = 'Lạng Sơn') end as is_out_of_province,
    n.goods_gross_vnd,
    n.seller_discount_vnd,
    n.platform_discount_vnd,
    n.shipping_fee_vnd,
    n.order_total_vnd,
    n.payment_method
from newest as n
join ranked as r on r.order_code = n.order_code and r.recency = 1
