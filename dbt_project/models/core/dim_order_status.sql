{{ config(tags=['static']) }}

select
    status as order_status,
    cast(rank as integer) as rank,
    cast(is_terminal as boolean) as is_terminal,
    cast(is_placed as boolean) as is_placed,
    cast(is_valid as boolean) as is_valid,
    cast(is_successful as boolean) as is_successful,
    name_vi,
    name_en
from {{ ref('order_status') }}
