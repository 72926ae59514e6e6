{# What was expected of each source, dataset and day, and what came of it, from the ledger, the checks and the quarantine: in figures and in words. #}
{{ config(materialized='view', tags=['standing']) }}

with export as (
    select
        e.*,
        sum(e.rows_delivered) filter (where e.state = 'accepted') over of_day as day_delivered,
        sum(e.rows_loaded) filter (where e.state = 'accepted') over of_day as day_loaded,
        sum(e.rows_quarantined) filter (where e.state = 'accepted') over of_day as day_quarantined,
        sum(e.rows_duplicate) filter (where e.state = 'accepted') over of_day as day_duplicate,
        row_number() over (
            partition by e.source, e.dataset, e.business_day
            order by case e.state when 'accepted' then 0 when 'rejected' then 1 else 2 end, e.version desc, e.export_id desc
        ) as first_of_day
    from {{ source('ops', 'export') }} as e
    where e.source = 'registers' or e.unit = ''  -- what is reconciled is not the day's delivery
    window of_day as (partition by e.source, e.dataset, e.business_day)
),

-- What failed over the delivery that speaks for the day, and over what was built of the day (there, the line over all communes).
failed_check as (
    select e.source, e.dataset, e.business_day, c.rule_id, c.rule_name, c.rule, c.outcome, c.rows_failed, c.rows_total
    from {{ source('ops', 'check_result') }} as c
    join export as e on e.export_id = c.export_id
    where not c.passed and e.first_of_day = 1
    union all
    select source, dataset, business_day, rule_id, rule_name, rule, outcome, rows_failed, rows_total
    from {{ source('ops', 'day_check') }}
    where not passed and commune_code = ''
),

failed as (
    select
        source,
        dataset,
        business_day,
        count(*) as checks_failed,
        string_agg(
            rule_id || ' '
            || case outcome when 'reject' then 'từ chối · rejects' when 'quarantine' then 'cách ly dòng · quarantines rows' when 'fail' then 'không đạt · fails'
                    else 'cảnh báo · warns' end
            || ' (' || rows_failed || '/' || rows_total || '): ' || left(rule, 400),
            chr(10)
            order by case outcome when 'reject' then 0 when 'fail' then 1 when 'quarantine' then 2 else 3 end, rule_id, rule_name
        ) as checks_failed_words
    from failed_check
    group by source, dataset, business_day
),

opened as (
    select export_id, count(distinct source_row) as rows_open
    from {{ source('ops', 'quarantine_row') }}
    where state = 'open'
    group by export_id
),

-- Of all versions of the day: rows that wait for a person, and the last word on why one does not count.
told as (
    select
        e.source,
        e.dataset,
        e.business_day,
        sum(o.rows_open) filter (where e.state = 'accepted') as rows_open,
        (
            array_agg('v' || e.version || ': ' || left(e.reason, 1000) order by e.version desc, e.export_id desc)
            filter (where e.reason is not null and e.state in ('expected', 'rejected'))
        )[1] as last_reason
    from export as e
    left join opened as o on o.export_id = e.export_id
    group by e.source, e.dataset, e.business_day
)

select
    coalesce(e.source, f.source) as source,
    coalesce(e.dataset, f.dataset) as dataset,
    coalesce(e.business_day, f.business_day) as date,
    coalesce(e.source, f.source) in ('postmart', 'voso') as expected,
    e.received_at,
    cast(e.version as integer) as version,
    cast(coalesce(e.day_delivered, e.rows_delivered) as bigint) as rows,
    cast(coalesce(e.day_loaded, e.rows_loaded) as bigint) as rows_loaded,
    cast(coalesce(e.day_quarantined, e.rows_quarantined) as bigint) as rows_quarantined,
    cast(coalesce(e.day_duplicate, e.rows_duplicate) as bigint) as rows_duplicate,
    cast(coalesce(f.checks_failed, 0) as bigint) as checks_failed,
    cast(round(extract(epoch from e.received_at - (cast(e.business_day + 1 as timestamp) at time zone interval '+07:00')) / 3600, 1) as numeric(12, 1))
        as data_date_age_hours,
    coalesce(e.state, 'checked') as state,
    case coalesce(e.state, 'checked')
        when 'checked' then 'Không có tệp của ngày này; số liệu đã dựng có phép kiểm tra không đạt · No delivery of this day; checks over what was built failed'
        when 'expected' then 'Chưa nhận được · Not received'
        when 'rejected' then 'Bị từ chối, số liệu tốt gần nhất vẫn được dùng · Rejected, the last good state carries on'
        when 'superseded' then 'Đã được thay thế · Replaced by a later one'
        when 'accepted' then 'Được dùng · In use'
            || case when coalesce(e.day_quarantined, 0) > 0
                then '; ' || e.day_quarantined || ' dòng bị cách ly · ' || e.day_quarantined || ' rows in quarantine' else '' end
        else 'Đang xử lý · Being processed'
    end as state_words,
    f.checks_failed_words,
    cast(coalesce(t.rows_open, 0) as bigint) as rows_waiting,
    t.last_reason
from (select * from export where first_of_day = 1) as e
full outer join failed as f on f.source = e.source and f.dataset = e.dataset and f.business_day = e.business_day
left join told as t on t.source = e.source and t.dataset = e.dataset and t.business_day = e.business_day
