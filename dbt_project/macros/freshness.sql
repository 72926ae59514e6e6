{# When the newest data of a dataset would have come if today were the business day: dbt compares it with now(), so the difference is the age of
   the data, also where the days are long past (EXPORTS §12: by the as-of date). What never came is as old as the first day. #}
{% macro newest_data(source_name, dataset) -%}
  select now() - greatest(0, b.business_date - coalesce((
      select max(e.business_day) from {{ source('ops', 'export') }} as e
       where e.source = '{{ source_name }}' and e.dataset = '{{ dataset }}' and e.state = 'accepted' and (e.source = 'registers' or e.unit = '')),
      b.first_day)) * interval '1 day'
    from ops.build as b
   order by b.build_id desc
   limit 1
{%- endmacro %}
