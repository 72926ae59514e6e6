{# Lists of communes, places and pieces (KPI §1.12).

   A *list* is a set of communes in force for a time (seeds commune_list, commune); its name is the `geography` of a row. A *place* is what a fact
   can be told of: a unit of the list it arrives in, or the part of a split unit whose hamlet's new commune is known (seed hamlet_succession). A *piece*
   is the smallest common part of all lists, a path through the successions. Intermediate models hold the place code in `commune_code`:
   `06622` for the first list, `2025:06187` for a later one, `06622>06622/06622/06613` for a part. #}

{# The list of the campaign: facts under it carry its codes bare. Reforms come after it, as rows of the seeds. #}
{% macro first_list() -%} '2021' {%- endmacro %}

{# Lists that BI is told of, half open in time; the first reaches back, the last has no end. #}
{% macro lists() -%}
  (select l.list as geography, l.published,
          case when l.list = {{ first_list() }} then {{ beginning() }} else l.valid_from end as valid_from,
          coalesce(l.valid_to + 1, {{ forever() }}) as valid_to
     from {{ ref('commune_list') }} as l
    where l.published <> 'never')
{%- endmacro %}

{% macro place_code(geography, commune) -%}
  case when {{ geography }} = {{ first_list() }} then {{ commune }} else {{ geography }} || ':' || {{ commune }} end
{%- endmacro %}

{# Back from a place to the list and the unit that the source meant. #}
{% macro place_geography(place) -%}
  case when split_part({{ place }}, '>', 1) like '%:%' then split_part({{ place }}, ':', 1) else {{ first_list() }} end
{%- endmacro %}
{% macro place_commune(place) -%}
  right(split_part({{ place }}, '>', 1), 5)
{%- endmacro %}

{# R0 with the days on which a platform's code means its unit: from its row on until the next row of the same code; before the first, the first. #}
{% macro platform_communes(code) -%}
  (select c.*,
          case when row_number() over (partition by c.{{ code }} order by c.valid_from) = 1 then {{ beginning() }} else c.valid_from end as code_from,
          coalesce(lead(c.valid_from) over (partition by c.{{ code }} order by c.valid_from), {{ forever() }}) as code_to
     from {{ ref('commune_crosswalk') }} as c
    where c.{{ code }} is not null)
{%- endmacro %}

{# What operators have decided about communes as rows of Postmart write them (ops.commune_decided); it goes before the platform's code (docs/addresses.md).
   One row at most per row: the spans of a text do not overlap. #}
{% macro decided_communes(row, district) -%}
  {{ source('ops', 'commune_decided') }} as k
    on k.source_code = coalesce({{ row }}.commune_src_code, '') and k.commune_name = coalesce({{ row }}.commune_name, '')
    and k.district_name = coalesce({{ district }}, '') and k.valid_from <= {{ row }}.business_day and {{ row }}.business_day < k.valid_to
{%- endmacro %}

{# Whole numbers of places shared out to their pieces by largest remainder: the larger rest first, then the larger share, then the lower code.
   Sums are conserved exactly; null stays null. `relation` has place_code, `keys` and `measures`. #}
{% macro shared_out(relation, keys, measures) -%}
  (select {% for k in keys %}r.{{ k }}, {% endfor %}r.place_code, p.piece_code{% for m in measures %}, cast(r.{{ m }} as bigint) as {{ m }}{% endfor %}
     from {{ relation }} as r
     join {{ ref('int_place_pieces') }} as p on p.place_code = r.place_code and p.pieces = 1
   union all
   select {% for k in keys %}{{ k }}, {% endfor %}place_code, piece_code
          {% for m in measures %}, cast(max(case when measure = '{{ m }}' then part end) as bigint) as {{ m }}{% endfor %}
     from (select s.*,
                  floor(s.value * s.share)
                  + case when row_number() over (partition by {% for k in keys %}s.{{ k }}, {% endfor %}s.place_code, s.measure
                                                 order by s.value * s.share - floor(s.value * s.share) desc, s.share desc, s.piece_code)
                              <= s.value - sum(floor(s.value * s.share)) over (partition by {% for k in keys %}s.{{ k }}, {% endfor %}s.place_code, s.measure)
                         then 1 else 0 end as part
             from (select {% for k in keys %}r.{{ k }}, {% endfor %}r.place_code, p.piece_code, p.share, x.measure, x.value
                     from {{ relation }} as r
                     join {{ ref('int_place_pieces') }} as p on p.place_code = r.place_code and p.pieces > 1
                     cross join lateral (values {% for m in measures %}('{{ m }}', cast(r.{{ m }} as numeric)){% if not loop.last %}, {% endif %}{% endfor %}) as x (measure, value)
                  ) as s
          ) as t
    group by {% for k in keys %}{{ k }}, {% endfor %}place_code, piece_code)
{%- endmacro %}
