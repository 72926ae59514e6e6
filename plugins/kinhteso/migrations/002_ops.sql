-- What happened to every delivery (RELIABILITY, "The life of an export").
create schema if not exists raw;
create schema if not exists ops;

create table ops.export (
  export_id        bigint primary key,          -- derived from the natural key: the same delivery has the same id in every warehouse
  source           text not null,               -- postmart | voso | registers
  dataset          text not null,               -- stores, orders, ... (expectations/<source>/<dataset>.yml)
  unit             text not null default '',    -- registers: the file's district or commune code; else ''
  business_day     date not null,               -- the day the data speak of (registers: as-of date)
  version          integer not null,            -- Postmart: vN of the supplier; Vỏ Sò: n-th pull; registers: n-th file
  mode             text not null,               -- snapshot | delta | window | form; a backlog is told by `is_backlog`
  is_backlog       boolean not null default false,
  state            text not null check (state in ('expected','landed','loaded','judged','accepted','rejected','superseded')),
  reason           text,                        -- why it is rejected, superseded or still expected; in words
  origin           text,                        -- file name, API path or form file name at the source
  landing_path     text,                        -- folder of the delivery, relative to the landing
  sha256           text,                        -- of the delivery: file, or of all its parts in order
  bytes            bigint,
  received_at      timestamptz,                 -- arrival: file modification time at the source, or end of the pull (source clock)
  pulled_at        timestamptz,                 -- Vỏ Sò: the source's clock when the pull began
  window_since     timestamptz,
  window_until     timestamptz,                 -- exclusive; the watermark is the greatest one accepted
  is_reconstructed boolean not null default false, -- a pulled snapshot that is too late to be the state of its day (RULINGS 16)
  rows_declared    bigint,                      -- what the manifest, TOTAL or form says
  orders_declared  bigint,                      -- Postmart A3: distinct orders the manifest says
  control_total    numeric(20,0),               -- Postmart A3, A4: control sum of the manifest, whole VND
  rows_delivered   bigint,                      -- data rows found
  rows_loaded      bigint,                      -- rows that count as soon as the export is accepted: raw rows not set aside
  rows_quarantined bigint,
  rows_duplicate   bigint,                      -- exact duplicates
  rows_superseded  bigint,                      -- read twice in one pull, an older state of a key
  expected_at      timestamptz,
  landed_at        timestamptz,
  loaded_at        timestamptz,
  judged_at        timestamptz,
  accepted_at      timestamptz,
  ended_at         timestamptz,                 -- rejected or superseded
  run_id           text,
  unique (source, dataset, unit, business_day, version)
);
create index on ops.export (source, dataset, business_day) where state = 'accepted';
create index on ops.export (state) where state in ('expected', 'landed', 'loaded', 'judged');
create index on ops.export (source, dataset, sha256);

create table ops.export_part (
  export_id      bigint not null references ops.export,
  part_no        integer not null,
  path           text not null,                 -- relative to the landing
  origin         text not null,                 -- file name or request at the source
  sha256         text not null,                 -- of the bytes as they came
  bytes          bigint not null,
  first_row      bigint,                        -- source_row of the part's first row
  rows           bigint,
  first_file_row bigint,                        -- row number inside the file of first_row (headings stand above it)
  primary key (export_id, part_no)
);

-- A delivery under the name and version of one that is known, with other bytes (F12): never taken, always told.
create table ops.content_change (
  export_id    bigint not null references ops.export,
  sha256       text not null,
  bytes        bigint,
  landing_path text,
  origin       text,
  run_id       text,
  noticed_at   timestamptz not null default now(),
  primary key (export_id, sha256)
);

-- Rows that do not count, and what became of them; everything else of raw.* with an accepted export counts.
create table ops.set_aside_row (
  export_id  bigint not null references ops.export,
  source_row bigint not null,
  outcome    text not null check (outcome in ('quarantined','duplicate','superseded')),
  primary key (export_id, source_row)
);

create table ops.quarantine_row (
  export_id   bigint not null references ops.export,
  source_row  bigint not null,
  rule_id     text not null,                    -- Q03, F28, ... (EXPORTS §13, §14)
  rule_name   text not null,                    -- name of the expectation
  rule        text not null,                    -- in words
  row_key     text,                             -- natural key of the row, no personal data
  content     jsonb not null,                   -- the raw row (keys instead of personal data)
  state       text not null default 'open' check (state in ('open','replayed','dismissed')),
  state_reason text,
  opened_at   timestamptz not null default now(),
  closed_at   timestamptz,
  primary key (export_id, source_row, rule_name)
);

create table ops.check_result (
  export_id   bigint not null references ops.export,
  rule_id     text not null,
  rule_name   text not null,
  rule        text not null,
  outcome     text not null check (outcome in ('reject','quarantine','warn')),
  passed      boolean not null,
  rows_failed bigint not null,
  rows_total  bigint not null,
  sample      jsonb,                            -- first offending keys, no personal data
  figure      numeric,                          -- what was measured, where the rule is about a share or a count
  bound       numeric,                          -- the limit it was held against
  checked_at  timestamptz not null default now(),
  primary key (export_id, rule_name)
);

-- What the warehouse has not built yet. Written in the transaction that changes what counts; claimed by a build.
create table ops.change (
  change_id    bigint generated always as identity primary key,
  export_id    bigint not null references ops.export,
  source       text not null,
  dataset      text not null,
  business_day date not null,
  kind         text not null,                   -- accepted | superseded | replayed
  noted_at     timestamptz not null default now(),
  release_id   bigint                           -- null until a release holds it
);
create index on ops.change (change_id) where release_id is null;

create table ops.release (
  release_id     bigint generated always as identity primary key,
  published_at   timestamptz not null,
  business_date  date not null,                 -- last day the release tells of
  completeness   text not null,                 -- of that day
  what_changed   text not null,
  rows_changed   bigint not null,
  project_digest text not null                  -- of seeds and models: another digest means a full rebuild
);

create table ops.dbt_result (
  invocation_id text not null,
  node          text not null,
  kind          text not null,
  status        text not null,
  seconds       numeric(12,3) not null,
  failures      bigint,
  message       text,
  ran_at        timestamptz not null default now(),
  primary key (invocation_id, node)
);

-- A source's identity seen first is pinned (SFTP host key when the connection does not carry one).
create table ops.source_pin (
  source    text not null,
  kind      text not null,
  value     text not null,
  pinned_at timestamptz not null default now(),
  primary key (source, kind)
);
