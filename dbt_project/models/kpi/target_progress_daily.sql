{# How far each commune, district and the province is on its four targets (KPI §2). The newest decision in force wins; where none is on
   file the campaign's default holds. Districts and the province are measured against the default over their sums. #}
{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail', pre_hook="{{ forget_days() }}",
          indexes=[{'columns': ['level', 'unit_code', 'indicator', 'date']}, {'columns': ['date']}]) }}

with phase as (
    select district_code, cast(phase as integer) as phase, kick_off, due_on from {{ ref('campaign_phase') }}
),

unit_day as (
    select 'commune' as level, k.commune_code as unit_code, k.commune_name as unit_name, k.district_code, p.phase, p.kick_off, p.due_on, k.date,
        k.households, k.hamlets, k.households_with_store, k.households_with_payment, k.lead_households, k.hamlets_with_team
    from {{ ref('kpi_commune_daily') }} as k
    join phase as p on p.district_code = k.district_code
    where k.geography = {{ first_list() }}
    union all
    select 'district', k.district_code, k.district_name, k.district_code, p.phase, p.kick_off, p.due_on, k.date,
        k.households, k.hamlets, k.households_with_store, k.households_with_payment, k.lead_households, k.hamlets_with_team
    from {{ ref('kpi_district_daily') }} as k
    join phase as p on p.district_code = k.district_code
    where k.geography = {{ first_list() }}
    union all
    select 'province', k.province_code, k.province_name, null, null, s.kick_off, s.due_on, k.date,
        k.households, k.hamlets, k.households_with_store, k.households_with_payment, k.lead_households, k.hamlets_with_team
    from {{ ref('kpi_province_daily') }} as k
    cross join (select min(kick_off) as kick_off, max(due_on) as due_on from phase) as s
    where k.geography = {{ first_list() }}
),

measured as (
    select u.*, x.indicator, x.value, x.denominator
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

list as (
    select
        commune_code,
        as_of,
        case when row_number() over (partition by commune_code order by as_of) = 1 then {{ beginning() }} else as_of end as valid_from,
        coalesce(lead(as_of) over (partition by commune_code order by as_of), {{ forever() }}) as valid_to
    from (select distinct commune_code, as_of from {{ ref('fct_target') }} where target_level = 'COMMUNE') as d
),

decided as (
    select
        t.commune_code, t.indicator, t.phase, t.target_rate, t.target_count, t.decision_no, t.decision_on, t.due_on, l.valid_from, l.valid_to
    from {{ ref('fct_target') }} as t
    join list as l on l.commune_code = t.commune_code and l.as_of = t.as_of
    where t.target_level = 'COMMUNE'
),

targeted as (
    select
        m.level, m.unit_code, m.unit_name, m.district_code, m.kick_off, m.date, m.indicator, m.value, m.denominator, b.base,
        coalesce(d.due_on, m.due_on) as due_on,
        d.decision_no,
        coalesce(d.target_rate, case when d.target_count is null then f.rate end) as decided_rate,
        coalesce(d.target_count, cast(ceil(coalesce(d.target_rate, f.rate) * m.denominator) as bigint)) as target_value,
        row_number() over (
            partition by m.level, m.unit_code, m.indicator, m.date order by d.decision_on desc nulls last, d.decision_no desc
        ) as newest
    from measured as m
    join {{ ref('target_default') }} as f on f.indicator = m.indicator
    left join base as b on b.level = m.level and b.unit_code = m.unit_code and b.indicator = m.indicator
    left join decided as d
        on m.level = 'commune' and d.commune_code = m.unit_code and d.indicator = m.indicator and d.phase = m.phase
        and d.valid_from <= m.date and m.date < d.valid_to and d.decision_on <= m.date
    {% if is_incremental() %} where m.date >= {{ day_var('stock_from') }} - 21 {% endif %}
),

paced as (
    select
        t.*,
        cast(t.value as numeric) / nullif(t.target_value, 0) as attainment,
        case when t.target_value is not null and t.value is not null then greatest(t.target_value - t.value, 0) end as gap,  -- greatest() skips nulls
        -- multiplied before it is divided, so that a value on the line is on it
        t.base + cast((t.target_value - t.base) * least(t.date - t.kick_off + 1, t.due_on - t.kick_off + 1) as numeric)
            / nullif(t.due_on - t.kick_off + 1, 0) as expected,
        regr_slope(t.value, t.date - t.kick_off) over last_14 as slope,
        regr_intercept(t.value, t.date - t.kick_off) over last_14 as intercept
    from targeted as t
    where t.newest = 1
    window last_14 as (partition by t.level, t.unit_code, t.indicator order by t.date rows between 13 preceding and current row)
),

ranked as (
    select
        p.*,
        case when p.level = 'commune' and p.attainment is not null
            then rank() over (partition by p.level, p.district_code, p.indicator, p.date order by p.attainment desc nulls last) end as rank_in_district,
        case when p.level <> 'province' and p.attainment is not null
            then rank() over (partition by p.level, p.indicator, p.date order by p.attainment desc nulls last) end as rank_in_province
    from paced as p
)

select
    r.level,
    r.unit_code,
    r.unit_name,
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
         when r.slope > 0 and (r.target_value - r.intercept) / r.slope < 36500
             then greatest(r.date + 1, r.kick_off + cast(ceil((r.target_value - r.intercept) / r.slope) as integer)) end as projected_date,
    case when r.value is null or r.target_value is null then 'no_data'
         when r.date < r.kick_off then 'not_started'
         when r.value >= r.target_value then 'met'
         when r.date > r.due_on then 'overdue'
         when r.value >= r.expected then 'on_track'
         else 'behind' end as status,
    cast(r.rank_in_district as integer) as rank_in_district,
    cast(r.rank_in_province as integer) as rank_in_province,
    cast(w.rank_in_province - r.rank_in_province as integer) as rank_change_7d,
    r.decision_no
from ranked as r
left join ranked as w on w.level = r.level and w.unit_code = r.unit_code and w.indicator = r.indicator and w.date = r.date - 7
{% if is_incremental() %} where r.date >= {{ day_var('stock_from') }} {% endif %}
