{# Every KPI per commune and day, restated view, list of 2021 (KPI §4). Row 00000 holds facts that no commune can be told of. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', post_hook="{{ retell_completeness() }}", pre_hook="{{ forget_kpi_days() }}",
          indexes=[{'columns': ['commune_code', 'date']}, {'columns': ['date']}]) }}

with communes as (
    select * from {{ ref('dim_commune') }} where geography = '2021'
),

commune_day as (
    select
        f.commune_code,
        f.date,
        sum(f.stores) as stores,
        sum(f.stores_of_households) as stores_of_households,
        sum(f.stores_unmatched) as stores_unmatched,
        sum(f.households_with_store) filter (where f.platform = 'postmart') as households_with_store_postmart,
        sum(f.households_with_store) filter (where f.platform = 'voso') as households_with_store_voso,
        sum(f.households_with_store) filter (where f.platform = 'all') as households_with_store,
        sum(f.households_with_active_store) filter (where f.platform = 'all') as households_with_active_store,
        sum(f.accounts) as accounts,
        sum(f.accounts_unmatched) as accounts_unmatched,
        sum(f.households_with_payment) filter (where f.platform = 'all') as households_with_payment,
        sum(f.products_on_sale) as products_on_sale,
        sum(f.lead_households) filter (where f.platform = 'all') as lead_households,
        sum(f.orders_placed) as orders_placed,
        sum(f.orders_valid) as orders_valid,
        sum(f.orders_delivered) as orders_delivered,
        sum(f.orders_cancelled) as orders_cancelled,
        sum(f.orders_returned) as orders_returned,
        sum(f.orders_out_of_province) as orders_out_of_province,
        sum(f.revenue_gross_vnd) as revenue_gross_vnd,
        sum(f.refunds_vnd) as refunds_vnd
    from {{ ref('fct_commune_day') }} as f
    {% if is_incremental() %}
    -- a commune's running totals need its days since kick-off; other communes' rows are left alone
    where {{ day_var('stock_from') }} <= {{ day_var('business_date') }}
        or f.commune_code in (select b.commune_code from {{ source('ops', 'build_cell') }} as b)
    {% endif %}
    group by f.commune_code, f.date
),

-- all days before kick-off, also those before the first day told of
before_kick_off as (
    select
        f.commune_code,
        sum(f.revenue_gross_vnd - f.refunds_vnd) as revenue_net_vnd
    from {{ ref('int_flows__by_day') }} as f
    join communes as c on c.commune_code = f.commune_code
    where f.date < c.kick_off
    group by f.commune_code
),

base as (
    select
        c.commune_code,
        s.households_with_store as store_base,
        s.households_with_payment as payment_base,
        coalesce(b.revenue_net_vnd, 0) as revenue_base_vnd
    from communes as c
    left join (
        select commune_code, date, households_with_store, households_with_payment
        from {{ ref('fct_commune_day') }} where platform = 'all'
    ) as s on s.commune_code = c.commune_code and s.date = c.kick_off - 1
    left join before_kick_off as b on b.commune_code = c.commune_code
    where c.kick_off is not null
),

running as (
    select
        d.*,
        c.phase,
        c.kick_off,
        c.commune_code <> '00000' as is_commune,
        case when d.date >= c.kick_off then sum(case when d.date >= c.kick_off then d.orders_placed else 0 end) over so_far end as orders_placed_to_date,
        case when d.date >= c.kick_off then sum(case when d.date >= c.kick_off then d.orders_valid else 0 end) over so_far end as orders_valid_to_date,
        case when d.date >= c.kick_off then sum(case when d.date >= c.kick_off then d.orders_delivered else 0 end) over so_far end as orders_delivered_to_date,
        case when d.date >= c.kick_off then sum(case when d.date >= c.kick_off then d.revenue_gross_vnd else 0 end) over so_far end as revenue_gross_vnd_to_date,
        case when d.date >= c.kick_off then sum(case when d.date >= c.kick_off then d.refunds_vnd else 0 end) over so_far end as refunds_vnd_to_date
    from commune_day as d
    join communes as c on c.commune_code = d.commune_code
    window so_far as (partition by d.commune_code order by d.date)
),

told as (
    select
        r.*,
        n.households,
        n.hamlets,
        case when r.is_commune then coalesce(t.hamlets_with_team, 0) end as hamlets_with_team,
        case when r.is_commune then coalesce(t.team_members, 0) end as team_members,
        case when r.is_commune then coalesce(t.team_members_trained, 0) end as team_members_trained,
        case when r.is_commune then coalesce(l.lead_households_calc, 0) end as lead_households_calc,
        case when r.date >= r.kick_off then b.store_base end as store_base,
        case when r.date >= r.kick_off then b.payment_base end as payment_base,
        case when r.date >= r.kick_off then b.revenue_base_vnd end as revenue_base_vnd,
        y.completeness
    from running as r
    join {{ ref('int_completeness__by_day') }} as y on y.date = r.date
    left join {{ ref('int_denominators__in_force') }} as n
        on n.commune_code = r.commune_code and n.valid_from <= r.date and r.date < n.valid_to
    left join {{ ref('int_teams__in_force') }} as t
        on t.commune_code = r.commune_code and t.valid_from <= r.date and r.date < t.valid_to
    left join {{ ref('int_lead_calc__by_day') }} as l on l.commune_code = r.commune_code and l.date = r.date
    left join base as b on b.commune_code = r.commune_code
),

