{# The grain of a table: no two rows share the key, and no part of it is null. #}
{% test unique_key(model, columns) %}
select {{ columns | join(', ') }}, count(*) as rows_with_this_key
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1 {% for c in columns %} or {{ c }} is null {% endfor %}
{% endtest %}
