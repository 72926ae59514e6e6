"""The recount is held against numbers worked out by hand: it judges the pipeline, so something has to judge it."""

from __future__ import annotations

import csv
import random
import shutil
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
from oracle import Recount, differences, hamlets, star, targets, uncovered
from oracle.files import Arrival
from oracle.geography import SEEDS, Geographies, shared

D0 = date(2021, 9, 12)
GOLDEN = "06463"
#: As of the end of a day of September: placed, valid, delivered, gross, refunds, net (EXPORTS §8.8).
FIVE = {
    14: (3, 3, 0, 0, 0, 0), 15: (5, 4, 0, 0, 0, 0), 16: (5, 3, 1, 295_000, 0, 295_000), 17: (5, 3, 2, 745_000, 0, 745_000),
    20: (5, 3, 2, 745_000, 0, 745_000), 24: (5, 3, 1, 745_000, 295_000, 450_000),
}  # fmt: skip
with (SEEDS / "commune_crosswalk.csv").open(encoding="utf-8", newline="") as f:
    UNITS = {r["gso_code"]: r for r in csv.DictReader(f)}


class Told:
    """Deliveries written by hand: rows by (source, dataset, day)."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str, date], list[dict]] = defaultdict(list)

    def recount(self, until: date = date.max, first_day: date = D0, seeds: Path = SEEDS) -> Recount:
        come = []
        for source, dataset, day in self.rows:
            if day <= until:
                at = datetime.combine(day + timedelta(days=1), datetime.min.time().replace(hour=2)).astimezone()
                come.append(Arrival(source, dataset, "", day, 1, Path(), at if source == "voso" else None, datetime(2021, 9, 1)))
        return Recount(come, first_day, "pepper", seeds=seeds, read=lambda a: self.rows[a.source, a.dataset, a.day])

    def nothing(self, *days: date) -> None:
        """Empty deliveries of all datasets."""
        for day in days:
            for source, names in {
                "postmart": ("stores", "products", "accounts", "orders", "refunds"),
                "voso": ("stores", "products", "accounts", "orders", "order_events", "refunds"),
            }.items():
                for name in names:
                    self.rows[source, name, day] += []

    def store(
        self,
        code: str,
        commune: str,
        *,
        hamlet: str = "",
        phone: str = "",
        day: date = D0,
        status: str = "Hoạt động",
        kind: str = "Hộ gia đình",
        owner: str = "Lý Thị Mẫu",
        platform: str = "PM",
        approved: str = "01/08/2021",
    ) -> None:
        if platform == "PM":
            self.rows["postmart", "stores", day].append({
                "Mã gian hàng": code, "Tên gian hàng": "Na", "Họ tên chủ hộ": owner, "Trạng thái gian hàng": status, "Ngày duyệt": approved, "Ngày hoạt động gần nhất": "10/09/2021 08:00:00",
                "Loại chủ thể": kind, "Số điện thoại": phone, "Mã xã (VNPost)": UNITS[commune]["vnpost_commune_code"], "Tên xã": UNITS[commune]["gso_name"], "Tên huyện": UNITS[commune]["district_name"],
                "Thôn/Bản/Khối phố": hamlet,
            })  # fmt: skip
            return
        key = Recount([], D0, "pepper").phone_key(phone) if phone else None
        self.rows["voso", "stores", day].append({
            "STORE_ID": code, "STORE_NAME": "Na", "OWNER_NAME": owner, "STATUS": "HOAT_DONG", "IS_DELETED": False, "APPROVED_AT": ms("01/08/2021 09:00:00"), "LAST_ACTIVE_AT": None,
            "OWNER_TYPE": "HO_GIA_DINH", "PHONE_KEY": key, "ID_KEY": None, "WARDS_ID": int(UNITS[commune]["vtp_wards_id"]), "HAMLET_NAME": hamlet,
        })  # fmt: skip

    def register(self, commune: str, hamlets: dict[str, int], as_of: date = date(2021, 7, 1), listed: int = 0) -> None:
        """R1 with ``hamlets``, and R1b with ``listed`` households of each, phones 0900000nnn."""
        head = {"_as_of": as_of, "_code": commune, "_district": "", "_commune": ""}
        self.rows["registers", "hamlets", as_of] += [head | {"Thôn/Bản/Khối phố": h, "Tổng số hộ": n} for h, n in hamlets.items()]
        for h in hamlets:
            for _ in range(listed):
                number = len(self.rows["registers", "households", as_of]) + 1
                self.rows["registers", "households", as_of].append(head | {
                    "Mã hộ": f"H{number:03d}", "Số CCCD chủ hộ": "", "Số điện thoại": f"0900000{number:03d}", "Thôn": h, "Họ tên chủ hộ": f"Người {number}",
                })  # fmt: skip

    def pm_order(self, code: str, store: str, states: list[tuple[str, str]], goods: int) -> None:
        """One row per day on which something happened, as Postmart's daily files show it."""
        last = {}
        for at, status in states:
            last[at[:10]] = (at, status)
        for day, (at, status) in last.items():
            delivered = next(
                (t for t, s in states if s == "Giao thành công" and datetime.strptime(t[:10], "%d/%m/%Y") <= datetime.strptime(day, "%d/%m/%Y")), None
            )
            self.rows["postmart", "orders", datetime.strptime(day, "%d/%m/%Y").date()].append({
                "Mã đơn hàng": code, "Ngày đặt hàng": states[0][0], "Trạng thái": status, "Ngày cập nhật trạng thái": at, "Mã gian hàng": store, "Tỉnh/TP người nhận": "Hà Nội",
                "Tổng tiền hàng": goods, "Giảm giá": 0, "Ngày giao thành công": delivered,
            })  # fmt: skip

    def vs_order(self, code: str, store: str, states: list[tuple[str, str, int | None]], goods: int) -> None:
        """The order as each day's window shows it, and its events."""
        names = {
            "CHO_DUYET": "CREATED_AT",
            "DANG_GIAO": "SHIPPED_AT",
            "GIAO_THANH_CONG": "DELIVERED_AT",
            "DA_HUY": "CANCELLED_AT",
            "TU_DONG_HUY": "CANCELLED_AT",
            "DA_HOAN": "RETURNED_AT",
        }
        row = dict.fromkeys((*names.values(), "CONFIRMED_AT", "ORDER_STATUS", "ORDER_STATUSDATE"))
        row |= {
            "ORDER_ID": code,
            "ORDER_NUMBER": code,
            "STORE_ID": store,
            "GOODS_AMOUNT": goods,
            "SELLER_DISCOUNT": 0,
            "RECEIVER_PROVINCE": 1,
            "IS_RETURNING": False,
        }
        for at, status, carrier in states:
            day = datetime.strptime(at[:10], "%d/%m/%Y").date()
            row = row | {"STATUS": status, "UPDATED_AT": ms(at), "ORDER_STATUS": carrier, "ORDER_STATUSDATE": at if carrier else None}
            row |= {names[status]: ms(at)} if status in names else {}
            self.rows["voso", "orders", day].append(row)
            self.rows["voso", "order_events", day].append(
                {"ORDER_ID": code, "ORDER_STATUS": carrier, "STATUS": status, "ORDER_STATUSDATE": at, "IS_RETURNING": False}
            )


