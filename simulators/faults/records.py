"""Faults in what Vỏ Sò says: its records. Delta sets are struck where the last change lies in D, full sets while D is being fetched (see `catalogue`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from simulators.clock import ms
from simulators.faults.switch import Fault, Struck
from simulators.keys import phone_key
from simulators.tables import stamp

if TYPE_CHECKING:
    from simulators.voso import Record, VoSo

FULL = ("STORES", "PAYMENT_ACCOUNTS")
#: A fault of an order's state strikes its events too, so that the two agree.
ALSO = {"F43": ("ORDER_EVENTS",), "F45": ("ORDER_EVENTS",), "F46": ("ORDER_EVENTS",), "F83": ("ORDER_EVENTS",)}
STRIKE: dict[str, Callable[[View, Fault], None]] = {}


class View:
    """A dataset as of a moment, which faults change; ``rows`` are replaced, never altered in place, for the platform keeps them."""

    def __init__(self, voso: VoSo, dataset: str, at: datetime, day: date) -> None:
        self.voso, self.dataset, self.at = voso, dataset, at
        self.start = datetime.combine(day, time())
        self.end = self.start + timedelta(days=1)
        self.rows: list[Record] = list(voso.records(dataset, at))
        self.struck: list[Struck] = []

    def of_day(self, rows: Sequence[Record] | None = None) -> list[str]:
        """Ids of the day's records: of a delta set those that changed last on it (as it looked at its end), of a full set all."""
        if rows is None:
            rows = self.voso.records(self.dataset, min(self.at, self.end - timedelta(milliseconds=1)))
        return [r[1] for r in rows if self.dataset in FULL or ms(self.start) <= r[0] < ms(self.end)]

    def change(self, ids: Sequence[str], make: Callable[[dict[str, Any]], None], updated: int | None = None) -> list[str]:
        """Alter copies of these records, where they are still those of the day; gives their ids."""
        wanted = set(ids) & set(self.of_day(self.rows))
        for n, (at, key, item) in enumerate(self.rows):
            if key in wanted:
                new = deepcopy(item)
                make(new)
                self.rows[n] = (at if updated is None else updated, key, new)
        return [i for i in ids if i in wanted]

    def add(self, updated: int, key: str, item: dict[str, Any]) -> None:
        """One record more, in the order of ids."""
        self.rows.append((updated, key, item))
        self.rows.sort(key=lambda r: (len(r[1]), r[1]))

    def drop(self, ids: Sequence[str]) -> None:
        """Without these."""
        gone = set(ids)
        self.rows = [r for r in self.rows if r[1] not in gone]

    def note(self, fault: Fault, effect: str, keys: Sequence[str], says: dict[str, dict[str, Any]] | None = None) -> None:
        """Keep what was struck."""
        self.struck.append(Struck(fault.name, fault.day, self.dataset, effect, tuple(keys), says or {}))


def apply(voso: VoSo, dataset: str, at: datetime, on: Sequence[Fault], fetching: date) -> tuple[list[Record], list[Struck]]:
    """Records of a dataset at ``at`` with the faults that are on, while the clock fetches ``fetching``."""
    mine = [
        f
        for f in on
        if f.name in STRIKE
        and at >= datetime.combine(f.day, time())
        and (f.dataset == dataset or f.dataset == "VOSO" or (dataset in ALSO.get(f.name, ()) and f.dataset == "ORDERS"))
    ]
    rows, struck = voso.records(dataset, at), list[Struck]()
    for f in mine:
        if dataset in FULL and f.day != fetching:
            continue
        view = View(voso, dataset, at, f.day)
        view.rows = list(rows)
        STRIKE[f.name](view, f)
        rows, struck = view.rows, struck + view.struck
    return rows, struck


def strikes(name: str) -> Callable[[Callable[[View, Fault], None]], Callable[[View, Fault], None]]:
    """Register what a fault does to the records."""

    def register(f: Callable[[View, Fault], None]) -> Callable[[View, Fault], None]:
        STRIKE[name] = f
        return f

    return register


def order_of(view: View, key: str) -> Any:
    """The order of the world behind an ORDER_ID."""
    from simulators.voso import order_id

    return next(o for o in view.voso.orders if order_id(o) == key)


def finished(view: View) -> list[str]:
    """ORDER_IDs whose whole life ends with a delivery two days before D or earlier, the oldest delivery first."""
    from simulators.voso import order_id

    done = [o for o in view.voso.orders if o.history[-1][1] == "DELIVERED" and o.history[-1][0] < view.start - timedelta(days=2)]
    return [order_id(o) for o in sorted(done, key=lambda o: o.history[-1][0])]


