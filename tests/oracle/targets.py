"""target_progress_daily of communes, districts and the province, by KPI.md §2 and the project's readings in docs/README.md."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from oracle.files import Row
from oracle.geography import SEEDS, seed
from oracle.kpis import Recount, Table, moment, ratio, vnd
from oracle.words import nfc, word

KEYS = ("level", "unit_code", "indicator", "date")
#: Indicator -> value, denominator, and what the headings of R3 begin with.
INDICATORS = {
    "store": ("households_with_store", "households", "Hộ có cửa hàng số"), "payment": ("households_with_payment", "households", "Hộ có TK thanh toán điện tử"),
    "lead": ("lead_households", "households", "Hộ đầu tàu"), "team": ("hamlets_with_team", "hamlets", "Tổ công nghệ cộng đồng"),
}  # fmt: skip
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


def decisions(recount: Recount) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """(commune, indicator) -> what was decided, in the order in which it prevails: newest list, of it the newest decision."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for (name, code), lists in recount.forms["targets"].items():
        if name != recount.geo.first:
            continue
        for as_of, form in sorted(lists.items()):
            for row in sorted(form, key=lambda r: (moment(r["Ngày QĐ"]), nfc(r["Số QĐ"]))):
                if word(row["Cấp giao"]) != "xa":
                    continue
                for indicator, (_, _, heading) in INDICATORS.items():
                    rate, count = share(row.get(f"{heading}: Tỷ lệ (%)")), _count(row, heading)
                    if rate is None and count is None:
                        continue
                    decided = moment(row["Ngày QĐ"]).date()  # type: ignore[union-attr]
                    known = date.min if as_of == min(lists) else as_of
                    due = moment(row["Hạn hoàn thành"])
                    found[code, indicator].append({
                        "from": max(known, decided), "phase": int(row["Giai đoạn"]), "rate": rate, "count": count, "no": nfc(row["Số QĐ"]) or None,
                        "due": due.date() if due else None,
                    })  # fmt: skip
    return found


def _count(row: Row, heading: str) -> int | None:
    value = next((row[h] for h in (f"{heading}: Số hộ", f"{heading}: Số tổ") if nfc(row.get(h)) not in ("", "-")), None)
    return None if value is None else vnd(value)


def targets(recount: Recount, tables: dict[str, Table], days: Iterable[date], seeds: Path = SEEDS) -> Table:
    """Rows of ``days``; ``tables``: what Recount.tables counted for them, for the 20 days before each, and for the days before kick-off."""
    geo, told = recount.geo, decisions(recount)
    defaults = {r["indicator"]: Fraction(r["rate"]) for r in seed(seeds, "target_default")}
    units: dict[tuple[str, str], tuple[dict[date, dict[str, Any]], str, str | None, int | None, date, date]] = {}
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
            if district:
                phase, kick_off, due = geo.phases[district]
                units[level, code] = (rows, some[named], district, phase, kick_off, due)
            else:
                units[level, code] = (rows, some[named], None, None, min(p[1] for p in geo.phases.values()), max(p[2] for p in geo.phases.values()))
    found: Table = {}
    attained: dict[tuple[str, str, date], list[tuple[Fraction, str, str | None]]] = defaultdict(list)
    wanted = set(days)
    looked_at = wanted | {d - timedelta(days=7) for d in wanted}
    for (level, code), (rows, unit_name, district, phase, kick_off, usual_due) in units.items():
        for indicator, (part, whole, _) in INDICATORS.items():
            base = rows.get(kick_off - timedelta(days=1), {}).get(part)
            for day in sorted(looked_at & rows.keys()):
                mine = [d for d in told.get((code, indicator), ()) if d["from"] <= day and d["phase"] == phase] if level == "commune" else []
                row = _progress(rows, day, part, whole, base, kick_off, usual_due, mine[-1] if mine else None, defaults[indicator])
                if row["exact"] is not None:
                    attained[level, indicator, day].append((row["exact"], code, district))
                found[level, code, indicator, day] = row | {
                    "unit_name": unit_name,
                    "district_code": district,
                    "commune_code": code if level == "commune" else None,
                }
    _rank(found, attained)
    for (level, code, indicator, day), row in found.items():
        before = found.get((level, code, indicator, day - timedelta(days=7)), {}).get("rank_in_province")
        row["rank_change_7d"] = before - row["rank_in_province"] if before is not None and row["rank_in_province"] is not None else None
    return {key: {c: v for c, v in row.items() if c != "exact"} for key, row in found.items() if key[3] in wanted}


