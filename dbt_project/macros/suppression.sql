{# Small counts (KPI §4): a count of 1 to 4 households is not shown, nor what would give it away.

   `cells`: rows with `groups` (of each the columns of what is summed up and published, the finest first: a part of a split commune on a day, then the
   commune), `code` (which row of it) and the measures, each with the measure that it is a part of (`within`). What is published of a group is its totals. So whoever reads holds, of each measure, the sum of the hidden counts; and
   knows that none is negative, that none is above what it is a part of, and which rules are followed here.

   1. What is a part of a hidden count is hidden with it (who has an active store has a store, who has a store is a household): a shown part would be
      a floor under the whole. Where all such parts are 0 they are shown: the total says so anyway.
      So is the 0 of a part whose whole is shown as 0.
   2. Counts of 1 to 4 are hidden. Zeros are shown: they tell of nobody.
   3. The hidden ones need room, so that each of them could be 5 or more: what they hold above 1 each has to be 4 together. One alone never has it. If it is
      missing, the smallest shown count of 5 or more is hidden too (ties: the lower code); that always gives enough.
   4. Where there is none, all counts of the measure are hidden in the group, zeros too: how many there are the total says, whose they are stays open. The
      same for the whole if it is in one row only and its part in the group is small: else the zeros of the whole would show whose the part is.

   5. What is hidden for a finer group counts in the coarser one, which may need more: a hamlet alone in its part would else be what its shown neighbours
      leave of the commune.

   What this cannot do: a group of one row is its total. The columns <measure>_hidden are what it gives; the caller shows nothing of a hidden count, and
   nothing made of one. tests/warehouse/test_suppression.py tries to derive what is hidden. #}
{% macro hidden_counts(cells, groups, code, within) -%}
  {%- set chain = namespace(step=cells) -%}
  {%- for group in groups -%}
    {%- set n = '' if loop.last else '_of_' ~ loop.index -%}
    {%- set before = '' if loop.first else '_hidden_of_' ~ loop.index0 -%}
    {%- set of_group = 'over (partition by ' ~ group | join(', ') ~ ')' -%}
    {%- for m, whole in within.items() -%}
      {%- set parts = [] -%}
      {%- for p, of in within.items() if of == m and whole -%}{%- do parts.append(p) -%}{%- endfor -%}
      {%- set was = 'c.' ~ m ~ before if before else 'false' -%}
      {%- set is_whole_hidden = 'c.' ~ whole ~ '_hidden' ~ n if whole else 'false' -%}
      {%- set step -%}
(select j.*,
        coalesce(j.{{ m }}_was{{ n }} or (
                 (j.{{ m }}_small{{ n }}
                 or (j.{{ m }}_forced{{ n }} and j.{{ m }}_weight{{ n }} > 0)
                 or (j.{{ m }}_cramped{{ n }} and (j.{{ m }}_next{{ n }} or not j.{{ m }}_has_next{{ n }}))
                 or j.{{ m }}_alone{{ n }})
        {%- if whole %} and (j.{{ m }} > 0 or j.{{ whole }}_hidden{{ n }} or j.{{ whole }} is distinct from 0){% endif %}), false)
        and j.{{ m }} is not null as {{ m }}_hidden{{ n }}
   from (select s.*,
                sum(case when s.{{ m }}_held{{ n }} then s.{{ m }} else 0 end) {{ of_group }} as {{ m }}_weight{{ n }},
                bool_or(s.{{ m }}_small{{ n }}) {{ of_group }}
                and sum(case when s.{{ m }}_held{{ n }} then greatest(s.{{ m }} - 1, 0) else 0 end) {{ of_group }} < 4 as {{ m }}_cramped{{ n }},
                bool_or(s.{{ m }}_large{{ n }}) {{ of_group }} as {{ m }}_has_next{{ n }},
                s.{{ m }}_large{{ n }} and row_number() over (partition by {{ group | join(', ') }}, s.{{ m }}_large{{ n }} order by s.{{ m }}, s.{{ code }}) = 1 as {{ m }}_next{{ n }}
           from (select t.*, t.{{ m }}_small{{ n }} or t.{{ m }}_forced{{ n }} or t.{{ m }}_was{{ n }} as {{ m }}_held{{ n }}
                   from (select c.*,
                                {{ was }} as {{ m }}_was{{ n }},
                                coalesce(c.{{ m }} between 1 and 4, false) as {{ m }}_small{{ n }},
                                {{ is_whole_hidden }} as {{ m }}_forced{{ n }},
                                coalesce(c.{{ m }} >= 5, false) and not {{ is_whole_hidden }} and not {{ was }} as {{ m }}_large{{ n }},
                                count(*) {{ of_group }} > 1 and count(*) filter (where c.{{ m }} > 0) {{ of_group }} = 1
                                and ({% for p in parts %}sum(c.{{ p }}) {{ of_group }} between 1 and 4 or {% endfor %}false) as {{ m }}_alone{{ n }}
                           from {{ chain.step }} as c) as t) as s) as j)
      {%- endset -%}
      {%- set chain.step = step -%}
    {%- endfor -%}
  {%- endfor -%}
  {{ chain.step }}
{%- endmacro %}
