"""Faults in the districts' forms. A form is struck when its register and its as-of date are those of the switch: the first district's; see `catalogue`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from simulators.faults import text
from simulators.faults.files import SPOIL
from simulators.faults.switch import Fault, Struck

if TYPE_CHECKING:
    from simulators.registers import Districts, Draft, Form, Sheet

REGISTERS = ("R1", "R1B", "R2", "R3", "R4", "R5")
STRIKE: dict[str, Callable[[Form, Fault, Notes], None]] = {}
#: Columns that a person merges too, where neighbours are equal.
MERGED = {
    "R1": ("Mã xã",), "R2": ("Đã tập huấn", "Ngày tập huấn", "Đơn vị tập huấn"), "R3": ("Giai đoạn", "Hạn hoàn thành"), "R4": ("Thôn", "Mặt hàng chủ lực"),
    "R5": ("Từ ngày",),
}  # fmt: skip
COUNTS = ("STT", "Tổng số hộ", "Hộ nông nghiệp", "Hộ kinh doanh", "Hộ nghèo", "Số nhân khẩu", "Năm sinh", "Số hộ", "Số tổ")
CODES = ("Mã xã", "Số CCCD chủ hộ", "Số điện thoại", "Mã hộ")
DATES = ("Ngày cập nhật", "Ngày tập huấn", "Ngày QĐ", "Hạn hoàn thành", "Ngày công nhận", "Ngày thôi công nhận", "Từ ngày", "Đến ngày")


class Notes(list[Struck]):
    """What was struck in a form."""

    def __call__(self, f: Fault, effect: str, keys: Sequence[str] = (), says: dict[str, dict[str, Any]] | None = None) -> None:
        self.append(Struck(f.name, f.day, f.dataset, effect, tuple(keys), says or {}))


def plan(districts: Districts, on: Sequence[Fault]) -> list[tuple[Draft, list[Fault]]]:
    """Every form that is to come, with the faults that strike it."""
    mine = [f for f in on if f.dataset in REGISTERS]
    drafts = districts.usual()
    there = {(d.register, d.as_of) for d in drafts}
    for register, day in sorted({(f.dataset, f.day) for f in mine} - there):
        sent = districts.of(register, day)
        drafts += moved_lists(sent) if any(f.name == "F87" and (f.dataset, f.day) == (register, day) for f in mine) else sent[:1]
    first: set[tuple[str, date]] = set()
    found = []
    for draft in drafts:
        place = draft.register, draft.as_of
        hit = [f for f in mine if (f.dataset, f.day) == place and (place not in first or f.name == "F87")]
        first.add(place)
        found.append((draft, hit))
    return found


def moved_lists(sent: list[Draft]) -> list[Draft]:
    """F87: the lists of two communes, of which the second has the first one's first household."""

    def build(form: Form) -> None:
        sent[1].build(form)
        other = sent[0].form().sheets[0].rows[0]
        rows = form.sheets[0].rows
        rows.append([len(rows) + 1, *other[1:5], rows[0][5], *other[6:]])

    return [sent[0], replace(sent[1], build=build)]


def names(name: str, struck: Sequence[Fault]) -> list[str]:
    """The file's names: with F79 twice."""
    stem = name.removesuffix(".xlsx")
    return [name, f"{stem} (1).xlsx"] if any(f.name == "F79" for f in struck) else [name]


def struck_form(draft: Draft, struck: Sequence[Fault]) -> tuple[Form, Notes]:
    """A form with its faults, and what they struck."""
    form, notes = draft.form(), Notes()
    for f in struck:
        if f.name in STRIKE:
            STRIKE[f.name](form, f, notes)
        else:
            notes(f, "file")
    return form, notes


def content(draft: Draft, struck: Sequence[Fault]) -> bytes:
    """The bytes of a form with its faults."""
    made = struck_form(draft, struck)[0].content()
    for f in struck:
        made = SPOIL[f.name](made, f) if f.name in SPOIL else made
    return made


def strikes(name: str) -> Callable[[Callable[[Form, Fault, Notes], None]], Callable[[Form, Fault, Notes], None]]:
    """Register what a fault does to a form."""

    def register(f: Callable[[Form, Fault, Notes], None]) -> Callable[[Form, Fault, Notes], None]:
        STRIKE[name] = f
        return f

    return register


def cells(form: Form, headings: Sequence[str], change: Callable[[Any], Any]) -> None:
    """Change all values of some columns, where the form has them."""
    for s in form.sheets:
        known = [h[1] if isinstance(h, tuple) else h for h in s.headings]
        for column in [n for n, h in enumerate(known) if h in headings]:
            for row in s.rows:
                if row[column] is not None:
                    row[column] = change(row[column])


def key(s: Sheet, row: Sequence[Any]) -> str:
    """What names a row: its household, else commune and hamlet, else its second column."""
    known = [h[1] if isinstance(h, tuple) else h for h in s.headings]
    if "Mã hộ" in known:
        return str(row[known.index("Mã hộ")])
    return " / ".join(str(row[known.index(h)]) for h in ("Tên xã", "Thôn/Bản/Khối phố") if h in known) or str(row[1])


@strikes("F52")
def wrong_date(form: Form, f: Fault, notes: Notes) -> None:
    for s in form.sheets:
        s.as_of = form.as_of - timedelta(days=f.number(30))
    notes(f, "file")


@strikes("F53")
def total_off(form: Form, f: Fault, notes: Notes) -> None:
    s = form.sheets[0]
    row = s.rows[0]
    column = s.column({"R3": "Số hộ"}.get(form.register, "Tổng số hộ"))
    row[column] = _count(row[column]) + f.number(5)
    notes(f, "changed", [key(s, row)], {key(s, row): {"Tổng số hộ": row[column]}})


