{# Change rows of wallet accounts. #}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_changed_snapshots('accounts') }}",
          indexes=[{'columns': ['platform', 'account_ref', 'valid_from']}, {'columns': ['valid_from']}]) }}
{{ snapshot_changes(ref('int_accounts__observed'), 'accounts', 'account_ref',
    ['phone_key', 'citizen_id_key', 'source_commune_code', 'kyc_level', 'account_status', 'opened_day', 'identified_day',
     'is_matchable', 'is_counting']) }}
