{# KPIs of a group of communes, from sums, never averaged (KPI §1.10). A commune without households stays out of the rates' numerators
   as it is out of their denominators; its counts are in the counts. #}
{% macro summed_kpis(unit, filter, phase, phase_day, unit_names=none) -%}
{%- set names = unit_names or ['district_code', 'district_name'] -%}
{%- set counts = ['stores', 'stores_unmatched', 'accounts', 'accounts_unmatched', 'products_on_sale', 'orders_placed', 'orders_valid',
    'orders_delivered', 'orders_cancelled', 'orders_returned', 'orders_out_of_province', 'revenue_gross_vnd', 'refunds_vnd', 'revenue_net_vnd'] -%}
{%- set of_communes = ['households', 'households_with_store', 'households_with_store_postmart', 'households_with_store_voso',
    'households_with_store_both', 'households_with_active_store', 'households_with_payment', 'lead_households', 'lead_households_calc',
    'hamlets', 'hamlets_with_team', 'team_members', 'team_members_trained'] -%}
{%- set to_date = ['orders_placed_to_date', 'orders_valid_to_date', 'orders_delivered_to_date', 'revenue_gross_vnd_to_date',
    'refunds_vnd_to_date', 'revenue_net_vnd_to_date', 'store_base', 'payment_base', 'revenue_base_vnd'] -%}
with summed as (
    select
        k.geography,
        {{ unit[0] }} as {{ names[0] }},
        {{ unit[1] }} as {{ names[1] }},
        k.date,
        {{ phase }} as phase,
        {{ phase_day }} as phase_day,
        {% for c in counts + of_communes + to_date %}
        sum(k.{{ c }}) as {{ c }},
        {% endfor %}
        sum(k.households_with_store) filter (where k.households > 0) as rate_store,
        sum(k.households_with_payment) filter (where k.households > 0) as rate_payment,
        sum(k.lead_households) filter (where k.households > 0) as rate_lead,
        sum(k.hamlets_with_team) filter (where k.hamlets > 0) as rate_team,
        -- multiples compare the same communes: those whose phase has begun
        sum(k.households_with_store) filter (where k.store_base is not null) as grown_store,
        sum(k.households_with_payment) filter (where k.payment_base is not null) as grown_payment,
        max(k.completeness) as completeness
    from {{ ref('kpi_commune_daily') }} as k
    where {{ filter }}
    {% if is_incremental() %} and k.date >= {{ sum_from() }} {% endif %}
    group by k.geography, {% if unit_names is none %}k.district_code, k.district_name, {% endif %}k.date
),

matched as (
    select
        {% if unit_names is none %}c.district_code,{% endif %}
        f.date,
        sum(f.stores_of_households) as stores_of_households,
        sum(f.stores_unmatched) as stores_unmatched
    from {{ ref('fct_commune_day') }} as f
    join {{ ref('dim_commune') }} as c on c.commune_code = f.commune_code and c.geography = '2021'
    where f.platform <> 'all' and f.commune_code <> '00000'
    {% if is_incremental() %} and f.date >= {{ sum_from() }} {% endif %}
    group by {% if unit_names is none %}c.district_code, {% endif %}f.date
)

select
    s.geography,
    s.{{ names[0] }},
    s.{{ names[1] }},
    s.date,
    s.phase,
    s.phase_day,
    cast(s.households as bigint) as households,
    {% for c in of_communes[1:6] %}cast(s.{{ c }} as bigint) as {{ c }},
    {% endfor -%}
    {{ rate('s.rate_store', 's.households') }} as store_rate,
    cast(s.stores as bigint) as stores,
    cast(s.stores_unmatched as bigint) as stores_unmatched,
    cast(s.households_with_payment as bigint) as households_with_payment,
    {{ rate('s.rate_payment', 's.households') }} as payment_rate,
    cast(s.accounts as bigint) as accounts,
    cast(s.accounts_unmatched as bigint) as accounts_unmatched,
    cast(s.lead_households as bigint) as lead_households,
    {{ rate('s.rate_lead', 's.households') }} as lead_rate,
    cast(s.lead_households_calc as bigint) as lead_households_calc,
    cast(s.hamlets as bigint) as hamlets,
    cast(s.hamlets_with_team as bigint) as hamlets_with_team,
    {{ rate('s.rate_team', 's.hamlets') }} as team_rate,
    cast(s.team_members as bigint) as team_members,
    cast(s.team_members_trained as bigint) as team_members_trained,
    {% for c in counts[4:] + to_date[:6] %}cast(s.{{ c }} as bigint) as {{ c }},
    {% endfor -%}
    cast(s.store_base as bigint) as store_base,
    {{ multiple('s.grown_store', 's.store_base') }} as store_growth,
    cast(s.payment_base as bigint) as payment_base,
    {{ multiple('s.grown_payment', 's.payment_base') }} as payment_growth,
    cast(s.revenue_base_vnd as bigint) as revenue_base_vnd,
    {{ multiple('s.revenue_net_vnd_to_date', 's.revenue_base_vnd') }} as revenue_growth,
    {{ rate('m.stores_of_households - m.stores_unmatched', 'm.stores_of_households') }} as match_rate,
    s.completeness
from summed as s
left join matched as m on m.date = s.date{% if unit_names is none %} and m.district_code = s.district_code{% endif %}
{%- endmacro %}
