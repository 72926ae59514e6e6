-- What the builds since the last release can have moved, table by table: the predicate over its rows (alias t) by which the build itself forgot them, so
-- that a release compares those rows and no others. Emptied by the release.
create table ops.build_moved (
  build_id  bigint not null,
  relation  text not null,                      -- schema.name of the table that was built
  predicate text not null
);
create index on ops.change (build_id);

-- What a release tells of deliveries must not read all that was ever checked.
create index on ops.check_result (export_id) where not passed;
create index on ops.quarantine_row (export_id) where state = 'open';

-- Stores, accounts and products whose states a build tells again, per table.
create table ops.build_entity (relation text not null, platform text not null, code text not null, primary key (relation, platform, code));

create index on ops.account_as_published (valid_to);
