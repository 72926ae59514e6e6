-- The same readings, faster for what nearly every cell looks like. A pattern with a bounded repeat ({1,15}) costs three times one without, so what is
-- plain digits is asked first, with its length; all else goes the way it went. tests/warehouse/test_parse.py holds the two against each other.
create or replace function parse.integer(t text) returns numeric language sql immutable parallel safe as
$$ select case
     when t ~ '^[0-9]+$' and length(t) <= 18 then t::numeric
     when t ~ '^ *-?[0-9]{1,18} *$' then t::numeric
     when t ~ '^ *-?[0-9]{1,18}\.0{1,2} *$' then split_part(t, '.', 1)::numeric
   end $$;

create or replace function parse.decimal(t text) returns numeric language sql immutable parallel safe as
$$ select case
     when t ~ '^[0-9]+$' and length(t) <= 12 then t::numeric
     when t ~ '^ *-?[0-9]{1,12}(,[0-9]{1,9})? *$' then replace(t, ',', '.')::numeric
     when t ~ '^ *-?[0-9]{1,12}\.0{1,2} *$' then split_part(t, '.', 1)::numeric
   end $$;

create or replace function parse.money(t text) returns numeric language sql immutable parallel safe as
$$ select case
     when t ~ '^[0-9]+$' and length(t) <= 15 then t::numeric
     when t ~ '^[0-9]{1,3}(?:\.[0-9]{3})+$' and length(t) <= 19 then replace(t, '.', '')::numeric
     when t ~ '^ *-?[0-9]{1,15} *$' then t::numeric
     when t ~ '^ *-?([0-9]{1,15}|[0-9]{1,3}(\.[0-9]{3}){1,4}|[0-9]{1,3}(,[0-9]{3}){1,4}) *(đ|₫|VND|vnđ|VNĐ|đồng)? *$'
       then translate(t, '., đ₫VNDvnĐồg', '')::numeric
     when t ~ '^ *-?[0-9]{1,15}\.0{1,2} *(đ|₫|VND|vnđ|VNĐ|đồng)? *$' then split_part(t, '.', 1)::numeric
   end $$;

create or replace function parse.epoch_ms(t text) returns timestamptz language sql immutable parallel safe as
$$ select case
     when t ~ '^[0-9]+$' and length(t) <= 13 then to_timestamp(t::double precision / 1000)
     when t ~ '^ *[0-9]{1,13} *$' then to_timestamp(t::double precision / 1000)
   end $$;

-- A time as it is nearly always written, on a day that every month has.
create or replace function parse.local_time(t text) returns timestamptz language sql immutable parallel safe as
$$ select case
     when t ~ '^(?:0[1-9]|1[0-9]|2[0-8])/(?:0[1-9]|1[0-2])/[1-9][0-9]{3} (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$'
       then make_timestamp(substr(t, 7, 4)::integer, substr(t, 4, 2)::integer, substr(t, 1, 2)::integer,
                           substr(t, 12, 2)::integer, substr(t, 15, 2)::integer, substr(t, 18, 2)::double precision)
            at time zone interval '+07:00'
     when t !~ '^ *(0?[1-9]|[12][0-9]|3[01])/(0?[1-9]|1[0-2])/[1-9][0-9]{3}( ([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)? *$' then null
     when t ~ '^ *(31/(0?[469]|11)|3[01]/0?2)/' then null
     when t ~ '^ *29/0?2/'
       and not (substr(split_part(t, '/', 3), 1, 4)::integer % 4 = 0
                and (substr(split_part(t, '/', 3), 1, 4)::integer % 100 <> 0 or substr(split_part(t, '/', 3), 1, 4)::integer % 400 = 0))
       then null
     else make_timestamp(substr(split_part(t, '/', 3), 1, 4)::integer, split_part(t, '/', 2)::integer, split_part(t, '/', 1)::integer,
                         ('0' || btrim(substr(split_part(t, '/', 3), 6, 2)))::integer,
                         ('0' || btrim(substr(split_part(t, '/', 3), 9, 2)))::integer,
                         ('0' || btrim(substr(split_part(t, '/', 3), 12, 2)))::double precision)
          at time zone interval '+07:00'
   end $$;
