{# R2, members of the community digital teams: of each commune and as-of date the file that came last. #}
with ranked as (
    select
        a.*,
        dense_rank() over (partition by a.commune_code, a.as_of order by a.received_at desc, a.version desc, a.export_id desc) as recency
    from {{ accepted('registers', 'teams') }} as a
)

select
    li.geography,
    r.commune_code,
    cast(r.as_of as date) as as_of,
    r.export_id,
    r.source_row,
    r.hamlet_raw,
    parse.word(r.hamlet_raw) || '|' || coalesce(parse.word(r.decision), '') as team,
    r.decision,
    r.member_name_key,
    coalesce(ro.canonical, 'UNKNOWN') as team_role,
    coalesce(tr.canonical, 'NO') = 'YES' as is_trained,
    parse.local_date(r.trained_on) as trained_on,
    r.trained_by
from ranked as r
join {{ lists() }} as li on li.valid_from <= cast(r.as_of as date) and cast(r.as_of as date) < li.valid_to
left join {{ words('team_role', 'registers') }} as ro on ro.word = parse.word(r.role_raw)
left join {{ words('trained', 'registers') }} as tr on tr.word = parse.word(r.trained_raw)
where r.recency = 1
