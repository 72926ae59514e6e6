{# Snapshot days that have an accepted export, each with the one before it and the platform's first. #}
{% macro snapshot_days(dataset, source_names=['postmart', 'voso']) -%}
  (select d.platform, d.snapshot_day,
          lag(d.snapshot_day) over (partition by d.platform order by d.snapshot_day) as previous_day,
          min(d.snapshot_day) over (partition by d.platform) as first_day
     from (select distinct source as platform, business_day as snapshot_day
             from {{ source('ops', 'export') }}
            where state = 'accepted' and dataset = '{{ dataset }}' and unit = ''
              and source in ('{{ source_names | join("', '") }}')) as d)
{%- endmacro %}

{# Snapshot days whose difference to the day before has to be found again: they, or the one before them, changed. #}
{% macro changed_snapshot_days(dataset, source_names=['postmart', 'voso']) -%}
  (select d.* from {{ snapshot_days(dataset, source_names) }} as d
    {% if is_incremental() %}
    where exists (select 1 from {{ changed_exports(source_names, dataset) }} as c
                   where c.source = d.platform and c.business_day in (d.snapshot_day, d.previous_day))
    {% endif %})
{%- endmacro %}

{% macro forget_changed_snapshots(dataset, source_names=['postmart', 'voso']) -%}
  {% if is_incremental() %}
  delete from {{ this }} as t
   where (t.valid_from, t.platform) in (
       select c.business_day, c.source from {{ changed_exports(source_names, dataset) }} as c
       union select d.snapshot_day, d.platform from {{ changed_snapshot_days(dataset, source_names) }} as d)
  {% else %} select 1 {% endif %}
{%- endmacro %}

{# What was observed on the days in scope and on those before them. Of a build of what changed export by export, so that no other day is read. #}
{% macro observed_in_scope(observations, dataset, columns, source_names) -%}
  {% if is_incremental() %}
  (select o.* from (
      select distinct e.export_id
        from scope as s
        join {{ source('ops', 'export') }} as e on e.source = s.platform and e.business_day in (s.snapshot_day, s.previous_day)
       where e.state = 'accepted' and e.dataset = '{{ dataset }}') as e
   cross join lateral (select o.* from {{ observations }} as o where o.export_id = e.export_id offset 0) as o)
  {% else %}
  (select o.* from {{ observations }} as o where exists (select 1 from scope as s where s.platform = o.platform and o.snapshot_day in (s.snapshot_day, s.previous_day)))
  {% endif %}
{%- endmacro %}

{# One row for every entity whose state in a snapshot differs from the snapshot before, appeared or vanished.
   `state` lists the columns whose change makes a new row. History grows with what changes, not with the stock. #}
{% macro snapshot_changes(observations, dataset, code, columns, source_names=['postmart', 'voso']) -%}
with scope as (
    select * from {{ changed_snapshot_days(dataset, source_names) }} as d
),

observed as (
    select
        o.platform, o.{{ code }}, o.snapshot_day, o.export_id, o.source_row,
        {% for c in columns %}o.{{ c }}, {% endfor %}
        md5(concat_ws('|', {% for c in columns %}coalesce(cast(o.{{ c }} as text), '~'){% if not loop.last %}, {% endif %}{% endfor %})) as state_hash
    from {{ observed_in_scope(observations, dataset, columns, source_names) }} as o
),

{# Both sides by their keys, then a full join: it hashes or merges whatever the planner thinks of the row counts. #}
now as (
    select o.*
    from scope as s
    join observed as o on o.platform = s.platform and o.snapshot_day = s.snapshot_day
),

before as (
    select s.snapshot_day as compared_day, o.*
    from scope as s
    join observed as o on o.platform = s.platform and o.snapshot_day = s.previous_day
)

select
    coalesce(now.platform, before.platform) as platform,
    coalesce(now.{{ code }}, before.{{ code }}) as {{ code }},
    coalesce(now.snapshot_day, before.compared_day) as valid_from,
    coalesce(now.export_id, before.export_id) as export_id,
    coalesce(now.source_row, before.source_row) as source_row,
    now.platform is not null as is_present,
    {% for c in columns %}case when now.platform is not null then now.{{ c }} else before.{{ c }} end as {{ c }}{% if not loop.last %}, {% endif %}{% endfor %}
from now
full join before
    on before.platform = now.platform and before.compared_day = now.snapshot_day and before.{{ code }} = now.{{ code }}
where now.state_hash is distinct from before.state_hash
{%- endmacro %}

{# Before states are told: of which entities, as `entities` names them (platform, code). Of each the states that end on or after stock_from. #}
{% macro forget_entities(entities) -%}
  {%- if is_incremental() -%}
  delete from ops.build_entity where relation = '{{ this.identifier }}';
  insert into ops.build_entity (relation, platform, code) select '{{ this.identifier }}', e.platform, e.code from ({{ entities }}) as e (platform, code);
  analyze ops.build_entity;
  {{ forget("(t.platform, t." ~ ('product_code' if 'products' in this.identifier else 'store_code' if 'stores' in this.identifier else 'account_ref')
      ~ ") in (select e.platform, e.code from ops.build_entity as e where e.relation = '" ~ this.identifier ~ "')") }}
  {%- else -%} select 1 {%- endif -%}
{%- endmacro %}

{# Entities that changed on or after stock_from, or were told to have. #}
{% macro moved_entities(changes, code) -%}
  select c.platform, c.{{ code }} from {{ changes }} as c where c.valid_from >= {{ day_var('stock_from') }}
  union
  select s.platform, s.{{ code }} from {{ this }} as s where s.valid_from >= {{ day_var('stock_from') }}
{%- endmacro %}

{# After a new list of households all states are matched again, from the beginning. #}
{% macro forget_states(changes, code) -%}
  {%- if build_scope('is_rematch') -%}{{ forget() }}{%- else -%}{{ forget_entities(moved_entities(changes, code)) }}{%- endif -%}
{%- endmacro %}

{# Of Vỏ Sò's products all states of those that a changed export speaks of. #}
{% macro forget_products(changes) -%}
  {%- set told -%}
  {{ moved_entities("(select * from " ~ changes ~ " where platform = 'postmart')", 'product_code') }} and s.platform = 'postmart'
  union
  select 'voso', r.product_id
    from {{ source('raw', 'voso_products') }} as r
    join {{ changed_exports(['voso'], 'products') }} as c on c.export_id = r.export_id
   where r.product_id is not null and {{ says_something('r') }}
  union
  select 'voso', w.key from {{ withdrawn_keys('voso', 'products') }} as w
  {%- endset -%}
  {{ forget_entities(told) }}
{%- endmacro %}

{# The change rows from which those states follow: those since stock_from, and of each entity the last one before.
   `relation`: the table of the states; `matched`: with households. #}
{% macro changes_in_scope(relation, changes, code, matched=true) -%}
  {% if is_incremental() and not (matched and build_scope('is_rematch')) %}
  (select c.*
     from {{ source('ops', 'build_entity') }} as n
    cross join lateral (
        (select c.* from {{ changes }} as c where c.platform = n.platform and c.{{ code }} = n.code and c.valid_from >= {{ day_var('stock_from') }})
        union all
        (select c.* from {{ changes }} as c where c.platform = n.platform and c.{{ code }} = n.code and c.valid_from < {{ day_var('stock_from') }}
          order by c.valid_from desc limit 1)) as c
    where n.relation = '{{ relation }}')
  {% else %}{{ changes }}{% endif %}
{%- endmacro %}

{# Of states that are told again, those that were forgotten. #}
{% macro ends_in_scope(valid_to, matched=true) -%}
  {% if is_incremental() and not (matched and build_scope('is_rematch')) %}{{ valid_to }} >= {{ day_var('stock_from') }}{% else %}true{% endif %}
{%- endmacro %}
