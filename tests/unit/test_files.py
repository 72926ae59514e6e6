"""Postmart's files to rows: every shape that the contract allows, and each fault with the reaction that it asks for."""

from __future__ import annotations

import io
import types
import unicodedata
import zipfile
from datetime import date, datetime

import openpyxl
import polars as pl
import pytest
import xlsxwriter
from kinhteso import contracts
from kinhteso.landing import Landing, Part
from kinhteso.readers import DeliveryRefused, read
from kinhteso.readers import text as texts
from kinhteso.readers import workbook as hostile

DAY = date(2021, 9, 14)


def rows_of(dataset, name, content, tmp_path):
    contract = contracts.load_contract("postmart", dataset)
    landing = Landing(tmp_path)
    sha, size = landing.put(f"x/{name}", content)
    export = types.SimpleNamespace(business_day=DAY, version=1, is_backlog=False)
    stream = read(contract, [Part(1, f"x/{name}", name, sha, size)], landing, export)
    names = [c.name for c in contract.columns]
    return [(n, dict(zip(names, v, strict=True))) for n, v in stream], stream


def headings(dataset):
    return [c.heading for c in contracts.load_contract("postmart", dataset).columns]


def csv_file(dataset, *lines, sep=";", encoding="utf-8-sig", head=None):
    return ("\r\n".join([sep.join(head or headings(dataset)), *lines]) + "\r\n").encode(encoding)


REFUND = "HT210924000031;PM2109140000123;43160;Trả hàng và hoàn tiền;1;175000;Hàng dập;22/09/2021 08:10:00;24/09/2021 15:30:00;Đã hoàn tất"


def test_csv_with_and_without_bom_and_utf16(tmp_path):
    for n, encoding in enumerate(["utf-8-sig", "utf-8", "utf-16"]):
        found, stream = rows_of("refunds", f"r{n}.csv", csv_file("refunds", REFUND, encoding=encoding), tmp_path)
        assert found[0][1]["refund_amount_vnd"] == "175000" and found[0][1]["reason"] == "Hàng dập", encoding
        assert bool(stream.warnings) is (n > 0), encoding


def test_line_breaks_and_semicolons_inside_quotes(tmp_path):
    found, _ = rows_of("refunds", "r.csv", csv_file("refunds", REFUND.replace("Hàng dập", '"Hàng; ""dập""\r\nnát"')), tmp_path)
    assert len(found) == 1 and 'Hàng; "dập"' in found[0][1]["reason"]


def test_decomposed_letters_are_composed(tmp_path):
    content = csv_file("refunds", unicodedata.normalize("NFD", REFUND), head=[unicodedata.normalize("NFD", h) for h in headings("refunds")])
    assert rows_of("refunds", "r.csv", content, tmp_path)[0][0][1]["status_raw"] == "Đã hoàn tất"


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (csv_file("refunds", REFUND.replace(";", ","), sep=","), "F20"),
        (csv_file("refunds", REFUND).decode("utf-8-sig").encode("utf-8").decode("cp1252", "ignore").encode("utf-8"), "F18"),
        (unicodedata.normalize("NFD", "Mã yêu cầu;ế").encode("cp1258", "ignore") + b"\xd2\xec\r\n", "F18"),
        (csv_file("refunds", REFUND, head=[h.replace("Số tiền hoàn", "Tiền hoàn") for h in headings("refunds")]), "Q02"),
    ],
)
def test_csv_faults_are_refused(content, rule, tmp_path):
    with pytest.raises(DeliveryRefused) as caught:
        rows_of("refunds", "r.csv", content, tmp_path)
    assert caught.value.rule_id == rule, caught.value


def test_an_extra_column_at_the_end_warns_in_the_middle_it_is_refused(tmp_path):
    head = [*headings("refunds"), "Ghi chú nội bộ"]
    found, stream = rows_of("refunds", "a.csv", csv_file("refunds", REFUND + ";x", head=head), tmp_path)
    assert len(found) == 1 and any("F13" in w for w in stream.warnings)
    middle = [*headings("refunds")[:3], "Cột mới", *headings("refunds")[3:]]
    with pytest.raises(DeliveryRefused) as caught:
        rows_of("refunds", "b.csv", csv_file("refunds", REFUND, head=middle), tmp_path)
    assert caught.value.rule_id == "Q02" and "heading 4 is 'Cột mới'" in str(caught.value)


def workbook(rows, *, dimension=None, head=None):
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        page = book.add_worksheet("Đơn hàng")
        page.merge_range(0, 0, 0, 24, "BƯU ĐIỆN TỈNH LẠNG SƠN")
        page.merge_range(3, 0, 3, 5, "Thông tin đơn hàng")
        page.write_row(4, 0, head or headings("orders"))
        for n, row in enumerate(rows, 5):
            for c, value in enumerate(row):
                if value is not None:
                    if isinstance(value, datetime):
                        page.write_datetime(n, c, value, book.add_format({"num_format": "dd/mm/yyyy hh:mm:ss"}))
                    else:
                        page.write(n, c, value)
    content = out.getvalue()
    if dimension:
        fixed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(fixed, "w") as target:
            for item in source.namelist():
                data = source.read(item)
                if item.endswith("sheet1.xml"):
                    import re

                    data = re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="' + dimension + b'"', data)
                target.writestr(item, data)
        content = fixed.getvalue()
    return content


