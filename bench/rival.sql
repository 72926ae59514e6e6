-- The least that yields the same KPIs of a day: files into temporary tables, the evening's tables moved on, one row per commune. No ledger, no checks, no
-- quarantine, no history of versions, no 2025 list, no districts, hamlets or targets; numbers are right when every file is right. {folder} and {day} are put in.
begin;

create temp table pm_store (stt text, store_code text, store_name text, owner_type text, owner_name text, phone text, citizen text, vnpost text, district text,
    commune text, hamlet text, address text, registered text, approved text, status text, products text, active text, assisted text, url text);
create temp table pm_product (product_code text, store_code text, name text, category text, unit text, price text, weight text, stock text, trace text, ocop text,
    status text, posted text, updated text);
create temp table pm_order (stt text, order_code text, created text, status text, event text, reason text, store_code text, store_name text, province text,
    product_code text, product_name text, unit text, quantity text, price text, amount text, gross text, discount text, shipping text, total text, payment text,
    paid text, waybill text, carrier text, delivered text, channel text);
create temp table pm_refund (refund_code text, order_code text, product_code text, kind text, quantity text, amount text, reason text, requested text,
    completed text, status text);
create temp table pm_account (stt text, ref text, phone_key text, kind text, opened text, kyc text, kyc_at text, status text, bank text, vnpost text, commune text,
    hamlet text, store text, first_used text);
create temp table page (dataset text, body jsonb);
create temp table body (line jsonb);

\copy pm_store from '{folder}/stores.csv' with (format csv)
\copy pm_product from '{folder}/products.csv' with (format csv)
\copy pm_order from '{folder}/orders.csv' with (format csv)
\copy pm_refund from '{folder}/refunds.csv' with (format csv)
\copy pm_account from '{folder}/accounts.csv' with (format csv)
\copy body from '{folder}/voso/stores.jsonl' with (format csv, quote e'\x01', delimiter e'\x02')
create temp table vs_store as select i.* from body, jsonb_to_recordset(line -> 'data' -> 'ITEMS') as i ("STORE_ID" text, "OWNER_TYPE" text, "OWNER_NAME" text,
    "PHONE_KEY" text, "WARDS_ID" text, "HAMLET_NAME" text, "STATUS" text, "APPROVED_AT" bigint, "LAST_ACTIVE_AT" bigint, "IS_DELETED" boolean);
truncate body;
\copy body from '{folder}/voso/products.jsonl' with (format csv, quote e'\x01', delimiter e'\x02')
create temp table vs_product as select i.* from body, jsonb_to_recordset(line -> 'data' -> 'ITEMS') as i ("PRODUCT_ID" text, "STORE_ID" text, "STATUS" text);
truncate body;
\copy body from '{folder}/voso/orders.jsonl' with (format csv, quote e'\x01', delimiter e'\x02')
create temp table vs_order as select i.* from body, jsonb_to_recordset(line -> 'data' -> 'ITEMS') as i ("ORDER_ID" text, "ORDER_NUMBER" text, "STORE_ID" text,
    "STATUS" text, "CREATED_AT" bigint, "DELIVERED_AT" bigint, "CANCELLED_AT" bigint, "RETURNED_AT" bigint, "RECEIVER_PROVINCE" text, "GOODS_AMOUNT" bigint,
    "SELLER_DISCOUNT" bigint);
truncate body;
\copy body from '{folder}/voso/returns.jsonl' with (format csv, quote e'\x01', delimiter e'\x02')
create temp table vs_refund as select i.* from body, jsonb_to_recordset(line -> 'data' -> 'ITEMS') as i ("ORDER_ID" text, "REFUND_AMOUNT" bigint, "STATUS" text,
    "COMPLETED_AT" bigint);
truncate body;
\copy body from '{folder}/voso/payment-accounts.jsonl' with (format csv, quote e'\x01', delimiter e'\x02')
create temp table vs_account as select i.* from body, jsonb_to_recordset(line -> 'data' -> 'ITEMS') as i ("PHONE_KEY" text, "KYC_LEVEL" integer, "STATUS" text,
    "WARDS_ID" text);

