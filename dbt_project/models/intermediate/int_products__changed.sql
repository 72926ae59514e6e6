{# Change rows of Postmart products. #}
{{ config(materialized='incremental', incremental_strategy='append', pre_hook="{{ forget_changed_snapshots('products', ['postmart']) }}",
          indexes=[{'columns': ['platform', 'product_code', 'valid_from']}, {'columns': ['valid_from']}]) }}
{{ snapshot_changes(ref('int_products__observed'), 'products', 'product_code',
    ['store_code', 'product_name', 'category', 'unit', 'price_vnd', 'weight_g', 'ocop_stars', 'product_status', 'posted_day', 'is_on_sale'],
    ['postmart']) }}
