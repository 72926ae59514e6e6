{# True counts per hamlet and day, before anything is suppressed: never published. `~` is what its commune has beside its hamlets: households whose
   hamlet is unknown, so that the rows of a commune add up to it on every day; it is there on the days when it is not nothing. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget() }}",
          indexes=[{'columns': ['commune_code', 'date']}, {'columns': ['date']}]) }}
{%- set measures = ['households_with_store', 'households_with_active_store', 'households_with_payment', 'lead_households'] %}

with bounds as (
    select
        greatest({{ day_var('stock_from') }}, {{ day_var('kpi_from') }}) as first_day,
        {{ day_var('business_date') }} as last_day
),

day as (
    select d.date_day from {{ ref('int_days') }} as d join bounds as b on d.date_day >= b.first_day
),

held as (
    select 'households_with_store' as measure, s.commune_code, s.household_code, s.valid_from, s.valid_to
    from {{ ref('int_stores__matched') }} as s
    where s.is_counting and s.household_code is not null
    union all
    -- active: the last activity is at most 30 days old (KPI §1.3)
    select 'households_with_active_store', s.commune_code, s.household_code, s.valid_from, least(s.valid_to, s.last_activity_day + 31)
    from {{ ref('int_stores__matched') }} as s
    where s.is_counting and s.household_code is not null and s.last_activity_day + 31 > s.valid_from
    union all
    select 'households_with_payment', a.commune_code, a.household_code, a.valid_from, a.valid_to
    from {{ ref('int_accounts__matched') }} as a
    where a.is_counting and a.household_code is not null
    union all
    select 'lead_households', l.commune_code, l.household_code, l.valid_from, l.valid_to
    from {{ ref('int_leads__in_force') }} as l
),

recent as (
    select h.measure, split_part(h.commune_code, '>', 1) as commune_code, h.household_code, h.valid_from, h.valid_to
    from held as h
    cross join bounds as b
    where h.valid_to > b.first_day and h.valid_from <= b.last_day
),

-- where the household lives, on the days it does
placed as (
    select
        r.measure, r.commune_code, w.hamlet_code, r.household_code,
        greatest(r.valid_from, w.valid_from) as valid_from, least(r.valid_to, w.valid_to) as valid_to
    from recent as r
    join {{ ref('int_hamlet_households') }} as w
        on w.household_code = r.household_code and w.commune_code = r.commune_code and w.valid_from < r.valid_to and r.valid_from < w.valid_to
    union all
    -- a lead household that no list of households names lives where R4 says
    select 'lead_households', split_part(l.commune_code, '>', 1), t.hamlet_code, l.household_code, greatest(l.valid_from, t.valid_from), least(l.valid_to, t.valid_to)
    from {{ ref('int_leads__in_force') }} as l
    join {{ ref('int_hamlet_texts') }} as t
        on t.commune_code = split_part(l.commune_code, '>', 1) and t.hamlet_text = l.hamlet and t.hamlet_code <> '~'
        and t.valid_from < l.valid_to and l.valid_from < t.valid_to
    where not exists (
        select 1 from {{ ref('int_hamlet_households') }} as w
        where w.household_code = l.household_code and w.commune_code = split_part(l.commune_code, '>', 1)
    )
),

-- islands: overlapping intervals of one household become one
flagged as (
    select
        p.*,
        case when p.valid_from <= max(p.valid_to) over (
            partition by p.measure, p.commune_code, p.hamlet_code, p.household_code
            order by p.valid_from, p.valid_to rows between unbounded preceding and 1 preceding
        ) then 0 else 1 end as starts
    from placed as p
),

numbered as (
    select
        f.*,
        sum(f.starts) over (
            partition by f.measure, f.commune_code, f.hamlet_code, f.household_code order by f.valid_from, f.valid_to
            rows between unbounded preceding and current row
        ) as island
    from flagged as f
),

interval as (
    select measure, commune_code, hamlet_code, min(valid_from) as valid_from, max(valid_to) as valid_to
    from numbered
    group by measure, commune_code, hamlet_code, household_code, island
),

