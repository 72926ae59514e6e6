{# Communes of every list that BI is told of, with the validity of their code, and on each list the row for facts that no commune can be told of.
   A unit's phase is that of its parts, of parts of two phases the earlier. #}
{{ config(tags=['static']) }}

with phase as (
    select p.geography, p.commune_code, min(c.phase) as phase
    from {{ ref('int_pieces') }} as p
    join {{ ref('campaign_phase') }} as c on c.district_code = p.first_district_code
    group by p.geography, p.commune_code
),

dates as (
    select phase, min(kick_off) as kick_off, max(due_on) as due_on from {{ ref('campaign_phase') }} group by phase
),

platform_codes as (
    select gso_code, list, max(vtp_wards_id) as vtp_wards_id, max(vnpost_commune_code) as vnpost_commune_code
    from {{ ref('commune_crosswalk') }}
    group by gso_code, list
)

select
    u.gso_code as commune_code,
    u.list as geography,
    u.gso_name as commune_name,
    u.unit_type,
    u.district_code,
    u.district_name,
    cast(p.phase as integer) as phase,
    d.kick_off,
    d.due_on,
    cast(u.lat as numeric(8, 5)) as lat,
    cast(u.lon as numeric(8, 5)) as lon,
    x.vtp_wards_id,
    x.vnpost_commune_code,
    l.valid_from,
    l.valid_to
from {{ ref('commune') }} as u
join {{ ref('commune_list') }} as l on l.list = u.list and l.published <> 'never'
left join phase as p on p.geography = u.list and p.commune_code = u.gso_code
left join dates as d on d.phase = p.phase
left join platform_codes as x on x.list = u.list and x.gso_code = u.gso_code
union all
select
    '00000', l.list, 'Chưa xác định', null, null, null, null, null, null,
    cast(null as numeric(8, 5)), cast(null as numeric(8, 5)), null, null, l.valid_from, l.valid_to
from {{ ref('commune_list') }} as l
where l.published <> 'never'
