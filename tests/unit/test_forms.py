"""Forms as people make them: every layout that the contract allows, and what is refused."""

from __future__ import annotations

import io
import types
from datetime import UTC, date, datetime

import pytest
import xlsxwriter
from kinhteso import contracts
from kinhteso.landing import Landing, Part
from kinhteso.readers import DeliveryRefused, RowStream
from kinhteso.registers import forms, inbox

AS_OF = date(2021, 9, 15)


def book(*sheets: tuple[str, list[list[object]]], merged: tuple[tuple[int, int, int], ...] = ()) -> bytes:
    """An .xlsx of the given cells; ``merged``: blocks of them (column, first row, last row)."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as b:
        for name, rows in sheets:
            page = b.add_worksheet(name)
            for n, row in enumerate(rows):
                for c, value in enumerate(row):
                    if value is not None:
                        page.write(n, c, value)
            for column, first, last in merged:
                page.merge_range(first, column, last, column, rows[first][column])
    return out.getvalue()


def head(district="UBND HUYỆN CHI LĂNG", commune=None, title="BIỂU SỐ 01: TỔNG HỢP SỐ HỘ THEO THÔN, BẢN, KHỐI PHỐ", day="15/09/2021"):
    return [[district], [f"UBND {commune}"] if commune else [], [], [title], [f"(Số liệu tính đến ngày {day})"], []]


def read(content: bytes, dataset: str, name: str, tmp_path, as_of=AS_OF):
    contract = contracts.load_contract("registers", dataset)
    landing = Landing(tmp_path)
    sha, size = landing.put(f"x/{name}", content)
    stream = RowStream()
    export = types.SimpleNamespace(business_day=as_of, version=1)
    rows = list(forms.rows(stream, contract, [Part(1, f"x/{name}", name, sha, size)], landing, export))
    keys = [*(c.name for c in contract.columns), "commune_code", "as_of", "district_code"]
    return [dict(zip(keys, values, strict=True)) for _, values in rows], stream


R1 = ["STT", "Mã xã", "Tên xã", "Thôn/Bản/Khối phố", "Tổng số hộ", "Trong đó", None, "Hộ nghèo", "Số nhân khẩu", "Trưởng thôn", "Ghi chú"]
SUB = [None, None, None, None, None, "Hộ nông nghiệp", "Hộ kinh doanh"]
NUMBERS = [f"({n})" for n in range(1, 12)]


def test_two_heading_rows_numbers_merged_cells_and_totals(tmp_path):
    rows = [
        *head(), R1, SUB, NUMBERS,
        [1, "6505", "Xã Vạn Linh", "Thôn Phố Cũ", 142, 120, 15, 9, 611, "Hoàng Văn Bảo"],
        [2, None, None, "Thôn Làng Thành", "1.250", 30, 5, 1, 5000],
        [None, "Cộng", None, None, 1392],
        [1, "06475", "Xã Gia Lộc", "Thôn A", 80, 70, 5, 2, 300],
        [None, "Tổng cộng", None, None, 1472], [], [None, "NGƯỜI LẬP BIỂU", None, None, None, "CHỦ TỊCH"],
    ]  # fmt: skip
    gia_loc = next(c for c in __import__("kinhteso.communes", fromlist=["x"]).all_communes() if c.name == "Xã Gia Lộc")
    rows[12][1] = gia_loc.code
    found, stream = read(book(("Biểu 01", rows)), "hamlets", "Bieu01_187_20210915.xlsx", tmp_path)
    assert [(r["hamlet_raw"], r["households"], r["commune_code"]) for r in found] == [
        ("Thôn Phố Cũ", "142", "06505"), ("Thôn Làng Thành", "1.250", "06505"), ("Thôn A", "80", gia_loc.code),
    ]  # fmt: skip
    assert found[0]["households_farming"] == "120" and found[0]["households_business"] == "15"
    assert {r["as_of"] for r in found} == {"2021-09-15"} and {r["district_code"] for r in found} == {"187"}
    assert stream.rows == 3 and stream.warnings == []


def test_a_total_that_is_no_sum_warns(tmp_path):
    rows = [*head(), R1, SUB, [1, "06505", "Xã Vạn Linh", "Thôn A", 10], [None, "Tổng cộng", None, None, 99]]
    found, stream = read(book(("x", rows)), "hamlets", "Bieu01_187_20210915.xlsx", tmp_path)
    assert len(found) == 1 and any("F53" in w and "99" in w for w in stream.warnings)


def test_a_sheet_per_commune_by_its_name_or_title(tmp_path):
    one = [*head(), R1, SUB, [1, None, None, "Thôn A", 10]]
    two = [*head(commune="XÃ VẠN LINH"), R1, SUB, [1, None, None, "Thôn B", 20]]
    found, _ = read(book(("Xã Hòa Bình", one), ("Sheet2", two)), "hamlets", "Bieu01_187_20210915.xlsx", tmp_path)
    assert [r["commune_code"] for r in found] == [__import__("kinhteso.communes", fromlist=["x"]).resolve(None, "Xã Hòa Bình", "187"), "06505"]


def test_a_form_of_two_levels_names_no_district(tmp_path):
    """From 2025-07-01 on a form is of a commune of the list of its date; the same code meant another commune in 2021."""
    day = date(2025, 9, 15)
    rows = [
        *head(district="UBND TỈNH LẠNG SƠN", commune="PHƯỜNG KỲ LỪA", day="15/09/2025"),
        R1,
        SUB,
        [1, None, None, "Khối 1", 10],
        [2, "6187", "Kỳ Lừa", "Khối 2", 20],
    ]
    found, _ = read(book(("x", rows)), "hamlets", "Bieu01_06187_20250915.xlsx", tmp_path, day)
    assert [(r["commune_code"], r["district_code"]) for r in found] == [("06187", None)] * 2
    contract = contracts.load_contract("registers", "hamlets")
    assert forms.head(book(("x", rows)), "Bieu01_06187_20250915.xlsx", contract) == forms.Head(day, "20_06187")
    assert forms.head(book(("x", rows)), "Bieu01_20_06187_20250915.xlsx", contract) == forms.Head(day, "20_06187")
    assert forms.head_by_name("Bieu01_06187_20250915.xlsx", day) == forms.Head(day, "20_06187")
    assert forms.head_by_name("Bieu01_187_06505_20210915.xlsx", day) == forms.Head(AS_OF, "187_06505")
    with pytest.raises(DeliveryRefused, match="its name 06325"):
        forms.head(book(("x", rows)), "Bieu01_06325_20250915.xlsx", contract)


def test_the_same_form_a_day_later_is_of_the_next_list(tmp_path):
    row = [1, "06040", "Xã Đại Đồng", "Thôn A", 10]
    for day, expected in (("30/11/2024", "06040"), ("01/12/2024", None)):  # then the code is thị trấn Thất Khê's
        rows = [*head(district="UBND HUYỆN TRÀNG ĐỊNH", day=day), R1, SUB, row]
        when = date(*map(int, reversed(day.split("/"))))
        found, _ = read(book(("x", rows)), "hamlets", f"Bieu01_180_{when:%Y%m%d}.xlsx", tmp_path, when)
        assert [r["commune_code"] for r in found] == [expected]


def test_columns_in_another_order_and_unknown_ones(tmp_path):
    rows = [
        *head(commune="XÃ VẠN LINH", title="DANH SÁCH HỘ GIA ĐÌNH"),
        ["STT", "Thôn", "Mã hộ", "Cột lạ", "Họ tên chủ hộ", "Số điện thoại"],
        [1, "A", "H1", "?", "Hoàng Thị Mai", 900000012],
    ]
    found, stream = read(book(("x", rows)), "households", "Bieu01b_187_06505_20210915.xlsx", tmp_path)
    assert found[0]["household_code"] == "H1" and found[0]["hamlet_raw"] == "A" and found[0]["phone"] == "900000012" and found[0]["commune_code"] == "06505"
    assert any("Cột lạ" in w for w in stream.warnings)


def test_targets_of_hamlets_stand_under_their_commune(tmp_path):
    top = [
        "STT",
        "Đơn vị",
        "Cấp giao",
        "Tổng số hộ",
        "Hộ có cửa hàng số",
        None,
        "Hộ có TK thanh toán điện tử",
        None,
        "Hộ đầu tàu",
        None,
        "Tổ công nghệ cộng đồng",
        "Giai đoạn",
        "Số QĐ",
        "Ngày QĐ",
        "Hạn hoàn thành",
    ]
    sub = [None, None, None, None, "Tỷ lệ (%)", "Số hộ", "Tỷ lệ (%)", "Số hộ", "Tỷ lệ (%)", "Số hộ", "Số tổ"]
    tail = [1, "1/QĐ", "14/07/2021", "20/09/2021"]
    rows = [
        *head(title="BIỂU SỐ 03: GIAO CHỈ TIÊU PHÁT TRIỂN KINH TẾ SỐ"), top, sub,
        [1, "Xã Vạn Linh", "Xã", 100, 50, 50, "50%", None, 0.1, None, 3, *tail],
        [2, "Thôn A", "Thôn", 40, 50, 20, 50, 20, 10, 4, 1, *tail],
        [3, "HTX Na", "Hợp tác xã", None, 50, None, 50, None, 10, None, 0, *tail],
    ]  # fmt: skip
    found, _ = read(book(("x", rows)), "targets", "Bieu03_187_20210915.xlsx", tmp_path)
    assert {r["commune_code"] for r in found} == {"06505"}
    assert (found[0]["store_rate"], found[0]["store_count"], found[0]["payment_rate"], found[0]["lead_rate"], found[0]["team_count"]) == (
        "50",
        "50",
        "50%",
        "0,1",
        "3",
    )


def test_what_a_row_lacks_is_kept_for_the_judge(tmp_path):
    rows = [*head(), R1, SUB, [None, None, "Xã Vạn Linh", "Thôn A", 10, 8, 1], [2, None, "Xã Không Có", "Thôn B", 20]]
    found, stream = read(book(("x", rows)), "hamlets", "Bieu01_187_20210915.xlsx", tmp_path)
    assert [(r["stt"], r["commune_code"]) for r in found] == [(None, "06505"), ("2", None)] and stream.rows == 2


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (book(("x", [*head(day="14/09/2021"), R1, SUB, [1]])), "Bieu01_187_20210915.xlsx", "row 5 says 14/09/2021"),
        (b"<html><table></table></html>", "Bieu01_187_20210915.xls", "no table"),
        (b"<?xml version='1.0'?><Workbook/>", "Bieu01_187_20210915.xls", "XML under an Excel name"),
        ("<html><meta charset=ascii>UBND HUYỆN CHI LĂNG</html>".encode(), "Bieu01_187_20210915.xls", "encoding"),
        (b"PK\x03\x04 broken", "Bieu01_187_20210915.xlsx", "cannot be read"),
        (book(("x", [["no table"]])), "Bieu01_187_20210915.xlsx", "no table"),
        (book(("x", [*head(), ["STT", "Tên xã"], [1, "Xã Vạn Linh"]])), "Bieu01_187_20210915.xlsx", "lacks the columns"),
        (book(("x", [[], R1, [1]])), "Bieu01_187.xlsx", "as-of date"),
    ],
)
def test_refused_with_a_remedy(content, name, says, tmp_path):
    with pytest.raises(DeliveryRefused, match=says):
        forms.head(content, name, contracts.load_contract("registers", "hamlets"))
        read(content, "hamlets", name, tmp_path)


def test_units_of_forms():
    contract = contracts.load_contract("registers", "hamlets")
    district = book(("x", [*head(), R1, SUB, [1, "06505", "Xã Vạn Linh", "A", 1]]))
    commune = book(("x", [*head(commune="XÃ VẠN LINH"), R1, SUB, [1, None, None, "A", 1]]))
    assert forms.head(district, "Bieu01_187_20210915.xlsx", contract) == forms.Head(AS_OF, "187")
    assert forms.head(commune, "Bieu01_187_06505_20210915.xlsx", contract) == forms.Head(AS_OF, "187_06505")
    assert forms.head(commune, "bản sửa.xlsx", contract) == forms.Head(AS_OF, "187_06505")


def test_the_inbox_by_name_or_title(tmp_path):
    (tmp_path / "Bieu02_187_20210910 (1).xlsx").write_bytes(book(("x", [["a"]])))
    (tmp_path / "bản sửa.xlsx").write_bytes(book(("x", head())))
    (tmp_path / "Bieu01b_187_06505_20210715.xlsx").write_bytes(book(("x", [["a"]])))
    (tmp_path / "khac.xlsx").write_bytes(book(("x", [["a"]])))
    (tmp_path / "~$Bieu01_187_20210715.xlsx").write_bytes(b"lock")
    (tmp_path / "Bieu01_187_20210715.xlsx.part").write_bytes(b"half")
    found = {f.path.name: f.dataset for f in inbox.scan(tmp_path)}
    assert found == {"Bieu02_187_20210910 (1).xlsx": "teams", "bản sửa.xlsx": "hamlets", "Bieu01b_187_06505_20210715.xlsx": "households", "khac.xlsx": None}
    with pytest.raises(FileNotFoundError, match="KINHTESO_REGISTERS_INBOX"):
        inbox.scan(tmp_path / "none")


def test_landing_keeps_the_bytes(tmp_path):
    path = tmp_path / "Bieu01_187_20210915.xlsx"
    path.write_bytes(book(("x", [*head(), R1, SUB, [1, "06505", "Xã Vạn Linh", "A", 1]])))
    form = next(f for f in inbox.scan(tmp_path))
    landing = Landing(tmp_path / "landing")
    delivery, refusal = inbox.land(form, landing, lambda unit, as_of: 1)
    assert refusal is None and delivery.unit == "187" and delivery.business_day == AS_OF and delivery.received_at <= datetime.now(UTC)
    with landing.open(delivery.parts[0].path) as f:
        assert f.read() == path.read_bytes()


def test_a_form_that_is_refused_is_kept_all_the_same(tmp_path):
    (tmp_path / "inbox").mkdir()
    path = tmp_path / "inbox" / "Bieu01_187_06505_20210914.xlsx"
    path.write_bytes(book(("x", [*head(), R1, SUB, [1, "06505", "Xã Vạn Linh", "A", 1]])))
    landing = Landing(tmp_path / "landing")
    delivery, refusal = inbox.land(inbox.scan(tmp_path / "inbox")[0], landing, lambda unit, as_of: 1)
    assert refusal.rule_id == "F52" and "row 5 says 15/09/2021" in str(refusal)
    assert (delivery.business_day, delivery.unit) == (date(2021, 9, 14), "187_06505")
    with landing.open(delivery.parts[0].path) as f:
        assert f.read() == path.read_bytes()


HTML = """<html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8"><style>td {{color: red}}</style></head><body>
<table><tr><td>UBND HUYỆN CHI LĂNG</td><td>CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM</td></tr></table>
<h3>BIỂU SỐ 01: TỔNG HỢP SỐ HỘ THEO THÔN, BẢN, KHỐI PHỐ</h3><p>(Số liệu tính đến<br>ngày 15/09/2021)</p>
<table border=1>
<tr><th rowspan=2>STT<th rowspan=2>Mã xã<th rowspan=2>Tên xã<th rowspan=2>Thôn/Bản/Khối phố<th rowspan=2>Tổng số hộ<th colspan=2>Trong đó<th rowspan=2>Hộ nghèo
<tr><th>Hộ nông nghiệp<th>Hộ kinh doanh
<tr><td>1<td>6505<td rowspan=2>Xã Vạn Linh<td>Thôn Phố&nbsp;Cũ<td>142<td>120<td>15<td>9</tr>
<tr><td>2</td><td></td><td>Thôn Làng&#10;Thành</td><td>1.250</td><td>30</td><td>5</td><td>1</td></tr>
<tr><td><td>Tổng cộng<td><td><td>1392</tr>
</table><p>NGƯỜI LẬP BIỂU</p></body></html>"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_html_page_under_an_excel_name_is_read_and_told(encoding, tmp_path):
    content = HTML.format().encode(encoding)
    found, stream = read(content, "hamlets", "Bieu01_187_20210915.xls", tmp_path)
    assert [(r["stt"], r["hamlet_raw"], r["households"], r["households_farming"], r["households_poor"], r["commune_code"]) for r in found] == [
        ("1", "Thôn Phố Cũ", "142", "120", "9", "06505"), ("2", "Thôn Làng Thành", "1.250", "30", "1", "06505"),
    ]  # fmt: skip
    (warning,) = stream.warnings
    assert warning.startswith("F21") and ".xlsx" in warning
    assert forms.head(content, "Bieu01_187_20210915.xls", contracts.load_contract("registers", "hamlets")) == forms.Head(AS_OF, "187")
    assert forms.dataset_by_title(io.BytesIO(content)) == "hamlets"


