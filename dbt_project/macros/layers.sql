{# Schemas are named as in the design (staging, intermediate, core, kpi, seeds), without a prefix. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}

{# The latest version of a model keeps its plain name, which is the contract with BI; an older one that is kept beside it says which it is. #}
{% macro generate_alias_name(custom_alias_name=none, node=none) -%}
  {%- set is_older = node.version and node.version != node.latest_version -%}
  {{ (custom_alias_name or node.name) | trim }}{% if is_older %}_v{{ node.version }}{% endif %}
{%- endmacro %}

{# Rows of a dataset that count: accepted export, not set aside (RELIABILITY, "The life of an export"). `key`: the column under which a
   reconciliation withdraws what the platform does not know any more (EXPORTS §10.3: hard deletes are only visible in bulk); `is_snapshot`: what
   it says of a key stands instead of that day's own row. Of two states of one time the one of the greater `authority` is right (F42). #}
{% macro accepted(source_name, dataset, key=none, is_snapshot=false) -%}
  (select r.*, e.business_day, e.version, e.is_backlog, e.is_reconstructed, e.received_at, e.window_since,
          {{ authority('e.unit') }} as authority
     from {{ source('raw', source_name ~ '_' ~ dataset) }} as r
     join {{ source('ops', 'export') }} as e on e.export_id = r.export_id and e.state = 'accepted'
    where not exists (select 1 from {{ source('ops', 'set_aside_row') }} as s
                       where s.export_id = r.export_id and s.source_row = r.source_row)
      {% if key %}
      and not exists (select 1 from {{ source('ops', 'difference') }} as d
                        join {{ source('ops', 'export') }} as x on x.export_id = d.export_id and x.state = 'accepted'
                       where d.is_mended and d.source = '{{ source_name }}' and d.dataset = '{{ dataset }}' and d.key = r.{{ key }}
                         and {% if is_snapshot %}x.business_day = e.business_day{% else %}d.kind = 'extra' and x.business_day >= e.business_day{% endif %}
                         and (e.unit = '' or e.accepted_at < x.accepted_at))
      {% endif %})
{%- endmacro %}

{# A platform's whole state over a re-read of its window over what a day brought. #}
{% macro authority(unit) -%} case {{ unit }} when 'bulk' then 2 when 'month' then 2 when 'reread' then 1 else 0 end {%- endmacro %}

{# Rows of a reconciled delivery that say nothing new: no reason to find anything again. #}
{% macro says_something(row) -%}
  not exists (select 1 from {{ source('ops', 'set_aside_row') }} as a
               where a.export_id = {{ row }}.export_id and a.source_row = {{ row }}.source_row and a.compared)
{%- endmacro %}

{# Keys that a changed reconciliation has withdrawn. #}
{% macro withdrawn_keys(source_name, dataset) -%}
  (select d.key from {{ source('ops', 'difference') }} as d
     join {{ changed_exports([source_name], dataset) }} as c on c.export_id = d.export_id
    where d.is_mended and d.kind = 'extra')
{%- endmacro %}

{# Exports whose rows begin or cease to count with this build. #}
{% macro changed_exports(sources, dataset) -%}
  (select distinct c.export_id, c.source, c.business_day
     from {{ source('ops', 'change') }} as c
    where c.build_id = {{ build_scope('build_id') }} and c.dataset = '{{ dataset }}'
      and c.source in ({% for s in sources %}'{{ s }}'{% if not loop.last %}, {% endif %}{% endfor %}))
{%- endmacro %}

{# The canonical words of a domain: join on parse.word() of the delivered word (seed status_words, which an operator edits). #}
{% macro words(domain, source_name) -%}
  (select parse.word(word) as word, min(canonical) as canonical
     from {{ ref('status_words') }} where domain = '{{ domain }}' and source = '{{ source_name }}' group by 1)
{%- endmacro %}

{% macro beginning() -%} date '0001-01-01' {%- endmacro %}
{% macro forever() -%} date '9999-12-31' {%- endmacro %}

{# What this build works on, as kinhteso.building wrote it into ops.build. Asked in the database and not passed as variables, because
   dbt parses the whole project anew when a variable changes. #}
{% macro build_scope(name) -%}
  {%- if execute -%}
    {%- set row = run_query("select build_id, business_date, kpi_from, stock_from, first_day, is_rematch from ops.build order by build_id desc limit 1") -%}
    {%- if row | length > 0 -%}{{ return(row.rows[0][name]) }}{%- endif -%}
  {%- endif -%}
  {{ return(var(name)) }}
{%- endmacro %}
{% macro day_var(name) -%} date '{{ build_scope(name) }}' {%- endmacro %}

{# Half up, to a fixed scale; null over a missing or zero denominator (KPI §1.8, RULINGS 15). #}
{% macro rate(numerator, denominator) -%}
  cast(round(cast({{ numerator }} as numeric) / nullif({{ denominator }}, 0), 6) as numeric(9, 6))
{%- endmacro %}
{% macro multiple(value, base) -%}
  cast(round(cast({{ value }} as numeric) / nullif({{ base }}, 0), 4) as numeric(14, 4))
{%- endmacro %}

{# Partitioning and distribution are decided where they are needed; by default nothing happens. #}
{% macro partitioned_by_month(column) %}{% endmacro %}
{% macro distributed_by(column) %}{% endmacro %}

{# Does a delivered commune name (and district, where given) say the same as the crosswalk row? Without unit words' spelling,
   accents, tone placement and i/y (domain rules R1-R3); a name without unit type is compared with the short name. #}
{% macro same_commune(name, district, commune) -%}
  translate({{ plain_unit(name) }}, 'y', 'i') in (
      translate(parse.plain({{ commune }}.gso_name), 'y', 'i'), translate(parse.plain({{ commune }}.name_short), 'y', 'i'))
  and ({{ district }} is null
       or parse.plain({{ commune }}.district_name) like '%' || regexp_replace(parse.plain({{ district }}), '^(huyen|thanhpho|tp|h)', ''))
{%- endmacro %}
{% macro plain_unit(name) -%}
  parse.plain(regexp_replace(regexp_replace(regexp_replace(normalize(btrim({{ name }}), nfc),
      '^X\.\s*', 'Xã ', 'i'), '^P\.\s*', 'Phường ', 'i'), '^(TT\.?|T\.T\.)\s+', 'Thị trấn ', 'i'))
{%- endmacro %}

{# An index of some rows only, which dbt's own setting cannot say; made with the table. #}
{% macro indexed(index) -%}
  {% if is_incremental() %} select 1 {% else %} create index on {{ this }} {{ index }} {% endif %}
{%- endmacro %}

{# Fresh statistics at once: the next model joins what this one wrote. A table that a day has hardly changed keeps those it has: a look costs the same
   however little came. #}
{% macro analyzed() -%}
  {%- if model.config.materialized == 'view' -%} select 1
  {%- elif execute and is_incremental() and not run_query(is_stale(this)).rows[0][0] -%} select 1
  {%- else -%} analyze {{ this }}
  {%- endif -%}
{%- endmacro %}

{% macro is_stale(relation) -%}
  select c.reltuples < 0 or pg_relation_size(c.oid) > 1.2 * 8192 * c.relpages or coalesce(s.n_mod_since_analyze, 0) > 0.2 * c.reltuples
    from pg_class as c left join pg_stat_all_tables as s on s.relid = c.oid where c.oid = '{{ relation }}'::regclass
{%- endmacro %}
