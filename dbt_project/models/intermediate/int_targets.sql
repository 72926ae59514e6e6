{# The rows of R3, one per indicator that a decision may set. #}
{{ config(materialized='view', tags=['standing']) }}

select
    t.geography,
    t.commune_code,
    t.unit_name,
    t.target_level,
    x.indicator,
    t.phase,
    x.target_rate,
    x.target_count,
    t.households,
    t.decision_no,
    t.decision_on,
    t.due_on,
    t.as_of,
    t.export_id,
    t.source_row
from {{ ref('stg_registers__targets') }} as t
cross join lateral (values
    ('store', t.store_rate, t.store_count),
    ('payment', t.payment_rate, t.payment_count),
    ('lead', t.lead_rate, t.lead_count),
    ('team', null, t.team_count)) as x (indicator, target_rate, target_count)
