-- Big invented worlds, set-based: what there is (tables), and what each source says of it on a day (functions). Everything follows from the numbers
-- of world.setting by arithmetic, so the same setting gives the same world, and the totals that must come out are counted from it in world.expected.
-- Places and people are invented; phones appear as keys only.

drop schema if exists world cascade;
create schema world;

create table world.setting (
  is_only      boolean primary key default true check (is_only),
  first_day    date not null,      -- of the history, which is the backlog's
  day          date not null,      -- the day that arrives on top of it
  stores       integer not null,   -- per platform
  households   integer not null,   -- in the household lists: those that have a store or an account
  accounts     integer not null,   -- per wallet
  orders       integer not null,   -- new ones per platform and day; on average two and a half lines each
  hamlets      integer not null,   -- per commune
  registered   bigint not null,    -- households of the whole, as the forms total them
  form_days    integer not null    -- a new form of totals, teams and lead households every so many days
);

create table world.commune (
  n integer primary key, code text, name text, district_code text, district_name text, vnpost text, vtp_ward text, vtp_district text
);

create table world.phase (district_code text primary key, phase text not null);

-- as kinhteso.personal.Keys makes them, of the comparison form of a name
create function world.key(form text) returns text language sql immutable parallel safe as
$$ select encode(sha256('{outer}'::bytea || sha256('{inner}'::bytea || convert_to(form, 'UTF8'))), 'hex') $$;

create function world.other_key(what text) returns text language sql immutable parallel safe as
$$ select encode(sha256(convert_to(what, 'UTF8')), 'hex') $$;

create function world.ms(t timestamp) returns text language sql immutable parallel safe as
$$ select (extract(epoch from t - interval '7 hours') * 1000)::bigint::text $$;

create function world.dmy(d date) returns text language sql stable parallel safe as $$ select to_char(d, 'DD/MM/YYYY') $$;
create function world.dmyhms(t timestamp) returns text language sql stable parallel safe as $$ select to_char(t, 'DD/MM/YYYY HH24:MI:SS') $$;

create table world.household as select 1 as h, 0 as commune, 0 as hamlet, ''::text as code, ''::text as name, ''::text as name_key, ''::text as phone_key where false;
create table world.store as
  select ''::text as platform, 1 as s, 0 as commune, 0 as hamlet, 1 as h, ''::text as owner_type, ''::text as owner, ''::text as owner_key, ''::text as phone_key,
         ''::text as name, ''::text as name_key, date '2021-01-01' as approved where false;

create procedure world.fill() language plpgsql as $$
declare x world.setting; communes integer;
begin
  select * into x from world.setting;
  select count(*) into communes from world.commune;
  insert into world.household
  select h, (h - 1) % communes, ((h - 1) / communes) % x.hamlets, 'MAU' || lpad(h::text, 8, '0'), 'Hộ mẫu ' || h, world.key('homau' || h), world.other_key('phone ' || h)
  from generate_series(1, x.households) as h;
  alter table world.household add primary key (h);
  -- one in 50 is a company's, one in 97 of a household that no list knows; one in 10 comes in the course of the history, one in 200 on the last day
  insert into world.store
  select platform, s, coalesce(o.commune, s % communes), coalesce(o.hamlet, 0), o.h,
         case when s % 50 = 0 then 'COMPANY' else 'HOUSEHOLD' end,
         coalesce(o.name, 'Chủ mẫu ' || s), coalesce(o.name_key, world.key('chumau' || s)), coalesce(o.phone_key, world.other_key('nobody ' || platform || s)),
         'Gian hàng mẫu ' || s, world.key('gianhangmau' || s),
         case when s % 200 = 7 then x.day
              when s % 10 = 0 then x.first_day + ((s / 10)::bigint * (x.day - x.first_day) / (x.stores / 10))::integer
              else x.first_day - 40 - s % 300 end
  from (values ('postmart', 0), ('voso', x.stores / 2)) as p (platform, shift)
  cross join generate_series(1, x.stores) as s
  left join world.household as o on o.h = s + p.shift and s % 50 <> 0 and s % 97 <> 0;
  alter table world.store add primary key (platform, s);
  analyze world.household;
  analyze world.store;