create function pg_temp.day(ms bigint) returns date language sql immutable as $$ select (to_timestamp(ms / 1000) at time zone 'Asia/Ho_Chi_Minh')::date $$;
create function pg_temp.dmy(told text) returns date language sql immutable as $$ select to_date(left(told, 10), 'DD/MM/YYYY') $$;

-- stores with their household: by phone, else by commune, hamlet and name
create temp table store as
select
    s.platform, s.store_code, coalesce(p.commune_code, n.commune_code, s.commune_code) as commune_code, coalesce(p.household_code, n.household_code) as household_code,
    s.is_household, s.is_active
from (
    select 'postmart' as platform, t.store_code, c.commune_code, t.hamlet, t.owner_name, null as phone_key, t.owner_type in ('Hộ gia đình', 'Hộ kinh doanh') as is_household,
        pg_temp.dmy(t.active) >= date '{day}' - 30 as is_active
    from pm_store as t join rival.commune as c on c.vnpost = t.vnpost
    where t.status in ('Hoạt động', 'Tạm dừng')
    union all
    select 'voso', t."STORE_ID", c.commune_code, t."HAMLET_NAME", t."OWNER_NAME", t."PHONE_KEY", t."OWNER_TYPE" in ('HO_GIA_DINH', 'HO_KINH_DOANH'),
        pg_temp.day(t."LAST_ACTIVE_AT") >= date '{day}' - 30
    from vs_store as t join rival.commune as c on c.vtp_ward = t."WARDS_ID"
    where t."STATUS" in ('HOAT_DONG', 'TAM_NGUNG') and not t."IS_DELETED" and pg_temp.day(t."APPROVED_AT") <= date '{day}'
) as s
left join rival.household as p on s.is_household and p.phone_key = s.phone_key
left join rival.household as n on s.is_household and p.household_code is null and n.commune_code = s.commune_code and n.hamlet = s.hamlet and n.name = s.owner_name;
analyze store;

-- orders told today: new, or known in another state
insert into rival.orders
select
    t.platform, t.order_code, t.order_id, s.commune_code, s.household_code, t.status, t.created_day, t.delivered_day,
    case when t.status = 'CANCELLED' then t.cancelled_day end, case when t.status in ('RETURNED', 'REFUNDED') then t.returned_day end, t.net, t.is_out
from (
    select distinct on (order_code)
        'postmart' as platform, order_code, null as order_id, store_code, pg_temp.dmy(created) as created_day, pg_temp.dmy(delivered) as delivered_day,
        pg_temp.dmy(event) as cancelled_day, pg_temp.dmy(event) as returned_day,
        case status when 'Đã giao' then 'DELIVERED' when 'Hoàn thành' then 'COMPLETED' when 'Đã hủy' then 'CANCELLED' when 'Đã hoàn' then 'RETURNED'
            when 'Đã hoàn tiền' then 'REFUNDED' else 'OPEN' end as status,
        replace(gross, '.', '')::bigint - replace(discount, '.', '')::bigint as net, province <> 'Lạng Sơn' as is_out
    from pm_order
    union all
    select
        'voso', "ORDER_NUMBER", "ORDER_ID", "STORE_ID", pg_temp.day("CREATED_AT"), pg_temp.day("DELIVERED_AT"), pg_temp.day("CANCELLED_AT"), pg_temp.day("RETURNED_AT"),
        case "STATUS" when 'GIAO_THANH_CONG' then 'DELIVERED' when 'HOAN_TAT' then 'COMPLETED' when 'DA_HUY' then 'CANCELLED' when 'TU_DONG_HUY' then 'CANCELLED'
            when 'DA_HOAN' then 'RETURNED' when 'HOAN_TIEN' then 'REFUNDED' else 'OPEN' end,
        "GOODS_AMOUNT" - "SELLER_DISCOUNT", "RECEIVER_PROVINCE" <> '22'
    from vs_order
) as t
left join store as s on s.platform = t.platform and s.store_code = t.store_code
on conflict (platform, order_code) do update set status = excluded.status, delivered_day = excluded.delivered_day, cancelled_day = excluded.cancelled_day,
    returned_day = excluded.returned_day, net = excluded.net;

