"""kpi_commune_daily (list of 2021) recounted from deliveries, by KPI.md §1 and the project's readings in docs/README.md."""

from __future__ import annotations

import csv
import hashlib
import hmac
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from oracle.files import Arrival, Row, nfc, rows

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
SEEDS = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds"
NOWHERE = "00000"
EVER = date(1, 1, 1)
#: A pull of Vỏ Sò that begins by noon of the next day shows its day (RULINGS 16, "by the morning after").
PULLED_BY = time(12)
RANK = {
    "UNKNOWN": 0, "CREATED": 10, "CONFIRMED": 20, "READY_TO_SHIP": 30, "SHIPPED": 40, "DELIVERY_FAILED": 45, "DELIVERED": 50, "COMPLETED": 55, "RETURNING": 60,
    "RETURNED": 70, "REFUNDED": 80, "CANCELLED": 90, "LOST": 95,
}  # fmt: skip
#: EXPORTS §9.7, without accents; each list with the variants to accept.
PM_STATUS = {
    "CREATED": "cho xac nhan", "CONFIRMED": "da xac nhan", "READY_TO_SHIP": "cho lay hang|dang lay hang", "SHIPPED": "dang giao|dang van chuyen|dang giao hang",
    "DELIVERY_FAILED": "giao khong thanh cong|giao that bai|phat khong thanh cong", "DELIVERED": "da giao|giao thanh cong|da giao hang",
    "COMPLETED": "hoan thanh|hoan tat", "RETURNING": "dang hoan|dang chuyen hoan", "RETURNED": "da hoan|da tra hang|tra hang thanh cong",
    "REFUNDED": "da hoan tien", "CANCELLED": "da huy|huy|he thong huy", "LOST": "that lac|mat hang",
}  # fmt: skip
PM_WORD = {word: status for status, words in PM_STATUS.items() for word in words.split("|")}
VS_WORD = {
    "CHO_DUYET": "CREATED", "DA_DUYET": "CONFIRMED", "CHO_XUAT_KHO": "READY_TO_SHIP", "DANG_GIAO": "SHIPPED", "GIAO_THAT_BAI": "DELIVERY_FAILED",
    "GIAO_THANH_CONG": "DELIVERED", "HOAN_TAT": "COMPLETED", "CHUYEN_HOAN": "RETURNING", "DA_HOAN": "RETURNED", "HOAN_TIEN": "REFUNDED", "DA_HUY": "CANCELLED",
    "TU_DONG_HUY": "CANCELLED", "THAT_LAC": "LOST",
}  # fmt: skip
#: EXPORTS §2.5; 202 is an edit and no status.
VTP = {
    **dict.fromkeys((-108, -109, -110, 102, 103, 104, 106), "READY_TO_SHIP"), -100: "CREATED", 100: "CONFIRMED", **dict.fromkeys((101, 107, 201, 503), "CANCELLED"),
    **dict.fromkeys((105, 200, 300, 301, 302, 303, 310, 320, 400, 401, 402, 403, 500, 508, 550, 509, 510, 570), "SHIPPED"),
    501: "DELIVERED", **dict.fromkeys((502, 515, 551), "RETURNING"), 504: "RETURNED", **dict.fromkeys((505, 506, 507), "DELIVERY_FAILED"),
}  # fmt: skip
VS_TIME = {
    "CREATED": "CREATED_AT", "CONFIRMED": "CONFIRMED_AT", "SHIPPED": "SHIPPED_AT", "DELIVERED": "DELIVERED_AT", "CANCELLED": "CANCELLED_AT",
    "RETURNED": "RETURNED_AT",
}  # fmt: skip
FLOWS = (
    "orders_placed", "orders_valid", "orders_delivered", "orders_cancelled", "orders_returned", "orders_out_of_province", "revenue_gross_vnd", "refunds_vnd",
)  # fmt: skip
TO_DATE = ("orders_placed", "orders_valid", "orders_delivered", "revenue_gross_vnd", "refunds_vnd", "revenue_net_vnd")


def plain(text: Any) -> str:
    """For comparing: no case, accents, spaces, punctuation."""
    folded = unicodedata.normalize("NFD", nfc(text).translate(str.maketrans("đðĐÐ", "dddd")).lower())
    return re.sub(r"[^a-z0-9]", "", "".join(c for c in folded if not unicodedata.combining(c)))


def word(text: Any) -> str:
    """A word of a list without accents, spaces kept."""
    folded = unicodedata.normalize("NFD", nfc(text).translate(str.maketrans("đðĐÐ", "dddd")).lower())
    return "".join(c for c in folded if not unicodedata.combining(c))


