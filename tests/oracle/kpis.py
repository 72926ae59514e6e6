"""The KPIs of communes, districts and the province on every list, recounted from deliveries by KPI.md §1 and the project's readings in docs/README.md."""

from __future__ import annotations

import csv
import hashlib
import hmac
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from oracle.files import Arrival, Row, rows
from oracle.geography import NOWHERE, SEEDS, Geographies, Piece, Place, seed
from oracle.words import bare, nfc, plain, word

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
HAMLET = "Thôn/Bản/Khối phố"
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
COUNTS = ("stores", "stores_unmatched", "accounts", "accounts_unmatched", "products_on_sale")
OF_COMMUNES = (
    "households_with_store", "households_with_store_postmart", "households_with_store_both", "households_with_active_store", "households_with_payment",
    "lead_households", "lead_households_calc", "hamlets_with_team", "team_members", "team_members_trained",
)  # fmt: skip
OF_HOUSEHOLDS = (
    "households_with_store", "households_with_store_postmart", "households_with_store_voso", "households_with_store_both", "households_with_active_store",
    "households_with_payment",
)  # fmt: skip
TO_DATE = ("orders_placed", "orders_valid", "orders_delivered", "revenue_gross_vnd", "refunds_vnd")


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
    clock = re.fullmatch(r"(\d\d?)/(\d\d?)/(\d{4})(?: (\d\d?):(\d\d):(\d\d))?", text)
    if not clock:
        raise ValueError(f"no local time: {text}")
    return datetime(int(clock[3]), int(clock[2]), int(clock[1]), int(clock[4] or 0), int(clock[5] or 0), int(clock[6] or 0))


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
#: The measures of KPI.md §4, all but the two stamps of the release.
ALL = (
    "phase", "phase_day", "households", "households_with_store", "households_with_store_postmart", "households_with_store_voso", "households_with_store_both",
    "households_with_active_store", "store_rate", "stores", "stores_unmatched", "households_with_payment", "payment_rate", "accounts", "accounts_unmatched",
    "lead_households", "lead_rate", "lead_households_calc", "hamlets", "hamlets_with_team", "team_rate", "team_members", "team_members_trained", "products_on_sale",
    *FLOWS, "revenue_net_vnd", *(f"{m}_to_date" for m in (*TO_DATE, "revenue_net_vnd")), "store_base", "store_growth", "payment_base", "payment_growth",
    "revenue_base_vnd", "revenue_growth", "match_rate", "completeness",
)  # fmt: skip


#: Table of `bi` -> its key (KPI.md §4).
COUNTED = {
    "kpi_commune_daily": ("geography", "commune_code", "date"), "kpi_district_daily": ("geography", "district_code", "date"),
    "kpi_province_daily": ("geography", "province_code", "date"),
}  # fmt: skip
Table = dict[tuple[Any, ...], dict[str, Any]]


class Homes:
    """The households of the registers in force on a day, and the ladder that finds them (EXPORTS §8.5)."""

    def __init__(self) -> None:
        self.place: dict[str, Place] = {}
        self.told: dict[str, str] = {}
        self._phones: dict[str, set[str]] = defaultdict(set)
        self._citizens: dict[str, set[str]] = defaultdict(set)
        self._names: dict[tuple[int, str, str], set[str]] = defaultdict(set)

    def add(self, home: str, place: Place, pieces: Iterable[int], phone: str | None, citizen: str | None, hamlet: str, name: str) -> None:
        self.place[home], self.told[home] = place, hamlet
        hamlet = bare(hamlet)
        if phone:
            self._phones[phone].add(home)
        if citizen:
            self._citizens[citizen].add(home)
        if hamlet and name:
            for n in pieces:
                self._names[n, hamlet, name].add(home)

    def match(self, phone: str | None, citizen: str | None, at: Place | None = None, hamlet: str = "", name: str = "") -> str | None:
        """Phone key, citizen key, commune + hamlet + owner's name; a key that fits two fits none."""
        for found, key in ((self._phones, phone), (self._citizens, citizen)):
            if key and len(found.get(key, ())) == 1:
                return next(iter(found[key]))
        if at and hamlet and name:
            fits = set().union(*(self._names.get((n, bare(hamlet), name), ()) for n in at.pieces))
            if len(fits) == 1:
                return str(next(iter(fits)))
        return None


