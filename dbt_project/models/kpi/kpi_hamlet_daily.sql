{# KPIs per hamlet and day, small counts suppressed (KPI §4; how and against what: macros/suppression.sql). On the list of communes in which the registers
   arrive. Stores per platform are left out: so few households that hiding them would hide what matters. `~` is what a commune has beside its hamlets. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', post_hook="{{ retell_completeness() }}", pre_hook="{{ forget() }}",
          indexes=[{'columns': ['commune_code', 'hamlet_code', 'date']}, {'columns': ['date']}]) }}
{%- set within = {'households': none, 'households_with_store': 'households', 'households_with_active_store': 'households_with_store',
    'households_with_payment': 'households', 'lead_households': 'households'} %}

with hamlet_day as (
    select * from {{ ref('fct_hamlet_day') }}
    {% if is_incremental() %} where date >= {{ day_var('stock_from') }} {% endif %}
),

judged as (
    select * from {{ hidden_counts('hamlet_day', [['place_code', 'date'], ['commune_code', 'date']], 'hamlet_code', within) }} as h
),

shown as (
    select
        {{ place_geography('commune_code') }} as geography,
        {{ place_commune('commune_code') }} as commune_code,
        hamlet_code,
        hamlet_name,
        date,
        {% for m in within %}case when not {{ m }}_hidden then {{ m }} end as {{ m }},
        {% endfor -%}
        hamlets_with_team,
        team_members,
        team_members_trained,
        {% for m in within %}{{ m }}_hidden{% if not loop.last %} or {% endif %}{% endfor %} as suppressed
    from judged
)

select
    c.geography,
    s.commune_code,
    c.commune_name,
    c.district_code,
    c.district_name,
    s.hamlet_code,
    s.hamlet_name,
    s.date,
    cast(s.households as bigint) as households,
    cast(s.households_with_store as bigint) as households_with_store,
    cast(s.households_with_active_store as bigint) as households_with_active_store,
    cast(case when s.households_with_store <= s.households then {{ rate('s.households_with_store', 's.households') }} end as numeric(9, 6)) as store_rate,
    cast(s.households_with_payment as bigint) as households_with_payment,
    cast(case when s.households_with_payment <= s.households then {{ rate('s.households_with_payment', 's.households') }} end as numeric(9, 6)) as payment_rate,
    cast(s.lead_households as bigint) as lead_households,
    cast(case when s.lead_households <= s.households then {{ rate('s.lead_households', 's.households') }} end as numeric(9, 6)) as lead_rate,
    cast(s.hamlets_with_team as bigint) as hamlets_with_team,
    cast(s.team_members as bigint) as team_members,
    cast(s.team_members_trained as bigint) as team_members_trained,
    s.suppressed,
    y.completeness
from shown as s
join {{ ref('dim_commune') }} as c
    on c.geography = s.geography and c.commune_code = s.commune_code
join {{ ref('fct_day_completeness') }} as y on y.date = s.date
