{# Keys that fit exactly one household, and when: rung phone, citizen or name (commune|hamlet|name). A key that fits two fits none. A platform may name
   the commune by another list than the household's: a place is the same commune as every named place that shares ground with it. #}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_household_keys() }}", indexes=[{'columns': ['rung', 'match_key']}]) }}
{#- Between two lists of households only the places are new that stores name for the first time. -#}
{%- set only_named = is_incremental() and not build_scope('is_rematch') %}

with ground as (
    select distinct h.place_code, n.place_code as named_place
    from {{ ref('int_place_pieces') }} as h
    join {{ ref('int_place_pieces') }} as n on n.piece_code = h.piece_code
    where n.place_code in {% if only_named %}{{ newly_named(ref('int_stores__changed')) }}{% else %}(select source_commune_code from {{ ref('int_stores__changed') }}){% endif %}
),

key as (
    select 'phone' as rung, phone_key as match_key, household_code, commune_code, as_of, valid_from, valid_to
    from {{ ref('int_households__in_force') }} where phone_key is not null {% if only_named %} and false {% endif %}
    union all
    select 'citizen', citizen_id_key, household_code, commune_code, as_of, valid_from, valid_to
    from {{ ref('int_households__in_force') }} where citizen_id_key is not null {% if only_named %} and false {% endif %}
    union all
    select 'name', g.named_place || '|' || h.hamlet || '|' || h.head_name_key, h.household_code, h.commune_code, h.as_of, h.valid_from, h.valid_to
    from {{ ref('int_households__in_force') }} as h
    join ground as g on g.place_code = h.commune_code
    where h.hamlet is not null and h.head_name_key is not null
),

counted as (
    select k.*, count(*) over (partition by rung, match_key) as uses
    from key as k
),

edge as (
    select rung, match_key, valid_from as edge_day from counted where uses > 1
    union
    select rung, match_key, valid_to from counted where uses > 1
),

segment as (
    select
        rung,
        match_key,
        edge_day as valid_from,
        lead(edge_day) over (partition by rung, match_key order by edge_day) as valid_to
    from edge
),

shared as (
    select
        s.rung,
        s.match_key,
        s.valid_from,
        s.valid_to,
        min(c.household_code) as household_code,
        max(c.household_code) as other_household_code,
        -- a household on two lists at once lives where the newer list says
        (array_agg(c.commune_code order by c.as_of desc, c.commune_code))[1] as commune_code
    from segment as s
    join counted as c
        on c.rung = s.rung and c.match_key = s.match_key and c.valid_from <= s.valid_from and s.valid_from < c.valid_to
    where s.valid_to is not null
    group by s.rung, s.match_key, s.valid_from, s.valid_to
)

select rung, match_key, household_code, commune_code, valid_from, valid_to
from counted
where uses = 1
union all
select rung, match_key, household_code, commune_code, valid_from, valid_to
from shared
where household_code = other_household_code
