{# Conservation (KPI §5): each KPI of the province is the sum over the communes and 00000. #}
{% test province_is_sum_of_communes(model) %}
{%- set measures = ['stores', 'accounts', 'products_on_sale', 'orders_placed', 'orders_valid', 'orders_delivered', 'orders_cancelled',
    'orders_returned', 'revenue_gross_vnd', 'refunds_vnd', 'households_with_store', 'households_with_payment', 'lead_households'] -%}
with communes as (
    select date, {% for m in measures %}sum({{ m }}) as {{ m }}{% if not loop.last %}, {% endif %}{% endfor %}
    from {{ model }} group by date
)

select p.date
from {{ ref('kpi_province_daily') }} as p
full join communes as c on c.date = p.date
where {% for m in measures %}p.{{ m }} is distinct from c.{{ m }}{% if not loop.last %} or {% endif %}{% endfor %}
{% endtest %}