def _count(value: Any) -> int:
    return int(str(value).replace(".", ""))


@strikes("F68")
def tcvn3(form: Form, f: Fault, notes: Notes) -> None:
    for s in form.sheets:
        s.rows = [[text.tcvn3(v).decode("latin-1") if isinstance(v, str) else v for v in row] for row in s.rows]
    notes(f, "file")


@strikes("F76")
def more_merged(form: Form, f: Fault, notes: Notes) -> None:
    for s in form.sheets:
        s.merge = tuple(sorted({*s.merge, *(s.column(h) for h in MERGED[form.register])}))
    notes(f, "file")


@strikes("F77")
def numbers_as_text(form: Form, f: Fault, notes: Notes) -> None:
    cells(form, COUNTS, lambda v: str(v))
    cells(form, CODES, lambda v: int(v) if str(v).isdigit() else v)
    notes(f, "file")


@strikes("F78")
def serial_dates(form: Form, f: Fault, notes: Notes) -> None:
    def serial(value: Any) -> Any:
        day = datetime.strptime(value, "%d/%m/%Y").date() if isinstance(value, str) else value
        return (day - date(1899, 12, 30)).days

    cells(form, DATES, serial)
    notes(f, "file")


@strikes("F84")
def unknown_household(form: Form, f: Fault, notes: Notes) -> None:
    hit = [(s, row) for s in form.sheets for row in s.rows][: f.number(1)]
    for n, (s, row) in enumerate(hit):
        row[s.column("Mã hộ")] = f"2000000999{n:04d}"
    notes(f, "changed", [key(s, row) for s, row in hit])


@strikes("F85")
def unclear_commune(form: Form, f: Fault, notes: Notes) -> None:
    """All rows of the first commune under a name that was closed, or (`ambiguous`) the bare name of three units; no code."""
    name = "Chi Lăng" if f.value == "ambiguous" else "Xã Vân An (cũ)"
    _rename(form, f, notes, name, None)


@strikes("F86")
def merged_commune(form: Form, f: Fault, notes: Notes) -> None:
    """All rows of the first commune under a name and code of the list of 2025."""
    _rename(form, f, notes, "Xã Châu Sơn", "06637")


def _rename(form: Form, f: Fault, notes: Notes, name: str, code: str | None) -> None:
    s = form.sheets[0]
    known = [h[1] if isinstance(h, tuple) else h for h in s.headings]
    at = known.index("Tên xã") if "Tên xã" in known else 1
    first = s.rows[0][at]
    hit = [row for row in s.rows if row[at] == first]
    for row in hit:
        row[at] = name
        if "Mã xã" in known:
            row[known.index("Mã xã")] = code
    if s.commune == first:
        s.commune, s.tab = name, name
    notes(f, "changed", [key(s, row) for row in hit], {"*": {"Tên xã": name, "was": first}})


@strikes("F87")
def moves(form: Form, f: Fault, notes: Notes) -> None:
    """The first household is in the list of the second commune and not in the first one's (see `moved_lists`)."""
    s = form.sheets[0]
    if not notes_of_arrival(s):
        gone = s.rows.pop(0)
        notes(f, "withdrawn", [gone[1]])
    else:
        notes(f, "added", [s.rows[-1][1]], {s.rows[-1][1]: {"Thôn": s.rows[-1][5]}})


def notes_of_arrival(s: Sheet) -> bool:
    """Whether the last household came from another commune: its code carries that one's number."""
    return s.rows[-1][1][2:7] != s.rows[0][1][2:7]


@strikes("F90")
def denominator(form: Form, f: Fault, notes: Notes) -> None:
    """R1 as of D: `revised` (a tenth more households in each hamlet), `zero`, `below` (one household a hamlet), or `missing` (the first commune is not in it)."""
    kind = f.value or "revised"
    first = form.sheets[0].rows[0][2]
    for s in form.sheets:
        name, total = s.column("Tên xã"), s.column("Tổng số hộ")
        if kind == "missing":
            s.rows = [row for row in s.rows if row[name] != first]
        for row in s.rows:
            if kind == "revised" or (kind in ("zero", "below") and row[name] == first):
                now = {"revised": -(-_count(row[total]) * 11 // 10), "zero": 0, "below": 1}[kind]
                for h in ("Hộ nông nghiệp", "Hộ kinh doanh", "Hộ nghèo"):
                    row[s.column(h)] = min(now, row[s.column(h)])
                row[total] = now
        _sum_again(s, total)
    form.sheets = [s for s in form.sheets if s.rows]
    keys = [first] if kind != "revised" else sorted({row[2] for s in form.sheets for row in s.rows})
    notes(
        f,
        "withdrawn" if kind == "missing" else "changed",
        keys,
        {k: {"Tổng số hộ": sum(_count(r[4]) for s in form.sheets for r in s.rows if r[2] == k)} for k in keys},
    )


def _sum_again(s: Sheet, total: int) -> None:
    """Sub-totals and total of the rows as they are now."""
    persons = s.column("Số nhân khẩu")

    def sums(rows: list[list[Any]]) -> dict[int, int]:
        return {total: sum(_count(r[total]) for r in rows), persons: sum(_count(r[persons]) for r in rows)}

    if s.groups:
        names = list(dict.fromkeys(row[2] for row in s.rows))
        parts = [[row for row in s.rows if row[2] == n] for n in names]
        ends = [sum(map(len, parts[: k + 1])) for k in range(len(parts))]
        s.groups = [(end, sums(part)) for end, part in zip(ends, parts, strict=True)]
    s.totals = sums(s.rows)
