-- What one build of the warehouse works on. Claims survive a build that fails: the next one takes them again.
alter table ops.change add column if not exists build_id bigint;
create sequence if not exists ops.build_seq;

-- Orders and refunds whose state is found again in this build, and the commune-days whose flow figures move with them
-- (before and after). Emptied by the release that publishes them.
create table if not exists ops.build_order (
  platform text not null, order_code text not null, primary key (platform, order_code));
create table if not exists ops.build_refund (
  platform text not null, refund_code text not null, primary key (platform, refund_code));
create table if not exists ops.build_cell (
  commune_code text not null, date date not null, primary key (commune_code, date));

create table if not exists ops.build (
  build_id        bigint primary key,
  started_at      timestamptz not null default now(),
  ended_at        timestamptz,
  state           text not null default 'running' check (state in ('running', 'built', 'failed', 'published')),
  business_date   date not null,
  kpi_from        date not null,
  stock_from      date not null,
  first_day       date not null,
  is_rematch      boolean not null default false,
  is_full_refresh boolean not null,
  project_digest  text not null,
  message         text
);
