"""Cells of `bi.kpi_hamlet_daily`: who lives in the hamlet that day and what it has, one by one; which rule hides a count, judged anew over the whole commune.

What `bi` hides is told here with its true count and rows, marked as hidden: the answer is for operators (docs/README.md, Small counts of hamlets).
"""

from __future__ import annotations

from typing import Any

from kinhteso.explaining import beside, cells, entities, suppressing
from kinhteso.explaining.cells import Answer, Cell, Cursor, Explanation, NoSuchCell, one
from kinhteso.kpis import Kpi, Words
from kinhteso.progress import HAMLET_GRAIN, HAMLET_KPIS

#: The row of what a commune has beside its hamlets.
REST = "~"

_HOME = """home as (
    select w.household_code, w.hamlet_code from intermediate.int_hamlet_households as w
    where w.commune_code = %(place)s and w.valid_from <= %(day)s and %(day)s < w.valid_to
)"""
_LIVES = """(household_code in (select household_code from home where hamlet_code = %(hamlet)s)
    or (%(hamlet)s = '~' and household_code not in (select household_code from home)))"""
# A lead household that no list of households names lives where R4 says.
_LEADS = """(l.household_code in (select household_code from home where hamlet_code = %(hamlet)s)
    or (l.household_code not in (select household_code from home) and %(hamlet)s = case
        when exists (select from intermediate.int_hamlet_households as w where w.household_code = l.household_code and w.commune_code = %(place)s) then '~'
        else coalesce((select t.hamlet_code from intermediate.int_hamlet_texts as t where t.commune_code = %(place)s and t.hamlet_text = l.hamlet
            and t.valid_from <= %(day)s and %(day)s < t.valid_to), '~') end))"""

_HOUSEHOLDS = """found as (
    select h.place_code as place, h.export_id || '|' || h.source_row as entity, h.hamlet_name as shown, h.households as amount, 'hamlet' as role,
        concat_ws(' · ', h.as_of, h.households || ' households') as note, h.export_id, h.source_row, h.hamlet_name as code
    from intermediate.int_hamlets__in_force as h
    where h.commune_code = %(place)s and h.hamlet_code = %(hamlet)s and h.valid_from <= %(day)s and %(day)s < h.valid_to
)"""

_TEAMS = """member as (
    select m.* from intermediate.int_team_members__in_force as m
    where split_part(m.commune_code, '>', 1) = %(place)s and m.valid_from <= %(day)s and %(day)s < m.valid_to
),
team as (
    select as_of, team, min(hamlet_raw) as hamlet_raw,
        count(*) filter (where team_role = 'HEAD') >= 1 and count(*) filter (where team_role <> 'HEAD' and is_trained) >= 2 as is_counting
    from member
    group by as_of, team
),
served as (
    select distinct t.as_of, t.team, t.is_counting, case when x.hamlet_code = '~' then x.bare else x.hamlet_code end as hamlet
    from team as t
    cross join lateral regexp_split_to_table(t.hamlet_raw, '\\s*[,;]\\s*') as s (hamlet_text)
    join intermediate.int_hamlet_texts as x
        on x.commune_code = %(place)s and x.hamlet_text = s.hamlet_text and x.valid_from <= %(day)s and %(day)s < x.valid_to
    where x.hamlet_code = %(hamlet)s
)"""


def _members(condition: str, entity: str, shown: str) -> str:
    return f"""{_TEAMS},
found as (
    select cast(%(place)s as text) as place, {entity} as entity, {shown} as shown, 1 as amount, 'member' as role, {entities.MEMBER_NOTE} as note,
        m.export_id, m.source_row, m.hamlet_raw as code
    from served as v
    join member as m on m.as_of = v.as_of and m.team = v.team
    where {condition}
)"""


