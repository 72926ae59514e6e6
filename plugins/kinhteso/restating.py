"""What moved between a release and the one before: a row of `bi.kpi_restatement` per published value of `kpi_commune_daily` (KPI §1.11), with the
delivery that moved it.

Runs inside the release's transaction, set-based, over what the release took out and put in. A *touch* says that a delivery can have moved figures of one
kind (family) at one place on some days. It is found where the published states of orders, refunds, stores, products and accounts differ before and after
(their rows are noted as they change), and of registers by commune and as-of date. A moved value is blamed on the touches that reach its unit and day: of
running totals those of earlier days, of bases those before kick-off, of rates those of numerator and denominator. On the other lists of communes a unit is
reached from the places that have a part in it. The most specific touch is named first, then the newest delivery; all others stand in the words.

The first publication of a commune-day is none of these. `completeness` and `rates_held` are words: they move as old_text and new_text. Names do not count.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from kinhteso import catalog
from kinhteso.as_published import KEY, VERSIONS
from kinhteso.building import BuildScope

TABLE = ("bi", "kpi_restatement")
#: Published words that are figures' qualifiers; other words are names.
WORDS = ("completeness", "rates_held")
_NUMBERS = ("bigint", "integer", "smallint", "numeric", "double", "real")

_COLUMNS: tuple[catalog.Column, ...] = (
    ("restatement_id", "bigint", "Mã lần điều chỉnh · Number of the restatement"),
    ("release_id", "bigint", "Bản phát hành đã đổi giá trị so với bản ngay trước · Release that moved the value against the one before"),
    ("geography", "text", "Danh mục xã · List of communes"),
    ("commune_code", "text", "Mã xã (GSO) theo danh mục đó · GSO code of the commune on that list"),
    ("date", "date", "Ngày có giá trị bị đổi · Business day whose value moved"),
    ("kpi", "text", "Tên chỉ tiêu, như tên cột của kpi_commune_daily · KPI, by its column of kpi_commune_daily"),
    ("old_value", "numeric", "Giá trị đã công bố trước đó; trống nếu không có · Value as published before; null where there was none"),
    ("new_value", "numeric", "Giá trị mới; trống nếu không có · New value; null where there is none"),
    ("reason", "text", "Lý do: loại thay đổi và các lần giao dữ liệu có thể đã gây ra · Why: the kind of change and the deliveries that can have caused it"),
    ("export_id", "bigint", "Lần giao dữ liệu đã gây ra; trống nếu do quy tắc hoặc danh mục · Delivery that caused it; null where a rule or seed did"),
    ("old_text", "text", "Giá trị cũ của chỉ tiêu bằng chữ (completeness, rates_held) · Old value of a KPI in words"),
    ("new_text", "text", "Giá trị mới của chỉ tiêu bằng chữ · New value of a KPI in words"),
)
_TOLD = (
    "Mỗi giá trị đã công bố theo xã và ngày mà một bản phát hành sau đã đổi: bao nhiêu, vì sao, do lần giao nào; chỉ thêm, không sửa "
    "· Each published value of a commune-day that a later release moved: by how much, why, by which delivery; append-only"
)

#: What counts orders and refunds on a day.
_FLOWS = (
    "orders_placed",
    "orders_valid",
    "orders_delivered",
    "orders_cancelled",
    "orders_returned",
    "orders_out_of_province",
    "revenue_gross_vnd",
    "refunds_vnd",
)
_NET = ("revenue_gross_vnd", "refunds_vnd")
_STORE, _ACCOUNT = ("store", "store_household"), ("account", "account_household")
_RATES = {"store_rate": _STORE, "payment_rate": _ACCOUNT, "lead_rate": ("lead",), "team_rate": ("team",)}


def _needs() -> list[tuple[str, str, str | None, str]]:
    """KPI, family of touches that move it, platform (null: any), and how their days reach it (KPI §1, RULINGS 9, 13)."""
    told: list[tuple[str, tuple[str, ...], str | None, str]] = [(f, (f,), None, "day") for f in _FLOWS]
    told += [(f"{f}_to_date", (f,), None, "to_date") for f in ("orders_placed", "orders_valid", "orders_delivered", *_NET)]
    told += [("revenue_net_vnd", _NET, None, "day"), ("revenue_net_vnd_to_date", _NET, None, "to_date"), ("revenue_base_vnd", _NET, None, "before")]
    told += [("revenue_growth", _NET, None, "to_date"), ("revenue_growth", _NET, None, "before"), ("lead_households_calc", ("lead_calc",), None, "window")]
    told += [(k, _STORE, None, "day") for k in ("stores_unmatched", "match_rate", "households_with_store", "households_with_store_both", "store_growth")]
    told += [("stores", ("store",), None, "day"), ("households_with_active_store", (*_STORE, "activity"), None, "day")]
    told += [(f"households_with_store_{p}", _STORE, p, "day") for p in ("postmart", "voso")]
    told += [(k, _STORE, None, "kick_off") for k in ("store_base", "store_growth")]
    told += [("accounts", ("account",), None, "day")]
    told += [(k, _ACCOUNT, None, "day") for k in ("accounts_unmatched", "households_with_payment", "payment_growth")]
    told += [(k, _ACCOUNT, None, "kick_off") for k in ("payment_base", "payment_growth")]
    told += [("products_on_sale", ("product", "store"), None, "day"), ("lead_households", ("lead",), None, "day")]
    told += [(k, ("denominator",), None, "day") for k in ("households", "hamlets", "hamlets_with_team")]
    told += [(k, ("team",), None, "day") for k in ("hamlets_with_team", "team_members", "team_members_trained")]
    told += [(k, (*numerator, "denominator"), None, way) for k, numerator in _RATES.items() for way in ("day", "held")]
    told += [("rates_held", (*_STORE, *_ACCOUNT, "lead", "denominator"), None, "day")]
    return [(kpi, family, platform, way) for kpi, families, platform, way in told for family in families]


#: Where no row can be told: what a delivery of a dataset can move at all.
_CAN_MOVE: dict[str, tuple[str, ...]] = {
    "stores": (*_STORE, "activity", "product", "lead_calc", *_FLOWS),
    "products": ("product",),
    "orders": (*_FLOWS, "lead_calc"),
    "order_events": (*_FLOWS, "lead_calc"),
    "refunds": ("refunds_vnd", "lead_calc"),
    "accounts": _ACCOUNT,
    "households": (*_STORE, *_ACCOUNT, "activity", "product", "lead_calc", *_FLOWS),
    "hamlets": ("denominator", "team"),
    "teams": ("team",),
    "leads": ("lead",),
}

# The deliveries that this build took up, and for each the one to be blamed: what replaced it, or what was withdrawn and let it count again. One that no
# release held and that does not count either has moved nothing.
_CLAIM = """
create temporary table r_claim on commit drop as
with claimed as (
    select
        e.export_id, e.source, e.dataset, e.unit, e.business_day, e.version, e.state,
        bool_or(c.kind = 'replayed') and not bool_or(c.kind = 'accepted')
            or exists (select from ops.quarantine_action as a where a.export_id = e.export_id and a.action = 'replay' and a.state_before = 'rejected'
                         and a.at > coalesce((select max(r.published_at) from ops.release as r where r.release_id < %(release)s), '-infinity')) as is_replayed,
        exists (select from ops.change as p where p.export_id = e.export_id and p.release_id is not null) as was_released
    from ops.change as c
    join ops.export as e on e.export_id = c.export_id
    where c.build_id = %(build)s
    group by e.export_id
)
select
    c.export_id, c.source, c.dataset, c.unit, c.business_day, c.is_replayed,
    coalesce(
        case c.state
            when 'superseded' then (select n.export_id from ops.export as n
                where (n.source, n.dataset, n.unit, n.business_day, n.state) = (c.source, c.dataset, c.unit, c.business_day, 'accepted')
                order by n.version desc limit 1)
            when 'accepted' then (select w.export_id from claimed as w
                where (w.source, w.dataset, w.unit, w.business_day, w.state) = (c.source, c.dataset, c.unit, c.business_day, 'rejected') and w.was_released
                order by w.version desc limit 1)
        end, c.export_id) as cause
