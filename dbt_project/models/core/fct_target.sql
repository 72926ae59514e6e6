{# What was decided for which unit: commune, hamlet or cooperative × indicator × phase × decision. #}
with target as (
    select
        t.*,
        x.indicator, x.target_rate, x.target_count
    from {{ ref('stg_registers__targets') }} as t
    cross join lateral (values
        ('store', t.store_rate, t.store_count),
        ('payment', t.payment_rate, t.payment_count),
        ('lead', t.lead_rate, t.lead_count),
        ('team', null, t.team_count)) as x (indicator, target_rate, target_count)
)

select
    md5(cast(export_id as text) || '|' || cast(source_row as text) || '|' || indicator) as target_key,
    commune_code,
    unit_name,
    target_level,
    indicator,
    phase,
    cast(target_rate as numeric(9, 6)) as target_rate,
    target_count,
    households,
    decision_no,
    decision_on,
    due_on,
    as_of,
    export_id,
    source_row
from target
