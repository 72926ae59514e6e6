{# Conservation over mergers (KPI §1.12, §5): every sum of the province is the same on every list of communes. #}
{% test lists_agree(model) %}
{%- set measures = ['stores', 'stores_of_households', 'stores_unmatched', 'accounts', 'accounts_unmatched', 'products_on_sale', 'households_with_store',
    'households_with_payment', 'households_with_active_store', 'households_with_store_both', 'lead_households', 'lead_households_calc', 'orders_placed',
    'orders_valid', 'orders_delivered', 'orders_cancelled', 'orders_returned', 'orders_out_of_province', 'revenue_gross_vnd', 'refunds_vnd',
    'orders_placed_to_date', 'orders_valid_to_date', 'orders_delivered_to_date', 'revenue_gross_vnd_to_date', 'refunds_vnd_to_date', 'store_base',
    'payment_base', 'revenue_base_vnd', 'households', 'hamlets', 'hamlets_with_team', 'team_members', 'team_members_trained'] -%}
with summed as (
    select geography, date, platform{% for m in measures %}, sum({{ m }}) as {{ m }}{% endfor %}
    from {{ ref('fct_commune_day') }}
    where date >= {{ tested_from() }}
    group by geography, date, platform
)

select o.*
from summed as o
join summed as f on f.geography = {{ first_list() }} and f.date = o.date and f.platform = o.platform
where {% for m in measures %}o.{{ m }} is distinct from f.{{ m }}{% if not loop.last %} or {% endif %}{% endfor %}
{% endtest %}
