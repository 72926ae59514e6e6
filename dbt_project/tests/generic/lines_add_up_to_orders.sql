{# The lines' amounts and discount shares are those of their orders, to the đồng. #}
{% test lines_add_up_to_orders(model) %}
with line as (
    select platform, order_code, sum(line_amount_vnd) as goods, sum(discount_share_vnd) as discount
    from {{ model }} group by platform, order_code
)

select o.platform, o.order_code, o.goods_gross_vnd, l.goods, o.seller_discount_vnd, l.discount
from (select * from {{ get_where_subquery(ref('int_orders')) }}) as o
left join line as l on l.platform = o.platform and l.order_code = o.order_code
where l.goods is distinct from o.goods_gross_vnd or (o.goods_gross_vnd > 0 and l.discount is distinct from o.seller_discount_vnd)
{% endtest %}
