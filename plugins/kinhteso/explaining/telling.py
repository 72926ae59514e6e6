"""An answer as text for a person and as CSV for a spreadsheet; Vietnamese first, then English."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TextIO

from kinhteso.explaining.cells import BEGINNING, Answer, Cell, Entity, Explanation, Ranked, Row
from kinhteso.explaining.entities import ROLES
from kinhteso.explaining.places import Portion
from kinhteso.kpis import PERIODS, UNITS, Words

#: What a part is of a measure.
PART_WORDS = {
    "numerator": Words("tử số", "numerator"), "denominator": Words("mẫu số", "denominator"), "value": Words("giá trị", "value"),
    "base": Words("số gốc", "base"), "plus": Words("cộng", "plus"), "minus": Words("trừ", "minus"), "unmatched": Words("chưa khớp", "unmatched"),
    "column": Words("cột", "column"), "measure": Words("số liệu", "measure"),
}  # fmt: skip
LEVEL_WORDS = {
    "commune": Words("xã", "commune"), "district": Words("huyện", "district"), "province": Words("tỉnh", "province"), "hamlet": Words("thôn", "hamlet"),
    "cooperative": Words("hợp tác xã", "cooperative"),
}  # fmt: skip
#: Entities that a text lists unless it is told otherwise.
LISTED = 40
#: A spreadsheet runs what begins so (RELIABILITY, privacy 8); a negative number may stay.
_FORMULA = re.compile(r"^[=+\-@\t\r]")
_NUMBER = re.compile(r"^-\d+(\.\d+)?$")

CSV_COLUMNS = (
    "geography", "level", "unit_code", "date", "kpi", "part", "part_value", "entity", "amount", "role", "note", "source", "dataset", "unit", "business_day",
    "version", "export_state", "file", "file_row", "source_row", "landing_path",
)  # fmt: skip


def neutral(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.match(value) else value


def number(value: Any, unit: str = "") -> str:
    """As people write it: 1.234.567; rates and multiples with a comma; null in words."""
    if value is None:
        return "trống · null"
    if isinstance(value, bool):
        return "có · yes" if value else "không · no"
    if isinstance(value, datetime):
        return f"{value:%d/%m/%Y %H:%M:%S %Z}"
    if isinstance(value, date):
        return f"{value:%d/%m/%Y}"
    if isinstance(value, Decimal) and (unit in ("fraction", "times") or value % 1):
        return f"{value:f}".replace(".", ",")
    if isinstance(value, int | Decimal):
        return f"{int(value):,}".replace(",", ".")
    return str(value)


def both(words: Words) -> str:
    """Vietnamese · English, once where they are the same."""
    return words.vi if words.vi == words.en else f"{words.vi} · {words.en}"


def hidden(told: Explanation) -> str:
    """That `bi` does not show a figure, and by which rule; empty where it does."""
    return f"ẨN TRONG bi, chỉ để vận hành · HIDDEN IN bi, for operators only: {both(told.hidden)}" if told.hidden else ""


def asking(cell: Cell, kpi: str = "") -> str:
    """What `make explain` is given for a cell, or for another measure of its unit."""
    level = "" if cell.level == "commune" else f"LEVEL={cell.level} "
    unit = f"COMMUNE={cell.commune}" if cell.level == "commune" else f"UNIT={cell.commune}"
    column = f" MEASURE={cell.kpi}" if cell.kpi else ""
    what = f"TARGET={cell.target}{column}" if cell.target else f"KPI={kpi or cell.kpi} GEOGRAPHY={cell.geography}"
    return f"{level}{unit} DATE={cell.day} {what}"


def place(row: Row) -> str:
    """Where a row stands: delivery, file, row."""
    unit = f" {row.unit}" if row.unit else ""
    delivery = f"{row.source}/{row.dataset}{unit} {row.business_day} v{row.version}" if row.source else f"export {row.export_id}"
    state = "" if row.state in ("accepted", None) else f" [{row.state}]"
    return f"{delivery}{state}  {row.landing_path or row.file or '—'}  dòng · row {row.file_row}"


def text(answer: Answer, limit: int = LISTED) -> Iterator[str]:
    """The answer line by line; of each list of entities at most ``limit``."""
    told = answer.explanation
    cell, kpi = told.cell, told.kpi
    yield f"{both(kpi.name)}  [{kpi.key}]"
    level = "" if cell.level == "commune" and not cell.target else f" · {both(LEVEL_WORDS[cell.level])}"
    yield f"{cell.commune} {answer.commune_name}{level} · {cell.day:%d/%m/%Y} · danh mục · list {cell.geography}"
    yield f"= {number(answer.published, kpi.unit)} {both(UNITS[kpi.unit]) if kpi.unit not in ('word', 'moment', 'number') else ''}".rstrip()
    if told.hidden:
        yield hidden(told)
    if answer.release:
        r = answer.release
        what = "theo bản phát hành · as published in release" if answer.asked_release else "bản phát hành · release"
        yield f"{what} {r['release_id']} ({r['published_at']:%d/%m/%Y %H:%M}), completeness {answer.beside.completeness}"
    if answer.asked_release and answer.published != told.value:
        yield f"nay · now = {number(told.value, kpi.unit)}"
    for problem in answer.problems:
        yield ""
        yield f"!!! KHÔNG KHỚP · DOES NOT AGREE: {problem.vi}"
        yield f"    {problem.en}"
    yield ""
    yield "1. Công thức · Formula"
    for line in dict.fromkeys((kpi.definition.vi, kpi.definition.en, f"= {kpi.formula.vi}", f"= {kpi.formula.en}")):
        yield f"   {line}"
    yield f"   {both(answer.grain)}; {both(PERIODS[kpi.period])}"
    yield f"   {', '.join(kpi.rule)}; {', '.join(kpi.sources) or '—'}"
    yield ""
    yield "2. Số đếm · Counts"
    yield from _counts(told, "   ")
    yield ""
    yield "3. Thực thể, tệp và dòng · Entities, files and rows"
    yield from _listed(told, limit)
    yield ""
    yield "4. Bên cạnh · Beside it"
    yield from (f"   {line}" for line in beside_lines(answer))
    if answer.restatements:
        yield ""
        yield "5. Vì sao đã thay đổi · Why it moved"
        yield from (f"   {line}" for line in restatement_lines(answer))


def _counts(told: Explanation, indent: str, role: str = "") -> Iterator[str]:
    label = f"{both(PART_WORDS[role])}: " if role else ""
    since = "…" if told.since == BEGINNING else told.since
    days = f", {since} – {told.until}" if told.since != told.until else ("" if told.until == told.cell.day else f", {told.until}")
    counted = f", {len(told.entities)} {both(Words('thực thể', 'entities'))}" if told.entities else ""
    mark = "" if told.found == told.value else f"  !!! ≠ {number(told.found, told.kpi.unit)}"
    yield f"{indent}{label}{told.kpi.key} = {number(told.value, told.kpi.unit)}{days}{counted}{mark}"
    if told.hidden and role:
        yield f"{indent}   {hidden(told)}"
    for note in told.notes:
        yield f"{indent}   {both(note)}"
    for part_role, part in told.parts:
        yield from _counts(part, indent + "   ", part_role)


def walk(told: Explanation, path: str = "") -> Iterator[tuple[str, Explanation]]:
    """An explanation and its parts, each with its path (key/key); what a part lists again is left to it where the whole lists it already."""
    here = f"{path}/{told.kpi.key}" if path else told.kpi.key
    yield here, told
    if not told.entities:
        for _, part in told.parts:
            yield from walk(part, here)


def _listed(told: Explanation, limit: int) -> Iterator[str]:
    for path, one in walk(told):
        if one.ranked:
            yield f"   {path}: {number(one.value)} / {len(one.ranked)}"
            for unit in around(one, limit):
                yield f"   {unit.rank:>5}  {unit.unit} {unit.name}: {unit.value} ÷ {unit.target} = {number(unit.attainment, 'times')}"
            if len(one.ranked) > limit:
                yield f"          … {len(one.ranked) - limit} nữa · more (LIMIT={len(one.ranked)}, FORMAT=csv)"
        if not one.entities:
            continue
        agrees = "bằng ô · equals the cell" if one.found == one.value else f"!!! ô ghi · the cell says {number(one.value, one.kpi.unit)}"
        agrees = "bị ẩn trong bi · hidden in bi" if one.hidden and one.found == one.value else agrees
        yield f"   {path}: {number(one.found, one.kpi.unit)} ({agrees})"
        for nth, entity in enumerate(one.entities[:limit], 1):
            amount = f"  {number(entity.amount)} đ" if one.kpi.unit == "vnd" else (f"  {number(entity.amount)}" if one.kpi.kind == "sum" else "")
            yield f"   {nth:>5}  {entity.shown}{amount}"
            for row in entity.rows:
                yield f"            {both(ROLES[row.role])}: {row.note + '  ←  ' if row.note else '←  '}{place(row)}"
        if len(one.entities) > limit:
            yield f"          … {len(one.entities) - limit} nữa · more (LIMIT={len(one.entities)}, FORMAT=csv)"


def around(told: Explanation, limit: int) -> list[Ranked]:
    """Of the ranked units at most ``limit``, in order: the best, or those about the unit itself."""
    at = next((n for n, unit in enumerate(told.ranked) if unit.unit == told.cell.commune), 0)
    first = max(0, min(at - limit // 2, len(told.ranked) - limit))
    return told.ranked[first : first + limit]


def beside_lines(answer: Answer) -> Iterator[str]:
    """What stood aside, one line each."""
    side = answer.beside
    yield f"completeness: {side.completeness or '—'}"
    for one in side.carried:
        last = f"{one['last_day']:%d/%m/%Y}" if one["last_day"] else "—"
        yield f"{one['platform']}/{one['dataset']}: không có của ngày, giữ trạng thái từ · none of the day, carried since {last}"
    for one in side.refused:
        yield f"{one['source']}/{one['dataset']} {one['business_day']} v{one['version']} [{one['state']}] {one['file'] or ''}: {one['reason']}".rstrip(": ")
    for key, (n, names) in side.unmatched.items():
        yield f"{key} = {number(n)}{': ' if names else ''}{', '.join(names)}{' …' if n > len(names) else ''}"
    for key, n in side.unknown.items():
        yield f"00000 {key} = {number(n)} (chưa biết xã · commune unknown)"
    of_commune = [q for q in side.quarantined if q["commune"]]
    untold = len(side.quarantined) - len(of_commune)
    yield f"cách ly · in quarantine: {len(of_commune)} (xã này · this commune), {untold} (không rõ xã · commune cannot be told)"
    for q in [*of_commune, *(q for q in side.quarantined if not q["commune"])][:20]:
        where = f"{q['source']}/{q['dataset']} {q['business_day']} v{q['version']} {q['file'] or ''} dòng · row {q['file_row']}"
        yield f"   {where}: {q['row_key'] or ''} {q['rule_id']} {q['rule']}"


def restatement_lines(answer: Answer) -> Iterator[str]:
    """Each move of the published value: from, to, why, by which delivery."""
    for move in answer.restatements:
        by = f"{move['source']}/{move['dataset']} {move['business_day']} v{move['version']} {move['file'] or ''}" if move["source"] else "—"
        yield f"release {move['release_id']}: {number(move['old_value'])} → {number(move['new_value'])}; {move['reason']}; {by}".rstrip()


def shared_rest(told: Explanation, portion: Portion) -> int:
    """What of a shared place's entities counts in other units: the negative number that makes the list add up to the cell."""
    return portion.taken - sum(int(e.amount or 0) for e in told.entities if e.place == portion.place.code) if portion.place.is_shared else 0


