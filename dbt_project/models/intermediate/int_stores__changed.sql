{# Change rows of stores: a row where a snapshot says something new. #}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_changed_snapshots('stores') }}",
          indexes=[{'columns': ['platform', 'store_code', 'valid_from']}, {'columns': ['valid_from']}, {'columns': ['source_commune_code', 'valid_from']}]) }}
{{ snapshot_changes(ref('int_stores__observed'), 'stores', 'store_code',
    ['owner_type', 'store_status', 'is_deleted', 'is_test', 'phone_key', 'citizen_id_key', 'owner_name_key', 'source_commune_code',
     'hamlet', 'registered_day', 'approved_day', 'last_activity_day', 'is_matchable', 'is_counting']) }}
