"""What a measure counts, one by one, with the rows of the deliveries that say so: SQL over `intermediate` and `core` as they were built.

Each query reads `unit` (place, since, until: the days that count, for a state its day twice; as_of: of a register's figure) and gives rows of one shape,

    place, entity, shown, amount, role, note, export_id, source_row, code

several for an entity where several rows stand behind it. `entity` tells entities of a place apart, `shown` is what may be seen of it, `amount` what it
adds (1, or whole VND), `code` the natural key under which the raw row has to stand (never shown). The conditions are those of `int_stock__intervals`,
`int_effects` and `int_lead_calc__by_day`, as a list instead of a count.
"""

from __future__ import annotations

from kinhteso.kpis import Words

UNIT = """unit as (
    select u.place, u.since, u.until, u.as_of,
        case when u.place like '%%:%%' then split_part(u.place, ':', 1) else '2021' end as geography, right(split_part(u.place, '>', 1), 5) as unit_code
    from unnest(%(places)s::text[], %(since)s::date[], %(until)s::date[], %(as_of)s::date[]) as u (place, since, until, as_of)
)"""

#: As the macro `pseudonym` makes them.
_PSEUDONYM = "encode(sha256(sha256(convert_to((select x.salt from ops.pseudonym_salt as x) || '|{0}|' || {1}, 'UTF8'))), 'hex')"
_KEY = "coalesce(" + _PSEUDONYM.format("household", "{0}.household_code") + ", '?')"
_ACCOUNT_KEY = _PSEUDONYM.format("account", "m.platform || '|' || m.account_ref")

# ---- stores, accounts, products: states in force at the end of the day ----

_STORE = f"""store as (
    select u.place, u.until as day, m.*, {_KEY.format("m")} as household_key,
        concat_ws(' · ', m.platform, m.store_code, m.store_status, m.owner_type, m.matched_by, case when m.is_rebuilt then 'rebuilt' end, m.valid_from) as note
    from unit as u
    join intermediate.int_stores__matched as m on m.commune_code = u.place and m.valid_from <= u.until and u.until < m.valid_to
    where m.is_counting
)"""

_ACCOUNT = f"""account as (
    select u.place, u.until as day, m.*, {_KEY.format("m")} as household_key, {_ACCOUNT_KEY} as account_key,
        concat_ws(' · ', m.platform, m.account_status, 'KYC ' || m.kyc_level, m.matched_by, case when m.is_rebuilt then 'rebuilt' end, m.valid_from) as note
    from unit as u
    join intermediate.int_accounts__matched as m on m.commune_code = u.place and m.valid_from <= u.until and u.until < m.valid_to
    where m.is_counting
)"""

# the row of the household list that the ladder matched
_LISTED = """
    select s.place, s.entity, s.shown, 1, 'household_list', null, h.export_id, h.source_row, h.household_code
    from (select distinct place, day, entity, shown, household_code from {0} where household_code is not null) as s
    join (select distinct household_code, valid_from, valid_to, export_id, source_row from intermediate.int_households__in_force) as h
        on h.household_code = s.household_code and h.valid_from <= s.day and s.day < h.valid_to"""


def _stores(condition: str = "true") -> str:
    return f"""{_STORE},
told as (select *, platform || '|' || store_code as entity, platform || ' ' || store_code as shown from store where {condition}),
found as (
    select place, entity, shown, 1 as amount, 'store' as role, note, export_id, source_row, store_code as code from told
    union all {_LISTED.format("told")}
)"""


def households_with_store(condition: str = "true") -> str:
    """Households of the stores that count, under a further condition over the store."""
    return f"""{_STORE},
told as (select *, household_key as entity, household_key as shown from store where household_code is not null and {condition}),
found as (
    select place, entity, shown, 1 as amount, 'store' as role, note, export_id, source_row, store_code as code from told
    union all {_LISTED.format("told")}
)"""


