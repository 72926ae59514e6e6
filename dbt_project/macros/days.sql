{# The first day whose sums, and windows that reach forward, this build can have moved: asked while compiling, so that the planner knows it. #}
{% macro sum_from() -%}
  {%- set asked = "least((select coalesce(min(c.date), " ~ forever() ~ ") from ops.build_cell as c), " ~ day_var('stock_from') ~ ")" -%}
  {%- if execute -%} date '{{ run_query("select " ~ asked).rows[0][0] }}' {%- else -%} {{ asked }} {%- endif -%}
{%- endmacro %}

{# From which day on a model tells: of a build of everything, from the beginning. #}
{% macro lead_from() -%}
  {% if is_incremental() %}{{ sum_from() }}{% else %}{{ beginning() }}{% endif %}
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
   group by u.geography, u.commune_code;
  analyze ops.build_unit
  {% endif %}
{%- endmacro %}

{# From which day on each unit is told anew: all from stock_from on, one that changed days reach from the first of them. #}
{% macro units_in_scope() -%}
  (select c.geography, c.commune_code,
          {% if is_incremental() %}least({{ day_var('stock_from') }}, b.first_date){% else %}{{ beginning() }}{% endif %} as first_date
     from {{ ref('dim_commune') }} as c
     left join ops.build_unit as b on b.geography = c.geography and b.commune_code = c.commune_code)
{%- endmacro %}

{# What came late moves how complete its day is, for every unit, also for those that none of its rows speaks of. A figure that was shared out says
   ESTIMATED whatever its day says. #}
{% macro retell_completeness(column='completeness') -%}
  {% if is_incremental() %}
  {{ note_moved(changed_days()) }};
  update {{ this }} as t
     set {{ column }} = y.completeness
    from {{ ref('fct_day_completeness') }} as y
   where y.date = t.date and y.completeness <> t.{{ column }} and t.{{ column }} <> 'ESTIMATED'
     and {{ changed_days() }}
  {% else %} select 1 {% endif %}
{%- endmacro %}

{# Of each place in scope (g) its row over both platforms of a day that was told before; looked up one by one. #}
{% macro told_before(day) -%}
  from scope as g
  cross join lateral (select * from {{ this }} as x where x.place_code = g.place_code and x.date = {{ day }} and x.platform = 'all' offset 0) as t
{%- endmacro %}
