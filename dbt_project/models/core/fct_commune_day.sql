{# The periodic snapshot under the KPIs: commune × day × platform; households are distinct per platform, and over both under 'all'. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget_commune_days() }}",
          indexes=[{'columns': ['commune_code', 'date']}, {'columns': ['date']}]) }}

with communes as (
    select commune_code from {{ ref('dim_commune') }} where geography = '2021'
),

grain as (
    select c.commune_code, d.date_day as date, p.platform
    from communes as c
    cross join {{ ref('int_days') }} as d
    cross join (values ('postmart'), ('voso'), ('all')) as p (platform)
    {% if is_incremental() %}
    where d.date_day >= {{ day_var('stock_from') }}
        or exists (select 1 from {{ source('ops', 'build_cell') }} as b where b.commune_code = c.commune_code and b.date = d.date_day)
    {% endif %}
)

select
    g.commune_code,
    g.date,
    g.platform,
    coalesce(s.stores, 0) as stores,
    coalesce(s.stores_of_households, 0) as stores_of_households,
    coalesce(s.stores_unmatched, 0) as stores_unmatched,
    coalesce(s.households_with_store, 0) as households_with_store,
    coalesce(s.households_with_active_store, 0) as households_with_active_store,
    coalesce(s.accounts, 0) as accounts,
    coalesce(s.accounts_unmatched, 0) as accounts_unmatched,
    coalesce(s.households_with_payment, 0) as households_with_payment,
    coalesce(s.products_on_sale, 0) as products_on_sale,
    coalesce(s.lead_households, 0) as lead_households,
    coalesce(f.orders_placed, 0) as orders_placed,
    coalesce(f.orders_valid, 0) as orders_valid,
    coalesce(f.orders_delivered, 0) as orders_delivered,
    coalesce(f.orders_cancelled, 0) as orders_cancelled,
    coalesce(f.orders_returned, 0) as orders_returned,
    coalesce(f.orders_out_of_province, 0) as orders_out_of_province,
    coalesce(f.revenue_gross_vnd, 0) as revenue_gross_vnd,
    coalesce(f.refunds_vnd, 0) as refunds_vnd
from grain as g
left join {{ ref('int_stock__by_day') }} as s
    on s.commune_code = g.commune_code and s.date = g.date and s.platform = g.platform
left join {{ ref('int_flows__by_day') }} as f
    on f.commune_code = g.commune_code and f.date = g.date and f.platform = g.platform
