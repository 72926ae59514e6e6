{# How complete a day is (KPI §1.4, RULINGS 14, 16): a platform is stale when a dataset that the KPIs need has no accepted export for the
   day; days before a platform's first snapshot, or whose pull came too late to be their state, are rebuilt from dates. #}
{{ config(materialized='view') }}

with needed (platform, dataset) as (
    values ('postmart', 'stores'), ('postmart', 'products'), ('postmart', 'orders'), ('postmart', 'refunds'), ('postmart', 'accounts'),
    ('voso', 'stores'), ('voso', 'products'), ('voso', 'orders'), ('voso', 'refunds'), ('voso', 'accounts')
),

arrived as (
    select
        e.source as platform, e.business_day as date, count(distinct e.dataset) as datasets, bool_or(e.is_reconstructed) as is_reconstructed
    from {{ source('ops', 'export') }} as e
    join needed as n on n.platform = e.source and n.dataset = e.dataset
    where e.state = 'accepted' and e.unit = ''
    group by e.source, e.business_day
),

day as (
    select
        d.date_day as date,
        d.date_day < {{ day_var('first_day') }} as is_before_first,
        coalesce(p.datasets, 0) = 5 as has_postmart,
        coalesce(v.datasets, 0) = 5 as has_voso,
        coalesce(v.is_reconstructed, false) or coalesce(p.is_reconstructed, false) as is_reconstructed
    from {{ ref('int_days') }} as d
    left join arrived as p on p.platform = 'postmart' and p.date = d.date_day
    left join arrived as v on v.platform = 'voso' and v.date = d.date_day
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
