{# Every stock measure as disjoint intervals [valid_from, valid_to) of what is counted: a store, an account, a product, or a household
   (once per platform and once over all, however many stores it has: KPI §1.1). A day's figure is the number of intervals over it. #}
{{ config(materialized='view') }}

with store as (
    select *
    from {{ ref('int_stores__matched') }}
    where is_counting and valid_to > {{ day_var('stock_from') }}
),

account as (
    select *
    from {{ ref('int_accounts__matched') }}
    where is_counting and valid_to > {{ day_var('stock_from') }}
),

-- households by what they have; 'all' is over both platforms
held as (
    select 'households_with_store' as measure, p.platform, s.commune_code, s.household_code, s.valid_from, s.valid_to
    from store as s
    cross join lateral (values (s.platform), ('all')) as p (platform)
    where s.household_code is not null
    union all
    -- active: the last activity is at most 30 days old (KPI §1.3)
    select 'households_with_active_store', 'all', s.commune_code, s.household_code, s.valid_from, least(s.valid_to, s.last_activity_day + 31)
    from store as s
    where s.household_code is not null and s.last_activity_day + 31 > s.valid_from
    union all
    select 'households_with_payment', 'all', a.commune_code, a.household_code, a.valid_from, a.valid_to
    from account as a
    where a.household_code is not null
    union all
    select 'lead_households', 'all', l.commune_code, l.household_code, l.valid_from, l.valid_to
    from {{ ref('int_leads__in_force') }} as l
    where l.valid_to > {{ day_var('stock_from') }}
),

-- islands: overlapping intervals of one household become one
flagged as (
    select
        h.*,
        case when h.valid_from <= max(h.valid_to) over (
            partition by h.measure, h.platform, h.commune_code, h.household_code
            order by h.valid_from, h.valid_to rows between unbounded preceding and 1 preceding
        ) then 0 else 1 end as starts
    from held as h
),

numbered as (
    select
        f.*,
        sum(f.starts) over (
            partition by f.measure, f.platform, f.commune_code, f.household_code order by f.valid_from, f.valid_to
            rows between unbounded preceding and current row
        ) as island
    from flagged as f
)

select measure, platform, commune_code, min(valid_from) as valid_from, max(valid_to) as valid_to
from numbered
group by measure, platform, commune_code, household_code, island
union all
select 'stores', platform, commune_code, valid_from, valid_to from store
union all
select 'stores_of_households', platform, commune_code, valid_from, valid_to from store where is_matchable
union all
select 'stores_unmatched', platform, commune_code, valid_from, valid_to from store where is_matchable and household_code is null
union all
select 'accounts', platform, commune_code, valid_from, valid_to from account
union all
select 'accounts_unmatched', platform, commune_code, valid_from, valid_to from account where household_code is null
union all
-- a product counts while it is on sale and its store counts (RULINGS 5)
select 'products_on_sale', s.platform, s.commune_code, greatest(p.valid_from, s.valid_from), least(p.valid_to, s.valid_to)
from {{ ref('int_products__dated') }} as p
join store as s
    on s.platform = p.platform and s.store_code = p.store_code and s.valid_from < p.valid_to and p.valid_from < s.valid_to
where p.is_on_sale and p.valid_to > {{ day_var('stock_from') }} and s.valid_to > {{ day_var('stock_from') }}
