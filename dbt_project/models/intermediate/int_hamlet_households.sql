{# The hamlet of each household over time: what R1b says, as the R1 in force knows it. A household without a known hamlet has no row. #}
{{ config(tags=['registers'], indexes=[{'columns': ['household_code']}]) }}

select
    h.household_code,
    split_part(h.commune_code, '>', 1) as commune_code,
    min(t.hamlet_code) as hamlet_code,  -- named twice on one list: once
    greatest(h.valid_from, t.valid_from) as valid_from,
    least(h.valid_to, t.valid_to) as valid_to
from {{ ref('int_households__in_force') }} as h
join {{ ref('int_hamlet_texts') }} as t
    on t.commune_code = split_part(h.commune_code, '>', 1) and t.hamlet_text = h.hamlet_name
    and t.valid_from < h.valid_to and h.valid_from < t.valid_to
where t.hamlet_code <> '~'
group by h.household_code, split_part(h.commune_code, '>', 1), greatest(h.valid_from, t.valid_from), least(h.valid_to, t.valid_to)
