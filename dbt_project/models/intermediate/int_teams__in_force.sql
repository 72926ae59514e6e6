{# Per place and R2 in force: members, trained members, hamlets with a team. A team is what shares commune, hamlet text and decision;
   it counts with a head and at least two trained members besides the head; it may serve several hamlets (KPI §1.9, RULINGS 11). #}
{{ config(tags=['registers']) }}
with member as (
    select * from {{ ref('int_team_members__in_force') }}
),

team as (
    select
        geography, unit_code, commune_code, as_of, team, min(hamlet_raw) as hamlet_raw,
        count(*) filter (where team_role = 'HEAD') as heads,
        count(*) filter (where team_role <> 'HEAD' and is_trained) as trained_besides_head
    from member
    group by geography, unit_code, commune_code, as_of, team
),

served as (
    select t.geography, t.unit_code, t.commune_code, t.as_of, h.hamlet_text
    from team as t
    cross join lateral regexp_split_to_table(t.hamlet_raw, '\s*[,;]\s*') as h (hamlet_text)
    where t.heads >= 1 and t.trained_besides_head >= 2 and btrim(h.hamlet_text) <> ''
),

-- the register's hamlets, to tell "Khối 3" from "Thôn 3": full name first, then the name without its unit word where only one fits
known as (
    select distinct
        geography,
        commune_code as unit_code,
        parse.plain(hamlet_name) as full_name,
        hamlet as bare_name
    from {{ ref('stg_registers__hamlets') }}
),

bare as (
    select geography, unit_code, bare_name, min(full_name) as full_name
    from known
    group by geography, unit_code, bare_name
    having count(distinct full_name) = 1
),

hamlet_served as (
    select
        coalesce(a.place_code, s.commune_code) as commune_code, s.geography, s.unit_code, s.as_of,
        count(distinct coalesce(k.full_name, b.full_name, '~' || parse.hamlet(s.hamlet_text))) as hamlets_with_team
    from served as s
    left join (select distinct geography, unit_code, full_name from known) as k
        on k.geography = s.geography and k.unit_code = s.unit_code and k.full_name = parse.plain(s.hamlet_text)
    left join bare as b on b.geography = s.geography and b.unit_code = s.unit_code and b.bare_name = parse.hamlet(s.hamlet_text)
    left join {{ ref('int_hamlet_places') }} as a
        on a.geography = s.geography and a.commune_code = s.unit_code and a.hamlet = parse.hamlet(s.hamlet_text)
    group by coalesce(a.place_code, s.commune_code), s.geography, s.unit_code, s.as_of
),

counted as (
    select geography, unit_code, commune_code, as_of, count(*) as team_members, count(*) filter (where is_trained) as team_members_trained, 0 as hamlets_with_team
    from member
    group by geography, unit_code, commune_code, as_of
    union all
    select geography, unit_code, commune_code, as_of, 0, 0, hamlets_with_team from hamlet_served
)

select
    c.geography,
    c.unit_code,
    c.commune_code as place_code,
    c.commune_code,
    c.as_of,
    cast(sum(c.team_members) as bigint) as team_members,
    cast(sum(c.team_members_trained) as bigint) as team_members_trained,
    cast(sum(c.hamlets_with_team) as bigint) as hamlets_with_team
from counted as c
group by c.geography, c.unit_code, c.commune_code, c.as_of