class Recount:
    """All rows of the KPI tables from what has arrived.

    ``arrivals`` are the deliveries that may count (what is refused is left out by the caller, who knows the fault); ``without(dataset, row)`` says of
    a row that it has to be in quarantine; ``seeds``: a folder of other lists of communes; ``read``: where the rows of a delivery come from.
    """

    def __init__(
        self,
        arrivals: Iterable[Arrival],
        first_day: date,
        pepper: str,
        without: Callable[[str, Row], bool] = lambda dataset, row: False,
        seeds: Path = SEEDS,
        read: Callable[[Arrival], Iterable[Row]] = rows,
    ) -> None:
        self.read = read
        self.first_day, self.pepper, self.without, self.geo = first_day, pepper.encode(), without, Geographies(seeds)
        self.arrivals = sorted(arrivals, key=lambda a: (a.source, a.dataset, a.day, a.version))
        self.r0: dict[str, dict[str, list[Row]]] = {c: defaultdict(list) for c in ("vnpost_commune_code", "vtp_wards_id")}
        for r in sorted(seed(seeds, "commune_crosswalk"), key=lambda r: r["valid_from"]):
            for column, rows_of in self.r0.items():
                rows_of[r[column]].append(r)
        self.by_name = {(name, plain(u["district_name"]), plain(u["gso_name"])): code for name, units in self.geo.units.items() for code, u in units.items()}
        self._households: dict[Any, Homes] = {}
        self._homes: dict[date, Homes] = {}
        self._contexts: dict[tuple[str, date], dict[str, dict[str, Any]]] = {}
        self._matched: dict[tuple[Any, ...], list[Any]] = {}
        self._read_once: dict[tuple[str, int], Any] = {}
        self._leads: list[tuple[str, Place, str, date, date | None]] = []
        self._read()

    # ---- what arrived ----

    def key(self, text: str) -> str:
        return hmac.new(self.pepper, text.encode(), hashlib.sha256).hexdigest()

    def phone_key(self, value: Any) -> str | None:
        digits = ten_digits(value)
        return self.key("+84" + digits[1:]) if digits else None

    def _rows(self, a: Arrival) -> list[Row]:
        return [r for r in self.read(a) if not self.without(f"{a.source}/{a.dataset}", r)]

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
        history: dict[str, list[tuple[date, datetime, Row]]] = defaultdict(list)
        for a in self.vs_windows["products"]:
            for r in self._rows(a):
                history[r["PRODUCT_ID"]].append((a.day, ms(r["UPDATED_AT"]), r))  # type: ignore[arg-type]
        self._vs_products = list(history.values())
        self._read_forms()
        self._orders = self._all_orders()
        self._refunds = self._all_refunds()

    # ---- registers ----

    def _unit_of_form(self, row: Row) -> tuple[str, str] | None:
        """A form speaks of the list in force on its as-of date."""
        name = self.geo.in_force(row["_as_of"])
        code = nfc(row.get("Mã xã")).zfill(5) if nfc(row.get("Mã xã")) else str(row["_code"] or "")
        code = code or self.by_name.get(
            (name, plain(row["_district"]), plain(row.get("Tên xã") or (row.get("Đơn vị") if word(row.get("Cấp giao")) == "xa" else "") or row["_commune"])), ""
        )
        return (name, code) if code else None

    def _read_forms(self) -> None:
        """forms[dataset][list, unit][as_of] = rows of the form that came last."""
        self.forms: dict[str, dict[tuple[str, str], dict[date, list[Row]]]] = {}
        self._timeline: dict[str, dict[int, list[tuple[date, int, tuple[str, str]]]]] = {}
        for dataset in ("hamlets", "households", "teams", "leads", "targets"):
            found: dict[tuple[str, str], dict[date, tuple[Any, list[Row]]]] = defaultdict(dict)
            for a in self._of("registers", dataset):
                per_unit: dict[tuple[str, str], list[Row]] = defaultdict(list)
                above: tuple[str, str] | None = None
                for row in self._rows(a):
                    # of R3 a row for a hamlet or cooperative belongs to the commune above it
                    unit = above if above and dataset == "targets" and word(row["Cấp giao"]) != "xa" else self._unit_of_form(row)
                    if unit:
                        per_unit[unit].append(row)
                    above = unit
                for unit, mine in per_unit.items():
                    as_of, rank = mine[0]["_as_of"], (a.received_at, a.version)
                    if as_of not in found[unit] or found[unit][as_of][0] <= rank:
                        found[unit][as_of] = (rank, mine)
            self.forms[dataset] = {u: {d: r for d, (_, r) in by.items()} for u, by in found.items()}
            line: dict[int, list[tuple[date, int, tuple[str, str]]]] = defaultdict(list)
            for (name, code), by in self.forms[dataset].items():
                for n in self.geo.of_unit[name, code]:
                    line[n] += [(as_of, self.geo.rank[name], (name, code)) for as_of in by]
            self._timeline[dataset] = {n: sorted(told) for n, told in line.items()}
            self._in_force: dict[tuple[str, Any], dict[tuple[str, str], tuple[list[Row], set[int]]]] = {}

    def in_force(self, dataset: str, day: date) -> dict[tuple[str, str], tuple[list[Row], set[int]]]:
        """Of each unit the form in force, and on which of its pieces: the newest not later than the day, else the first (RULINGS 12). A form of a
        unit that a reform made ends those of the units that it took over."""
        told = {n: max((t for t in line if t[0] <= day), default=line[0]) for n, line in self._timeline[dataset].items()}
        mark = (dataset, tuple(told.values()))
        if mark not in self._in_force:
            found: dict[tuple[str, str], dict[date, set[int]]] = defaultdict(lambda: defaultdict(set))
            for n, (as_of, _, unit) in told.items():
                found[unit][as_of].add(n)
            self._in_force[mark] = {unit: (self.forms[dataset][unit][max(by)], set().union(*by.values())) for unit, by in found.items()}
        return self._in_force[mark]

    def households(self, day: date) -> Homes:
        """Who can be matched on a day."""
        if day not in self._homes:
            self._homes[day] = self._register(day)
        return self._homes[day]

    def _register(self, day: date) -> Homes:
        forms = self.in_force("households", day)
        mark = tuple(id(form) for form, _ in forms.values())
        if mark not in self._households:
            homes = Homes()
            # of a household in two registers the newer one tells
            for (name, code), (form, pieces) in sorted(forms.items(), key=lambda f: (f[1][0][0]["_as_of"], f[0])):
                for r in form:
                    citizen, place = nfc(r["Số CCCD chủ hộ"]), self.geo.place(name, code, r["Thôn"])
                    if not pieces.isdisjoint(place.pieces):  # else another list has ended it there
                        homes.add(
                            nfc(r["Mã hộ"]), place, place.pieces, self.phone_key(r["Số điện thoại"]),
                            self.key(citizen) if re.fullmatch(r"\d{12}", citizen) else None, nfc(r["Thôn"]), plain(r["Họ tên chủ hộ"]),
                        )  # fmt: skip
            self._households[mark] = homes
        return self._households[mark]

    # ---- stores, accounts, products ----

    def unit(self, column: str, code: Any, day: date, name: Any = None, district: Any = None) -> tuple[str, str | None]:
        """The unit that a platform's code means on a day: that of its newest row of R0, before the first the first. A name or district beside it that says
        something else leaves the commune unknown (KPI §1.2)."""
        of_code = self.r0[column].get(nfc(code).zfill(5), [])
        r = next((r for r in reversed(of_code) if date.fromisoformat(r["valid_from"]) <= day), of_code[0] if of_code else None)
        if r is None or (name is not None and plain(name) not in (plain(r["gso_name"]), plain(r["name_short"]))):
            return self.geo.first, None
        if nfc(district) and not plain(r["district_name"]).endswith(re.sub("^(huyen|thanhpho)", "", plain(district))):
            return self.geo.first, None
        return r["list"], r["gso_code"]

    def _pm_store(self, r: Row, day: date) -> dict[str, Any]:
        status, name = word(r["Trạng thái gian hàng"]), plain(r["Tên gian hàng"]) + "|" + plain(r["Họ tên chủ hộ"])
        return {
            "counts": status in ("hoat dong", "tam dung"), "approved": day_of(moment(r["Ngày duyệt"])), "active": day_of(moment(r["Ngày hoạt động gần nhất"])),
            "matches": word(r["Loại chủ thể"]) in ("ho gia dinh", "ho kinh doanh"), "phone": self.phone_key(r["Số điện thoại"]), "citizen": None,
            "unit": self.unit("vnpost_commune_code", r["Mã xã (VNPost)"], day, r["Tên xã"], r["Tên huyện"]), "hamlet": nfc(r["Thôn/Bản/Khối phố"]),
            "owner": plain(r["Họ tên chủ hộ"]),
            "test": "khachhangtest" in name,
        }  # fmt: skip

    def _vs_store(self, r: Row, day: date) -> dict[str, Any]:
        name = plain(r["STORE_NAME"]) + "|" + plain(r["OWNER_NAME"])
        return {
            "counts": r["STATUS"] in ("HOAT_DONG", "TAM_NGUNG") and not r["IS_DELETED"], "approved": day_of(ms(r["APPROVED_AT"])),
            "active": day_of(ms(r["LAST_ACTIVE_AT"])), "matches": r["OWNER_TYPE"] in ("HO_GIA_DINH", "HO_KINH_DOANH"), "phone": r["PHONE_KEY"],
            "citizen": r["ID_KEY"], "unit": self.unit("vtp_wards_id", r["WARDS_ID"], day), "hamlet": nfc(r["HAMLET_NAME"]), "owner": plain(r["OWNER_NAME"]),
            "test": "khachhangtest" in name,
        }  # fmt: skip

    def _at(self, days: Iterable[date], day: date) -> date | None:
        """The snapshot that tells of a day: the newest not after it, else the first."""
        known = sorted(days)
        return max((d for d in known if d <= day), default=known[0]) if known else None

    def _standing(self, day: date, homes: Homes) -> Iterator[tuple[tuple[str, str], dict[str, Any], Place, str | None]]:
        """The stores that count on a day, with place and household."""
        for platform, days in (("PM", self.pm_stores), ("VS", self.vs_stores)):
            told = self._at(days, day)
            if told is None:
                continue
            mark = (platform, told, id(homes))
            if mark not in self._matched:
                self._matched[mark] = [
                    ((platform, code), s, *self._placed(s, homes)) for code, s in self._listed(platform, told).items() if s["counts"] and not s["test"]
                ]
            # Postmart's file is the state of its day; what Vỏ Sò shows may have been pulled after it (RULINGS 16)
            rebuilt, until = day < told, day if platform == "PM" else min(day, told)
            for key, s, place, home in self._matched[mark]:
                if (s["approved"] <= until if s["approved"] else not rebuilt) or (platform == "PM" and not rebuilt):
                    yield key, s, place, home

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
                listed = {nfc(r["Mã gian hàng"]): self._pm_store(r, day) for r in self.pm_stores[day]}
            else:
                listed = {r["STORE_ID"]: self._vs_store(r, day) for r in self.vs_stores[day][1]}
            self._contexts[platform, day] = listed  # type: ignore[index]
        return self._contexts[platform, day]  # type: ignore[index]

    def _accounts(self, day: date, homes: Homes) -> Iterator[tuple[Place, str | None]]:
        """Place and household of each counting account."""
        for platform, days in (("PM", self.pm_accounts), ("VS", self.vs_accounts)):
            told = self._at(days, day)
            if told is None:
                continue
            mark = (platform, "accounts", told, id(homes))
            if mark not in self._matched:
                found = []
                for phone, citizen, unit, hamlet, known in self._listed_accounts(platform, told):
                    home = homes.match(phone, citizen)
                    found.append((homes.place[home] if home else self.geo.place(*unit, hamlet), home, known))
                self._matched[mark] = found
            rebuilt, until = day < told, day if platform == "PM" else min(day, told)
            for place, home, known in self._matched[mark]:
                if (known <= until if known else not rebuilt) or (platform == "PM" and not rebuilt):
                    yield place, home

    def _listed_accounts(self, platform: str, day: date) -> Iterator[tuple[Any, ...]]:
        """Active, identified accounts of a snapshot: phone key, citizen key, the source's unit and hamlet, day of identification."""
        if platform == "PM":
            for r in self.pm_accounts[day]:
                if word(r["Trạng thái"]) == "hoat dong" and int(r["Mức định danh"]) >= 1:
                    unit = self.unit("vnpost_commune_code", r["Mã xã (VNPost)"], day, r["Tên xã"])
                    yield nfc(r["Khóa đối chiếu"]), None, unit, nfc(r.get("Thôn")), day_of(moment(r["Ngày định danh"]))
            return
        for r in self.vs_accounts[day][1]:
            if r["STATUS"] == "HOAT_DONG" and r["KYC_LEVEL"] >= 1:
                unit = self.unit("vtp_wards_id", r["WARDS_ID"], day)
                yield r["PHONE_KEY"], r["ID_KEY"], unit, nfc(r.get("HAMLET_NAME")), day_of(ms(r["KYC_AT"]))

    def products(self, day: date) -> list[tuple[str, str]]:
        """Store keys of products on sale."""
        found = []
        told = self._at(self.pm_products, day)
        if told:
            mark = ("PM", "products", told)
            if mark not in self._matched:
                on_sale = [r for r in self.pm_products[told] if word(r["Trạng thái"]) == "dang ban"]
                self._matched[mark] = [(day_of(moment(r["Ngày đăng"])), ("PM", nfc(r["Mã gian hàng"]))) for r in on_sale]
            found += [store for posted, store in self._matched[mark] if day >= told or (posted and posted <= day)]
        for versions in self._vs_products:
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
                "out": bool(receiver) and "langson" not in receiver, "test": code == "123456789101112", "receiver": nfc(r["Tỉnh/TP người nhận"]) or None,
                "told_on": newest[2], "goods": vnd(r["Tổng tiền hàng"]), "discount": vnd(r["Giảm giá"]), "confirmed": None, "shipped": None,
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
                "test": r["ORDER_NUMBER"] == "123456789101112", "receiver": None if r["RECEIVER_PROVINCE"] is None else str(r["RECEIVER_PROVINCE"]), "row": r,
                "goods": int(r["GOODS_AMOUNT"]), "discount": int(r["SELLER_DISCOUNT"]), "confirmed": day_of(ms(r["CONFIRMED_AT"])), "shipped": day_of(ms(r["SHIPPED_AT"])),
            }  # fmt: skip
        return found

    def _all_refunds(self) -> list[tuple[tuple[str, str], date, int]]:
        last: dict[tuple[str, str], tuple[Any, ...]] = {}
        self.refund_rows: dict[tuple[str, str], tuple[tuple[str, str], Row]] = {}
        for d, mine in self.pm_refunds.items():
            for r in mine:
                done = word(r["Trạng thái"]) == "da hoan tat"
                self.refund_rows["PM", nfc(r["Mã yêu cầu"])] = (("PM", nfc(r["Mã đơn hàng"])), r)
                last["PM", nfc(r["Mã yêu cầu"])] = (d, ("PM", nfc(r["Mã đơn hàng"])), done, day_of(moment(r["Ngày hoàn tất"])), vnd(r["Số tiền hoàn"]))
        for a in self.vs_windows["refunds"]:
            for r in self._rows(a):
                key, rank = ("VS", r["RETURN_ID"]), (r["UPDATED_AT"], a.is_bulk, a.day, a.version)
                if key not in last or last[key][0] <= rank:
                    order = ("VS", self.numbers.get(r["ORDER_ID"], ""))
                    self.refund_rows[key] = (order, r)
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

    def _placed(self, store: dict[str, Any], homes: Homes) -> tuple[Place, str | None]:
        """Place and household of a store."""
        told = self.geo.place(*store["unit"], store["hamlet"])
        home = homes.match(store["phone"], store["citizen"], told, store["hamlet"], store["owner"]) if store["matches"] else None
        return (homes.place[home] if home else told), home

    def tables(self, days: Iterable[date]) -> dict[str, Table]:
        """Every row of the tables that are COUNTED, of ``days``. Leaving days out makes no row another one (but a rate that a day left out would hold)."""
        days = sorted(set(days))
        self._flow()
        stock = {day: self._stock(day) for day in sorted({*days, *(p.kick_off - timedelta(days=1) for p in self.geo.pieces)})}
        found: dict[str, Table] = {name: {} for name in COUNTED}
        running: dict[tuple[Place, date], tuple[date, Counter[str]]] = {}
        before = self._before_kick_off()
        for day in days:
            pieces, spread = self._pieces(day, stock, running, before)
            state = self.completeness(day)
            for name in self.geo.order:
                if self.geo.shown(name, day):
                    self._units(name, day, pieces, spread, state, found)
        self._hold_rates(found["kpi_commune_daily"])
        return found

    # ---- flows and stock by place ----

    def _flow(self) -> None:
        """flows[place][day][measure]; by_home[home][day] = [orders, net revenue]; dealt[home] = days on which it had to do with an order, and where."""
        self.flows: dict[Place, dict[date, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self.by_home: dict[str, dict[date, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        self.dealt: dict[str, list[tuple[date, int, str, Place]]] = defaultdict(list)
        for (platform, _), o in self._orders.items():
            store = self.store_at(platform, o["store"], o["created"])
            o["place"], o["home"] = self._placed(store, self.households(o["created"])) if store else (self.geo.nowhere, None)
            o["test"] = o["test"] or bool(store and store["test"])
            if o["test"]:
                continue
            mine, valid = self.flows[o["place"]], o["status"] != "CANCELLED"
            mine[o["created"]]["orders_placed"] += 1
            mine[o["created"]]["orders_valid"] += valid
            mine[o["created"]]["orders_out_of_province"] += valid and o["out"]
            if o["delivered"]:
                stays = o["status"] not in ("RETURNED", "REFUNDED")
                mine[o["delivered"]]["orders_delivered"] += stays
                mine[o["delivered"]]["revenue_gross_vnd"] += o["net"]
                if o["home"]:
                    self.by_home[o["home"]][o["delivered"]][0] += stays
                    self.by_home[o["home"]][o["delivered"]][1] += o["net"]
            if o["cancelled"] and not valid:
                mine[o["cancelled"]]["orders_cancelled"] += 1
            if o["returned"]:
                mine[o["returned"]]["orders_returned"] += 1
            if o["home"]:
                for day in {o["created"], o["delivered"], o["returned"], None if valid else o["cancelled"]} - {None}:
                    self.dealt[o["home"]].append((day, self.geo.rank[o["place"].list], o["place"].code, o["place"]))
        for order, day, amount in self._refunds:
            o = self._orders.get(order, {"place": self.geo.nowhere, "home": None, "test": False})
            if not o["test"]:
                self.flows[o["place"]][day]["refunds_vnd"] += amount
                if o["home"]:
                    self.by_home[o["home"]][day][1] -= amount
                    self.dealt[o["home"]].append((day, self.geo.rank[o["place"].list], o["place"].code, o["place"]))

    def _before_kick_off(self) -> dict[tuple[Place, date], int]:
        """Net revenue of all days before a kick-off, by place."""
        starts = {p.kick_off for p in self.geo.pieces}
        return {
            (place, start): sum(c["revenue_gross_vnd"] - c["refunds_vnd"] for d, c in mine.items() if d < start)
            for place, mine in self.flows.items() for start in starts
        }  # fmt: skip

    def held(self, day: date) -> dict[str, Any]:
        """The households that have a store, an active one, an account, at the end of a day."""
        homes, recent = self.households(day), day - timedelta(days=30)
        found: dict[str, set[str]] = {m: set() for m in OF_HOUSEHOLDS}
        for key, s, _, home in self._standing(day, homes):
            if home:
                found["households_with_store"].add(home)
                found["households_with_store_postmart" if key[0] == "PM" else "households_with_store_voso"].add(home)
                if s["active"] and s["active"] >= recent:
                    found["households_with_active_store"].add(home)
        found["households_with_payment"] = {home for _, home in self._accounts(day, homes) if home}
        found["households_with_store_both"] = found["households_with_store_postmart"] & found["households_with_store_voso"]
        return found

    def _stock(self, day: date) -> dict[Place, Counter[str]]:
        """Stock figures of the platforms at the end of a day, by place."""
        homes = self.households(day)
        found: dict[Place, Counter[str]] = defaultdict(Counter)
        at: dict[tuple[str, str], Place] = {}
        for key, s, place, home in self._standing(day, homes):
            at[key] = place
            mine = found[place]
            mine["stores"] += 1
            if s["matches"]:
                mine["could_match"] += 1
                mine["stores_unmatched"] += home is None
        for place, home in self._accounts(day, homes):
            found[place]["accounts"] += 1
            found[place]["accounts_unmatched"] += home is None
        for key in self.products(day):
            if key in at:
                found[at[key]]["products_on_sale"] += 1
        for measure, held in self.held(day).items():
            for home in held:
                found[homes.place[home]][measure] += 1
        for home, mine_by_day in self.by_home.items():
            window = [v for d, v in mine_by_day.items() if day - timedelta(days=29) <= d <= day]
            if sum(v[0] for v in window) >= 10 or sum(v[1] for v in window) >= 5_000_000:
                latest = max((at for at in self.dealt[home] if at[0] <= day), key=lambda at: at[:3])
                found[latest[3]]["lead_households_calc"] += 1
        return found

    # ---- from places to pieces, from pieces to units ----

    def _pieces(
        self,
        day: date,
        stock: dict[date, dict[Place, Counter[str]]],
        running: dict[tuple[Place, date], tuple[date, Counter[str]]],
        before: dict[tuple[Place, date], int],
    ) -> tuple[dict[int, dict[str, int | None]], set[Place]]:
        """The additive measures of every piece (-1: nowhere) on a day, and the places of which a number was shared out."""
        found: dict[int, dict[str, Any]] = {n: {} for n in range(-1, len(self.geo.pieces))}
        spread: set[Place] = set()

        def tell(place: Place, measure: str, total: int, only: Any = None) -> None:
            if not place.pieces:
                found[-1][measure] = found[-1].get(measure, 0) + total
                return
            if total and len(place.pieces) > 1:
                spread.add(place)
            for n, part in zip(place.pieces, self.geo.shared(place, total), strict=True):
                if only is None or n in only:
                    found[n][measure] = found[n].get(measure, 0) + part

        for place, counts in stock[day].items():
            for measure, total in counts.items():
                tell(place, measure, total)
        for place, by_day in self.flows.items():
            if day in by_day:
                for measure, total in by_day[day].items():
                    tell(place, measure, total)
        for place, counts, only in self._registers(day):
            for measure, total in counts.items():
                tell(place, measure, total, only)
        starts = {p.kick_off for p in self.geo.pieces if p.kick_off <= day}
        for start in starts:
            of_start = {n for n, p in enumerate(self.geo.pieces) if p.kick_off == start}
            for n in of_start:
                found[n] |= dict.fromkeys((*(f"{m}_to_date" for m in TO_DATE), "store_base", "payment_base", "revenue_base_vnd"), 0)
            for place, by_day in self.flows.items():
                if not place.pieces or of_start.isdisjoint(place.pieces):
                    continue
                told, so_far = running.get((place, start), (start - timedelta(days=1), Counter()))
                for d in [day] if told == day - timedelta(days=1) else by_day:
                    if told < d <= day and d in by_day:
                        so_far.update({m: by_day[d][m] for m in TO_DATE})
                running[place, start] = (day, so_far)
                for m in TO_DATE:
                    tell(place, f"{m}_to_date", so_far[m], of_start)
                tell(place, "revenue_base_vnd", before[place, start], of_start)
            for place, counts in stock[start - timedelta(days=1)].items():
                tell(place, "store_base", counts["households_with_store"], of_start)
                tell(place, "payment_base", counts["households_with_payment"], of_start)
        return found, spread

    def _units(self, name: str, day: date, pieces: dict[int, dict[str, Any]], spread: set[Place], state: str, found: dict[str, Table]) -> None:
        """Rows of a list's communes, its districts, and the province."""
        units = self.geo.units[name]
        communes, districts, provinces = (found[t] for t in COUNTED)
        grouped: dict[str, list[int]] = defaultdict(list)
        for code, unit in units.items():
            mine = self.geo.of_unit[name, code]
            row = self._row(day, [pieces[n] for n in mine], [self.geo.pieces[n] for n in mine], state)
            communes[name, code, day] = {
                "commune_name": unit["gso_name"], "district_code": unit["district_code"] or None, "district_name": unit["district_name"] or None,
            } | row  # fmt: skip
            if unit["district_code"]:
                grouped[unit["district_code"]] += mine
        nowhere = {m: pieces[-1].get(m, 0) for m in (*COUNTS, *FLOWS)}
        communes[name, NOWHERE, day] = (
            dict.fromkeys(("district_code", "district_name", *ALL), None)
            | nowhere
            | {
                "commune_name": "Chưa xác định",
                "revenue_net_vnd": nowhere["revenue_gross_vnd"] - nowhere["refunds_vnd"],
                "completeness": state,
                "rates_held": None,
            }
        )
        for code, mine_ in grouped.items():
            row = self._row(day, [pieces[n] for n in mine_], [self.geo.pieces[n] for n in mine_], state)
            del row["rates_held"]
            districts[name, code, day] = {"district_name": next(u["district_name"] for u in units.values() if u["district_code"] == code)} | row
        everything = self._row(day, [pieces[n] for n in sorted(pieces)], self.geo.pieces, state) | {"phase": None, "phase_day": None}
        del everything["rates_held"]
        provinces[name, "20", day] = {"province_name": "Tỉnh Lạng Sơn"} | everything
        for place in spread:
            told = {self.geo.unit(n, name) for n in place.pieces}
            for code in told if len(told) > 1 else ():
                communes[name, code, day]["completeness"] = "ESTIMATED"
            told = {units[code]["district_code"] for code in told} - {""}
            for code in told if len(told) > 1 else ():
                districts[name, code, day]["completeness"] = "ESTIMATED"

    def _row(self, day: date, mine: list[dict[str, Any]], pieces: Sequence[Piece], state: str) -> dict[str, Any]:
        """All measures of a group of pieces from sums (KPI §1.10)."""

        def total(measure: str, only: str = "") -> int | None:
            """Sum; None where no piece knows of it. ``only``: of the pieces that have some of it (a denominator)."""
            known = [p[measure] for p in mine if measure in p and (not only or p.get(only))]
            return sum(known) if known else None

        row: dict[str, Any] = {m: total(m) or 0 for m in (*COUNTS, *FLOWS, *OF_COMMUNES)}
        row |= {m: total(m) for m in ("households", "hamlets", *(f"{m}_to_date" for m in TO_DATE), "store_base", "payment_base", "revenue_base_vnd")}
        begun = [p for p, piece in zip(mine[-len(pieces) :], pieces, strict=True) if piece.kick_off <= day]
        row["households_with_store_voso"] = row["households_with_store"] + row["households_with_store_both"] - row["households_with_store_postmart"]
        row["revenue_net_vnd"] = row["revenue_gross_vnd"] - row["refunds_vnd"]
        row["revenue_net_vnd_to_date"] = row["revenue_gross_vnd_to_date"] - row["refunds_vnd_to_date"] if begun else None
        held = []
        for rate, part in RATES.items():
            above = total(part, "households") or 0
            row[rate] = ratio(above, row["households"], 6)
            if row["households"] and above > row["households"]:
                held.append(rate)
        row["team_rate"] = ratio(total("hamlets_with_team", "hamlets") or 0, row["hamlets"], 6)
        row["rates_held"] = ",".join(held) or None
        row["store_growth"] = ratio(sum(p.get("households_with_store", 0) for p in begun), row["store_base"], 4)
        row["payment_growth"] = ratio(sum(p.get("households_with_payment", 0) for p in begun), row["payment_base"], 4)
        row["revenue_growth"] = ratio(row["revenue_net_vnd_to_date"], row["revenue_base_vnd"], 4)
        of_communes = mine[-len(pieces) :]
        could, unmatched = (sum(p.get(m, 0) for p in of_communes) for m in ("could_match", "stores_unmatched"))
        row["match_rate"] = ratio(could - unmatched, could, 6)
        row["phase"], kick_off = min((p.phase, p.kick_off) for p in pieces)
        row["phase_day"] = (day - kick_off).days
        row["completeness"] = state
        return row

    def _hold_rates(self, communes: Table) -> None:
        """A numerator above its denominator: the commune's rate of the last good day (KPI §1.8)."""
        good: dict[tuple[str, str, str], Any] = {}
        for (name, code, _), row in sorted(communes.items(), key=lambda item: item[0][2]):
            for rate in RATES:
                if rate in (row["rates_held"] or "").split(","):
                    row[rate] = good.get((name, code, rate))
                elif row[rate] is not None:
                    good[name, code, rate] = row[rate]

    # ---- registers by place ----

    def _registers(self, day: date) -> list[tuple[Place, dict[str, int], set[int] | None]]:
        """Figures of R1, R2 and R4 by place, with the pieces on which the form is in force (None: on all of the place)."""
        found: list[tuple[Place, dict[str, int], set[int] | None]] = []
        for (name, code), (forms, pieces) in self.in_force("hamlets", day).items():
            found += [(place, counts, pieces) for place, counts in self._r1(name, code, forms).items()]
        for (name, code), (forms, pieces) in self.in_force("teams", day).items():
            found += [(place, counts, pieces) for place, counts in self._r2(name, code, forms).items()]
        by_place: dict[Place, set[str]] = defaultdict(set)
        for home, place, _ in self.leads(day):
            by_place[place].add(home)
        return found + [(place, {"lead_households": len(homes)}, None) for place, homes in by_place.items()]

    def leads(self, day: date) -> Iterator[tuple[str, Place, str]]:
        """Household, place and hamlet as the list says it, of the lead households of a day. The newest list of a part tells for all days; of a household that
        a newer list of a part of its unit names, that list does. A list that comes by a unit of a reform tells of each household where it lived."""
        for home, own, where, since, until in self._newest_leads():
            if since <= day and (until is None or day < until):
                lived = self.households(day).place.get(home) if own.list != self.geo.first else None
                yield home, lived or own, where

    def _newest_leads(self) -> list[tuple[str, Place, str, date, date | None]]:
        if not self._leads:
            told: dict[str, list[tuple[date, int, tuple[int, ...]]]] = defaultdict(list)
            lists = self.in_force("leads", date.max)
            for (name, code), (form, _) in lists.items():
                for home in {nfc(r["Mã hộ"]) for r in form}:
                    told[home].append((form[0]["_as_of"], self.geo.rank[name], self.geo.of_unit[name, code]))
            for (name, code), (form, pieces) in lists.items():
                mine = (form[0]["_as_of"], self.geo.rank[name])
                for since, until, home, where in self.r4(form):
                    own = self.geo.place(name, code, where)
                    newer = any(other[:2] > mine and not set(other[2]).isdisjoint(self.geo.of_unit[name, code]) for other in told[home])
                    if not newer and not pieces.isdisjoint(own.pieces):
                        self._leads.append((home, own, where, since, until))
        return self._leads

    def _r1(self, name: str, code: str, form: list[Row]) -> dict[Place, dict[str, int]]:
        if ("R1", id(form)) not in self._read_once:
            counts = {plain(r[HAMLET]): (r[HAMLET], vnd(r["Tổng số hộ"])) for r in form}
            found: dict[Place, dict[str, int]] = defaultdict(lambda: {"households": 0, "hamlets": 0})
            for hamlet, households in counts.values():
                mine = found[self.geo.place(name, code, hamlet)]
                mine["households"] += households
                mine["hamlets"] += 1
            self._read_once["R1", id(form)] = dict(found)
        return self._read_once["R1", id(form)]

    def _r2(self, name: str, code: str, form: list[Row]) -> dict[Place, dict[str, int]]:
        if ("R2", id(form)) in self._read_once:
            return self._read_once["R2", id(form)]
        # "Khối 3" is not "Thôn 3": the full name first, then the name without its unit word where only one fits.
        names = {(bare(r[HAMLET]), plain(r[HAMLET])) for mine in self.forms["hamlets"].get((name, code), {}).values() for r in mine}
        full = {f for _, f in names}
        alone = {b: f for b, f in names if sum(b == other for other, _ in names) == 1}
        teams: dict[tuple[str, str], list[tuple[str, bool]]] = defaultdict(list)
        for r in form:
            teams[nfc(r[HAMLET]), nfc(r["Số, ngày QĐ thành lập"])].append((word(r["Nhiệm vụ trong tổ"]), word(r["Đã tập huấn"]) in ("co", "x")))
        found: dict[Place, Counter[str]] = defaultdict(Counter)
        served: dict[str, Place] = {}
        for (where, _), mine in teams.items():
            hamlets = [h for h in re.split(r"[,;]", where) if h.strip()]
            places = {self.geo.place(name, code, h) for h in hamlets}
            at = places.pop() if len(places) == 1 else self.geo.place(name, code)
            found[at]["team_members"] += len(mine)
            found[at]["team_members_trained"] += sum(t for _, t in mine)
            if any(role == "to truong" for role, _ in mine) and sum(t for role, t in mine if role != "to truong") >= 2:
                served |= {plain(h) if plain(h) in full else alone.get(bare(h)) or "~" + bare(h): self.geo.place(name, code, h) for h in hamlets}
        for place in served.values():
            found[place]["hamlets_with_team"] += 1
        self._read_once["R2", id(form)] = {p: dict(c) for p, c in found.items()}
        return self._read_once["R2", id(form)]

    def r4(self, form: list[Row]) -> list[tuple[date, date | None, str, str]]:
        if ("R4", id(form)) not in self._read_once:
            self._read_once["R4", id(form)] = [
                (since.date(), day_of(moment(r["Ngày thôi công nhận"])), nfc(r["Mã hộ"]), nfc(r["Thôn"]))
                for r in form
                if (since := moment(r["Ngày công nhận"]))
            ]
        return self._read_once["R4", id(form)]