def test_a_date_of_a_form_that_lost_its_format(tmp_path):
    columns = ["STT", "Tên xã", "Thôn", "Mã hộ", "Họ tên chủ hộ", "Số điện thoại", "Mặt hàng chủ lực", "Sàn (Postmart/Vỏ Sò/Cả hai)", "Mã gian hàng",
               "Ngày công nhận", "Ngày thôi công nhận", "Ghi chú"]  # fmt: skip
    rows = [
        *head(title="BIỂU SỐ 04: DANH SÁCH HỘ ĐẦU TÀU"),
        columns,
        [1, "Xã Vạn Linh", "Thôn A", "H1", "Hoàng Thị Mai", None, "Na", "Postmart", None, 44440, None],
    ]
    found, _ = read(book(("x", rows)), "leads", "Bieu04_187_20210915.xlsx", tmp_path)
    assert found[0]["recognised_on"] == "01/09/2021"


def test_a_number_that_is_merged_over_a_team(tmp_path):
    columns = ["STT", "Tên xã", "Thôn/Bản/Khối phố", "Số, ngày QĐ thành lập", "Họ và tên", "Năm sinh", "Chức vụ", "Nhiệm vụ trong tổ", "Số điện thoại",
               "Đã tập huấn", "Ngày tập huấn", "Đơn vị tập huấn", "Ghi chú"]  # fmt: skip
    rows = [
        *head(title="BIỂU SỐ 02: DANH SÁCH TỔ CÔNG NGHỆ CỘNG ĐỒNG"), columns,
        [1, "Xã Vạn Linh", "Thôn A", "45/QĐ", "Người Một", 1980, None, "Tổ trưởng", None, "Có"],
        [None, None, None, None, "Người Hai", 1981, None, "Thành viên", None, "x"],
        [2, "Xã Gia Lộc", "Thôn B", "46/QĐ", "Người Ba", 1982, None, "Tổ trưởng", None, "Không"],
        [None, None, None, None, "Người Bốn", 1983, None, "Thành viên", None, None],
    ]  # fmt: skip
    found, _ = read(book(("x", rows)), "teams", "Bieu02_187_20210915.xlsx", tmp_path)
    assert [(r["stt"], r["commune_name"], r["hamlet_raw"], r["decision"]) for r in found] == [
        ("1", "Xã Vạn Linh", "Thôn A", "45/QĐ"), ("1", "Xã Vạn Linh", "Thôn A", "45/QĐ"), ("2", "Xã Gia Lộc", "Thôn B", "46/QĐ"), ("2", "Xã Gia Lộc", "Thôn B", "46/QĐ"),
    ]  # fmt: skip