from claimed as c
where c.state = 'accepted' or c.was_released
"""

_CAUSE = """
create temporary table r_cause on commit drop as
with cause as (
    select
        e.*,
        e.source || '/' || e.dataset || coalesce(' ' || nullif(e.unit, ''), '') || ' ' || e.business_day || ' v' || e.version as label,
        coalesce((select bool_and(c.is_replayed) from r_claim as c where c.export_id = e.export_id), false) as is_replayed,
        exists (select from ops.export as o join ops.change as p on p.export_id = o.export_id and p.release_id is not null
                 where (o.source, o.dataset, o.unit, o.business_day) = (e.source, e.dataset, e.unit, e.business_day)
                   and o.export_id <> e.export_id) as is_again,
        e.business_day <= (select r.business_date from bi.release as r where r.release_id < %(release)s order by r.release_id desc limit 1) as is_late
    from ops.export as e
    where e.export_id in (select c.cause from r_claim as c)
)
select
    c.export_id as cause, c.label, c.source || '/' || c.dataset as class, c.business_day,
    row_number() over (order by c.business_day desc, c.version desc, c.export_id) as newness,
    case when c.state = 'rejected' then 'Tệp bị rút lại sau kiểm tra'
         when c.source <> 'registers' and c.unit <> '' then 'Đối soát'
         when c.is_replayed then 'Xử lý lại hàng cách ly'
         when c.source = 'registers' and c.is_again then 'Biểu sửa lại'
         when c.source = 'registers' then 'Biểu đến muộn'
         when c.is_again then 'Bản gửi lại số ' || c.version
         when c.is_late then 'Dữ liệu của sàn đến muộn'
         when c.dataset in ('orders', 'order_events') then 'Trạng thái đến muộn'
         when c.dataset = 'refunds' then 'Hoàn tiền báo muộn'
         else 'Tệp của ngày sau' end as vi,
    case when c.state = 'rejected' then 'withdrawn by a check'
         when c.source <> 'registers' and c.unit <> '' then 'reconciliation'
         when c.is_replayed then 'quarantine replayed'
         when c.source = 'registers' and c.is_again then 'corrected register'
         when c.source = 'registers' then 'late register'
         when c.is_again then 're-issued version ' || c.version
         when c.is_late then 'late platform'
         when c.dataset in ('orders', 'order_events') then 'late status'
         when c.dataset = 'refunds' then 'late refund'
         else 'file of a later day' end as en
