-- Quarantine keeps its history: a row that is good on a later judgement is closed as replayed, not forgotten; what a person dismissed stays so.
alter table ops.quarantine_row add column last_failed_at timestamptz;   -- the last judgement that found it bad
alter table ops.quarantine_row add column closed_by text;               -- who replayed or dismissed it; 'pipeline' where no person did
update ops.quarantine_row set last_failed_at = opened_at;

-- A rejected export that a person has dismissed is not read again.
alter table ops.export add column dismissed_at timestamptz;
alter table ops.export add column dismissed_by text;
alter table ops.export add column dismissed_reason text;

alter table ops.check_result add column places text;                    -- file and first rows in it of what fails

-- Who asked for what, and what came of it, per export. Rows are only ever added.
create table ops.quarantine_action (
  action_id      bigint generated always as identity primary key,
  at             timestamptz not null default now(),
  action         text not null check (action in ('replay', 'dismiss')),
  done_by        text not null,
  run_id         text,
  selection      text not null,                 -- in words
  reason         text,                          -- of a dismissal
  export_id      bigint references ops.export,  -- null: the row that says what was asked for
  state_before   text,
  state_after    text,
  rows_replayed  bigint,                        -- rows that were in quarantine and count now
  rows_open      bigint,                        -- rows that stay in quarantine, not dismissed
  rows_dismissed bigint,
  outcome        text not null                  -- in words
);
create index on ops.quarantine_action (run_id);

create function ops.append_only() returns trigger language plpgsql as
$$ begin raise exception '%.% is append-only: a row of it is never changed or deleted', tg_table_schema, tg_table_name; end $$;
create trigger append_only before update or delete or truncate on ops.quarantine_action for each statement execute function ops.append_only();

-- Every quarantined row with its place: the file, and the row number inside it.
create view ops.quarantine as
select q.*, e.source, e.dataset, e.unit, e.business_day, e.version, e.state as export_state,
       p.part_no, coalesce(p.origin, e.origin) as file, p.path as landing_path,
       coalesce(p.first_file_row + q.source_row - p.first_row, q.source_row) as file_row
from ops.quarantine_row as q
join ops.export as e on e.export_id = q.export_id
left join lateral (
  select * from ops.export_part as x where x.export_id = q.export_id and x.first_row <= q.source_row order by x.first_row desc limit 1
) as p on true;

-- What waits for a person. kind: rows (in quarantine, of a delivery that counts) | rejected (a delivery) | unmapped (rows that count, but as
-- UNKNOWN or under commune 00000) | kept (a delivery that counts and would be rejected by the rules of today) | changed (F12: other bytes came
-- under the name of a known delivery). A delivery of which a higher version counts waits for nobody.
create view ops.open_matter as
select e.export_id, e.source, e.dataset, e.unit, e.business_day, e.version, 'rows' as kind, q.rule_id, q.rule_name, min(q.rule) as rule,
       count(*) as rows, min(q.opened_at) as since, (array_agg(q.file order by q.source_row))[1] as file,
       (array_agg(q.file_row order by q.source_row))[1:5] as file_rows,
       (array_agg(distinct coalesce(q.row_key, 'row ' || q.file_row)))[1:5] as keys
from ops.quarantine as q
join ops.export as e on e.export_id = q.export_id
where q.state = 'open' and e.state = 'accepted'
group by e.export_id, q.rule_id, q.rule_name
union all
select e.export_id, e.source, e.dataset, e.unit, e.business_day, e.version, 'rejected', coalesce(c.rule_id, ''), coalesce(c.rule_name, ''),
       coalesce(nullif(c.rule, ''), e.reason, 'no reason noted'), coalesce(c.rows_failed, 0), coalesce(e.ended_at, e.landed_at), e.origin, null, null
from ops.export as e
left join ops.check_result as c on c.export_id = e.export_id and not c.passed and c.outcome = 'reject'
where e.state = 'rejected' and e.dismissed_at is null
  and not exists (select from ops.export as n where n.source = e.source and n.dataset = e.dataset and n.unit = e.unit
                    and n.business_day = e.business_day and n.state = 'accepted' and n.version > e.version)
union all
select e.export_id, e.source, e.dataset, e.unit, e.business_day, e.version, case c.outcome when 'reject' then 'kept' else 'unmapped' end,
       c.rule_id, c.rule_name, c.rule, c.rows_failed, c.checked_at, e.origin, null, null
from ops.check_result as c
join ops.export as e on e.export_id = c.export_id
where e.state = 'accepted' and not c.passed
  and (c.outcome = 'reject' or (c.rule_id in ('F46', 'F49') and c.outcome = 'warn' and c.rule_name not like 'limit%'))
union all
select e.export_id, e.source, e.dataset, e.unit, e.business_day, e.version, 'changed', 'F12', 'same_name',
       'the same name came again with other content, which was not taken; a correction has to come as a higher version', 0, c.noticed_at, c.origin, null, null
from ops.content_change as c
join ops.export as e on e.export_id = c.export_id
where not exists (select from ops.export as n where n.source = e.source and n.dataset = e.dataset and n.unit = e.unit
                    and n.business_day = e.business_day and n.state = 'accepted' and n.version > e.version);

comment on view ops.quarantine is 'Các dòng bị giữ lại, kèm tệp và số dòng · quarantined rows with file and row number';
comment on view ops.open_matter is 'Những việc đang chờ người xử lý · what waits for a person: rows, rejected deliveries, unknown codes';
