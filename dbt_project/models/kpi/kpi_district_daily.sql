{# The same measures per district, on the lists that have districts, from sums; rates and multiples anew (KPI §1.10). What came under a later unit that lies
   in two districts was shared out between them: ESTIMATED (KPI §1.12). #}
-- depends_on: {{ ref('fct_day_completeness') }}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', post_hook="{{ retell_completeness() }}", pre_hook="{{ forget() }}",
          indexes=[{'columns': ['district_code', 'date']}, {'columns': ['date']}]) }}

{{ summed_kpis(['c.district_code', 'c.district_name'], 'c.district_code is not null', 'max(c.phase)', 'max(f.date - c.kick_off)',
    estimated='bool_or(f.is_district_estimated)') }}
