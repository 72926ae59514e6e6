{# Members of the community digital teams, without names. #}
{{ config(tags=['registers']) }}
select
    md5(cast(m.export_id as text) || '|' || cast(m.source_row as text)) as team_member_key,
    m.geography,
    m.unit_code as commune_code,
    m.hamlet_raw as hamlet_text,
    md5(m.commune_code || '|' || m.team) as team_key,
    m.team_role,
    m.is_trained,
    m.trained_on,
    m.trained_by,
    m.as_of,
    m.valid_from,
    m.valid_to,
    m.export_id,
    m.source_row
from {{ ref('int_team_members__in_force') }} as m
