{# A pseudonym: nobody computes it from the code without the salt, which stays in the database and out of what is compiled. Hashed twice, so that nothing can
   be hung on to it. Null of null. #}
{% macro pseudonym(kind, code) -%}
  encode(sha256(sha256(convert_to((select x.salt from ops.pseudonym_salt as x) || '|{{ kind }}|' || {{ code }}, 'UTF8'))), 'hex')
{%- endmacro %}

{# The states of an entity over time, each cut where its household may change, with the household the ladder finds
   (EXPORTS §8.5, RULINGS 3): phone key, citizen key, commune + hamlet + owner name; a key that fits two fits none.
   Before the platform's first snapshot an entity is rebuilt from the day it was approved or identified (RULINGS 10). #}
{% macro matched_states(changes, code, dataset, counted_from, columns, has_name) -%}
with change as (
    select c.* from {{ changes_in_scope('int_' ~ dataset ~ '__matched', changes, code) }} as c
),

first_day as (
    select distinct platform, first_day from {{ snapshot_days(dataset) }} as d
),

state as (
    select
        c.platform, c.{{ code }}, c.export_id, c.source_row, c.is_present, c.is_counting, c.is_matchable,
        c.phone_key, c.citizen_id_key, c.source_commune_code, {% if has_name %}c.hamlet, c.owner_name_key,{% endif %}
        {% for x in columns %}c.{{ x }}, {% endfor %}
        false as is_rebuilt,
        c.valid_from,
        coalesce(lead(c.valid_from) over (partition by c.platform, c.{{ code }} order by c.valid_from), {{ forever() }}) as valid_to
    from change as c
    union all
    select
        c.platform, c.{{ code }}, c.export_id, c.source_row, c.is_present, c.is_counting, c.is_matchable,
        c.phone_key, c.citizen_id_key, c.source_commune_code, {% if has_name %}c.hamlet, c.owner_name_key,{% endif %}
        {% for x in columns %}c.{{ x }}, {% endfor %}
        true as is_rebuilt,
        c.{{ counted_from }} as valid_from,
        c.valid_from as valid_to
    from change as c
    join first_day as f on f.platform = c.platform and f.first_day = c.valid_from
    where c.is_counting and c.{{ counted_from }} < c.valid_from
),

household_key as (
    select * from {{ ref('int_household_key') }}
),

cut as (
    select s.platform, s.{{ code }}, s.valid_from as state_from, s.valid_from as piece_from from state as s
    {% for rung, key in [('phone', 's.phone_key'), ('citizen', 's.citizen_id_key')] + ([('name', "s.source_commune_code || '|' || s.hamlet || '|' || s.owner_name_key")] if has_name else []) %}
    {% for edge in ['valid_from', 'valid_to'] %}
    union
    select s.platform, s.{{ code }}, s.valid_from, k.{{ edge }}
    from state as s
    join household_key as k on k.rung = '{{ rung }}' and k.match_key = {{ key }}
    where s.is_matchable and k.{{ edge }} > s.valid_from and k.{{ edge }} < s.valid_to
    {% endfor %}
    {% endfor %}
),

piece as (
    select
        s.*,
        c.piece_from,
        coalesce(lead(c.piece_from) over (partition by s.platform, s.{{ code }}, s.valid_from order by c.piece_from), s.valid_to) as piece_to
    from state as s
    join cut as c on c.platform = s.platform and c.{{ code }} = s.{{ code }} and c.state_from = s.valid_from
)

select
    p.platform,
    p.{{ code }},
    p.piece_from as valid_from,
    p.piece_to as valid_to,
    p.export_id,
    p.source_row,
    p.is_rebuilt,
    p.is_present,
    p.is_counting and p.is_present as is_counting,
    p.is_matchable,
    coalesce(by_phone.household_code, by_citizen.household_code{% if has_name %}, by_name.household_code{% endif %}) as household_code,
    case when by_phone.household_code is not null then 'phone'
         when by_citizen.household_code is not null then 'citizen'
         {% if has_name %}when by_name.household_code is not null then 'name'{% endif %} end as matched_by,
    p.source_commune_code,
    coalesce(
        case when by_phone.household_code is not null then by_phone.commune_code
             when by_citizen.household_code is not null then by_citizen.commune_code
             {% if has_name %}when by_name.household_code is not null then by_name.commune_code{% endif %} end,
        p.source_commune_code, '00000') as commune_code{% for x in columns %},
    p.{{ x }}{% endfor %}
from piece as p
left join household_key as by_phone
    on p.is_matchable and by_phone.rung = 'phone' and by_phone.match_key = p.phone_key
    and by_phone.valid_from <= p.piece_from and p.piece_from < by_phone.valid_to
left join household_key as by_citizen
    on p.is_matchable and by_citizen.rung = 'citizen' and by_citizen.match_key = p.citizen_id_key
    and by_citizen.valid_from <= p.piece_from and p.piece_from < by_citizen.valid_to
{% if has_name %}
left join household_key as by_name
    on p.is_matchable and by_name.rung = 'name'
    and by_name.match_key = p.source_commune_code || '|' || p.hamlet || '|' || p.owner_name_key
    and by_name.valid_from <= p.piece_from and p.piece_from < by_name.valid_to
{% endif %}
where {{ ends_in_scope('p.piece_to') }}
{%- endmacro %}

{# Places that stores name since stock_from and did not before. #}
{% macro newly_named(changes) -%}
  (select c.source_commune_code
     from {{ changes }} as c
    where c.valid_from >= {{ day_var('stock_from') }} and c.source_commune_code is not null
      and (select b.source_commune_code from {{ changes }} as b
            where b.source_commune_code = c.source_commune_code and b.valid_from < {{ day_var('stock_from') }} limit 1) is null)
{%- endmacro %}

{% macro forget_household_keys() -%}
  {% if not is_incremental() %} select 1
  {% elif build_scope('is_rematch') %} delete from {{ this }}
  {% else %} delete from {{ this }} as t where t.rung = 'name' and split_part(t.match_key, '|', 1) in {{ newly_named(ref('int_stores__changed')) }}
  {% endif %}
{%- endmacro %}
