{# What a build can have moved of a table, stated here and nowhere else: predicates over its rows (alias t), any of which may hold, each of a form that an
   index answers. The table's model forgets these rows before it writes them again (`forget`), its data tests look at no others
   (`get_where_subquery`), and the release compares no others: it reads what `forget` noted (ops.build_moved, kinhteso.publishing). #}
{% macro moved_rows(name) -%}
  {%- set days = ['int_stock__by_day', 'fct_hamlet_day', 'kpi_hamlet_daily', 'target_progress_daily'] -%}
  {%- set states = ['int_stores__matched', 'int_accounts__matched', 'dim_store', 'fct_account_state'] -%}
  {%- set products = ['int_products__dated', 'dim_product'] -%}
  {%- set orders = ['int_orders', 'fct_order_line', 'fct_order_status_event'] -%}
  {%- set from_stock_from = 't.date >= ' ~ day_var('stock_from') -%}
  {%- if name in days -%}
    {{ return([from_stock_from]) }}
  {%- elif name == 'fct_day_completeness' -%}
    {{ return([from_stock_from, changed_days()]) }}
  {%- elif name == 'int_lead_calc__by_day' -%}
    {{ return(['t.date >= ' ~ lead_from()]) }}
  {%- elif name == 'int_place_days' -%}
    {{ return([from_stock_from, 't.date >= ' ~ sum_from() ~ ' and exists (select from ops.build_cell as b where b.commune_code = t.place_code and b.date <= t.date)']) }}
  {%- elif name in ['fct_commune_day', 'kpi_commune_daily'] -%}
    {{ return([from_stock_from, 't.date >= ' ~ sum_from()
        ~ ' and exists (select from ops.build_unit as b where b.geography = t.geography and b.commune_code = t.commune_code and b.first_date <= t.date)']) }}
  {%- elif name in ['kpi_district_daily', 'kpi_province_daily'] -%}
    {{ return(['t.date >= ' ~ sum_from()]) }}
  {%- elif name == 'int_flows__by_day' -%}
    {{ return(['(t.commune_code, t.date) in (select b.commune_code, b.date from ops.build_cell as b)']) }}
  {%- elif name in orders -%}
    {{ return(['(t.platform, t.order_code) in (select b.platform, b.order_code from ops.build_order as b)']) }}
  {%- elif name in ['int_refunds', 'fct_refund'] -%}
    {{ return(['(t.platform, t.refund_code) in (select b.platform, b.refund_code from ops.build_refund as b)']) }}
  {%- elif name in states -%}
    {{ return([told_states()]) }}
  {%- elif name in products -%}
    {{ return(["t.platform = 'postmart' and t.valid_to >= " ~ day_var('stock_from'),
        "t.platform = 'voso' and t.product_code in (select r.product_id from " ~ source('raw', 'voso_products') ~ ' as r join '
        ~ changed_exports(['voso'], 'products') ~ ' as c on c.export_id = r.export_id where ' ~ says_something('r')
        ~ ' union all select w.key from ' ~ withdrawn_keys('voso', 'products') ~ ' as w)']) }}
  {%- endif -%}
  {{ return([]) }}
{%- endmacro %}

{# States that end on or after stock_from. A new list of households may match any of them anew. #}
{% macro told_states() -%}
  {%- if build_scope('is_rematch') -%} true {%- else -%} t.valid_to >= {{ day_var('stock_from') }} {%- endif -%}
{%- endmacro %}

{# Rows of the days of this build's deliveries. #}
{% macro changed_days() -%}
  t.date in (select c.business_day from {{ source('ops', 'change') }} as c where c.build_id = {{ build_scope('build_id') }})
{%- endmacro %}

{# Forget what this build may write otherwise; `only`: of those rows, the ones that it does write again. #}
{% macro forget(only=none) -%}
  {%- if is_incremental() -%}
    {%- set parts = moved_rows(this.identifier) -%}
    {%- if not parts -%}{{ exceptions.raise_compiler_error('macros/scopes.sql does not say what a build can have moved of ' ~ this.identifier) }}{%- endif -%}
    {%- for part in parts %}
    {{ note_moved(part) }};
    delete from {{ this }} as t where {{ part }}{% if only %} and ({{ only }}){% endif %}
    {%- if not loop.last %};{% endif -%}
    {%- endfor -%}
  {%- else -%} select 1 {%- endif -%}
{%- endmacro %}

{# For the release: what else of this table a build has touched. #}
{% macro note_moved(predicate) -%}
  insert into ops.build_moved (build_id, relation, predicate) values ({{ build_scope('build_id') }}, '{{ this.schema }}.{{ this.identifier }}', $moved${{ predicate }}$moved$)
{%- endmacro %}

{# dbt's own macro: what a data test reads. In a build of what changed the rows that it can have moved, in a build of everything all of them. #}
{% macro get_where_subquery(relation) -%}
  {%- set parts = [] if flags.FULL_REFRESH else moved_rows(relation.identifier) -%}
  {%- if not parts or not execute -%}{{ return(relation) }}{%- endif -%}
  {%- set found -%}
  ({% for part in parts %}select t.* from {{ relation }} as t where {{ part }}{% for before in parts[:loop.index0] %} and not ({{ before }}){% endfor %}{% if not loop.last %} union all {% endif %}{% endfor %})
  {%- endset -%}
  {{ return(found) }}
{%- endmacro %}

{# What sums up whole days looks at those from here on. #}
{% macro tested_from() -%}
  {% if flags.FULL_REFRESH %}{{ beginning() }}{% else %}{{ sum_from() }}{% endif %}
{%- endmacro %}
