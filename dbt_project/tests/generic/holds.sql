{# A condition holds on every row; `name` says what is tested. #}
{% test holds(model, name, condition, column_name=none) %}
select * from {{ model }} where not ({{ condition }})
{% endtest %}
