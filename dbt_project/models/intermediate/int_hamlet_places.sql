{# Hamlets whose new commune is known (seed hamlet_succession): on each list, the part of their unit that they lie in, so that they go whole where a
   number of the whole unit would have to be shared (KPI §1.12). Of hamlets that are alike and went different ways nothing is known. #}
{{ config(tags=['static']) }}

with hamlet as (
    select h.old_list, h.old_code, parse.hamlet(h.hamlet_name) as hamlet, h.new_list, min(h.new_code) as new_code
    from {{ ref('hamlet_succession') }} as h
    group by h.old_list, h.old_code, parse.hamlet(h.hamlet_name), h.new_list
    having count(distinct h.new_code) = 1
),

-- the pieces that lie in the old unit and in the new one
lies as (
    select h.hamlet, o.piece_code
    from hamlet as h
    join {{ ref('int_pieces') }} as o on o.geography = h.old_list and o.commune_code = h.old_code
    join {{ ref('int_pieces') }} as n on n.piece_code = o.piece_code and n.geography = h.new_list and n.commune_code = h.new_code
),

part as (
    select u.geography, u.commune_code, l.hamlet, string_agg(distinct l.piece_code, '+' order by l.piece_code) as pieces, count(distinct l.piece_code) as parts
    from lies as l
    join {{ ref('int_pieces') }} as u on u.piece_code = l.piece_code
    group by u.geography, u.commune_code, l.hamlet
),

unit as (
    select geography, commune_code, count(*) as parts from {{ ref('int_pieces') }} group by geography, commune_code
)

select
    p.geography,
    p.commune_code,
    p.hamlet,
    p.pieces,
    {{ place_code('p.geography', 'p.commune_code') }} || '>' || p.pieces as place_code
from part as p
join unit as u on u.geography = p.geography and u.commune_code = p.commune_code and u.parts > p.parts
