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

{% macro forget_place_days() -%}
  {% if is_incremental() %}
  delete from {{ this }} where date >= {{ day_var('stock_from') }};
  delete from {{ this }} as t
   using (select c.commune_code, min(c.date) as first_date from ops.build_cell as c group by c.commune_code) as b
   where b.commune_code = t.place_code and t.date >= b.first_date
  {% else %} select 1 {% endif %}
{%- endmacro %}

{# Units of every list that this build's changed place-days reach, and from which day on. #}
{% macro note_units() -%}
  delete from ops.build_unit
  {%- if is_incremental() %};
  insert into ops.build_unit (geography, commune_code, first_date)
  select u.geography, u.commune_code, min(c.date)
    from ops.build_cell as c
    join {{ ref('int_place_pieces') }} as p on p.place_code = c.commune_code
    join {{ ref('int_pieces') }} as u on u.piece_code = p.piece_code
   group by u.geography, u.commune_code
  {% endif %}
{%- endmacro %}

{% macro forget_unit_days() -%}
  {% if is_incremental() %}
  delete from {{ this }} where date >= {{ day_var('stock_from') }};
  delete from {{ this }} as t using ops.build_unit as b
   where b.geography = t.geography and b.commune_code = t.commune_code and t.date >= b.first_date
  {% else %} select 1 {% endif %}
{%- endmacro %}

{# From which day on each unit is told anew: all from stock_from on, one that changed days reach from the first of them. #}
{% macro units_in_scope() -%}
  (select c.geography, c.commune_code,
          {% if is_incremental() %}least({{ day_var('stock_from') }}, b.first_date){% else %}{{ beginning() }}{% endif %} as first_date
     from {{ ref('dim_commune') }} as c
     left join ops.build_unit as b on b.geography = c.geography and b.commune_code = c.commune_code)
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

{# What came late moves how complete its day is, for every unit, also for those that none of its rows speaks of. A figure that was shared out says
   ESTIMATED whatever its day says. #}
{% macro retell_completeness(column='completeness') -%}
  {% if is_incremental() %}
  update {{ this }} as t
     set {{ column }} = y.completeness
    from {{ ref('fct_day_completeness') }} as y
   where y.date = t.date and y.completeness <> t.{{ column }} and t.{{ column }} <> 'ESTIMATED'
     and t.date in (select c.business_day from {{ source('ops', 'change') }} as c where c.build_id = {{ build_scope('build_id') }})
  {% else %} select 1 {% endif %}
{%- endmacro %}
