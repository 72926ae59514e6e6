{# What an order or refund adds to which commune and day (KPI §1.5, §1.6, RULINGS 6): placed and valid on the created day, delivered and
   gross revenue on the day of first delivery, cancelled and returned on theirs, refunds on their completion day. Test orders nowhere. Of one type in every branch, so that each is read by its index. #}
{{ config(materialized='view', tags=['standing']) }}

select
    platform, commune_code, household_code, created_day as date,
    1 as orders_placed,
    case when status <> 'CANCELLED' then 1 else 0 end as orders_valid,
    0 as orders_delivered, 0 as orders_cancelled, 0 as orders_returned,
    case when status <> 'CANCELLED' and is_out_of_province then 1 else 0 end as orders_out_of_province,
    cast(0 as bigint) as revenue_gross_vnd,
    cast(0 as bigint) as refunds_vnd
from {{ ref('int_orders') }} where not is_test
union all
select
    platform, commune_code, household_code, first_delivered_day,
    0, 0, case when status in ('RETURNED', 'REFUNDED') then 0 else 1 end, 0, 0, 0, goods_net_vnd, cast(0 as bigint)
from {{ ref('int_orders') }} where not is_test and first_delivered_day is not null
union all
select platform, commune_code, household_code, cancelled_day, 0, 0, 0, 1, 0, 0, cast(0 as bigint), cast(0 as bigint)
from {{ ref('int_orders') }} where not is_test and cancelled_day is not null
union all
select platform, commune_code, household_code, returned_day, 0, 0, 0, 0, 1, 0, cast(0 as bigint), cast(0 as bigint)
from {{ ref('int_orders') }} where not is_test and returned_day is not null
union all
select platform, commune_code, household_code, completed_day, 0, 0, 0, 0, 0, 0, cast(0 as bigint), refund_amount_vnd
from {{ ref('int_refunds') }} where not is_test and is_done and completed_day is not null