insert into rival.refund
select o.commune_code, o.household_code, pg_temp.dmy(r.completed), r.amount::bigint
from pm_refund as r join rival.orders as o on o.platform = 'postmart' and o.order_code = r.order_code where r.status = 'Đã hoàn tất'
union all
select o.commune_code, o.household_code, pg_temp.day(r."COMPLETED_AT"), r."REFUND_AMOUNT"
from vs_refund as r join rival.orders as o on o.platform = 'voso' and o.order_id = r."ORDER_ID" where r."STATUS" = 'HOAN_TAT';

-- the days that they count on are counted again
create temp table touched as
select pg_temp.dmy(created) as date from pm_order union select pg_temp.day("CREATED_AT") from vs_order union select date '{day}';
delete from rival.flow where date in (select date from touched);
insert into rival.flow
select e.commune_code, e.date, sum(placed), sum(valid), sum(delivered), sum(cancelled), sum(returned), sum(out), sum(gross), sum(refunds)
from (
    select commune_code, created_day as date, 1 as placed, (status <> 'CANCELLED')::int as valid, 0 as delivered, 0 as cancelled, 0 as returned,
        (status <> 'CANCELLED' and is_out)::int as out, 0::bigint as gross, 0::bigint as refunds
    from rival.orders where created_day in (select date from touched)
    union all
    select commune_code, delivered_day, 0, 0, (status not in ('RETURNED', 'REFUNDED'))::int, 0, 0, 0, net, 0 from rival.orders where delivered_day in (select date from touched)
    union all
    select commune_code, cancelled_day, 0, 0, 0, 1, 0, 0, 0, 0 from rival.orders where cancelled_day in (select date from touched)
    union all
    select commune_code, returned_day, 0, 0, 0, 0, 1, 0, 0, 0 from rival.orders where returned_day in (select date from touched)
    union all
    select commune_code, completed_day, 0, 0, 0, 0, 0, 0, 0, refund_amount_vnd from rival.refund where completed_day in (select date from touched)
) as e
group by e.commune_code, e.date;

insert into rival.voso_product
select "PRODUCT_ID", "STORE_ID", "STATUS" = 'DANG_BAN' from vs_product
on conflict (product_code) do update set is_on_sale = excluded.is_on_sale, store_code = excluded.store_code;

