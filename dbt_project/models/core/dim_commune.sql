{# Communes with the validity of their code, and the row for facts that no commune can be told of. #}
{{ config(tags=['static']) }}

select
    c.gso_code as commune_code,
    c.list as geography,
    c.gso_name as commune_name,
    c.unit_type,
    c.gso_district_code as district_code,
    c.district_name,
    cast(p.phase as integer) as phase,
    p.kick_off,
    p.due_on,
    cast(c.lat as numeric(8, 5)) as lat,
    cast(c.lon as numeric(8, 5)) as lon,
    c.vtp_wards_id,
    c.vnpost_commune_code,
    c.valid_from,
    c.valid_to
from {{ ref('commune_crosswalk') }} as c
join {{ ref('campaign_phase') }} as p on p.district_code = c.gso_district_code
union all
select
    '00000', '2021', 'Chưa xác định', null, null, null, null, null, null,
    cast(null as numeric(8, 5)), cast(null as numeric(8, 5)), null, null,
    date '2020-01-01', date '2024-11-30'
