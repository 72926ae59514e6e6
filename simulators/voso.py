"""Vỏ Sò's records B1–B6 as of a moment (§10.3–10.8)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from simulators.clock import ms
from simulators.keys import citizen_key, phone_key
from simulators.tables import stamp
from simulators.world import Order, World

OWNER = {"HOUSEHOLD": "HO_GIA_DINH", "BUSINESS": "HO_KINH_DOANH", "COOPERATIVE": "HTX", "COMPANY": "DOANH_NGHIEP"}
STORE_STATUS = {"PENDING": "CHO_DUYET", "ACTIVE": "HOAT_DONG", "PAUSED": "TAM_NGUNG", "BLOCKED": "KHOA", "REJECTED": "TU_CHOI", "CLOSED": "DA_DONG"}
PRODUCT_STATUS = {"ON_SALE": "DANG_BAN", "OUT_OF_STOCK": "HET_HANG", "PENDING": "CHO_DUYET", "HIDDEN": "AN", "DELETED": "DA_XOA"}
ORDER_STATUS = {
    "CREATED": "CHO_DUYET", "CONFIRMED": "DA_DUYET", "SHIPPED": "DANG_GIAO", "DELIVERY_FAILED": "GIAO_THAT_BAI", "DELIVERED": "GIAO_THANH_CONG",
    "COMPLETED": "HOAN_TAT", "RETURNING": "CHUYEN_HOAN", "RETURNED": "DA_HOAN", "REFUNDED": "HOAN_TIEN", "CANCELLED": "DA_HUY",
}  # fmt: skip
CARRIER = {
    "CONFIRMED": (100, "Tiếp nhận đơn hàng từ đối tác"), "SHIPPED": (500, "Giao bưu tá đi phát"), "DELIVERY_FAILED": (506, "Phát thất bại"),
    "DELIVERED": (501, "Phát thành công"), "RETURNING": (502, "Chuyển hoàn bưu cục gốc"), "RETURNED": (504, "Hoàn thành công - Chuyển trả người gửi"),
}  # fmt: skip
PAYMENT = {"COD": "COD", "WALLET": "VIETTEL_MONEY", "TRANSFER": "CHUYEN_KHOAN", "CARD": "THE"}
PROVINCE = {"Lạng Sơn": 22, "Hà Nội": 1, "Hải Phòng": 3, "Bắc Giang": 24, "Quảng Ninh": 14, "TP Hồ Chí Minh": 2, "Thái Nguyên": 19}
KIND = {"WALLET": "VI_DIEN_TU", "MOBILE": "TIEN_DI_DONG", "LINKED": "TK_LIEN_KET"}
ACCOUNT_STATUS = {"ACTIVE": "HOAT_DONG", "BLOCKED": "KHOA", "CLOSED": "DONG", "PENDING": "CHO_DINH_DANH"}
REFUND_STATUS = {"OPEN": "CHO_XU_LY", "ACCEPTED": "CHAP_NHAN", "DONE": "HOAN_TAT", "REJECTED": "TU_CHOI"}
REFUND_KIND = {"RETURN": "TRA_HANG", "REFUND": "HOAN_TIEN", "BOTH": "TRA_HANG_HOAN_TIEN"}
ADDRESS_BYTES = 150
Record = tuple[int, str, dict[str, Any]]  # UPDATED_AT (events: CREATED_AT), id, item


def cut(text: str) -> str:
    """At most 150 bytes of UTF-8, as the platform cuts them (§2.2)."""
    return text.encode()[:ADDRESS_BYTES].decode(errors="ignore")


def order_id(o: Order) -> str:
    """The platform's own number of an order."""
    return str(7_100_000_000_000_000 + o.number)


