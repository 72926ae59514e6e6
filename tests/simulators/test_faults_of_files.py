"""Each fault of Postmart's files, over SFTP: there when it is on, not there when it is off, and the next day is as it was."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import re
import subprocess
import sys
import unicodedata
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

import asyncssh
import openpyxl
import pytest
from served import ROOT, Served, simulators

from simulators import faults
from simulators.faults import Switches
from simulators.faults.catalogue import DATA_FAULTS, FILE_FAULTS

DAY, NEXT = "20210914", "20210915"
AT = date(2021, 9, 14)


class Folder:
    """A day's folder as a stranger reads it."""

    def __init__(self, files: dict[str, bytes], times: dict[str, int]) -> None:
        self.files, self.times = files, times

    def manifest(self, version: int = 1, word: str = "") -> list[dict[str, str]]:
        text = self.files[f"MANIFEST_{word}{DAY}_v{version}.csv"].decode("utf-8-sig")
        return list(csv.DictReader(io.StringIO(text), delimiter=";"))

    def row(self, dataset: str) -> dict[str, str]:
        return next(r for r in self.manifest(word="TAIKHOANTT_" if dataset == "TAIKHOANTT" else "") if r["Bộ dữ liệu"] == dataset)

    def content(self, dataset: str) -> bytes:
        return self.files[self.row(dataset)["Tên tệp"]]

    def matches(self, dataset: str) -> bool:
        """Whether hash and size are those of the manifest."""
        content, row = self.content(dataset), self.row(dataset)
        return len(content) == int(row["Kích thước (byte)"]) and hashlib.sha256(content).hexdigest() == row["SHA-256"]

    def table(self, dataset: str) -> list[list]:
        """Headings and everything below, as a stranger reads them."""
        content = self.content(dataset)
        if dataset in ("DONHANG", "GIANHANG", "TAIKHOANTT"):
            book = openpyxl.load_workbook(io.BytesIO(content))
            sheet = next(s for s in book.worksheets if s.sheet_state == "visible")
            return [list(r) for r in sheet.iter_rows(min_row=5, values_only=True)]
        if dataset == "SANPHAM":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                parts = [list(csv.reader(io.StringIO(archive.read(n).decode("utf-8-sig"), newline=""), delimiter=";")) for n in archive.namelist()]
            return [parts[0][0], *(r for p in parts for r in p[1:])]
        return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";"))

    def keys(self, dataset: str) -> list[str]:
        """Natural keys in the file's order."""
        t = self.table(dataset)
        at = next(i for i, h in enumerate(t[0]) if h in ("Mã đơn hàng", "Mã gian hàng", "Mã yêu cầu", "Mã tham chiếu TK", "Mã sản phẩm"))
        at = 0 if dataset in ("SANPHAM", "HOANTRA") else at
        return [r[at] for r in t[1:] if r[at] and "Người lập biểu" not in r[:2] and r[0] != "Tổng cộng"]

    def column(self, dataset: str, heading: str) -> dict[str, object]:
        """key -> value of a column, in the first row of each key."""
        t = self.table(dataset)
        key = 0 if dataset in ("SANPHAM", "HOANTRA") else 1
        return {r[key]: r[t[0].index(heading)] for r in reversed(t[1:]) if r[key] and r[key] != "Người lập biểu"}


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[Served]:
    with simulators(tmp_path_factory.mktemp("faulty") / "state") as s:
        s.clock("2021-09-18T12:00")
        yield s


def read(s: Served, day: str = DAY) -> Folder:
    async def whole() -> Folder:
        async with (
            asyncssh.connect(s.sftp["host"], s.sftp["port"], username="langson", password="demo-password", known_hosts=None) as c,
            c.start_sftp_client() as sftp,
        ):
            files, times = {}, {}
            for name in await sftp.listdir(f"/langson/outbox/{day}"):
                if name not in (".", ".."):
                    async with sftp.open(f"/langson/outbox/{day}/{name}", "rb") as f:
                        files[name] = await f.read()
                    times[name] = (await sftp.stat(f"/langson/outbox/{day}/{name}")).mtime
            return Folder(files, times)

    return asyncio.run(whole())


@pytest.fixture(scope="module")
def clean(served: Served) -> tuple[Folder, Folder]:
    return read(served), read(served, NEXT)


