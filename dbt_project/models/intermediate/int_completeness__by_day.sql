{# How complete a day is (KPI §1.4, RULINGS 14, 16): a platform is stale when a dataset that the KPIs need has no accepted export for the
   day; days before a platform's first snapshot, or whose pull came too late to be their state, are rebuilt from dates. #}
{{ config(materialized='view') }}

with platform (platform) as (
    values ('postmart'), ('voso')
),

-- looked up day by day: who asks for one day reads no other
arrived as (
    select d.date_day as date, p.platform, a.datasets, a.is_reconstructed
    from {{ ref('int_days') }} as d
    cross join platform as p
    cross join lateral (
        select count(distinct e.dataset) as datasets, bool_or(e.is_reconstructed) as is_reconstructed
        from {{ source('ops', 'export') }} as e
        where e.state = 'accepted' and e.source = p.platform and e.dataset in ('stores', 'products', 'orders', 'refunds', 'accounts')
            and e.business_day = d.date_day and e.unit = ''
    ) as a
),

day as (
    select
        date,
        date < {{ day_var('first_day') }} as is_before_first,
        bool_or(datasets = 5) filter (where platform = 'postmart') as has_postmart,
        bool_or(datasets = 5) filter (where platform = 'voso') as has_voso,
        coalesce(bool_or(is_reconstructed), false) as is_reconstructed
    from arrived
    group by date
)

select
    date,
    case
        when is_before_first then 'RECONSTRUCTED'
        when not has_postmart and not has_voso then 'STALE_BOTH'
        when not has_postmart then 'STALE_POSTMART'
        when not has_voso then 'STALE_VOSO'
        when is_reconstructed then 'RECONSTRUCTED'
        else 'FULL'
    end as completeness
from day
