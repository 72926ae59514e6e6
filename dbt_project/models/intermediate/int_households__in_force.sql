{# The household list over time: a commune's newest list not later than the day; before its first, the first (RULINGS 12). #}
{{ config(indexes=[{'columns': ['household_code']}]) }}

with list as (
    select
        commune_code,
        as_of,
        case when row_number() over (partition by commune_code order by as_of) = 1 then {{ beginning() }} else as_of end as valid_from,
        coalesce(lead(as_of) over (partition by commune_code order by as_of), {{ forever() }}) as valid_to
    from (select distinct commune_code, as_of from {{ ref('stg_registers__households') }}) as d
)

select
    h.household_code,
    h.commune_code,
    h.hamlet,
    h.phone_key,
    h.citizen_id_key,
    h.head_name_key,
    l.as_of,
    l.valid_from,
    l.valid_to,
    h.hamlet_name,
    h.export_id,
    h.source_row
from {{ ref('stg_registers__households') }} as h
join list as l on l.commune_code = h.commune_code and l.as_of = h.as_of
