"""The districts' forms R1–R5 as people fill them in (§12): heads, merged cells, sub-totals, footers; one file per commune or per district."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import xlsxwriter

from simulators.clock import aware
from simulators.faults import Fault, forms
from simulators.world import World

AS_OF = date(2021, 7, 15)
WEEKLY = date(2021, 9, 10)
#: What comes of its own accord, as of when.
USUAL = {"R1": AS_OF, "R3": AS_OF, "R2": WEEKLY, "R4": WEEKLY, "R5": AS_OF, "R1B": AS_OF}
ROLES = {"HEAD": "Tổ trưởng", "DEPUTY": "Tổ phó", "MEMBER": "Thành viên"}
R1 = (
    "STT",
    "Mã xã",
    "Tên xã",
    "Thôn/Bản/Khối phố",
    "Tổng số hộ",
    ("Trong đó", "Hộ nông nghiệp"),
    ("Trong đó", "Hộ kinh doanh"),
    "Hộ nghèo",
    "Số nhân khẩu",
    "Trưởng thôn",
    "Ghi chú",
)
R1B = ("STT", "Mã hộ", "Họ tên chủ hộ", "Số CCCD chủ hộ", "Số điện thoại", "Thôn", "Số nhân khẩu", "Ngày cập nhật")
R2 = (
    "STT",
    "Tên xã",
    "Thôn/Bản/Khối phố",
    "Số, ngày QĐ thành lập",
    "Họ và tên",
    "Năm sinh",
    "Chức vụ",
    "Nhiệm vụ trong tổ",
    "Số điện thoại",
    "Đã tập huấn",
    "Ngày tập huấn",
    "Đơn vị tập huấn",
    "Ghi chú",
)
R3 = (
    "STT", "Đơn vị", "Cấp giao", "Tổng số hộ", ("Hộ có cửa hàng số", "Tỷ lệ (%)"), ("Hộ có cửa hàng số", "Số hộ"), ("Hộ có TK thanh toán điện tử", "Tỷ lệ (%)"),
    ("Hộ có TK thanh toán điện tử", "Số hộ"), ("Hộ đầu tàu", "Tỷ lệ (%)"), ("Hộ đầu tàu", "Số hộ"), ("Tổ công nghệ cộng đồng", "Số tổ"), "Giai đoạn", "Số QĐ", "Ngày QĐ",
    "Hạn hoàn thành",
)  # fmt: skip
R4 = (
    "STT",
    "Tên xã",
    "Thôn",
    "Mã hộ",
    "Họ tên chủ hộ",
    "Số điện thoại",
    "Mặt hàng chủ lực",
    "Sàn (Postmart/Vỏ Sò/Cả hai)",
    "Mã gian hàng",
    "Ngày công nhận",
    "Ngày thôi công nhận",
    "Ghi chú",
)
R5 = ("STT", "Tên huyện", "Tên xã", "Doanh nghiệp phụ trách (Bưu điện tỉnh/Viettel Post/Cả hai)", "Từ ngày", "Đến ngày")


@dataclass
class Sheet:
    """A sheet in the common layout before it is written. Rows from row 8 on (9 or 10 under more heading rows); equal neighbours of ``merge`` columns become
    one merged cell; ``groups``: after that many rows a line `Cộng` with these sums."""

    tab: str
    district: str
    commune: str | None
    title: str
    headings: Sequence[Any]
    rows: list[list[Any]]
    as_of: date
    merge: Sequence[int] = ()
    totals: dict[int, int] | None = None
    groups: Sequence[tuple[int, dict[int, int]]] = ()
    numbered: bool = False

    def column(self, heading: str) -> int:
        """Where a heading stands; of a double one its lower part."""
        return [h[1] if isinstance(h, tuple) else h for h in self.headings].index(heading)


@dataclass
class Form:
    """One workbook of a register; `plain` ones are long and are streamed, without merged cells."""

    register: str
    as_of: date
    plain: bool = False
    sheets: list[Sheet] = field(default_factory=list)

    def sheet(
        self, tab: str, district: str, commune: str | None, title: str, headings: Sequence[Any], rows: Sequence[Sequence[Any]], *,
        merge: Sequence[int] = (), totals: dict[int, int] | None = None, groups: Sequence[tuple[int, dict[int, int]]] = (), numbered: bool = False,
    ) -> None:  # fmt: skip
        """Add a sheet."""
        self.sheets.append(Sheet(tab, district, commune, title, headings, [list(row) for row in rows], self.as_of, merge, totals, groups, numbered))

    def content(self) -> bytes:
        """The workbook."""
        out = io.BytesIO()
        with xlsxwriter.Workbook(out, {"constant_memory": self.plain, "in_memory": True}) as book:
            book.set_properties({"created": datetime.combine(self.as_of, time(16))})
            for s in self.sheets:
                (_list if self.plain else _sheet)(book, s)
        return out.getvalue()


def _sheet(book: xlsxwriter.Workbook, s: Sheet) -> None:
    bold = book.add_format({"bold": True})
    center = book.add_format({"bold": True, "align": "center", "valign": "vcenter"})
    page = book.add_worksheet(s.tab[:31])
    page.write(0, 0, f"UBND {s.district.upper()}")
    page.write(0, 5, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM")
    if s.commune:
        page.write(1, 0, f"UBND {s.commune.upper()}")
    page.write(1, 5, "Độc lập - Tự do - Hạnh phúc")
    page.merge_range(3, 0, 3, len(s.headings) - 1, s.title, center)
    page.merge_range(4, 0, 4, len(s.headings) - 1, f"(Số liệu tính đến ngày {s.as_of:%d/%m/%Y})", center)
    double = any(isinstance(h, tuple) for h in s.headings)
    column = 0
    while column < len(s.headings):
        h = s.headings[column]
        if isinstance(h, tuple):
            last = column
            while last + 1 < len(s.headings) and isinstance(s.headings[last + 1], tuple) and s.headings[last + 1][0] == h[0]:
                last += 1
            if last > column:
                page.merge_range(6, column, 6, last, h[0], center)
            else:
                page.write(6, column, h[0], center)
            for k in range(column, last + 1):
                page.write(7, k, s.headings[k][1], center)
            column = last + 1
        else:
            if double:
                page.merge_range(6, column, 7, column, h, center)
            else:
                page.write(6, column, h, center)
            column += 1
    n = 8 if double else 7
    if s.numbered:
        page.write_row(n, 0, [f"({k})" for k in range(1, len(s.headings) + 1)])
        n += 1
    after = dict(s.groups)
    starts: dict[int, int] = {}
    placed = []
    for k, row in enumerate(s.rows, 1):
        placed.append(n)
        for c, value in enumerate(row):
            if value is None:
                continue
            if (
                c in s.merge
                and k > 1
                and all(s.rows[k - 2][m] == row[m] for m in s.merge if m <= c)
                and starts.get(c) is not None
                and placed[-1] == placed[-2] + 1
            ):
                continue
            if c in s.merge:
                starts[c] = n
            if isinstance(value, date):
                page.write_string(n, c, f"{value:%d/%m/%Y}")
            else:
                page.write(n, c, value)
        n += 1
        if k in after:
            page.write(n, 1, "Cộng", bold)
            for c, value in after[k].items():
                page.write(n, c, value)
            n += 1
            starts.clear()
    for c in s.merge:
        _merge(page, c, s.merge, s.rows, placed)
    if s.totals:
        page.write(n, 1, "Tổng cộng", bold)
        for c, value in s.totals.items():
            page.write(n, c, value)
        n += 1
    page.write(n + 1, 1, "NGƯỜI LẬP BIỂU")
    page.write(n + 1, 5, "CHỦ TỊCH")


def _merge(page: Any, column: int, merge: Sequence[int], rows: Sequence[Sequence[Any]], placed: list[int]) -> None:
    start = 0
    for k in range(1, len(rows) + 1):
        same = k < len(rows) and placed[k] == placed[k - 1] + 1 and all(rows[k][m] == rows[start][m] for m in merge if m <= column)
        if not same:
            if k - start > 1 and rows[start][column] is not None:
                page.merge_range(placed[start], column, placed[k - 1], column, rows[start][column])
            start = k


def _list(book: xlsxwriter.Workbook, s: Sheet) -> None:
    """A household list: one heading row, nothing merged."""
    page = book.add_worksheet(s.tab[:31])
    for n, text in ((0, f"UBND {s.district.upper()}"), (1, f"UBND {str(s.commune).upper()}"), (3, s.title), (4, f"(Số liệu tính đến ngày {s.as_of:%d/%m/%Y})")):
        page.write_string(n, 0, text)
    page.write_row(6, 0, s.headings)
    for n, row in enumerate(s.rows, 7):
        for c, value in enumerate(row):
            if value is None:
                continue
            if isinstance(value, str):
                page.write_string(n, c, value)
            else:
                page.write_number(n, c, value)
    page.write_string(len(s.rows) + 8, 1, "NGƯỜI LẬP BIỂU")


@dataclass(frozen=True)
class Draft:
    """A form that a district sends; ``build`` puts its sheets in."""

    register: str
    name: str
    as_of: date
    build: Callable[[Form], None]

    def form(self) -> Form:
        """The form as it should be."""
        form = Form(self.register, self.as_of, plain=self.register == "R1B")
        self.build(form)
        return form


class Districts:
    """Who sends which form."""

    def __init__(self, world: World) -> None:
        self.w = world
        self.districts: dict[str, list[int]] = {}
        for i, c in enumerate(world.communes):
            self.districts.setdefault(c.district_code, []).append(i)
        self.members: dict[int, list[Any]] = {}
        for m in world.members:
            self.members.setdefault(m.commune, []).append(m)
        self.leads: dict[int, list[Any]] = {}
        for lead in world.leads:
            self.leads.setdefault(world.households[lead.household].commune, []).append(lead)
        self.households: dict[int, list[Any]] = {}
        for h in world.households:
            self.households.setdefault(h.commune, []).append(h)

    def usual(self) -> list[Draft]:
        """What all districts send of their own accord."""
        return [d for register, as_of in USUAL.items() for d in self.of(register, as_of)]

    def of(self, register: str, as_of: date) -> list[Draft]:
        """The forms of a register as of a day, district by district (R1B: commune by commune)."""
        found = []
        for k, (code, mine) in enumerate(self.districts.items()):
            name = self.w.communes[mine[0]].district_name
            if register == "R1B":
                found += [self._r1b(code, name, i, as_of) for i in mine]
                continue
            build = {
                "R1": partial(_r1, self.w, name, mine, self.households, one_sheet=k % 2 == 0), "R2": partial(_r2, self.w, name, mine, self.members, one_sheet=k % 2 == 1),
                "R3": partial(_r3, self.w, name, mine, self.households), "R4": partial(_r4, self.w, name, mine, self.leads), "R5": partial(_r5, self.w, name, mine),
            }[register]  # fmt: skip
            found.append(Draft(register, f"Bieu0{register[1]}_{code}_{as_of:%Y%m%d}.xlsx", as_of, build))
        return found

    def _r1b(self, code: str, district: str, commune: int, as_of: date) -> Draft:
        c = self.w.communes[commune]

        def build(form: Form) -> None:
            rows = [(n, h.code, h.head, h.citizen, h.phone, h.hamlet, h.persons, "10/07/2021") for n, h in enumerate(self.households.get(commune, []), 1)]
            form.sheet(c.name, district, c.name, "DANH SÁCH HỘ GIA ĐÌNH", R1B, rows)

        return Draft("R1B", f"Bieu01b_{code}_{c.code}_{as_of:%Y%m%d}.xlsx", as_of, build)


class Inbox:
    """The folder of the districts' forms, brought up to a day and to the faults that are on. A form is written once, and again when other faults strike it;
    what somebody does to the folder is left."""

    def __init__(self, world: World, folder: Path, record: Path | None = None) -> None:
        self.districts, self.folder, self.record = Districts(world), folder, record
        folder.mkdir(parents=True, exist_ok=True)
        self.sent: dict[str, list[Any]] = json.loads(record.read_text()) if record and record.exists() else {}

    def refresh(self, until: date, on: Sequence[Fault] = ()) -> list[Path]:
        """Write what has come before ``until`` and is not there, or is there with other faults; take away what only a fault had sent."""
        done, wanted = [], set()
        for draft, struck in forms.plan(self.districts, on):
            if draft.as_of >= until:
                continue
            signs = [str(f) for f in struck]
            for name in forms.names(draft.name, struck):
                wanted.add(name)
                before, times = self.sent.get(name, [None, 0])
                if before is None and (self.folder / name).exists() and not signs:
                    self.sent[name] = [[], 0]
                elif before != signs:
                    self.sent[name] = [signs, times + 1]
                    done.append(self._send(name, draft.as_of, forms.content(draft, struck), times))
        for name in [n for n, (signs, _) in self.sent.items() if n not in wanted and signs]:
            (self.folder / name).unlink(missing_ok=True)
            del self.sent[name]
        if self.record:
            self.record.write_text(json.dumps(self.sent))
        return done

    def _send(self, name: str, as_of: date, content: bytes, times: int) -> Path:
        """At 09:00 of the day after its date; what is sent again comes an hour later each time."""
        moment = aware(datetime.combine(as_of + timedelta(days=1), time(9)) + timedelta(hours=times)).timestamp()
        partial_file = self.folder / f".{name}.part"
        partial_file.write_bytes(content)
        os.utime(partial_file, (moment, moment))
        os.replace(partial_file, self.folder / name)
        return self.folder / name


def write(world: World, inbox: Path, until: date | None = None, on: Sequence[Fault] = ()) -> list[Path]:
    """All forms that have come by ``until``; those that lie there already are left."""
    return Inbox(world, inbox).refresh(until or date.max, on)


def _r1(world: World, district: str, mine: list[int], by_commune: dict[int, list[Any]], form: Form, *, one_sheet: bool) -> None:
    title = "BIỂU SỐ 01: TỔNG HỢP SỐ HỘ THEO THÔN, BẢN, KHỐI PHỐ"
    everything: list[tuple[Any, ...]] = []
    groups: list[tuple[int, dict[int, int]]] = []
    for i in mine:
        c = world.communes[i]
        households: dict[str, list[Any]] = {}
        for h in by_commune.get(i, []):
            households.setdefault(h.hamlet, []).append(h)
        rows = []
        for n, hamlet in enumerate(c.hamlets, 1):
            live = households.get(hamlet, [])
            if not live:
                continue
            count = len(live)
            code = c.code.lstrip("0") if i % 3 == 0 else c.code
            rows.append(
                (
                    n,
                    code,
                    c.name,
                    hamlet,
                    f"{count:,}".replace(",", ".") if count >= 1000 else count,
                    count * 8 // 10,
                    count // 10,
                    count // 15,
                    sum(h.persons for h in live),
                    live[0].head,
                    None,
                )
            )
        sums = {4: sum(len(households.get(h, [])) for h in c.hamlets), 8: sum(h.persons for h in by_commune.get(i, []))}
        if one_sheet:
            everything += rows
            groups.append((len(everything), sums))
        else:
            form.sheet(c.name, district, c.name, title, R1, rows, merge=(2,), totals=sums, numbered=True)
    if one_sheet:
        total = {k: sum(g[k] for _, g in groups) for k in (4, 8)}
        form.sheet("Biểu 01", district, None, title, R1, everything, merge=(2,), groups=groups, totals=total, numbered=True)


def _r2(world: World, district: str, mine: list[int], members: dict[int, list[Any]], form: Form, *, one_sheet: bool) -> None:
    title = "BIỂU SỐ 02: DANH SÁCH TỔ CÔNG NGHỆ CỘNG ĐỒNG"
    everything: list[tuple[Any, ...]] = []
    for i in mine:
        c = world.communes[i]
        rows = [
            (
                n, c.name, m.hamlets, m.decision, m.name, m.birth, m.position, ROLES[m.role], f"0900{n:06d}", "Có" if m.trained and n % 7 else ("x" if m.trained else ("Không" if n % 2 else None)),
                m.trained, ("Bưu điện tỉnh" if n % 2 else "Viettel Post") if m.trained else None, None,
            )
            for n, m in enumerate(members.get(i, []), 1)
        ]  # fmt: skip
        if one_sheet:
            everything += [(len(everything) + n, *row[1:]) for n, row in enumerate(rows, 1)]
        elif rows:
            form.sheet(c.name, district, c.name, title, R2, rows, merge=(1, 2, 3))
    if one_sheet or not form.sheets:
        form.sheet("Biểu 02", district, None, title, R2, everything, merge=(1, 2, 3))


def _r3(world: World, district: str, mine: list[int], by_commune: dict[int, list[Any]], form: Form) -> None:
    """Every commune's targets; under every fifth those of a hamlet, with counts where the commune has rates, and of a cooperative."""
    rows: list[tuple[Any, ...]] = []
    for n, i in enumerate(mine, 1):
        c = world.communes[i]
        count = len(by_commune.get(i, []))
        due = (date(2021, 9, 20) if c.phase == 1 else date(2021, 11, 20)) + world.moved
        rate: Any = (50, "50%", 0.5)[n % 3]
        given = -(-count // 2) if n % 2 else None
        decision = (c.phase, f"{n}/QĐ-UBND", date(2021, 7, 14), due)
        rows.append((len(rows) + 1, c.name, "Xã", count, rate, given, 50, -(-count // 2), "10%", None, len(c.hamlets), *decision))
        if n % 5 == 1:
            live = sum(h.hamlet == c.hamlets[0] for h in by_commune.get(i, []))
            rows.append((len(rows) + 1, c.hamlets[0], "Thôn", live, "60%", -(-live * 3 // 5), "0,4", None, 10, 1, 1, *decision))
            rows.append((len(rows) + 1, f"HTX Nông sản {c.name}", "Hợp tác xã", 9 + n, 70, None, 50, 5, "20%", None, 0, *decision))
    form.sheet("Biểu 03", district, None, "BIỂU SỐ 03: GIAO CHỈ TIÊU PHÁT TRIỂN KINH TẾ SỐ", R3, rows, numbered=True)


def _r4(world: World, district: str, mine: list[int], leads: dict[int, list[Any]], form: Form) -> None:
    rows: list[tuple[Any, ...]] = []
    for i in mine:
        for lead in leads.get(i, []):
            h = world.households[lead.household]
            both = len(lead.stores) > 1
            where = "Cả hai" if both else ("Postmart" if "PM" in lead.stores else "Vỏ Sò")
            rows.append((
                len(rows) + 1, world.communes[i].name, h.hamlet, h.code, h.head, h.phone, lead.goods, where, "; ".join(lead.stores.values()) or None, lead.recognised,
                lead.withdrawn, None,
            ))  # fmt: skip
    form.sheet("Biểu 04", district, None, "BIỂU SỐ 04: DANH SÁCH HỘ ĐẦU TÀU", R4, rows, merge=(1,))


def _r5(world: World, district: str, mine: list[int], form: Form) -> None:
    rows = [(n, district, world.communes[i].name, ("Bưu điện tỉnh", "Viettel Post", "Cả hai")[n % 3], date(2021, 7, 20), None) for n, i in enumerate(mine, 1)]
    form.sheet("Phân công", district, None, "BIỂU SỐ 05: PHÂN CÔNG ĐỊA BÀN", R5, rows, merge=(1,))