event as (
    select i.measure, i.commune_code, i.hamlet_code, e.date, e.step
    from interval as i
    cross join bounds as b
    cross join lateral (values (greatest(i.valid_from, b.first_day), 1), (i.valid_to, -1)) as e (date, step)
    where i.valid_from <= b.last_day and i.valid_to > b.first_day and i.valid_from < i.valid_to and e.date <= b.last_day
),

daily as (
    select measure, commune_code, hamlet_code, date, sum(step) as step
    from event
    group by measure, commune_code, hamlet_code, date
    having sum(step) <> 0
),

level as (
    select
        measure, commune_code, hamlet_code, date as valid_from,
        coalesce(lead(date) over (partition by measure, commune_code, hamlet_code order by date), b.last_day + 1) as valid_to,
        sum(step) over (partition by measure, commune_code, hamlet_code order by date) as value
    from daily
    cross join bounds as b
),

counted as (
    select
        cast(d.date_day as date) as date,
        l.commune_code,
        l.hamlet_code,
        {% for m in measures %}cast(sum(case when l.measure = '{{ m }}' then l.value else 0 end) as bigint) as {{ m }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from level as l
    cross join lateral generate_series(l.valid_from, l.valid_to - 1, interval '1 day') as d (date_day)
    group by d.date_day, l.commune_code, l.hamlet_code
),

hamlet_day as (
    select
        h.commune_code,
        h.place_code,
        h.hamlet_code,
        h.hamlet_name,
        d.date_day as date,
        h.households,
        {% for m in measures %}coalesce(c.{{ m }}, 0) as {{ m }},
        {% endfor -%}
        coalesce(t.hamlets_with_team, 0) as hamlets_with_team,
        coalesce(t.team_members, 0) as team_members,
        coalesce(t.team_members_trained, 0) as team_members_trained
    from {{ ref('int_hamlets__in_force') }} as h
    join day as d on d.date_day >= h.valid_from and d.date_day < h.valid_to
    left join counted as c on c.commune_code = h.commune_code and c.hamlet_code = h.hamlet_code and c.date = d.date_day
    left join {{ ref('int_hamlet_teams') }} as t
        on t.commune_code = h.commune_code and t.hamlet_code = h.hamlet_code and t.valid_from <= d.date_day and d.date_day < t.valid_to
),

commune_day as (
    select
        split_part(s.commune_code, '>', 1) as commune_code,
        s.date,
        {% for m in measures %}sum(s.{{ m }}) as {{ m }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from {{ ref('int_stock__by_day') }} as s
    join day as d on d.date_day = s.date
    where s.platform = 'all' and s.commune_code <> '00000'
    group by split_part(s.commune_code, '>', 1), s.date
),

known as (
    select
        commune_code,
        date,
        {% for m in measures %}sum({{ m }}) as {{ m }}{% if not loop.last %},{% endif %}
        {% endfor %}
    from hamlet_day
    group by commune_code, date
),

rest as (
    select
        c.commune_code,
        c.date,
        {% for m in measures %}cast(c.{{ m }} - coalesce(k.{{ m }}, 0) as bigint) as {{ m }},
        {% endfor -%}
        coalesce(t.hamlets_with_team, 0) as hamlets_with_team,
        coalesce(t.team_members, 0) as team_members,
        coalesce(t.team_members_trained, 0) as team_members_trained
    from commune_day as c
    left join known as k on k.commune_code = c.commune_code and k.date = c.date
    left join {{ ref('int_hamlet_teams') }} as t
        on t.commune_code = c.commune_code and t.hamlet_code = '~' and t.valid_from <= c.date and c.date < t.valid_to
)

select
    commune_code, place_code, hamlet_code, hamlet_name, date, households,
    {{ measures | join(', ') }},
    hamlets_with_team, team_members, team_members_trained
from hamlet_day
union all
select
    commune_code, commune_code, '~', 'Chưa rõ thôn', date, cast(null as bigint),
    {{ measures | join(', ') }},
    hamlets_with_team, team_members, team_members_trained
from rest
where {% for m in measures %}{{ m }} <> 0 or {% endfor %}team_members <> 0
