{# Members of the community digital teams over time: the newest R2 not later than the day; before the first, the first (RULINGS 12). #}
{{ config(tags=['registers']) }}
select
    m.as_of,
    m.geography,
    m.commune_code as unit_code,
    coalesce(a.place_code, {{ place_code('m.geography', 'm.commune_code') }}) as commune_code,
    m.export_id,
    m.source_row,
    m.hamlet_raw,
    m.team,
    m.decision,
    m.member_name_key,
    m.team_role,
    m.is_trained,
    m.trained_on,
    m.trained_by,
    l.valid_from,
    l.valid_to
from {{ ref('stg_registers__team_members') }} as m
left join {{ ref('int_hamlet_places') }} as a
    on a.geography = m.geography and a.commune_code = m.commune_code and a.hamlet = parse.hamlet(m.hamlet_raw)
join {{ ref('int_registers__by_place') }} as l
    on l.dataset = 'teams' and l.geography = m.geography and l.unit_code = m.commune_code and l.as_of = m.as_of
    and l.place_code = {{ place_code('m.geography', 'm.commune_code') }}