end $$;

-- ---- orders ----------------------------------------------------------------------------------------------------------------------

-- New orders of a day. Two thirds are handed over at once, a sixth is delivered two days later and a sixth cancelled then; one in 60 gets 10,000 VND back
-- on the day after. Only stores that were there from the beginning sell.
create function world.orders(p text, d date)
returns table (i integer, s integer, kind integer, line_count integer, goods bigint, discount bigint, created timestamp, is_refunded boolean)
language sql stable as $$
  select o.i, o.s, o.i % 6, 1 + o.i % 4,
         (select sum((1 + (o.i + j) % 3) * (10000 + 500 * ((o.i::bigint * 13 + j * 7) % 100))) from generate_series(0, o.i % 4) as j)::bigint,
         case when o.i % 10 = 0 then 1000 else 0 end::bigint,
         d + time '08:00' + make_interval(secs => o.i % 36000), o.i % 60 = 0
  from (
    select i, case when t.s % 10 = 0 or t.s % 200 = 7 then t.s - 1 else t.s end as s
    from world.setting as x
    cross join lateral generate_series(0, x.orders - 1) as i
    cross join lateral (
      select 1 + ((i::bigint * 7919 + (d - x.first_day) * 104729::bigint + length(p) * 17) % x.stores)::integer as s
    ) as t
  ) as o
$$;

-- What is told of orders on a day: its new ones, and those of two days before that were left open.
create function world.told(p text, d date)
returns table (i integer, s integer, kind integer, line_count integer, goods bigint, discount bigint, created timestamp, status text, at timestamp, delivered timestamp, of_day date)
language sql stable as $$
  select o.i, o.s, o.kind, o.line_count, o.goods, o.discount, o.created, case when o.kind < 4 then 'DELIVERED' else 'CONFIRMED' end,
         o.created + case when o.kind < 4 then interval '2 hours' else interval '10 minutes' end,
         case when o.kind < 4 then o.created + interval '2 hours' end, d
  from world.orders(p, d) as o
  union all
  select o.i, o.s, o.kind, o.line_count, o.goods, o.discount, o.created, case when o.kind = 4 then 'DELIVERED' else 'CANCELLED' end,
         d + time '14:00' + make_interval(secs => o.i % 3600), case when o.kind = 4 then d + time '14:00' + make_interval(secs => o.i % 3600) end, d - 2
  from world.orders(p, d - 2) as o
  where o.kind >= 4 and d - 2 >= (select first_day from world.setting)
$$;

-- ---- what Postmart says of a day: the columns of the contract, and the keys of what is personal ---------------------------------------

create function world.postmart_stores(d date)
returns table (source_row bigint, stt text, store_code text, store_name text, owner_type text, owner_name text, phone text, citizen_tail text, commune_src_code text,
  district_name text, commune_name text, hamlet_raw text, digital_address text, registered_at text, approved_at text, status_raw text, products_on_sale text,
  last_activity_at text, assisted_by text, url text, store_name_key text, owner_name_key text, phone_key text)
language sql stable as $$
  select row_number() over (order by t.s), (row_number() over (order by t.s))::text, 'PMS' || lpad(t.s::text, 7, '0'), t.name,
         case t.owner_type when 'HOUSEHOLD' then 'Hộ gia đình' else 'Doanh nghiệp' end, t.owner, null, null, c.vnpost, c.district_name, c.name,
         'Thôn ' || t.hamlet + 1, null, world.dmy(t.approved - 1), world.dmy(t.approved), 'Hoạt động', '1',
         world.dmyhms(greatest(t.approved, d - (d - x.first_day - t.s % 5 + 5) % 5) + time '10:00'), null, null, t.name_key, t.owner_key, null
  from world.store as t
  join world.commune as c on c.n = t.commune
  cross join world.setting as x
  where t.platform = 'postmart' and t.approved <= d
$$;

