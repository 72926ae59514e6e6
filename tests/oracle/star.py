"""The dimensions and facts that `bi` publishes (KPI §3, §4), from the seeds and from deliveries."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from oracle.files import Row
from oracle.geography import NOWHERE, SEEDS, Place, seed
from oracle.hamlets import hide
from oracle.kpis import HAMLET, LOCAL, Homes, Recount, Table, day_of, moment, ms, vnd
from oracle.words import bare, nfc, plain, word

BEGINNING, FOREVER = date.min, date(9999, 12, 31)
#: Table of `bi` -> its key.
KEYS = {
    "dim_date": ("date",), "dim_commune": ("commune_code", "geography"), "bridge_commune_succession": ("old_code", "old_list", "new_code", "new_list"),
    "dim_platform": ("platform",), "dim_wallet": ("wallet",), "dim_order_status": ("order_status",), "dim_location": ("location_key",),
    "dim_hamlet": ("hamlet_key",), "dim_household": ("household_version_key",), "dim_store": ("platform", "store_code", "valid_from"),
    "dim_product": ("platform", "product_code", "valid_from"), "fct_order_line": ("platform", "order_code", "line_no"), "fct_refund": ("platform", "refund_code"),
    "data_status_daily": ("source", "dataset", "date"),
}  # fmt: skip
OWNERS = {
    "ho gia dinh": "HOUSEHOLD", "ho kinh doanh": "HOUSEHOLD_BUSINESS", "hop tac xa": "COOPERATIVE", "doanh nghiep": "ENTERPRISE", "HO_GIA_DINH": "HOUSEHOLD",
    "HO_KINH_DOANH": "HOUSEHOLD_BUSINESS", "HTX": "COOPERATIVE", "DOANH_NGHIEP": "ENTERPRISE",
}  # fmt: skip
STORES = {
    "cho duyet": "PENDING", "hoat dong": "ACTIVE", "tam dung": "PAUSED", "khoa": "BLOCKED", "tu choi": "REJECTED", "da dong": "CLOSED", "CHO_DUYET": "PENDING",
    "HOAT_DONG": "ACTIVE", "TAM_NGUNG": "PAUSED", "KHOA": "BLOCKED", "TU_CHOI": "REJECTED", "DA_DONG": "CLOSED",
}  # fmt: skip
PRODUCTS = {
    "dang ban": "ON_SALE", "het hang": "OUT_OF_STOCK", "cho duyet": "PENDING", "an": "HIDDEN", "da xoa": "DELETED", "DANG_BAN": "ON_SALE", "HET_HANG": "OUT_OF_STOCK",
    "CHO_DUYET": "PENDING", "AN": "HIDDEN", "DA_XOA": "DELETED",
}  # fmt: skip
REFUND_KINDS = {
    "tra hang": "RETURN", "hoan tien": "REFUND", "tra hang va hoan tien": "RETURN_AND_REFUND", "TRA_HANG": "RETURN", "HOAN_TIEN": "REFUND",
    "TRA_HANG_HOAN_TIEN": "RETURN_AND_REFUND",
}  # fmt: skip
REFUND_STATES = {
    "cho xu ly": "OPEN", "da chap nhan": "ACCEPTED", "da hoan tat": "DONE", "tu choi": "REJECTED", "CHO_XU_LY": "OPEN", "CHAP_NHAN": "ACCEPTED", "HOAN_TAT": "DONE",
    "TU_CHOI": "REJECTED",
}  # fmt: skip
PLATFORM = {"PM": "postmart", "VS": "voso"}
WEEKDAYS = ("Thứ Hai", "Thứ Ba", "Thứ Tư", "Thứ Năm", "Thứ Sáu", "Thứ Bảy", "Chủ Nhật")


def md5(*parts: Any) -> str:
    """The surrogate key of a natural one."""
    return hashlib.md5("|".join(str(p) for p in parts).encode(), usedforsecurity=False).hexdigest()


def pseudonym(recount: Recount, kind: str, *code: Any) -> str:
    """What stands for a household's code: nobody can compute it who has not the secret."""
    text = "|".join(map(str, (recount.key("kinhteso / pseudonyms"), kind, *code)))
    return hashlib.sha256(hashlib.sha256(text.encode()).digest()).hexdigest()