FIRST = [1, "PM2109140000123", "14/09/2021 10:22:31", "Đã xác nhận", datetime(2021, 9, 14, 14, 5), None, "PMS0004712", "Na", "Hà Nội", "43160", "Na hộp", "hộp", 2, "175.000", 350000,
         "470.000", 20000, "35.000", "485.000", "COD", "Chưa thanh toán", "EM1", 2, None, "App"]  # fmt: skip
MORE = [None] * 9 + ["51877", "Hồng", "hộp", 1, "120.000", "120.000"] + [None] * 10
SECOND = [2, "PM2109140000124", "14/09/2021 11:02:10", "Chờ xác nhận", "14/09/2021 11:02:10", None, "PMS0001190", "HTX", "Hải Phòng", "38112", "Rau", "kg", 1.5, "50.000", 75000,
          75000, 0, 0, 75000, "PostPay", "Đã thanh toán", None, None, None, "Web"]  # fmt: skip
TOTAL = ["Tổng cộng", *[None] * 11, 4.5, None, "545.000", "545.000", "20.000", "35.000", "560.000"]


@pytest.mark.parametrize("dimension", [None, b"A1"])
def test_orders_with_continuation_lines_totals_and_dates(tmp_path, dimension):
    found, stream = rows_of("orders", "o.xlsx", workbook([FIRST, MORE, SECOND, TOTAL, [], [None, "Người lập biểu"]], dimension=dimension), tmp_path)
    assert [(n, r["order_code"], r["product_code"]) for n, r in found] == [
        (1, "PM2109140000123", "43160"),
        (2, "PM2109140000123", "51877"),
        (3, "PM2109140000124", "38112"),
    ]
    assert found[1][1]["order_total_vnd"] == "485.000" and found[0][1]["event_at"] == "14/09/2021 14:05:00" and found[2][1]["quantity"] == "1,5"
    assert stream.rows == 3


def test_a_total_that_is_no_sum_is_told(tmp_path):
    wrong = [*TOTAL[:18], "999.000"]
    try:
        _, stream = rows_of("orders", "o.xlsx", workbook([FIRST, MORE, SECOND, wrong]), tmp_path)
    except DeliveryRefused as refused:
        assert refused.rule_id in ("F23", "Q01")
    else:
        assert any("999" in w for w in stream.warnings)


def test_a_damaged_or_foreign_workbook_is_refused(tmp_path):
    whole = workbook([FIRST])
    with pytest.raises(DeliveryRefused):
        rows_of("orders", "a.xlsx", whole[:-30], tmp_path)
    with pytest.raises(DeliveryRefused) as caught:
        rows_of("orders", "b.xlsx", b"<html><table></table></html>", tmp_path)
    assert caught.value.rule_id == "F21"
    assert openpyxl.load_workbook(io.BytesIO(whole))


PRODUCT = '43160;PMS0004712;"Na Chi Lăng loại 1; hộp 5kg";Nông sản > Na;hộp;175000;5,0;120;;4 sao;Đang bán;05/08/2021 09:00:00;12/09/2021 18:22:10'


def archive(parts):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        for name, content in parts.items():
            z.writestr(name, content)
    return out.getvalue()


def test_parts_of_a_zip_are_numbered_through(tmp_path):
    part = csv_file("products", PRODUCT)
    found, stream = rows_of("products", "p.zip", archive({"x_p01of02.csv": part, "x_p02of02.csv": part.replace(b"43160", b"43161")}), tmp_path)
    assert [(n, r["product_code"]) for n, r in found] == [(1, "43160"), (2, "43161")] and stream.rows == 2


def test_a_missing_part_and_a_bomb_are_refused(tmp_path):
    part = csv_file("products", PRODUCT)
    with pytest.raises(DeliveryRefused) as caught:
        rows_of("products", "a.zip", archive({"x_p01of03.csv": part, "x_p03of03.csv": part}), tmp_path)
    assert caught.value.rule_id == "F27"
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("x_p01of01.csv", b"0" * (64 << 20))
    with pytest.raises(DeliveryRefused):
        rows_of("products", "b.zip", bomb.getvalue(), tmp_path)


