{# One row per day of the years that data may speak of. #}
{{ config(tags=['static']) }}

select
    cast(d.date_day as date) as date,
    cast(extract(isoyear from d.date_day) as integer) as iso_year,
    cast(extract(week from d.date_day) as integer) as iso_week,
    cast(extract(isodow from d.date_day) as integer) as iso_weekday,
    cast(extract(year from d.date_day) as integer) as year,
    cast(extract(quarter from d.date_day) as integer) as quarter,
    cast(extract(month from d.date_day) as integer) as month,
    cast(extract(day from d.date_day) as integer) as day_of_month,
    case cast(extract(isodow from d.date_day) as integer)
        when 1 then 'Thứ Hai' when 2 then 'Thứ Ba' when 3 then 'Thứ Tư' when 4 then 'Thứ Năm'
        when 5 then 'Thứ Sáu' when 6 then 'Thứ Bảy' else 'Chủ Nhật' end as weekday_vi,
    'Tháng ' || cast(extract(month from d.date_day) as integer) as month_vi,
    h.name_vi as holiday_vi,
    h.date is not null as is_holiday,
    d.date_day >= p1.kick_off and d.date_day < p1.due_on as is_in_phase_1,
    d.date_day >= p2.kick_off and d.date_day <= p2.due_on as is_in_phase_2
from generate_series(date '2019-01-01', date '2030-12-31', interval '1 day') as d (date_day)
left join {{ ref('holiday') }} as h on h.date = d.date_day
cross join (select min(kick_off) as kick_off, max(due_on) as due_on from {{ ref('campaign_phase') }} where phase = 1) as p1
cross join (select min(kick_off) as kick_off, max(due_on) as due_on from {{ ref('campaign_phase') }} where phase = 2) as p2
