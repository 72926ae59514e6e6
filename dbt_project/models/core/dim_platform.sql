{{ config(tags=['static']) }}

select platform, name_vi, name_en, operator_vi from {{ ref('platform') }}
