-- Reading delivered text, once for the judge and for dbt: each function gives NULL for text that does not say
-- what it should, so "not blank and NULL" is what "does not parse" means. Plain immutable SQL, no extension.
create schema if not exists parse;

-- EXPORTS §8.4: empty and "-" are "no value".
create or replace function parse.blank(t text) returns boolean language sql immutable parallel safe as
$$ select t is null or btrim(t) in ('', '-') $$;

-- RULINGS 21: "." or "," before groups of exactly three digits is a thousands mark; "1250000.0" is 1250000;
-- "đ" / "VND" may follow; anything else is NULL. Whole VND.
create or replace function parse.money(t text) returns numeric language sql immutable parallel safe as
$$ select case
     when s ~ '^-?[0-9]{1,15}$' then s::numeric
     when s ~ '^-?[0-9]{1,3}(\.[0-9]{3}){1,4}$' then replace(s, '.', '')::numeric
     when s ~ '^-?[0-9]{1,3}(,[0-9]{3}){1,4}$' then replace(s, ',', '')::numeric
     when s ~ '^-?[0-9]{1,15}\.0+$' then split_part(s, '.', 1)::numeric
   end
   from (select regexp_replace(btrim(t), '\s*(đ|₫|VND|vnđ|VNĐ|đồng)$', '') as s) x $$;

-- RULINGS 21: quantities have a decimal comma (the reader writes number cells so too).
create or replace function parse.decimal(t text) returns numeric language sql immutable parallel safe as
$$ select case when s ~ '^-?[0-9]{1,12}(,[0-9]{1,9})?$' then replace(s, ',', '.')::numeric
               when s ~ '^-?[0-9]{1,12}\.0+$' then split_part(s, '.', 1)::numeric end
   from (select btrim(t) as s) x $$;

create or replace function parse.integer(t text) returns numeric language sql immutable parallel safe as
$$ select case when s ~ '^-?[0-9]{1,18}$' then s::numeric
               when s ~ '^-?[0-9]{1,18}\.0+$' then split_part(s, '.', 1)::numeric end
   from (select btrim(t) as s) x $$;

-- EXPORTS §12 R3: 50%, 0,5 and 50 all mean 50 %; a fraction in [0, 1].
create or replace function parse.rate(t text) returns numeric language sql immutable parallel safe as
$$ select case when v is null or v < 0 then null
               when s like '%!%' escape '!' and v <= 100 then v / 100
               when v <= 1 then v
               when v <= 100 then v / 100 end
   from (select btrim(t) as s,
                case when btrim(t) ~ '^[0-9]{1,3}([.,][0-9]{1,6})?\s*%?$'
                     then replace(btrim(replace(btrim(t), '%', '')), ',', '.')::numeric end as v) x $$;

-- A real calendar date, or NULL (make_date raises on 31/02, so the day is checked before).
create or replace function parse.ymd(y integer, m integer, d integer) returns date language sql immutable parallel safe as
$$ select case when y between 1 and 9999 and m between 1 and 12 and d between 1 and 31
                and d <= extract(day from (make_date(y, m, 1) + interval '1 month' - interval '1 day'))
               then make_date(y, m, d) end $$;

-- dd/MM/yyyy (EXPORTS §8.3: never guessed); a time after it is allowed and ignored.
create or replace function parse.local_date(t text) returns date language sql immutable parallel safe as
$$ select case when btrim(t) ~ '^[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}( [0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$'
               then parse.ymd(split_part(split_part(btrim(t), ' ', 1), '/', 3)::integer,
                              split_part(btrim(t), '/', 2)::integer, split_part(btrim(t), '/', 1)::integer) end $$;

-- dd/MM/yyyy HH:mm:ss in Asia/Ho_Chi_Minh (UTC+7, no daylight saving since 1975) as an instant; a bare date is its midnight.
create or replace function parse.local_time(t text) returns timestamptz language sql immutable parallel safe as
$$ select case when parse.local_date(t) is not null
                and coalesce(nullif(split_part(btrim(t), ' ', 2), ''), '00:00:00') ~ '^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$'
               then (parse.local_date(t) + coalesce(nullif(split_part(btrim(t), ' ', 2), ''), '00:00:00')::time)
                    at time zone interval '+07:00' end $$;

create or replace function parse.epoch_ms(t text) returns timestamptz language sql immutable parallel safe as
$$ select case when btrim(t) ~ '^[0-9]{1,14}$'
               then timestamptz '1970-01-01 00:00:00+00' + (btrim(t)::bigint * interval '1 millisecond') end $$;

create or replace function parse.boolean(t text) returns boolean language sql immutable parallel safe as
$$ select case lower(btrim(t)) when 'true' then true when 'false' then false end $$;

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
