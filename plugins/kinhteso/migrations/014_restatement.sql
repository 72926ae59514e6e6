-- What `restating` has to remember of the release before, where `bi` does not hold it: each state of a wallet account that counted.
create table ops.account_as_published (
  account_key   text not null,                  -- pseudonymous, as in core.fct_account_state
  platform      text not null,
  place         text not null,                  -- commune; of a later list <list>:<code>
  household_key text,
  valid_from    date not null,
  valid_to      date not null,
  export_id     bigint,
  primary key (account_key, valid_from)
);

-- What was told is not told otherwise afterwards.
create function ops.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '%.% is append-only: what was published stays as it was told', tg_table_schema, tg_table_name
    using hint = 'A wrong figure is put right by the next release, which adds rows.';
end $$;