create function world.postmart_products(d date)
returns table (source_row bigint, product_code text, store_code text, product_name text, category text, unit text, price_vnd text, weight_kg text, stock text,
  trace_code text, ocop text, status_raw text, posted_at text, updated_at text)
language sql stable as $$
  select row_number() over (order by t.s), (1000000 + t.s)::text, 'PMS' || lpad(t.s::text, 7, '0'), 'Hàng mẫu ' || t.s, 'Nông sản > Mẫu', 'kg',
         (20000 + t.s % 997 + 5 * ((d - x.first_day + 100 - t.s % 100) / 100))::text, '0,5', '100', null, null, 'Đang bán',
         world.dmyhms(t.approved + time '09:00'),
         world.dmyhms(greatest(t.approved, x.first_day + t.s % 100 + 100 * ((d - x.first_day + 100 - t.s % 100) / 100 - 1)) + time '12:00')
  from world.store as t
  cross join world.setting as x
  where t.platform = 'postmart' and t.approved <= d
$$;

create function world.postmart_accounts(d date)
returns table (source_row bigint, stt text, account_ref text, phone_key text, account_type text, opened_at text, kyc_level text, kyc_at text, status_raw text,
  bank_linked text, commune_src_code text, commune_name text, hamlet_raw text, linked_store_code text, first_txn_at text)
language sql stable as $$
  select o.h::bigint, o.h::text, 'PP-' || lpad(o.h::text, 8, '0'), o.phone_key, 'Ví điện tử', world.dmy(x.first_day - 60), '1', world.dmy(x.first_day - 60),
         'Hoạt động', 'Không', c.vnpost, c.name, null, null, null
  from world.setting as x
  cross join world.household as o
  join world.commune as c on c.n = o.commune
  where o.h <= x.accounts
$$;

create function world.postmart_orders(d date)
returns table (source_row bigint, stt text, order_code text, created_at text, status_raw text, event_at text, reason text, store_code text, store_name text,
  buyer_province text, product_code text, product_name text, unit text, quantity text, unit_price_vnd text, line_amount_vnd text, goods_gross_vnd text,
  seller_discount_vnd text, shipping_fee_vnd text, order_total_vnd text, payment_method text, payment_status text, waybill text, carrier_status text,
  delivered_at text, sales_channel text, store_name_key text)
language sql stable as $$
  select row_number() over (order by o.of_day, o.i, j), dense_rank() over (order by o.of_day, o.i)::text,
         'PM' || to_char(o.of_day, 'YYMMDD') || lpad(o.i::text, 7, '0'), world.dmyhms(o.created),
         case o.status when 'DELIVERED' then 'Đã giao' when 'CONFIRMED' then 'Đã xác nhận' else 'Đã hủy' end, world.dmyhms(o.at),
         case when o.status = 'CANCELLED' then 'Người mua hủy' end, 'PMS' || lpad(o.s::text, 7, '0'), t.name,
         case when o.i % 2 = 0 then 'Hà Nội' else 'Lạng Sơn' end, (1000000 + 1 + (o.s + j * 37 - 1) % x.stores)::text,
         'Hàng mẫu ' || 1 + (o.s + j * 37 - 1) % x.stores, 'kg', (1 + (o.i + j) % 3)::text, l.price::text, ((1 + (o.i + j) % 3) * l.price)::text, o.goods::text,
         o.discount::text, '20000', (o.goods - o.discount + 20000)::text, 'COD', case when o.status = 'DELIVERED' then 'Đã thanh toán' else 'Chưa thanh toán' end,
         'EM' || to_char(o.of_day, 'YYMMDD') || o.i || 'VN', case o.status when 'DELIVERED' then '14' when 'CONFIRMED' then '1' else '22' end,
         world.dmyhms(o.delivered), 'App', t.name_key
  from world.told('postmart', d) as o
  cross join world.setting as x
  join world.store as t on t.platform = 'postmart' and t.s = o.s
  cross join lateral generate_series(0, o.line_count - 1) as j
  cross join lateral (select 10000 + 500 * ((o.i::bigint * 13 + j * 7) % 100) as price) as l