def orders_of(view: View, f: Fault) -> list[str]:
    """The first orders of the day, as many as the fault wants, by ORDER_ID; the same for their events."""
    rows = view.voso.records("ORDERS", view.end - timedelta(milliseconds=1))
    ids = [r[1] for r in rows if ms(view.start) <= r[0] < ms(view.end)]
    return ids[: f.of(len(ids))]


def change_orders(view: View, f: Fault, ids: Sequence[str], order: Callable[[dict[str, Any]], None], event: Callable[[dict[str, Any]], None]) -> None:
    """Alter orders, and the last event of each that arrived on the day."""
    if view.dataset == "ORDERS":
        hit = view.change(ids, order)
    else:
        last = {item["ORDER_ID"]: key for _, key, item in view.rows if key in set(view.of_day(view.rows)) and item["ORDER_ID"] in ids}
        hit = view.change(list(last.values()), event)
    now = {key: item for _, key, item in view.rows if key in hit}
    view.note(f, "changed", hit, {k: {h: now[k][h] for h in ("STATUS", "ORDER_STATUS", "IS_RETURNING", "ORDER_STATUSDATE") if h in now[k]} for k in hit})


def leaves(rows: Sequence[Record]) -> str:
    """F37: the id that leaves from the first page of a quarter of the set: of one that counts nowhere, if there is one."""
    page = rows[: max(1, -(-len(rows) // 4))]
    return next((key for _, key, item in page if item.get("STATUS") not in ("HOAT_DONG", "TAM_NGUNG", "DANG_BAN")), page[0][1])


# ---- what is there and what is not (F08, F30, F89, F51, F84, F87) ----


@strikes("F08")
def empty_day(view: View, f: Fault) -> None:
    if view.dataset in ("ORDERS", "ORDER_EVENTS", "RETURNS"):
        gone = view.of_day(view.rows)
        view.drop(gone)
        view.note(f, "withdrawn", gone)


@strikes("F30")
def vanished(view: View, f: Fault) -> None:
    ids = view.of_day()
    gone = ids[: f.of(len(ids))]
    view.drop(gone)
    view.note(f, "withdrawn", gone)


@strikes("F89")
def fewer(view: View, f: Fault) -> None:
    ids = view.of_day()
    gone = ids[::-2][: f.of(len(ids), "40%")]
    view.drop(gone)
    view.note(f, "withdrawn", gone)


@strikes("F51")
def test_data(view: View, f: Fault) -> None:
    ids = view.of_day()
    source = next((r for r in view.rows if r[1] in ids), None)
    if source is None:
        return
    item = deepcopy(source[2])
    if view.dataset == "ORDERS":
        key = "7199999999999999"
        item |= {"ORDER_ID": key, "ORDER_NUMBER": "123456789101112"}
    else:
        key = "8899999999999999"
        item |= {"STORE_ID": key, "STORE_NAME": "KHACH HANG TEST", "OWNER_NAME": "KHÁCH HÀNG TEST", "PHONE_KEY": phone_key("0900999999"), "ID_KEY": None}
    view.add(source[0], key, item)
    view.note(f, "added", [key])


def new_store(view: View, f: Fault, number: int, **says: Any) -> str:
    """A store that nobody's world has, made after the first one."""
    updated, _, first = view.rows[0]
    key = f"88888888{number:08d}"
    view.add(updated, key, deepcopy(first) | {"STORE_ID": key, "STATUS": "HOAT_DONG", "OWNER_TYPE": "HO_GIA_DINH", "ID_KEY": None, **says})
    return key


@strikes("F84")
def unknown_household(view: View, f: Fault) -> None:
    keys = [new_store(view, f, n, OWNER_NAME=f"NGƯỜI CHƯA BIẾT {n}", PHONE_KEY=phone_key(f"0900888{n:03d}")) for n in range(f.number(1))]
    view.note(f, "added", keys)


@strikes("F87")
def on_both(view: View, f: Fault) -> None:
    """A household with a store at Postmart opens one at Vỏ Sò too."""
    stores = view.voso.w.stores
    mine = {s.phone for s in stores if s.platform == "VS"}
    other = next(s for s in stores if s.platform == "PM" and s.phone and s.phone not in mine and s.status(view.at) == "ACTIVE" and s.owner_type == "HOUSEHOLD")
    c = view.voso.w.communes[other.commune]
    says = {
        "OWNER_NAME": other.owner.upper(),
        "PHONE_KEY": phone_key(other.phone),
        "DISTRICT_ID": c.vtp_district,
        "WARDS_ID": c.vtp_ward,
        "HAMLET_NAME": other.hamlet,
    }
    key = new_store(view, f, 7, **says)
    view.note(f, "added", [key], {key: {"other store": other.code}})


# ---- times (F41–F44) ----


@strikes("F41")
def one_moment(view: View, f: Fault) -> None:
    noon = ms(view.start + timedelta(hours=12))
    ids = view.change(view.of_day(view.rows), lambda item: item.update(UPDATED_AT=noon), noon)
    view.note(f, "changed", ids, {i: {"UPDATED_AT": noon} for i in ids})


@strikes("F42")
def silent_change(view: View, f: Fault) -> None:
    """A line of an older order changes at noon and UPDATED_AT does not; the sums agree."""
    if view.at < view.start + timedelta(hours=12):
        return
    wanted = set(finished(view)[: f.number(1)])
    says = {}
    for n, (updated, key, item) in enumerate(view.rows):
        if key in wanted:
            new = deepcopy(item)
            line = new["LINES"][0]
            line["QUANTITY"] += 1
            line["AMOUNT"] += line["PRICE"]
            for name in ("GOODS_AMOUNT", "TOTAL_AMOUNT"):
                new[name] += line["PRICE"]
            if new["MONEY_COLLECTION"]:
                new["MONEY_COLLECTION"] = new["TOTAL_AMOUNT"]
            view.rows[n] = updated, key, new
            says[key] = {"GOODS_AMOUNT": new["GOODS_AMOUNT"], "TOTAL_AMOUNT": new["TOTAL_AMOUNT"]}
    view.note(f, "changed", list(says), says)


def changed_order(view: View, key: str, status: str, when: datetime, arrived: datetime, event: str) -> None:
    """An order whose last state is another one, which happened at ``when`` and arrives at ``arrived``; or the event of that."""
    from simulators.voso import order_id

    if view.at < arrived:
        return
    o = order_of(view, key)
    known = o.known(view.start)
    longer = replace(o, history=[*o.history[:known], (when, status, "Không liên lạc được" if status == "RETURNED" else None)])
    if view.dataset == "ORDERS":
        _, _, item = view.voso.order_record(longer, known + 1)
        view.drop([key])
        view.add(ms(arrived), key, item | {"UPDATED_AT": ms(arrived)})
    else:
        item = view.voso.event_item(event, arrived, longer, known)
        view.add(ms(arrived), event, item)
    assert order_id(o) == key


@strikes("F43")
def late_status(view: View, f: Fault) -> None:
    """The oldest delivered orders: code 504, which happened the day after the delivery, arrives at 10:00 of D."""
    arrived = view.start + timedelta(hours=10)
    says = {}
    for n, key in enumerate(finished(view)[: f.number(1)]):
        when = order_of(view, key).history[-1][0] + timedelta(days=1)
        changed_order(view, key, "RETURNED", when, arrived, f"68{view.start:%y%m%d}{n:05d}")
        says[key] = {"ORDER_STATUS": 504, "ORDER_STATUSDATE": stamp(when)}
    view.note(f, "changed", list(says), says)


@strikes("F83")
def backwards(view: View, f: Fault) -> None:
    """Orders delivered before D are DANG_GIAO again, at 11:00 of D."""
    when = view.start + timedelta(hours=11)
    keys = finished(view)[: -f.number(1) - 1 : -1]
    for n, key in enumerate(keys):
        changed_order(view, key, "SHIPPED", when, when, f"69{view.start:%y%m%d}{n:05d}")
    view.note(f, "changed", keys, {k: {"STATUS": "DANG_GIAO", "ORDER_STATUSDATE": stamp(when)} for k in keys})


@strikes("F44")
def disorder(view: View, f: Fault) -> None:
    """The day's events arrive in the opposite order, and the first three of them once more under new ids."""
    places = [n for n, r in enumerate(view.rows) if r[1] in set(view.of_day(view.rows))]
    items = [deepcopy(view.rows[n][2]) for n in places]
    for n, item in zip(places, reversed(items), strict=True):
        created, key, _ = view.rows[n]
        view.rows[n] = created, key, item | {"EVENT_ID": key, "CREATED_AT": created}
    again = []
    for k, n in enumerate(places[:3]):
        created, _, item = view.rows[n]
        key = f"67{view.start:%y%m%d}{k:05d}"
        view.add(created, key, item | {"EVENT_ID": key})
        again.append(key)
    view.note(f, "changed", [view.rows[n][1] for n in places])
    view.note(f, "repeated", again)


# ---- values (F45–F50, F85, F86, F88) ----


@strikes("F45")
def return_leg(view: View, f: Fault) -> None:
    """The parcel comes back with code 501 and IS_RETURNING; the order says it by that code alone. Orders that are returned on D, else the first of D."""
    rows = view.voso.records("ORDERS", view.end - timedelta(milliseconds=1))
    day = [r for r in rows if ms(view.start) <= r[0] < ms(view.end)]
    ids = [r[1] for r in day if r[2]["STATUS"] == "DA_HOAN"] or [r[1] for r in day[:1]]

    def order(item: dict[str, Any]) -> None:
        item.update(STATUS="CHUYEN_HOAN", ORDER_STATUS=501, IS_RETURNING=True, ORDER_STATUSDATE=stamp(_local(item["UPDATED_AT"])))

    def event(item: dict[str, Any]) -> None:
        item.update(STATUS=None, ORDER_STATUS=501, STATUS_NAME="Phát thành công", IS_RETURNING=True)

    change_orders(view, f, ids, order, event)


def _local(value: int) -> datetime:
    from simulators.clock import from_ms

    return from_ms(value)


@strikes("F46")
def unknown_status(view: View, f: Fault) -> None:
    def order(item: dict[str, Any]) -> None:
        item.update(STATUS="CHO_DUYET_LAI", ORDER_STATUS=516, ORDER_STATUSDATE=stamp(_local(item["UPDATED_AT"])))

    def event(item: dict[str, Any]) -> None:
        item.update(STATUS="CHO_DUYET_LAI", ORDER_STATUS=516, STATUS_NAME="Chờ duyệt lại")

    change_orders(view, f, orders_of(view, f), order, event)


@strikes("F47")
def number_as_text(view: View, f: Fault) -> None:
    """PRICE is text (`=VALUE`: this text, which need not be a number)."""

    def order(item: dict[str, Any]) -> None:
        for part in item["LINES"] if "LINES" in item else [item]:
            part["PRICE"] = f.value or str(part["PRICE"])

    ids = view.change(view.of_day(view.rows), order)
    view.note(f, "changed", ids)


@strikes("F48")
def field_gone(view: View, f: Fault) -> None:
    name = {"ORDERS": "SELLER_DISCOUNT", "STORES": "LAST_ACTIVE_AT", "PRODUCTS": "WEIGHT", "PAYMENT_ACCOUNTS": "KYC_AT"}.get(view.dataset, "ORDER_STATUS")

    def lose(item: dict[str, Any]) -> None:
        if f.value == "null":
            item[name] = None
        else:
            item.pop(name, None)

    view.note(f, "damaged", view.change(view.of_day(view.rows), lose))


def recode(view: View, f: Fault, ids: Sequence[str], **says: Any) -> None:
    """Another place in these records."""
    hit = view.change(ids, lambda item: item.update(says))
    view.note(f, "changed", hit, {k: dict(says) for k in hit})


@strikes("F49")
def unknown_commune(view: View, f: Fault) -> None:
    ids = view.of_day()
    recode(view, f, ids[: f.of(len(ids))], WARDS_ID=999_999)


@strikes("F50")
def wrong_province(view: View, f: Fault) -> None:
    ids = view.of_day()
    recode(view, f, ids[: f.of(len(ids))], PROVINCE_ID=20)


@strikes("F85")
def unclear_commune(view: View, f: Fault) -> None:
    if f.value == "ambiguous":
        recode(view, f, view.of_day()[:1], WARDS_ID=0, DISTRICT_ID=0, ADDRESS="Xã Hòa Bình, Tỉnh Lạng Sơn")
    else:
        recode(view, f, view.of_day()[:1], WARDS_ID=980_999)


@strikes("F86")
def merged_commune(view: View, f: Fault) -> None:
    """All stores of a commune carry a ward of the two-level list."""
    ward = view.rows[0][2]["WARDS_ID"]
    recode(view, f, [key for _, key, item in view.rows if item["WARDS_ID"] == ward], DISTRICT_ID=100_000_001, WARDS_ID=2_206_505)


@strikes("F88")
def bad_money(view: View, f: Fault) -> None:
    wrong = {"overflow": 999_999_999_999, "negative": -50_000, "comma": "1250,5"}
    field = {"ORDERS": "TOTAL_AMOUNT", "RETURNS": "REFUND_AMOUNT", "PRODUCTS": "PRICE"}[view.dataset]
    for key, name in zip(view.of_day(), [f.value] if f.value else wrong, strict=False):
        hit = view.change([key], lambda item, name=name: item.update({field: wrong[name]}))  # type: ignore[misc]
        view.note(f, "damaged", hit, {key: {field: wrong[name]}})