from cause as c
"""

#: A place as orders, stores and accounts name it: the code on the campaign's list, `<list>:<code>` on a later one.
_PLACE = """case when coalesce(to_jsonb({x}) ->> 'geography', '2021') = '2021' or {x}.commune_code like '%:%' then {x}.commune_code
                 else (to_jsonb({x}) ->> 'geography') || ':' || {x}.commune_code end"""

# Registers by commune of the list in force on their as-of date: from that date on; a commune's first one, and the newest list of leads, reach back
# (RULINGS 12).
_REGISTER = """
insert into r_told
select
    '{dataset}', case when l.list is null or l.list = '2021' then r.commune_code else l.list || ':' || r.commune_code end, c.cause,
    case when '{dataset}' <> 'leads' and exists (
        select from ops.export as e join raw.registers_{dataset} as b on b.export_id = e.export_id
        where e.state = 'accepted' and e.source = 'registers' and e.dataset = '{dataset}' and b.commune_code = r.commune_code
          and e.business_day < c.business_day)
    then c.business_day else date '0001-01-01' end
from r_claim as c
join (select distinct export_id, commune_code from raw.registers_{dataset} where export_id in (select export_id from r_claim)) as r
    on r.export_id = c.export_id
left join lateral (
    select list from seeds.commune_list where published <> 'never' and valid_from <= c.business_day order by valid_from desc limit 1
) as l on true
where c.source = 'registers' and c.dataset = '{dataset}' and r.commune_code is not null
"""

# States before and after of all that changed, from the first that did on, cut where either changes; kept is where they differ.
_PIECES = """
edge as (
    select entity, valid_from as day from state
    union
    select entity, valid_to from state
),

piece as (
    select entity, day as day_from, lead(day) over (partition by entity order by day) as day_to from edge
)

select
    p.entity, coalesce(n.platform, o.platform) as platform, p.day_from, p.day_to,
    o.place as old_place, n.place as new_place, o.export_id as old_export, n.export_id as new_export,
    o.place is distinct from n.place as is_entity,
    row(o.household_key, o.is_matchable) is distinct from row(n.household_key, n.is_matchable) as is_household,
    o.last_activity_day is distinct from n.last_activity_day as is_activity
from piece as p
left join state as o on o.entity = p.entity and not o.is_new and o.valid_from <= p.day_from and p.day_from < o.valid_to
left join state as n on n.entity = p.entity and n.is_new and n.valid_from <= p.day_from and p.day_from < n.valid_to
where p.day_to is not null
    and row(o.place, o.household_key, o.is_matchable, o.last_activity_day) is distinct from row(n.place, n.household_key, n.is_matchable, n.last_activity_day)
"""

_STORES = f"""
create temporary table r_stores on commit drop as
with entity as (
    select platform, store_code, min(valid_from) as since
    from (select platform, store_code, valid_from from gone_dim_store union all select platform, store_code, valid_from from came_dim_store) as m
    group by platform, store_code
),

built as (
    select s.*
    from core.dim_store as s join entity as e on e.platform = s.platform and e.store_code = s.store_code
    where s.is_counting and s.valid_to > e.since
),

state as (
    select true as is_new, s.store_key as entity, s.platform, {_PLACE.format(x="s")} as place, s.household_key,
        s.owner_type in ('HOUSEHOLD', 'HOUSEHOLD_BUSINESS') as is_matchable, s.last_activity_day, s.valid_from, s.valid_to, s.export_id
    from built as s
    union all
    select false, s.store_key, s.platform, {_PLACE.format(x="s")}, s.household_key,
        s.owner_type in ('HOUSEHOLD', 'HOUSEHOLD_BUSINESS'), s.last_activity_day, s.valid_from, s.valid_to, s.export_id
    from built as s where not exists (select from came_dim_store as c where c.store_version_key = s.store_version_key)
    union all
    select false, s.store_key, s.platform, {_PLACE.format(x="s")}, s.household_key,
        s.owner_type in ('HOUSEHOLD', 'HOUSEHOLD_BUSINESS'), s.last_activity_day, s.valid_from, s.valid_to, s.export_id
    from gone_dim_store as s where s.is_counting
),
{_PIECES}"""

# A product is where its store is; here its place is the store.
_PRODUCTS = f"""
create temporary table r_products on commit drop as
with entity as (
    select platform, product_code, min(valid_from) as since
    from (select platform, product_code, valid_from from gone_dim_product union all select platform, product_code, valid_from from came_dim_product) as m
    group by platform, product_code
),

built as (
    select p.*, md5(p.platform || '|' || p.store_code) as store_key
    from core.dim_product as p join entity as e on e.platform = p.platform and e.product_code = p.product_code
    where p.is_on_sale and p.valid_to > e.since
),

state as (
    select true as is_new, p.product_key as entity, p.platform, p.store_key as place, cast(null as text) as household_key, false as is_matchable,
        cast(null as date) as last_activity_day, p.valid_from, p.valid_to, p.export_id
    from built as p
    union all
    select false, p.product_key, p.platform, p.store_key, null, false, null, p.valid_from, p.valid_to, p.export_id
    from built as p where not exists (select from came_dim_product as c where c.product_version_key = p.product_version_key)
    union all
    select false, p.product_key, p.platform, md5(p.platform || '|' || p.store_code), null, false, null, p.valid_from, p.valid_to, p.export_id
    from gone_dim_product as p where p.is_on_sale
),
{_PIECES}"""

_ACCOUNTS = f"""
create temporary table r_accounts on commit drop as
with entity as (
    select account_key, min(valid_from) as since
    from (select account_key, valid_from from r_account_gone union all select account_key, valid_from from r_account_came) as m
    group by account_key
),