def ms(at: str) -> int:
    return int(datetime.strptime(at + "+0700", "%d/%m/%Y %H:%M:%S%z").timestamp()) * 1000


def communes(recount: Recount, day: date, geography: str) -> dict[str, dict]:
    return {code: row for (name, code, d), row in recount.tables([day])["kpi_commune_daily"].items() if name == geography and d == day}


# ---- lists of communes ----


def test_200_units_become_65_over_203_pieces():
    geo = Geographies()
    assert [len(geo.units[name]) for name in ("2021", "2024", "2025")] == [200, 194, 65] and len(geo.pieces) == 203
    split = {code: n for code, n in Counter(p.units[0] for p in geo.pieces).items() if n > 1}
    assert split == {"06040": 2, "06622": 2, "06625": 2}, "Đại Đồng, Bính Xá and Kiên Mộc"
    for code, wanted in {
        "06040": {"06040": "0.96", "06004": "0.04"},
        "06622": {"06613": "0.5", "06625": "0.5"},
        "06625": {"06625": "0.5", "06637": "0.5"},
    }.items():
        place = geo.place("2021", code)
        assert {geo.unit(n, "2025"): s for n, s in zip(place.pieces, place.shares, strict=True)} == {c: Fraction(s) for c, s in wanted.items()}
    assert (
        geo.shown("2024", date(2024, 12, 1))
        and geo.shown("2024", date(2025, 6, 30))
        and not geo.shown("2024", date(2025, 7, 1))
        and geo.shown("2021", date(2025, 7, 1))
    )


@pytest.mark.parametrize(
    ("total", "shares", "parts"),
    [(7, "1/2 1/2", [4, 3]), (1, "24/25 1/25", [1, 0]), (13, "24/25 1/25", [12, 1]), (12, "24/25 1/25", [12, 0]), (10, "1/3 1/3 1/3", [4, 3, 3]), (-7, "1/2 1/2", [-3, -4]), (0, "1/2 1/2", [0, 0]), (1, "1/4 1/4 1/2", [0, 0, 1])],
)  # fmt: skip
def test_a_number_is_shared_by_largest_remainder(total, shares, parts):
    assert shared(total, [Fraction(s) for s in shares.split()]) == parts