def _accounts(condition: str = "true") -> str:
    return f"""{_ACCOUNT},
told as (select *, account_key as entity, account_key as shown from account where {condition}),
found as (
    select place, entity, shown, 1 as amount, 'account' as role, note, export_id, source_row, account_ref as code from told
    union all {_LISTED.format("told")}
)"""


def households_with_payment(condition: str = "true") -> str:
    """Households of the accounts that count, under a further condition over the account."""
    return f"""{_ACCOUNT},
told as (select *, household_key as entity, household_key as shown from account where household_code is not null and {condition}),
found as (
    select place, entity, shown, 1 as amount, 'account' as role, account_key || ' · ' || note as note, export_id, source_row, account_ref as code from told
    union all {_LISTED.format("told")}
)"""


_BOTH = (
    "(place, household_code) in (select place, household_code from store where household_code is not null group by 1, 2 having count(distinct platform) > 1)"
)

_PRODUCTS = f"""{_STORE},
told as (
    select s.place, p.platform || '|' || p.product_code as entity, p.platform || ' ' || p.product_code as shown, s.note as store_note,
        s.export_id as store_export_id, s.source_row as store_source_row, s.store_code, p.product_code, p.export_id, p.source_row,
        concat_ws(' · ', p.product_status, case when p.is_rebuilt then 'rebuilt' end, p.valid_from) as note
    from store as s
    join intermediate.int_products__dated as p
        on p.platform = s.platform and p.store_code = s.store_code and p.valid_from <= s.day and s.day < p.valid_to
    where p.is_on_sale
),
found as (
    select place, entity, shown, 1 as amount, 'product' as role, note, export_id, source_row, product_code as code from told
    union all
    select place, entity, shown, 1, 'store', store_note, store_export_id, store_source_row, store_code from told
)"""

# ---- orders and refunds: what happened on the days that count ----


def _order_rows(amount: str) -> str:
    """Rows of the state that counts (each line of it), and of the status events, also of earlier deliveries."""
    return f"""
    select t.place, t.entity, t.shown, {amount} as amount, 'order' as role, t.note, r.export_id, r.source_row, t.order_code as code
    from taken as t
    join lateral (
        select t.export_id, t.source_row
        union
        select l.export_id, l.source_row from core.fct_order_line as l where l.platform = t.platform and l.order_code = t.order_code
    ) as r on true
    union all
    select t.place, t.entity, t.shown, {amount}, 'event', concat_ws(' · ', e.order_status, to_char(e.event_at at time zone '+07:00', 'YYYY-MM-DD HH24:MI:SS')),
        e.export_id, e.source_row, case when t.platform = 'voso' then t.order_id else t.order_code end
    from taken as t
    join core.fct_order_status_event as e on e.platform = t.platform and e.order_code = t.order_code"""


def _taken(day: str, condition: str) -> str:
    return f"""taken as (
    select u.place, o.*, 'order|' || o.platform || '|' || o.order_code as entity, o.platform || ' ' || o.order_code as shown,
        concat_ws(' · ', o.status, o.store_code, o.{day}) as note
    from unit as u
    join intermediate.int_orders as o on o.commune_code = u.place and o.{day} between u.since and u.until
    where not o.is_test and {condition}
)"""


_REFUNDED = """refunded as (
    select u.place, r.*, 'refund|' || r.platform || '|' || r.refund_code as entity, r.platform || ' ' || r.refund_code as shown,
        concat_ws(' · ', r.refund_status, r.order_code, r.completed_day) as note
    from unit as u
    join intermediate.int_refunds as r on r.commune_code = u.place and r.completed_day between u.since and u.until
    where not r.is_test and r.is_done
)"""
_REFUND_ROWS = """
    select place, entity, shown, {0} as amount, 'refund' as role, note, export_id, source_row, refund_code as code from refunded"""

_DELIVERED = _taken("first_delivered_day", "true")


def _orders(day: str, condition: str = "true", amount: str = "1") -> str:
    return f"{_taken(day, condition)},\nfound as ({_order_rows(amount)})"


