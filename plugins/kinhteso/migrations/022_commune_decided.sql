-- What operators have decided (seed address_decision) about communes as Postmart's stores and accounts write them: staging puts it before the platform's code.
-- Written by each build from the texts that have come (kinhteso.deciding); one row per text and span of days.
create table ops.commune_decided (
  source_code   text not null,                 -- as delivered; '' where nothing is written
  commune_name  text not null,
  district_name text not null,
  valid_from    date not null,                 -- days of the snapshot, half open
  valid_to      date not null,
  list          text not null,                 -- in force on them
  code          text,                          -- of that list; null: decided to be no commune of the province
  primary key (source_code, commune_name, district_name, valid_from),
  check (valid_from < valid_to)
);
comment on table ops.commune_decided is 'Xã đã có người quyết định, theo cách Postmart ghi · communes that a person has decided, as Postmart writes them';
