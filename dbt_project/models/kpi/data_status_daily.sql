{# What was expected of each source, dataset and day, and what came of it: in figures, and in words for a reader who has no access to the board.
   A view, so that a release tells also what the checks over its own build found, which run after dbt. #}
{{ config(materialized='view') }}

select
    d.source,
    d.dataset,
    d.date,
    d.expected,
    d.received_at,
    d.version,
    d.rows,
    d.rows_loaded,
    d.rows_quarantined,
    d.rows_duplicate,
    d.checks_failed,
    d.data_date_age_hours,
    d.state,
    d.state_words,
    d.checks_failed_words,
    d.rows_waiting,
    d.last_reason
from {{ ref('int_deliveries__by_day') }} as d
