-- Names of communes that no rule can tell, each once per list, with what they can mean; open until they resolve: by an operator's decision (the seed
-- address_decision) or a corrected list. What stands here is place text; phones and citizen numbers are masked before.
create table ops.address_review (
  review_id    bigint generated always as identity primary key,
  source       text not null,
  dataset      text not null,
  text_norm    text not null,                  -- what a decision names
  list         text not null,                  -- of communes, by the record's date
  candidates   text not null,                  -- codes of that list, '|' between them; empty: none fits
  candidate_names text not null,
  rule         text not null,
  rows         bigint not null check (rows >= 0),   -- that wait under it now
  first_export_id bigint references ops.export,
  first_file   text,
  first_seen   timestamptz not null default now(),
  last_seen    timestamptz not null default now(),
  state        text not null default 'open' check (state in ('open', 'decided')),
  decided_code text,
  decided_rule text,                           -- 'decision', or the rule by which it resolves since the lists were corrected
  decided_at   timestamptz,
  unique (source, dataset, text_norm, list),
  check ((state = 'open') = (decided_at is null))
);
comment on table ops.address_review is 'Tên xã chưa xác định được, chờ người quyết định · names of communes that wait for a person''s decision';
