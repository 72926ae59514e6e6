{# What was decided for which unit: commune, hamlet or cooperative × indicator × phase × decision. #}
select
    md5(cast(export_id as text) || '|' || cast(source_row as text) || '|' || indicator) as target_key,
    geography,
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
from {{ ref('int_targets') }}
