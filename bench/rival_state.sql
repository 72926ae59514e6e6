-- What a hand-written script would have left the evening before: plain tables in schema rival, taken from the warehouse's own history. Not timed.
drop schema if exists rival cascade;
create schema rival;

create table rival.commune as
select
    k.commune_code, c.vnpost, c.vtp_ward, p.kick_off, k.households, k.hamlets, k.hamlets_with_team, k.team_members, k.team_members_trained, k.lead_households,
    k.store_base, k.payment_base, k.revenue_base_vnd
from bi.kpi_commune_daily as k
join world.commune as c on c.code = k.commune_code
join seeds.campaign_phase as p on p.district_code = c.district_code
where k.geography = '2021' and k.date = :'day'::date - 1;

create table rival.household as
select h.code as household_code, c.code as commune_code, 'Thôn ' || h.hamlet + 1 as hamlet, h.name, h.phone_key
from world.household as h
join world.commune as c on c.n = h.commune;

create table rival.orders as
select
    platform, order_code, order_id, commune_code, household_code, status, created_day, first_delivered_day as delivered_day, cancelled_day, returned_day,
    goods_net_vnd as net, is_out_of_province as is_out
from intermediate.int_orders;
alter table rival.orders add primary key (platform, order_code);

create table rival.refund as
select r.commune_code, r.household_code, r.completed_day, r.refund_amount_vnd from intermediate.int_refunds as r where r.is_done;

create table rival.flow as
select
    commune_code, date, sum(orders_placed) as placed, sum(orders_valid) as valid, sum(orders_delivered) as delivered, sum(orders_cancelled) as cancelled,
    sum(orders_returned) as returned, sum(orders_out_of_province) as out, sum(revenue_gross_vnd) as gross, sum(refunds_vnd) as refunds
from intermediate.int_flows__by_day
group by commune_code, date;

create table rival.voso_product as
select p.product_code, p.store_code, p.product_status = 'ON_SALE' as is_on_sale
from (
    select product_id as product_code, store_id as store_code, case status when 'DANG_BAN' then 'ON_SALE' end as product_status,
        row_number() over (partition by product_id order by updated_at::bigint desc) as n
    from raw.voso_products
) as p
where p.n = 1;
alter table rival.voso_product add primary key (product_code);
