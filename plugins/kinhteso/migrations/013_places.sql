-- A rejected delivery waits under every rule that it fails, also those whose rows broke a limit; each says where its first rows stand.
create or replace view ops.open_matter as
select e.export_id, e.source, e.dataset, e.unit, e.business_day, e.version, 'rows' as kind, q.rule_id, q.rule_name, min(q.rule) as rule,
       count(*) as rows, min(q.opened_at) as since, (array_agg(q.file order by q.source_row))[1] as file,
       (array_agg(q.file_row order by q.source_row))[1:5] as file_rows,
       (array_agg(distinct coalesce(q.row_key, 'row ' || q.file_row)))[1:5] as keys, null as places
from ops.quarantine as q
join ops.export as e on e.export_id = q.export_id
where q.state = 'open' and e.state = 'accepted'
group by e.export_id, q.rule_id, q.rule_name
union all
select e.export_id, e.source, e.dataset, e.unit, e.business_day, e.version, 'rejected', coalesce(c.rule_id, ''), coalesce(c.rule_name, ''),
       coalesce(nullif(c.rule, ''), e.reason, 'no reason noted'), coalesce(c.rows_failed, 0), coalesce(e.ended_at, e.landed_at), e.origin, null, null,
       c.places
from ops.export as e
left join ops.check_result as c on c.export_id = e.export_id and not c.passed and c.outcome in ('reject', 'quarantine')
where e.state = 'rejected' and e.dismissed_at is null
  and not exists (select from ops.export as n where n.source = e.source and n.dataset = e.dataset and n.unit = e.unit
                    and n.business_day = e.business_day and n.state = 'accepted' and n.version > e.version)
union all
select e.export_id, e.source, e.dataset, e.unit, e.business_day, e.version, case c.outcome when 'reject' then 'kept' else 'unmapped' end,
       c.rule_id, c.rule_name, c.rule, c.rows_failed, c.checked_at, e.origin, null, null, c.places
from ops.check_result as c
join ops.export as e on e.export_id = c.export_id
where e.state = 'accepted' and not c.passed
  and (c.outcome = 'reject' or (c.rule_id in ('F46', 'F49') and c.outcome = 'warn' and c.rule_name not like 'limit%'))
union all
select e.export_id, e.source, e.dataset, e.unit, e.business_day, e.version, 'changed', 'F12', 'same_name',
       'the same name came again with other content, which was not taken; a correction has to come as a higher version', 0, c.noticed_at, c.origin, null, null, null
from ops.content_change as c
join ops.export as e on e.export_id = c.export_id
where not exists (select from ops.export as n where n.source = e.source and n.dataset = e.dataset and n.unit = e.unit
                    and n.business_day = e.business_day and n.state = 'accepted' and n.version > e.version);
