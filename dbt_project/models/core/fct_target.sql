{# What was decided for which unit (commune, hamlet or cooperative) × indicator × phase × decision, and when it is in force. #}
{{ config(tags=['registers']) }}
select
    md5(cast(export_id as text) || '|' || cast(source_row as text) || '|' || indicator || '|' || coalesce(cast(valid_from as text), '')) as target_key,
    geography,
    commune_code,
    unit_name,
    target_level,
    unit_code,
    indicator,
    phase,
    cast(target_rate as numeric(9, 6)) as target_rate,
    target_count,
    households,
    decision_no,
    decision_on,
    due_on,
    valid_from,
    valid_to,
    as_of,
    export_id,
    source_row
from {{ ref('int_targets__in_force') }}
