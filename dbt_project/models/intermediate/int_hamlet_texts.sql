{# What the other registers call a hamlet, with the hamlet of the R1 in force that it means: the whole name first, then the name without its unit word
   where only one fits; `~` where none does, as in a commune without R1. Texts, not rows: a list of 200,000 households names some thousands. #}
{{ config(tags=['registers'], indexes=[{'columns': ['commune_code', 'hamlet_text']}]) }}

with said as (
    select split_part(h.commune_code, '>', 1) as commune_code, h.hamlet_name as hamlet_text from {{ ref('int_households__in_force') }} as h
    union
    select split_part(l.commune_code, '>', 1), l.hamlet from {{ ref('int_leads__in_force') }} as l
    union
    select split_part(m.commune_code, '>', 1), s.hamlet_text
    from {{ ref('int_team_members__in_force') }} as m
    cross join lateral regexp_split_to_table(m.hamlet_raw, '\s*[,;]\s*') as s (hamlet_text)
    union
    select {{ place_code('t.geography', 't.commune_code') }}, t.unit_name from {{ ref('stg_registers__targets') }} as t where t.target_level = 'HAMLET'
),

read as (
    select commune_code, hamlet_text, parse.plain(hamlet_text) as whole, parse.hamlet(hamlet_text) as bare
    from said
    where btrim(hamlet_text) <> ''
),

list as (
    select commune_code, as_of, min(valid_from) as valid_from, max(valid_to) as valid_to from {{ ref('int_hamlets__in_force') }} group by commune_code, as_of
)

select
    r.commune_code,
    r.hamlet_text,
    r.bare,
    coalesce(w.hamlet_code, b.hamlet_code, '~') as hamlet_code,
    coalesce(l.valid_from, {{ beginning() }}) as valid_from,
    coalesce(l.valid_to, {{ forever() }}) as valid_to
from read as r
left join list as l on l.commune_code = r.commune_code
left join {{ ref('int_hamlets__in_force') }} as w on w.commune_code = r.commune_code and w.as_of = l.as_of and w.hamlet_code = r.whole
left join {{ ref('int_hamlets__in_force') }} as b on b.commune_code = r.commune_code and b.as_of = l.as_of and b.hamlet = r.bare and b.is_bare_unique
