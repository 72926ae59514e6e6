{# Per hamlet and R2 in force: whether a team that counts serves it, members and trained members of the teams that serve it, counting or not
   (KPI §1.9, RULINGS 11). A team of two hamlets is both's, so members do not add up to the commune's. What R1 does not know stands under `~`. #}
{{ config(tags=['registers']) }}
with member as (
    select split_part(m.commune_code, '>', 1) as unit_code, m.as_of, m.valid_from, m.valid_to, m.team, m.hamlet_raw, m.team_role, m.is_trained
    from {{ ref('int_team_members__in_force') }} as m
),

team as (
    select
        unit_code, as_of, team, valid_from, valid_to, min(hamlet_raw) as hamlet_raw,
        count(*) as members,
        count(*) filter (where is_trained) as trained,
        count(*) filter (where team_role = 'HEAD') >= 1 and count(*) filter (where team_role <> 'HEAD' and is_trained) >= 2 as is_counting
    from member
    group by unit_code, as_of, team, valid_from, valid_to
),

-- a hamlet that a team names twice is served once
served as (
    select distinct
        t.unit_code as commune_code, t.team, t.members, t.trained, t.is_counting, x.hamlet_code,
        case when x.hamlet_code = '~' then x.bare end as unknown_name,
        greatest(t.valid_from, x.valid_from) as valid_from,
        least(t.valid_to, x.valid_to) as valid_to
    from team as t
    cross join lateral regexp_split_to_table(t.hamlet_raw, '\s*[,;]\s*') as s (hamlet_text)
    join {{ ref('int_hamlet_texts') }} as x
        on x.commune_code = t.unit_code and x.hamlet_text = s.hamlet_text and x.valid_from < t.valid_to and t.valid_from < x.valid_to
)

select
    commune_code,
    hamlet_code,
    valid_from,
    valid_to,
    count(distinct coalesce(unknown_name, hamlet_code)) filter (where is_counting) as hamlets_with_team,
    cast(sum(members) as bigint) as team_members,
    cast(sum(trained) as bigint) as team_members_trained
from served
group by commune_code, hamlet_code, valid_from, valid_to
