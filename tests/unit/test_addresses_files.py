"""`make resolve`: every row of the file has its line, in its order, whatever is wrong with it."""

import csv
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinhteso import addresses
from kinhteso.addresses import files
from test_addresses import LISTS, MESSY

HEADER = "id,status,code,candidates,rule"


@pytest.fixture()
def run(tmp_path):
    def resolve(content, name="in.csv"):
        source, target = tmp_path / name, tmp_path / "out.csv"
        source.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        files.resolve_file(source, target, addresses.resolver())
        lines = target.read_text(encoding="utf-8").splitlines()
        assert lines[0] == HEADER
        assert not list(tmp_path.glob("*.part")) and not list(tmp_path.glob(".*.part"))
        return list(csv.DictReader(lines))

    return resolve


def test_the_labelled_file(run):
    with MESSY.open(encoding="utf-8", newline="") as f:
        wanted = list(csv.DictReader(f))
    found = run(MESSY.read_bytes())
    assert [(r["id"], r["status"], r["code"], r["candidates"]) for r in found] == [
        (w["id"], w["expected_status"], w["expected_code"], w["candidates_2021"]) for w in wanted
    ]
    assert all(r["rule"] for r in found)


@pytest.mark.parametrize(
    "content",
    [
        '\ufeffid,raw_text,record_date\nA,"xã Vạn Linh, huyện Chi Lăng",2021-09-15\n',
        'record_date;note;raw_text;id\n15/09/2021;x;"xã Vạn Linh, huyện Chi Lăng";A\n',
        "ID\tRaw_Text\tRecord Date\r\nA\txã Vạn Linh, huyện Chi Lăng\t15.9.2021\r\n\r\n",
        '"id","raw_text","record_date"\r\n"A","xã Vạn Linh\r\nhuyện Chi Lăng","2021-09-15"',
        'id,raw_text,record_date\rA,"xã Vạn Linh, huyện Chi Lăng",2021-09-15\r',
        "id,raw_text,record_date\nA,\"xã Vạn Linh, huyện Chi Lăng\",2021-09-15,,\n",
    ],
    ids=["BOM", "other order, semicolon, more columns", "tab, capitals, blank line", "quoted, line in a cell", "CR", "blank cells more"],
)  # fmt: skip
def test_shapes_of_a_file(run, content):
    assert run(content) == [{"id": "A", "status": "resolved", "code": "06505", "candidates": "", "rule": "R3"}]


def test_utf16_and_bytes_of_an_old_font(run):
    text = 'id,raw_text,record_date\nA,"xã Vạn Linh, huyện Chi Lăng",2021-09-15\n'
    assert run(text.encode("utf-16"))[0]["code"] == "06505"
    tcvn3 = (
        b'id,raw_text,record_date\nA,"X\xb7 H\xadng \xa7\xb9o, huy\xd6n B\xd7nh Gia",2021-09-15\nB,"X\xe3 V\xe2n An\xff\xfe",2021-09-15\nC,06505,2021-09-15\n'
    )
    found = run(tcvn3)
    assert [(r["id"], r["status"], r["code"]) for r in found] == [("A", "resolved", "06067"), ("B", "ambiguous", ""), ("C", "resolved", "06505")]


def test_damaged_rows_keep_their_place(run):
    found = run(
        'id,raw_text,record_date\nA,06505,2021-09-15\nB,"xã Vạn Linh,2021-09-15\nC,06523,2021-09-15\nD\nE,06505,not a day\nF,Chi Lăng, Lạng Sơn,2021-09-15\n'
        '"G,06505,2021-09-15\nH,"06505",2021-09-15\nI,06505,\n,06505,2021-09-15\nA,06505,2021-09-15\n'
        'J,"tổ ""3"", xã Vạn Linh",2021-09-15\nK,5" ống - xã Vạn Linh,2021-09-15\nL,06505,2021-09-15\n'
    )  # fmt: skip
    assert [(r["id"], r["status"], r["rule"]) for r in found] == [
        ("A", "resolved", "R14"), ("B", "ambiguous", "row"), ("C", "resolved", "R14"), ("D", "ambiguous", "R8"), ("E", "ambiguous", "R8"), ("F", "ambiguous", "row"),
        ("G", "ambiguous", "row"), ("H", "resolved", "R14"), ("I", "ambiguous", "R8"), ("", "resolved", "R14"), ("A", "resolved", "R14"),
        ("J", "resolved", "R3"), ("K", "resolved", "R3"), ("L", "resolved", "R14"),
    ]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=8), st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]))