def test_the_volume_form_of_orders(tmp_path):
    line = "1;PM2109140000123;14/09/2021 10:22:31;Đã xác nhận;14/09/2021 14:05:00;;PMS0004712;Na;Hà Nội;43160;Na hộp;hộp;0,5;175000;87500;87500;0;0;87500;COD;Chưa thanh toán;;;;App"
    found, _ = rows_of("orders", "o.zip", archive({"x_p01of01.csv": csv_file("orders", line)}), tmp_path)
    assert found[0][1]["quantity"] == "0,5" and found[0][1]["order_code"] == "PM2109140000123"


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        (44457.3958333333, "18/09/2021 09:30:00"), (44457, "18/09/2021"), ("44457,5", "18/09/2021 12:00:00"), (44457.9999999, "19/09/2021"),
        ("18/09/2021 09:30:00", "18/09/2021 09:30:00"), (202109180930, "202109180930"), ("hôm qua", "hôm qua"), (12, "12"),
    ],
)  # fmt: skip
def test_a_date_that_lost_its_format_is_read_by_its_serial_number(given, read_as, tmp_path):
    row = [1, "PM2109180000001", given, "Đã xác nhận", given, None, "PMS0000001", "Na", "Hà Nội", "43160", "Na", "hộp", 44457, 44457, 44457]
    found, _ = rows_of("orders", "o.xlsx", workbook([row]), tmp_path)
    assert (found[0][1]["created_at"], found[0][1]["event_at"]) == (read_as, read_as)
    assert found[0][1]["quantity"] == found[0][1]["unit_price_vnd"] == "44457", "only dates are dates"


def test_what_a_mac_puts_beside_the_parts_is_told_and_not_read(tmp_path):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("folder/", b"")
        for name in ("__MACOSX/._R_p01of01.csv", ".DS_Store", "._R_p01of01.csv"):
            archive.writestr(name, b"\0\5\x16\7")
        archive.writestr("R_p01of01.csv", csv_file("refunds", REFUND))
    found, stream = rows_of("refunds", "r.zip", out.getvalue(), tmp_path)
    assert len(found) == 1 and any("__MACOSX" in w for w in stream.warnings)


def test_a_refusal_can_be_written_into_the_database(tmp_path):
    with pytest.raises(DeliveryRefused) as refused:
        rows_of("refunds", "r.csv", b"\0\5\x16\7;x\r\n", tmp_path)
    assert "\0" not in str(refused.value)


def _with(content: bytes, **members: bytes) -> bytes:
    """A workbook with further parts; a name with `__` for `/`, and `_dot_` for `.`."""
    out = io.BytesIO(content)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name.replace("__", "/").replace("_dot_", "."), body)
    return out.getvalue()


@pytest.mark.parametrize(
    ("rule", "members"),
    [
        ("F74", {"xl__vbaProject_dot_bin": b"x"}),
        ("F73", {"xl__externalLinks__externalLink1_dot_xml": b"<externalLink/>"}),
        ("F73", {"xl__connections_dot_xml": b"<connections/>"}),
        (
            "F73",
            {"xl__worksheets___rels__sheet9_dot_xml_dot_rels": b'<R><Relationship Id="r" Type="a/oleObject" Target="file:///x" TargetMode="External"/></R>'},
        ),
        ("F72", {"xl__extra_dot_xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'}),
        ("F72", {"xl__wide_dot_xml": '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a><a/>'.encode("utf-16")}),
        (
            "F71",
            {
                "xl__worksheets__sheet9_dot_xml": b'<sheetData><row r="1"><c r="A1"><v>1</v></c></row><row><c s="1" r="XFD1048576"><v>1</v></c></row></sheetData>'
            },
        ),
        ("F71", {"xl__media__zeros_dot_bin": bytes(70 << 20)}),
    ],
)
def test_what_a_workbook_may_not_hold_is_refused_before_it_is_opened(rule, members):
    book = io.BytesIO()
    with zipfile.ZipFile(book, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b'<sheetData><row r="1"><c r="A1"><v>1</v></c><c r="XFD1048576" s="1"/></row></sheetData>')
        archive.writestr(
            "xl/worksheets/_rels/sheet1.xml.rels", b'<R><Relationship Type="x/hyperlink" Target="https://langson.postmart.vn/" TargetMode="External"/></R>'
        )

    def refused(rule: str, what: str, remedy: str) -> DeliveryRefused:
        return DeliveryRefused(rule, f"{what} {remedy}")

    hostile.guard(io.BytesIO(book.getvalue()), refused)
    with pytest.raises(DeliveryRefused) as told:
        hostile.guard(io.BytesIO(_with(book.getvalue(), **members)), refused)
    assert told.value.rule_id == rule and ".xlsx" in str(told.value)


def test_a_parser_that_panics_is_a_damaged_file_and_other_errors_are_not():
    class PanicException(BaseException):
        pass

    assert hostile.is_damage(PanicException()) and hostile.is_damage(RuntimeError("File is encrypted")) and hostile.is_damage(zipfile.BadZipFile())
    assert not hostile.is_damage(RuntimeError("no")) and not hostile.is_damage(KeyboardInterrupt()) and not hostile.is_damage(DeliveryRefused("F01", ""))


def test_an_old_font_is_told_from_foreign_names():
    seen = texts.OldFont()
    seen.look_at(pl.DataFrame({"0": ["Müller", "Crème brûlée", "Na Chi Lăng – Nhà Hoàng Thị Mai", "Đã giao", "½ kg", "Rượu Mẫu Sơn", None]}))
    assert seen.share <= 0.34
    old = texts.OldFont()
    old.look_at(pl.DataFrame({"0": ["§· giao", "Hµ Néi", None], "1": ["L¹ng S¬n", "Chê x¸c nhËn", "kg"]}))
    assert old.share > 0.9