def csv_rows(answer: Answer) -> Iterator[tuple[Any, ...]]:
    """One row per entity and row of a delivery, whole; an entity's amount stands once, so that the column adds up to the cell."""
    cell = answer.explanation.cell
    for path, one in walk(answer.explanation):
        head = (cell.geography, cell.level, cell.commune, cell.day, f"{cell.target}/{cell.kpi or 'all'}" if cell.target else cell.kpi, path, one.value)

        def line(entity: str | None = None, role: str | None = None, note: str | None = None, head: tuple[Any, ...] = head) -> tuple[Any, ...]:
            return (*head, entity, None, role, note, *([None] * (len(CSV_COLUMNS) - len(head) - 4)))

        if one.hidden:
            yield line(None, "hidden_in_bi", one.hidden.en)
        if cell.target and one.notes:
            yield line(None, "formula", "; ".join(note.en for note in one.notes))
        elif not one.entities:
            yield line()
        for unit in one.ranked:
            yield line(unit.unit, "ranked", f"{unit.rank}: {unit.value} / {unit.target} = {unit.attainment}")
        for entity in one.entities:
            yield from ((*head, *of_row) for of_row in _lines(entity))
        for portion in one.portions:
            if rest := shared_rest(one, portion):
                yield (*head, portion.place.code, rest, "shared_out", f"{one.found} of this unit", *([None] * (len(CSV_COLUMNS) - len(head) - 4)))


def _lines(entity: Entity) -> Iterable[tuple[Any, ...]]:
    for nth, row in enumerate(entity.rows):
        amount = entity.amount if nth == 0 else None
        yield (
            entity.shown, amount, row.role, row.note, row.source, row.dataset, row.unit, row.business_day, row.version, row.state, row.file, row.file_row,
            row.source_row, row.landing_path,
        )  # fmt: skip


def write_csv(answer: Answer, out: TextIO) -> None:
    """UTF-8 with headings, no cell of which a spreadsheet would make a formula."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([[neutral(value) for value in row] for row in csv_rows(answer)])
