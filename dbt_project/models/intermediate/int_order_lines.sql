{# Lines of the order states that this build looks at. Postmart has no line id: the line's place in its block is its number (RULINGS 20). #}
{{ config(materialized='view', tags=['standing']) }}

with postmart as (
    select
        l.platform, l.order_code, l.export_id, l.source_row,
        row_number() over (partition by l.order_code, l.export_id order by l.source_row) as line_no,
        l.product_code, l.product_name, l.quantity, l.unit_price_vnd, l.line_amount_vnd
    from {{ ref('stg_postmart__order_lines') }} as l
    join {{ source('ops', 'build_order') }} as b on b.platform = 'postmart' and b.order_code = l.order_code
),

voso as (
    select
        o.platform, o.order_code, o.export_id, o.source_row,
        cast(x.line ->> 'LINE_NO' as integer) as line_no,
        x.line ->> 'PRODUCT_ID' as product_code,
        x.line ->> 'NAME' as product_name,
        cast(x.line ->> 'QUANTITY' as numeric) as quantity,
        cast(x.line ->> 'PRICE' as bigint) as unit_price_vnd,
        cast(x.line ->> 'AMOUNT' as bigint) as line_amount_vnd
    from {{ ref('stg_voso__orders') }} as o
    join {{ source('ops', 'build_order') }} as b on b.platform = 'voso' and b.order_code = o.order_code
    cross join lateral jsonb_array_elements(cast(o.lines as jsonb)) as x (line)
),

line as (
    select * from postmart
    union all
    select * from voso
)

select
    l.*,
    sum(l.line_amount_vnd) over (partition by l.platform, l.order_code, l.export_id, case when l.platform = 'voso' then l.source_row end
        order by l.line_no rows between unbounded preceding and current row) as amount_up_to
from line as l