def numbers(f: Folder, dataset: str) -> int:
    return int(f.row(dataset)["Số dòng"])


def same_figures(f: Folder) -> bool:
    return f.matches("DONHANG") and sum(bool(r[9]) for r in f.table("DONHANG")[1:] if r[0] != "Tổng cộng") == numbers(f, "DONHANG")


def sheet_xml(f: Folder, dataset: str = "DONHANG", member: str = "xl/worksheets/sheet1.xml") -> bytes:
    with zipfile.ZipFile(io.BytesIO(f.content(dataset))) as z:
        return z.read(member)


def members(f: Folder, dataset: str = "DONHANG") -> list[str]:
    return zipfile.ZipFile(io.BytesIO(f.content(dataset))).namelist()


def bad_zip(content: bytes) -> bool:
    try:
        zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile:
        return True
    return False


def modified(f: Folder, name: str) -> datetime:
    return datetime.fromtimestamp(f.times[name] + 7 * 3600, tz=None)


def unpacked(content: bytes) -> int:
    return sum(i.file_size for i in zipfile.ZipFile(io.BytesIO(content)).infolist())


def at_of(f: Folder, name: str) -> str:
    from datetime import UTC, timedelta

    return f"{datetime.fromtimestamp(f.times[name], UTC) + timedelta(hours=7):%d %H:%M}"


