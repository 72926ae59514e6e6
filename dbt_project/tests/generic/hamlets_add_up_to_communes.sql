{# What is known of hamlets before suppression adds up to the communes' households, stores, accounts and lead households, `~` included, on every day. #}
{% test hamlets_add_up_to_communes(model) %}
with hamlets as (
    select
        commune_code, date, sum(households) as households, sum(households_with_store) as households_with_store,
        sum(households_with_active_store) as households_with_active_store, sum(households_with_payment) as households_with_payment,
        sum(lead_households) as lead_households, min(least(households_with_store, households_with_payment, lead_households)) as least_count
    from {{ ref('fct_hamlet_day') }}
    where date >= {{ tested_from() }}
    group by commune_code, date
)

select h.commune_code, h.date
from hamlets as h
join {{ ref('kpi_commune_daily') }} as k on k.geography = '2021' and k.commune_code = h.commune_code and k.date = h.date
join {{ lists() }} as l on l.geography = k.geography and k.date < l.valid_to  -- later registers come by the units of later lists
where h.least_count < 0
    -- nor do the parts of a unit that a later register came by add up to it where they were shared out
    or (
        k.completeness <> 'ESTIMATED' and (
            (h.households is not null and h.households is distinct from k.households) or h.households_with_store is distinct from k.households_with_store
            or h.households_with_active_store is distinct from k.households_with_active_store
            or h.households_with_payment is distinct from k.households_with_payment or h.lead_households is distinct from k.lead_households
        )
    )
{% endtest %}