def test_shares_are_conserved():
    r = random.Random(4)
    for _ in range(500):
        weights, total = [Fraction(r.randrange(0, 50), r.randrange(1, 9)) for _ in range(r.randrange(2, 9))] + [Fraction(1)], r.randrange(-(10**9), 10**12)
        parts = shared(total, weights)
        assert sum(parts) == total and all(abs(p - total * w / sum(weights)) < 1 for p, w in zip(parts, weights, strict=True))


@pytest.fixture()
def bordering():
    """Bính Xá (06622): 101 households, 7 with a store on Postmart and 2 of them on Vỏ Sò too, one store of a stranger."""
    told = Told()
    told.nothing(D0)
    told.register("06622", {"Thôn Nà Lừa": 60, "Thôn Pò Háng": 41}, listed=5)
    for n in range(1, 8):
        told.store(f"P{n}", "06622", phone=f"0900000{n:03d}")
    for n in (1, 2):
        told.store(f"V{n}", "06622", phone=f"0900000{n:03d}", platform="VS")
    told.store("P9", "06622", phone="0900000999")
    return told


def test_a_split_unit_is_shared_and_says_so(bordering):
    old, new = (communes(bordering.recount(), D0, name) for name in ("2021", "2025"))
    assert old["06622"]["completeness"] == "FULL" and old["06622"]["households"] == 101
    parts = [new["06613"], new["06625"]]
    assert [p["completeness"] for p in parts] == ["ESTIMATED", "ESTIMATED"] and new["06637"]["completeness"] == "FULL"
    wanted = {
        "households": [51, 50],
        "households_with_store": [4, 3],
        "households_with_store_postmart": [4, 3],
        "households_with_store_both": [1, 1],
        "households_with_store_voso": [1, 1],
        "stores": [5, 5],
        "stores_unmatched": [1, 0],
        "hamlets": [1, 1],
    }
    assert {m: [p[m] for p in parts] for m in wanted} == wanted, "what is left over goes to the lower code"
    assert [p["store_rate"] for p in parts] == [Decimal("0.078431"), Decimal("0.060000")]
    assert [p["match_rate"] for p in parts] == [Decimal("0.800000"), Decimal("1.000000")], "9 of 10 could be matched: 5 of which one is not, and 5"
    for measure in ("households", "households_with_store", "households_with_store_both", "stores", "stores_unmatched"):
        assert sum(r[measure] or 0 for r in old.values()) == sum(r[measure] or 0 for r in new.values())


def test_a_hamlet_whose_new_commune_is_known_goes_whole(bordering, tmp_path):
    seeds = shutil.copytree(SEEDS, tmp_path / "seeds")
    with (seeds / "hamlet_succession.csv").open("a", encoding="utf-8") as f:
        f.write("2024,06622,Nà Lừa,2025,06625,test\n2024,06622,Pò Háng,2025,06613,test\n")
    bordering.rows["postmart", "stores", D0].pop()  # the stranger's, of whose hamlet nothing is known
    new = communes(bordering.recount(seeds=seeds), D0, "2025")
    assert {c: (new[c]["households"], new[c]["households_with_store"], new[c]["completeness"]) for c in ("06613", "06625")} == {
        "06613": (41, 2, "FULL"), "06625": (60, 5, "FULL"),
    }  # fmt: skip


def test_a_unit_that_is_split_in_between(bordering):
    told = Told()
    day = date(2024, 12, 15)
    told.nothing(day)
    for n in range(13):
        told.store(f"P{n}", "06040", day=day, kind="Doanh nghiệp")
    told.store("P99", "05995", day=day, kind="Doanh nghiệp")
    between, new = (communes(told.recount(first_day=day), day, name) for name in ("2024", "2025"))
    assert (between["06040"]["stores"], between["06025"]["stores"]) == (13, 1), "96 of 100 and all of Chí Minh's; 4 of 100"
    assert between["06040"]["completeness"] == between["06025"]["completeness"] == new["06040"]["completeness"] == "ESTIMATED"
    districts = told.recount(first_day=day).tables([day])["kpi_district_daily"]
    assert districts["2024", "180", day]["stores"] == 14 and districts["2024", "180", day]["completeness"] == "FULL", "both parts lie in Tràng Định"
    assert not communes(told.recount(first_day=day), date(2025, 7, 1), "2024"), "the list in between has no rows when it is not in force"


