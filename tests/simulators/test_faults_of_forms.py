"""Each fault of the districts' forms: there when it is on, not there when it is off, other forms as they were."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest
from served import Served, simulators

from simulators import campaign, faults
from simulators.clock import Clock
from simulators.faults import Switches
from simulators.faults.catalogue import FORM_FAULTS
from simulators.registers import Inbox
from simulators.sources import settle

FIRST, USUAL, LATER = date(2021, 9, 12), "2021-07-15", "2021-09-14"
R1 = "Bieu01_187_20210715.xlsx"


@pytest.fixture(scope="module")
def world():
    return campaign.make("small", 1, FIRST)


@pytest.fixture(scope="module")
def clean(world, tmp_path_factory) -> dict[str, bytes]:
    return forms(world, tmp_path_factory.mktemp("clean"))


def forms(world, folder: Path, text: str = "", until: date = date(2021, 9, 16)) -> dict[str, bytes]:
    """The inbox of a fresh folder, at a day."""
    Inbox(world, folder).refresh(until, faults.parse(text))
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def table(content: bytes, sheet: int = 0) -> list[list]:
    return [list(r) for r in openpyxl.load_workbook(io.BytesIO(content)).worksheets[sheet].iter_rows(values_only=True)]


def rows(content: bytes) -> list[list]:
    """Data rows of all visible sheets: those that begin with a number."""
    book = openpyxl.load_workbook(io.BytesIO(content))
    return [list(r) for s in book.worksheets if s.sheet_state == "visible" for r in s.iter_rows(min_row=8, values_only=True) if str(r[0]).isdigit()]


def total(content: bytes) -> int:
    """Households of all hamlets."""
    return sum(int(str(r[4]).replace(".", "")) for r in rows(content))


def merged(content: bytes) -> int:
    return sum(len(s.merged_cells.ranges) for s in openpyxl.load_workbook(io.BytesIO(content)).worksheets)


def member(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as z:
        return z.read(name) if name in z.namelist() else b""


def head(content: bytes) -> str:
    return table(content)[4][0]


def late(name: str) -> str:
    return name.replace("20210715", "20210914").replace("20210910", "20210914")


R1B, R2, R3, R4, R5 = (f"Bieu0{n}_187_{d}.xlsx" for n, d in (("1b", 0), (2, 20210910), (3, 20210715), (4, 20210910), (5, 20210715)))
LIST = "Bieu01b_187_06505_20210715.xlsx"
#: (switch, the form, what shows in it).
SIGNS: list[tuple[str, str, Callable[[bytes], bool]]] = [
    (f"F21@{USUAL}:R1", R1, lambda b: b.startswith(b"<html") and "Thôn" in b.decode()),
    (f"F21@{USUAL}:R1=xls", R1, lambda b: b.startswith(b"\xd0\xcf\x11\xe0")),
    (f"F22@{USUAL}:R1", R1, lambda b: b'<dimension ref="A1"/>' in member(b, "xl/worksheets/sheet1.xml")),
    (f"F52@{USUAL}", R1, lambda b: head(b) == "(Số liệu tính đến ngày 15/06/2021)"),
    (f"F53@{USUAL}", R1, lambda b: total(b) != sum(h for h in totals(b))),
    ("F68@2021-09-10:R4", R4, lambda b: any(str(r[1]).startswith("X· ") for r in rows(b))),
    (f"F70@{USUAL}:R1", R1, lambda b: not member(b, "xl/worksheets/sheet1.xml").endswith(b"</worksheet>")),
    (f"F71@{USUAL}:R1=64", R1, lambda b: sum(i.file_size for i in zipfile.ZipFile(io.BytesIO(b)).infolist()) > 64 << 20),
    (f"F72@{USUAL}:R1", R1, lambda b: b"<!DOCTYPE" in member(b, "xl/sharedStrings.xml")),
    (f"F73@{USUAL}:R1", R1, lambda b: b"externalBook" in member(b, "xl/externalLinks/externalLink1.xml") and total(b) > 0),
    (f"F74@{USUAL}:R1", R1, lambda b: member(b, "xl/vbaProject.bin") != b"" and total(b) > 0),
    (f"F75@{USUAL}:R1", R1, lambda b: openpyxl.load_workbook(io.BytesIO(b)).worksheets[0].sheet_state == "hidden" and total(b) > 0),
    ("F76@2021-09-10", R2, lambda b: merged(b) == 27),
    (f"F77@{USUAL}:R1", R1, lambda b: all(isinstance(r[1], int) and isinstance(r[4], str) for r in rows(b))),
    (f"F77@{USUAL}:R1B", LIST, lambda b: all(isinstance(r[4], int) for r in rows(b) if r[4]) and all(isinstance(r[3], int) for r in rows(b) if r[3])),
    ("F78@2021-09-10:R4", R4, lambda b: all(isinstance(r[9], int) for r in rows(b))),
    (f"F78@{USUAL}:R1B", LIST, lambda b: all(r[7] == 44387 for r in rows(b))),
    ("F84@2021-09-10:R4", R4, lambda b: any(str(r[3]).startswith("2000000999") for r in rows(b))),
    ("F85@2021-09-10:R4", R4, lambda b: any(r[1] == "Xã Vân An (cũ)" for r in rows(b))),
    ("F85@2021-09-10:R4=ambiguous", R4, lambda b: any(r[1] == "Chi Lăng" for r in rows(b))),
    (f"F85@{LATER}:R1", late(R1), lambda b: any(r[2] == "Xã Vân An (cũ)" and r[1] is None for r in rows(b))),
    (f"F86@{LATER}:R1", late(R1), lambda b: any(r[2] == "Xã Châu Sơn" and r[1] == "06637" for r in rows(b))),
    (f"F90@{LATER}", late(R1), lambda b: head(b) == "(Số liệu tính đến ngày 14/09/2021)" and total(b) == sum(totals(b))),
    (f"F90@{LATER}=zero", late(R1), lambda b: [r[4] for r in rows(b)].count(0) > 2 and total(b) > 0),
    (f"F90@{LATER}=below", late(R1), lambda b: [r[4] for r in rows(b)].count(1) > 2),
    (f"F90@{USUAL}=missing", R1, lambda b: total(b) == sum(totals(b)) and "Thôn" in str(rows(b)) and len({r[2] for r in rows(b) if r[2]}) < 3),
]  # fmt: skip


def totals(content: bytes) -> list[int]:
    """What the `Tổng cộng` rows say."""
    book = openpyxl.load_workbook(io.BytesIO(content))
    return [r[4] for s in book.worksheets for r in s.iter_rows(min_row=8, values_only=True) if r[1] == "Tổng cộng"]


@pytest.mark.parametrize(("text", "name", "shows"), SIGNS, ids=[s[0] for s in SIGNS])
def test_a_fault_shows_and_goes(world, clean: dict[str, bytes], tmp_path: Path, text: str, name: str, shows: Callable[[bytes], bool]):
    faulty = forms(world, tmp_path, text)
    assert shows(faulty[name])
    assert {n for n in faulty if faulty[n] != clean.get(n)} == {name}
    if name in clean:
        assert not shows(clean[name])


def test_every_form_fault_is_looked_for():
    assert {k.name for k in FORM_FAULTS} <= {t[:3] for t, _, _ in SIGNS}


def test_the_same_form_under_another_name(world, clean: dict[str, bytes], tmp_path: Path):
    faulty = forms(world, tmp_path, f"F79@{USUAL}:R1")
    assert faulty.pop("Bieu01_187_20210715 (1).xlsx") == faulty[R1] and faulty == clean


def test_a_household_moves(world, clean: dict[str, bytes], tmp_path: Path):
    faulty = forms(world, tmp_path, f"F87@{LATER}:R1B")
    new = [n for n in faulty if n not in clean]
    assert len(new) == 2 and all(n.endswith("20210914.xlsx") for n in new)
    told = faults.struck("small", 1, FIRST, faults.parse(f"F87@{LATER}:R1B"))
    (key,) = {k for s in told for k in s.keys}
    assert sorted((s.effect, any(r[1] == key for n in new for r in rows(faulty[n]))) for s in told) == [("added", True), ("withdrawn", True)]
    before = [n for n in clean if n.startswith("Bieu01b") and any(r[1] == key for r in rows(clean[n]))]
    after = [n for n in new if any(r[1] == key for r in rows(faulty[n]))]
    assert before[0][:17] != after[0][:17] and len(before) == len(after) == 1


def test_the_revised_register_says_a_tenth_more(world, clean: dict[str, bytes], tmp_path: Path):
    before, after = total(clean[R1]), total(forms(world, tmp_path, f"F90@{LATER}")[late(R1)])
    assert before * 1.1 <= after <= before * 1.2


def test_two_faults_together(world, tmp_path: Path):
    faulty = forms(world, tmp_path, f"F52@{USUAL},F53@{USUAL},F22@{USUAL}:R1,F78@2021-09-10:R4")
    assert head(faulty[R1]) == "(Số liệu tính đến ngày 15/06/2021)" and total(faulty[R1]) != sum(totals(faulty[R1]))
    assert b'<dimension ref="A1"/>' in member(faulty[R1], "xl/worksheets/sheet1.xml") and isinstance(rows(faulty[R4])[0][9], int)


@pytest.fixture()
def served(tmp_path: Path) -> Iterator[Served]:
    with simulators(tmp_path / "state", "--inbox", str(tmp_path / "inbox")) as s:
        yield s


def test_the_server_sends_and_takes_back(served: Served, clean: dict[str, bytes], tmp_path: Path):
    inbox = tmp_path / "inbox"

    def on(text: str, moment: str = "2021-09-15T06:00") -> dict[str, bytes]:
        Clock.set(served.state, datetime.fromisoformat(moment))
        Switches(served.state).set(faults.parse(text))
        settle(served.state)
        return {p.name: p.read_bytes() for p in inbox.iterdir()}

    assert on("") == clean
    first = (inbox / R1).stat().st_mtime
    assert on(f"F53@{USUAL},F90@{LATER}")[R1] != clean[R1] and (inbox / late(R1)).exists()
    assert on(f"F53@{USUAL}", "2021-09-14T06:00").keys() == clean.keys()
    (inbox / R4).unlink()
    assert on("") == {n: b for n, b in clean.items() if n != R4}  # what somebody took away stays away
    assert (inbox / R1).stat().st_mtime > first + 3600  # the right form is the newer one
