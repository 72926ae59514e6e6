"""Cells of `bi.kpi_commune_daily` and of its sums, districts and the province: counted entity by entity, or computed anew from their parts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from psycopg import sql

from kinhteso.explaining import beside, cells, entities
from kinhteso.explaining import places as parts_of
from kinhteso.explaining.cells import BEGINNING, LEVELS, Answer, Cell, Cursor, Explanation, NoSuchCell
from kinhteso.explaining.cells import quotient as _quotient
from kinhteso.explaining.places import Portion
from kinhteso.kpis import KPIS, STORES_OF_HOUSEHOLDS, Kpi, Words

UNKNOWN = "00000"
#: Columns that a release stamps on a row; no restatement speaks of them.
_STAMPS = ("release_id", "published_at")
_KNOWN = {**KPIS, STORES_OF_HOUSEHOLDS.key: STORES_OF_HOUSEHOLDS}

_FACT = """
select sum(stores_of_households)::bigint as stores_of_households, sum(stores_unmatched)::bigint as stores_unmatched,
    sum(rated_households_with_store)::bigint as rated_households_with_store, sum(rated_households_with_payment)::bigint as rated_households_with_payment,
    sum(rated_lead_households)::bigint as rated_lead_households
from core.fct_commune_day
where geography = %s and commune_code = any(%s) and date = %s and platform = 'all' and (commune_code <> '00000' or %s = 'commune')
"""


class Measures:
    """One cell of a commune, a district or the province being explained."""

    def __init__(self, cursor: Cursor, cell: Cell) -> None:
        self.cursor, self.cell = cursor, cell
        self.within: dict[str, int] = {}
        self.row = self._row("kpi", cell)
        units = cursor.execute(
            "select commune_code, commune_name, district_code, kick_off, phase from core.dim_commune where geography = %s order by 1", (cell.geography,)
        ).fetchall()
        code = {"commune": "commune_code", "district": "district_code"}.get(cell.level)
        self.communes = [u for u in units if code is None or u[code] == cell.commune]
        self.kick_off: date | None = min((u["kick_off"] for u in self.communes if u["kick_off"]), default=None)
        self.places = parts_of.of_unit(cursor, cell.geography, [u["commune_code"] for u in self.communes])
        self.fact = self._one(_FACT, cell.geography, [u["commune_code"] for u in self.communes], cell.day, cell.level) or {}
        self.build = cells.last_build(cursor)

    def _one(self, query: str, *parameters: Any) -> dict[str, Any] | None:
        return cells.one(self.cursor, query, *parameters)

    def _there(self, table: str) -> bool:
        found = self._one("select to_regclass(%s) is not null as there", table)
        return bool(found and found["there"])

    def _row(self, schema: str, cell: Cell) -> dict[str, Any] | None:
        table, code = LEVELS[cell.level]
        where = sql.SQL("select * from {} where geography = %s and {} = %s and date = %s").format(sql.Identifier(schema, table), sql.Identifier(code))
        return self.cursor.execute(where, (cell.geography, cell.commune, cell.day)).fetchone()

    # ---- the answer ----

    def answer(self, release: int | None) -> Answer:
        cell = self.cell
        shown = self._row("bi", cell)
        if shown is None or self.row is None:
            raise self._what_there_is()
        table, code = LEVELS[cell.level]
        if cell.kpi not in shown:
            raise NoSuchCell(f"{table} không có {cell.kpi}", f"{table} has no {cell.kpi}, which is of communes.")
        if release is not None and cell.level != "commune":
            raise NoSuchCell("Chỉ số liệu xã được lưu theo bản phát hành", "only figures of communes are kept by release; leave RELEASE out.")
        # release_id and published_at are given by the release, not by the build
        row = {**shown, **self.row}
        self.row = row
        told = self.explained(cell.kpi)
        if shown[cell.kpi] != row[cell.kpi]:
            cells.tell_between(told, self.build, shown[cell.kpi], row[cell.kpi])
        cells.tell_running(told, self.build)
        published, asked, moves = shown[cell.kpi], None, self._restatements()
        if release is not None:
            asked, published = release, self._as_published(release)
            if cell.kpi not in _STAMPS and self._there("bi.kpi_restatement"):
                told.problems += _moves_agree(published, [m for m in moves if m["release_id"] > release], shown[cell.kpi])
        return Answer(
            told,
            str(shown[code.replace("_code", "_name")]),
            published,
            self._one("select * from bi.release where release_id = %s", asked or shown["release_id"]),
            row,
            beside.of(self.cursor, cell, told, row["completeness"], self.build, sorted(self.places)),
            moves,
            asked,
        )

    def _what_there_is(self) -> NoSuchCell:
        cell = self.cell
        table, code = LEVELS[cell.level]
        known = self._one(f"select min(date) as a, max(date) as b from bi.{table} where geography = %s and {code} = %s", cell.geography, cell.commune)
        if known and known["a"]:
            return NoSuchCell(
                f"{cell.commune} (danh mục {cell.geography}) không có dòng ngày {cell.day}: có từ {known['a']} đến {known['b']}",
                f"no row for {cell.commune} (list {cell.geography}) on {cell.day}; there are days from {known['a']} to {known['b']}.",
            )
        lists = self.cursor.execute(f"select distinct geography from bi.{table} where {code} = %s order by 1", (cell.commune,)).fetchall()  # type: ignore[arg-type]
        there = ", ".join(row["geography"] for row in lists)
        if lists:
            return NoSuchCell(
                f"Danh mục {cell.geography} không có đơn vị {cell.commune}; mã này thuộc danh mục {there}",
                f"the list {cell.geography} has no unit {cell.commune}, which is a code of the list {there}: GEOGRAPHY={lists[0]['geography']}.",
            )
        return NoSuchCell(f"Không danh mục nào có mã {cell.commune}", f"no list has the code {cell.commune} (five digits, as 06505).")

    # ---- one measure ----

    def explained(self, key: str, rated: str = "", *, in_communes: bool = False) -> Explanation:
        """A measure of the row: counted, or computed from its parts, and held against its value. ``rated``: only in those parts of the unit that
        have this figure, as the numerator of a rate or a multiple; ``in_communes``: without what no commune can be told of."""
        kpi = _KNOWN[key]
        value = self.fact.get(key) if in_communes else (self.row or {}).get(key)
        told = Explanation(self.cell, kpi, value)
        told.since, told.until = self._days(kpi)
        nothing = self._why_null(kpi)
        if kpi.kind == "attribute":
            told.found, told.notes = self._attribute(key)
        elif nothing:
            told.notes.append(nothing)
        elif key in entities.QUERIES:
            told.parts = [(role, self._value_of(part)) for role, part in kpi.parts if kpi.period != "base"]
            self._list(key, told, in_communes=in_communes)
            signed = [part.value if role == "plus" else -part.value for role, part in told.parts if part.value is not None]
            if told.parts and sum(signed) != told.value:
                told.problems.append(
                    Words(f"{kpi.formula.vi} = {sum(signed)}, ô ghi {told.value}.", f"{kpi.formula.en} = {sum(signed)}, the cell says {told.value}.")
                )
            if rated:
                self._within(told, rated)
        else:
            having = {"rate": "hamlets" if key == "team_rate" else "households", "multiple": told.kpi.parts[-1][1]}[kpi.kind]
            of_whole = key in ("match_rate", "revenue_growth")
            told.parts = [
                (role, self.explained(part, "" if of_whole or part == having else having, in_communes=key == "match_rate")) for role, part in kpi.parts
            ]
            told.found = self._computed(told)
        if told.found != told.value:
            told.problems.append(cells.differs(told, bool(told.entities) or key in entities.QUERIES))
        return told

    def _value_of(self, key: str) -> Explanation:
        """A part of a measure whose own entities are listed: its value, to be explained by itself."""
        value = (self.row or {}).get(key)
        return Explanation(self.cell, _KNOWN[key], value, value, *self._days(_KNOWN[key]))

    def _list(self, key: str, told: Explanation, *, in_communes: bool) -> None:
        """The entities place by place, each place's against its own figure, and what the unit gets of them."""
        places = {code: place for code, place in self.places.items() if code != UNKNOWN} if in_communes and self.cell.level != "commune" else self.places
        told.portions = parts_of.portions(self.cursor, places, key, self.cell.day)
        given = [(p.place.code, *self._days(told.kpi, p.place.kick_off), p.as_of) for p in told.portions]
        columns = dict(zip(("places", "since", "until", "as_of"), map(list, zip(*given, strict=True)), strict=True)) if given else {}
        found: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for row in self.cursor.execute(entities.query(key), columns) if columns else ():  # type: ignore[arg-type]
            found.setdefault((row["place"], row["entity"]), []).append(row)
        told.entities = [cells.entity(rows) for rows in found.values()]
        told.found = None if key in ("households", "hamlets") and not told.portions else 0
        for portion in told.portions:
            place = portion.place
            amount = sum(int(e.amount or 0) for e in told.entities if e.place == place.code)
            anew = parts_of.shared_out(amount, place.shares)
            is_same = all(anew[piece] == n for piece, n in portion.by_piece.items()) if key in parts_of.REGISTERS else amount == portion.value
            told.found += portion.taken if is_same else sum(anew[piece] for piece in portion.by_piece)
            if not is_same and place.is_shared:
                told.problems.append(
                    Words(
                        f"{key}: {place.code} được đếm {portion.value}, liệt kê được {amount}. Không khớp.",
                        f"{key}: {place.code} was counted as {portion.value}, listed were {amount}. They do not agree.",
                    )
                )
            if place.is_shared and amount:
                told.notes.append(_shared_note(portion, amount))

    def _within(self, told: Explanation, having: str) -> None:
        """A numerator counts only in the parts of the unit that have the denominator or base (KPI §1.10)."""
        there = {piece: n for p in parts_of.portions(self.cursor, self.places, having, self.cell.day) for piece, n in p.by_piece.items()}
        counted = {piece for piece, n in there.items() if n > 0 or having.endswith("_base")}
        within = sum(n for p in told.portions for piece, n in p.by_piece.items() if piece in counted)
        if within != sum(p.taken for p in told.portions):
            told.notes.append(
                Words(f"Chỉ tính {within} ở các phần của xã có {having}.", f"Only {within} count, in those parts of the unit that have {having}.")
            )
        self.within[told.kpi.key] = within

    def _days(self, kpi: Kpi, kick_off: date | None = None) -> tuple[date, date]:
        """The days that count for a measure; a state counts on one. ``kick_off``: of a place, else the unit's."""
        day, kick_off = self.cell.day, kick_off or self.kick_off
        if kpi.period == "to_date" and kpi.kind != "multiple" and kick_off:
            return kick_off, day
        if kpi.period == "base" and kick_off:
            before = kick_off - timedelta(days=1)
            return (BEGINNING if kpi.unit == "vnd" else before), before
        return day, day

    def _why_null(self, kpi: Kpi) -> Words | None:
        if self.cell.commune == UNKNOWN and not kpi.in_00000 and kpi.kind != "attribute":
            return Words(
                "Dòng 00000 chỉ có số liệu phát sinh; số này ở đó để trống (RULINGS 1).", "The row 00000 has facts only; there this figure is null (RULINGS 1)."
            )
        if (kpi.period in ("to_date", "base") or kpi.kind == "multiple") and self.kick_off and self.cell.day < self.kick_off:
            return Words(f"Trước ngày bắt đầu {self.kick_off:%d/%m/%Y}: trống (KPI §1.7).", f"Before kick-off, {self.kick_off}: null (KPI §1.7).")
        return None

    def _computed(self, told: Explanation) -> Any:
        """A rate or multiple from the values of its parts, rounded as RULINGS 15 says."""
        values = {role: self.within.get(part.kpi.key, part.value) if role in ("numerator", "value") else part.value for role, part in told.parts}
        if told.kpi.key == "match_rate":
            return _quotient(_less(values["denominator"], values["unmatched"]), values["denominator"], 6)
        if told.kpi.kind == "multiple":
            return _quotient(values["value"], values["base"], 4)
        numerator, denominator = values["numerator"], values["denominator"]
        if denominator and numerator is not None and numerator > denominator and told.kpi.key != "team_rate" and self.cell.level == "commune":
            return self._held(told)
        return _quotient(numerator, denominator, 6)

    def _held(self, told: Explanation) -> Any:
        """The commune's last good rate, where the numerator is above the denominator (KPI §1.8)."""
        numerator = sql.Identifier(f"rated_{told.kpi.parts[0][1]}")
        query = sql.SQL(
            "select date, {n} as n, households as d from core.fct_commune_day where geography = %s and commune_code = %s and date < %s"
            " and platform = 'all' and {n} <= households and households > 0 order by date desc limit 1"
        ).format(n=numerator)
        good = self.cursor.execute(query, (self.cell.geography, self.cell.commune, self.cell.day)).fetchone()
        since = (f"{good['date']:%d/%m/%Y}", str(good["date"])) if good else ("không có", "none")
        told.notes.append(
            Words(
                f"Tử số lớn hơn mẫu số: giữ tỷ lệ tốt gần nhất của xã, ngày {since[0]} (KPI §1.8).",
                f"The numerator is above the denominator: the commune's last good rate is kept, of {since[1]} (KPI §1.8).",
            )
        )
        return _quotient(good["n"], good["d"], 6) if good else None

    def _attribute(self, key: str) -> tuple[Any, list[Words]]:
        """What is no figure over entities: its value as it follows from elsewhere, and that in words."""
        row, kick_off = self.row or {}, self.kick_off
        if key == "phase":
            phase = min((u["phase"] for u in self.communes if u["phase"]), default=None) if self.cell.level != "province" else None
            return phase, [Words(f"Ngày bắt đầu giai đoạn: {kick_off or 'không có'}.", f"Kick-off: {kick_off or 'none'} (seed campaign_phase).")]
        if key == "phase_day":
            told = Words(f"{self.cell.day} − {kick_off or 'không có'}.", f"{self.cell.day} − {kick_off or 'none'}.")
            return (self.cell.day - kick_off).days if kick_off and self.cell.level != "province" else None, [told]
        if key == "rates_held":
            above = [
                f"{name}_rate"
                for name, numerator in (("store", "households_with_store"), ("payment", "households_with_payment"), ("lead", "lead_households"))
                if row["households"] and (self.fact.get(f"rated_{numerator}") or 0) > row["households"]
            ]
            told = Words(f"Mẫu số (hộ): {row['households']}.", f"Denominator (households): {row['households']}.")
            return ",".join(above) or None, [told]
        if key == "completeness":
            return self._completeness()
        held = self._one("select release_id, published_at, business_date, what_changed from bi.release where release_id = %s", row["release_id"])
        if held is None:
            return None, []
        return held[key], [
            Words(f"Bản {held['release_id']}: {held['what_changed']}", f"Release {held['release_id']} of {held['business_date']}: {held['what_changed']}")
        ]

    def _completeness(self) -> tuple[str, list[Words]]:
        """The word of the day from what was accepted of it (RULINGS 14)."""
        shared = self._estimated() if self.cell.level == "commune" else []
        if shared:
            return "ESTIMATED", [Words(f"Có số liệu phải chia: {', '.join(shared)}.", f"Figures had to be shared out: {', '.join(shared)}.")]
        return beside.completeness_of(self.cursor, self.cell.day, self.build)

    def _estimated(self) -> list[str]:
        """Places that lie in other units too and have any figure other than 0 on the day, or a register in force."""
        shared, day = [code for code, place in self.places.items() if place.is_shared], self.cell.day
        if not shared:
            return []
        rows = self.cursor.execute("select * from intermediate.int_place_days where place_code = any(%s) and date = %s", (shared, day)).fetchall()
        found = {row["place_code"] for row in rows if any(isinstance(n, int) and n for n in row.values())}
        for table in sorted(set(parts_of.REGISTERS.values())):
            told = f"select distinct place_code from intermediate.{table} where place_code = any(%s) and valid_from <= %s and %s < valid_to"
            found |= {row["place_code"] for row in self.cursor.execute(told, (shared, day, day))}  # type: ignore[arg-type]
        return sorted(found)

    # ---- what was published, and why it moved ----

    def _restatements(self) -> list[dict[str, Any]]:
        if self.cell.level != "commune" or not self._there("bi.kpi_restatement"):
            return []
        found = self.cursor.execute(
            """select r.*, e.source, e.dataset, e.business_day, e.version, e.origin as file from bi.kpi_restatement as r
               left join ops.export as e on e.export_id = r.export_id
               where r.geography = %s and r.commune_code = %s and r.date = %s and r.kpi = %s order by r.release_id, r.restatement_id""",
            (self.cell.geography, self.cell.commune, self.cell.day, self.cell.kpi),
        ).fetchall()
        # words (completeness, rates_held) move as texts
        return [m | {side: m.get(side.replace("value", "text")) if m[side] is None else m[side] for side in ("old_value", "new_value")} for m in found]

    def _as_published(self, release: int) -> Any:
        if not self._there("bi.kpi_commune_daily_as_published"):
            raise NoSuchCell("Chưa lưu số liệu theo bản phát hành", "bi.kpi_commune_daily_as_published is not there yet; leave RELEASE out.")
        query = sql.SQL(
            "select {} as value from bi.kpi_commune_daily_as_published where release_id = %s and geography = %s and commune_code = %s and date = %s"
        )
        found = self.cursor.execute(query.format(sql.Identifier(self.cell.kpi)), (release, self.cell.geography, self.cell.commune, self.cell.day)).fetchone()
        if found is None:
            known = self._one("select min(release_id) as a, max(release_id) as b from bi.release") or {}
            raise NoSuchCell(
                f"Bản phát hành {release} không có ô này; có các bản {known.get('a')} đến {known.get('b')}",
                f"release {release} has no such cell; there are releases {known.get('a')} to {known.get('b')}, each with the days up to its own.",
            )
        return found["value"]


