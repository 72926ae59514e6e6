-- How old the newest data of each dataset are, by their own date against the business day (EXPORTS §12), as `dbt source freshness` last measured it.
-- units, units_late: of the forms, communes and districts that have delivered, and those whose newest form is older than the limit.
create table ops.source_freshness (
  source        text not null,
  dataset       text not null,
  status        text not null check (status in ('pass', 'warn', 'error', 'runtime error')),
  business_date date not null,
  data_date     date,
  age_days      integer,
  limit_days    integer not null,
  units         integer not null default 0,
  units_late    integer not null default 0,
  message       text,
  checked_at    timestamptz not null default now(),
  primary key (source, dataset)
);
