{# Small counts (KPI §4): a count of 1 to 4 households is not shown, nor what would give it away.

   `cells`: rows with `group` (columns of what is summed up and published: a commune on a day), `code` (who the row is within it) and the measures.
   Everything that is published of a group is its totals, so what an attacker holds is: hidden cells = total less the shown ones, of each measure; a count is not
   negative, one that is hidden alone among shown zeros not 0, and none is above the one that it is a part of.

   1. What is a part of a hidden count is hidden with it (`within`: who has an active store has a store, who has a store is a household): a shown
      part would be a floor under the whole.
   2. Counts of 1 to 4 are hidden. Zeros are shown: they tell of nobody.
   3. The hidden ones need room: one of them could be 5 or more, as seen from the total. They have it when what they hold above 1 each is at least 4 together
      (a single one never has). If not, the smallest shown count of 5 or more goes with them (ties: the lower code); it always gives enough.
   4. Where there is none, all of the measure's counts in the group are hidden, zeros too: whose they are stays open, how many the total says anyway.
      The same for the whole if its part is in one row only: else zeros of the whole would show where the part is.

   Then each hidden count of 1 to 4 could, as far as anybody can compute, be 5 or more (by 4.: also 0). What it cannot do: a group of one row is its total.
   `hidden` (a column per measure) is all that this gives back; the caller shows nothing of a hidden count, and nothing made of one.
   With the variable `complementary` off only rule 2 is kept: that is what tests/warehouse/test_suppression.py breaks. #}
{% macro hidden_counts(cells, group, code, within) -%}
  {%- set all_of_group = 'over (partition by ' ~ group | join(', ') ~ ')' -%}
  {%- set is_whole_rule = var('complementary', true) -%}
  {%- set chain = namespace(step=cells) -%}
  {%- for m, whole in within.items() -%}
    {%- set parts = [] -%}
    {%- for p, of in within.items() if of == m and whole -%}{%- do parts.append(p) -%}{%- endfor -%}
    {%- set chain.step -%}
(select j.*,
        coalesce(j.{{ m }}_small or j.{{ m }}_forced
                 {%- if is_whole_rule %} or (j.{{ m }}_cramped and (not j.{{ m }}_has_next or j.{{ m }}_next)) or j.{{ m }}_alone{% endif %}, false)
        and j.{{ m }} is not null as {{ m }}_hidden
   from (select s.*,
                bool_or(s.{{ m }}_small) {{ all_of_group }}
                and sum(case when s.{{ m }}_small or s.{{ m }}_forced then greatest(s.{{ m }} - 1, 0) else 0 end) {{ all_of_group }} < 4 as {{ m }}_cramped,
                bool_or(s.{{ m }}_large) {{ all_of_group }} as {{ m }}_has_next,
                s.{{ m }}_large and row_number() over (partition by {{ group | join(', ') }}, s.{{ m }}_large order by s.{{ m }}, s.{{ code }}) = 1 as {{ m }}_next
           from (select c.*,
                        coalesce(c.{{ m }} between 1 and 4, false) as {{ m }}_small,
                        {% if whole and is_whole_rule %}c.{{ whole }}_hidden{% else %}false{% endif %} as {{ m }}_forced,
                        coalesce(c.{{ m }} >= 5, false){% if whole and is_whole_rule %} and not c.{{ whole }}_hidden{% endif %} as {{ m }}_large,
                        count(*) {{ all_of_group }} > 1 and count(*) filter (where c.{{ m }} > 0) {{ all_of_group }} = 1
                        and ({% for p in parts %}sum(c.{{ p }}) {{ all_of_group }} between 1 and 4 or {% endfor %}false) as {{ m }}_alone
                   from {{ chain.step }} as c) as s) as j)
    {%- endset -%}
  {%- endfor -%}
  {{ chain.step }}
{%- endmacro %}
