{# Pieces: the smallest common parts of all lists of communes, each a path from a unit of the first list through every reform, and the unit of
   each list that it lies in. `weight` is its households by the census: what a number of a larger unit is shared by. #}
{{ config(tags=['static']) }}

with recursive lists as (
    select geography, row_number() over (order by valid_from) as nth from {{ lists() }} as l
),

step as (
    select
        s.*,
        -- where no share was published each successor takes the same (KPI §1.12)
        coalesce(s.share, cast(1.0 as numeric) / count(*) over (partition by s.old_list, s.old_code, s.new_list)) as part
    from {{ ref('commune_succession') }} as s
),

path as (
    select
        l.nth, u.list as geography, u.gso_code as commune_code, cast(u.gso_code as text) as path_code, cast(1 as numeric) as share,
        u.gso_code as first_code, u.district_code, u.census_households
    from {{ ref('commune') }} as u
    join lists as l on l.geography = u.list
    where u.list = {{ first_list() }}
    union all
    select
        l.nth, s.new_list, s.new_code, p.path_code || '/' || s.new_code, cast(p.share * s.part as numeric),
        p.first_code, p.district_code, p.census_households
    from path as p
    join lists as l on l.nth = p.nth + 1
    join step as s on s.old_list = p.geography and s.old_code = p.commune_code and s.new_list = l.geography
),

piece as (
    select * from path where nth = (select max(nth) from lists)
)

select
    p.path_code as piece_code,
    l.geography,
    split_part(p.path_code, '/', cast(l.nth as integer)) as commune_code,
    p.district_code as first_district_code,
    cast(coalesce(p.census_households, 1) * p.share as numeric(18, 6)) as weight
from piece as p
cross join lists as l
union all
select '00000', l.geography, '00000', null, cast(1 as numeric(18, 6))
from lists as l