def test_a_block_of_any_column_is_of_each_row_that_it_covers_and_a_count_is_not(tmp_path):
    """F76: merged cells say the same of all their rows, a blank cell beside them says nothing; a merged count is said once."""
    columns = ["STT", "Tên xã", "Thôn/Bản/Khối phố", "Số, ngày QĐ thành lập", "Họ và tên", "Năm sinh", "Chức vụ", "Nhiệm vụ trong tổ", "Số điện thoại",
               "Đã tập huấn", "Ngày tập huấn"]  # fmt: skip
    rows = [
        *head(title="BIỂU SỐ 02: DANH SÁCH TỔ CÔNG NGHỆ CỘNG ĐỒNG"), columns,
        [1, "Xã Vạn Linh", "Thôn A", "45/QĐ", "Người Một", 1980, None, "Tổ trưởng", None, "Có", "01/09/2021"],
        [2, "Xã Vạn Linh", "Thôn A", "45/QĐ", "Người Hai", 1981, None, "Thành viên", None, None, None],
        [3, "Xã Vạn Linh", "Thôn A", "45/QĐ", "Người Ba", 1982, None, "Thành viên", None, None, None],
    ]  # fmt: skip
    found, _ = read(book(("x", rows), merged=((9, 7, 8), (10, 7, 8))), "teams", "Bieu02_187_20210915.xlsx", tmp_path)
    assert [(r["trained_raw"], r["trained_on"]) for r in found] == [("Có", "01/09/2021"), ("Có", "01/09/2021"), (None, None)]
    hamlets = [*head(), R1, SUB, [1, "06505", "Xã Vạn Linh", "Thôn A", 10], [2, "06505", "Xã Vạn Linh", "Thôn B", None]]
    found, _ = read(book(("x", hamlets), merged=((4, 8, 9), (1, 8, 9))), "hamlets", "Bieu01_187_20210915.xlsx", tmp_path)
    assert [(r["commune_src_code"], r["households"]) for r in found] == [("06505", "10"), ("06505", None)]