$$;

create function world.postmart_refunds(d date)
returns table (source_row bigint, refund_code text, order_code text, product_code text, kind text, quantity text, refund_amount_vnd text, reason text,
  requested_at text, completed_at text, status_raw text)
language sql stable as $$
  select row_number() over (order by o.i), 'HT' || to_char(d - 1, 'YYMMDD') || lpad(o.i::text, 7, '0'), 'PM' || to_char(d - 1, 'YYMMDD') || lpad(o.i::text, 7, '0'), null,
         'Hoàn tiền', null, '10000', 'Hàng dập', world.dmyhms(d - 1 + time '21:00'), world.dmyhms(d + time '11:00'), 'Đã hoàn tất'
  from world.orders('postmart', d - 1) as o
  where o.is_refunded and d - 1 >= (select first_day from world.setting)
$$;

-- ---- what Vỏ Sò says of a day -----------------------------------------------------------------------------------------------------

create function world.voso_stores(d date)
returns table (source_row bigint, store_id text, store_name text, owner_type text, owner_name text, phone_key text, id_key text, province_id text, district_id text,
  wards_id text, address text, hamlet_name text, status text, created_at text, approved_at text, last_active_at text, updated_at text, is_deleted text,
  deleted_at text, store_name_key text, owner_name_key text)
language sql stable as $$
  select row_number() over (order by t.s), (8800000000000000 + t.s)::text, t.name, case t.owner_type when 'HOUSEHOLD' then 'HO_GIA_DINH' else 'DOANH_NGHIEP' end,
         t.owner, t.phone_key, null, '22', c.vtp_district, c.vtp_ward, null, 'Thôn ' || t.hamlet + 1, 'HOAT_DONG', world.ms(t.approved - 1 + time '08:00'),
         world.ms(t.approved + time '08:00'), world.ms(l.day + time '10:00'), world.ms(l.day + time '10:00'), 'false', null, t.name_key, t.owner_key
  from world.store as t
  join world.commune as c on c.n = t.commune
  cross join world.setting as x
  cross join lateral (select greatest(t.approved, d - (d - x.first_day - t.s % 5 + 5) % 5) as day) as l
  where t.platform = 'voso' and t.approved <= d
$$;

-- the backlog has them all; a window those of new stores, and each hundredth whose price moves that day
create function world.voso_products(d date)
returns table (source_row bigint, product_id text, store_id text, name text, category_path text, unit text, price text, weight text, stock text, ocop_star text,
  status text, created_at text, updated_at text, is_deleted text)
language sql stable as $$
  select row_number() over (order by t.s), (5500000000000000 + t.s)::text, (8800000000000000 + t.s)::text, 'Hàng mẫu ' || t.s, '["Nông sản","Mẫu"]', 'kg',
         (20000 + t.s % 997 + 5 * ((d - x.first_day + 100 - t.s % 100) / 100))::text, '500', '100', null, 'DANG_BAN', world.ms(t.approved + time '09:00'),
         world.ms(case when d = x.first_day then t.approved else d end + time '12:00'), 'false'
  from world.store as t
  cross join world.setting as x
  where t.platform = 'voso' and t.approved <= d and (d = x.first_day or t.approved = d or (d - x.first_day) % 100 = t.s % 100)
$$;

create function world.voso_orders(d date)
returns table (source_row bigint, order_id text, order_number text, waybill text, store_id text, status text, order_status text, order_statusdate text,
  is_returning text, created_at text, updated_at text, confirmed_at text, shipped_at text, delivered_at text, cancelled_at text, returned_at text,
  cancel_reason text, receiver_province text, goods_amount text, seller_discount text, platform_discount text, ship_fee text, total_amount text,
  money_collection text, money_total text, cod_status text, payment_method text, currency text, lines text)