def _shared_note(portion: Portion, whole: int) -> Words:
    place, taken = portion.place, portion.taken
    share = sum((place.shares[piece] for piece in place.ours), Decimal(0))
    return Words(
        f"{place.code} nằm ở nhiều đơn vị: {whole} được chia theo số hộ điều tra; phần của đơn vị này {share:.4%}, làm tròn thành {taken} (ESTIMATED).",
        f"{place.code} lies in several units: its {whole} are shared out by census households; this unit's part is {share:.4%}, rounded {taken} (ESTIMATED).",
    )


def _less(a: Any, b: Any) -> Any:
    return None if a is None or b is None else a - b


def _moves_agree(then: Any, moves: Sequence[dict[str, Any]], now: Any) -> list[Words]:
    """From the published value of a release through every restatement since to the value of now, without a gap."""
    value = then
    for move in moves:
        if _text(move["old_value"]) != _text(value):
            return [_gap(value, move["old_value"], move["release_id"])]
        value = move["new_value"]
    return [] if _text(value) == _text(now) else [_gap(value, now, None)]


def _text(value: Any) -> str:
    """A value as it can be compared, whatever type a table keeps it in."""
    if value is None:
        return ""
    try:
        return str(Decimal(str(value)).normalize())
    except ArithmeticError:
        return str(value)


def _gap(was: Any, is_now: Any, release: int | None) -> Words:
    where = f"release {release}" if release else "now"
    return Words(f"kpi_restatement không nối được: {was} rồi {is_now} ({where}).", f"kpi_restatement does not connect: {was}, then {is_now} ({where}).")
