{# Everything that adds up, per place, day and platform; `all` is over both platforms, with households once. Sums to date run from the kick-off of
   the place's phase and are null before it; bases are the figures at the end of the day before (KPI §1.7, RULINGS 9). #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget() }}",
          indexes=[{'columns': ['place_code', 'date']}, {'columns': ['date']}]) }}

{%- set stock = ['stores', 'stores_of_households', 'stores_unmatched', 'accounts', 'accounts_unmatched', 'products_on_sale'] -%}
{%- set distinct_households = ['households_with_store', 'households_with_payment'] -%}
{%- set flows = ['orders_placed', 'orders_valid', 'orders_delivered', 'orders_cancelled', 'orders_returned', 'orders_out_of_province',
    'revenue_gross_vnd', 'refunds_vnd'] -%}
{%- set to_date = ['orders_placed', 'orders_valid', 'orders_delivered', 'revenue_gross_vnd', 'refunds_vnd'] %}

with place as (
    select
        p.place_code,
        min(c.kick_off) as kick_off
    from {{ ref('int_place_pieces') }} as p
    left join (select distinct piece_code, first_district_code from {{ ref('int_pieces') }}) as d on d.piece_code = p.piece_code
    left join {{ ref('campaign_phase') }} as c on c.district_code = d.first_district_code
    where (p.geography = {{ first_list() }} and position('>' in p.place_code) = 0)
        -- looked up one by one: what is counted of all places would be read whole
        or (select s.commune_code from {{ ref('int_stock__by_day') }} as s where s.commune_code = p.place_code limit 1) is not null
        or (select f.commune_code from {{ ref('int_flows__by_day') }} as f where f.commune_code = p.place_code limit 1) is not null
    group by p.place_code
),

scope as (
    select
        p.place_code,
        p.kick_off,
        {% if is_incremental() %}greatest(least({{ day_var('stock_from') }}, c.first_date), {{ day_var('kpi_from') }})
        {%- else %}{{ day_var('kpi_from') }}{% endif %} as first_date
    from place as p
    {% if is_incremental() %}
    left join (
        select b.commune_code, min(b.date) as first_date from {{ source('ops', 'build_cell') }} as b group by b.commune_code
    ) as c on c.commune_code = p.place_code
    {% endif %}
),

by_platform as (
    select
        g.place_code,
        g.kick_off,
        d.date_day as date,
        p.platform,
        {% for m in stock + distinct_households + ['households_with_active_store', 'lead_households'] %}coalesce(s.{{ m }}, 0) as {{ m }},
        {% endfor -%}
        {% for m in flows %}coalesce(f.{{ m }}, 0) as {{ m }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from scope as g
    join {{ ref('int_days') }} as d on d.date_day >= g.first_date
    cross join (values ('postmart'), ('voso'), ('all')) as p (platform)
    left join {{ ref('int_stock__by_day') }} as s
        on s.commune_code = g.place_code and s.date = d.date_day and s.platform = p.platform and s.date >= {{ lead_from() }}
    left join {{ ref('int_flows__by_day') }} as f
        on f.commune_code = g.place_code and f.date = d.date_day and f.platform = p.platform and f.date >= {{ lead_from() }}
),

over_all as (
    select
        b.place_code,
        b.date,
        {% for m in stock + flows %}sum(b.{{ m }}) as {{ m }},
        {% endfor -%}
        sum(case b.platform when 'postmart' then b.households_with_store when 'voso' then b.households_with_store else -b.households_with_store end)
            as households_with_store_both
    from by_platform as b
    group by b.place_code, b.date
),

summed as (
    select
        b.place_code,
        b.kick_off,
        b.date,
        b.platform,
        {% for m in distinct_households + ['households_with_active_store', 'lead_households'] %}b.{{ m }},
        {% endfor -%}
        {% for m in stock + flows %}case when b.platform = 'all' then o.{{ m }} else b.{{ m }} end as {{ m }},
        {% endfor -%}
        case when b.platform = 'all' then o.households_with_store_both end as households_with_store_both
    from by_platform as b
    join over_all as o on o.place_code = b.place_code and o.date = b.date
),

-- all days before kick-off, also those before the first day told of
before_kick_off as (
    select f.commune_code as place_code, sum(f.revenue_gross_vnd - f.refunds_vnd) as revenue_net_vnd
    from {{ ref('int_flows__by_day') }} as f
    join scope as g on g.place_code = f.commune_code
    where f.date < g.kick_off
        -- once told it stands for every day after
        {% if is_incremental() %}and g.first_date <= g.kick_off and g.kick_off <= {{ day_var('business_date') }}{% endif %}
    group by f.commune_code
    {%- if is_incremental() %}
    union all
    select g.place_code, t.revenue_base_vnd {{ told_before('g.first_date - 1') }}
    where g.first_date > g.kick_off
    {%- endif %}
),

base as (
    select s.place_code, s.households_with_store as store_base, s.households_with_payment as payment_base
    from summed as s
    where s.platform = 'all' and s.date = s.kick_off - 1
    {%- if is_incremental() %}
    union all
    select g.place_code, t.households_with_store, t.households_with_payment {{ told_before('g.kick_off - 1') }}
    where g.kick_off - 1 < g.first_date and g.kick_off <= {{ day_var('business_date') }}
    {%- endif %}
),

-- what the running sums had come to at the end of the day before
carried as (
    {% if is_incremental() -%}
    select g.place_code, {% for m in to_date %}coalesce(t.{{ m }}_to_date, 0) as {{ m }}_to_date{% if not loop.last %}, {% endif %}{% endfor %}
        {{ told_before('g.first_date - 1') }}
    {%- else -%}
    select cast(null as text) as place_code{% for m in to_date %}, cast(null as bigint) as {{ m }}_to_date{% endfor %} where false
    {%- endif %}
),

running as (
    select
        s.*,
        {% for m in to_date %}
        case when s.platform = 'all' and s.date >= s.kick_off
            then coalesce(c.{{ m }}_to_date, 0) + sum(case when s.date >= s.kick_off then s.{{ m }} else 0 end) over so_far
        end as {{ m }}_to_date{% if not loop.last %},{% endif %}
        {% endfor %}
    from summed as s
    left join carried as c on c.place_code = s.place_code
    window so_far as (partition by s.place_code, s.platform order by s.date)
)

select
    r.place_code,
    r.date,
    r.platform,
    {% for m in stock + distinct_households + ['households_with_active_store', 'households_with_store_both', 'lead_households'] + flows %}cast(r.{{ m }} as bigint) as {{ m }},
    {% endfor -%}
    {% for m in to_date %}cast(r.{{ m }}_to_date as bigint) as {{ m }}_to_date,
    {% endfor -%}
    cast(case when r.platform = 'all' then coalesce(l.lead_households_calc, 0) end as bigint) as lead_households_calc,
    cast(case when r.platform = 'all' and r.date >= r.kick_off then coalesce(b.store_base, 0) end as bigint) as store_base,
    cast(case when r.platform = 'all' and r.date >= r.kick_off then coalesce(b.payment_base, 0) end as bigint) as payment_base,
    cast(case when r.platform = 'all' and r.date >= r.kick_off then coalesce(n.revenue_net_vnd, 0) end as bigint) as revenue_base_vnd
from running as r
left join base as b on b.place_code = r.place_code
left join before_kick_off as n on n.place_code = r.place_code
left join {{ ref('int_lead_calc__by_day') }} as l on l.commune_code = r.place_code and l.date = r.date and r.platform = 'all'