create table rival.kpi as
with stores as (
    select
        commune_code, count(*) as stores, count(*) filter (where is_household and household_code is null) as stores_unmatched,
        count(*) filter (where is_household) as stores_of_households,
        count(distinct household_code) as households_with_store,
        count(distinct household_code) filter (where platform = 'postmart') as households_with_store_postmart,
        count(distinct household_code) filter (where platform = 'voso') as households_with_store_voso,
        count(distinct household_code) filter (where is_active) as households_with_active_store
    from store
    group by commune_code
),
accounts as (
    select
        coalesce(h.commune_code, a.commune_code) as commune_code, count(*) as accounts, count(*) filter (where h.household_code is null) as accounts_unmatched,
        count(distinct h.household_code) as households_with_payment
    from (
        select t.phone_key, c.commune_code from pm_account as t join rival.commune as c on c.vnpost = t.vnpost where t.status = 'Hoạt động' and t.kyc::int >= 1
        union all
        select t."PHONE_KEY", c.commune_code from vs_account as t join rival.commune as c on c.vtp_ward = t."WARDS_ID" where t."STATUS" = 'HOAT_DONG' and t."KYC_LEVEL" >= 1
    ) as a
    left join rival.household as h on h.phone_key = a.phone_key
    group by 1
),
products as (
    select s.commune_code, count(*) as products_on_sale
    from (
        select 'postmart' as platform, store_code from pm_product where status = 'Đang bán'
        union all
        select 'voso', store_code from rival.voso_product where is_on_sale
    ) as p
    join store as s on s.platform = p.platform and s.store_code = p.store_code
    group by s.commune_code
),
leads as (
    select commune_code, count(*) as lead_households_calc
    from (
        select min(commune_code) as commune_code
        from (
            select commune_code, household_code, (status not in ('RETURNED', 'REFUNDED'))::int as delivered, net
            from rival.orders where delivered_day > date '{day}' - 30
            union all
            select commune_code, household_code, 0, -refund_amount_vnd from rival.refund where completed_day > date '{day}' - 30
        ) as e
        where household_code is not null
        group by household_code
        having sum(delivered) >= 10 or sum(net) >= 5000000
    ) as l
    group by commune_code
),
to_date as (
    select
        f.commune_code, sum(f.placed) as placed, sum(f.valid) as valid, sum(f.delivered) as delivered, sum(f.gross) as gross, sum(f.refunds) as refunds
    from rival.flow as f join rival.commune as c on c.commune_code = f.commune_code
    where f.date between c.kick_off and date '{day}'
    group by f.commune_code
)
select
    c.commune_code, date '{day}' - c.kick_off as phase_day, c.households,
    coalesce(s.households_with_store, 0) as households_with_store, coalesce(s.households_with_store_postmart, 0) as households_with_store_postmart,
    coalesce(s.households_with_store_voso, 0) as households_with_store_voso,
    coalesce(s.households_with_store_postmart + s.households_with_store_voso - s.households_with_store, 0) as households_with_store_both,
    coalesce(s.households_with_active_store, 0) as households_with_active_store,
    round(coalesce(s.households_with_store, 0)::numeric / nullif(c.households, 0), 6) as store_rate,
    coalesce(s.stores, 0) as stores, coalesce(s.stores_unmatched, 0) as stores_unmatched,
    coalesce(a.households_with_payment, 0) as households_with_payment, round(coalesce(a.households_with_payment, 0)::numeric / nullif(c.households, 0), 6) as payment_rate,
    coalesce(a.accounts, 0) as accounts, coalesce(a.accounts_unmatched, 0) as accounts_unmatched,
    c.lead_households, round(c.lead_households::numeric / nullif(c.households, 0), 6) as lead_rate, coalesce(l.lead_households_calc, 0) as lead_households_calc,
    c.hamlets, c.hamlets_with_team, round(c.hamlets_with_team::numeric / nullif(c.hamlets, 0), 6) as team_rate, c.team_members, c.team_members_trained,
    coalesce(p.products_on_sale, 0) as products_on_sale,
    coalesce(f.placed, 0) as orders_placed, coalesce(f.valid, 0) as orders_valid, coalesce(f.delivered, 0) as orders_delivered,
    coalesce(f.cancelled, 0) as orders_cancelled, coalesce(f.returned, 0) as orders_returned, coalesce(f.out, 0) as orders_out_of_province,
    coalesce(f.gross, 0) as revenue_gross_vnd, coalesce(f.refunds, 0) as refunds_vnd, coalesce(f.gross - f.refunds, 0) as revenue_net_vnd,
    coalesce(d.placed, 0) as orders_placed_to_date, coalesce(d.valid, 0) as orders_valid_to_date, coalesce(d.delivered, 0) as orders_delivered_to_date,
    coalesce(d.gross, 0) as revenue_gross_vnd_to_date, coalesce(d.refunds, 0) as refunds_vnd_to_date, coalesce(d.gross - d.refunds, 0) as revenue_net_vnd_to_date,
    c.store_base, round(coalesce(s.households_with_store, 0)::numeric / nullif(c.store_base, 0), 4) as store_growth,
    c.payment_base, round(coalesce(a.households_with_payment, 0)::numeric / nullif(c.payment_base, 0), 4) as payment_growth,
    c.revenue_base_vnd, round(coalesce(d.gross - d.refunds, 0)::numeric / nullif(c.revenue_base_vnd, 0), 4) as revenue_growth,
    round((s.stores_of_households - s.stores_unmatched)::numeric / nullif(s.stores_of_households, 0), 6) as match_rate
from rival.commune as c
left join stores as s on s.commune_code = c.commune_code
left join accounts as a on a.commune_code = c.commune_code
left join products as p on p.commune_code = c.commune_code
left join leads as l on l.commune_code = c.commune_code
left join to_date as d on d.commune_code = c.commune_code
left join rival.flow as f on f.commune_code = c.commune_code and f.date = date '{day}';

commit;