def test_a_unit_of_two_phases_runs_from_each_parts_kick_off():
    """06286 of 2025: parts of Văn Lãng (phase 2) and of Bình Gia or Văn Quan (phase 1)."""
    geo = Geographies()
    parts = {phase: {geo.pieces[n].units[0] for n in geo.of_unit["2025", "06286"] if geo.pieces[n].phase == phase} for phase in (1, 2)}
    one, two = (min(parts[p]) for p in (1, 2))
    told = Told()
    told.nothing(D0)
    for n, unit in enumerate((one, two)):
        told.store(f"P{n}", unit, kind="Doanh nghiệp", approved="01/07/2021")
        for day in (10, 25):
            told.pm_order(f"O{n}{day}", f"P{n}", [(f"{day}/09/2021 08:00:00", "Chờ xác nhận"), (f"{day}/09/2021 09:00:00", "Giao thành công")], 1000)
    found = told.recount()
    early, late = (communes(found, d, "2025")["06286"] for d in (date(2021, 9, 12), date(2021, 9, 26)))
    assert (early["phase"], early["phase_day"], early["orders_placed_to_date"], early["revenue_base_vnd"]) == (1, 54, 1, 0)
    assert (late["phase"], late["orders_placed_to_date"], late["revenue_net_vnd_to_date"], late["revenue_base_vnd"], late["revenue_growth"]) == (
        1,
        3,
        3000,
        1000,
        Decimal("3.0000"),
    )


def test_a_commune_without_households_stays_out_of_the_rates_of_a_group():
    told = Told()
    told.nothing(D0)
    told.register("06622", {"Thôn Nà Lừa": 10}, listed=4)
    told.register("06625", {}, listed=0)
    told.rows["registers", "households", date(2021, 7, 1)][3] |= {"_code": "06634"}  # Kiên Mộc's neighbour: a list of households, no R1
    for n in range(1, 5):
        told.store(f"P{n}", "06622", phone=f"0900000{n:03d}")
    found = told.recount().tables([D0])
    district, old = found["kpi_district_daily"]["2021", "189", D0], found["kpi_commune_daily"]["2021", "06634", D0]
    assert (old["households"], old["households_with_store"], old["store_rate"]) == (None, 1, None)
    assert (district["households"], district["households_with_store"], district["store_rate"]) == (10, 4, Decimal("0.300000"))
    assert {k[0]: (r["store_rate"], r["stores"]) for k, r in found["kpi_province_daily"].items()} == dict.fromkeys(("2021", "2025"), (Decimal("0.300000"), 4))


# ---- orders ----


def test_the_five_orders_as_of_the_end_of_each_day():
    told = Told()
    for n in range(13):
        told.nothing(D0 + timedelta(days=n))
        told.store("P1", GOLDEN, kind="Doanh nghiệp", day=D0 + timedelta(days=n))
        told.store("V1", GOLDEN, platform="VS", day=D0 + timedelta(days=n))
    told.pm_order(
        "O1",
        "P1",
        [
            ("14/09/2021 09:00:00", "Chờ xác nhận"),
            ("14/09/2021 15:00:00", "Đã xác nhận"),
            ("15/09/2021 10:00:00", "Đang giao"),
            ("17/09/2021 11:00:00", "Giao thành công"),
        ],
        450_000,
    )
    told.vs_order(
        "O2",
        "V1",
        [
            ("14/09/2021 10:00:00", "CHO_DUYET", None),
            ("15/09/2021 09:00:00", "DANG_GIAO", 300),
            ("16/09/2021 16:00:00", "GIAO_THANH_CONG", 501),
            ("24/09/2021 15:30:00", "HOAN_TIEN", None),
        ],
        295_000,
    )
    told.pm_order("O3", "P1", [("14/09/2021 11:00:00", "Chờ xác nhận"), ("15/09/2021 08:00:00", "Đã hủy")], 200_000)
    told.vs_order("O4", "V1", [("15/09/2021 08:00:00", "CHO_DUYET", None), ("16/09/2021 08:00:00", "TU_DONG_HUY", None)], 90_000)
    told.vs_order(
        "O5",
        "V1",
        [
            ("15/09/2021 12:00:00", "CHO_DUYET", None),
            ("16/09/2021 09:00:00", "DANG_GIAO", 300),
            ("18/09/2021 14:00:00", "GIAO_THAT_BAI", 505),
            ("20/09/2021 10:00:00", "DA_HOAN", 504),
        ],
        160_000,
    )
    told.rows["voso", "refunds", date(2021, 9, 24)].append(
        {
            "RETURN_ID": "R1",
            "ORDER_ID": "O2",
            "STATUS": "HOAN_TAT",
            "UPDATED_AT": ms("24/09/2021 15:30:00"),
            "COMPLETED_AT": ms("24/09/2021 15:30:00"),
            "REFUND_AMOUNT": 295_000,
        }
    )
    measures = [f"{m}_to_date" for m in ("orders_placed", "orders_valid", "orders_delivered", "revenue_gross_vnd", "refunds_vnd", "revenue_net_vnd")]
    for day, wanted in FIVE.items():
        row = communes(told.recount(until=date(2021, 9, day)), date(2021, 9, day), "2021")[GOLDEN]
        assert tuple(row[m] for m in measures) == wanted, day
    late = told.rows["voso", "order_events", date(2021, 9, 18)]
    told.rows["voso", "order_events", date(2021, 9, 24)] += late  # 505 once more, after 504
    row = communes(told.recount(), date(2021, 9, 20), "2021")[GOLDEN]
    assert row["orders_returned"] == 1 and row["orders_delivered_to_date"] == 1, "O1; what arrives late is not later"