_NOT_CANCELLED = "o.status <> 'CANCELLED'"
_REFUNDS = f"{_REFUNDED},\nfound as ({_REFUND_ROWS.format('refund_amount_vnd')})"
_NET = f"{_DELIVERED},\n{_REFUNDED},\nfound as ({_order_rows('t.goods_net_vnd')}\n    union all {_REFUND_ROWS.format('-refund_amount_vnd')}\n)"

_LEAD_CALC = f"""rule as (
    select w.*, u.day from seeds.lead_rule as w join (select distinct until as day from unit) as u on w.valid_from <= u.day and u.day < w.valid_to
),
moved as (
    select e.*, w.day, w.min_orders, w.min_revenue_net_vnd
    from intermediate.int_effects as e
    join rule as w on e.date > w.day - w.window_days and e.date <= w.day
    where e.household_code is not null
),
-- one household over all its stores, counted where its last order or refund was
reached as (
    select m.household_code, split_part(max(cast(m.date as text) || '|' || m.commune_code), '|', 2) as place
    from moved as m
    group by m.household_code, m.min_orders, m.min_revenue_net_vnd
    having sum(m.orders_delivered) >= m.min_orders or sum(m.revenue_gross_vnd - m.refunds_vnd) >= m.min_revenue_net_vnd
),
told as (select r.* from reached as r join unit as u on u.place = r.place),
effect as (
    select t.place, o.household_code, o.platform, o.order_code as own_code, 'order' as role, o.export_id, o.source_row, o.goods_net_vnd as net,
        o.first_delivered_day as date
    from told as t
    join intermediate.int_orders as o on o.household_code = t.household_code
    join rule as w on o.first_delivered_day > w.day - w.window_days and o.first_delivered_day <= w.day
    where not o.is_test
    union all
    select t.place, r.household_code, r.platform, r.refund_code, 'refund', r.export_id, r.source_row, -r.refund_amount_vnd, r.completed_day
    from told as t
    join intermediate.int_refunds as r on r.household_code = t.household_code
    join rule as w on r.completed_day > w.day - w.window_days and r.completed_day <= w.day
    where not r.is_test and r.is_done
),
found as (
    select e.place, {_KEY.format("e")} as entity, {_KEY.format("e")} as shown, 1 as amount, e.role,
        concat_ws(' · ', e.platform, e.own_code, e.date, e.net || ' VND') as note, e.export_id, e.source_row, e.own_code as code
    from effect as e
)"""

# ---- registers ----


def lead_households(condition: str = "true") -> str:
    """Recognised lead households, under a further condition over the row ``l`` of the list in force."""
    return f"""found as (
    select u.place, {_KEY.format("l")} as entity, {_KEY.format("l")} as shown, 1 as amount, 'lead' as role,
        concat_ws(' · ', l.as_of, l.valid_from) as note, l.export_id, l.source_row, l.household_code as code
    from unit as u
    join intermediate.int_leads__in_force as l on l.commune_code = u.place and l.valid_from <= u.until and u.until < l.valid_to
    where {condition}
)"""


def _hamlets(amount: str) -> str:
    return f"""found as (
    select u.place, h.export_id || '|' || h.source_row as entity, h.hamlet_name as shown, {amount} as amount, 'hamlet' as role,
        concat_ws(' · ', h.as_of, h.households || ' households') as note, h.export_id, h.source_row, h.hamlet_name as code
    from unit as u
    join staging.stg_registers__hamlets as h on h.geography = u.geography and h.commune_code = u.unit_code and h.as_of = u.as_of
    left join intermediate.int_hamlet_places as a on a.geography = h.geography and a.commune_code = h.commune_code and a.hamlet = h.hamlet
    where u.place = coalesce(a.place_code, split_part(u.place, '>', 1))
)"""


MEMBER_NOTE = "concat_ws(' · ', m.as_of, m.hamlet_raw, m.team_role, case when m.is_trained then 'trained' end)"


