{# KPIs of a group of communes, from sums, never averaged (KPI §1.10). A part without households stays out of the rates' numerators as it is out of
   their denominators; its counts are in the counts. `estimated`: when a number of the group was shared out between it and another one. #}
{% macro summed_kpis(unit, filter, phase, phase_day, unit_names=none, estimated='false') -%}
{%- set names = unit_names or ['district_code', 'district_name'] -%}
{%- set counts = ['stores', 'stores_unmatched', 'accounts', 'accounts_unmatched', 'products_on_sale', 'orders_placed', 'orders_valid', 'orders_delivered',
    'orders_cancelled', 'orders_returned', 'orders_out_of_province', 'revenue_gross_vnd', 'refunds_vnd'] -%}
{%- set of_communes = ['households', 'households_with_store', 'households_with_store_both', 'households_with_active_store', 'households_with_payment',
    'lead_households', 'lead_households_calc', 'hamlets', 'hamlets_with_team', 'team_members', 'team_members_trained', 'orders_placed_to_date',
    'orders_valid_to_date', 'orders_delivered_to_date', 'revenue_gross_vnd_to_date', 'refunds_vnd_to_date', 'store_base', 'payment_base',
    'revenue_base_vnd', 'stores_of_households', 'rated_households_with_store', 'rated_households_with_payment', 'rated_lead_households',
    'rated_hamlets_with_team', 'grown_households_with_store', 'grown_households_with_payment'] %}
with summed as (
    select
        f.geography,
        {{ unit[0] }} as {{ names[0] }},
        {{ unit[1] }} as {{ names[1] }},
        f.date,
        {{ phase }} as phase,
        {{ phase_day }} as phase_day,
        {% for m in counts %}sum(f.{{ m }}) filter (where f.platform = 'all') as {{ m }},
        {% endfor -%}
        {% for m in of_communes %}sum(f.{{ m }}) filter (where f.platform = 'all' and f.commune_code <> '00000') as {{ m }},
        {% endfor -%}
        sum(f.stores_unmatched) filter (where f.platform = 'all' and f.commune_code <> '00000') as unmatched,
        sum(f.households_with_store) filter (where f.platform = 'postmart' and f.commune_code <> '00000') as households_with_store_postmart,
        case when {{ estimated }} then 'ESTIMATED' else max(f.day_completeness) end as completeness
    from {{ ref('fct_commune_day') }} as f
    join {{ ref('dim_commune') }} as c on c.geography = f.geography and c.commune_code = f.commune_code
    where {{ filter }}
    {% if is_incremental() %} and f.date >= {{ sum_from() }} {% endif %}
    group by f.geography, {% if unit_names is none %}c.district_code, c.district_name, {% endif %}f.date
)

select
    s.geography,
    s.{{ names[0] }},
    s.{{ names[1] }},
    s.date,
    cast(s.phase as integer) as phase,
    cast(s.phase_day as integer) as phase_day,
    cast(s.households as bigint) as households,
    cast(s.households_with_store as bigint) as households_with_store,
    cast(s.households_with_store_postmart as bigint) as households_with_store_postmart,
    cast(s.households_with_store + s.households_with_store_both - s.households_with_store_postmart as bigint) as households_with_store_voso,
    cast(s.households_with_store_both as bigint) as households_with_store_both,
    cast(s.households_with_active_store as bigint) as households_with_active_store,
    {{ rate('s.rated_households_with_store', 's.households') }} as store_rate,
    cast(s.stores as bigint) as stores,
    cast(s.stores_unmatched as bigint) as stores_unmatched,
    cast(s.households_with_payment as bigint) as households_with_payment,
    {{ rate('s.rated_households_with_payment', 's.households') }} as payment_rate,
    cast(s.accounts as bigint) as accounts,
    cast(s.accounts_unmatched as bigint) as accounts_unmatched,
    cast(s.lead_households as bigint) as lead_households,
    {{ rate('s.rated_lead_households', 's.households') }} as lead_rate,
    cast(s.lead_households_calc as bigint) as lead_households_calc,
    cast(s.hamlets as bigint) as hamlets,
    cast(s.hamlets_with_team as bigint) as hamlets_with_team,
    {{ rate('s.rated_hamlets_with_team', 's.hamlets') }} as team_rate,
    cast(s.team_members as bigint) as team_members,
    cast(s.team_members_trained as bigint) as team_members_trained,
    {% for m in counts[4:] %}cast(s.{{ m }} as bigint) as {{ m }},
    {% endfor -%}
    cast(s.revenue_gross_vnd - s.refunds_vnd as bigint) as revenue_net_vnd,
    {% for m in ['orders_placed', 'orders_valid', 'orders_delivered', 'revenue_gross_vnd', 'refunds_vnd'] %}cast(s.{{ m }}_to_date as bigint) as {{ m }}_to_date,
    {% endfor -%}
    cast(s.revenue_gross_vnd_to_date - s.refunds_vnd_to_date as bigint) as revenue_net_vnd_to_date,
    cast(s.store_base as bigint) as store_base,
    {{ multiple('s.grown_households_with_store', 's.store_base') }} as store_growth,
    cast(s.payment_base as bigint) as payment_base,
    {{ multiple('s.grown_households_with_payment', 's.payment_base') }} as payment_growth,
    cast(s.revenue_base_vnd as bigint) as revenue_base_vnd,
    {{ multiple('s.revenue_gross_vnd_to_date - s.refunds_vnd_to_date', 's.revenue_base_vnd') }} as revenue_growth,
    {{ rate('s.stores_of_households - s.unmatched', 's.stores_of_households') }} as match_rate,
    s.completeness
from summed as s
{%- endmacro %}