language sql stable as $$
  select row_number() over (order by o.of_day, o.i), (7100000000000000 + (o.of_day - date '2019-01-01') * 10000000::bigint + o.i)::text,
         'VS' || to_char(o.of_day, 'YYMMDD') || lpad(o.i::text, 7, '0'), 'VOSO' || to_char(o.of_day, 'YYMMDD') || lpad(o.i::text, 7, '0'),
         (8800000000000000 + o.s)::text, case o.status when 'DELIVERED' then 'GIAO_THANH_CONG' when 'CONFIRMED' then 'DA_DUYET' else 'DA_HUY' end,
         case o.status when 'DELIVERED' then '501' when 'CONFIRMED' then '100' else '107' end, world.dmyhms(o.at), 'false', world.ms(o.created), world.ms(o.at),
         world.ms(o.created + interval '10 minutes'), world.ms(case when o.status = 'DELIVERED' then o.created + interval '30 minutes' end), world.ms(o.delivered),
         world.ms(case when o.status = 'CANCELLED' then o.at end), null, case when o.status = 'CANCELLED' then 'NGUOI_MUA' end, case when o.i % 2 = 0 then '1' else '22' end,
         o.goods::text, o.discount::text, '0', '20000', (o.goods - o.discount + 20000)::text, (o.goods - o.discount + 20000)::text, '20000', 'CHUA_NHAN_COD', 'COD',
         'VND',
         (select '[' || string_agg('{"LINE_NO":' || j + 1 || ',"PRODUCT_ID":"' || 5500000000000000 + 1 + (o.s + j * 37 - 1) % x.stores || '","NAME":"Hàng mẫu '
              || 1 + (o.s + j * 37 - 1) % x.stores || '","QUANTITY":' || 1 + (o.i + j) % 3 || ',"PRICE":' || l.price || ',"AMOUNT":' || (1 + (o.i + j) % 3) * l.price
              || ',"WEIGHT":500}', ',' order by j) || ']'
          from generate_series(0, o.line_count - 1) as j
          cross join lateral (select 10000 + 500 * ((o.i::bigint * 13 + j * 7) % 100) as price) as l)
  from world.told('voso', d) as o
  cross join world.setting as x
$$;

create function world.voso_order_events(d date)
returns table (source_row bigint, event_id text, order_id text, order_number text, status text, order_status text, status_name text, order_statusdate text,
  is_returning text, reason_code text, note text, localion_currently text, created_at text)
language sql stable as $$
  select row_number() over (order by o.of_day, o.i), (9100000000000000 + (d - date '2019-01-01') * 10000000::bigint + row_number() over (order by o.of_day, o.i))::text,
         (7100000000000000 + (o.of_day - date '2019-01-01') * 10000000::bigint + o.i)::text, 'VS' || to_char(o.of_day, 'YYMMDD') || lpad(o.i::text, 7, '0'), null,
         case o.status when 'DELIVERED' then '501' when 'CONFIRMED' then '100' else '107' end, 'Mẫu', world.dmyhms(o.at), 'false', null, null, null, world.ms(o.at)
  from world.told('voso', d) as o
$$;

create function world.voso_refunds(d date)
returns table (source_row bigint, return_id text, order_id text, line_no text, type text, quantity text, refund_amount text, reason text, status text,
  requested_at text, completed_at text, updated_at text)
language sql stable as $$
  select row_number() over (order by o.i), (6100000000000000 + (d - date '2019-01-01') * 10000000::bigint + o.i)::text,
         (7100000000000000 + (d - 1 - date '2019-01-01') * 10000000::bigint + o.i)::text, null, 'HOAN_TIEN', null, '10000', 'Hàng dập', 'HOAN_TAT',
         world.ms(d - 1 + time '21:00'), world.ms(d + time '11:00'), world.ms(d + time '11:00')
  from world.orders('voso', d - 1) as o
  where o.is_refunded and d - 1 >= (select first_day from world.setting)
$$;

create function world.voso_accounts(d date)
returns table (source_row bigint, account_ref text, phone_key text, id_key text, wallet_type text, kyc_level text, status text, opened_at text, kyc_at text,
  first_txn_at text, updated_at text, province_id text, district_id text, wards_id text, hamlet_name text, store_id text)