def hamlet(text: Any) -> str:
    return plain(re.sub(r"^((thon|ban|xom|khoi pho|khoi|khu pho|khu|to dan pho|tdp|kp)[ .]+|[tbkx]\.\s*)+(?=\S)", "", word(text)))


def moment(value: Any) -> datetime | None:
    """A local time: dd/MM/yyyy [HH:mm:ss] or a date cell."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    text = nfc(value)
    if text in ("", "-"):
        return None
    if re.fullmatch(r"[3-7]\d{4}([.,]\d+)?", text):  # a serial number of a sheet
        return datetime(1899, 12, 30) + timedelta(seconds=round(float(text.replace(",", ".")) * 86_400))
    return datetime.strptime(text, "%d/%m/%Y %H:%M:%S" if ":" in text else "%d/%m/%Y")


def ms(value: Any) -> datetime | None:
    """Epoch milliseconds as a local time, to the second."""
    return None if value is None else datetime.fromtimestamp(int(value) // 1000, LOCAL).replace(tzinfo=None)


def vnd(value: Any) -> int:
    text = re.sub(r"(đ|₫|VND|\s)", "", nfc(value), flags=re.IGNORECASE)
    text = re.sub(r"\.0{1,2}$", "", text)
    return int(text.replace(".", "").replace(",", "") or 0)


def day_of(t: datetime | None) -> date | None:
    return t.date() if t else None


def ratio(a: int | None, b: int | None, places: int) -> Decimal | None:
    return (Decimal(a) / Decimal(b)).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP) if a is not None and b else None


@lru_cache
def _prefixes() -> dict[str, str]:
    path = Path(__file__).resolve().parents[2] / "plugins" / "kinhteso" / "data" / "phone_prefix_2018.csv"
    with path.open(encoding="utf-8", newline="") as f:
        return {r["old_prefix_11_digit"]: r["new_prefix_10_digit"] for r in csv.DictReader(f)}


def ten_digits(value: Any) -> str | None:
    """A phone as ten digits from 0; None where it cannot be one (F26)."""
    if value is None or nfc(value) in ("", "-"):
        return None
    text = str(int(value)) if isinstance(value, float) else re.sub(r"\.0$", "", nfc(value))
    digits = re.sub(r"\D", "", text)
    digits = "0" + digits[2:] if digits.startswith("84") and len(digits) in (11, 12) else digits
    digits = "0" + digits if len(digits) in (9, 10) and not digits.startswith("0") else digits
    if len(digits) == 11 and digits[:4] in _prefixes():
        digits = _prefixes()[digits[:4]] + digits[4:]
    return digits if len(digits) == 10 and digits[0] == "0" else None


RATES = {"store_rate": "households_with_store", "payment_rate": "households_with_payment", "lead_rate": "lead_households"}


class Recount:
    """All cells of kpi_commune_daily from what has arrived.

    ``arrivals`` are the deliveries that may count (what is refused is left out by the caller, who knows the fault); ``without(dataset, row)`` says of
    a row that it has to be in quarantine. ``cells(last)`` gives (commune, day) -> measures.
    """

    def __init__(self, arrivals: Iterable[Arrival], first_day: date, pepper: str, without: Callable[[str, Row], bool] = lambda dataset, row: False) -> None:
        self.first_day, self.pepper, self.without = first_day, pepper.encode(), without
        self.arrivals = sorted(arrivals, key=lambda a: (a.source, a.dataset, a.day, a.version))
        with (SEEDS / "commune_crosswalk.csv").open(encoding="utf-8", newline="") as f:
            self.communes = [r for r in csv.DictReader(f) if r["list"] == "2021"]
        with (SEEDS / "campaign_phase.csv").open(encoding="utf-8", newline="") as f:
            self.phases = {r["district_code"]: r for r in csv.DictReader(f)}
        self.by_vnpost = {r["vnpost_commune_code"]: r["gso_code"] for r in self.communes}
        self.by_ward = {r["vtp_wards_id"]: r["gso_code"] for r in self.communes}
        self.by_name = {(plain(r["district_name"]), plain(r["gso_name"])): r["gso_code"] for r in self.communes}
        self._households: dict[date, Any] = {}
        self._contexts: dict[date, Any] = {}
        self._read()

    # ---- what arrived ----

    def key(self, text: str) -> str:
        return hmac.new(self.pepper, text.encode(), hashlib.sha256).hexdigest()

    def phone_key(self, value: Any) -> str | None:
        digits = ten_digits(value)
        return self.key("+84" + digits[1:]) if digits else None

    def _rows(self, a: Arrival) -> list[Row]:
        return [r for r in rows(a) if not self.without(f"{a.source}/{a.dataset}", r)]

    def _of(self, source: str, dataset: str) -> list[Arrival]:
        return [a for a in self.arrivals if (a.source, a.dataset) == (source, dataset)]

    def _newest(self, dataset: str) -> dict[date, list[Row]]:
        """Postmart: the highest version of each day."""
        best = {a.day: a for a in self._of("postmart", dataset)}  # sorted by version
        return {d: self._rows(a) for d, a in sorted(best.items())}

    def _is_late(self, a: Arrival) -> bool:
        assert a.pulled_at
        return a.day != self.first_day and a.pulled_at.astimezone(LOCAL).replace(tzinfo=None) >= datetime.combine(a.day + timedelta(days=1), PULLED_BY)

    def _pulls(self, dataset: str, key: str) -> dict[date, tuple[bool, list[Row]]]:
        """Vỏ Sò snapshots by day: the last one on time, else the last late one; whether it is late, and its rows by key."""
        best: dict[date, Arrival] = {}
        for a in self._of("voso", dataset):
            if a.day not in best or self._is_late(a) <= self._is_late(best[a.day]):
                best[a.day] = a
        return {d: (self._is_late(a), list({r[key]: r for r in self._rows(a)}.values())) for d, a in sorted(best.items())}

    def _read(self) -> None:
        self.pm_stores, self.pm_products, self.pm_accounts = self._newest("stores"), self._newest("products"), self._newest("accounts")
        self.pm_orders, self.pm_refunds = self._newest("orders"), self._newest("refunds")
        self.vs_stores, self.vs_accounts = self._pulls("stores", "STORE_ID"), self._pulls("accounts", "ACCOUNT_REF")
        self.vs_windows = {d: self._of("voso", d) for d in ("products", "orders", "order_events", "refunds")}
        self._read_forms()
        self._orders = self._all_orders()
        self._refunds = self._all_refunds()

    # ---- registers ----

    def _commune_of_form(self, row: Row) -> str | None:
        code = nfc(row.get("Mã xã"))
        if code:
            return code.zfill(5)
        if row["_code"]:
            return str(row["_code"])
        return self.by_name.get((plain(row["_district"]), plain(row.get("Tên xã") or row["_commune"])))

    def _read_forms(self) -> None:
        """forms[dataset][commune][as_of] = rows of the form that came last."""
        self.forms: dict[str, dict[str, dict[date, list[Row]]]] = {}
        for dataset in ("hamlets", "households", "teams", "leads"):
            found: dict[str, dict[date, tuple[Any, list[Row]]]] = defaultdict(dict)
            for a in self._of("registers", dataset):
                per_commune: dict[str, list[Row]] = defaultdict(list)
                for row in self._rows(a):
                    code = self._commune_of_form(row)
                    if code:
                        per_commune[code].append(row)
                for code, mine in per_commune.items():
                    as_of, rank = mine[0]["_as_of"], (a.received_at, a.version)
                    if as_of not in found[code] or found[code][as_of][0] <= rank:
                        found[code][as_of] = (rank, mine)
            self.forms[dataset] = {c: {d: r for d, (_, r) in by.items()} for c, by in found.items()}

    @staticmethod
    def in_force(by_day: dict[date, Any] | None, day: date) -> Any:
        """The newest not later than the day, else the first; None where there is none."""
        if not by_day:
            return None
        return by_day[max((d for d in by_day if d <= day), default=min(by_day))]

    def households(self, day: date) -> Any:
        lists = {c: self.in_force(by, day) for c, by in self.forms["households"].items()}
        mark = tuple(sorted((c, id(r)) for c, r in lists.items()))
        if mark not in self._households:
            phones, citizens, names, commune = defaultdict(set), defaultdict(set), defaultdict(set), {}
            for code, mine in lists.items():
                for r in mine:
                    home = nfc(r["Mã hộ"])
                    commune[home] = code
                    if key := self.phone_key(r["Số điện thoại"]):
                        phones[key].add(home)
                    if re.fullmatch(r"\d{12}", nfc(r["Số CCCD chủ hộ"])):
                        citizens[self.key(nfc(r["Số CCCD chủ hộ"]))].add(home)
                    names[code, hamlet(r["Thôn"]), plain(r["Họ tên chủ hộ"])].add(home)
            self._households[mark] = (phones, citizens, names, commune)
        return self._households[mark]

    def match(self, homes: Any, phone: str | None, citizen: str | None, place: tuple[str | None, str, str] | None) -> str | None:
        """The ladder: phone key, citizen key, commune + hamlet + owner's name; a key that fits two fits none."""
        by_phone, by_citizen, by_name, _ = homes
        name = place if place and all(place) else None
        for found, key in ((by_phone, phone), (by_citizen, citizen), (by_name, name)):
            if key and len(found.get(key, ())) == 1:
                return str(next(iter(found[key])))
        return None

    # ---- stores, accounts, products ----

    def _pm_store(self, r: Row) -> dict[str, Any]:
        status, name = word(r["Trạng thái gian hàng"]), plain(r["Tên gian hàng"]) + "|" + plain(r["Họ tên chủ hộ"])
        return {
            "counts": status in ("hoat dong", "tam dung"), "approved": day_of(moment(r["Ngày duyệt"])), "active": day_of(moment(r["Ngày hoạt động gần nhất"])),
            "matches": word(r["Loại chủ thể"]) in ("ho gia dinh", "ho kinh doanh"), "phone": self.phone_key(r["Số điện thoại"]), "citizen": None,
            "commune": self.by_vnpost.get(nfc(r["Mã xã (VNPost)"])), "hamlet": hamlet(r["Thôn/Bản/Khối phố"]), "owner": plain(r["Họ tên chủ hộ"]),
            "test": "khachhangtest" in name,
        }  # fmt: skip

    def _vs_store(self, r: Row) -> dict[str, Any]:
        name = plain(r["STORE_NAME"]) + "|" + plain(r["OWNER_NAME"])
        return {
            "counts": r["STATUS"] in ("HOAT_DONG", "TAM_NGUNG") and not r["IS_DELETED"], "approved": day_of(ms(r["APPROVED_AT"])),
            "active": day_of(ms(r["LAST_ACTIVE_AT"])), "matches": r["OWNER_TYPE"] in ("HO_GIA_DINH", "HO_KINH_DOANH"), "phone": r["PHONE_KEY"],
            "citizen": r["ID_KEY"], "commune": self.by_ward.get(str(r["WARDS_ID"])), "hamlet": hamlet(r["HAMLET_NAME"]), "owner": plain(r["OWNER_NAME"]),
            "test": "khachhangtest" in name,
        }  # fmt: skip

    def _at(self, days: Iterable[date], day: date) -> date | None:
        """The snapshot that tells of a day: the newest not after it, else the first."""
        known = sorted(days)
        return max((d for d in known if d <= day), default=known[0]) if known else None

    def stores(self, day: date) -> dict[tuple[str, str], dict[str, Any]]:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        told = self._at(self.pm_stores, day)
        if told:
            for r in self.pm_stores[told]:
                s = self._pm_store(r)
                s["counts"] &= day >= told or (s["approved"] is not None and s["approved"] <= day)
                found["PM", nfc(r["Mã gian hàng"])] = s
        told = self._at(self.vs_stores, day)
        if told:
            for r in self.vs_stores[told][1]:
                s = self._vs_store(r)
                rebuilt = day < told
                s["counts"] &= s["approved"] <= min(day, told) if s["approved"] else not rebuilt
                found["VS", r["STORE_ID"]] = s
        for s in found.values():
            s["counts"] &= not s["test"]
        return found

    def store_at(self, platform: str, code: str, day: date) -> dict[str, Any] | None:
        """For an order: the store as its day's snapshot shows it, else its last state before, else its first after."""
        days = sorted(self.pm_stores if platform == "PM" else self.vs_stores)
        told = self._at(days, day)
        for d in [d for d in reversed(days) if told and d <= told] + [d for d in days if told and d > told]:
            listed = self._listed(platform, d)
            if code in listed:
                return listed[code]
        return None

    def _listed(self, platform: str, day: date) -> dict[str, Any]:
        if (platform, day) not in self._contexts:
            if platform == "PM":
                listed = {nfc(r["Mã gian hàng"]): self._pm_store(r) for r in self.pm_stores[day]}
            else:
                listed = {r["STORE_ID"]: self._vs_store(r) for r in self.vs_stores[day][1]}
            self._contexts[platform, day] = listed  # type: ignore[index]
        return self._contexts[platform, day]  # type: ignore[index]

    def accounts(self, day: date) -> list[tuple[str | None, str | None, str | None]]:
        """Counting accounts: phone key, citizen key, source's commune."""
        found = []
        told = self._at(self.pm_accounts, day)
        if told:
            for r in self.pm_accounts[told]:
                known = day_of(moment(r["Ngày định danh"]))
                if word(r["Trạng thái"]) == "hoat dong" and int(r["Mức định danh"]) >= 1 and (day >= told or (known and known <= day)):
                    found.append((nfc(r["Khóa đối chiếu"]), None, self.by_vnpost.get(nfc(r["Mã xã (VNPost)"]))))
        told = self._at(self.vs_accounts, day)
        if told:
            for r in self.vs_accounts[told][1]:
                known = day_of(ms(r["KYC_AT"]))
                if r["STATUS"] == "HOAT_DONG" and r["KYC_LEVEL"] >= 1 and (known <= min(day, told) if known else day >= told):
                    found.append((r["PHONE_KEY"], r["ID_KEY"], self.by_ward.get(str(r["WARDS_ID"]))))
        return found

    def products(self, day: date) -> list[tuple[str, str]]:
        """Store keys of products on sale."""
        found = []
        told = self._at(self.pm_products, day)
        if told:
            for r in self.pm_products[told]:
                posted = day_of(moment(r["Ngày đăng"]))
                if word(r["Trạng thái"]) == "dang ban" and (day >= told or (posted and posted <= day)):
                    found.append(("PM", nfc(r["Mã gian hàng"])))
        history: dict[str, list[tuple[date, datetime, Row]]] = defaultdict(list)
        for a in self.vs_windows["products"]:
            for r in self._rows(a):
                history[r["PRODUCT_ID"]].append((a.day, ms(r["UPDATED_AT"]), r))  # type: ignore[arg-type]
        for versions in history.values():
            known = [v for v in versions if v[0] <= day] or (versions if day < self.first_day else [])
            if not known:
                continue
            if day < self.first_day:
                r = min(versions, key=lambda v: v[:2])[2]
                posted = day_of(ms(r["CREATED_AT"]))
                ok = posted is not None and posted <= day and min(versions, key=lambda v: v[:2])[0] == self.first_day
            else:
                r, ok = max(known, key=lambda v: v[1])[2], True
            if ok and r["STATUS"] == "DANG_BAN" and not r["IS_DELETED"]:
                found.append(("VS", r["STORE_ID"]))
        return found

    # ---- orders and refunds ----

    def _all_orders(self) -> dict[tuple[str, str], dict[str, Any]]:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        records: dict[str, dict[tuple[Any, ...], Row]] = defaultdict(dict)
        for d, mine in self.pm_orders.items():
            for r in mine:
                status = PM_WORD.get(word(r["Trạng thái"]), "UNKNOWN")
                records[nfc(r["Mã đơn hàng"])].setdefault((moment(r["Ngày cập nhật trạng thái"]), RANK[status], d, status), r)
        for code, told in records.items():
            newest = max(told)
            r, states = told[newest], sorted(told)
            delivered = [t for row in told.values() if (t := moment(row["Ngày giao thành công"]))]
            receiver = plain(r["Tỉnh/TP người nhận"])
            found["PM", code] = {
                "store": nfc(r["Mã gian hàng"]), "created": moment(r["Ngày đặt hàng"]).date(), "status": newest[3],  # type: ignore[union-attr]
                "delivered": min(delivered).date() if delivered else None, "net": vnd(r["Tổng tiền hàng"]) - vnd(r["Giảm giá"]),
                "cancelled": next((s[0].date() for s in states if s[3] == "CANCELLED"), None),
                "returned": next((s[0].date() for s in states if s[3] == "RETURNED"), None),
                "out": bool(receiver) and "langson" not in receiver, "test": code == "123456789101112",
            }  # fmt: skip
        newest_row: dict[str, tuple[Any, Row]] = {}
        for a in self.vs_windows["orders"]:
            for r in self._rows(a):
                rank = (r["UPDATED_AT"], a.is_bulk, a.day, a.version)
                if r["ORDER_ID"] not in newest_row or newest_row[r["ORDER_ID"]][0] <= rank:
                    newest_row[r["ORDER_ID"]] = (rank, r)
        events: dict[str, set[tuple[datetime, int, str]]] = defaultdict(set)
        for a in self.vs_windows["order_events"]:
            for e in self._rows(a):
                code = e["ORDER_STATUS"]
                if code == 202:
                    continue
                status = VTP.get(code, "UNKNOWN") if code is not None else VS_WORD.get(e["STATUS"] or "", "UNKNOWN")
                status = "RETURNED" if status == "DELIVERED" and e.get("IS_RETURNING") else status
                events[e["ORDER_ID"]].add((moment(e["ORDER_STATUSDATE"]), RANK[status], status))  # type: ignore[arg-type]
        self.numbers = {}
        for id, (_, r) in newest_row.items():
            self.numbers[id] = r["ORDER_NUMBER"]
            told_states = set(events.get(id, ()))
            for status, name in VS_TIME.items():
                if r[name]:
                    told_states.add((ms(r[name]), RANK[status], status))  # type: ignore[arg-type]
            status = VS_WORD.get(r["STATUS"], "UNKNOWN")
            own = r.get(VS_TIME.get(status, "")) or r["UPDATED_AT"]
            told_states.add((ms(own), RANK[status], status))  # type: ignore[arg-type]
            if r["ORDER_STATUS"] is not None and r["ORDER_STATUS"] != 202:
                status = VTP.get(r["ORDER_STATUS"], "UNKNOWN")
                status = "RETURNED" if status == "DELIVERED" and r.get("IS_RETURNING") else status
                told_states.add((moment(r["ORDER_STATUSDATE"]), RANK[status], status))  # type: ignore[arg-type]
            states_ = sorted(told_states)

            def first(wanted: str, states_: Any = states_) -> date | None:
                return next((t.date() for t, _, s in states_ if s == wanted), None)

            found["VS", r["ORDER_NUMBER"]] = {
                "store": r["STORE_ID"], "created": ms(r["CREATED_AT"]).date(), "status": states_[-1][2],  # type: ignore[union-attr]
                "delivered": day_of(ms(r["DELIVERED_AT"])) or first("DELIVERED"), "net": int(r["GOODS_AMOUNT"]) - int(r["SELLER_DISCOUNT"]),
                "cancelled": first("CANCELLED"), "returned": first("RETURNED"), "out": r["RECEIVER_PROVINCE"] not in (None, 0, 22),
                "test": r["ORDER_NUMBER"] == "123456789101112",
            }  # fmt: skip
        return found

    def _all_refunds(self) -> list[tuple[tuple[str, str], date, int]]:
        last: dict[tuple[str, str], tuple[Any, ...]] = {}
        for d, mine in self.pm_refunds.items():
            for r in mine:
                done = word(r["Trạng thái"]) == "da hoan tat"
                last["PM", nfc(r["Mã yêu cầu"])] = (d, ("PM", nfc(r["Mã đơn hàng"])), done, day_of(moment(r["Ngày hoàn tất"])), vnd(r["Số tiền hoàn"]))
        for a in self.vs_windows["refunds"]:
            for r in self._rows(a):
                key, rank = ("VS", r["RETURN_ID"]), (r["UPDATED_AT"], a.is_bulk, a.day, a.version)
                if key not in last or last[key][0] <= rank:
                    order = ("VS", self.numbers.get(r["ORDER_ID"], ""))
                    last[key] = (rank, order, r["STATUS"] == "HOAN_TAT", day_of(ms(r["COMPLETED_AT"])), int(r["REFUND_AMOUNT"]))
        return [(order, day, amount) for _, order, done, day, amount in last.values() if done and day]

    # ---- the cells ----

    def completeness(self, day: date) -> str:
        postmart = all(day in d for d in (self.pm_stores, self.pm_products, self.pm_accounts, self.pm_orders, self.pm_refunds))
        windows = {name: {a.day for a in mine} for name, mine in self.vs_windows.items()}
        voso = day in self.vs_stores and day in self.vs_accounts and all(day in windows[d] for d in ("products", "orders", "refunds"))
        if day < self.first_day:
            return "RECONSTRUCTED"
        if not (postmart and voso):
            return "STALE_BOTH" if not postmart and not voso else "STALE_VOSO" if postmart else "STALE_POSTMART"
        return "RECONSTRUCTED" if self.vs_stores[day][0] or self.vs_accounts[day][0] else "FULL"

    def _placed(self, store: dict[str, Any], homes: Any) -> tuple[str, str | None]:
        """Commune and household of a store."""
        home = None
        if store["matches"]:
            home = self.match(homes, store["phone"], store["citizen"], (store["commune"], store["hamlet"], store["owner"]))
        return (homes[3][home] if home else store["commune"] or NOWHERE), home

    def cells(self, first: date, last: date) -> dict[tuple[str, date], dict[str, Any]]:
        """Every commune of the list of 2021 and 00000, every day from ``first`` to ``last``."""
        flows, by_home = self._flows()
        found: dict[tuple[str, date], dict[str, Any]] = {}
        for n in range((last - first).days + 1):
            self._day(first + timedelta(days=n), flows, by_home, found)
        self._hold_rates(first, last, found)
        for c in self.communes:
            self._since_kick_off(c, first, last, flows, found)
        return found

    def _hold_rates(self, first: date, last: date, found: dict[tuple[str, date], dict[str, Any]]) -> None:
        """A numerator above its denominator: the commune's rate of the last good day (KPI §1.8)."""
        for c in self.communes:
            for rate, part in RATES.items():
                good = None
                for n in range((last - first).days + 1):
                    cell = found[c["gso_code"], first + timedelta(days=n)]
                    if cell["households"] and cell[part] > cell["households"]:
                        cell[rate] = good
                    elif cell[rate] is not None:
                        good = cell[rate]

    def _flows(self) -> tuple[Counter[tuple[str, date, str]], dict[tuple[str, date], list[int]]]:
        flows: Counter[tuple[str, date, str]] = Counter()
        by_home: dict[tuple[str, date], list[int]] = defaultdict(lambda: [0, 0])
        for (platform, _), o in self._orders.items():
            store = self.store_at(platform, o["store"], o["created"])
            o["commune"], o["home"] = self._placed(store, self.households(o["created"])) if store else (NOWHERE, None)
            o["test"] = o["test"] or bool(store and store["test"])
            if o["test"]:
                continue
            code, valid = o["commune"], o["status"] != "CANCELLED"
            flows[code, o["created"], "orders_placed"] += 1
            flows[code, o["created"], "orders_valid"] += valid
            flows[code, o["created"], "orders_out_of_province"] += valid and o["out"]
            if o["delivered"]:
                stays = o["status"] not in ("RETURNED", "REFUNDED")
                flows[code, o["delivered"], "orders_delivered"] += stays
                flows[code, o["delivered"], "revenue_gross_vnd"] += o["net"]
                if o["home"]:
                    by_home[o["home"], o["delivered"]][0] += stays
                    by_home[o["home"], o["delivered"]][1] += o["net"]
            if o["cancelled"] and not valid:
                flows[code, o["cancelled"], "orders_cancelled"] += 1
            if o["returned"]:
                flows[code, o["returned"], "orders_returned"] += 1
        for order, day, amount in self._refunds:
            o = self._orders.get(order, {"commune": NOWHERE, "home": None, "test": False})
            if not o["test"]:
                flows[o["commune"], day, "refunds_vnd"] += amount
                if o["home"]:
                    by_home[o["home"], day][1] -= amount
        return flows, by_home

    def _day(self, day: date, flows: Any, by_home: Any, found: dict[tuple[str, date], dict[str, Any]]) -> None:
        homes = self.households(day)
        counts: Counter[tuple[str, str]] = Counter()
        sets: dict[tuple[str, str], set[str]] = defaultdict(set)
        shown = self.stores(day)
        for (platform, _), s in shown.items():
            s["at"], home = self._placed(s, homes)
            if not s["counts"]:
                continue
            counts[s["at"], "stores"] += 1
            if s["matches"]:
                counts[s["at"], "could_match"] += 1
                if home is None:
                    counts[s["at"], "stores_unmatched"] += 1
                else:
                    sets[s["at"], platform].add(home)
                    if s["active"] and s["active"] >= day - timedelta(days=30):
                        sets[s["at"], "active"].add(home)
        for phone, citizen, commune in self.accounts(day):
            home = self.match(homes, phone, citizen, None)
            code = homes[3][home] if home else commune or NOWHERE
            counts[code, "accounts"] += 1
            if home:
                sets[code, "pay"].add(home)
            else:
                counts[code, "accounts_unmatched"] += 1
        for key in self.products(day):
            if key in shown and shown[key]["counts"]:
                counts[shown[key]["at"], "products_on_sale"] += 1
        sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for (home, d), (orders, net) in by_home.items():
            if day - timedelta(days=29) <= d <= day:
                sums[home][0] += orders
                sums[home][1] += net
        leading = Counter(homes[3].get(home) for home, (orders, net) in sums.items() if orders >= 10 or net >= 5_000_000)
        state = self.completeness(day)
        for commune in [*(c["gso_code"] for c in self.communes), NOWHERE]:
            cell: dict[str, Any] = {m: counts[commune, m] for m in ("stores", "stores_unmatched", "accounts", "accounts_unmatched", "products_on_sale")}
            cell |= {m: int(flows[commune, day, m]) for m in FLOWS}
            cell["revenue_net_vnd"] = cell["revenue_gross_vnd"] - cell["refunds_vnd"]
            cell["completeness"] = state
            if commune != NOWHERE:
                pm, vs = sets[commune, "PM"], sets[commune, "VS"]
                cell |= {
                    "households_with_store": len(pm | vs), "households_with_store_postmart": len(pm), "households_with_store_voso": len(vs),
                    "households_with_store_both": len(pm & vs), "households_with_active_store": len(sets[commune, "active"]),
                    "households_with_payment": len(sets[commune, "pay"]), "lead_households_calc": leading[commune],
                    "match_rate": ratio(counts[commune, "could_match"] - counts[commune, "stores_unmatched"], counts[commune, "could_match"], 6),
                }  # fmt: skip
                cell |= self._registers(commune, day)
                for rate, part in RATES.items():
                    cell[rate] = ratio(cell[part], cell["households"], 6)
                cell["team_rate"] = ratio(cell["hamlets_with_team"], cell["hamlets"], 6)
            found[commune, day] = cell

    def _registers(self, commune: str, day: date) -> dict[str, Any]:
        listed = self.in_force(self.forms["hamlets"].get(commune), day)
        counts = {plain(r["Thôn/Bản/Khối phố"]): vnd(r["Tổng số hộ"]) for r in listed} if listed else None
        # "Khối 3" is not "Thôn 3": the full name first, then the name without its unit word where only one fits.
        names = {(hamlet(r["Thôn/Bản/Khối phố"]), plain(r["Thôn/Bản/Khối phố"])) for mine in self.forms["hamlets"].get(commune, {}).values() for r in mine}
        full = {f: f for _, f in names}
        bare = {b: f for b, f in names if sum(b == other for other, _ in names) == 1}
        members = self.in_force(self.forms["teams"].get(commune), day) or []
        teams: dict[tuple[str, str], list[tuple[str, bool]]] = defaultdict(list)
        for r in members:
            trained = word(r["Đã tập huấn"]) in ("co", "x")
            teams[nfc(r["Thôn/Bản/Khối phố"]), nfc(r["Số, ngày QĐ thành lập"])].append((word(r["Nhiệm vụ trong tổ"]), trained))
        served: set[str] = set()
        for (where, _), mine in teams.items():
            if any(role == "to truong" for role, _ in mine) and sum(t for role, t in mine if role != "to truong") >= 2:
                served |= {full.get(plain(h)) or bare.get(hamlet(h)) or "~" + hamlet(h) for h in re.split(r"[,;]", where) if h.strip()}
        lists = self.forms["leads"].get(commune)
        newest = lists[max(lists)] if lists else []
        leads = set()
        for r in newest:
            since, until = moment(r["Ngày công nhận"]), moment(r["Ngày thôi công nhận"])
            if since and since.date() <= day and (until is None or day < until.date()):
                leads.add(nfc(r["Mã hộ"]))
        return {
            "households": sum(counts.values()) if counts else None, "hamlets": len(counts) if counts else None,
            "team_members": len(members), "team_members_trained": sum(t for mine in teams.values() for _, t in mine),
            "hamlets_with_team": len(served), "lead_households": len(leads),
        }  # fmt: skip

    def _since_kick_off(self, commune: Row, first: date, last: date, flows: Any, found: Any) -> None:
        code, phase = commune["gso_code"], self.phases[commune["gso_district_code"]]
        start = date.fromisoformat(phase["kick_off"])
        base = found.get((code, start - timedelta(days=1)))
        before = sum(
            v if m == "revenue_gross_vnd" else -v for (c, d, m), v in flows.items() if c == code and d < start and m in ("revenue_gross_vnd", "refunds_vnd")
        )
        run: Counter[str] = Counter()
        for n in range((last - first).days + 1):
            day = first + timedelta(days=n)
            cell = found[code, day]
            cell |= {"phase": int(phase["phase"]), "phase_day": (day - start).days}
            if day < start:
                cell |= {f"{m}_to_date": None for m in TO_DATE}
                cell |= dict.fromkeys(("store_base", "payment_base", "revenue_base_vnd", "store_growth", "payment_growth", "revenue_growth"))
                continue
            for m in TO_DATE:
                run[m] += cell[m]
                cell[f"{m}_to_date"] = run[m]
            stores, payers = base["households_with_store"], base["households_with_payment"]
            cell |= {"store_base": stores, "payment_base": payers, "revenue_base_vnd": before}
            cell |= {
                "store_growth": ratio(cell["households_with_store"], stores, 4), "payment_growth": ratio(cell["households_with_payment"], payers, 4),
                "revenue_growth": ratio(cell["revenue_net_vnd_to_date"], before, 4),
            }  # fmt: skip


def differences(expected: dict[tuple[str, date], dict[str, Any]], published: dict[tuple[str, date], dict[str, Any]]) -> list[str]:
    """Every cell that is not what was counted, in words; also rows that are missing or too many."""
    found = [f"{c} {d}: no such row is published" for c, d in sorted(expected.keys() - published.keys())]
    found += [f"{c} {d}: published, but there is no such day or commune" for c, d in sorted(published.keys() - expected.keys())]
    for (commune, day), cell in sorted(expected.items()):
        row = published.get((commune, day))
        for measure, value in cell.items() if row else ():
            given = row[measure]  # type: ignore[index]
            if (given is None) != (value is None) or (value is not None and given != value):
                found.append(f"{commune} {day} {measure}: {value} was counted, {given} is published")
    return found
