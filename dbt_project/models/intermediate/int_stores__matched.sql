{# Each store's states over time with its household and commune; half-open [valid_from, valid_to). #}
{{ config(materialized='incremental', incremental_strategy='append',
          pre_hook="{{ forget_states(ref('int_stores__changed'), 'store_code') }}",
          indexes=[{'columns': ['platform', 'store_code', 'valid_from']}, {'columns': ['valid_from']}, {'columns': ['valid_to']}]) }}
{{ matched_states(ref('int_stores__changed'), 'store_code', 'stores', 'approved_day',
    ['owner_type', 'store_status', 'is_test', 'registered_day', 'approved_day', 'last_activity_day'], has_name=true) }}
