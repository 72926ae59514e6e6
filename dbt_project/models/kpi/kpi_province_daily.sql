{# The same measures for the province, the same on every list, from sums over the communes and 00000; phases differ, so it has none. #}
-- depends_on: {{ ref('fct_day_completeness') }}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', post_hook="{{ retell_completeness() }}", pre_hook="{{ forget() }}",
          indexes=[{'columns': ['date']}]) }}

{{ summed_kpis(["'20'", "'Tỉnh Lạng Sơn'"], 'true', 'cast(null as integer)', 'cast(null as integer)', ['province_code', 'province_name']) }}