state as (
    select true as is_new, a.account_key as entity, a.platform, a.place, a.household_key, true as is_matchable, cast(null as date) as last_activity_day,
        a.valid_from, a.valid_to, a.export_id
    from ops.account_as_published as a join entity as e on e.account_key = a.account_key and a.valid_to > e.since
    union all
    select false, a.account_key, a.platform, a.place, a.household_key, true, null, a.valid_from, a.valid_to, a.export_id
    from ops.account_as_published as a join entity as e on e.account_key = a.account_key and a.valid_to > e.since
    where not exists (select from r_account_came as c where (c.account_key, c.valid_from) = (a.account_key, a.valid_from))
    union all
    select false, a.account_key, a.platform, a.place, a.household_key, true, null, a.valid_from, a.valid_to, a.export_id
    from r_account_gone as a
),
{_PIECES}"""

# Which delivery made a state of the stock another: the snapshot of the day on which it begins, the one that the state came from, the register of
# households of its commune, and if nothing else any register of households.
_STOCK_CAUSE = """
create temporary table {name}_cause on commit drop as
select entity, day_from, cause, min(level) as level
from (
    select s.entity, s.day_from, c.cause, 0 as level
    from {name} as s join r_claim as c on c.source = s.platform and c.dataset = {dataset} and c.business_day = s.day_from
    union all
    select s.entity, s.day_from, c.cause, 0 from {name} as s join r_claim as c on c.export_id = s.new_export
    union all
    select s.entity, s.day_from, c.cause, 1 from {name} as s join r_claim as c on c.export_id = s.old_export
    union all
    select s.entity, s.day_from, h.cause, 1
    from {name} as s join r_told as h on h.dataset = 'households' and h.place in (s.old_place, s.new_place) and s.is_household
    union all
    select s.entity, s.day_from, c.cause, 8
    from {name} as s join r_claim as c on c.source = 'registers' and c.dataset = 'households' and s.is_household
) as x
group by entity, day_from, cause
"""

_TOUCH_STOCK = """
insert into r_touch
select distinct f.family, s.platform, p.place, s.day_from, s.day_to, c.cause, c.level
from {name} as s
join {name}_cause as c on c.entity = s.entity and c.day_from = s.day_from
cross join lateral (values (s.old_place), (s.new_place)) as p (place)
cross join lateral (values ({own}, s.is_entity), ({own} || '_household', s.is_household), ('activity', s.is_activity)) as f (family, is_moved)
where p.place is not null and f.is_moved
"""

_TOUCH_PRODUCTS = f"""
insert into r_touch
select distinct 'product', s.platform, t.place, s.day_from, s.day_to, c.cause, c.level
from r_products as s
join r_products_cause as c on c.entity = s.entity and c.day_from = s.day_from
cross join lateral (values (s.old_place), (s.new_place)) as p (store_key)
join (
    select distinct p.platform, p.store_code, md5(p.platform || '|' || p.store_code) as store_key
    from (select platform, store_code from came_dim_product union select platform, store_code from gone_dim_product) as p
) as k on k.store_key = p.store_key
join lateral (
    select {_PLACE.format(x="d")} as place from core.dim_store as d where d.platform = k.platform and d.store_code = k.store_code and d.is_counting
    union
    select {_PLACE.format(x="d")} from gone_dim_store as d where d.platform = k.platform and d.store_code = k.store_code and d.is_counting
) as t on true
"""

# What orders counted for where and when, before and after; kept is what differs. Test orders count nowhere (RULINGS 24).
_ORDERS = f"""
create temporary table r_orders on commit drop as
with entity as (
    select platform, order_code from gone_fct_order_line union select platform, order_code from came_fct_order_line
),

built as (
    select l.* from core.fct_order_line as l join entity as e on e.platform = l.platform and e.order_code = l.order_code
),

line as (
    select true as is_new, platform, order_code, store_key, {_PLACE.format(x="l")} as place, household_key, location_key, order_status, created_date,
        delivered_date, cancelled_date, returned_date, line_amount_vnd - coalesce(discount_share_vnd, 0) as net, is_test
    from built as l
    union all
    select false, platform, order_code, store_key, {_PLACE.format(x="l")}, household_key, location_key, order_status, created_date,
        delivered_date, cancelled_date, returned_date, line_amount_vnd - coalesce(discount_share_vnd, 0), is_test
    from built as l where not exists (select from came_fct_order_line as c where c.order_line_key = l.order_line_key)
    union all
    select false, platform, order_code, store_key, {_PLACE.format(x="l")}, household_key, location_key, order_status, created_date,
        delivered_date, cancelled_date, returned_date, line_amount_vnd - coalesce(discount_share_vnd, 0), is_test
    from gone_fct_order_line as l
),

orders as (
    select is_new, platform, order_code, store_key, place, household_key, location_key, order_status, created_date, delivered_date, cancelled_date,
        returned_date, sum(net) as net
    from line where not is_test
    group by is_new, platform, order_code, store_key, place, household_key, location_key, order_status, created_date, delivered_date, cancelled_date,
        returned_date
),

