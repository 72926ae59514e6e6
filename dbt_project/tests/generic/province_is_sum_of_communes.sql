{# Conservation (KPI §5): each KPI of the province is the sum over the communes and 00000. #}
{% test province_is_sum_of_communes(model) %}
{%- set measures = ['stores', 'accounts', 'products_on_sale', 'orders_placed', 'orders_valid', 'orders_delivered', 'orders_cancelled',
    'orders_returned', 'orders_out_of_province', 'revenue_gross_vnd', 'refunds_vnd', 'revenue_net_vnd', 'households', 'households_with_store',
    'households_with_store_postmart', 'households_with_store_voso', 'households_with_store_both', 'households_with_active_store', 'households_with_payment',
    'lead_households', 'lead_households_calc', 'hamlets', 'hamlets_with_team', 'team_members', 'team_members_trained', 'orders_placed_to_date',
    'orders_valid_to_date', 'orders_delivered_to_date', 'revenue_gross_vnd_to_date', 'refunds_vnd_to_date', 'revenue_net_vnd_to_date', 'store_base',
    'payment_base', 'revenue_base_vnd'] -%}
with communes as (
    select geography, date, {% for m in measures %}sum({{ m }}) as {{ m }}{% if not loop.last %}, {% endif %}{% endfor %}
    from {{ ref('kpi_commune_daily') }} where date >= {{ tested_from() }} group by geography, date
)

select p.geography, p.date
from (select * from {{ ref('kpi_province_daily') }} where date >= {{ tested_from() }}) as p
full join communes as c on c.geography = p.geography and c.date = p.date
where ({% for m in measures %}p.{{ m }} is distinct from c.{{ m }}{% if not loop.last %} or {% endif %}{% endfor %})
{% endtest %}