def star(recount: Recount, seeds: Path = SEEDS) -> dict[str, Table]:
    """Every row of the tables of KEYS, from a recount whose `tables` were counted."""
    s = _Star(recount, seeds)
    found = {"dim_date": s.days(), "dim_commune": s.communes(), "bridge_commune_succession": s.bridge(), "dim_location": s.locations()}
    found |= {"dim_hamlet": s.hamlets(), "dim_household": s.households(), "dim_store": s.store_rows(), "dim_product": s.product_rows()}
    found |= {"fct_order_line": s.order_lines(), "fct_refund": s.refunds(), "data_status_daily": s.deliveries()}
    found["dim_platform"] = {(r["platform"],): {c: r[c] for c in ("name_vi", "name_en", "operator_vi")} for r in seed(seeds, "platform")}
    found["dim_wallet"] = {(r["wallet"],): {c: r[c] for c in ("platform", "wallet_name_vi")} for r in seed(seeds, "platform")}
    found["dim_order_status"] = {
        (r["status"],): {"rank": int(r["rank"]), "name_vi": r["name_vi"], "name_en": r["name_en"]}
        | {c: r[c] == "true" for c in ("is_terminal", "is_placed", "is_valid", "is_successful")}
        for r in seed(seeds, "order_status")
    }
    return found