effect as (
    select o.is_new, o.platform, o.order_code, o.store_key, o.place, coalesce(o.household_key, '') as household_key, x.family, x.day, x.what
    from orders as o
    cross join lateral (values
        ('orders_placed', o.created_date, ''),
        ('orders_valid', case when o.order_status <> 'CANCELLED' then o.created_date end, ''),
        ('orders_out_of_province', case when o.order_status <> 'CANCELLED' then o.created_date end, o.location_key),
        ('orders_delivered', case when o.order_status not in ('RETURNED', 'REFUNDED') then o.delivered_date end, ''),
        ('revenue_gross_vnd', o.delivered_date, cast(o.net as text)),
        ('orders_cancelled', o.cancelled_date, ''),
        ('orders_returned', o.returned_date, ''),
        ('lead_calc', o.delivered_date, concat_ws('|', o.household_key, o.net, o.order_status in ('RETURNED', 'REFUNDED')))
    ) as x (family, day, what)
    where x.day is not null
)

select distinct platform, order_code, store_key, place, family, day, is_at_another
from (
    select
        e.*,
        count(*) over (partition by platform, order_code, place, family, day, what) as sides,
        min(place || household_key) over whole <> max(place || household_key) over whole as is_at_another
    from effect as e
    window whole as (partition by platform, order_code)
) as d
where sides = 1
"""

_ORDER_CAUSE = """
create temporary table r_order_cause on commit drop as
with entity as (
    select distinct o.platform, o.order_code, o.store_key from r_orders as o
    union
    select distinct r.platform, r.order_code, cast(null as text) from r_refunds as r where r.order_code is not null
),

said as (
    select 'postmart' as platform, r.order_code, r.export_id, r.source_row
    from entity as e join raw.postmart_orders as r on e.platform = 'postmart' and r.order_code = e.order_code
    union all
    select 'voso', r.order_number, r.export_id, r.source_row
    from entity as e join raw.voso_orders as r on e.platform = 'voso' and r.order_number = e.order_code
),

voso as (
    select distinct e.order_code, r.order_id from entity as e join raw.voso_orders as r on e.platform = 'voso' and r.order_number = e.order_code
),

event as (
    select v.order_code, r.event_id, r.export_id, r.source_row from voso as v join raw.voso_order_events as r on r.order_id = v.order_id
),

named as (
    select platform, order_code, export_id, source_row from said
    union all
    select 'voso', order_code, export_id, source_row from event
)

select platform, order_code, cause, min(level) as level
from (
    select n.platform, n.order_code, c.cause,
        case when exists (select from ops.set_aside_row as a where a.export_id = n.export_id and a.source_row = n.source_row) then 2 else 0 end as level
    from named as n join r_claim as c on c.export_id = n.export_id
    union all
    select e.platform, e.order_code, c.cause, 0
    from entity as e
    join ops.difference as d on d.source = e.platform and d.dataset = 'orders' and e.platform = 'postmart' and d.key = e.order_code
    join r_claim as c on c.export_id = d.export_id
    union all
    select 'voso', v.order_code, c.cause, 0
    from voso as v join ops.difference as d on d.source = 'voso' and d.dataset = 'orders' and d.key = v.order_id join r_claim as c on c.export_id = d.export_id
    union all
    select 'voso', v.order_code, c.cause, 0
    from event as v join ops.difference as d on d.source = 'voso' and d.dataset = 'order_events' and d.key = v.event_id
    join r_claim as c on c.export_id = d.export_id
    union all
    -- its store is another's or elsewhere now; if nothing speaks of the order itself, its store's state told it
    select e.platform, e.order_code, s.cause,
        case when exists (select from r_orders as o where o.platform = e.platform and o.order_code = e.order_code and o.is_at_another)
            then greatest(s.level, 3) else 8 end
    from entity as e join r_stores_cause as s on s.entity = e.store_key
) as x
group by platform, order_code, cause
"""

_REFUNDS = f"""
create temporary table r_refunds on commit drop as
with refund as (
    select true as is_new, r.platform, r.refund_code, r.order_code, {_PLACE.format(x="r")} as place, r.completed_date as day, r.refund_amount_vnd as amount
    from came_fct_refund as r where r.is_done and not r.is_test and r.completed_date is not null
    union all
    select false, r.platform, r.refund_code, r.order_code, {_PLACE.format(x="r")}, r.completed_date, r.refund_amount_vnd
    from gone_fct_refund as r where r.is_done and not r.is_test and r.completed_date is not null
)

select platform, refund_code, max(order_code) as order_code, place, day,
    min(place) over whole <> max(place) over whole as is_at_another
