{# Places, the pieces each consists of, and the share of a number that a piece takes; shares of a place add up to 1. #}
{{ config(tags=['static'], indexes=[{'columns': ['place_code']}, {'columns': ['piece_code']}]) }}

with member as (
    select {{ place_code('p.geography', 'p.commune_code') }} as place_code, p.geography, p.commune_code, p.piece_code, p.weight
    from {{ ref('int_pieces') }} as p
    union all
    select h.place_code, h.geography, h.commune_code, p.piece_code, p.weight
    from (select distinct geography, commune_code, place_code, pieces from {{ ref('int_hamlet_places') }}) as h
    join {{ ref('int_pieces') }} as p
        on p.geography = h.geography and p.commune_code = h.commune_code and '+' || h.pieces || '+' like '%+' || p.piece_code || '+%'
),

summed as (
    select
        m.*,
        count(*) over (partition by m.place_code) as pieces,
        sum(m.weight) over (partition by m.place_code) as whole
    from member as m
)

select
    place_code,
    geography,
    commune_code,
    piece_code,
    cast(pieces as integer) as pieces,
    case when whole > 0 then weight / whole else cast(1 as numeric) / pieces end as share
from summed