class _Star:
    def __init__(self, recount: Recount, seeds: Path) -> None:
        self.r, self.geo, self.seeds = recount, recount.geo, seeds
        self.edges = sorted({d for by in recount.forms["households"].values() for d in by})
        self.stores = {p: {c: list(rows) for c, rows in self._stores(p).items()} for p in PLATFORM}

    # ---- from the seeds ----

    def days(self) -> Table:
        holidays = {date.fromisoformat(r["date"]): r["name_vi"] for r in seed(self.seeds, "holiday")}
        phases = {n: (min(p[1] for p in self.geo.phases.values() if p[0] == n), max(p[2] for p in self.geo.phases.values() if p[0] == n)) for n in (1, 2)}
        found: Table = {}
        day = date(2019, 1, 1)
        while day <= date(2030, 12, 31):
            iso = day.isocalendar()
            found[(day,)] = {
                "iso_year": iso.year, "iso_week": iso.week, "iso_weekday": iso.weekday, "year": day.year, "quarter": (day.month + 2) // 3, "month": day.month,
                "day_of_month": day.day, "weekday_vi": WEEKDAYS[day.weekday()], "month_vi": f"Tháng {day.month}", "holiday_vi": holidays.get(day),
                "is_holiday": day in holidays, "is_in_phase_1": phases[1][0] <= day < phases[1][1], "is_in_phase_2": phases[2][0] <= day <= phases[2][1],
            }  # fmt: skip
            day += timedelta(days=1)
        return found

    def communes(self) -> Table:
        codes: dict[tuple[str, str], dict[str, str]] = {}
        for r in seed(self.seeds, "commune_crosswalk"):
            mine = codes.setdefault((r["list"], r["gso_code"]), {})
            for c in ("vtp_wards_id", "vnpost_commune_code"):
                mine[c] = max(mine.get(c, ""), r[c])
        dates = {n: (min(p[1] for p in self.geo.phases.values() if p[0] == n), max(p[2] for p in self.geo.phases.values() if p[0] == n)) for n in (1, 2)}
        found: Table = {}
        for name, units in self.geo.units.items():
            since, until, _ = self.geo.lists[name]
            valid = {"valid_from": since, "valid_to": until if until < FOREVER else None}
            nothing = ("unit_type", "district_code", "district_name", "phase", "kick_off", "due_on", "lat", "lon", "vtp_wards_id", "vnpost_commune_code")
            found[NOWHERE, name] = {"commune_name": "Chưa xác định"} | dict.fromkeys(nothing) | valid
            for code, u in units.items():
                phase = min(self.geo.pieces[n].phase for n in self.geo.of_unit[name, code])
                platforms = codes.get((name, code), {})
                found[code, name] = valid | {
                    "commune_name": u["gso_name"], "unit_type": u["unit_type"], "district_code": u["district_code"] or None, "district_name": u["district_name"] or None,
                    "phase": phase, "kick_off": dates[phase][0], "due_on": dates[phase][1], "lat": _decimal(u["lat"], 5), "lon": _decimal(u["lon"], 5),
                    "vtp_wards_id": platforms.get("vtp_wards_id") or None, "vnpost_commune_code": platforms.get("vnpost_commune_code") or None,
                }  # fmt: skip
        return found

    def bridge(self) -> Table:
        """Each published step, and lists further back through the steps between."""
        steps: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
        for r in seed(self.seeds, "commune_succession"):
            steps[r["old_list"], r["old_code"], r["new_list"]].append(r)
        onward: dict[tuple[str, str], list[tuple[str, str, Fraction, str, str]]] = defaultdict(list)
        for (name, code, _), mine in steps.items():
            for r in mine:
                share = Fraction(r["share"]) if r["share"] else Fraction(1, len(mine))
                onward[name, code].append((r["new_list"], r["new_code"], share, r["share_basis"], r["legal_document"]))
        paths: dict[tuple[str, str, str, str], list[tuple[Fraction, str, tuple[str, ...]]]] = defaultdict(list)

        def walk(start: tuple[str, str], at: tuple[str, str], share: Fraction, basis: str, papers: tuple[str, ...]) -> None:
            for name, code, part, how, paper in onward.get(at, ()):
                told = (share * part, how if basis == "whole" else basis, (*papers, *([paper] if paper else [])))
                paths[start[1], start[0], code, name].append(told)
                walk(start, (name, code), *told)

        for start in list(onward):
            walk(start, start, Fraction(1), "whole", ())
        found: Table = {}
        for key, ways in paths.items():
            share, shared = sum(w[0] for w in ways), [w[1] for w in ways if w[1] != "whole"]
            papers = " | ".join(sorted({"; ".join(w[2]) for w in ways} - {""})) or None
            found[key] = {
                "share": _decimal(share, 6),
                "share_basis": "whole" if share == 1 and not shared else max(shared, default=None),
                "legal_document": papers,
            }
        return found

    # ---- places and validity ----

    def place_code(self, place: Place) -> str:
        """A place as the keys of the star name it."""
        if not place.pieces:
            return NOWHERE
        code = place.code if place.list == self.geo.first else f"{place.list}:{place.code}"
        if place.pieces == self.geo.of_unit[place.list, place.code]:
            return code
        return f"{code}>{'+'.join(sorted('/'.join(self.geo.pieces[n].units) for n in place.pieces))}"

    def validity(self, dataset: str, unit: tuple[str, str], as_of: date, place: Place) -> tuple[date, date] | None:
        """When a form is in force on a place: as long as on any of its pieces."""
        found = []
        for n in place.pieces:
            line = self.r._timeline[dataset][n]
            at = next(k for k, told in enumerate(line) if told[0] == as_of and told[2] == unit)
            since, until = BEGINNING if at == 0 else as_of, line[at + 1][0] if at + 1 < len(line) else FOREVER
            if since < until:
                found.append((since, until))
        return (min(f[0] for f in found), max(f[1] for f in found)) if found else None

    def hamlets(self) -> Table:
        groups: dict[tuple[tuple[str, str], date], dict[str, dict[str, Any]]] = defaultdict(dict)
        for unit, by in self.r.forms["hamlets"].items():
            for as_of, form in by.items():
                for r in form:
                    place = self.geo.place(*unit, r[HAMLET])
                    if valid := self.validity("hamlets", unit, as_of, place):
                        persons = vnd(r["Số nhân khẩu"]) if nfc(r.get("Số nhân khẩu")) else None
                        groups[unit, as_of][plain(r[HAMLET])] = {
                            "place": place, "unit": unit, "row": r, "valid": valid, "households": vnd(r["Tổng số hộ"]), "persons": persons,
                        }  # fmt: skip
        found: Table = {}
        for (_, as_of), rows in groups.items():
            of_parts: set[tuple[str, str]] = set()
            for part in {told["place"] for told in rows.values()}:
                of_parts |= hide({h: told for h, told in rows.items() if told["place"] is part}, {"households": None})
            hidden = {h for h, _ in hide(rows, {"households": None}, of_parts)}
            for hamlet, told in rows.items():
                (name, code), (since, until) = told["unit"], told["valid"]
                found[(md5(self.place_code(self.geo.place(name, code)), hamlet, since),)] = {
                    "geography": name, "commune_code": code, "hamlet_code": hamlet, "hamlet_name": nfc(told["row"][HAMLET]), "suppressed": hamlet in hidden,
                    "households": None if hamlet in hidden else told["households"], "persons": None if hamlet in hidden else told["persons"], "as_of": as_of,
                    "valid_from": since, "valid_to": until, **_origin(told["row"]),
                }  # fmt: skip
        return found

    def households(self) -> Table:
        found: Table = {}
        for unit, by in self.r.forms["households"].items():
            for as_of, form in by.items():
                for r in form:
                    place, home = self.geo.place(*unit, r["Thôn"]), nfc(r["Mã hộ"])
                    if valid := self.validity("households", unit, as_of, place):
                        found[(pseudonym(self.r, "household", home, self.place_code(place), valid[0]),)] = {
                            "household_key": pseudonym(self.r, "household", home), "geography": unit[0], "commune_code": unit[1], "as_of": as_of, "valid_from": valid[0],
                            "valid_to": valid[1], "has_phone": self.r.phone_key(r["Số điện thoại"]) is not None, "has_citizen_id": bool(nfc(r["Số CCCD chủ hộ"])),
                            "export_id": r["_export"],
                        }  # fmt: skip
        return found

    # ---- stores and products over time ----

    def _states(self, listed: dict[date, dict[str, tuple[Any, Any]]]) -> dict[str, list[tuple[date, date, bool, Any, Any]]]:
        """code -> (from, to, present, state, told by) wherever a snapshot says something new; ``listed``: day -> code -> state, told by."""
        found: dict[str, list[list[Any]]] = defaultdict(list)
        before: dict[str, tuple[Any, Any]] = {}
        for day in sorted(listed):
            now = listed[day]
            for code in sorted(now.keys() | before.keys()):
                if code not in now or code not in before or now[code][0] != before[code][0]:
                    found[code].append([day, code in now, *(now[code] if code in now else before[code])])
            before = now
        return {code: [(at, rows[n + 1][0] if n + 1 < len(rows) else FOREVER, *rest) for n, (at, *rest) in enumerate(rows)] for code, rows in found.items()}  # type: ignore[misc]

    def _stores(self, platform: str) -> dict[str, Iterable[dict[str, Any]]]:
        listed: dict[date, dict[str, tuple[Any, Any]]] = {}
        days = self.r.pm_stores if platform == "PM" else {d: rows for d, (_, rows) in self.r.vs_stores.items()}
        for day, rows in days.items():
            late = platform == "VS" and self.r.vs_stores[day][0]
            listed[day] = {(nfc(r["Mã gian hàng"]) if platform == "PM" else r["STORE_ID"]): (self._store(platform, r, day, late), r) for r in rows}
        first = min(listed, default=None)
        return {code: self._matched(platform, code, rows, first) for code, rows in self._states(listed).items()}

    def _store(self, platform: str, r: Row, day: date, late: bool) -> tuple[tuple[str, Any], ...]:
        """What a snapshot says of a store, as far as a row of the dimension depends on it."""
        if platform == "PM":
            s = self.r._pm_store(r, day)
            own = {
                "owner_type": OWNERS[word(r["Loại chủ thể"])], "store_status": STORES[word(r["Trạng thái gian hàng"])], "deleted": False,
                "registered_day": day_of(moment(r["Ngày đăng ký"])),
            }  # fmt: skip
            counts = s["counts"]
        else:
            s = self.r._vs_store(r, day)
            own = {
                "owner_type": OWNERS[r["OWNER_TYPE"]], "store_status": STORES[r["STATUS"]], "deleted": bool(r["IS_DELETED"]), "registered_day": day_of(ms(r["CREATED_AT"])),
            }  # fmt: skip
            counts = s["counts"] and (s["approved"] <= day if s["approved"] else not late)
        place = self.geo.place(*s["unit"], s["hamlet"])
        own |= {"is_test": s["test"], "approved_day": s["approved"], "last_activity_day": s["active"], "is_counting": counts and not s["test"]}
        return tuple(
            (
                own | {"matches": s["matches"], "phone": s["phone"], "citizen": s["citizen"], "place": place, "hamlet": bare(s["hamlet"]), "owner": s["owner"]}
            ).items()
        )

    def _matched(self, platform: str, code: str, rows: list[tuple[date, date, bool, Any, Any]], first: date | None) -> Iterator[dict[str, Any]]:
        for since, until, present, told, r in rows:
            s = dict(told)
            spans = [(since, until, False)]
            if since == first and s["is_counting"] and s["approved_day"] and s["approved_day"] < since:
                spans.append((s["approved_day"], since, True))
            for start, end, rebuilt in spans:
                yield from self._cut(platform, code, s | {"is_present": present, "is_counting": s["is_counting"] and present}, r, start, end, rebuilt)

    def _cut(self, platform: str, code: str, s: dict[str, Any], r: Row, start: date, end: date, rebuilt: bool) -> Iterator[dict[str, Any]]:
        """A row for each household that the ladder finds over the time, and for each commune."""
        at = [start, *(e for e in self.edges if start < e < end)]
        found: list[tuple[date, tuple[Any, ...]]] = []
        for day in at:
            told = self._rung(s, self.r.households(day)) if s["matches"] else (None, None, s["place"])
            if not found or found[-1][1] != told:
                found.append((day, told))
        for n, (since, (home, rung, place)) in enumerate(found):
            yield {
                "store_version_key": md5(PLATFORM[platform], code, since), "store_key": md5(PLATFORM[platform], code), "geography": place.list, "commune_code": place.code,
                "household_key": pseudonym(self.r, "household", home) if home else None, "matched_by": rung, "is_rebuilt": rebuilt, "valid_from": since,
                "valid_to": found[n + 1][0] if n + 1 < len(found) else end, **_origin(r),
                **{c: s[c] for c in ("owner_type", "store_status", "is_test", "is_present", "is_counting", "registered_day", "approved_day", "last_activity_day")},
            }  # fmt: skip

    def _rung(self, s: dict[str, Any], homes: Homes) -> tuple[str | None, str | None, Place]:
        for rung, given in (("phone", (s["phone"], None)), ("citizen", (None, s["citizen"])), ("name", (None, None, s["place"], s["hamlet"], s["owner"]))):
            if home := homes.match(*given):
                return home, rung, homes.place[home]
        return None, None, s["place"]

    def store_rows(self) -> Table:
        return {
            (PLATFORM[p], code, row["valid_from"]): {c: v for c, v in row.items() if c != "valid_from"}
            for p, stores in self.stores.items() for code, rows in stores.items() for row in rows
        }  # fmt: skip

    def product_rows(self) -> Table:
        found: Table = {}

        def tell(platform: str, code: str, since: date, until: date, s: dict[str, Any], r: Row, rebuilt: bool) -> None:
            found[platform, code, since] = {
                "product_version_key": md5(platform, code, since), "product_key": md5(platform, code), "is_rebuilt": rebuilt, "valid_to": until, **_origin(r), **s,
            }  # fmt: skip

        listed = {day: {nfc(r["Mã sản phẩm"]): (tuple(_pm_product(r).items()), r) for r in rows} for day, rows in self.r.pm_products.items()}
        first = min(listed, default=None)
        for code, rows in self._states(listed).items():
            for since, until, present, told, r in rows:
                s = dict(told)
                tell("postmart", code, since, until, s | {"is_on_sale": s["is_on_sale"] and present}, r, False)
                if since == first and s["is_on_sale"] and s["posted_day"] < since:
                    tell("postmart", code, s["posted_day"], since, s, r, True)
        backlog = self.r.first_day
        for versions in self.r._vs_products:
            newest: dict[date, tuple[Any, Row]] = {}
            for day, updated, r in versions:
                since = backlog if day == backlog else max(updated.date(), backlog)
                rank = (updated, day, r["_export"], r["_row"])
                if since not in newest or newest[since][0] < rank:
                    newest[since] = (rank, r)
            starts = sorted(newest)
            for n, since in enumerate(starts):
                r, s = newest[since][1], _vs_product(newest[since][1])
                tell("voso", r["PRODUCT_ID"], since, starts[n + 1] if n + 1 < len(starts) else FOREVER, s, r, False)
                if since == backlog and s["is_on_sale"] and s["posted_day"] < since:
                    tell("voso", r["PRODUCT_ID"], s["posted_day"], since, s, r, True)
        return found

    # ---- facts ----

    def locations(self) -> Table:
        names = {r["province_id"]: r["name"] for r in seed(self.seeds, "vtp_province")}
        return {
            (md5(PLATFORM[p], o["receiver"]),): {
                "platform": PLATFORM[p], "source_province": o["receiver"], "province_name": names.get(o["receiver"]) if p == "VS" else o["receiver"],
                "is_out_of_province": o["out"] if p == "PM" or o["receiver"] != "0" else None,
            }
            for (p, _), o in self.r._orders.items() if o["receiver"]
        }  # fmt: skip

    def order_lines(self) -> Table:
        found: Table = {}
        of_order: dict[tuple[date, str], list[Row]] = defaultdict(list)
        for day, rows in self.r.pm_orders.items():
            for r in rows:
                of_order[day, nfc(r["Mã đơn hàng"])].append(r)
        for (p, code), o in self.r._orders.items():
            if p == "PM":
                lines = [
                    (n, nfc(r["Mã sản phẩm"]), nfc(r["Tên sản phẩm"]), _decimal(nfc(r["Số lượng"]).replace(",", "."), 3), vnd(r["Đơn giá"]), vnd(r["Thành tiền"]), r)
                    for n, r in enumerate(of_order[o["told_on"], code], 1)
                ]  # fmt: skip
            else:
                r = o["row"]
                lines = [(x["LINE_NO"], x["PRODUCT_ID"], x["NAME"], _decimal(x["QUANTITY"], 3), x["PRICE"], x["AMOUNT"], r) for x in r["LINES"]]
            store = self._store_on(p, o["store"], o["created"])
            up_to = 0
            for number, product, name, quantity, price, amount, r in sorted(lines, key=lambda x: x[0]):
                share = [_half_up(Fraction(o["discount"] * x, o["goods"])) if o["goods"] else None for x in (up_to, up_to + amount)]
                up_to += amount
                platform = PLATFORM[p]
                found[platform, code, number] = {
                    "order_line_key": md5(platform, code, number), "order_key": md5(platform, code), "store_key": md5(platform, o["store"]),
                    "store_version_key": md5(platform, o["store"], store) if store else None, "product_key": md5(platform, product), "geography": o["place"].list,
                    "commune_code": o["place"].code, "household_key": pseudonym(self.r, "household", o["home"]) if o["home"] else None,
                    "location_key": md5(platform, o["receiver"]) if o["receiver"] else None, "order_status": o["status"], "is_test": o["test"], "created_date": o["created"],
                    "confirmed_date": o["confirmed"], "shipped_date": o["shipped"], "delivered_date": o["delivered"],
                    "cancelled_date": o["cancelled"] if o["status"] == "CANCELLED" else None,
                    "returned_date": o["returned"] if o["status"] in ("RETURNED", "REFUNDED") else None, "product_code": product, "product_name": name,
                    "quantity": quantity, "unit_price_vnd": price, "line_amount_vnd": amount,
                    "discount_share_vnd": None if share[0] is None or share[1] is None else share[1] - share[0], **_origin(r),
                }  # fmt: skip
        return found

    def _store_on(self, platform: str, code: str, day: date) -> date | None:
        """From when the state of a store runs that an order of a day is told of: the last that had begun, else the first after."""
        starts = sorted(row["valid_from"] for row in self.stores[platform].get(code, ()))
        return max((s for s in starts if s <= day), default=starts[0]) if starts else None

    def refunds(self) -> Table:
        found: Table = {}
        for (p, code), (order, r) in self.r.refund_rows.items():
            o = self.r._orders.get(order)
            if p == "PM":
                kind, state = REFUND_KINDS[word(r["Loại"])], REFUND_STATES[word(r["Trạng thái"])]
                amount, asked, done = vnd(r["Số tiền hoàn"]), moment(r["Ngày yêu cầu"]), moment(r["Ngày hoàn tất"])
            else:
                kind, state = REFUND_KINDS[r["TYPE"]], REFUND_STATES[r["STATUS"]]
                amount, asked, done = int(r["REFUND_AMOUNT"]), ms(r["REQUESTED_AT"]), ms(r["COMPLETED_AT"])
            place = o["place"] if o else self.geo.nowhere
            found[PLATFORM[p], code] = {
                "refund_key": md5(PLATFORM[p], code), "order_code": order[1] or None, "order_key": md5(PLATFORM[p], order[1]) if order[1] else None,
                "geography": place.list, "commune_code": place.code, "refund_kind": kind, "refund_status": state, "is_done": state == "DONE",
                "is_order_known": o is not None, "is_test": bool(o and o["test"]), "refund_amount_vnd": amount, "requested_date": day_of(asked),
                "completed_date": day_of(done), **_origin(r),
            }  # fmt: skip
        return found

    def deliveries(self) -> Table:
        """What came, of a world in which nothing is refused or repeated."""
        of_day: dict[tuple[str, str, date], list[Any]] = defaultdict(list)
        for a in self.r.arrivals:
            if a.source == "registers" or not a.unit:
                of_day[a.source, a.dataset, a.day].append(a)
        found: Table = {}
        for (source, dataset, day), mine in of_day.items():
            newest = max(mine, key=lambda a: (a.version, a.id))
            rows = sum(len(self.r.read(a)) for a in mine if source == "registers" or a.version == newest.version)  # type: ignore[arg-type]
            end = moment(day + timedelta(days=1))
            age = (newest.received_at.astimezone(LOCAL).replace(tzinfo=None) - end).total_seconds() / 3600
            found[source, dataset, day] = {
                "expected": source != "registers", "received_at": newest.received_at, "version": newest.version, "rows": rows, "rows_loaded": rows, "rows_quarantined": 0,
                "rows_duplicate": 0, "data_date_age_hours": _decimal(Fraction(age), 1), "state": "accepted", "state_words": "Được dùng · In use", "rows_waiting": 0,
                "last_reason": None,
            }  # fmt: skip
        return found


