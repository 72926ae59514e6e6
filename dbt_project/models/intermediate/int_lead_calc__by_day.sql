{# Lead households by the project's own rule (seed lead_rule, versioned by date; KPI §1.9, RULINGS 13): orders and gross revenue by
   first delivery, refunds by completion, over all stores of the household, in the window that ends with the day. #}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget() }}",
          indexes=[{'columns': ['commune_code', 'date']}]) }}

with bounds as (
    select
        greatest({{ lead_from() }}, {{ day_var('kpi_from') }}) as first_day,
        {{ day_var('business_date') }} as last_day
),

effect as (
    select
        e.commune_code, e.household_code, e.date,
        sum(e.orders_delivered) as orders,
        sum(e.revenue_gross_vnd - e.refunds_vnd) as net
    from bounds as b
    cross join lateral generate_series(b.first_day - (select max(window_days) from {{ ref('lead_rule') }}) + 1, b.last_day, interval '1 day') as d (date_day)
    -- day by day, so that no other day is read
    cross join lateral (select * from {{ ref('int_effects') }} as x where x.date = cast(d.date_day as date) and x.household_code is not null offset 0) as e
    group by e.commune_code, e.household_code, e.date
),

-- one household over all its stores; it is counted where its last order or refund was, so that a merger or a move does not cut its window
window_event as (
    select r.valid_from as rule_from, r.valid_to as rule_to, r.min_orders, r.min_revenue_net_vnd,
        e.household_code, x.date, x.orders, x.net, x.told
    from effect as e
    cross join {{ ref('lead_rule') }} as r
    cross join lateral (values
        (e.date, e.orders, e.net, cast(e.date as text) || '|' || e.commune_code),
        (e.date + r.window_days, -e.orders, -e.net, null)) as x (date, orders, net, told)
),

running as (
    select
        w.rule_from, w.rule_to, w.min_orders, w.min_revenue_net_vnd, w.date as valid_from,
        coalesce(lead(w.date) over (partition by w.rule_from, w.household_code order by w.date), {{ forever() }}) as valid_to,
        sum(w.orders) over (partition by w.rule_from, w.household_code order by w.date) as orders,
        sum(w.net) over (partition by w.rule_from, w.household_code order by w.date) as net,
        split_part(max(w.told) over (partition by w.rule_from, w.household_code order by w.date), '|', 2) as commune_code
    from (
        select rule_from, rule_to, min_orders, min_revenue_net_vnd, household_code, date, sum(orders) as orders, sum(net) as net, max(told) as told
        from window_event
        group by rule_from, rule_to, min_orders, min_revenue_net_vnd, household_code, date
    ) as w
)

select cast(d.date_day as date) as date, r.commune_code, cast(count(*) as bigint) as lead_households_calc
from running as r
cross join bounds as b
cross join lateral generate_series(
    greatest(r.valid_from, r.rule_from, b.first_day), least(r.valid_to, r.rule_to, b.last_day + 1) - 1, interval '1 day'
) as d (date_day)
where r.orders >= r.min_orders or r.net >= r.min_revenue_net_vnd
group by d.date_day, r.commune_code
