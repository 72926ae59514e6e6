{# How complete the platforms' data of each day are; a figure that was shared out between units says so by itself. #}
{{ config(materialized='view') }}

select y.date, y.completeness
from {{ ref('int_completeness__by_day') }} as y
