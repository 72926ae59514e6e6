{# How far each commune, hamlet, cooperative, district and the province is on its four targets (KPI §2), on the list in which the registers arrive.
   A unit's own decision in force wins; a hamlet without one inherits its commune's rate and due date; else the campaign's default holds. Districts and the
   province are measured against the default over their sums: no form gives them a decision. Hamlets are read as kpi_hamlet_daily shows them, so that
   nothing here is made of a hidden count. Nothing links a cooperative to households: its targets are told, its value is not known. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget() }}",
          indexes=[{'columns': ['level', 'unit_code', 'indicator', 'date']}, {'columns': ['date']}]) }}
{#- A day looks back 13 days for its line, and 7 for its rank. -#}
{%- set first_day -%}{% if is_incremental() %}{{ day_var('stock_from') }} - 13{% else %}{{ beginning() }}{% endif %}{%- endset %}
{#- Said of one table alone, so that no other day is read. -#}
{%- set days -%}(k.date >= {{ first_day }} or k.date = any(array(select x.kick_off - 1 from phase as x))){%- endset %}

with phase as (
    select district_code, cast(phase as integer) as phase, kick_off, due_on from {{ ref('campaign_phase') }}
),

unit_day as (
    select
        'commune' as level, k.commune_code as unit_code, k.commune_name as unit_name, k.commune_code, k.district_code, p.phase, p.kick_off, p.due_on, k.date,
        k.households, k.hamlets, k.households_with_store, k.households_with_payment, k.lead_households, k.hamlets_with_team, false as suppressed
    from {{ ref('kpi_commune_daily') }} as k
    join phase as p on p.district_code = k.district_code
    where k.geography = {{ first_list() }} and {{ days }} and (k.date >= {{ first_day }} or k.date = p.kick_off - 1)
    union all
    select
        'hamlet', k.commune_code || '-' || k.hamlet_code, k.hamlet_name, k.commune_code, k.district_code, p.phase, p.kick_off, p.due_on, k.date,
        k.households, 1, k.households_with_store, k.households_with_payment, k.lead_households, k.hamlets_with_team, k.suppressed
    from {{ ref('kpi_hamlet_daily') }} as k
    join phase as p on p.district_code = k.district_code
    where k.geography = {{ first_list() }} and k.hamlet_code <> '~' and {{ days }} and (k.date >= {{ first_day }} or k.date = p.kick_off - 1)
    union all
    select
        'district', k.district_code, k.district_name, null, k.district_code, p.phase, p.kick_off, p.due_on, k.date,
        k.households, k.hamlets, k.households_with_store, k.households_with_payment, k.lead_households, k.hamlets_with_team, false
    from {{ ref('kpi_district_daily') }} as k
    join phase as p on p.district_code = k.district_code
    where k.geography = {{ first_list() }} and {{ days }} and (k.date >= {{ first_day }} or k.date = p.kick_off - 1)
    union all
    select
        'province', k.province_code, k.province_name, null, null, null, s.kick_off, s.due_on, k.date,
        k.households, k.hamlets, k.households_with_store, k.households_with_payment, k.lead_households, k.hamlets_with_team, false
    from {{ ref('kpi_province_daily') }} as k
    cross join (select min(kick_off) as kick_off, max(due_on) as due_on from phase) as s
    where k.geography = {{ first_list() }} and {{ days }} and (k.date >= {{ first_day }} or k.date = s.kick_off - 1)
),

measured as (
    select
        u.level, u.unit_code, u.unit_name, u.commune_code, u.district_code, u.phase, u.kick_off, u.due_on, u.date, x.indicator, x.value, x.denominator,
        u.suppressed and x.indicator <> 'team' and (x.value is null or x.denominator is null) as suppressed
    from unit_day as u
    cross join lateral (values
        ('store', u.households_with_store, u.households),
        ('payment', u.households_with_payment, u.households),
        ('lead', u.lead_households, u.households),
        ('team', u.hamlets_with_team, u.hamlets)) as x (indicator, value, denominator)
),

base as (
    select level, unit_code, indicator, value as base
    from measured
    where date = kick_off - 1
),

decided as (
    select * from {{ ref('fct_target') }} where geography = {{ first_list() }} and valid_from is not null
),

targeted as (
    select
        m.level, m.unit_code, m.unit_name, m.commune_code, m.district_code, m.kick_off, m.date, m.indicator, m.value, m.denominator, m.suppressed, b.base,
        coalesce(d.due_on, i.due_on, m.due_on) as due_on,
        coalesce(d.decision_no, i.decision_no) as decision_no,
        d.target_count,
        case when d.unit_code is not null then coalesce(d.target_rate, case when d.target_count is null then f.rate end)
             -- every hamlet its team, however many its commune was told to have
             when i.unit_code is not null and m.indicator <> 'team' then coalesce(i.target_rate, cast(i.target_count as numeric) / nullif(i.households, 0), f.rate)
             else f.rate end as decided_rate
    from measured as m
    join {{ ref('target_default') }} as f on f.indicator = m.indicator
    left join base as b on b.level = m.level and b.unit_code = m.unit_code and b.indicator = m.indicator
    left join decided as d
        on d.target_level = upper(m.level) and d.unit_code = m.unit_code and d.indicator = m.indicator and d.phase = m.phase
        and d.valid_from <= m.date and m.date < d.valid_to
    left join decided as i
        on m.level = 'hamlet' and i.target_level = 'COMMUNE' and i.unit_code = m.commune_code and i.indicator = m.indicator and i.phase = m.phase
        and i.valid_from <= m.date and m.date < i.valid_to
    where m.date >= {{ first_day }}
    union all
    select
        'cooperative', d.unit_code, d.unit_name, d.commune_code, c.district_code, p.kick_off, k.date, d.indicator, null, case when d.indicator <> 'team' then d.households end,
        false, null, coalesce(d.due_on, p.due_on), d.decision_no, d.target_count, d.target_rate
    from decided as d
    join {{ ref('dim_commune') }} as c on c.commune_code = d.commune_code and c.geography = {{ first_list() }}
    join phase as p on p.district_code = c.district_code and p.phase = d.phase
    join {{ ref('kpi_province_daily') }} as k on k.geography = {{ first_list() }} and k.date >= {{ first_day }} and d.valid_from <= k.date and k.date < d.valid_to
    where d.target_level = 'COOPERATIVE'
),

aimed as (
    -- a rate that is a count over households, as 63 of 123, ends somewhere after the comma: times 41 it is a hair more than 21
    select t.*, coalesce(t.target_count, cast(ceil(round(t.decided_rate * t.denominator, 9)) as bigint)) as target_value
    from targeted as t
),

paced as (
    select
        t.*,
        cast(t.value as numeric) / nullif(t.target_value, 0) as attainment,
        case when t.target_value is not null and t.value is not null then greatest(t.target_value - t.value, 0) end as gap,  -- greatest() skips nulls
        -- the line from the value before kick-off to the target at the end of the due date, and from 0: what it is at least where that value is not known.
        -- Multiplied before it is divided, so that a value on the line is on it
        case when t.date >= t.due_on then t.target_value
             else t.base + cast((t.target_value - t.base) * (t.date - t.kick_off + 1) as numeric) / nullif(t.due_on - t.kick_off + 1, 0) end as expected,
        case when t.date >= t.due_on then t.target_value
             else cast(t.target_value * (t.date - t.kick_off + 1) as numeric) / nullif(t.due_on - t.kick_off + 1, 0) end as expected_at_least,
        regr_slope(t.value, t.date - t.kick_off) over last_14 as slope,
        regr_intercept(t.value, t.date - t.kick_off) over last_14 as intercept
    from aimed as t
    window last_14 as (
        partition by t.level, t.unit_code, t.indicator order by t.date
        range between interval '13 days' preceding and current row
    )
),

ranked as (
    select
        p.*,
        case when p.level in ('commune', 'hamlet') and p.attainment is not null
            then rank() over (partition by p.level, p.district_code, p.indicator, p.date order by p.attainment desc nulls last) end as rank_in_district,
        case when p.level in ('commune', 'hamlet', 'district') and p.attainment is not null
            then rank() over (partition by p.level, p.indicator, p.date order by p.attainment desc nulls last) end as rank_in_province
    from paced as p
)

select
    r.level,
    r.unit_code,
    r.unit_name,
    r.commune_code,
    r.district_code,
    r.indicator,
    r.date,
    cast(r.value as bigint) as value,
    cast(r.denominator as bigint) as denominator,
    {{ rate('r.value', 'r.denominator') }} as rate,
    cast(coalesce(r.decided_rate, cast(r.target_value as numeric) / nullif(r.denominator, 0)) as numeric(9, 6)) as target_rate,
    cast(r.target_value as bigint) as target_value,
    cast(r.gap as bigint) as gap,
    cast(round(r.attainment, 6) as numeric(14, 6)) as attainment,
    cast(case when r.date >= r.kick_off then round(r.expected, 2) end as numeric(18, 2)) as expected_by_now,
    cast(case when r.date < r.due_on then round(cast(r.gap as numeric) / (r.due_on - r.date), 2) end as numeric(18, 2)) as needed_per_day,
    case when r.gap = 0 then r.date
         -- a line in floating point reaches a whole day a hair before it or after it
         when r.value is not null and r.slope > 0 and (r.target_value - r.intercept) / r.slope < 36500
             then r.kick_off + cast(greatest(ceil(round(cast((r.target_value - r.intercept) / r.slope as numeric), 6)), r.date + 1 - r.kick_off) as integer) end as projected_date,
    case when r.value is null or r.target_value is null then 'no_data'
         when r.date < r.kick_off then 'not_started'
         when r.value >= r.target_value then 'met'
         when r.date > r.due_on then 'overdue'
         when r.value >= r.expected then 'on_track'
         when r.value < coalesce(r.expected, r.expected_at_least) then 'behind'
         else 'no_data' end as status,
    cast(r.rank_in_district as integer) as rank_in_district,
    cast(r.rank_in_province as integer) as rank_in_province,
    cast(w.rank_in_province - r.rank_in_province as integer) as rank_change_7d,
    r.decision_no,
    r.suppressed
from ranked as r
left join ranked as w on w.level = r.level and w.unit_code = r.unit_code and w.indicator = r.indicator and w.date = r.date - 7
{% if is_incremental() %} where r.date >= {{ day_var('stock_from') }} {% endif %}
