{# Before the orders are built: which orders, and where they counted until now. An order is found again when an export that speaks of it
   changed, or when its store's state on the order's day may have. #}
{% macro choose_orders() -%}
  insert into ops.build_order (platform, order_code)
  select 'postmart', r.order_code
    from {{ source('raw', 'postmart_orders') }} as r
    {% if is_incremental() %} join {{ changed_exports(['postmart'], 'orders') }} as c on c.export_id = r.export_id {% endif %}
   where r.order_code is not null and {{ says_something('r') }}
  union
  select 'voso', r.order_number
    from {{ source('raw', 'voso_orders') }} as r
    {% if is_incremental() %} join {{ changed_exports(['voso'], 'orders') }} as c on c.export_id = r.export_id {% endif %}
   where r.order_number is not null and {{ says_something('r') }}
  {% if is_incremental() %}
  union
  select 'voso', o.order_number
    from {{ source('raw', 'voso_order_events') }} as e
    join {{ changed_exports(['voso'], 'order_events') }} as c on c.export_id = e.export_id
    join {{ source('raw', 'voso_orders') }} as o on o.order_id = e.order_id
   where o.order_number is not null and {{ says_something('e') }}
  union
  select 'postmart', w.key from {{ withdrawn_keys('postmart', 'orders') }} as w
  union
  select 'voso', o.order_number
    from {{ withdrawn_keys('voso', 'orders') }} as w
    join {{ source('raw', 'voso_orders') }} as o on o.order_id = w.key
   where o.order_number is not null
  union
  select 'voso', o.order_number
    from {{ withdrawn_keys('voso', 'order_events') }} as w
    join {{ source('raw', 'voso_order_events') }} as e on e.event_id = w.key
    join {{ source('raw', 'voso_orders') }} as o on o.order_id = e.order_id
   where o.order_number is not null
  {%- for reached in ['t.created_day >= ' ~ day_var('stock_from'), "(t.store_valid_from is null or t.store_valid_from > t.created_day)"] %}
  union
  select t.platform, t.order_code
    from {{ this }} as t
   where {{ reached }}
     {% if not build_scope('is_rematch') %}
     and exists (select 1 from {{ ref('int_stores__changed') }} as c
                  where c.platform = t.platform and c.store_code = t.store_code and c.valid_from >= {{ day_var('stock_from') }})
     {% endif %}
  {%- endfor %}
  {% endif %}
  on conflict do nothing
{%- endmacro %}

{# The commune-days that an order counts in; run before and after its state is found again. #}
{% macro note_order_cells() -%}
  {% if is_incremental() %}
  insert into ops.build_cell (commune_code, date)
  select distinct o.commune_code, d.date
    from {{ this }} as o
    join ops.build_order as b on b.platform = o.platform and b.order_code = o.order_code
    cross join lateral (values (o.created_day), (o.first_delivered_day), (o.cancelled_day), (o.returned_day)) as d (date)
   where d.date is not null
  on conflict do nothing
  {% else %} select 1 {% endif %}
{%- endmacro %}

{% macro choose_refunds() -%}
  insert into ops.build_refund (platform, refund_code)
  select 'postmart', r.refund_code
    from {{ source('raw', 'postmart_refunds') }} as r
    {% if is_incremental() %} join {{ changed_exports(['postmart'], 'refunds') }} as c on c.export_id = r.export_id {% endif %}
   where r.refund_code is not null and {{ says_something('r') }}
  union
  select 'voso', r.return_id
    from {{ source('raw', 'voso_refunds') }} as r
    {% if is_incremental() %} join {{ changed_exports(['voso'], 'refunds') }} as c on c.export_id = r.export_id {% endif %}
   where r.return_id is not null and {{ says_something('r') }}
  {% if is_incremental() %}
  union
  select 'voso', w.key from {{ withdrawn_keys('voso', 'refunds') }} as w
  union
  select t.platform, t.refund_code
    from {{ this }} as t
    join ops.build_order as b on b.platform = t.platform and b.order_code = t.order_code
  union
  select 'voso', t.refund_code
    from {{ this }} as t
    join {{ ref('int_orders') }} as o on t.platform = 'voso' and o.platform = 'voso' and o.order_id = t.order_id
    join ops.build_order as b on b.platform = o.platform and b.order_code = o.order_code
  {% endif %}
  on conflict do nothing
{%- endmacro %}

{% macro note_refund_cells() -%}
  {% if is_incremental() %}
  insert into ops.build_cell (commune_code, date)
  select distinct r.commune_code, r.completed_day
    from {{ this }} as r
    join ops.build_refund as b on b.platform = r.platform and b.refund_code = r.refund_code
   where r.completed_day is not null
  on conflict do nothing
  {% else %} select 1 {% endif %}
{%- endmacro %}

{% macro forget_locations() -%}
  {% if is_incremental() %}
  delete from {{ this }} as t
   where (select o.platform from {{ ref('int_orders') }} as o where o.platform = t.platform and o.receiver_province = t.source_province limit 1) is null
  {% else %} select 1 {% endif %}
{%- endmacro %}
