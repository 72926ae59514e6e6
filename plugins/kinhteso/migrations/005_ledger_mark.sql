-- What the ledger said when a build began: where nothing of it has moved since the last release, there is nothing to build.
alter table ops.build add column ledger_mark text;
