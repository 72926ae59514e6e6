{# Stock figures from stock_from on are told anew. #}
{% macro forget_days() -%}
  {% if is_incremental() %}
  delete from {{ this }} where date >= {{ day_var('stock_from') }}
  {% else %} select 1 {% endif %}
{%- endmacro %}

{# The first day whose 30-day windows this build can have moved. #}
{% macro lead_from() -%}
  {% if is_incremental() %}
  least((select coalesce(min(c.date), {{ forever() }}) from ops.build_cell as c), {{ day_var('stock_from') }})
  {% else %} {{ beginning() }} {% endif %}
{%- endmacro %}

{% macro forget_lead_days() -%}
  {% if is_incremental() %}
  delete from {{ this }} where date >= {{ lead_from() }}
  {% else %} select 1 {% endif %}
{%- endmacro %}

{# Which commune-days are told anew: all from stock_from on, and of a commune those from its first touched day on. #}
{% macro in_scope(commune, date) -%}
  {% if is_incremental() %}
  ({{ date }} >= {{ day_var('stock_from') }}
   or {{ date }} >= (select min(c.date) from ops.build_cell as c where c.commune_code = {{ commune }}))
  {% else %} true {% endif %}
{%- endmacro %}

{% macro forget_commune_days() -%}
  {% if is_incremental() %}
  delete from {{ this }} as t
   where t.date >= {{ day_var('stock_from') }}
      or exists (select 1 from ops.build_cell as b where b.commune_code = t.commune_code and b.date = t.date)
  {% else %} select 1 {% endif %}
{%- endmacro %}

{% macro forget_kpi_days() -%}
  {% if is_incremental() %}
  delete from {{ this }} as t where {{ in_scope('t.commune_code', 't.date') }}
  {% else %} select 1 {% endif %}
{%- endmacro %}

{# Units above the commune: whole days from the first touched one on. #}
{% macro sum_from() -%}
  least({{ day_var('stock_from') }}, (select coalesce(min(c.date), {{ forever() }}) from ops.build_cell as c))
{%- endmacro %}
{% macro forget_sums() -%}
  {% if is_incremental() %}
  delete from {{ this }} where date >= {{ sum_from() }}
  {% else %} select 1 {% endif %}
{%- endmacro %}

{# What came late moves how complete its day is, for every unit, also for those that none of its rows speaks of. #}
{% macro retell_completeness() -%}
  {% if is_incremental() %}
  update {{ this }} as t
     set completeness = y.completeness
    from {{ ref('int_completeness__by_day') }} as y
   where y.date = t.date and y.completeness <> t.completeness
     and t.date in (select c.business_day from {{ source('ops', 'change') }} as c where c.build_id = {{ build_scope('build_id') }})
  {% else %} select 1 {% endif %}
{%- endmacro %}