language sql stable as $$
  select row_number() over (order by o.h), 'VM-' || lpad(o.h::text, 8, '0'), o.phone_key, null, 'VI_DIEN_TU', '1', 'HOAT_DONG', world.ms(x.first_day - 60 + time '08:00'),
         world.ms(x.first_day - 60 + time '08:00'), null, world.ms(x.first_day - 60 + time '08:00'), '22', c.vtp_district, c.vtp_ward, null, null
  from world.setting as x
  cross join world.household as o
  join world.commune as c on c.n = o.commune
  where o.h > x.accounts / 2 and o.h <= x.accounts / 2 + x.accounts
$$;

-- ---- what the districts' forms say, as of a day: `form` numbers them, so that later forms say a little more ------------------------------

create function world.registers_hamlets(d date, form integer)
returns table (district_code text, commune_code text, as_of text, stt text, commune_name text, hamlet_raw text, households text, persons text)
language sql stable as $$
  select c.district_code, c.code, d::text, (k + 1)::text, c.name, 'Thôn ' || k + 1, v.households::text, (v.households * 4)::text
  from world.setting as x
  cross join world.commune as c
  cross join lateral generate_series(0, x.hamlets - 1) as k
  cross join lateral (
    select least(2000, x.registered / ((select count(*) from world.commune) * x.hamlets) + (c.n + k) % 7 + form % 3) as households
  ) as v
$$;

create function world.registers_households(d date, form integer)
returns table (district_code text, commune_code text, as_of text, stt text, household_code text, hamlet_raw text, persons text, updated_on text, head_name_key text,
  head_name_is_test text, phone_key text)
language sql stable as $$
  select c.district_code, c.code, d::text, o.h::text, o.code, 'Thôn ' || o.hamlet + 1, '4', world.dmy(d), o.name_key, 'false', o.phone_key
  from world.household as o
  join world.commune as c on c.n = o.commune
$$;

-- three of five hamlets have a team, of a head and two who are trained
create function world.registers_teams(d date, form integer)
returns table (district_code text, commune_code text, as_of text, stt text, commune_name text, hamlet_raw text, decision text, role_raw text, trained_raw text,
  trained_on text, trained_by text, member_name_key text, member_name_is_test text)
language sql stable as $$
  select c.district_code, c.code, d::text, (k * 3 + m)::text, c.name, 'Thôn ' || k + 1, '1/QĐ-UBND', case m when 1 then 'Tổ trưởng' else 'Thành viên' end, 'Có',
         world.dmy(x.first_day - 30), 'Sở TT&TT', world.key('thanhvien' || c.code || k || m), 'false'
  from world.setting as x
  cross join world.commune as c
  cross join lateral generate_series(0, x.hamlets - 1) as k
  cross join generate_series(1, 3) as m
  where (c.n + k) % 5 < 3
$$;

create function world.registers_leads(d date, form integer)
returns table (district_code text, commune_code text, as_of text, stt text, commune_name text, hamlet_raw text, household_code text, main_goods text, recognised_on text)
language sql stable as $$
  select c.district_code, c.code, d::text, o.h::text, c.name, 'Thôn ' || o.hamlet + 1, o.code, 'Mẫu', world.dmy(x.first_day - 10)
  from world.setting as x
  cross join world.household as o
  join world.commune as c on c.n = o.commune
  where o.h % 10 = 0
$$;

create function world.registers_targets(d date, form integer)
returns table (district_code text, commune_code text, as_of text, stt text, unit_name text, level_raw text, households text, store_rate text, payment_rate text,
  lead_rate text, team_count text, phase text, decision_no text, decision_on text, due_on text)
language sql stable as $$
  select c.district_code, c.code, d::text, '1', c.name, 'Xã', null, case when c.n % 3 = 0 then '1%' else '50%' end, '50%', '10%', x.hamlets::text, f.phase,
         '9/QĐ-UBND', world.dmy(x.first_day), world.dmy(x.day + 60)
  from world.setting as x
  cross join world.commune as c
  join world.phase as f on f.district_code = c.district_code
$$;

