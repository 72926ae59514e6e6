{# Stock figures per commune, day and platform ('all' for households over both), from stock_from on. Intervals become +1 and -1 events,
   so the cost is that of the intervals, not of intervals times days. #}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget() }}",
          indexes=[{'columns': ['commune_code', 'date']}, {'columns': ['date']}]) }}

with bounds as (
    select
        greatest({{ day_var('stock_from') }}, {{ day_var('kpi_from') }}) as first_day,
        {{ day_var('business_date') }} as last_day
),

event as (
    select i.measure, i.platform, i.commune_code, e.date, e.step
    from {{ ref('int_stock__intervals') }} as i
    cross join bounds as b
    cross join lateral (values (greatest(i.valid_from, b.first_day), 1), (i.valid_to, -1)) as e (date, step)
    where i.valid_from <= b.last_day and i.valid_to > b.first_day and i.valid_from < i.valid_to and e.date <= b.last_day
),

-- where one state follows another nothing changes
daily as (
    select measure, platform, commune_code, date, sum(step) as step
    from event
    group by measure, platform, commune_code, date
    having sum(step) <> 0
),

level as (
    select
        measure, platform, commune_code, date as valid_from,
        coalesce(lead(date) over (partition by measure, platform, commune_code order by date), b.last_day + 1) as valid_to,
        sum(step) over (partition by measure, platform, commune_code order by date) as value
    from daily
    cross join bounds as b
)

select
    cast(d.date_day as date) as date,
    l.commune_code,
    l.platform,
    cast(sum(case when l.measure = 'stores' then l.value else 0 end) as bigint) as stores,
    cast(sum(case when l.measure = 'stores_of_households' then l.value else 0 end) as bigint) as stores_of_households,
    cast(sum(case when l.measure = 'stores_unmatched' then l.value else 0 end) as bigint) as stores_unmatched,
    cast(sum(case when l.measure = 'households_with_store' then l.value else 0 end) as bigint) as households_with_store,
    cast(sum(case when l.measure = 'households_with_active_store' then l.value else 0 end) as bigint) as households_with_active_store,
    cast(sum(case when l.measure = 'accounts' then l.value else 0 end) as bigint) as accounts,
    cast(sum(case when l.measure = 'accounts_unmatched' then l.value else 0 end) as bigint) as accounts_unmatched,
    cast(sum(case when l.measure = 'households_with_payment' then l.value else 0 end) as bigint) as households_with_payment,
    cast(sum(case when l.measure = 'products_on_sale' then l.value else 0 end) as bigint) as products_on_sale,
    cast(sum(case when l.measure = 'lead_households' then l.value else 0 end) as bigint) as lead_households
from level as l
cross join lateral generate_series(l.valid_from, l.valid_to - 1, interval '1 day') as d (date_day)
group by d.date_day, l.commune_code, l.platform
