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
   where exists (select 1 from {{ changed_exports(source_names, dataset) }} as c
                  where c.source = t.platform and c.business_day = t.valid_from)
      or exists (select 1 from {{ changed_snapshot_days(dataset, source_names) }} as d
                  where d.platform = t.platform and d.snapshot_day = t.valid_from)
  {% else %} select 1 {% endif %}
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
    from {{ observations }} as o
    where exists (select 1 from scope as s where s.platform = o.platform and o.snapshot_day in (s.snapshot_day, s.previous_day))
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

{# Entities whose states are built again: those that changed on or after stock_from; all of them after a new household list. #}
{% macro forget_states(changes, code) -%}
  {% if is_incremental() %}
  delete from {{ this }} as t
   {% if not build_scope('is_rematch') %}
   where exists (select 1 from {{ changes }} as c
                  where c.platform = t.platform and c.{{ code }} = t.{{ code }} and c.valid_from >= {{ day_var('stock_from') }})
      or exists (select 1 from {{ this }} as s
                  where s.platform = t.platform and s.{{ code }} = t.{{ code }} and s.valid_from >= {{ day_var('stock_from') }})
   {% endif %}
  {% else %} select 1 {% endif %}
{%- endmacro %}

{# Products built again: Postmart's that changed on or after stock_from, Vỏ Sò's that a changed export speaks of. #}
{% macro forget_products(changes) -%}
  {% if is_incremental() %}
  delete from {{ this }} as t
   where (t.platform = 'postmart'
          and (exists (select 1 from {{ changes }} as c
                        where c.platform = t.platform and c.product_code = t.product_code and c.valid_from >= {{ day_var('stock_from') }})
               or exists (select 1 from {{ this }} as s
                           where s.platform = t.platform and s.product_code = t.product_code and s.valid_from >= {{ day_var('stock_from') }})))
      or (t.platform = 'voso'
          and exists (select 1 from {{ source('raw', 'voso_products') }} as r
                        join {{ changed_exports(['voso'], 'products') }} as c on c.export_id = r.export_id
                       where r.product_id = t.product_code and {{ says_something('r') }}))
      or (t.platform = 'voso' and t.product_code in {{ withdrawn_keys('voso', 'products') }})
  {% else %} select 1 {% endif %}
{%- endmacro %}
