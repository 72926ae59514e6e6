"""Cells of `bi.target_progress_daily`: the decision behind a target, found anew among the rows of R3, and every column computed again with its numbers.

Nothing is taken from the cell: value and denominator are the unit's cells in the KPI tables (explained with their entities), the rest follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

from kinhteso.explaining import beside, cells, decisions, pacing
from kinhteso.explaining import places as parts_of
from kinhteso.explaining.cells import LEVELS, Answer, Cell, Cursor, Explanation, NoSuchCell, Ranked, one
from kinhteso.explaining.hamlets import Hamlets
from kinhteso.explaining.measures import Measures
from kinhteso.kpis import KPIS, Kpi, Words
from kinhteso.progress import COLUMNS, INDICATORS, TARGET_GRAIN

_FIRST_LIST = "2021"
#: What a column is computed from; in the answer for one column these stand below it.
FROM = {
    "rate": ("value", "denominator"), "target_rate": ("decision_no",), "target_value": ("target_rate", "denominator", "decision_no"),
    "gap": ("target_value", "value"), "attainment": ("target_value", "value"), "expected_by_now": ("target_value",), "needed_per_day": ("gap",),
    "projected_date": ("target_value", "value"), "status": ("value", "target_value", "expected_by_now"), "rank_in_district": ("attainment",),
    "rank_in_province": ("attainment",), "rank_change_7d": ("rank_in_province",),
}  # fmt: skip


class Targets:
    """A row of target_progress_daily being explained: ``found`` is what each column has to be, ``numbers`` how that comes about."""

    def __init__(self, cursor: Cursor, cell: Cell) -> None:
        self.cursor, self.cell, self.target = cursor, cell, INDICATORS[cell.target]
        self.commune, _, self.name = cell.commune.partition("-")
        self.build = cells.last_build(cursor)
        shown, row = self._row("bi"), self._row("kpi")
        if shown is None or row is None:
            raise self._what_there_is()
        self.shown, self.row = shown, row
        self.decision: dict[str, Any] | None = None
        self.is_inherited = False
        self.default: Decimal = (one(cursor, "select rate from seeds.target_default where indicator = %s", cell.target) or {})["rate"]
        self.found: dict[str, Any] = {}
        self.numbers: dict[str, list[Words]] = {}
        self.ranked: dict[str, list[Ranked]] = {}
        self.problems: list[Words] = []
        self._phase()
        self._decide()
        self._measure()
        self._aim()
        self._pace()
        self._rank()

    def _row(self, schema: str) -> dict[str, Any] | None:
        cell = self.cell
        return one(
            self.cursor,
            f"select * from {schema}.target_progress_daily where level = %s and unit_code = %s and indicator = %s and date = %s",
            cell.level, cell.commune, cell.target, cell.day,
        )  # fmt: skip

    def _what_there_is(self) -> NoSuchCell:
        cell = self.cell
        told = "from bi.target_progress_daily where level = %s and unit_code = %s and indicator = %s"
        known = one(self.cursor, f"select min(date) as a, max(date) as b {told}", cell.level, cell.commune, cell.target)
        if known and known["a"]:
            return NoSuchCell(
                f"{cell.commune} không có dòng chỉ tiêu ngày {cell.day}: có từ {known['a']} đến {known['b']}",
                f"no target of {cell.commune} on {cell.day}; there are days from {known['a']} to {known['b']}.",
            )
        found = self.cursor.execute(
            "select distinct unit_code from bi.target_progress_daily where level = %s and indicator = %s and unit_code like %s order by 1 limit 60",
            (cell.level, cell.target, f"{self.commune[:5]}%"),
        ).fetchall()
        there = ", ".join(row["unit_code"] for row in found)
        return NoSuchCell(
            f"Cấp {cell.level} không có đơn vị {cell.commune!r}",
            f"there is no {cell.target} target of a {cell.level} {cell.commune!r} (hamlets as 06505-thonmo); there are: {there or 'none'}.",
        )

    def _say(self, column: str, value: Any, *words: Words) -> None:
        self.found[column], self.numbers[column] = value, list(words)

    def _same(self, column: str, value: Any, numbers: str) -> None:
        self._say(column, value, Words(numbers, numbers))

    # ---- what is decided, and what is reached ----

    def _phase(self) -> None:
        level, code = self.cell.level, self.cell.commune
        if level == "district":
            district: str | None = code
        elif level == "province":
            district = None
        else:
            district = (one(self.cursor, "select district_code from core.dim_commune where geography = '2021' and commune_code = %s", self.commune) or {}).get(
                "district_code"
            )
        self.district = district
        plan = one(
            self.cursor,
            """select min(kick_off) as kick_off, max(due_on) as due_on, case when count(*) = 1 then max(cast(phase as integer)) end as phase
               from seeds.campaign_phase where %s::text is null or district_code = %s""",
            district, district,
        ) or {}  # fmt: skip
        self.kick_off, self.due, self.phase = plan["kick_off"], plan["due_on"], plan["phase"] if district else None

    def _decide(self) -> None:
        """The unit's own decision in force; a hamlet without one has its commune's (KPI §2)."""
        level, day = self.cell.level, self.cell.day
        if level not in ("commune", "hamlet", "cooperative"):
            self._say("decision_no", None, Words("Biểu 03 không giao cho cấp này: mức chung.", "R3 decides nothing for this level: the default."))
            return
        asked = (self.cell.target, self.commune, self.name, self.phase, day)
        own = decisions.on_file(self.cursor, level.upper(), *asked)
        of_commune = decisions.on_file(self.cursor, "COMMUNE", *asked) if level == "hamlet" else []
        mine, theirs = decisions.in_force(own, day), decisions.in_force(of_commune, day)
        self.decision, self.is_inherited = mine or theirs, mine is None and theirs is not None
        self.due = (mine or {}).get("due_on") or (theirs or {}).get("due_on") or self.due
        number = (mine or {}).get("decision_no") or (theirs or {}).get("decision_no")
        self._say("decision_no", number, *decisions.told([*own, *of_commune], self.decision, day, is_inherited=self.is_inherited))
        if self.decision:
            unit = self.commune if self.is_inherited else self.cell.commune
            self.problems += decisions.held_against_core(self.cursor, self.decision, unit, self.cell.target, day)

    def _measure(self) -> None:
        """The unit's figures: of the day, of the 13 days before, of the day before kick-off."""
        day, level, t = self.cell.day, self.cell.level, self.target
        self.measured: Measures | Hamlets | None = None
        self.days: dict[Any, dict[str, Any]] = {}
        if level == "cooperative":
            households = self.decision["households"] if self.decision and t.indicator != "team" else None
            self._say(
                "value", None, Words("Không dữ liệu nào nối hợp tác xã với hộ: trống.", "Nothing that is delivered links a cooperative to households: null.")
            )
            self._say("denominator", households, Words("Số hộ ghi trên chính Biểu 03.", "The households that R3 itself states."))
            self._say("suppressed", False)
        else:
            table, code = LEVELS[level]
            self.measured = (Hamlets if level == "hamlet" else Measures)(self.cursor, Cell(self.cell.commune, day, t.value, _FIRST_LIST, level))
            unit = f"{code} = %s" if level != "hamlet" else "commune_code || '-' || hamlet_code = %s and commune_code = left(%s, 5)"
            hamlets, suppressed = ("1 as hamlets", "suppressed") if level == "hamlet" else ("hamlets", "false as suppressed")
            columns = f"date, households, {hamlets}, households_with_store, households_with_payment, lead_households, hamlets_with_team, {suppressed}"
            asked = [_FIRST_LIST, *([self.cell.commune] * (2 if level == "hamlet" else 1)), day - timedelta(days=13), day, self.kick_off - timedelta(days=1)]
            for row in self.cursor.execute(
                f"select {columns} from kpi.{table} where geography = %s and {unit} and (date between %s and %s or date = %s)", asked
            ):  # type: ignore[arg-type]
                self.days[row["date"]] = row
            mine = self.days.get(day, {})
            value, denominator = mine.get(t.value), mine.get(t.denominator)
            self._same("value", value, f"kpi.{table}.{t.value} = {_n(value)}")
            self._same("denominator", denominator, f"kpi.{table}.{t.denominator} = {_n(denominator)}" if (level, t.indicator) != ("hamlet", "team") else "1")
            is_hidden = bool(mine.get("suppressed")) and t.indicator != "team" and (value is None or denominator is None)
            self._say(
                "suppressed",
                is_hidden,
                Words("value hoặc denominator bị ẩn.", "value or denominator is hidden.") if is_hidden else Words("Không có gì bị ẩn.", "Nothing is hidden."),
            )
        value, denominator = self.found["value"], self.found["denominator"]
        self._same("rate", cells.quotient(value, denominator, 6), f"{_n(value)} ÷ {_n(denominator)}")

    def _aim(self) -> None:
        """Rate and value to reach."""
        d, denominator = self.decision, self.found["denominator"]
        count = d["target_count"] if d and not self.is_inherited else None
        rate: Fraction | None
        if d is None:
            rate, said = Fraction(self.default), Words(f"mức chung {self.default} (seed target_default)", f"the default {self.default} (seed target_default)")
        elif self.is_inherited and self.target.indicator == "team":
            rate, said = (
                Fraction(self.default),
                Words("mọi thôn đều phải có tổ, không theo số tổ giao cho xã", "every hamlet its team, not its commune's number of teams"),
            )
        elif d["target_rate"] is not None:
            rate, said = Fraction(d["target_rate"]), Words(f"tỷ lệ của {d['decision_no']}", f"the rate of {d['decision_no']}")
        elif self.is_inherited and d["households"]:
            rate = Fraction(d["target_count"], d["households"])
            said = Words(
                f"số giao cho xã trên số hộ của biểu: {d['target_count']} ÷ {d['households']}",
                f"the commune's count over the form's households: {d['target_count']} ÷ {d['households']}",
            )
        elif count is not None:
            rate, said = None, Words("chỉ giao số: target_value ÷ denominator", "a count was decided: target_value ÷ denominator")
        else:
            rate, said = Fraction(self.default), Words(f"mức chung {self.default}", f"the default {self.default}")
        target = count if count is not None else None if denominator is None or rate is None else ceil(rate * denominator)
        told = rate if rate is not None else Fraction(target, denominator) if target is not None and denominator else None
        self._say("target_rate", pacing.rounded(told, 6), said)
        if count is not None:
            self._say(
                "target_value",
                target,
                Words(f"số giao trong {d['decision_no'] if d else ''}: {count}", f"the count of {d['decision_no'] if d else ''}: {count}"),
            )
        else:
            self._same("target_value", target, f"⌈{_n(pacing.rounded(rate, 6))} × {_n(denominator)}⌉ = {_n(target)}")

    # ---- how far, how fast, how good beside the others ----

    def _pace(self) -> None:
        day, value, target = self.cell.day, self.found["value"], self.found["target_value"]
        base = self.days.get(self.kick_off - timedelta(days=1), {}).get(self.target.value)
        self.gap = None if value is None or target is None else max(target - value, 0)
        self._same("gap", self.gap, f"max(0, {_n(target)} − {_n(value)})")
        attainment = Fraction(value, target) if value is not None and target else None
        self._same("attainment", pacing.rounded(attainment, 6), f"{_n(value)} ÷ {_n(target)}")
        line, numbers = pacing.expected(target, base, day, self.kick_off, self.due)
        if day < self.kick_off:
            self._same("expected_by_now", None, f"{day} < {self.kick_off}")
        else:
            self._same("expected_by_now", pacing.rounded(line, 2), numbers)
        left = (self.due - day).days
        self._same(
            "needed_per_day",
            pacing.rounded(Fraction(self.gap, left), 2) if self.gap is not None and left > 0 else None,
            f"{_n(self.gap)} ÷ ({self.due} − {day} = {left})",
        )
        series = {d: row[self.target.value] for d, row in self.days.items()}
        self._same("projected_date", *pacing.projected(series, day, target, value, self.kick_off))
        self._same("status", *pacing.status(value, target, base, day, self.kick_off, self.due))

    def _ranks(self, day: Any, *, in_district: bool) -> list[Ranked]:
        """The units of the level, best first: of the day itself this one by what was computed, all others as they are told."""
        rows = self.cursor.execute(
            "select unit_code, unit_name, value, target_value from kpi.target_progress_daily where level = %s and indicator = %s and date = %s"
            " and (not %s or district_code = %s)",
            (self.cell.level, self.cell.target, day, in_district, self.district),
        ).fetchall()
        if day == self.cell.day:
            mine = {"value": self.found["value"], "target_value": self.found["target_value"]}
            rows = [row | mine if row["unit_code"] == self.cell.commune else row for row in rows]
        return [
            Ranked(rank, u["unit_code"], u["unit_name"], u["value"], u["target_value"], pacing.rounded(a, 6) or Decimal(0))
            for rank, u, a in pacing.ranking(rows)
        ]

    def _rank(self) -> None:
        level = self.cell.level
        for column, levels in (("rank_in_district", ("commune", "hamlet")), ("rank_in_province", ("commune", "hamlet", "district"))):
            if level not in levels:
                self._say(column, None, Words(f"Cấp {level} không xếp hạng ở đây.", f"No rank is told of a {level}."))
                continue
            among = self._ranks(self.cell.day, in_district=column == "rank_in_district")
            rank = _of(among, self.cell.commune)
            self.ranked[column] = among
            self._say(column, rank, Words(f"{_n(rank)} trong {len(among)} đơn vị có attainment", f"{_n(rank)} among {len(among)} units with an attainment"))
        now = self.found["rank_in_province"]
        week_ago = self.cell.day - timedelta(days=7)
        before = _of(self._ranks(week_ago, in_district=False), self.cell.commune) if now is not None else None
        self._same("rank_change_7d", None if now is None or before is None else before - now, f"{week_ago}: {_n(before)}; {_n(before)} − {_n(now)}")

    # ---- the answer ----

    def answer(self) -> Answer:
        """The whole row, or one column with what it is computed from."""
        column, level = self.cell.kpi, self.cell.level
        told = self._column(column, set()) if column else self._whole()
        told.problems += self.problems
        for key in [column] if column else COLUMNS:
            if self.shown[key] != self.row[key]:
                cells.tell_between(_at(told, key), self.build, self.shown[key], self.row[key])
        cells.tell_running(told, self.build)
        commune = [self.commune] if level in ("commune", "hamlet", "cooperative") else None
        within = commune or [
            row["commune_code"]
            for row in self.cursor.execute(
                "select commune_code from core.dim_commune where geography = '2021' and (%s::text is null or district_code = %s)",
                (self.district, self.district),
            )
        ]
        day = one(self.cursor, "select completeness from core.fct_day_completeness where date = %s", self.cell.day) or {"completeness": ""}
        return Answer(
            told,
            str(self.shown["unit_name"]),
            self.shown[column or "status"],
            one(self.cursor, "select * from bi.release order by release_id desc limit 1"),
            self.row,
            beside.of(self.cursor, self.cell, told, day["completeness"], self.build, sorted(parts_of.of_unit(self.cursor, _FIRST_LIST, within))),
            [],
            grain=TARGET_GRAIN,
        )

    def _whole(self) -> Explanation:
        """All columns; value and denominator of a commune or hamlet with their entities, the decision with its row."""
        told = self._node(self._kpi(None), self.row["status"], self.found["status"])
        told.parts = [("column", self._column(key, set(FROM.get(key, ())))) for key in COLUMNS]
        return told

    def _column(self, key: str, seen: set[str]) -> Explanation:
        """A column against what was found for it. What was told already (``seen``) is not told again."""
        told = self._node(self._kpi(key), self.row[key], self.found[key])
        told.notes, told.ranked = list(self.numbers[key]), self.ranked.get(key, [])
        seen.add(key)
        for other in FROM.get(key, ()):
            if other not in seen:
                told.parts.append(("column", self._column(other, seen)))
        if key in ("value", "denominator"):
            told.parts += self._measures(key)
            told.hidden = next((part.hidden for _, part in told.parts if part.hidden), None)
        if key == "decision_no":
            told.entities = decisions.row_of(self.cursor, self.decision) if self.decision else []
        if told.found != told.value:
            told.problems.append(cells.differs(told, is_listed=False))
        return told

    def _kpi(self, key: str | None) -> Kpi:
        """A column's words with the datasets of this indicator; of the whole row those of the target."""
        t, name = self.target, KPIS[self.target.value].name
        base = COLUMNS[key or "status"]
        what = Words(f"Chỉ tiêu: {name.vi}", f"Target: {name.en}")
        if key is None:
            formula = Words("mỗi cột theo công thức của nó, dưới đây", "each column by its formula, below")
            return replace(base, key=t.page, name=what, definition=what, formula=formula, sources=t.sources)
        return replace(base, name=Words(f"{base.name.vi}. {what.vi}", f"{base.name.en}. {what.en}"), sources=t.sources)

    def _node(self, kpi: Kpi, value: Any, found: Any) -> Explanation:
        return Explanation(self.cell, kpi, value, found, self.cell.day, self.cell.day)

    def _measures(self, column: str) -> Sequence[tuple[str, Explanation]]:
        """The measure behind value or denominator. Of districts and the province its entities are listed only where that column is asked for."""
        key = self.target.value if column == "value" else self.target.denominator
        if self.measured is None or (self.cell.level == "hamlet" and key == "hamlets"):
            return []
        if self.cell.level in ("commune", "hamlet") or self.cell.kpi == column:
            return [("measure", self.measured.explained(key))]
        value = (self.measured.row or {}).get(key)
        asked = f"LEVEL={self.cell.level} UNIT={self.cell.commune} DATE={self.cell.day} KPI={key}"
        told = Explanation(
            self.measured.cell,
            KPIS[key],
            value,
            value,
            self.cell.day,
            self.cell.day,
            notes=[Words(f"thực thể: make explain {asked}", f"its entities: make explain {asked}")],
        )
        return [("measure", told)]


def _of(among: Sequence[Ranked], unit: str) -> int | None:
    return next((r.rank for r in among if r.unit == unit), None)


def _at(told: Explanation, key: str) -> Explanation:
    """The column's explanation in the whole row's."""
    return next((part for role, part in told.parts if role == "column" and part.kpi.key == key), told)


def _n(value: Any) -> str:
    return "—" if value is None else str(value)
