{# Per commune and R2 in force: members, trained members, hamlets with a team. A team is what shares commune, hamlet text and decision;
   it counts with a head and at least two trained members besides the head; it may serve several hamlets (KPI §1.9, RULINGS 11). #}
with member as (
    select * from {{ ref('int_team_members__in_force') }}
),

team as (
    select
        commune_code, as_of, team, min(hamlet_raw) as hamlet_raw,
        count(*) filter (where team_role = 'HEAD') as heads,
        count(*) filter (where team_role <> 'HEAD' and is_trained) as trained_besides_head
    from member
    group by commune_code, as_of, team
),

served as (
    select t.commune_code, t.as_of, h.hamlet_text
    from team as t
    cross join lateral regexp_split_to_table(t.hamlet_raw, '\s*[,;]\s*') as h (hamlet_text)
    where t.heads >= 1 and t.trained_besides_head >= 2 and btrim(h.hamlet_text) <> ''
),

-- the register's hamlets, to tell "Khối 3" from "Thôn 3": full name first, then the name without its unit word where only one fits
known as (
    select distinct
        commune_code,
        parse.plain(hamlet_name) as full_name,
        hamlet as bare_name
    from {{ ref('stg_registers__hamlets') }}
),

bare as (
    select commune_code, bare_name, min(full_name) as full_name
    from known
    group by commune_code, bare_name
    having count(distinct full_name) = 1
),

hamlet_served as (
    select
        s.commune_code, s.as_of,
        count(distinct coalesce(k.full_name, b.full_name, '~' || parse.hamlet(s.hamlet_text))) as hamlets_with_team
    from served as s
    left join (select distinct commune_code, full_name from known) as k
        on k.commune_code = s.commune_code and k.full_name = parse.plain(s.hamlet_text)
    left join bare as b on b.commune_code = s.commune_code and b.bare_name = parse.hamlet(s.hamlet_text)
    group by s.commune_code, s.as_of
)

select
    m.commune_code,
    m.as_of,
    m.valid_from,
    m.valid_to,
    cast(count(*) as bigint) as team_members,
    cast(count(*) filter (where m.is_trained) as bigint) as team_members_trained,
    cast(coalesce(max(h.hamlets_with_team), 0) as bigint) as hamlets_with_team
from member as m
left join hamlet_served as h on h.commune_code = m.commune_code and h.as_of = m.as_of
group by m.commune_code, m.as_of, m.valid_from, m.valid_to