from refund
group by platform, refund_code, place, day, amount
having count(*) = 1
window whole as (partition by platform, refund_code)
"""

_REFUND_CAUSE = """
create temporary table r_refund_cause on commit drop as
select platform, refund_code, cause, min(level) as level
from (
    select e.platform, e.refund_code, c.cause,
        case when exists (select from ops.set_aside_row as a where a.export_id = r.export_id and a.source_row = r.source_row) then 2 else 0 end as level
    from r_refunds as e join raw.postmart_refunds as r on e.platform = 'postmart' and r.refund_code = e.refund_code
    join r_claim as c on c.export_id = r.export_id
    union all
    select e.platform, e.refund_code, c.cause,
        case when exists (select from ops.set_aside_row as a where a.export_id = r.export_id and a.source_row = r.source_row) then 2 else 0 end
    from r_refunds as e join raw.voso_refunds as r on e.platform = 'voso' and r.return_id = e.refund_code join r_claim as c on c.export_id = r.export_id
    union all
    select e.platform, e.refund_code, c.cause, 0
    from r_refunds as e join ops.difference as d on d.source = e.platform and d.dataset = 'refunds' and d.key = e.refund_code
    join r_claim as c on c.export_id = d.export_id
    union all
    -- its order is known now, or counts elsewhere
    select e.platform, e.refund_code, o.cause, case when e.is_at_another then greatest(o.level, 3) else 8 end
    from r_refunds as e join r_order_cause as o on o.platform = e.platform and o.order_code = e.order_code
) as x
group by platform, refund_code, cause
"""

_TOUCH_FLOWS = """
insert into r_touch
select distinct o.family, o.platform, o.place, o.day, o.day + 1, c.cause, c.level
from r_orders as o join r_order_cause as c on c.platform = o.platform and c.order_code = o.order_code
union
select distinct f.family, r.platform, r.place, r.day, r.day + 1, c.cause, c.level
from r_refunds as r join r_refund_cause as c on c.platform = r.platform and c.refund_code = r.refund_code
cross join (values ('refunds_vnd'), ('lead_calc')) as f (family)
"""

# Which units of which lists a place has a part in: itself, what it came from, what became of it (KPI §1.12); and the kick-off of its commune.
_KIN = """
create temporary table r_kin on commit drop as
with recursive place as (
    select distinct place from r_touch
),

base as (
    select place, case when split_part(place, '>', 1) like '%%:%%' then split_part(place, ':', 1) else '2021' end as list,
        right(split_part(place, '>', 1), 5) as code
    from place
),

down as (
    select place, list, code from base
    union
    select d.place, s.new_list, s.new_code from down as d join seeds.commune_succession as s on s.old_list = d.list and s.old_code = d.code
),

up as (
    select place, list, code from base
    union
    select u.place, s.old_list, s.old_code from up as u join seeds.commune_succession as s on s.new_list = u.list and s.new_code = u.code
)

select k.place, k.list as geography, k.code as commune_code
from (select * from down union select * from up) as k
join base as b on b.place = k.place
where k.list = b.list or k.place not like '%%>%%'
    or k.code = any(string_to_array(translate(split_part(k.place, '>', 2), '+', '/'), '/'))
union
select b.place, l.list, '00000' from base as b cross join seeds.commune_list as l where b.code = '00000'
"""

_REACH = """
create temporary table r_reach on commit drop as
select distinct k.geography, k.commune_code, t.family, t.platform, t.day_from, t.day_to, p.kick_off, t.cause, t.level
from r_touch as t
join r_kin as k on k.place = t.place
left join (
    select k.place, max(p.kick_off) as kick_off
    from r_kin as k
    join seeds.commune as u on u.list = k.geography and u.gso_code = k.commune_code
    join seeds.campaign_phase as p on p.district_code = u.district_code
    where k.geography = '2021'
    group by k.place
) as p on p.place = t.place
"""

_BLAME = """
create temporary table r_blame on commit drop as
with reaching as (
    select m.id, t.cause, t.level
    from r_moved as m
    join r_needs as d on d.kpi = m.kpi
    join r_reach as t on t.geography = m.geography and t.commune_code = m.commune_code and t.family = d.family
        and (d.platform is null or d.platform = t.platform)
    where case d.way
        when 'day' then t.day_from <= m.date and m.date < t.day_to
        when 'window' then t.day_from <= m.date and m.date < t.day_to + 29
        when 'before' then t.day_from < t.kick_off
        when 'kick_off' then t.day_from < t.kick_off and t.day_to >= t.kick_off
        when 'held' then m.is_held and t.day_from <= m.date
        end
    union all
    select m.id, t.cause, t.level
    from r_moved as m
    join r_needs as d on d.kpi = m.kpi and d.way = 'to_date'
    join (
        select geography, commune_code, family, cause, min(day_from) as day_from, min(level) as level
        from r_reach where kick_off is null or day_from >= kick_off group by geography, commune_code, family, cause
    ) as t on t.geography = m.geography and t.commune_code = m.commune_code and t.family = d.family and t.day_from <= m.date
    union all
    select m.id, c.cause, 0
    from r_moved as m join r_claim as c on m.kpi = 'completeness' and c.source <> 'registers' and c.unit = '' and c.business_day = m.date
),

candidate as (
    select id, cause, min(level) as level from reaching group by id, cause
    union all
    -- nothing was traced to a row: what can have moved it at all, unless a rule changed, which can as well
    select m.id, c.cause, 9
    from r_moved as m
    join r_needs as d on d.kpi = m.kpi
    join r_can_move as f on f.family = d.family
    join r_claim as c on c.dataset = f.dataset
    where not %(changed)s and not exists (select from reaching as r where r.id = m.id)
    group by m.id, c.cause
),

best as (
    select c.*, min(case when c.level < 8 then 0 else c.level end) over (partition by c.id) as least from candidate as c
)

select b.id, array_agg(b.cause order by b.level, w.newness) as causes, b.least = 9 as is_loose
from best as b
join r_cause as w on w.cause = b.cause
where case when b.level < 8 then 0 else b.level end = b.least
group by b.id, b.least
"""

_REASON = """
create temporary table r_reason on commit drop as
select b.causes, b.is_loose,
    w.vi || ': ' || w.label || coalesce('; cũng có thể do ' || o.others, '')
        || case when b.is_loose then ' (theo lần giao, không truy được tới dòng)' else '' end
        || %(rule_vi)s || ' · ' || w.en || ': ' || w.label || coalesce('; may also be due to ' || o.others, '')
        || case when b.is_loose then ' (by delivery, not traced to a row)' else '' end || %(rule_en)s as reason