def _progress(
    rows: dict[date, dict[str, Any]],
    day: date,
    part: str,
    whole: str,
    base: int | None,
    kick_off: date,
    due: date,
    decision: dict[str, Any] | None,
    default: Fraction,
) -> dict[str, Any]:
    value, denominator = rows[day][part], rows[day][whole]
    rate, count = (decision["rate"], decision["count"]) if decision else (default, None)
    due = decision["due"] or due if decision else due
    target = count if count is not None else None if denominator is None else -(-rate * denominator // 1)
    gap = None if target is None or value is None else max(0, int(target) - value)
    exact = Fraction(value, int(target)) if value is not None and target else None
    expected = None
    if target is not None and day >= due:
        expected = Fraction(target)
    elif target is not None and base is not None:
        expected = base + Fraction((int(target) - base) * ((day - kick_off).days + 1), (due - kick_off).days + 1)
    if value is None or target is None:
        status = "no_data"
    elif day < kick_off:
        status = "not_started"
    elif value >= target:
        status = "met"
    elif day > due:
        status = "overdue"
    else:
        status = "no_data" if expected is None else "on_track" if value >= expected else "behind"
    told = ratio(int(target), denominator, 6) if rate is None and target is not None else rate
    return {
        "value": value, "denominator": denominator, "rate": ratio(value, denominator, 6), "target_rate": _places(told, 6),
        "target_value": None if target is None else int(target), "gap": gap, "attainment": _places(exact, 6), "exact": exact,
        "expected_by_now": _places(expected, 2) if day >= kick_off else None,
        "needed_per_day": _places(Fraction(gap, (due - day).days), 2) if gap is not None and day < due else None,
        "projected_date": _projected(rows, day, part, gap, target, kick_off), "status": status, "decision_no": decision["no"] if decision else None, "suppressed": False,
        "rank_in_district": None, "rank_in_province": None,
    }  # fmt: skip


def _projected(rows: dict[date, dict[str, Any]], day: date, part: str, gap: int | None, target: Any, kick_off: date) -> date | None:
    """The day on which the line of least squares through the last 14 days reaches the target."""
    if gap is None or target is None or gap == 0:
        return day if gap == 0 else None
    points = [((d - day).days, row[part]) for n in range(LAST_14.days + 1) if (row := rows.get(d := day - timedelta(days=n))) and row[part] is not None]
    mean_x, mean_y = Fraction(sum(x for x, _ in points), len(points)), Fraction(sum(y for _, y in points), len(points))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else Fraction(0)
    if slope <= 0:
        return None
    away = mean_x + (Fraction(target) - mean_y) / slope
    return day + timedelta(days=max(1, -(-away // 1))) if away + (day - kick_off).days < NEVER else None


def _rank(found: Table, attained: dict[tuple[str, str, date], list[tuple[Fraction, str, str | None]]]) -> None:
    """1 is the best attainment; ties share the rank."""
    for (level, indicator, day), units in attained.items():
        districts: dict[str | None, list[Fraction]] = defaultdict(list)
        for exact, _, district in units:
            districts[district].append(exact)
        everybody = sorted(exact for exact, _, _ in units)
        for exact, code, district in units:
            row = found[level, code, indicator, day]
            if level != "province":
                row["rank_in_province"] = 1 + sum(1 for other in everybody if other > exact)
            if level == "commune":
                row["rank_in_district"] = 1 + sum(1 for other in districts[district] if other > exact)


def _places(value: Fraction | Decimal | None, places: int) -> Decimal | None:
    """Rounded half up."""
    if value is None:
        return None
    exact = Fraction(value) * 10**places
    whole = -(-exact // 1) if exact % 1 >= Fraction(1, 2) else exact // 1
    return Decimal(int(whole)).scaleb(-places).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
