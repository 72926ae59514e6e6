{# Which unit of the list of 2025 took over which part of a unit of 2021, and on what paper. #}
{{ config(tags=['static']) }}

select
    old_code,
    cast(old_list as text) as old_list,
    new_code,
    cast(new_list as text) as new_list,
    cast(share as numeric(9, 6)) as share,
    share_basis,
    legal_document
from {{ ref('commune_succession') }}
