{# How complete the platforms' data of each day are; a figure that was shared out between units says so by itself. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget() }}", indexes=[{'columns': ['date'], 'unique': true}]) }}

select t.date, t.completeness
from {{ ref('int_completeness__by_day') }} as t
{% if is_incremental() %} where t.date >= {{ day_var('stock_from') }} or {{ changed_days() }} {% endif %}
