{# Small counts (KPI §4): a count of 1 to 4 households is not shown, nor what would give it away.

   `cells`: rows with `group` (the columns of what is summed up and published: a commune, or a part of a split one, on a day), `code` (which row of it) and the measures, each with the
   measure that it is a part of (`within`). What is published of a group is its totals. So whoever reads holds, of each measure, the sum of the hidden counts; and
   knows that none is negative, that none is above what it is a part of, and which rules are followed here.

   1. What is a part of a hidden count is hidden with it (who has an active store has a store, who has a store is a household): a shown part would be
      a floor under the whole. Where all such parts are 0 they are shown: the total says so anyway.
      So is the 0 of a part whose whole is shown as 0.
   2. Counts of 1 to 4 are hidden. Zeros are shown: they tell of nobody.
   3. The hidden ones need room, so that each of them could be 5 or more: what they hold above 1 each has to be 4 together. One alone never has it. If it is
      missing, the smallest shown count of 5 or more is hidden too (ties: the lower code); that always gives enough.
   4. Where there is none, all counts of the measure are hidden in the group, zeros too: how many there are the total says, whose they are stays open. The
      same for the whole if it is in one row only and its part in the group is small: else the zeros of the whole would show whose the part is.

   What this cannot do: a group of one row is its total. The columns <measure>_hidden are what it gives; the caller shows nothing of a hidden count, and
   nothing made of one. tests/warehouse/test_suppression.py tries to derive what is hidden. #}
{% macro hidden_counts(cells, group, code, within) -%}
  {%- set all_of_group = 'over (partition by ' ~ group | join(', ') ~ ')' -%}
  {%- set chain = namespace(step=cells) -%}
  {%- for m, whole in within.items() -%}
    {%- set parts = [] -%}
    {%- for p, of in within.items() if of == m and whole -%}{%- do parts.append(p) -%}{%- endfor -%}
    {%- set step -%}
(select j.*,
        coalesce(j.{{ m }}_small
                 or (j.{{ m }}_forced and j.{{ m }}_weight > 0)
                 or (j.{{ m }}_cramped and (j.{{ m }}_next or not j.{{ m }}_has_next))
                 or j.{{ m }}_alone, false)
        and j.{{ m }} is not null{% if whole %} and (j.{{ m }} > 0 or j.{{ whole }}_hidden or j.{{ whole }} is distinct from 0){% endif %} as {{ m }}_hidden
   from (select s.*,
                sum(case when s.{{ m }}_small or s.{{ m }}_forced then s.{{ m }} else 0 end) {{ all_of_group }} as {{ m }}_weight,
                bool_or(s.{{ m }}_small) {{ all_of_group }}
                and sum(case when s.{{ m }}_small or s.{{ m }}_forced then greatest(s.{{ m }} - 1, 0) else 0 end) {{ all_of_group }} < 4 as {{ m }}_cramped,
                bool_or(s.{{ m }}_large) {{ all_of_group }} as {{ m }}_has_next,
                s.{{ m }}_large and row_number() over (partition by {{ group | join(', ') }}, s.{{ m }}_large order by s.{{ m }}, s.{{ code }}) = 1 as {{ m }}_next
           from (select c.*,
                        coalesce(c.{{ m }} between 1 and 4, false) as {{ m }}_small,
                        {% if whole %}c.{{ whole }}_hidden{% else %}false{% endif %} as {{ m }}_forced,
                        coalesce(c.{{ m }} >= 5, false){% if whole %} and not c.{{ whole }}_hidden{% endif %} as {{ m }}_large,
                        count(*) {{ all_of_group }} > 1 and count(*) filter (where c.{{ m }} > 0) {{ all_of_group }} = 1
                        and ({% for p in parts %}sum(c.{{ p }}) {{ all_of_group }} between 1 and 4 or {% endfor %}false) as {{ m }}_alone
                   from {{ chain.step }} as c) as s) as j)
    {%- endset -%}
    {%- set chain.step = step -%}
  {%- endfor -%}
  {{ chain.step }}
{%- endmacro %}