-- KPI §1.8: a numerator above its denominator is a failed check; the rate keeps the commune's last good value, marked in rates_held
rated as (
    select
        t.*,
        {% for kpi, numerator in [('store', 'households_with_store'), ('payment', 'households_with_payment'), ('lead', 'lead_households')] %}
        case when t.{{ numerator }} <= t.households then {{ rate('t.' ~ numerator, 't.households') }} end as {{ kpi }}_rate_good,
        t.households > 0 and t.{{ numerator }} > t.households as is_{{ kpi }}_held{% if not loop.last %},{% endif %}
        {% endfor %}
    from told as t
),

grouped as (
    select
        r.*,
        {% for kpi in ['store', 'payment', 'lead'] %}
        count(r.{{ kpi }}_rate_good) over (partition by r.commune_code order by r.date) as {{ kpi }}_good_days{% if not loop.last %},{% endif %}
        {% endfor %}
    from rated as r
),

judged as (
    select
        g.*,
        {% for kpi in ['store', 'payment', 'lead'] %}
        case when g.is_{{ kpi }}_held then max(g.{{ kpi }}_rate_good) over (partition by g.commune_code, g.{{ kpi }}_good_days)
            else g.{{ kpi }}_rate_good end as {{ kpi }}_rate{% if not loop.last %},{% endif %}
        {% endfor %}
    from grouped as g
)

select
    '2021' as geography,
    j.commune_code,
    c.commune_name,
    c.district_code,
    c.district_name,
    j.date,
    cast(j.phase as integer) as phase,
    cast(j.date - j.kick_off as integer) as phase_day,
    cast(j.households as bigint) as households,
    cast(case when j.is_commune then j.households_with_store end as bigint) as households_with_store,
    cast(case when j.is_commune then j.households_with_store_postmart end as bigint) as households_with_store_postmart,
    cast(case when j.is_commune then j.households_with_store_voso end as bigint) as households_with_store_voso,
    cast(case when j.is_commune then j.households_with_store_postmart + j.households_with_store_voso - j.households_with_store end as bigint)
        as households_with_store_both,
    cast(case when j.is_commune then j.households_with_active_store end as bigint) as households_with_active_store,
    cast(j.store_rate as numeric(9, 6)) as store_rate,
    cast(j.stores as bigint) as stores,
    cast(j.stores_unmatched as bigint) as stores_unmatched,
    cast(case when j.is_commune then j.households_with_payment end as bigint) as households_with_payment,
    cast(j.payment_rate as numeric(9, 6)) as payment_rate,
    cast(j.accounts as bigint) as accounts,
    cast(j.accounts_unmatched as bigint) as accounts_unmatched,
    cast(case when j.is_commune then j.lead_households end as bigint) as lead_households,
    cast(j.lead_rate as numeric(9, 6)) as lead_rate,
    cast(j.lead_households_calc as bigint) as lead_households_calc,
    cast(j.hamlets as bigint) as hamlets,
    cast(j.hamlets_with_team as bigint) as hamlets_with_team,
    {{ rate('j.hamlets_with_team', 'j.hamlets') }} as team_rate,
    cast(j.team_members as bigint) as team_members,
    cast(j.team_members_trained as bigint) as team_members_trained,
    cast(j.products_on_sale as bigint) as products_on_sale,
    cast(j.orders_placed as bigint) as orders_placed,
    cast(j.orders_valid as bigint) as orders_valid,
    cast(j.orders_delivered as bigint) as orders_delivered,
    cast(j.orders_cancelled as bigint) as orders_cancelled,
    cast(j.orders_returned as bigint) as orders_returned,
    cast(j.orders_out_of_province as bigint) as orders_out_of_province,
    cast(j.revenue_gross_vnd as bigint) as revenue_gross_vnd,
    cast(j.refunds_vnd as bigint) as refunds_vnd,
    cast(j.revenue_gross_vnd - j.refunds_vnd as bigint) as revenue_net_vnd,
    cast(j.orders_placed_to_date as bigint) as orders_placed_to_date,
    cast(j.orders_valid_to_date as bigint) as orders_valid_to_date,
    cast(j.orders_delivered_to_date as bigint) as orders_delivered_to_date,
    cast(j.revenue_gross_vnd_to_date as bigint) as revenue_gross_vnd_to_date,
    cast(j.refunds_vnd_to_date as bigint) as refunds_vnd_to_date,
    cast(j.revenue_gross_vnd_to_date - j.refunds_vnd_to_date as bigint) as revenue_net_vnd_to_date,
    cast(j.store_base as bigint) as store_base,
    {{ multiple('j.households_with_store', 'j.store_base') }} as store_growth,
    cast(j.payment_base as bigint) as payment_base,
    {{ multiple('j.households_with_payment', 'j.payment_base') }} as payment_growth,
    cast(j.revenue_base_vnd as bigint) as revenue_base_vnd,
    {{ multiple('j.revenue_gross_vnd_to_date - j.refunds_vnd_to_date', 'j.revenue_base_vnd') }} as revenue_growth,
    cast(case when j.is_commune then {{ rate('j.stores_of_households - j.stores_unmatched', 'j.stores_of_households') }} end as numeric(9, 6))
        as match_rate,
    nullif(concat_ws(',', case when j.is_store_held then 'store_rate' end, case when j.is_payment_held then 'payment_rate' end,
        case when j.is_lead_held then 'lead_rate' end), '') as rates_held,
    j.completeness
from judged as j
join communes as c on c.commune_code = j.commune_code
where {{ in_scope('j.commune_code', 'j.date') }}