def test_whatever_a_spreadsheet_writes_comes_back_row_by_row(texts, delimiter, end):
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.csv", Path(folder) / "out.csv"
        with source.open("w", encoding="utf-8", errors="surrogatepass", newline="") as f:
            writer = csv.writer(f, delimiter=delimiter, lineterminator=end)
            writer.writerow(files.WANTED)
            writer.writerows((n, text, "2021-09-15") for n, text in enumerate(texts))
        files.resolve_file(source, target, addresses.resolver())
        found = list(csv.DictReader(target.read_text(encoding="utf-8").splitlines()))
        assert [r["id"] for r in found] == [str(n) for n in range(len(texts))]
        assert all(r["rule"] != files.DAMAGED for r in found)


def test_an_id_that_a_spreadsheet_would_run(run):
    found = run("id,raw_text,record_date\n=1+1,06505,2021-09-15\n@x,06505,2021-09-15\n-5,06505,2021-09-15\n-5+A1,06505,2021-09-15\n+84,06505,2021-09-15\n")
    assert [r["id"] for r in found] == ["'=1+1", "'@x", "-5", "'-5+A1", "'+84"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("id,raw_text\nA,x\n", "lacks the column record_date"),
        ("a,b\n1,2\n", "lacks the columns id, raw_text, record_date; it has a, b"),
        ("", "it is empty"),
        ("id,id,raw_text,record_date\n", "has the column id twice"),
    ],
)
def test_a_file_that_cannot_be_taken(tmp_path, content, says):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(content, encoding="utf-8")
    with pytest.raises(files.FileError, match=says):
        files.resolve_file(source, target, addresses.resolver())
    assert list(tmp_path.iterdir()) == [source]


def test_a_run_that_breaks_off_leaves_nothing_half_written(tmp_path, monkeypatch):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text("id,raw_text,record_date\nA,06505,2021-09-15\nB,06505,2021-09-15\n", encoding="utf-8")
    target.write_text("what was there", encoding="utf-8")
    seen = []

    def broken(*_):
        seen.append(target.read_text(encoding="utf-8"))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return "A", addresses.Resolution("resolved", "06505", (), "R14", "2021"), ""

    monkeypatch.setattr(files, "_resolve", broken)
    with pytest.raises(KeyboardInterrupt):
        files.resolve_file(source, target, addresses.resolver())
    assert seen == ["what was there"] * 2 and sorted(p.name for p in tmp_path.iterdir()) == ["in.csv", "out.csv"]
    assert target.read_text(encoding="utf-8") == "what was there"