# ---- targets ----


def progress(values: dict[str, list[tuple[int, int | None]]], decided: dict[date, list[dict]], start: date = date(2021, 7, 19)) -> dict:
    """Targets of the indicator `store`: per commune the days' (households with a store, households), and its lists of decisions by as-of date."""
    geo, rows = Geographies(), {}
    for code, mine in values.items():
        for n, (value, households) in enumerate(mine):
            rows["2021", code, start + timedelta(days=n)] = {
                "commune_name": code, "district_code": geo.units["2021"][code]["district_code"], "households_with_store": value, "households": households,
                "households_with_payment": 0, "lead_households": 0, "hamlets_with_team": 0, "hamlets": 1,
            }  # fmt: skip
    forms = {
        ("2021", next(iter(values))): {
            as_of: [{"Cấp giao": "Xã", "Giai đoạn": 1, "Hạn hoàn thành": "20/09/2021"} | row for row in lists] for as_of, lists in decided.items()
        }
    }
    days = sorted({key[2] for key in rows})
    told = targets.targets(
        SimpleNamespace(geo=geo, forms={"targets": forms}), {"kpi_commune_daily": rows, "kpi_district_daily": {}, "kpi_province_daily": {}}, days
    )
    return {(code, day): row for (_, code, indicator, day), row in told.items() if indicator == "store"}


def decision(no: str, on: str, rate: object = None, count: int | None = None) -> dict:
    return {"Số QĐ": no, "Ngày QĐ": on, "Hộ có cửa hàng số: Tỷ lệ (%)": rate, "Hộ có cửa hàng số: Số hộ": count}


CHI_LANG, VAN_LINH = "06463", "06505"  # two communes of one district, phase 1: from 20 July to 20 September, 63 days


def test_a_target_is_a_straight_line_with_a_pace():
    found = progress({CHI_LANG: [(10 + 2 * n, 145) for n in range(70)]}, {date(2021, 7, 14): [decision("1/QĐ", "14/07/2021", "50%")]})
    day = lambda month, d: found[CHI_LANG, date(2021, month, d)]
    assert {k: day(7, 19)[k] for k in ("value", "target_value", "expected_by_now", "status")} == {
        "value": 10,
        "target_value": 73,
        "expected_by_now": None,
        "status": "not_started",
    }
    assert {k: day(7, 20)[k] for k in ("gap", "attainment", "expected_by_now", "needed_per_day", "projected_date", "status", "target_rate", "decision_no")} == {
        "gap": 61, "attainment": Decimal("0.164384"), "expected_by_now": Decimal("11.00"), "needed_per_day": Decimal("0.98"), "projected_date": date(2021, 8, 20),
        "status": "on_track", "target_rate": Decimal("0.500000"), "decision_no": "1/QĐ",
    }, "10 + 63 × 1 / 63; 61 in 62 days; 2 a day reach 73 in 31"  # fmt: skip
    assert day(8, 20)["status"] == "met" and day(8, 20)["projected_date"] == date(2021, 8, 20) and day(8, 20)["gap"] == 0


def test_a_target_that_is_missed():
    found = progress({CHI_LANG: [(10, 100)] * 70}, {})
    day = lambda month, d: found[CHI_LANG, date(2021, month, d)]
    assert (day(8, 1)["status"], day(8, 1)["projected_date"], day(8, 1)["decision_no"], day(8, 1)["target_value"]) == ("behind", None, None, 50)
    assert (day(9, 20)["status"], day(9, 20)["needed_per_day"], day(9, 20)["expected_by_now"]) == ("behind", None, Decimal("50.00")), (
        "the due date itself is not past"
    )
    assert day(9, 21)["status"] == "overdue"


def test_a_target_of_nothing_and_a_commune_without_households():
    found = progress({CHI_LANG: [(0, 80)] * 9, VAN_LINH: [(3, None)] * 9}, {date(2021, 7, 14): [decision("1/QĐ", "14/07/2021", count=0)]})
    zero, unknown = found[CHI_LANG, date(2021, 7, 22)], found[VAN_LINH, date(2021, 7, 22)]
    assert (zero["status"], zero["target_value"], zero["attainment"], zero["gap"], zero["rank_in_district"]) == ("met", 0, None, 0, None)
    assert (unknown["status"], unknown["target_value"], unknown["gap"], unknown["projected_date"], unknown["rate"]) == ("no_data", None, None, None, None)