def _origin(r: Row) -> dict[str, Any]:
    return {"export_id": r["_export"], "source_row": r["_row"]}


def _decimal(value: Any, places: int) -> Decimal | None:
    """Rounded half up; None for nothing."""
    if value is None or value == "":
        return None
    exact = Fraction(value) if isinstance(value, (int, str, Fraction)) else Fraction(str(value))
    return Decimal(_half_up(exact * 10**places)).scaleb(-places).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def _half_up(exact: Fraction) -> int:
    """Half away from zero."""
    return int((abs(exact) + Fraction(1, 2)) // 1) * (1 if exact >= 0 else -1)


def _pm_product(r: Row) -> dict[str, Any]:
    status, stars = PRODUCTS[word(r["Trạng thái"])], nfc(r["Sản phẩm OCOP"])
    return {
        "store_code": nfc(r["Mã gian hàng"]), "product_name": nfc(r["Tên sản phẩm"]), "category": nfc(r["Danh mục"]), "unit": nfc(r["Đơn vị tính"]),
        "price_vnd": vnd(r["Giá bán"]), "weight_g": _half_up(Fraction(nfc(r["Khối lượng (kg)"]).replace(",", ".")) * 1000), "ocop_stars": int(stars[0]) if stars else None,
        "product_status": status, "is_on_sale": status == "ON_SALE", "posted_day": day_of(moment(r["Ngày đăng"])),
    }  # fmt: skip


def _vs_product(r: Row) -> dict[str, Any]:
    status = PRODUCTS[r["STATUS"]]
    return {
        "store_code": r["STORE_ID"], "product_name": r["NAME"], "category": json.dumps(r["CATEGORY_PATH"], ensure_ascii=False, separators=(",", ":")), "unit": r["UNIT"],
        "price_vnd": r["PRICE"], "weight_g": r["WEIGHT"], "ocop_stars": r["OCOP_STAR"], "product_status": status,
        "is_on_sale": status == "ON_SALE" and not r["IS_DELETED"], "posted_day": day_of(ms(r["CREATED_AT"])),
    }  # fmt: skip
