{# The same measures for the province, from sums over the communes and 00000; phases differ, so it has none. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget_sums() }}",
          indexes=[{'columns': ['date']}]) }}

{{ summed_kpis(["'20'", "'Tỉnh Lạng Sơn'"], 'true', 'cast(null as integer)', 'cast(null as integer)', ['province_code', 'province_name']) }}