def test_the_newest_decision_wins_from_its_day_on_and_households_may_be_revised():
    values = {CHI_LANG: [(10, 100)] * 10 + [(10, 121)] * 10}
    lists = {
        date(2021, 7, 14): [decision("1/QĐ", "14/07/2021", 50)],
        date(2021, 7, 25): [decision("2/QĐ", "27/07/2021", "0,6"), decision("3/QĐ", "01/08/2021", count=90)],
    }
    found = progress(values, lists)
    told = {
        day: (found[CHI_LANG, day]["target_value"], found[CHI_LANG, day]["decision_no"])
        for day in (date(2021, 7, 26), date(2021, 7, 27), date(2021, 7, 29), date(2021, 8, 1))
    }
    assert list(told.values()) == [(50, "1/QĐ"), (60, "2/QĐ"), (73, "2/QĐ"), (90, "3/QĐ")], "60 % of 100, of 121 rounded up, then a count"


def test_ranks_are_shared_and_say_who_climbed():
    found = progress({CHI_LANG: [(10 + 3 * n, 100) for n in range(12)], VAN_LINH: [(20, 100)] * 12}, {})
    first, last = date(2021, 7, 21), date(2021, 7, 30)
    assert [found[c, first]["rank_in_district"] for c in (CHI_LANG, VAN_LINH)] == [2, 1]
    assert [(found[c, last]["rank_in_province"], found[c, last]["rank_change_7d"]) for c in (CHI_LANG, VAN_LINH)] == [(1, 0), (2, 0)]
    assert found[CHI_LANG, date(2021, 7, 28)]["rank_change_7d"] == 1 and found[VAN_LINH, date(2021, 7, 28)]["rank_change_7d"] == -1
    same = progress({CHI_LANG: [(10, 100)] * 3, VAN_LINH: [(20, 200)] * 3}, {})
    assert {same[c, first]["rank_in_district"] for c in (CHI_LANG, VAN_LINH)} == {1}


# ---- hamlets ----


def test_what_is_withheld_of_hamlets_is_judged():
    key = lambda hamlet: ("2021", CHI_LANG, hamlet, D0)
    right = {
        key(h): dict.fromkeys(hamlets.HOUSEHOLDS, 0) | {"households": 50, "households_with_store": n, "hamlet_name": h}
        for h, n in (("a", 3), ("b", 6), ("c", 9), ("d", 0))
    }
    shown = {
        k: r | {"suppressed": False, "store_rate": r["households_with_store"] / Decimal(50), "payment_rate": Decimal(0), "lead_rate": Decimal(0)}
        for k, r in right.items()
    }
    hidden = {"households_with_store": None, "store_rate": None, "suppressed": True}
    good = shown | {key("a"): shown[key("a")] | hidden, key("b"): shown[key("b")] | hidden}
    assert list(hamlets.withheld(right, good)) == []
    wrong = {
        "is published of 3 households": shown,
        "one hamlet alone is withheld": shown | {key("a"): good[key("a")]},
        "does not say so": good | {key("b"): good[key("b")] | {"suppressed": False}},
        "and nothing is": good | {key("d"): shown[key("d")] | {"suppressed": True}},
        "was counted": good | {key("c"): shown[key("c")] | {"households_with_store": 10, "store_rate": Decimal("0.2")}},
        "follows from what is shown": good | {key("a"): good[key("a")] | {"store_rate": Decimal("0.06")}},
        "no such row": {k: r for k, r in good.items() if k != key("d")},
    }
    for words, table in wrong.items():
        assert any(words in text for text in hamlets.withheld(right, table)), words


# ---- comparing ----


def test_one_cell_that_differs_is_named(bordering):
    right = bordering.recount().tables([D0])["kpi_commune_daily"]
    assert differences(right, {k: dict(r) for k, r in right.items()}) == []
    wrong = {k: dict(r) for k, r in right.items()}
    key = ("2025", "06613", D0)
    wrong[key]["store_rate"] = Decimal("0.078432")
    assert differences(right, wrong, "kpi_commune_daily") == ["kpi_commune_daily 2025 06613 2021-09-12 store_rate: 0.078431 was counted, 0.078432 is published"]
    wrong[key] |= {"store_rate": right[key]["store_rate"], "stores_unmatched": None}
    assert differences(right, wrong) == ["2025 06613 2021-09-12 stores_unmatched: 1 was counted, None is published"]
    del wrong[key]
    wrong["2025", "99999", D0] = {}
    assert len(differences(right, wrong)) == 2, "a row that is missing, and one too many"
    (column,) = differences({key: {"stores": 1}}, {key: {"stores": 1, "hamlets_lost": 2}})
    assert "hamlets_lost" in column and "nothing counts it" in column


