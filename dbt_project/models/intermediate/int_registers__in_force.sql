{# Which register is in force on which piece of the lists of communes, and when: of each kind the newest as-of date not later than the day; before the first,
   the first (RULINGS 12). A register of a unit that a reform made ends those of the units it took over. A small table with statistics of its own: what
   joins it holds a row per household. #}
{{ config(tags=['registers']) }}
with list as (
    {% for dataset, model in [('hamlets', 'hamlets'), ('households', 'households'), ('teams', 'team_members'), ('leads', 'leads')] %}
    select '{{ dataset }}' as dataset, geography, commune_code, as_of
    from {{ ref('stg_registers__' ~ model) }}
    group by geography, commune_code, as_of
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

dated as (
    select
        l.dataset, l.geography, l.commune_code, l.as_of, p.piece_code,
        case when row_number() over pieces = 1 then {{ beginning() }} else l.as_of end as valid_from,
        coalesce(lead(l.as_of) over pieces, {{ forever() }}) as valid_to
    from list as l
    join {{ ref('int_pieces') }} as p on p.geography = l.geography and p.commune_code = l.commune_code
    window pieces as (partition by l.dataset, p.piece_code order by l.as_of, l.geography)
)

select * from dated where valid_from < valid_to
