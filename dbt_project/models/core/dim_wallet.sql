{{ config(tags=['static']) }}

select wallet, platform, wallet_name_vi from {{ ref('platform') }}
