{# The days that are told of: from kpi_from to the last business day. #}
{{ config(materialized='view') }}
select cast(d.date_day as date) as date_day
from generate_series({{ day_var('kpi_from') }}, {{ day_var('business_date') }}, interval '1 day') as d (date_day)