def _members(condition: str = "true") -> str:
    return f"""found as (
    select u.place, md5(m.export_id || '|' || m.source_row) as entity, md5(m.export_id || '|' || m.source_row) as shown, 1 as amount, 'member' as role,
        {MEMBER_NOTE} as note, m.export_id, m.source_row, m.hamlet_raw as code
    from unit as u
    join intermediate.int_team_members__in_force as m on m.commune_code = u.place and m.as_of = u.as_of
    where {condition}
)"""


_HAMLETS_WITH_TEAM = f"""member as (
    select m.*
    from (select distinct geography, unit_code, as_of from unit) as u
    join intermediate.int_team_members__in_force as m on m.geography = u.geography and m.unit_code = u.unit_code and m.as_of = u.as_of
),
team as (
    select geography, unit_code, commune_code, as_of, team, min(hamlet_raw) as hamlet_raw
    from member
    group by geography, unit_code, commune_code, as_of, team
    having count(*) filter (where team_role = 'HEAD') >= 1 and count(*) filter (where team_role <> 'HEAD' and is_trained) >= 2
),
served as (
    select t.*, h.hamlet_text
    from team as t
    cross join lateral regexp_split_to_table(t.hamlet_raw, '\\s*[,;]\\s*') as h (hamlet_text)
    where btrim(h.hamlet_text) <> ''
),
known as (
    select distinct h.geography, h.commune_code as unit_code, parse.plain(h.hamlet_name) as full_name, h.hamlet as bare_name
    from staging.stg_registers__hamlets as h
    join (select distinct geography, unit_code from unit) as u on u.geography = h.geography and u.unit_code = h.commune_code
),
bare as (select geography, unit_code, bare_name, min(full_name) as full_name from known group by 1, 2, 3 having count(distinct full_name) = 1),
named as (
    select coalesce(a.place_code, s.commune_code) as place, s.geography, s.unit_code, s.commune_code, s.as_of, s.team, s.hamlet_text,
        coalesce(k.full_name, b.full_name, '~' || parse.hamlet(s.hamlet_text)) as entity
    from served as s
    left join (select distinct geography, unit_code, full_name from known) as k
        on k.geography = s.geography and k.unit_code = s.unit_code and k.full_name = parse.plain(s.hamlet_text)
    left join bare as b on b.geography = s.geography and b.unit_code = s.unit_code and b.bare_name = parse.hamlet(s.hamlet_text)
    left join intermediate.int_hamlet_places as a
        on a.geography = s.geography and a.commune_code = s.unit_code and a.hamlet = parse.hamlet(s.hamlet_text)
),
found as (
    select n.place, n.entity, min(n.hamlet_text) over (partition by n.place, n.entity) as shown, 1 as amount, 'member' as role,
        {MEMBER_NOTE} as note, m.export_id, m.source_row, m.hamlet_raw as code
    from named as n
    join unit as u on u.place = n.place and u.as_of = n.as_of
    join member as m
        on m.geography = n.geography and m.unit_code = n.unit_code and m.commune_code = n.commune_code and m.as_of = n.as_of and m.team = n.team
)"""

