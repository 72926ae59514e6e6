-- Reconciliation: a platform's whole state (Vỏ Sò's bulk, its re-read, Postmart's monthly file) against what the warehouse knows.
-- Such a delivery is an export with a `unit` (bulk | reread | month); the daily one of the same day has none.

-- Rows of it that say what the warehouse knows already (duplicate), or less than it knows (superseded): set aside because of other exports.
alter table ops.set_aside_row add column compared boolean not null default false;

-- What differs, key by key. `is_mended`: the delivery's row counts now; kind 'extra': what counted under the key is withdrawn instead.
create table ops.difference (
  export_id  bigint not null references ops.export on delete cascade,
  source     text not null,
  dataset    text not null,
  key        text not null,                     -- natural key, no personal data
  kind       text not null check (kind in ('missing', 'extra', 'changed', 'older')), -- as seen from the warehouse; 'older': the delivery lags behind
  differs    jsonb not null,                    -- column -> [warehouse, delivery]; true where the value is not shown
  is_mended  boolean not null,
  noticed_at timestamptz not null default now(),
  primary key (export_id, key)
);
create index on ops.difference (source, dataset, key) where is_mended;

-- One row per comparison, kept for good.
create table ops.reconciliation (
  reconciliation_id bigint generated always as identity primary key,
  run_id           text,
  source           text not null,
  dataset          text not null,
  unit             text not null,               -- bulk | reread | month
  as_of            date not null,               -- the day at whose end the delivery shows the platform
  export_id        bigint references ops.export,-- null: nothing came
  state            text not null check (state in ('equal', 'mended', 'refused')),
  passed           boolean not null,            -- within the limits of expectations/reconciliation.yml
  compared         bigint not null default 0,   -- keys that either side knows at as_of
  missing          bigint not null default 0,   -- the warehouse did not know them
  extra            bigint not null default 0,   -- the platform does not know them any more
  changed          bigint not null default 0,   -- the platform says something else
  older            bigint not null default 0,   -- the delivery lags behind the warehouse; nothing is mended
  orders_warehouse bigint,                      -- Q18, of orders only
  orders_source    bigint,
  goods_net_warehouse_vnd numeric(20,0),
  goods_net_source_vnd    numeric(20,0),
  message          text not null,               -- in words
  compared_at      timestamptz not null default now()
);
create index on ops.reconciliation (as_of, source, dataset);
create index on ops.reconciliation (run_id);