class VoSo:
    """Answers what each dataset holds at a moment, sorted by id."""

    def __init__(self, world: World) -> None:
        self.w = world
        self.orders = [o for o in world.orders if o.platform == "VS"]
        events = []
        for o in self.orders:
            for k, (when, _, _) in enumerate(o.history):
                events.append((when + timedelta(minutes=3), o.number, k, o))
        events.sort(key=lambda e: e[:3])
        self._events = [(str(6_000_000_000_000 + n), created, o, k) for n, (created, _, k, o) in enumerate(events)]
        self._cache: dict[tuple[str, datetime], list[Record]] = {}

    def records(self, dataset: str, at: datetime) -> list[Record]:
        """Records of STORES, PRODUCTS, ORDERS, ORDER_EVENTS, RETURNS or PAYMENT_ACCOUNTS at ``at``; raises KeyError for another word."""
        make = {
            "STORES": self._stores, "PRODUCTS": self._products, "ORDERS": self._order_items, "ORDER_EVENTS": self._order_events, "RETURNS": self._returns,
            "PAYMENT_ACCOUNTS": self._accounts,
        }[dataset]  # fmt: skip
        if (dataset, at) not in self._cache:
            if len(self._cache) > 24:
                self._cache.clear()
            self._cache[dataset, at] = sorted(make(at), key=lambda r: (len(r[1]), r[1]))
        return self._cache[dataset, at]

    def _stores(self, at: datetime) -> list[Record]:
        found = []
        for s in self.w.stores:
            if s.platform != "VS" or s.registered > at:
                continue
            c = self.w.told(s.commune, s.hamlet, at.date())
            active, updated = s.last_active(at), ms(s.updated(at))
            status = s.status(at)
            item = {
                "STORE_ID": s.code, "STORE_NAME": s.name.upper() if len(s.code) % 2 else s.name, "OWNER_TYPE": OWNER[s.owner_type], "OWNER_NAME": s.owner.upper(),
                "PHONE_KEY": phone_key(s.phone), "ID_KEY": citizen_key(s.citizen), "PROVINCE_ID": 22, "DISTRICT_ID": c.vtp_district, "WARDS_ID": c.vtp_ward,
                "ADDRESS": cut(", ".join(filter(None, (s.hamlet, c.name, c.district_name, "Tỉnh Lạng Sơn")))), "HAMLET_NAME": s.hamlet.removeprefix("Thôn ").removeprefix("Khối "),
                "STATUS": STORE_STATUS[status], "CREATED_AT": ms(s.registered), "APPROVED_AT": ms(s.approved) if s.approved and s.approved <= at else None,
                "LAST_ACTIVE_AT": ms(active) if active else None, "UPDATED_AT": updated, "IS_DELETED": False, "DELETED_AT": None,
            }  # fmt: skip
            found.append((updated, s.code, item))
        return found

    def _products(self, at: datetime) -> list[Record]:
        found = []
        for p in self.w.products:
            if p.platform != "VS" or p.posted > at:
                continue
            updated = ms(p.updated(at))
            item = {
                "PRODUCT_ID": p.code, "STORE_ID": self.w.stores[p.store].code, "NAME": p.name, "CATEGORY_PATH": p.category.split(" > "), "UNIT": p.unit, "PRICE": p.price,
                "WEIGHT": p.grams, "STOCK": 50, "OCOP_STAR": p.stars, "STATUS": PRODUCT_STATUS[p.status(at)], "CREATED_AT": ms(p.posted), "UPDATED_AT": updated,
                "IS_DELETED": p.status(at) == "DELETED",
            }  # fmt: skip
            found.append((updated, p.code, item))
        return found

    def _order_items(self, at: datetime) -> list[Record]:
        return [self.order_record(o, known) for o in self.orders if (known := o.known(at))]

    def order_record(self, o: Order, known: int) -> Record:
        """An order of which ``known`` events are known."""
        seen = o.history[:known]
        when, status, reason = seen[-1]
        times = {state: t for t, state, _ in seen}
        carrier = next(((CARRIER[state][0], t) for t, state, _ in reversed(seen) if state in CARRIER), (None, None))
        if status == "DELIVERY_FAILED" and reason == "505":
            carrier = (505, when)
        lines = []
        for k, line in enumerate(o.lines, 1):
            p = self.w.products[line.product]
            lines.append({
                "LINE_NO": k, "PRODUCT_ID": p.code, "NAME": p.name, "QUANTITY": int(line.quantity), "PRICE": line.price, "AMOUNT": line.amount,
                "WEIGHT": p.grams * int(line.quantity),
            })  # fmt: skip

        def moment(state: str) -> int | None:
            return ms(times[state]) if state in times else None

        cod = o.payment == "COD"
        word = "TU_DONG_HUY" if status == "CANCELLED" and reason == "TU_DONG_24H" else ORDER_STATUS[status]
        item = {
            "ORDER_ID": order_id(o), "ORDER_NUMBER": o.code, "WAYBILL": f"VOSO{o.created:%y%m%d}{o.number % 10_000:04d}" if "SHIPPED" in times else None,
            "STORE_ID": self.w.stores[o.store].code, "STATUS": word, "ORDER_STATUS": carrier[0], "ORDER_STATUSDATE": stamp(carrier[1]) if carrier[1] else None,
            "IS_RETURNING": status in ("RETURNING", "RETURNED"), "CREATED_AT": ms(o.created), "UPDATED_AT": ms(when), "CONFIRMED_AT": moment("CONFIRMED"),
            "SHIPPED_AT": moment("SHIPPED"), "DELIVERED_AT": moment("DELIVERED"), "CANCELLED_AT": moment("CANCELLED"), "RETURNED_AT": moment("RETURNED"),
            "CANCEL_REASON": reason if status == "CANCELLED" else None, "RECEIVER_PROVINCE": PROVINCE[o.receiver], "GOODS_AMOUNT": o.goods,
            "SELLER_DISCOUNT": o.seller_discount, "PLATFORM_DISCOUNT": o.platform_discount, "SHIP_FEE": o.shipping, "TOTAL_AMOUNT": o.total,
            "MONEY_COLLECTION": o.total if cod else 0, "MONEY_TOTAL": o.shipping,
            "COD_STATUS": "KHONG_CO_COD" if not cod else ("DA_NHAN_COD" if status == "COMPLETED" else ("CHO_NHAN_COD" if "DELIVERED" in times else "CHUA_NHAN_COD")),
            "PAYMENT_METHOD": PAYMENT[o.payment], "CURRENCY": "VND", "LINES": lines,
        }  # fmt: skip
        return ms(when), order_id(o), item

    def _order_events(self, at: datetime) -> list[Record]:
        found = []
        for event_id, created, o, k in self._events:
            if created > at:
                break
            found.append((ms(created), event_id, self.event_item(event_id, created, o, k)))
        return found

    def event_item(self, event_id: str, created: datetime, o: Order, k: int) -> dict[str, Any]:
        """The event of an order's ``k``-th state, which arrived at ``created``."""
        when, status, reason = o.history[k]
        code, label = CARRIER.get(status, (None, ORDER_STATUS[status]))
        if reason == "505":
            code, label = 505, "Phát thất bại - Yêu cầu chuyển hoàn"
        return {
            "EVENT_ID": event_id, "ORDER_ID": order_id(o), "ORDER_NUMBER": o.code,
            "STATUS": "TU_DONG_HUY" if reason == "TU_DONG_24H" else ORDER_STATUS[status], "ORDER_STATUS": code, "STATUS_NAME": label,
            "ORDER_STATUSDATE": stamp(when), "IS_RETURNING": status in ("RETURNING", "RETURNED"), "REASON_CODE": None, "NOTE": None, "LOCALION_CURRENTLY": None,
            "CREATED_AT": ms(created),
        }  # fmt: skip

    def _returns(self, at: datetime) -> list[Record]:
        found = []
        for f in self.w.refunds:
            seen = [(t, s) for t, s in f.history if t <= at]
            if f.platform != "VS" or not seen:
                continue
            updated = ms(seen[-1][0])
            item = {
                "RETURN_ID": f.code, "ORDER_ID": order_id(self.w.orders[f.order]), "LINE_NO": None if f.line is None else f.line + 1, "TYPE": REFUND_KIND[f.kind],
                "QUANTITY": None, "REFUND_AMOUNT": f.amount, "REASON": f.reason, "STATUS": REFUND_STATUS[seen[-1][1]], "REQUESTED_AT": ms(f.history[0][0]),
                "COMPLETED_AT": updated if seen[-1][1] == "DONE" else None, "UPDATED_AT": updated,
            }  # fmt: skip
            found.append((updated, f.code, item))
        return found

    def _accounts(self, at: datetime) -> list[Record]:
        found = []
        for a in self.w.accounts:
            if a.platform != "VS" or a.opened > at:
                continue
            c = self.w.told(a.commune, a.hamlet, at.date())
            item = {
                "ACCOUNT_REF": a.ref, "PHONE_KEY": phone_key(a.phone), "ID_KEY": citizen_key(a.citizen), "WALLET_TYPE": KIND[a.kind], "KYC_LEVEL": a.level,
                "STATUS": ACCOUNT_STATUS[a.status], "OPENED_AT": ms(a.opened), "KYC_AT": ms(a.identified) if a.identified else None,
                "FIRST_TXN_AT": ms(a.first_used) if a.first_used and a.first_used <= at else None, "UPDATED_AT": ms(a.opened), "PROVINCE_ID": 22,
                "DISTRICT_ID": c.vtp_district, "WARDS_ID": c.vtp_ward, "HAMLET_NAME": a.hamlet or None, "STORE_ID": None,
            }  # fmt: skip
            found.append((ms(a.opened), a.ref, item))
        return found
