{# One row per refund record, its newest state, with its order's commune. A refund whose order is not known yet is kept under 00000. #}
{{ config(materialized='incremental', incremental_strategy='append',
          pre_hook=["{{ choose_refunds() }}", "analyze ops.build_refund", "{{ note_refund_cells() }}", "{{ forget() }}"],
          post_hook=["{{ note_refund_cells() }}"],
          indexes=[{'columns': ['platform', 'refund_code'], 'unique': true}, {'columns': ['completed_day', 'commune_code']},
                   {'columns': ['platform', 'order_code']}]) }}

with shown as (
    select
        platform, refund_code, order_code, cast(null as text) as order_id, export_id, source_row, business_day, version,
        0 as authority, refund_kind, refund_status, refund_amount_vnd, requested_at, completed_at, updated_at
    from {{ ref('stg_postmart__refunds') }}
    union all
    select
        platform, refund_code, cast(null as text), order_id, export_id, source_row, business_day, version,
        authority, refund_kind, refund_status, refund_amount_vnd, requested_at, completed_at, updated_at
    from {{ ref('stg_voso__refunds') }}
),

newest as (
    select
        s.*,
        row_number() over (
            partition by s.platform, s.refund_code
            order by s.updated_at desc, s.business_day desc, s.authority desc, s.version desc, s.export_id desc, s.source_row desc
        ) as recency
    from shown as s
    where exists (select 1 from {{ source('ops', 'build_refund') }} as b where b.platform = s.platform and b.refund_code = s.refund_code)
)

select
    n.platform,
    n.refund_code,
    coalesce(n.order_code, o.order_code) as order_code,
    n.order_id,
    n.export_id,
    n.source_row,
    n.refund_kind,
    n.refund_status,
    n.refund_amount_vnd,
    n.requested_at,
    n.completed_at,
    parse.business_day(n.completed_at) as completed_day,
    n.refund_status = 'DONE' as is_done,
    o.order_code is not null as is_order_known,
    coalesce(o.commune_code, '00000') as commune_code,
    o.household_code,
    coalesce(o.is_test, false) as is_test
from newest as n
left join {{ ref('int_orders') }} as o
    on o.platform = n.platform
    and (o.order_code = n.order_code or (n.order_code is null and o.order_id = n.order_id))
where n.recency = 1