_ROW = "md5(m.export_id || '|' || m.source_row)"
#: Measure -> common table expressions that end with `found`; parameters beside those of `entities.query`: place, hamlet, day.
QUERIES = {
    "households": _HOUSEHOLDS,
    "households_with_store": f"{_HOME},\n{entities.households_with_store(_LIVES)}",
    "households_with_active_store": f"{_HOME},\n{entities.households_with_store(f'day < last_activity_day + 31 and {_LIVES}')}",
    "households_with_payment": f"{_HOME},\n{entities.households_with_payment(_LIVES)}",
    "lead_households": f"{_HOME},\n{entities.lead_households(_LEADS)}",
    "hamlets_with_team": _members("v.is_counting", "v.hamlet", "v.hamlet"),
    "team_members": _members("true", f"v.hamlet || '|' || {_ROW}", _ROW),
    "team_members_trained": _members("m.is_trained", f"v.hamlet || '|' || {_ROW}", _ROW),
}


class Hamlets:
    """A cell of a hamlet being explained. ``row``: as built; ``true``: what was counted before anything was hidden; ``why``: what hides a measure."""

    def __init__(self, cursor: Cursor, cell: Cell) -> None:
        self.cursor, self.cell = cursor, cell
        self.commune, _, self.hamlet = cell.commune.partition("-")
        self.place = self.commune if cell.geography == "2021" else f"{cell.geography}:{self.commune}"
        self.build = cells.last_build(cursor)
        self.row = self._row("kpi")
        self.true: dict[str, Any] = {}
        self.why: dict[str, Words] = {}
        group = cursor.execute(
            "select * from core.fct_hamlet_day where commune_code = %(place)s and date = %(day)s order by hamlet_code", self._asked()
        ).fetchall()
        for (hamlet, measure), why in suppressing.hidden(group).items():
            if hamlet == self.hamlet:
                self.why[measure] = why
        self.true = next((row for row in group if row["hamlet_code"] == self.hamlet), {})
        found = cursor.execute("select distinct place_code from intermediate.int_place_pieces where split_part(place_code, '>', 1) = %s", (self.place,))
        self.places = sorted(row["place_code"] for row in found)

    def _asked(self) -> dict[str, Any]:
        return {"place": self.place, "hamlet": self.hamlet, "day": self.cell.day}

    def _row(self, schema: str) -> dict[str, Any] | None:
        cell = self.cell
        return one(
            self.cursor,
            f"select * from {schema}.kpi_hamlet_daily where geography = %s and commune_code = %s and hamlet_code = %s and date = %s",
            cell.geography, self.commune, self.hamlet, cell.day,
        )  # fmt: skip

    # ---- the answer ----

    def answer(self) -> Answer:
        """The whole answer. Raises NoSuchCell."""
        shown, key = self._row("bi"), self.cell.kpi
        if shown is None or self.row is None:
            raise self._what_there_is()
        self.row = {**shown, **self.row}
        told = self.explained(key)
        if shown[key] != self.row[key]:
            cells.tell_between(told, self.build, shown[key], self.row[key])
        cells.tell_running(told, self.build)
        return Answer(
            told,
            f"{shown['hamlet_name']}, {shown['commune_name']}",
            shown[key],
            one(self.cursor, "select * from bi.release where release_id = %s", shown["release_id"]),
            self.row,
            beside.of(self.cursor, self.cell, told, self.row["completeness"], self.build, self.places),
            [],
            grain=HAMLET_GRAIN,
        )

    def _what_there_is(self) -> NoSuchCell:
        cell = self.cell
        wanted = (self.commune, self.hamlet)
        if not self.hamlet:
            return NoSuchCell(
                "Thôn ghi là mã xã, gạch nối, mã thôn", f"a hamlet is a commune's code, a hyphen, the hamlet's code (as 06505-thonmo): {cell.commune!r}."
            )
        known = one(
            self.cursor, "select min(date) as a, max(date) as b from bi.kpi_hamlet_daily where geography = %s and commune_code = %s and hamlet_code = %s",
            cell.geography, *wanted,
        )  # fmt: skip
        if known and known["a"]:
            return NoSuchCell(
                f"{cell.commune} không có dòng ngày {cell.day}: có từ {known['a']} đến {known['b']}",
                f"no row for {cell.commune} on {cell.day}; there are days from {known['a']} to {known['b']}.",
            )
        lists = self.cursor.execute(
            "select distinct geography from bi.kpi_hamlet_daily where commune_code = %s and hamlet_code = %s order by 1", wanted
        ).fetchall()
        if lists:
            there = lists[0]["geography"]
            return NoSuchCell(f"Thôn này thuộc danh mục {there}", f"{cell.commune} is told of on the list {there}, that of its registers: GEOGRAPHY={there}.")
        mine = self.cursor.execute(
            "select distinct hamlet_code from bi.kpi_hamlet_daily where geography = %s and commune_code = %s order by 1 limit 60",
            (cell.geography, self.commune),
        ).fetchall()
        names = ", ".join(f"{self.commune}-{row['hamlet_code']}" for row in mine)
        if names:
            return NoSuchCell(f"Xã {self.commune} không có thôn {self.hamlet!r}", f"{self.commune} has no hamlet {self.hamlet!r}; there are: {names}.")
        return NoSuchCell(f"Xã {self.commune} không có thôn nào", f"no hamlets of {self.commune} are told of on the list {cell.geography}.")

    # ---- one measure ----

    def explained(self, key: str) -> Explanation:
        """A measure: a count against its entities, and whether it may be shown; a rate from what is shown."""
        kpi, row = HAMLET_KPIS[key], self.row or {}
        told = Explanation(self.cell, kpi, row.get(key), since=self.cell.day, until=self.cell.day)
        if key in QUERIES:
            told.value = self.true.get(key)
            self._list(key, told)
            told.hidden = self.why.get(key)
            may_be_shown = None if told.hidden else self.true.get(key)
            if row.get(key) != may_be_shown:
                told.problems.append(
                    Words(
                        f"{key}: ô ghi {row.get(key)}, theo quy tắc ẩn số phải là {may_be_shown}.",
                        f"{key}: the cell says {row.get(key)}, by the rules of suppression it has to be {may_be_shown}.",
                    )
                )
        elif kpi.kind == "rate":
            self._rate(kpi, told)
        else:
            told.found, told.notes = self._attribute(key)
        if told.found != told.value:
            told.problems.append(cells.differs(told, key in QUERIES))
        return told

    def _list(self, key: str, told: Explanation) -> None:
        if key == "households" and self.hamlet == REST:
            told.notes.append(Words("Ngoài các thôn: Biểu 01 không có số hộ.", "What is beside the hamlets: R1 has no households for it."))
            return
        days = [self.cell.day] * len(self.places)
        given = {"places": self.places, "since": days, "until": days, "as_of": [None] * len(days), **self._asked()}
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in self.cursor.execute(entities.placed(f"{entities.UNIT},\n{QUERIES[key]}"), given):  # type: ignore[arg-type]
            found.setdefault((row["place"], row["entity"]), []).append(row)
        told.entities = [cells.entity(rows) for rows in found.values()]
        told.found = sum(int(e.amount or 0) for e in told.entities)

    def _rate(self, kpi: Kpi, told: Explanation) -> None:
        """From what is shown; none above 1, where the count is beyond what R1 says."""
        told.parts = [(role, self.explained(part)) for role, part in kpi.parts]
        numerator, denominator = (None if part.hidden else part.value for _, part in told.parts)
        if any(part.hidden for _, part in told.parts):
            told.hidden = Words("được tính từ số bị ẩn", "it would be made of a hidden count")
        elif numerator is not None and denominator is not None and numerator > denominator:
            told.notes.append(Words("Tử số lớn hơn mẫu số: để trống.", "The numerator is above the denominator: null."))
            return
        told.found = cells.quotient(numerator, denominator, 6)

    def _attribute(self, key: str) -> tuple[Any, list[Words]]:
        if key == "suppressed":
            names = ", ".join(self.why) or "—"
            return bool(self.why), [Words(f"Bị ẩn: {names}.", f"Hidden: {names}.")]
        if key == "completeness":
            return beside.completeness_of(self.cursor, self.cell.day, self.build)
        held = one(self.cursor, "select * from bi.release where release_id = %s", (self.row or {}).get("release_id"))
        return (
            (held[key], [Words(f"Bản {held['release_id']}: {held['what_changed']}", f"Release {held['release_id']}: {held['what_changed']}")])
            if held
            else (None, [])
        )
