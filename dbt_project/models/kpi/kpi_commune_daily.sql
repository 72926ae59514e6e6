{# Every KPI per list, commune and day, restated view (KPI §4, §1.12). Row 00000 holds facts that no commune can be told of. #}
-- depends_on: {{ ref('fct_day_completeness') }}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', post_hook="{{ retell_completeness() }}", pre_hook="{{ forget() }}",
          indexes=[{'columns': ['geography', 'commune_code', 'date']}, {'columns': ['date']}]) }}

with scope as (
    select * from {{ units_in_scope() }} as b
),

over_all as (
    select f.*, f.commune_code <> '00000' as is_commune
    from {{ ref('fct_commune_day') }} as f
    join scope as b on b.geography = f.geography and b.commune_code = f.commune_code and b.first_date <= f.date
    where f.platform = 'all' and f.date >= {{ lead_from() }}
),

told as (
    select
        f.*,
        p.households_with_store as households_with_store_postmart,
        f.households_with_store + f.households_with_store_both - p.households_with_store as households_with_store_voso
    from over_all as f
    join {{ ref('fct_commune_day') }} as p
        on p.platform = 'postmart' and p.geography = f.geography and p.commune_code = f.commune_code and p.date = f.date and p.date >= {{ lead_from() }}
),

-- KPI §1.8: a numerator above its denominator is a failed check; the rate keeps the commune's last good value, marked in rates_held
rated as (
    select
        t.*,
        {% for kpi, numerator in [('store', 'households_with_store'), ('payment', 'households_with_payment'), ('lead', 'lead_households')] %}
        case when t.rated_{{ numerator }} <= t.households then {{ rate('t.rated_' ~ numerator, 't.households') }} end as {{ kpi }}_rate_good,
        t.households > 0 and t.rated_{{ numerator }} > t.households as is_{{ kpi }}_held{% if not loop.last %},{% endif %}
        {% endfor %}
    from told as t
),

grouped as (
    select
        r.*,
        {% for kpi in ['store', 'payment', 'lead'] %}
        count(r.{{ kpi }}_rate_good) over (partition by r.geography, r.commune_code order by r.date) as {{ kpi }}_good_days{% if not loop.last %},{% endif %}
        {% endfor %}
    from rated as r
),

judged as (
    select
        g.*,
        {% for kpi in ['store', 'payment', 'lead'] %}
        case when g.is_{{ kpi }}_held then coalesce(max(g.{{ kpi }}_rate_good) over (partition by g.geography, g.commune_code, g.{{ kpi }}_good_days){% if is_incremental() %}, (
            select t.{{ kpi }}_rate
            from {{ this }} as t
            where t.geography = g.geography and t.commune_code = g.commune_code and t.{{ kpi }}_rate is not null and t.date < g.date
            order by t.date desc
            limit 1
        ){% endif %})
        else g.{{ kpi }}_rate_good end as {{ kpi }}_rate{% if not loop.last %},{% endif %}
        {% endfor %}
    from grouped as g
)

select
    j.geography,
    j.commune_code,
    c.commune_name,
    c.district_code,
    c.district_name,
    j.date,
    c.phase,
    cast(j.date - c.kick_off as integer) as phase_day,
    j.households,
    {% for m in ['households_with_store', 'households_with_store_postmart', 'households_with_store_voso', 'households_with_store_both', 'households_with_active_store'] -%}
    cast(case when j.is_commune then j.{{ m }} end as bigint) as {{ m }},
    {% endfor -%}
    cast(j.store_rate as numeric(9, 6)) as store_rate,
    j.stores,
    j.stores_unmatched,
    case when j.is_commune then j.households_with_payment end as households_with_payment,
    cast(j.payment_rate as numeric(9, 6)) as payment_rate,
    j.accounts,
    j.accounts_unmatched,
    case when j.is_commune then j.lead_households end as lead_households,
    cast(j.lead_rate as numeric(9, 6)) as lead_rate,
    case when j.is_commune then j.lead_households_calc end as lead_households_calc,
    j.hamlets,
    j.hamlets_with_team,
    {{ rate('j.rated_hamlets_with_team', 'j.hamlets') }} as team_rate,
    j.team_members,
    j.team_members_trained,
    j.products_on_sale,
    j.orders_placed,
    j.orders_valid,
    j.orders_delivered,
    j.orders_cancelled,
    j.orders_returned,
    j.orders_out_of_province,
    j.revenue_gross_vnd,
    j.refunds_vnd,
    j.revenue_gross_vnd - j.refunds_vnd as revenue_net_vnd,
    {% for m in ['orders_placed', 'orders_valid', 'orders_delivered', 'revenue_gross_vnd', 'refunds_vnd'] -%}
    case when j.is_commune then j.{{ m }}_to_date end as {{ m }}_to_date,
    {% endfor -%}
    case when j.is_commune then j.revenue_gross_vnd_to_date - j.refunds_vnd_to_date end as revenue_net_vnd_to_date,
    j.store_base,
    {{ multiple('j.grown_households_with_store', 'j.store_base') }} as store_growth,
    j.payment_base,
    {{ multiple('j.grown_households_with_payment', 'j.payment_base') }} as payment_growth,
    j.revenue_base_vnd,
    {{ multiple('j.revenue_gross_vnd_to_date - j.refunds_vnd_to_date', 'j.revenue_base_vnd') }} as revenue_growth,
    cast(case when j.is_commune then {{ rate('j.stores_of_households - j.stores_unmatched', 'j.stores_of_households') }} end as numeric(9, 6))
        as match_rate,
    nullif(concat_ws(',', case when j.is_store_held then 'store_rate' end, case when j.is_payment_held then 'payment_rate' end,
        case when j.is_lead_held then 'lead_rate' end), '') as rates_held,
    case when j.is_estimated then 'ESTIMATED' else j.day_completeness end as completeness
from judged as j
join {{ ref('dim_commune') }} as c on c.geography = j.geography and c.commune_code = j.commune_code
