{# Flow figures per commune, day and platform; only the commune-days that this build touched are summed again. #}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook=["analyze ops.build_cell", "{{ forget() }}"],
          indexes=[{'columns': ['commune_code', 'date']}]) }}

select
    e.date,
    e.commune_code,
    e.platform,
    cast(sum(e.orders_placed) as bigint) as orders_placed,
    cast(sum(e.orders_valid) as bigint) as orders_valid,
    cast(sum(e.orders_delivered) as bigint) as orders_delivered,
    cast(sum(e.orders_cancelled) as bigint) as orders_cancelled,
    cast(sum(e.orders_returned) as bigint) as orders_returned,
    cast(sum(e.orders_out_of_province) as bigint) as orders_out_of_province,
    cast(sum(e.revenue_gross_vnd) as bigint) as revenue_gross_vnd,
    cast(sum(e.refunds_vnd) as bigint) as refunds_vnd
{% if is_incremental() -%}
from {{ source('ops', 'build_cell') }} as c
cross join lateral (select * from {{ ref('int_effects') }} as x where x.commune_code = c.commune_code and x.date = c.date offset 0) as e
{%- else -%}
from {{ ref('int_effects') }} as e
{%- endif %}
group by e.date, e.commune_code, e.platform
