{# The same measures per district, from sums; rates and multiples anew (KPI §1.10). #}
-- depends_on: {{ ref('int_completeness__by_day') }}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', post_hook="{{ retell_completeness() }}", pre_hook="{{ forget_sums() }}",
          indexes=[{'columns': ['district_code', 'date']}, {'columns': ['date']}]) }}

{{ summed_kpis(['k.district_code', 'k.district_name'], "k.commune_code <> '00000'", 'max(k.phase)', 'max(k.phase_day)') }}
