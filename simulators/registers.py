"""The districts' forms R1–R5 as people fill them in (§12): heads, merged cells, sub-totals, footers; one file per commune or per district."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import xlsxwriter

from simulators.clock import aware
from simulators.world import World

AS_OF = date(2021, 7, 15)
WEEKLY = date(2021, 9, 10)
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


class Form:
    """One workbook; `sheet` adds a sheet in the common layout."""

    def __init__(self, path: Path, as_of: date) -> None:
        self.path, self.as_of = path, as_of
        self.partial = path.with_name(f".{path.name}.part")
        self.book = xlsxwriter.Workbook(str(self.partial))
        self.bold = self.book.add_format({"bold": True})
        self.center = self.book.add_format({"bold": True, "align": "center", "valign": "vcenter"})

    def sheet(
        self, tab: str, district: str, commune: str | None, title: str, headings: Sequence[Any], rows: Sequence[Sequence[Any]], *,
        merge: Sequence[int] = (), totals: dict[int, int] | None = None, groups: Sequence[tuple[int, dict[int, int]]] = (), numbered: bool = False,
    ) -> None:  # fmt: skip
        """Rows from row 8 on (9 or 10 under more heading rows); equal neighbours of ``merge`` columns become one merged cell;
        ``groups``: after that many rows a line `Cộng` with these sums."""
        page = self.book.add_worksheet(tab[:31])
        page.write(0, 0, f"UBND {district.upper()}")
        page.write(0, 5, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM")
        if commune:
            page.write(1, 0, f"UBND {commune.upper()}")
        page.write(1, 5, "Độc lập - Tự do - Hạnh phúc")
        page.merge_range(3, 0, 3, len(headings) - 1, title, self.center)
        page.merge_range(4, 0, 4, len(headings) - 1, f"(Số liệu tính đến ngày {self.as_of:%d/%m/%Y})", self.center)
        double = any(isinstance(h, tuple) for h in headings)
        column = 0
        while column < len(headings):
            h = headings[column]
            if isinstance(h, tuple):
                last = column
                while last + 1 < len(headings) and isinstance(headings[last + 1], tuple) and headings[last + 1][0] == h[0]:
                    last += 1
                if last > column:
                    page.merge_range(6, column, 6, last, h[0], self.center)
                else:
                    page.write(6, column, h[0], self.center)
                for k in range(column, last + 1):
                    page.write(7, k, headings[k][1], self.center)
                column = last + 1
            else:
                if double:
                    page.merge_range(6, column, 7, column, h, self.center)
                else:
                    page.write(6, column, h, self.center)
                column += 1
        n = 8 if double else 7
        if numbered:
            page.write_row(n, 0, [f"({k})" for k in range(1, len(headings) + 1)])
            n += 1
        after = dict(groups)
        starts: dict[int, int] = {}
        placed = []
        for k, row in enumerate(rows, 1):
            placed.append(n)
            for c, value in enumerate(row):
                if value is None:
                    continue
                if (
                    c in merge
                    and k > 1
                    and all(rows[k - 2][m] == row[m] for m in merge if m <= c)
                    and starts.get(c) is not None
                    and placed[-1] == placed[-2] + 1
                ):
                    continue
                if c in merge:
                    starts[c] = n
                if isinstance(value, date):
                    page.write_string(n, c, f"{value:%d/%m/%Y}")
                else:
                    page.write(n, c, value)
            n += 1
            if k in after:
                page.write(n, 1, "Cộng", self.bold)
                for c, value in after[k].items():
                    page.write(n, c, value)
                n += 1
                starts.clear()
        for c in merge:
            self._merge(page, c, merge, rows, placed)
        if totals:
            page.write(n, 1, "Tổng cộng", self.bold)
            for c, value in totals.items():
                page.write(n, c, value)
            n += 1
        page.write(n + 1, 1, "NGƯỜI LẬP BIỂU")
        page.write(n + 1, 5, "CHỦ TỊCH")

    def _merge(self, page: Any, column: int, merge: Sequence[int], rows: Sequence[Sequence[Any]], placed: list[int]) -> None:
        start = 0
        for k in range(1, len(rows) + 1):
            same = k < len(rows) and placed[k] == placed[k - 1] + 1 and all(rows[k][m] == rows[start][m] for m in merge if m <= column)
            if not same:
                if k - start > 1 and rows[start][column] is not None:
                    page.merge_range(placed[start], column, placed[k - 1], column, rows[start][column])
                start = k

    def close(self) -> Path:
        """Write it, with the time at which it comes."""
        self.book.close()
        moment = aware(datetime.combine(self.as_of + timedelta(days=1), time(9))).timestamp()
        os.utime(self.partial, (moment, moment))
        os.replace(self.partial, self.path)
        return self.path


def _list(path: Path, tab: str, district: str, commune: str, as_of: date, rows: list[tuple[Any, ...]]) -> None:
    """A household list: long and plain, so it is streamed."""
    partial = path.with_name(f".{path.name}.part")
    with xlsxwriter.Workbook(str(partial), {"constant_memory": True}) as book:
        page = book.add_worksheet(tab[:31])
        for n, text in (
            (0, f"UBND {district.upper()}"),
            (1, f"UBND {commune.upper()}"),
            (3, "DANH SÁCH HỘ GIA ĐÌNH"),
            (4, f"(Số liệu tính đến ngày {as_of:%d/%m/%Y})"),
        ):
            page.write_string(n, 0, text)
        page.write_row(6, 0, R1B)
        string, number = page.write_string, page.write_number
        for n, row in enumerate(rows, 7):
            for c, value in enumerate(row):
                if value is None:
                    continue
                if isinstance(value, str):
                    string(n, c, value)
                else:
                    number(n, c, value)
        page.write_string(len(rows) + 8, 1, "NGƯỜI LẬP BIỂU")
    moment = aware(datetime.combine(as_of + timedelta(days=1), time(9))).timestamp()
    os.utime(partial, (moment, moment))
    os.replace(partial, path)


def write(world: World, inbox: Path, until: date | None = None) -> list[Path]:
    """All forms that have come by ``until``; those that lie there already are left."""
    inbox.mkdir(parents=True, exist_ok=True)
    until = until or date.max
    done: list[Path] = []
    districts: dict[str, list[int]] = {}
    for i, c in enumerate(world.communes):
        districts.setdefault(c.district_code, []).append(i)
    members: dict[int, list[Any]] = {}
    for m in world.members:
        members.setdefault(m.commune, []).append(m)
    leads: dict[int, list[Any]] = {}
    for lead in world.leads:
        leads.setdefault(world.households[lead.household].commune, []).append(lead)
    by_commune: dict[int, list[Any]] = {}
    for h in world.households:
        by_commune.setdefault(h.commune, []).append(h)

    def target(name: str, as_of: date) -> Path | None:
        path = inbox / name
        return path if as_of < until and not path.exists() else None

    for k, (code, mine) in enumerate(districts.items()):
        name = world.communes[mine[0]].district_name
        if path := target(f"Bieu01_{code}_{AS_OF:%Y%m%d}.xlsx", AS_OF):
            done.append(_r1(world, path, name, mine, by_commune, one_sheet=k % 2 == 0))
        if path := target(f"Bieu03_{code}_{AS_OF:%Y%m%d}.xlsx", AS_OF):
            done.append(_r3(world, path, name, mine, by_commune))
        if path := target(f"Bieu02_{code}_{WEEKLY:%Y%m%d}.xlsx", WEEKLY):
            done.append(_r2(world, path, name, mine, members, one_sheet=k % 2 == 1))
        if path := target(f"Bieu04_{code}_{WEEKLY:%Y%m%d}.xlsx", WEEKLY):
            done.append(_r4(world, path, name, mine, leads))
        if path := target(f"Bieu05_{code}_{AS_OF:%Y%m%d}.xlsx", AS_OF):
            form = Form(path, AS_OF)
            rows = [
                (n, name, world.communes[i].name, ("Bưu điện tỉnh", "Viettel Post", "Cả hai")[n % 3], date(2021, 7, 20), None) for n, i in enumerate(mine, 1)
            ]
            form.sheet("Phân công", name, None, "BIỂU SỐ 05: PHÂN CÔNG ĐỊA BÀN", R5, rows, merge=(1,))
            done.append(form.close())
        for i in mine:
            c = world.communes[i]
            if path := target(f"Bieu01b_{code}_{c.code}_{AS_OF:%Y%m%d}.xlsx", AS_OF):
                rows = [(n, h.code, h.head, h.citizen, h.phone, h.hamlet, h.persons, "10/07/2021") for n, h in enumerate(by_commune.get(i, []), 1)]
                _list(path, c.name, name, c.name, AS_OF, rows)
                done.append(path)
    return done


def _r1(world: World, path: Path, district: str, mine: list[int], by_commune: dict[int, list[Any]], *, one_sheet: bool) -> Path:
    form = Form(path, AS_OF)
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
    return form.close()


def _r2(world: World, path: Path, district: str, mine: list[int], members: dict[int, list[Any]], *, one_sheet: bool) -> Path:
    form = Form(path, WEEKLY)
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
    if one_sheet or not form.book.worksheets():
        form.sheet("Biểu 02", district, None, title, R2, everything, merge=(1, 2, 3))
    return form.close()


def _r3(world: World, path: Path, district: str, mine: list[int], by_commune: dict[int, list[Any]]) -> Path:
    form = Form(path, AS_OF)
    rows = []
    for n, i in enumerate(mine, 1):
        c = world.communes[i]
        count = len(by_commune.get(i, []))
        due = date(2021, 9, 20) if c.phase == 1 else date(2021, 11, 20)
        rate: Any = (50, "50%", 0.5)[n % 3]
        given = -(-count // 2) if n % 2 else None
        rows.append((n, c.name, "Xã", count, rate, given, 50, -(-count // 2), "10%", None, len(c.hamlets), c.phase, f"{n}/QĐ-UBND", date(2021, 7, 14), due))
    form.sheet("Biểu 03", district, None, "BIỂU SỐ 03: GIAO CHỈ TIÊU PHÁT TRIỂN KINH TẾ SỐ", R3, rows, numbered=True)
    return form.close()


def _r4(world: World, path: Path, district: str, mine: list[int], leads: dict[int, list[Any]]) -> Path:
    form = Form(path, WEEKLY)
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
    return form.close()