def test_an_average_of_rates_is_not_a_rate(bordering):
    """What KPI §1.10 forbids shows up as a difference."""
    bordering.register("06625", {"Thôn Khuổi Vuồng": 900})
    found = bordering.recount().tables([D0])
    right = found["kpi_district_daily"]
    rates = [r["store_rate"] for k, r in found["kpi_commune_daily"].items() if k[0] == "2021" and r["district_code"] == "189" and r["store_rate"] is not None]
    averaged = {k: dict(r) for k, r in right.items()}
    averaged["2021", "189", D0]["store_rate"] = (sum(rates) / len(rates)).quantize(Decimal("0.000001"))
    assert [text.split(":")[0] for text in differences(right, averaged)] == ["2021 189 2021-09-12 store_rate"]


def test_small_counts_are_hidden_by_four_rules():
    of = lambda **counts: {h: dict.fromkeys(hamlets.HOUSEHOLDS, 0) | dict(zip(hamlets.HOUSEHOLDS, told, strict=False)) for h, told in counts.items()}
    stores = lambda rows: {h for h, m in hamlets.hide(rows, hamlets.WITHIN) if m == "households_with_store"}
    assert stores(of(a=(50, 3), b=(50, 3), c=(50, 3), d=(50, 0))) == {"a", "b", "c"}, "2 + 2 + 2 above 1 each is room; nobody is shown as 0"
    assert stores(of(a=(50, 3), b=(50, 9), c=(50, 6))) == {"a", "c"}, "2 is none, so the smallest of 5 or more goes too"
    assert stores(of(a=(50, 1), b=(50, 2), d=(50, 0))) == {"a", "b", "d"}, "no room and no neighbour: all of them"
    assert hamlets.hide(of(a=(3, 0), b=(50, 0)), hamlets.WITHIN) == {("a", "households"), ("b", "households")}, "a part of which all is 0 is shown"
    parts = hamlets.hide(of(a=(50, 7, 2), b=(50, 8, 0), c=(50, 0, 0)), hamlets.WITHIN)
    assert parts == {("a", "households_with_active_store"), ("b", "households_with_active_store")}, "the 0 of a part whose whole is shown as 0 tells nothing"
    alone = hamlets.hide(of(a=(50, 30, 3), b=(50, 0, 0)), hamlets.WITHIN)
    assert {("a", "households_with_store"), ("b", "households_with_store")} <= alone, "else the zeros of the whole would show whose the part is"


def of_commune(level: str, unit: str, no: str, **told: object) -> dict:
    return {"Cấp giao": level, "Đơn vị": unit, "Giai đoạn": 1, "Hạn hoàn thành": "20/09/2021", "Số QĐ": no, "Ngày QĐ": "14/07/2021"} | told


def test_a_hamlet_inherits_a_rate_and_a_cooperative_has_a_target_only():
    told, day = Told(), date(2021, 8, 1)
    told.register(CHI_LANG, {"Thôn A": 42, "Thôn B": 30})
    head = {"_as_of": date(2021, 7, 15), "_code": "", "_district": "Huyện Chi Lăng", "_commune": ""}
    name, count = Geographies().units["2021"][CHI_LANG]["gso_name"], "Hộ có cửa hàng số: Số hộ"
    told.rows["registers", "targets", date(2021, 7, 15)] = [
        head | of_commune("Xã", name, "1/QĐ", **{"Tổng số hộ": 30, count: 20, "Tổ công nghệ cộng đồng: Số tổ": 9}),
        head | of_commune("Thôn", "B", "2/QĐ", **{count: 7}),
        head | of_commune("HTX", "HTX Na", "3/QĐ", **{"Tổng số hộ": 25, "Hộ đầu tàu: Tỷ lệ (%)": "10%"}),
    ]
    recount, tables = told.recount(), {t: {} for t in ("kpi_commune_daily", "kpi_district_daily")} | {"kpi_province_daily": {}}
    tables["kpi_province_daily"] = {("2021", "20", day): {"province_name": "", "district_code": None, **dict.fromkeys(PARTS, 0)}}
    shown = {
        ("2021", CHI_LANG, h, day): dict.fromkeys(PARTS, 0) | {"households": n, "district_code": "187", "hamlet_name": h, "suppressed": False}
        for h, n in (("thona", 42), ("thonb", 30))
    }
    found = targets.targets(recount, tables, [day], shown=shown)
    aim = lambda level, unit, indicator: tuple(
        found[level, f"{CHI_LANG}-{unit}", indicator, day][c] for c in ("target_value", "decision_no", "value", "status")
    )
    assert aim("hamlet", "thona", "store") == (28, "1/QĐ", 0, "behind"), "20 of 30 are 28 of 42"
    assert aim("hamlet", "thona", "team") == (1, "1/QĐ", 0, "behind"), "every hamlet its team, whatever its commune's number"
    assert aim("hamlet", "thonb", "store")[:2] == (7, "2/QĐ") and aim("hamlet", "thonb", "lead")[:2] == (3, None), (
        "a decision that says nothing of an indicator"
    )
    assert aim("cooperative", "htxna", "lead") == (3, "3/QĐ", None, "no_data") and ("cooperative", f"{CHI_LANG}-htxna", "store", day) not in found