-- ---- what must come out, counted from the plan and not from what was delivered -------------------------------------------------------

-- per commune and day, for all days up to the given one
create function world.expected_flows(until date)
returns table (commune_code text, date date, orders_placed bigint, orders_valid bigint, orders_delivered bigint, orders_cancelled bigint, revenue_gross_vnd bigint, refunds_vnd bigint)
language sql stable as $$
  with sold as (
    select t.commune, e.day, sum(e.placed) as placed, sum(e.valid) as valid, sum(e.delivered) as delivered, sum(e.cancelled) as cancelled, sum(e.gross) as gross,
           sum(e.refunds) as refunds
    from world.setting as x
    cross join lateral generate_series(x.first_day, until, interval '1 day') as g (day)
    cross join (values ('postmart'), ('voso')) as p (platform)
    cross join lateral world.orders(p.platform, g.day::date) as o
    join world.store as t on t.platform = p.platform and t.s = o.s
    cross join lateral (
      values
        (g.day::date, 1, case when o.kind = 5 and g.day::date + 2 <= until then 0 else 1 end, case when o.kind < 4 then 1 else 0 end, 0,
         case when o.kind < 4 then o.goods - o.discount else 0 end, 0),
        (case when o.kind = 4 then g.day::date + 2 end, 0, 0, 1, 0, o.goods - o.discount, 0),
        (case when o.kind = 5 then g.day::date + 2 end, 0, 0, 0, 1, 0, 0),
        (case when o.is_refunded then g.day::date + 1 end, 0, 0, 0, 0, 0, 10000)
    ) as e (day, placed, valid, delivered, cancelled, gross, refunds)
    where e.day <= until
    group by t.commune, e.day
  )
  select c.code, s.day, s.placed, s.valid, s.delivered, s.cancelled, s.gross::bigint, s.refunds
  from sold as s
  join world.commune as c on c.n = s.commune
$$;

-- per commune, at the end of a day
create function world.expected_stock(d date)
returns table (commune_code text, households bigint, hamlets bigint, hamlets_with_team bigint, stores bigint, stores_unmatched bigint, households_with_store bigint,
  households_with_store_both bigint, households_with_payment bigint, lead_households bigint, products_on_sale bigint)
language sql stable as $$
  with form as (
    select x.form_days * ((least(d, x.day - 1) - x.first_day) / x.form_days) as back, ((least(d, x.day - 1) - x.first_day) / x.form_days) as n from world.setting as x
  ),
  total as (
    select r.commune_code, sum(r.households::bigint) as households, count(*) as hamlets
    from form as f cross join lateral world.registers_hamlets(d, f.n) as r group by 1
  ),
  teams as (select r.commune_code, count(distinct r.hamlet_raw) as hamlets from world.registers_teams(d, 0) as r group by 1),
  store as (
    select commune, count(*) as stores, count(*) filter (where owner_type = 'HOUSEHOLD' and h is null) as unmatched from world.store where approved <= d group by 1
  ),
  holder as (
    select o.commune, count(*) filter (where exists (select from world.store as t where t.h = o.h and t.approved <= d)) as one,
           count(*) filter (where exists (select from world.store as t where t.h = o.h and t.approved <= d and t.platform = 'postmart')
                              and exists (select from world.store as t where t.h = o.h and t.approved <= d and t.platform = 'voso')) as both,
           count(*) filter (where o.h <= x.accounts / 2 + x.accounts) as paid, count(*) filter (where o.h % 10 = 0) as lead
    from world.household as o cross join world.setting as x group by 1
  )
  select c.code, t.households, t.hamlets, coalesce(m.hamlets, 0), coalesce(s.stores, 0), coalesce(s.unmatched, 0), coalesce(h.one, 0), coalesce(h.both, 0),
         coalesce(h.paid, 0), coalesce(h.lead, 0), coalesce(s.stores, 0)
  from world.commune as c
  join total as t on t.commune_code = c.code
  left join teams as m on m.commune_code = c.code
  left join store as s on s.commune = c.n
  left join holder as h on h.commune = c.n
$$;
