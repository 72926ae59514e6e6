-- What a person has to know, one row per cause: told once, reminded of, and told when it is over (plugins/kinhteso/alerting.py).
create table if not exists ops.alert (
  cause_key    text primary key,                -- kind|what it is about: the same cause has the same key in every task, retry and run
  kind         text not null,                   -- export_missing, export_rejected, login_refused, ... (alerting.KINDS)
  source       text,
  subjects     text[] not null default '{}',    -- source/dataset/day of what is concerned; two causes that share one are parts of one story
  facts        jsonb not null,                  -- dataset, day, rules, first keys, words: what the message is made of; no personal data
  first_seen   timestamptz not null,
  last_seen    timestamptz not null,
  claimed_at   timestamptz,                     -- somebody is sending; believed for alerting.CLAIM_MINUTES
  sent_to      text[] not null default '{}',    -- sinks that have the message which is being sent
  told_at      timestamptz,                     -- last time a message was sent (or logged, where nobody set a sink)
  times_told   integer not null default 0,
  cleared_at   timestamptz,                     -- the cause is gone
  over_told_at timestamptz,                     -- and a person knows
  last_error   text                             -- why the last sending failed
);
create index if not exists alert_open on ops.alert (kind) where cleared_at is null;
