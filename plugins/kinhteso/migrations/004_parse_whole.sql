-- A dot before exactly three digits is a thousands mark or nothing (RULINGS 21): of decimals that say "whole", only .0 and .00 are read.
create or replace function parse.money(t text) returns numeric language sql immutable parallel safe as
$$ select case
     when t ~ '^ *-?[0-9]{1,15} *$' then t::numeric
     when t ~ '^ *-?([0-9]{1,15}|[0-9]{1,3}(\.[0-9]{3}){1,4}|[0-9]{1,3}(,[0-9]{3}){1,4}) *(đ|₫|VND|vnđ|VNĐ|đồng)? *$'
       then translate(t, '., đ₫VNDvnĐồg', '')::numeric
     when t ~ '^ *-?[0-9]{1,15}\.0{1,2} *(đ|₫|VND|vnđ|VNĐ|đồng)? *$' then split_part(t, '.', 1)::numeric
   end $$;

create or replace function parse.decimal(t text) returns numeric language sql immutable parallel safe as
$$ select case when t ~ '^ *-?[0-9]{1,12}(,[0-9]{1,9})? *$' then replace(t, ',', '.')::numeric
               when t ~ '^ *-?[0-9]{1,12}\.0{1,2} *$' then split_part(t, '.', 1)::numeric end $$;

create or replace function parse.integer(t text) returns numeric language sql immutable parallel safe as
$$ select case when t ~ '^ *-?[0-9]{1,18} *$' then t::numeric
               when t ~ '^ *-?[0-9]{1,18}\.0{1,2} *$' then split_part(t, '.', 1)::numeric end $$;
