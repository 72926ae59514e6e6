"""target_progress_daily of every level, by KPI.md §2 and the project's readings in docs/README.md."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from oracle.files import Row
from oracle.geography import SEEDS, seed
from oracle.hamlets import REST
from oracle.hamlets import reader as hamlets_reader
from oracle.kpis import Recount, Table, moment, ratio, vnd
from oracle.words import nfc, plain, word

KEYS = ("level", "unit_code", "indicator", "date")
#: Indicator -> value, denominator, and what the headings of R3 begin with.
INDICATORS = {
    "store": ("households_with_store", "households", "Hộ có cửa hàng số"), "payment": ("households_with_payment", "households", "Hộ có TK thanh toán điện tử"),
    "lead": ("lead_households", "households", "Hộ đầu tàu"), "team": ("hamlets_with_team", "hamlets", "Tổ công nghệ cộng đồng"),
}  # fmt: skip
LEVELS = {"xa": "commune", "thon": "hamlet", "hop tac xa": "cooperative", "htx": "cooperative"}
LAST_14 = timedelta(days=13)
#: A line that reaches its target in more than a hundred years never does.
NEVER = 36_500


def share(value: Any) -> Fraction | None:
    """`50`, `50%`, `0,5`, 0.5: all mean half (EXPORTS R3)."""
    text = nfc(value).replace(",", ".")
    if not text or text == "-":
        return None
    number = Fraction(re.sub(r"\s*%$", "", text))
    return number / 100 if text.endswith("%") or number > 1 else number


def decisions(recount: Recount) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """(level, commune, indicator) -> what was decided, in the order in which it prevails: newest list, of it the newest decision. `unit`: the name as the form
    says it."""
    found: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for (name, code), lists in recount.forms["targets"].items():
        if name != recount.geo.first:
            continue
        for as_of, form in sorted(lists.items()):
            for row in sorted(form, key=lambda r: (moment(r["Ngày QĐ"]), nfc(r["Số QĐ"]))):
                level = LEVELS.get(word(row["Cấp giao"]))
                for indicator, (_, _, heading) in INDICATORS.items() if level else ():
                    rate, count = share(row.get(f"{heading}: Tỷ lệ (%)")), _count(row, heading)
                    if rate is None and count is None:
                        continue
                    decided = moment(row["Ngày QĐ"]).date()  # type: ignore[union-attr]
                    known = date.min if as_of == min(lists) else as_of
                    due, households = moment(row["Hạn hoàn thành"]), nfc(row.get("Tổng số hộ"))
                    found[level, code, indicator].append({  # type: ignore[index]
                        "from": max(known, decided), "phase": int(row["Giai đoạn"]), "rate": rate, "count": count, "no": nfc(row["Số QĐ"]) or None,
                        "due": due.date() if due else None, "unit": nfc(row.get("Đơn vị")), "households": vnd(households) if households else None,
                    })  # fmt: skip
    return found


def _count(row: Row, heading: str) -> int | None:
    value = next((row[h] for h in (f"{heading}: Số hộ", f"{heading}: Số tổ") if nfc(row.get(h)) not in ("", "-")), None)
    return None if value is None else vnd(value)


def targets(recount: Recount, tables: dict[str, Table], days: Iterable[date], seeds: Path = SEEDS, shown: Table | None = None) -> Table:
    """Rows of ``days``; ``tables``: what Recount.tables counted for them, for the 20 days before each, and for the days before kick-off; ``shown``: hamlets as
    they are published of the same days, with them their targets and those of cooperatives."""
    geo, told = recount.geo, decisions(recount)
    defaults = {r["indicator"]: Fraction(r["rate"]) for r in seed(seeds, "target_default")}
    units: dict[tuple[str, str], dict[str, Any]] = {}
    for level, table, named in (
        ("commune", "kpi_commune_daily", "commune_name"),
        ("district", "kpi_district_daily", "district_name"),
        ("province", "kpi_province_daily", "province_name"),
    ):
        by_unit: dict[str, dict[date, dict[str, Any]]] = defaultdict(dict)
        for (name, code, day), row in tables[table].items():
            if name == geo.first and (level != "commune" or row["district_code"]):
                by_unit[code][day] = row
        for code, rows in by_unit.items():
            some = next(iter(rows.values()))
            district = some["district_code"] if level == "commune" else code if level == "district" else None
            units[level, code] = {"rows": rows, "name": some[named], "district": district, "commune": code if level == "commune" else None}
    of_hamlets: dict[tuple[str, str], dict[date, dict[str, Any]]] = defaultdict(dict)
    for (name, code, hamlet, day), row in (shown or {}).items():
        if name == geo.first and hamlet != REST:
            of_hamlets[code, hamlet][day] = row | {"hamlets": 1}
    for (code, hamlet), rows in of_hamlets.items():
        some = next(iter(rows.values()))
        units["hamlet", f"{code}-{hamlet}"] = {"rows": rows, "district": some["district_code"], "commune": code, "hamlet": hamlet}
    found: Table = {}
    attained: dict[tuple[str, str, date], list[tuple[Fraction, str, str | None]]] = defaultdict(list)
    wanted = set(days)
    looked_at = wanted | {d - timedelta(days=7) for d in wanted}
    meant = _Meant(recount)
    for (level, code), unit in units.items():
        rows, district = unit["rows"], unit["district"]
        if district:
            phase, kick_off, usual_due = geo.phases[district]
        else:
            phase, kick_off, usual_due = None, min(p[1] for p in geo.phases.values()), max(p[2] for p in geo.phases.values())
        for indicator, (part, whole, _) in INDICATORS.items():
            base = rows.get(kick_off - timedelta(days=1), {}).get(part)
            own = told.get((level, unit["commune"], indicator), ())
            of_commune = told.get(("commune", unit["commune"], indicator), ()) if level == "hamlet" else ()
            for day in sorted(looked_at & rows.keys()):
                decision = _newest(
                    own, day, phase, lambda d, day=day, unit=unit: "hamlet" not in unit or meant(unit["commune"], d["unit"], day) == unit["hamlet"]
                )
                above = _newest(of_commune, day, phase)
                row = _progress(rows, day, part, whole, base, kick_off, usual_due, decision, _inherited(above, indicator, defaults[indicator]))
                if row["exact"] is not None:
                    attained[level, indicator, day].append((row["exact"], code, district))
                found[level, code, indicator, day] = row | {
                    "unit_name": unit["name"] if "name" in unit else rows[day]["hamlet_name"], "district_code": district, "commune_code": unit["commune"],
                    "suppressed": bool(rows[day].get("suppressed")) and indicator != "team" and None in (row["value"], row["denominator"]),
                }  # fmt: skip
    if shown is not None:
        found |= _cooperatives(geo, told, sorted({key[2] for key in tables["kpi_province_daily"]} & wanted))
    _rank(found, attained)
    for (level, code, indicator, day), row in found.items():
        before = found.get((level, code, indicator, day - timedelta(days=7)), {}).get("rank_in_province")
        row["rank_change_7d"] = before - row["rank_in_province"] if before is not None and row["rank_in_province"] is not None else None
    return {key: {c: v for c, v in row.items() if c != "exact"} for key, row in found.items() if key[3] in wanted}


class _Meant:
    """Which hamlet the R1 of a day means by a name."""

    def __init__(self, recount: Recount) -> None:
        self.recount, self.found = recount, {}  # type: ignore[var-annotated]

    def __call__(self, commune: str, name: str, day: date) -> str:
        form = self.recount.in_force("hamlets", day).get((self.recount.geo.first, commune), ([], None))[0]
        if (id(form), name) not in self.found:
            self.found[id(form), name] = (hamlets_reader(form)(name), form)
        return self.found[id(form), name][0]


def _newest(told: Sequence[dict[str, Any]], day: date, phase: int | None, of_unit: Callable[[dict[str, Any]], bool] = lambda d: True) -> dict[str, Any] | None:
    """The decision in force: the last that has begun."""
    return next((d for d in reversed(told) if d["from"] <= day and d["phase"] == phase and of_unit(d)), None)


def _inherited(decision: dict[str, Any] | None, indicator: str, default: Fraction) -> dict[str, Any]:
    """What holds without a decision of one's own: the commune's rate and due date, else the campaign's rate. Every hamlet its team, whatever its commune's
    number of teams."""
    rate = default
    if decision and indicator != "team":
        given = Fraction(decision["count"], decision["households"]) if decision["count"] is not None and decision["households"] else None
        rate = decision["rate"] if decision["rate"] is not None else given if given is not None else default
    return {"rate": rate, "count": None, "due": decision["due"] if decision else None, "no": decision["no"] if decision else None}


def _cooperatives(geo: Any, told: dict[tuple[str, str, str], list[dict[str, Any]]], days: Sequence[date]) -> Table:
    """Nothing links a cooperative to households: its target is told, its value is not known."""
    found: Table = {}
    for (level, commune, indicator), decided in told.items():
        district = geo.units[geo.first][commune]["district_code"]
        phase, kick_off, usual_due = geo.phases[district]
        for name in {plain(d["unit"]) for d in decided} if level == "cooperative" else ():
            for day in days:
                d = _newest(decided, day, phase, lambda d, name=name: plain(d["unit"]) == name)
                if d:
                    rows = {day: {"value": None, "households": None if indicator == "team" else d["households"]}}
                    row = _progress(rows, day, "value", "households", None, kick_off, usual_due, d, d)
                    found[level, f"{commune}-{name}", indicator, day] = row | {
                        "unit_name": d["unit"], "district_code": district, "commune_code": commune, "suppressed": False,
                    }  # fmt: skip
    return found


def _progress(
    rows: dict[date, dict[str, Any]],
    day: date,
    part: str,
    whole: str,
    base: int | None,
    kick_off: date,
    due: date,
    decision: dict[str, Any] | None,
    above: dict[str, Any],
) -> dict[str, Any]:
    value, denominator = rows[day][part], rows[day][whole]
    rate, count = (decision["rate"], decision["count"]) if decision else (above["rate"], None)
    due = (decision and decision["due"]) or above["due"] or due
    target = count if count is not None else None if denominator is None or rate is None else int(-(-rate * denominator // 1))
    gap = None if target is None or value is None else max(0, target - value)
    exact = Fraction(value, target) if value is not None and target else None
    expected = at_least = None
    if target is not None and day >= due:
        expected = at_least = Fraction(target)
    elif target is not None:
        line = lambda start: start + Fraction((target - start) * ((day - kick_off).days + 1), (due - kick_off).days + 1)
        # where the value before kick-off is not known it was at least 0
        expected, at_least = None if base is None else line(base), line(0)
    if value is None or target is None:
        status = "no_data"
    elif day < kick_off:
        status = "not_started"
    elif value >= target:
        status = "met"
    elif day > due:
        status = "overdue"
    elif expected is not None:
        status = "on_track" if value >= expected else "behind"
    else:
        status = "behind" if at_least is not None and value < at_least else "no_data"
    told = ratio(target, denominator, 6) if rate is None and target is not None else rate
    return {
        "value": value, "denominator": denominator, "rate": ratio(value, denominator, 6), "target_rate": _places(told, 6),
        "target_value": target, "gap": gap, "attainment": _places(exact, 6), "exact": exact,
        "expected_by_now": _places(expected, 2) if day >= kick_off else None,
        "needed_per_day": _places(Fraction(gap, (due - day).days), 2) if gap is not None and day < due else None,
        "projected_date": _projected(rows, day, part, gap, target, kick_off), "status": status,
        "decision_no": decision["no"] if decision and decision["no"] else above["no"], "rank_in_district": None, "rank_in_province": None,
    }  # fmt: skip


def _projected(rows: dict[date, dict[str, Any]], day: date, part: str, gap: int | None, target: int | None, kick_off: date) -> date | None:
    """The day on which the line of least squares through the last 14 days reaches the target."""
    if gap is None or target is None or gap == 0:
        return day if gap == 0 else None
    points = [(-n, row[part]) for n in range(LAST_14.days + 1) if (row := rows.get(day - timedelta(days=n))) and row[part] is not None]
    n, sum_x, sum_y = len(points), sum(x for x, _ in points), sum(y for _, y in points)
    spread = n * sum(x * x for x, _ in points) - sum_x * sum_x
    rise = n * sum(x * y for x, y in points) - sum_x * sum_y
    if spread == 0 or rise <= 0:
        return None
    away = Fraction(sum_x, n) + (target - Fraction(sum_y, n)) * Fraction(spread, rise)
    return day + timedelta(days=int(max(1, -(-away // 1)))) if away + (day - kick_off).days < NEVER else None


def _rank(found: Table, attained: dict[tuple[str, str, date], list[tuple[Fraction, str, str | None]]]) -> None:
    """1 is the best attainment; ties share the rank."""
    for (level, indicator, day), units in attained.items():
        districts: dict[str | None, list[Fraction]] = defaultdict(list)
        for exact, _, district in units:
            districts[district].append(exact)
        for mine in districts.values():
            mine.sort()
        everybody = sorted(exact for exact, _, _ in units)
        for exact, code, district in units:
            row = found[level, code, indicator, day]
            if level != "province":
                row["rank_in_province"] = 1 + len(everybody) - bisect_right(everybody, exact)
            if level in ("commune", "hamlet"):
                row["rank_in_district"] = 1 + len(districts[district]) - bisect_right(districts[district], exact)


def _places(value: Fraction | Decimal | None, places: int) -> Decimal | None:
    """Rounded half up."""
    if value is None:
        return None
    exact = Fraction(value) * 10**places
    whole = -(-exact // 1) if exact % 1 >= Fraction(1, 2) else exact // 1
    return Decimal(int(whole)).scaleb(-places).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
