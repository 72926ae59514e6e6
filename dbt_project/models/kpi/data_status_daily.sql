{# What was expected of each source, dataset and day, and what came of it. #}
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

failed as (
    select export_id, count(*) as checks_failed
    from {{ source('ops', 'check_result') }}
    where not passed
    group by export_id
)

select
    e.source,
    e.dataset,
    e.business_day as date,
    e.source in ('postmart', 'voso') as expected,
    e.received_at,
    cast(e.version as integer) as version,
    cast(coalesce(e.day_delivered, e.rows_delivered) as bigint) as rows,
    cast(coalesce(e.day_loaded, e.rows_loaded) as bigint) as rows_loaded,
    cast(coalesce(e.day_quarantined, e.rows_quarantined) as bigint) as rows_quarantined,
    cast(coalesce(e.day_duplicate, e.rows_duplicate) as bigint) as rows_duplicate,
    cast(coalesce(f.checks_failed, 0) as bigint) as checks_failed,
    cast(round(extract(epoch from e.received_at - (cast(e.business_day + 1 as timestamp) at time zone interval '+07:00')) / 3600, 1) as numeric(12, 1))
        as data_date_age_hours,
    e.state
from export as e
left join failed as f on f.export_id = e.export_id
where e.first_of_day = 1
