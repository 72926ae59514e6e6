-- Reading delivered text, once for the judge and for dbt: each function gives NULL for text that does not say
-- what it should, so "not blank and NULL" is what "does not parse" means. Plain immutable SQL, no extension.
create schema if not exists parse;

-- EXPORTS §8.4: empty and "-" are "no value".
create or replace function parse.blank(t text) returns boolean language sql immutable parallel safe as
$$ select t is null or btrim(t) in ('', '-') $$;

-- These are called for every cell, so each is one expression without FROM and without a call of its own: the planner then
-- inlines it (five times faster). For the same reason nothing here is merely stable.

-- RULINGS 21: "." or "," before groups of exactly three digits is a thousands mark; "1250000.0" is 1250000;
-- "đ" / "VND" may follow; anything else is NULL. Whole VND.
create or replace function parse.money(t text) returns numeric language sql immutable parallel safe as
$$ select case
     when t ~ '^ *-?[0-9]{1,15} *$' then t::numeric
     when t ~ '^ *-?([0-9]{1,15}|[0-9]{1,3}(\.[0-9]{3}){1,4}|[0-9]{1,3}(,[0-9]{3}){1,4}) *(đ|₫|VND|vnđ|VNĐ|đồng)? *$'
       then translate(t, '., đ₫VNDvnĐồg', '')::numeric
     when t ~ '^ *-?[0-9]{1,15}\.0+ *(đ|₫|VND|vnđ|VNĐ|đồng)? *$' then split_part(t, '.', 1)::numeric
   end $$;

-- RULINGS 21: quantities have a decimal comma (the reader writes number cells so too).
create or replace function parse.decimal(t text) returns numeric language sql immutable parallel safe as
$$ select case when t ~ '^ *-?[0-9]{1,12}(,[0-9]{1,9})? *$' then replace(t, ',', '.')::numeric
               when t ~ '^ *-?[0-9]{1,12}\.0+ *$' then split_part(t, '.', 1)::numeric end $$;

create or replace function parse.integer(t text) returns numeric language sql immutable parallel safe as
$$ select case when t ~ '^ *-?[0-9]{1,18} *$' then t::numeric
               when t ~ '^ *-?[0-9]{1,18}\.0+ *$' then split_part(t, '.', 1)::numeric end $$;

-- EXPORTS §12 R3: 50%, 0,5 and 50 all mean 50 %; a fraction in [0, 1]. With the sign it is always per cent ("1%" is 0.01).
create or replace function parse.rate(t text) returns numeric language sql immutable parallel safe as
$$ select case
     when t !~ '^ *[0-9]{1,3}([.,][0-9]{1,6})?\s*%? *$' then null
     when replace(rtrim(t, ' %'), ',', '.')::numeric > 100 then null
     when position('%' in t) > 0 or replace(rtrim(t, ' %'), ',', '.')::numeric > 1
       then replace(rtrim(t, ' %'), ',', '.')::numeric / 100
     else replace(rtrim(t, ' %'), ',', '.')::numeric
   end $$;

-- dd/MM/yyyy (EXPORTS §8.3: never guessed); a time after it is allowed and ignored. Days that no calendar has are NULL
-- (make_date would raise): 31 of a short month, 30 and 31 February, 29 February outside leap years.
create or replace function parse.local_date(t text) returns date language sql immutable parallel safe as
$$ select case
     when t !~ '^ *(0?[1-9]|[12][0-9]|3[01])/(0?[1-9]|1[0-2])/[1-9][0-9]{3}( [0-9]{2}:[0-9]{2}(:[0-9]{2})?)? *$' then null
     when t ~ '^ *(31/(0?[469]|11)|3[01]/0?2)/' then null
     when t ~ '^ *29/0?2/'
       and not (substr(split_part(t, '/', 3), 1, 4)::integer % 4 = 0
                and (substr(split_part(t, '/', 3), 1, 4)::integer % 100 <> 0 or substr(split_part(t, '/', 3), 1, 4)::integer % 400 = 0))
       then null
     else make_date(substr(split_part(t, '/', 3), 1, 4)::integer, split_part(t, '/', 2)::integer, split_part(t, '/', 1)::integer)
   end $$;

-- dd/MM/yyyy HH:mm:ss in Asia/Ho_Chi_Minh (UTC+7, no daylight saving since 1975) as an instant; a bare date is its midnight.
create or replace function parse.local_time(t text) returns timestamptz language sql immutable parallel safe as
$$ select case
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

create or replace function parse.epoch_ms(t text) returns timestamptz language sql immutable parallel safe as
$$ select case when t ~ '^ *[0-9]{1,13} *$' then to_timestamp(t::double precision / 1000) end $$;

create or replace function parse.boolean(t text) returns boolean language sql immutable parallel safe as
$$ select case lower(btrim(t)) when 'true' then true when 'false' then false end $$;

-- JSON text, or NULL when it is none. Procedural, because PostgreSQL 15 cannot ask whether text is JSON without trying.
create or replace function parse.json(t text) returns jsonb language plpgsql immutable as
$$ begin return t::jsonb; exception when others then return null; end $$;

-- The business day (Asia/Ho_Chi_Minh) an instant falls in: day D is [D-1 17:00Z, D 17:00Z).
create or replace function parse.business_day(ts timestamptz) returns date language sql immutable parallel safe as
$$ select (ts at time zone interval '+07:00')::date $$;

-- Letters are decomposed before lower(), so that no function leans on the database's locale.
-- Comparison form of names of places and people: no case, accents, spacing, normal form (RULINGS 3, domain rule R1).
create or replace function parse.plain(t text) returns text language sql immutable parallel safe as
$$ select regexp_replace(
            lower(regexp_replace(normalize(translate(t, 'đðĐÐ' || chr(160), 'dddd '), nfd), U&'[\0300-\036F]', '', 'g')),
            '[^a-z0-9]+', '', 'g') $$;

-- Comparison form of status words (EXPORTS §5): NFC, one space, no case, Ð as Đ, old tone placement as new (huỷ = hủy, hoá = hóa).
create or replace function parse.word(t text) returns text language sql immutable parallel safe as
$$ select replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(replace(
            regexp_replace(btrim(normalize(lower(normalize(translate(t, 'ÐĐð' || chr(160), 'đđđ '), nfd)), nfc)), '\s+', ' ', 'g'),
            'oà', 'òa'), 'oá', 'óa'), 'oả', 'ỏa'), 'oã', 'õa'), 'oạ', 'ọa'),
            'oè', 'òe'), 'oé', 'óe'), 'oẻ', 'ỏe'), 'oẽ', 'õe'), 'oẹ', 'ọe'),
            'uỳ', 'ùy'), 'uý', 'úy'), 'uỷ', 'ủy'), 'uỹ', 'ũy'), 'uỵ', 'ụy') $$;

-- Comparison form of a hamlet inside its commune: parse.plain without the unit words in front
-- ("Thôn Làng Thành", "T. Làng Thành" and "Lang Thanh" are one: EXPORTS §9.3).
create or replace function parse.hamlet(t text) returns text language sql immutable parallel safe as
$$ select nullif(parse.plain(regexp_replace(
            lower(regexp_replace(normalize(translate(btrim(t), 'đðĐÐ' || chr(160), 'dddd '), nfd), U&'[\0300-\036F]', '', 'g')),
            '^((thon|ban|xom|khoi pho|khoi|khu pho|khu|to dan pho|tdp|kp)[\s.]+|(t|b|k|x)\.\s*)+(?=[^\s])', '')), '') $$;

comment on schema parse is 'Đọc giá trị dạng chữ đã nhận · reading delivered text (judge and dbt)';