from (select distinct causes, is_loose from r_blame) as b
join r_cause as w on w.cause = b.causes[1]
left join lateral (
    select case when cardinality(b.causes) <= 13 then
            (select string_agg(x.label, ', ' order by u.nth) from unnest(b.causes) with ordinality as u (cause, nth) join r_cause as x on x.cause = u.cause
              where u.nth > 1)
        else
            (select string_agg(g.told, ', ' order by g.told)
               from (select x.class || ' ' || min(x.business_day) || '…' || max(x.business_day) || ' (' || count(*) || ')' as told
                       from unnest(b.causes) with ordinality as u (cause, nth) join r_cause as x on x.cause = u.cause where u.nth > 1 group by x.class) as g)
        end as others
) as o on true
"""


def prepare(conn: psycopg.Connection[Any]) -> None:
    """Make `bi.kpi_restatement`. Of its keys only the release is a foreign key: a day or commune that a list has no more must not stop a release."""
    where = sql.Identifier(*TABLE)
    if not catalog.columns(conn, *TABLE):
        body = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t, _ in _COLUMNS)  # type: ignore[arg-type]
        conn.execute(sql.SQL("create table {} ({}, primary key (restatement_id), foreign key (release_id) references bi.release)").format(where, body))
        for keys in (("geography", "commune_code", "date", "kpi"), ("release_id",), ("export_id",)):
            conn.execute(sql.SQL("create index on {} ({})").format(where, catalog.listed(keys)))
        conn.execute(
            sql.SQL("create trigger append_only before update or delete or truncate on {} for each statement execute function ops.refuse_change()").format(
                where
            )
        )
    catalog.describe(conn, *TABLE, list(_COLUMNS), _TOLD)


def remember(conn: psycopg.Connection[Any], parts: list[str] | None = None) -> bool:
    """Note which states of accounts that count differ from the release before, and remember those of this one; whether there was one to compare with.
    ``parts``: predicates over the states that may differ; None: all of them may."""
    known = conn.execute("select exists (select from ops.account_as_published)").fetchone()
    place = "t.commune_code"
    if "geography" in {n for n, _, _ in catalog.columns(conn, "core", "fct_account_state")}:
        place = "case when t.geography = '2021' or t.commune_code like '%:%' then t.commune_code else t.geography || ':' || t.commune_code end"
    only = "true" if parts is None else " or ".join(f"({part})" for part in parts) or "false"
    built = f"select account_key, platform, {place} as place, household_key, valid_from, valid_to, export_id from core.fct_account_state as t"
    built, before = f"{built} where is_counting and ({only})", f"select t.* from ops.account_as_published as t where {only}"
    for name, one, other in (("gone", before, built), ("came", built, before)):
        conn.execute(f"create temporary table r_account_{name} on commit drop as ({one}) except ({other})")  # type: ignore[arg-type]
    conn.execute("delete from ops.account_as_published as a using r_account_gone as g where (g.account_key, g.valid_from) = (a.account_key, a.valid_from)")
    conn.execute("insert into ops.account_as_published table r_account_came")
    return bool(known and known[0])


def tell(conn: psycopg.Connection[Any], scope: BuildScope, release_id: int, before: list[catalog.Column], *, is_remembered: bool) -> int:
    """Add what this release moved, and why; the number of rows. ``before``: columns of kpi_commune_daily as the release before had them;
    ``is_remembered``: what `remember` said."""
    now = {n: t for n, t, _ in catalog.columns(conn, "bi", "kpi_commune_daily")}
    both = [n for n, _, _ in before if n in now and n not in (*KEY, "release_id", "published_at")]
    if not before or not _moved(conn, release_id, [n for n in both if now[n].startswith(_NUMBERS)], [n for n in WORDS if n in both], set(both)):
        return 0
    last = conn.execute("select project_digest from ops.release where release_id < %s order by release_id desc limit 1", (release_id,)).fetchone()
    changed = last is not None and last[0] != scope.digest
    _touch(conn, scope, release_id, is_remembered)
    asked = {
        "changed": changed,
        "rule_vi": "; quy tắc hoặc danh mục cũng đổi" if changed else "",
        "rule_en": "; a rule or seed changed as well" if changed else "",
    }
    for statement in ("analyze r_moved, r_touch", _KIN, "analyze r_kin", _REACH, "analyze r_reach", _BLAME, "analyze r_blame", _REASON):
        conn.execute(statement, asked)  # type: ignore[arg-type]
    otherwise = "Dựng lại toàn bộ · full rebuild" if scope.full_refresh else "Chưa truy được nguyên nhân · cause not found"
    if changed:
        otherwise = "Quy tắc hoặc danh mục thay đổi · changed rule or seed"
    insert = sql.SQL(
        """insert into {t} ({columns})
           select (select coalesce(max(t.restatement_id), 0) from {t} as t) + m.id, {release}, m.geography, m.commune_code, m.date, m.kpi,
                  m.old_value, m.new_value, coalesce(r.reason, {otherwise}), b.causes[1], m.old_text, m.new_text
           from r_moved as m
           left join r_blame as b on b.id = m.id
           left join r_reason as r on r.causes = b.causes and r.is_loose = b.is_loose
           order by m.id"""
    )
    columns = catalog.listed([n for n, _, _ in _COLUMNS])
    return conn.execute(insert.format(t=sql.Identifier(*TABLE), columns=columns, release=sql.Literal(release_id), otherwise=sql.Literal(otherwise))).rowcount


def _moved(conn: psycopg.Connection[Any], release_id: int, kpis: list[str], words: list[str], there: set[str]) -> int:
    """r_moved: what was published in the release before, or earlier, and is said otherwise now; how many values."""

    def values(name: str, *, is_word: bool) -> sql.Composed:
        shape = "({k}, null::numeric, null::numeric, o.{c}::text, n.{c}::text)" if is_word else "({k}, o.{c}::numeric, n.{c}::numeric, null::text, null::text)"
        return sql.SQL(shape).format(k=sql.Literal(name), c=sql.Identifier(name))  # type: ignore[arg-type]

    listed = sql.SQL(", ").join([values(k, is_word=False) for k in kpis] + [values(w, is_word=True) for w in words])
    kick_off = "coalesce(n.date - cast(n.phase_day as integer), o.date - cast(o.phase_day as integer))" if "phase_day" in there else "null::date"
    held = "position(m.kpi in concat_ws(',', o.rates_held, n.rates_held)) > 0" if "rates_held" in there else "false"
    query = sql.SQL(
        """create temporary table r_moved on commit drop as
           with o as (select * from {v} where valid_to_release = {r}),
           n as (select * from {v} where valid_from_release = {r}),
           pair as materialized (
               select geography, commune_code, date from o
               union
               select n.geography, n.commune_code, n.date from n
               where exists (select from {v} as e where (e.geography, e.commune_code, e.date) = (n.geography, n.commune_code, n.date)
                               and e.valid_from_release < {r})
           )
           select row_number() over (order by p.geography, p.commune_code, p.date, m.kpi) as id, p.geography, p.commune_code, p.date,
                  m.kpi, m.old_value, m.new_value, m.old_text, m.new_text, {kick_off} as kick_off, {held} as is_held
           from pair as p
           left join o on (o.geography, o.commune_code, o.date) = (p.geography, p.commune_code, p.date)
           left join n on (n.geography, n.commune_code, n.date) = (p.geography, p.commune_code, p.date)
           cross join lateral (values {listed}) as m (kpi, old_value, new_value, old_text, new_text)
           where m.old_value is distinct from m.new_value or m.old_text is distinct from m.new_text"""
    ).format(v=sql.Identifier(*VERSIONS), r=sql.Literal(release_id), listed=listed, kick_off=sql.SQL(kick_off), held=sql.SQL(held))
    return conn.execute(query).rowcount


def _touch(conn: psycopg.Connection[Any], scope: BuildScope, release_id: int, is_remembered: bool) -> None:
    """r_claim, r_cause, r_touch: what this build's deliveries touched, where, and on which days."""
    conn.execute("create temporary table r_needs (kpi text, family text, platform text, way text) on commit drop")
    conn.execute("create temporary table r_can_move (dataset text, family text) on commit drop")
    with conn.cursor() as cursor:
        cursor.executemany("insert into r_needs values (%s, %s, %s, %s)", _needs())
        cursor.executemany("insert into r_can_move values (%s, %s)", [(d, f) for d, families in _CAN_MOVE.items() for f in families])
    conn.execute(_CLAIM, {"build": scope.build_id, "release": release_id})
    conn.execute(_CAUSE, {"release": release_id})
    conn.execute("analyze r_needs, r_can_move, r_claim, r_cause, r_account_gone, r_account_came")
    for table in ("dim_store", "dim_product", "fct_order_line", "fct_refund"):
        conn.execute(f"analyze pg_temp.gone_{table}, pg_temp.came_{table}")  # type: ignore[arg-type]
    conn.execute("create temporary table r_told (dataset text, place text, cause bigint, day_from date) on commit drop")
    conn.execute(
        "create temporary table r_touch (family text, platform text, place text, day_from date, day_to date, cause bigint, level integer) on commit drop"
    )
    for dataset in ("hamlets", "households", "teams", "leads"):
        conn.execute(_REGISTER.format(dataset=dataset))  # type: ignore[arg-type]
    for dataset, family in (("hamlets", "denominator"), ("teams", "team"), ("leads", "lead")):
        conn.execute("insert into r_touch select %s, null, place, day_from, date '9999-12-31', cause, 0 from r_told where dataset = %s", (family, dataset))
    for name, query, dataset in (("r_stores", _STORES, "stores"), ("r_products", _PRODUCTS, "products"), ("r_accounts", _ACCOUNTS, "accounts")):
        conn.execute(query)  # type: ignore[arg-type]
        conn.execute(f"analyze {name}, r_told")  # type: ignore[arg-type]
        conn.execute(_STOCK_CAUSE.format(name=name, dataset=f"'{dataset}'"))  # type: ignore[arg-type]
        if dataset == "products":
            conn.execute(_TOUCH_PRODUCTS)  # type: ignore[arg-type]
        elif dataset == "stores" or is_remembered:
            conn.execute(_TOUCH_STOCK.format(name=name, own=f"'{dataset.removesuffix('s')}'"))  # type: ignore[arg-type]
    for statement in (_ORDERS, _REFUNDS, "analyze r_orders, r_refunds, r_stores_cause", _ORDER_CAUSE, _REFUND_CAUSE, _TOUCH_FLOWS):
        conn.execute(statement)  # type: ignore[arg-type]