def test_the_review_list_has_each_text_once_and_no_phone(tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text(
        'id,raw_text,record_date\nA,"Chi Lăng, Lạng Sơn",2021-09-15\nB,"CHI LĂNG,  Lạng Sơn",2021-09-16\nC,"=Chi Lăng, LS 0900 000 123",2021-09-15\nD,06505,2021-09-15\n', encoding="utf-8",
    )  # fmt: skip
    files.resolve_file(source, target, addresses.resolver())
    first, second = csv.DictReader((tmp_path / "out.review.csv").read_text(encoding="utf-8").splitlines())
    assert (first["text_norm"], first["list"], first["rows"], first["first_id"]) == ("chi lăng, lạng sơn", "2021", "2", "A")
    assert first["candidates"] == "05983|06034|06466|06523" and "06466 Thị trấn Chi Lăng, Huyện Chi Lăng" in first["candidate_names"]
    assert "0900" not in str(second) and second["text_norm"].startswith("'=") and second["first_text"].startswith("'=")


def test_the_command(tmp_path):
    def command(*arguments):
        return subprocess.run([sys.executable, "-m", "kinhteso.addresses", *map(str, arguments)], capture_output=True, text=True, cwd=Path(__file__).parents[2])

    done = command(MESSY, tmp_path / "out.csv")
    assert (done.returncode, "51 rows" in done.stdout, "17 texts wait" in done.stdout) == (0, True, True), done.stderr
    (tmp_path / "bad.csv").write_text("a,b\n", encoding="utf-8")
    bad = command(tmp_path / "bad.csv", tmp_path / "bad.out.csv")
    assert bad.returncode == 2 and "lacks the columns" in bad.stderr and not (tmp_path / "bad.out.csv").exists()
    assert command(tmp_path / "none.csv", tmp_path / "x.csv").returncode == 2
    assert command(MESSY, MESSY).returncode == 2
    assert command("one").returncode == 2


class Counting(addresses.Resolver):
    """Says how often it had to think about a text of a list."""

    def __init__(self, lists):
        self.thought = Counter()
        super().__init__(lists)

    def _resolve(self, text, list_name):
        self.thought[text, list_name] += 1
        return super()._resolve(text, list_name)


def big(path, rows):
    """A file of ``rows`` rows: the communes of 2021 over and over, one of them every second time in 2025; what has to come out, (id, status, code) by row."""
    units = [u for u in LISTS.units.values() if u.list == "2021"]
    wanted = []
    with path.open("w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(files.WANTED)
        for n in range(rows):
            unit, is_late = units[n * 7 % len(units)], n % (2 * len(units)) == 0
            writer.writerow((n, f"Số 3 đường Bà Triệu, {unit.name}, {unit.district_name}, Lạng Sơn", "2025-09-15" if is_late else "2021-09-15"))
            wanted.append((str(n), "resolved", None if is_late else unit.code))
    return wanted


def test_of_a_big_file_each_text_is_resolved_once_and_every_row_comes_out_in_its_order(tmp_path):
    source, target, of = tmp_path / "in.csv", tmp_path / "out.csv", Counting(LISTS)
    wanted = big(source, 20_000)
    counts = files.resolve_file(source, target, of)
    with target.open(encoding="utf-8", newline="") as f:
        found = [(r["id"], r["status"], None if code is None else r["code"]) for r, (_, _, code) in zip(csv.DictReader(f), wanted, strict=True)]
    assert found == wanted and counts.rows == {"resolved": 20_000}
    assert set(of.thought.values()) == {1} and len(of.thought) == 201, "200 texts, one of them on two lists"


def test_a_file_is_not_held_in_memory(tmp_path):
    """What a run holds at most does not grow with the rows: sixteen times as many bytes pass through."""
    source, target, of, held = tmp_path / "in.csv", tmp_path / "out.csv", Counting(LISTS), []
    for rows in (500, 2_000, 32_000):  # the first fills the caches
        big(source, rows)
        tracemalloc.start()
        files.resolve_file(source, target, of)
        held.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert source.stat().st_size > 2_000_000 and held[2] - held[1] < 200_000, held


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2021-09-15", date(2021, 9, 15)), ("15/09/2021", date(2021, 9, 15)), ("5/7/2021", date(2021, 7, 5)), ("15-9-21", date(2021, 9, 15)),
        ("15.09.2021 08:30", date(2021, 9, 15)), ("2021/9/15", date(2021, 9, 15)), ("20210915", date(2021, 9, 15)), ("44454", date(2021, 9, 15)),
        ("2021-09-15T17:00:00Z", date(2021, 9, 16)), ("2021-09-15 16:59:59+00:00", date(2021, 9, 15)), ("ngày 15 tháng 9 năm 2021", date(2021, 9, 15)),
        ("2021-09-15T23:59:59", date(2021, 9, 15)), (" '2021-09-15' ", date(2021, 9, 15)),
        ("", None), (None, None), ("2021-13-45", None), ("30/02/2021", None), ("hôm qua", None), ("09/2021", None), ("2021", None), ("12345", None), ("N/A", None),
    ],
)  # fmt: skip
def test_days(text, day):
    assert files.parse_day(text) == day