PARTS = ("households", "hamlets", "households_with_store", "households_with_payment", "lead_households", "hamlets_with_team")


def test_a_list_of_leads_of_a_new_unit_ends_the_old_one_part_by_part(tmp_path):
    """Bính Xá (06622) lies in Đình Lập (06613) and Kiên Mộc (06625) of 2025; of Nà Lừa it is known that it lies in Đình Lập."""
    seeds = shutil.copytree(SEEDS, tmp_path / "seeds")
    with (seeds / "hamlet_succession.csv").open("a", encoding="utf-8") as f:
        f.write("2024,06622,Nà Lừa,2025,06613,test\n")
    told, old, new = Told(), date(2021, 9, 10), date(2025, 7, 1)
    told.register("06622", {"Thôn Nà Lừa": 20, "Thôn Pò Háng": 20}, listed=5)  # H001 to H005 in Nà Lừa, H006 to H010 in Pò Háng
    head = {"_district": "", "_commune": "", "Ngày thôi công nhận": None}
    lead = lambda code, as_of, home, where, since: head | {"_code": code, "_as_of": as_of, "Mã hộ": home, "Thôn": where, "Ngày công nhận": since}
    told.rows["registers", "leads", old] = [lead("06622", old, h, w, "01/08/2021") for h, w in (("H001", "Nà Lừa"), ("H006", "Pò Háng"), ("H007", "Pò Háng"))]
    told.rows["registers", "leads", new] = [lead("06613", new, "H007", "Pò Háng", "20/06/2025")]
    recount = told.recount(seeds=seeds)
    assert {h for h, _, _ in recount.leads(date(2021, 9, 12))} == {"H006"}, "the newest list of a part tells for all days"
    assert [(h, p.list, p.code) for h, p, _ in sorted(recount.leads(new), key=str)] == [("H006", "2021", "06622"), ("H007", "2021", "06622")], "where it lives"


def test_a_store_is_a_row_where_its_state_or_its_household_changes():
    told, days = Told(), [D0, D0 + timedelta(days=1), D0 + timedelta(days=2)]
    told.nothing(*days)
    told.register(GOLDEN, {"Thôn A": 9}, listed=1)
    told.register(GOLDEN, {"Thôn A": 9}, as_of=D0 + timedelta(days=1), listed=0)
    told.rows["registers", "households", D0 + timedelta(days=1)] = [
        r | {"_as_of": D0 + timedelta(days=1), "Mã hộ": "H777"} for r in told.rows["registers", "households", date(2021, 7, 1)]
    ]
    for day, status in zip(days[:2], ("Hoạt động", "Tạm dừng"), strict=True):
        told.store("P1", GOLDEN, day=day, status=status, phone="0900000001")
    for rows in told.rows.values():
        for n, row in enumerate(rows, 1):
            row |= {"_export": 7, "_row": n, "Ngày đăng ký": "31/07/2021", "Số nhân khẩu": None}
    recount = told.recount()
    recount.tables([D0])
    found = {key[2]: row for key, row in star.star(recount)["dim_store"].items()}
    home = lambda code: star.pseudonym(recount, "household", code)
    shape = {day: (r["valid_to"], r["household_key"], r["store_status"], r["is_counting"], r["is_rebuilt"]) for day, r in sorted(found.items())}
    assert shape == {
        date(2021, 8, 1): (D0, home("H001"), "ACTIVE", True, True), D0: (days[1], home("H001"), "ACTIVE", True, False),
        days[1]: (days[2], home("H777"), "PAUSED", True, False), days[2]: (date(9999, 12, 31), home("H777"), "PAUSED", False, False),
    }  # fmt: skip


def test_what_nothing_counts_is_told():
    class Catalog:
        def execute(self, query: str) -> SimpleNamespace:
            names = {"a": ("k", "v", "w", "release_id"), "b": ("k",), "empty": ("k", "v"), "kpi_restatement": ("x",), "release": ("release_id", "what_changed")}
            names |= {"kpi_commune_daily_as_published": ("x",), "data_status_daily": ("checks_failed", "checks_failed_words")}
            return SimpleNamespace(fetchall=lambda: [(t, c) for t, columns in names.items() for c in columns])

    counted = {"a": {(1,): {"v": 1}}, "gone": {(1,): {"v": 1}}, "empty": {}, "release": {(1,): {"what_changed": ""}}, "data_status_daily": {(1,): {}}}
    keys = dict.fromkeys(counted, ("k",))
    told = [text.split(":")[0] for text in uncovered(Catalog(), counted, keys)]
    assert told == ["b", "gone", "a.w", "empty.v", "empty", "release.what_changed"], "a column that is excepted and counted is told too"