#: Measure -> common table expressions that end with `found`. A measure that is missing here is computed from its parts.
QUERIES: dict[str, str] = {
    "households": _hamlets("h.households"),
    "hamlets": _hamlets("1"),
    "households_with_store": households_with_store(),
    "households_with_store_postmart": households_with_store("platform = 'postmart'"),
    "households_with_store_voso": households_with_store("platform = 'voso'"),
    "households_with_store_both": households_with_store(_BOTH),
    "households_with_active_store": households_with_store("day < last_activity_day + 31"),
    "stores": _stores(),
    "stores_of_households": _stores("is_matchable"),
    "stores_unmatched": _stores("is_matchable and household_code is null"),
    "households_with_payment": households_with_payment(),
    "accounts": _accounts(),
    "accounts_unmatched": _accounts("household_code is null"),
    "lead_households": lead_households(),
    "lead_households_calc": _LEAD_CALC,
    "hamlets_with_team": _HAMLETS_WITH_TEAM,
    "team_members": _members(),
    "team_members_trained": _members("m.is_trained"),
    "products_on_sale": _PRODUCTS,
    "orders_placed": _orders("created_day"),
    "orders_valid": _orders("created_day", _NOT_CANCELLED),
    "orders_delivered": _orders("first_delivered_day", "o.status not in ('RETURNED', 'REFUNDED')"),
    "orders_cancelled": _orders("cancelled_day"),
    "orders_returned": _orders("returned_day"),
    "orders_out_of_province": _orders("created_day", f"{_NOT_CANCELLED} and o.is_out_of_province"),
    "revenue_gross_vnd": _orders("first_delivered_day", amount="t.goods_net_vnd"),
    "refunds_vnd": _REFUNDS,
    "revenue_net_vnd": _NET,
}
QUERIES |= {
    f"{key}_to_date": QUERIES[key] for key in ("orders_placed", "orders_valid", "orders_delivered", "revenue_gross_vnd", "refunds_vnd", "revenue_net_vnd")
}
QUERIES |= {"store_base": QUERIES["households_with_store"], "payment_base": QUERIES["households_with_payment"], "revenue_base_vnd": _NET}

#: Where each row stands: the delivery, the file or page in the landing, the row in it.
_PLACED = """
select f.place, f.entity, f.shown, f.amount, f.role, f.note, f.export_id, f.source_row, f.code,
    e.source, e.dataset, e.unit, e.business_day, e.version, e.state, coalesce(p.origin, e.origin) as file, p.path as landing_path,
    coalesce(p.first_file_row + f.source_row - p.first_row, f.source_row) as file_row
from (select distinct * from found) as f
left join ops.export as e on e.export_id = f.export_id
left join lateral (
    select * from ops.export_part as x where x.export_id = f.export_id and x.first_row <= f.source_row order by x.first_row desc limit 1
) as p on true
order by f.place, f.entity, f.role, e.business_day, f.export_id, f.source_row
"""


def query(key: str) -> str:
    """The whole query of a measure of QUERIES; its parameters are places, since, until, as_of: arrays of one length."""
    return placed(f"{UNIT},\n{QUERIES[key]}")


def placed(found: str) -> str:
    """A query of common table expressions that end with `found`, each row with where it stands."""
    return f"with {found}\n{_PLACED}"


#: What a row says of an entity.
ROLES = {
    "store": Words("gian hàng", "store"),
    "household_list": Words("danh sách hộ", "household list"),
    "account": Words("tài khoản", "account"),
    "product": Words("sản phẩm", "product"),
    "order": Words("đơn", "order"),
    "event": Words("trạng thái", "status"),
    "refund": Words("phiếu hoàn", "refund"),
    "lead": Words("Biểu 04", "R4"),
    "hamlet": Words("Biểu 01", "R1"),
    "member": Words("Biểu 02", "R2"),
    "target": Words("Biểu 03", "R3"),
}

#: Column of the raw row that has to hold the `code` of what it is named for, by role and source.
RAW_KEYS = {
    ("store", "postmart"): "store_code", ("store", "voso"): "store_id", ("household_list", "registers"): "household_code",
    ("account", "postmart"): "account_ref", ("account", "voso"): "account_ref", ("product", "postmart"): "product_code", ("product", "voso"): "product_id",
    ("order", "postmart"): "order_code", ("order", "voso"): "order_number", ("event", "postmart"): "order_code", ("event", "voso"): "order_id",
    ("refund", "postmart"): "refund_code", ("refund", "voso"): "return_id", ("lead", "registers"): "household_code", ("hamlet", "registers"): "hamlet_raw",
    ("member", "registers"): "hamlet_raw", ("target", "registers"): "unit_name",
}  # fmt: skip
