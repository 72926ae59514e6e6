-- A check may fail a run without taking the data away (EXPORTS §14 "FAIL", docs/README.md "Readings").
alter table ops.check_result drop constraint if exists check_result_outcome_check;
alter table ops.check_result add constraint check_result_outcome_check check (outcome in ('reject', 'quarantine', 'fail', 'warn'));

-- How many rows of each delivery leave a column empty: the history that null rates are held against (F48).
create table ops.export_profile (
  export_id bigint primary key references ops.export on delete cascade,
  rows      bigint not null,
  nulls     jsonb not null                      -- column -> rows in which it is empty
);

-- Results of the checks over what was built (expectations/warehouse.yml): the latest per rule, day and what it is about.
create table ops.day_check (
  business_day date not null,                   -- the day that is judged
  source       text not null,                   -- postmart | voso | registers | warehouse
  dataset      text not null,                   -- '' where a check is about no single dataset
  commune_code text not null,                   -- '' for the dataset or day as a whole
  rule_id      text not null,                   -- Q12, … (EXPORTS §14)
  rule_name    text not null,
  rule         text not null,                   -- in words
  outcome      text not null check (outcome in ('fail', 'warn')),
  passed       boolean not null,
  rows_failed  bigint not null,
  rows_total   bigint not null,
  sample       jsonb,                           -- first offending keys, no personal data
  figure       numeric,                         -- what was measured
  bound        numeric,                         -- the limit it was held against
  export_id    bigint references ops.export on delete set null, -- the delivery it is about, where it is one
  withdrawn    boolean not null default false,  -- the delivery was refused for it after the build
  build_id     bigint not null,
  checked_at   timestamptz not null default now(),
  primary key (business_day, source, dataset, commune_code, rule_name)
);
create index on ops.day_check (build_id);
create index on ops.day_check (business_day) where not passed;
