{# The periodic snapshot under the KPIs: list × commune × day × platform, everything that adds up, restated to each list of communes (KPI §1.12): a list
   that is no longer in force is told of for all days, one between two others for its own. Numbers of a place that lies in two units are shared out
   by largest remainder, platform by platform and over all; `is_estimated` says so, `is_district_estimated` where they lie in two districts. What belongs to the commune and to no platform stands under `all`. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook=["{{ note_units() }}", "{{ forget() }}"],
          post_hook="{{ retell_completeness('day_completeness') }}",
          indexes=[{'columns': ['geography', 'commune_code', 'date']}, {'columns': ['date']}]) }}

{%- set measures = ['stores', 'stores_of_households', 'stores_unmatched', 'accounts', 'accounts_unmatched', 'products_on_sale', 'households_with_store',
    'households_with_payment', 'households_with_active_store', 'households_with_store_both', 'lead_households', 'lead_households_calc', 'orders_placed',
    'orders_valid', 'orders_delivered', 'orders_cancelled', 'orders_returned', 'orders_out_of_province', 'revenue_gross_vnd', 'refunds_vnd',
    'orders_placed_to_date', 'orders_valid_to_date', 'orders_delivered_to_date', 'revenue_gross_vnd_to_date', 'refunds_vnd_to_date',
    'store_base', 'payment_base', 'revenue_base_vnd'] -%}
{#- a part counts from its own kick-off, also where its numbers came with those of a part of the earlier phase #}
{%- set since_kick_off = ['orders_placed_to_date', 'orders_valid_to_date', 'orders_delivered_to_date', 'revenue_gross_vnd_to_date', 'refunds_vnd_to_date',
    'store_base', 'payment_base', 'revenue_base_vnd'] -%}
{%- set rated = ['households_with_store', 'households_with_payment', 'lead_households'] -%}
{%- set grown = {'households_with_store': 'store_base', 'households_with_payment': 'payment_base'} %}

with lists as (
    select geography, published, valid_from, valid_to from {{ lists() }} as l
),

place_day as (
    select d.*
    from {{ ref('int_place_days') }} as d
    {% if is_incremental() %}
    where d.date >= {{ sum_from() }}
        and (
            d.date >= {{ day_var('stock_from') }}
            or d.place_code in (
                select m.place_code
                from {{ ref('int_place_pieces') }} as m
                join {{ ref('int_pieces') }} as u on u.piece_code = m.piece_code
                join ops.build_unit as t on t.geography = u.geography and t.commune_code = u.commune_code))
    {% endif %}
),

shared as (
    select s.* from {{ shared_out('place_day', ['date', 'platform'], measures) }} as s
),

-- a place lies whole in a unit, or has to be shared
place_unit as (
    select
        m.place_code, u.geography, u.commune_code, count(*) < max(m.pieces) as is_part,
        min(min(c.district_code)) over of_place <> max(max(c.district_code)) over of_place as is_across
    from {{ ref('int_place_pieces') }} as m
    join {{ ref('int_pieces') }} as u on u.piece_code = m.piece_code
    left join {{ ref('dim_commune') }} as c on c.geography = u.geography and c.commune_code = u.commune_code
    group by m.place_code, u.geography, u.commune_code
    window of_place as (partition by m.place_code, u.geography)
),

begun as (
    select distinct p.piece_code, c.kick_off
    from {{ ref('int_pieces') }} as p
    left join {{ ref('campaign_phase') }} as c on c.district_code = p.first_district_code
),

piece_day as (
    select
        s.piece_code,
        s.date,
        s.platform,
        {% for m in measures %}{% if m in since_kick_off %}case when s.date >= b.kick_off then sum(s.{{ m }}) end{% else %}sum(s.{{ m }}){% endif %} as {{ m }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from shared as s
    join begun as b on b.piece_code = s.piece_code
    group by s.piece_code, s.date, s.platform, b.kick_off
),

denominator as (
    select d.piece_code, d.valid_from, d.valid_to, sum(d.households) as households, sum(d.hamlets) as hamlets
    from {{ ref('int_denominators__by_piece') }} as d
    group by d.piece_code, d.valid_from, d.valid_to
),

team as (
    select
        t.piece_code, t.valid_from, t.valid_to,
        sum(t.team_members) as team_members, sum(t.team_members_trained) as team_members_trained, sum(t.hamlets_with_team) as hamlets_with_team
    from {{ ref('int_teams__by_piece') }} as t
    group by t.piece_code, t.valid_from, t.valid_to
),

told as (
    select
        p.*,
        case when p.platform = 'all' then n.households end as households,
        case when p.platform = 'all' then n.hamlets end as hamlets,
        case when p.platform = 'all' and p.piece_code <> '00000' then coalesce(t.team_members, 0) end as team_members,
        case when p.platform = 'all' and p.piece_code <> '00000' then coalesce(t.team_members_trained, 0) end as team_members_trained,
        case when p.platform = 'all' and p.piece_code <> '00000' then coalesce(t.hamlets_with_team, 0) end as hamlets_with_team
    from piece_day as p
    left join denominator as n on n.piece_code = p.piece_code and n.valid_from <= p.date and p.date < n.valid_to
    left join team as t on t.piece_code = p.piece_code and t.valid_from <= p.date and p.date < t.valid_to
),

-- where a number other than 0 was shared
estimated as (
    select u.geography, u.commune_code, s.date, bool_or(u.is_across) as is_across
    from (
        select
            s.place_code, s.date
        from place_day as s
        where s.place_code in (select place_code from place_unit where is_part)
            and ({% for m in measures %}coalesce(s.{{ m }}, 0) <> 0{% if not loop.last %} or {% endif %}{% endfor %})
        union
        select r.place_code, d.date_day
        from (
            select place_code, valid_from, valid_to from {{ ref('int_denominators__by_piece') }}
            union
            select place_code, valid_from, valid_to from {{ ref('int_teams__by_piece') }}
        ) as r
        join {{ ref('int_days') }} as d on d.date_day >= r.valid_from and d.date_day < r.valid_to and d.date_day >= {{ lead_from() }}
        where r.place_code in (select place_code from place_unit where is_part)
    ) as s
    join place_unit as u on u.place_code = s.place_code and u.is_part
    group by u.geography, u.commune_code, s.date
),

unit_day as (
    select
        u.geography,
        u.commune_code,
        t.date,
        t.platform,
        {% for m in measures + ['households', 'hamlets', 'team_members', 'team_members_trained', 'hamlets_with_team'] %}sum(t.{{ m }}) as {{ m }},
        {% endfor -%}
        -- a part without households stays out of the rates' numerators as it is out of their denominators
        {% for m in rated %}sum(t.{{ m }}) filter (where t.households > 0) as rated_{{ m }},
        {% endfor -%}
        sum(t.hamlets_with_team) filter (where t.hamlets > 0) as rated_hamlets_with_team,
        -- multiples compare the same parts: those whose phase has begun
        {% for m, base in grown.items() %}sum(t.{{ m }}) filter (where t.{{ base }} is not null) as grown_{{ m }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from told as t
    join {{ ref('int_pieces') }} as u on u.piece_code = t.piece_code
    join lists as l on l.geography = u.geography and (l.published = 'always' or (l.valid_from <= t.date and t.date < l.valid_to))
    group by u.geography, u.commune_code, t.date, t.platform
)

select
    u.geography,
    u.commune_code,
    u.date,
    u.platform,
    {% for m in measures + ['households', 'hamlets', 'hamlets_with_team', 'team_members', 'team_members_trained'] %}cast(u.{{ m }} as bigint) as {{ m }},
    {% endfor -%}
    {% for m in rated + ['hamlets_with_team'] %}cast(u.rated_{{ m }} as bigint) as rated_{{ m }},
    {% endfor -%}
    {% for m in grown %}cast(u.grown_{{ m }} as bigint) as grown_{{ m }},
    {% endfor -%}
    e.date is not null as is_estimated,
    coalesce(e.is_across, false) as is_district_estimated,
    y.completeness as day_completeness
from unit_day as u
join {{ ref('fct_day_completeness') }} as y on y.date = u.date
join {{ units_in_scope() }} as b on b.geography = u.geography and b.commune_code = u.commune_code and b.first_date <= u.date
left join estimated as e on e.geography = u.geography and e.commune_code = u.commune_code and e.date = u.date
