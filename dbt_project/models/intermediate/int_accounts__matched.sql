{# Each account's states over time with its household and commune; half-open [valid_from, valid_to). #}
{{ config(materialized='incremental', incremental_strategy='append',
          pre_hook="{{ forget_states(ref('int_accounts__changed'), 'account_ref') }}",
          indexes=[{'columns': ['platform', 'account_ref', 'valid_from']}, {'columns': ['valid_from']}, {'columns': ['valid_to']}]) }}
{{ matched_states(ref('int_accounts__changed'), 'account_ref', 'accounts', 'identified_day',
    ['kyc_level', 'account_status', 'opened_day', 'identified_day'], has_name=false) }}