#: (switch, what shows: the folder with the fault, the folder without -> bool). What shows must not show without it.
ORDERS = f"PM_LSN_DONHANG_{DAY}_v1.xlsx"
SIGNS: list[tuple[str, Callable[[Folder, Folder], bool]]] = [
    ("F00", lambda f, c: f"PM_LSN_{DAY}_v2.ok" in f.files and f.files.get(f"PM_LSN_DONHANG_{DAY}_v2.xlsx") is not None),
    ("F01", lambda f, c: bad_zip(f.content("DONHANG")) and len(f.content("DONHANG")) == int(f.row("DONHANG")["Kích thước (byte)"]) - 30),
    ("F01:SANPHAM", lambda f, c: bad_zip(f.content("SANPHAM"))),
    ("F02", lambda f, c: not f.matches("HOANTRA") and len(f.content("HOANTRA")) < int(f.row("HOANTRA")["Kích thước (byte)"])),
    ("F02:SANPHAM", lambda f, c: not f.matches("SANPHAM") and not bad_zip(f.content("SANPHAM")) and numbers(f, "SANPHAM") > len(f.keys("SANPHAM")) - 1),
    ("F04", lambda f, c: at_of(f, ORDERS).endswith("03:41") and at_of(f, f"PM_LSN_{DAY}_v1.ok").endswith("03:43")),
    ("F05", lambda f, c: f.times[ORDERS] > f.times[f"PM_LSN_{DAY}_v1.ok"]),
    ("F06", lambda f, c: at_of(f, f"PM_LSN_{DAY}_v1.ok") == "15 05:02" and at_of(f, f"PM_LSN_TAIKHOANTT_{DAY}_v1.ok") == "15 05:02"),
    ("F07", lambda f, c: at_of(f, f"PM_LSN_{DAY}_v1.ok") == "17 05:32"),
    ("F07:TAIKHOANTT", lambda f, c: at_of(f, f"PM_LSN_TAIKHOANTT_{DAY}_v1.ok") == "17 05:32" and at_of(f, f"PM_LSN_{DAY}_v1.ok").startswith("15")),
    ("F08", lambda f, c: f.row("DONHANG")["Số dòng"] == "0" == f.row("DONHANG")["Tổng tiền kiểm soát"] and f.matches("DONHANG") and not f.keys("DONHANG")),
    ("F09", lambda f, c: numbers(f, "DONHANG") == numbers(c, "DONHANG") and f.matches("DONHANG") and not f.keys("DONHANG")),
    ("F10", lambda f, c: f"PM_LSN_{DAY}_v2.ok" in f.files and f.manifest(2)[0]["Lý do phát hành lại"] != "" and len(f.manifest(2)) == 1),
    ("F10:SANPHAM", lambda f, c: f"PM_LSN_SANPHAM_{DAY}_v2.zip" in f.files),
    ("F10:TAIKHOANTT", lambda f, c: f"PM_LSN_TAIKHOANTT_{DAY}_v2.ok" in f.files),
    ("F11", lambda f, c: f.times[f"PM_LSN_{DAY}_v1.ok"] > f.times.get(f"PM_LSN_{DAY}_v2.ok", 1 << 60) and len(f.manifest(2)) == 4),
    ("F12", lambda f, c: f.matches("DONHANG") and f.content("DONHANG") != c.content("DONHANG") and at_of(f, ORDERS) == "15 11:00"),
    ("F13", lambda f, c: f.table("DONHANG")[0][-1] == "Ghi chú nội bộ" and same_figures(f)),
    ("F13:HOANTRA", lambda f, c: f.table("HOANTRA")[0][-1] == "Ghi chú nội bộ" and f.matches("HOANTRA")),
    ("F14", lambda f, c: f.table("DONHANG")[0][3] == "Ghi chú" and f.matches("DONHANG")),
    ("F14=swap", lambda f, c: f.table("DONHANG")[0][3] == "Ngày cập nhật trạng thái" and f.matches("DONHANG")),
    ("F15", lambda f, c: f.table("DONHANG")[0][18] == "Tổng tiền" and same_figures(f)),
    ("F16", lambda f, c: f.table("DONHANG")[0][-1] == "Tổng Thanh toán" and f.matches("DONHANG")),
    ("F16=inside", lambda f, c: f.table("DONHANG")[0][17] == "Tổng Thanh toán" and f.matches("DONHANG")),
    ("F17", lambda f, c: f.table("DONHANG")[0][1] == unicodedata.normalize("NFD", "Mã đơn hàng") and same_figures(f)),
    ("F18:SANPHAM", lambda f, c: f.matches("SANPHAM") and "Mã sản phẩm" in unicodedata.normalize("NFC", first_part(f).decode("cp1258", "replace"))),
    ("F18=mojibake", lambda f, c: "áº" in f.content("HOANTRA").decode("utf-8-sig") and f.matches("HOANTRA")),
    ("F19", lambda f, c: f.content("HOANTRA").startswith("Mã".encode()) and f.matches("HOANTRA")),
    ("F19=utf-16", lambda f, c: f.content("HOANTRA").startswith(b"\xff\xfeM\x00") and f.matches("HOANTRA")),
    ("F20", lambda f, c: f.content("HOANTRA").decode("utf-8-sig").startswith("Mã yêu cầu,Mã đơn hàng") and f.matches("HOANTRA")),
    ("F21", lambda f, c: f.content("DONHANG").startswith(b"<html") and "Mã đơn hàng" in f.content("DONHANG").decode() and f.keys_of_html() == c.keys("DONHANG")),
    ("F21=xls", lambda f, c: f.content("DONHANG").startswith(b"\xd0\xcf\x11\xe0") and f.matches("DONHANG")),
    ("F22", lambda f, c: b'<dimension ref="A1"/>' in sheet_xml(f) and f.matches("DONHANG") and f.keys("DONHANG") == c.keys("DONHANG")),
    ("F23", lambda f, c: any(r[0] == "Cộng" for r in f.table("DONHANG")) and same_figures_with_notes(f, c)),
    ("F23:HOANTRA", lambda f, c: any(r[0] == "Người lập biểu" for r in f.table("HOANTRA")) and numbers(f, "HOANTRA") == numbers(c, "HOANTRA")),
    ("F24", lambda f, c: any(str(v).endswith(" đ") for r in f.table("DONHANG")[1:] for v in r) and f.row("DONHANG")["Tổng tiền kiểm soát"] == c.row("DONHANG")["Tổng tiền kiểm soát"]),
    ("F25", lambda f, c: f.content("DONHANG") != c.content("DONHANG") and same_figures(f)),
    ("F26", lambda f, c: "0900-12" in f.column("GIANHANG", "Số điện thoại").values() and f.matches("GIANHANG")),
    ("F27", lambda f, c: [n[-12:] for n in members(f, "SANPHAM")] == ["_p01of03.csv", "_p03of03.csv"] and numbers(f, "SANPHAM") == numbers(c, "SANPHAM")),
    ("F28", lambda f, c: f.content("DONHANG") != c.content("DONHANG") and same_figures(f) and f.row("DONHANG")["Tổng tiền kiểm soát"] == c.row("DONHANG")["Tổng tiền kiểm soát"]),
    ("F29", lambda f, c: len(f.keys("DONHANG")) == len(c.keys("DONHANG")) + 1 and same_figures(f) and f.row("DONHANG")["Số đơn"] == c.row("DONHANG")["Số đơn"]),
    ("F29=conflict", lambda f, c: len(f.keys("DONHANG")) == len(set(f.keys("DONHANG"))) + 1 and same_figures(f)),
    ("F30", lambda f, c: len(f.keys("GIANHANG")) == len(c.keys("GIANHANG")) - 1 and numbers(f, "GIANHANG") == len(f.keys("GIANHANG"))),
    ("F30=40%", lambda f, c: len(f.keys("GIANHANG")) == len(c.keys("GIANHANG")) - -(-len(c.keys("GIANHANG")) * 40 // 100)),
    ("F40:POSTMART", lambda f, c: at_of(f, ORDERS).endswith("01:48") and f.manifest()[0]["Thời điểm tạo"].endswith("01:48:00")),
    ("F43", lambda f, c: set(f.keys("DONHANG")) > set(c.keys("DONHANG")) and "Đã hoàn" in f.column("DONHANG", "Trạng thái").values() and same_figures(f)),
    ("F46", lambda f, c: "Chờ duyệt lại" in f.column("DONHANG", "Trạng thái").values() and f.matches("DONHANG")),
    ("F46:GIANHANG", lambda f, c: "Chờ duyệt lại" in f.column("GIANHANG", "Trạng thái gian hàng").values()),
    ("F49", lambda f, c: "99999" in f.column("GIANHANG", "Mã xã (VNPost)").values() and f.matches("GIANHANG")),
    ("F49:TAIKHOANTT", lambda f, c: "99999" in f.column("TAIKHOANTT", "Mã xã (VNPost)").values() and f.matches("TAIKHOANTT")),
    ("F51", lambda f, c: "123456789101112" in f.keys("DONHANG") and same_figures(f)),
    ("F51:GIANHANG", lambda f, c: "KHACH HANG TEST" in f.column("GIANHANG", "Tên gian hàng").values()),
    ("F54:POSTMART=disk", lambda f, c: any(n.endswith(".part") for n in f.files) and f"PM_LSN_{DAY}_v1.ok" not in f.files),
    ("F65", lambda f, c: f.matches("DONHANG") and f.keys("DONHANG") and title(f) == "Từ ngày 13/09/2021 đến ngày 13/09/2021"),
    ("F67", lambda f, c: f.content("HOANTRA") == b"" and f.row("HOANTRA")["Kích thước (byte)"] != "0"),
    ("F68", lambda f, c: f.content("HOANTRA").startswith(b"M\xb7 y\xaau c\xc7u;") and f.matches("HOANTRA")),
    ("F68:GIANHANG", lambda f, c: "Ho¹t ®éng" in f.column("GIANHANG", "Trạng thái gian hàng").values() and f.matches("GIANHANG")),
    ("F69", lambda f, c: sum("\n" in r[2] for r in f.table("SANPHAM")) == 2 and numbers(f, "SANPHAM") == len(f.keys("SANPHAM"))),
    ("F70", lambda f, c: not bad_zip(f.content("DONHANG")) and not sheet_xml(f).endswith(b"</worksheet>") and f.matches("DONHANG")),
    ("F71=64", lambda f, c: f.matches("DONHANG") and unpacked(f.content("DONHANG")) > 64 << 20 > 100 * len(f.content("DONHANG")) and f.keys("DONHANG") == c.keys("DONHANG")),
    ("F71:SANPHAM=64", lambda f, c: f.matches("SANPHAM") and unpacked(f.content("SANPHAM")) > 64 << 20),
    ("F72", lambda f, c: b"<!DOCTYPE" in sheet_xml(f, "DONHANG", "xl/sharedStrings.xml") and b"&e9;" in sheet_xml(f, "DONHANG", "xl/sharedStrings.xml") and f.matches("DONHANG")),
    ("F73", lambda f, c: "xl/externalLinks/externalLink1.xml" in members(f) and f.keys("DONHANG") == c.keys("DONHANG")),
    ("F74", lambda f, c: "xl/vbaProject.bin" in members(f) and f.keys("DONHANG") == c.keys("DONHANG")),
    ("F75", lambda f, c: openpyxl.load_workbook(io.BytesIO(f.content("GIANHANG"))).worksheets[0].sheet_state == "hidden" and f.keys("GIANHANG") == c.keys("GIANHANG")),
    ("F77:GIANHANG", lambda f, c: all(isinstance(v, int) for v in f.column("GIANHANG", "Mã xã (VNPost)").values()) and f.matches("GIANHANG")),
    ("F77", lambda f, c: all(isinstance(v, int) for v in f.column("DONHANG", "Mã sản phẩm").values()) and same_figures(f)),
    ("F78", lambda f, c: all(isinstance(v, int | float) for v in f.column("DONHANG", "Ngày đặt hàng").values()) and same_figures(f)),
    ("F79", lambda f, c: f.files.get(ORDERS.replace(".xlsx", " (1).xlsx")) == f.files[ORDERS]),
    ("F80", lambda f, c: at_of(f, f"PM_LSN_{DAY}_v2.ok") == "17 10:02" if f"PM_LSN_{DAY}_v2.ok" in f.files else False),
    ("F80:GIANHANG", lambda f, c: f"PM_LSN_GIANHANG_{DAY}_v2.xlsx" in f.files),
    ("F81", lambda f, c: "Phí vận chuyển" not in f.table("DONHANG")[0] and same_figures(f)),
    ("F83", lambda f, c: len(f.keys("DONHANG")) == len(c.keys("DONHANG")) + 1 and same_figures(f)),
    ("F84", lambda f, c: "PMS8888800" in f.keys("GIANHANG") and f.matches("GIANHANG")),
    ("F85", lambda f, c: "24999" in f.column("GIANHANG", "Mã xã (VNPost)").values()),
    ("F85=ambiguous", lambda f, c: "Xã Hòa Bình" in f.column("GIANHANG", "Tên xã").values() and None in f.column("GIANHANG", "Mã xã (VNPost)").values()),
    ("F86", lambda f, c: sum(v == "06505" for v in f.column("GIANHANG", "Mã xã (VNPost)").values()) > 3 and f.matches("GIANHANG")),
    ("F87", lambda f, c: "PMS7777777" in f.keys("GIANHANG") and f.matches("GIANHANG")),
    ("F88", lambda f, c: {999_999_999_999, -50_000, "1.250,5"} <= set(f.column("DONHANG", "Tổng thanh toán").values()) and f.matches("DONHANG")),
    ("F89", lambda f, c: len(f.keys("DONHANG")) == len(c.keys("DONHANG")) - -(-len(c.keys("DONHANG")) * 40 // 100) and same_figures(f)),
]  # fmt: skip


def title(f: Folder) -> str:
    return openpyxl.load_workbook(io.BytesIO(f.content("DONHANG"))).worksheets[0].cell(3, 1).value


def first_part(f: Folder) -> bytes:
    with zipfile.ZipFile(io.BytesIO(f.content("SANPHAM"))) as z:
        return z.read(z.namelist()[0])


def same_figures_with_notes(f: Folder, c: Folder) -> bool:
    return f.matches("DONHANG") and numbers(f, "DONHANG") == numbers(c, "DONHANG")


def keys_of_html(self: Folder) -> list[str]:
    rows = re.findall(r"<tr>(.*?)</tr>", self.content("DONHANG").decode(), re.S)
    cells = [re.findall(r"<td>(.*?)</td>", r, re.S) for r in rows]
    return [r[1] for r in cells[5:] if len(r) > 1 and r[1].startswith("PM")]


Folder.keys_of_html = keys_of_html  # type: ignore[attr-defined]


def switch(text: str) -> str:
    """F14=swap as F14@2021-09-14=swap."""
    name, colon, rest = text.partition(":")
    if colon:
        return f"{name}@{AT}:{rest}"
    name, equals, value = text.partition("=")
    return f"{name}@{AT}{equals}{value}"


@pytest.mark.parametrize(("text", "shows"), SIGNS, ids=[t for t, _ in SIGNS])
def test_a_fault_shows_and_goes(served: Served, clean: tuple[Folder, Folder], text: str, shows: Callable[[Folder, Folder], bool]):
    before, after = clean
    switches = Switches(served.state)
    switches.set(faults.parse(switch(text)))
    faulty = read(served)
    assert shows(faulty, before)
    assert read(served, NEXT).files == after.files
    switches.clear()
    again = read(served)
    assert {n: c for n, c in again.files.items() if n.endswith((".csv", ".ok"))} == {n: c for n, c in before.files.items() if n.endswith((".csv", ".ok"))}
    assert again.files == before.files
    assert not shows(before, before)


def test_every_file_fault_is_looked_for():
    assert {k.name for k in (*FILE_FAULTS, *DATA_FAULTS)} <= {t[:3] for t, _ in SIGNS}


def test_two_faults_together(served: Served, clean: tuple[Folder, Folder]):
    before, _ = clean
    Switches(served.state).set(faults.parse(f"F13@{AT},F29@{AT},F01@{AT}:SANPHAM,F30@{AT}=2"))
    faulty = read(served)
    assert faulty.table("DONHANG")[0][-1] == "Ghi chú nội bộ" and len(faulty.keys("DONHANG")) == len(before.keys("DONHANG")) + 1
    assert bad_zip(faulty.content("SANPHAM")) and len(faulty.keys("GIANHANG")) == len(before.keys("GIANHANG")) - 2
    Switches(served.state).clear()


def test_the_command_switches(served: Served, clean: tuple[Folder, Folder]):
    def run(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "simulators", "fault", "--state", str(served.state), *words], check=True, cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()

    assert run(f"F13@{AT}") == f"F13@{AT}:DONHANG"
    assert run(f"F30@{AT}=2") == f"F13@{AT}:DONHANG\nF30@{AT}:GIANHANG=2"
    assert read(served).table("DONHANG")[0][-1] == "Ghi chú nội bộ"
    assert run("--clear", f"F13@{AT}") == f"F30@{AT}:GIANHANG=2"
    assert run("--set", f"F20@{AT}") == f"F20@{AT}:HOANTRA"
    assert run("--clear") == "no fault is on"
    assert read(served).files == clean[0].files
    wrong = subprocess.run(
        [sys.executable, "-m", "simulators", "fault", "--state", str(served.state), f"F13@{AT}:ORDERS"], cwd=ROOT, capture_output=True, text=True
    )
    assert wrong.returncode == 2 and "F13 strikes" in wrong.stderr


def test_what_was_struck_is_told(served: Served, clean: tuple[Folder, Folder]):
    before, _ = clean
    on = faults.parse(f"F30@{AT}=3,F10@{AT}")
    Switches(served.state).set(on)
    faulty = read(served)
    told = faults.struck("small", 1, date(2021, 9, 12), on)
    gone = next(s for s in told if s.fault == "F30")
    assert set(before.keys("GIANHANG")) - set(faulty.keys("GIANHANG")) == set(gone.keys) and len(gone.keys) == 3
    (changed,) = [s for s in told if s.fault == "F10" and s.effect == "changed"]
    (withdrawn,) = [s for s in told if s.fault == "F10" and s.effect == "withdrawn"]
    faulty.files[ORDERS] = faulty.files[f"PM_LSN_DONHANG_{DAY}_v2.xlsx"]
    assert set(before.keys("DONHANG")) - set(faulty.keys("DONHANG")) == set(withdrawn.keys)
    assert faulty.column("DONHANG", "Giảm giá")[changed.keys[0]] == changed.says[changed.keys[0]]["Giảm giá"]
    Switches(served.state).clear()


def test_the_hours_of_a_half_written_file(served: Served):
    Switches(served.state).set(faults.parse(f"F04@{AT}"))
    served.clock("2021-09-15T02:00")
    early = read(served)
    assert f"{ORDERS}.part" in early.files and ORDERS not in early.files and f"PM_LSN_{DAY}_v1.ok" not in early.files
    served.clock("2021-09-18T12:00")
    assert f"{ORDERS}.part" not in read(served).files
    Switches(served.state).clear()


def test_the_real_bomb_is_small(served: Served):
    Switches(served.state).set(faults.parse(f"F71@{AT}"))
    content = read(served).content("DONHANG")
    assert len(content) < 8 << 20 and unpacked(content) > 2048 << 20
    Switches(served.state).clear()


def test_files_that_were_there_stay(served: Served):
    stray = Path(served.state) / "sftp" / "langson" / "outbox" / DAY / "stray.txt"
    read(served)
    stray.write_text("by hand")
    assert "stray.txt" in read(served).files
    stray.unlink()
