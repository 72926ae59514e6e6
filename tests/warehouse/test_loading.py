"""Real files through landing, reader and COPY: raw holds what was delivered, without personal data, once, or nothing at all."""

import csv
import datetime as dt
import gzip
import hashlib
import hmac
import io
import json
import re
import unicodedata
import zipfile
from dataclasses import dataclass, field

import psycopg
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kinhteso import ledger, loading, readers, warehouse
from kinhteso.contracts import load_contract
from kinhteso.landing import Delivery, Landing, Part, sha256_of_parts
from kinhteso.readers.frames import BATCH_ROWS

DAY = dt.date(2021, 9, 14)
PHONE_KEY = "demo-pepper"
KNOWN_KEY = "86d476a8634482cd69dc0cdaac42e139818087791ebdedf89769c964ab50d6ae"  # of +84900000012
WORDS = {"stores": "GIANHANG", "products": "SANPHAM", "orders": "DONHANG", "refunds": "HOANTRA", "accounts": "TAIKHOANTT"}


def key(text: str) -> str:
    return hmac.new(PHONE_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.fixture()
def db(shared_db):
    """The shared warehouse, as empty as it was before."""
    with shared_db.transaction(force_rollback=True):
        yield shared_db


@pytest.fixture()
def landing(tmp_path):
    return Landing(tmp_path / "landing")


# ---- files -----------------------------------------------------------------------------------------------------------------------


def headings(dataset):
    return [column.heading for column in load_contract("postmart", dataset).columns]


def csv_file(dataset, rows):
    """The contract's CSV dialect: BOM, ';', CRLF, headings in row 1."""
    out = io.StringIO()
    csv.writer(out, delimiter=";", lineterminator="\r\n").writerows([headings(dataset), *rows])
    return out.getvalue().encode("utf-8-sig")


def zip_file(dataset, *parts):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, rows in enumerate(parts, 1):
            archive.writestr(f"PM_LSN_p{number:02d}of{len(parts):02d}.csv", csv_file(dataset, rows))
    return out.getvalue()


def workbook(dataset, rows, total=None):
    """A sheet as the platform makes it: title block, group headings, headings in row 5, data from row 6, totals and a signature."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        page = book.add_worksheet(load_contract("postmart", dataset).file["sheet"])
        page.write(0, 0, "BƯU ĐIỆN TỈNH LẠNG SƠN")
        page.write(2, 0, "Từ ngày 14/09/2021 đến ngày 14/09/2021")
        page.write_row(4, 0, headings(dataset))
        for number, cells in enumerate([*rows, *([total, [], [None, "Người lập biểu"]] if total else [])], 5):
            for column, value in enumerate(cells):
                if value is not None:
                    page.write(number, column, value)
    return out.getvalue()


def form(rows, *, title="DANH SÁCH HỘ GIA ĐÌNH", commune="XÃ VẠN LINH"):
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        page = book.add_worksheet("Biểu")
        above = [["UBND HUYỆN CHI LĂNG"], [f"UBND {commune}"], [], [title], ["(Số liệu tính đến ngày 14/09/2021)"], []]
        for number, cells in enumerate([*above, *rows]):
            for column, value in enumerate(cells):
                if value is not None:
                    page.write(number, column, value)
    return out.getvalue()


def landed(conn, landing, source, dataset, files, **declared):
    """The files in the landing and in the ledger, as a source hands them over."""
    version, day = declared.pop("version", 1), declared.pop("day", DAY)
    folder = f"{source}/{dataset}/{day}/v{version}"
    parts = []
    for number, (name, content) in enumerate(files.items(), 1):
        sha, size = landing.put(f"{folder}/{name}", content)
        parts.append(Part(number, f"{folder}/{name}", name, sha, size))
    sha = parts[0].sha256 if len(parts) == 1 else sha256_of_parts(parts)
    delivery = Delivery(
        source, dataset, day, version, load_contract(source, dataset).mode, parts[0].origin, folder, sha, sum(part.bytes for part in parts),
        dt.datetime(2021, 9, 14, 18, 30, tzinfo=dt.UTC), tuple(parts), **declared,
    )  # fmt: skip
    return ledger.landed(conn, delivery, "test")


def landed_postmart(conn, landing, dataset, content, suffix, **declared):
    name = f"PM_LSN_{WORDS[dataset]}_20210914_v{declared.get('version', 1)}.{suffix}"
    return landed(conn, landing, "postmart", dataset, {name: content}, **declared)


def load(conn, landing, export_id, **given):
    export = ledger.get(conn, export_id)
    return loading.load(conn, export_id, load_contract(export.source, export.dataset), landing, PHONE_KEY, **given)


def raw(conn, dataset, *columns, source="postmart", export_id=None):
    names = ", ".join(columns) or "*"
    where = "" if export_id is None else f"where export_id = {export_id}"
    return conn.execute(f"select {names} from raw.{source}_{dataset} {where} order by export_id, source_row").fetchall()


def aside(conn):
    return conn.execute("select source_row, outcome from ops.set_aside_row order by 1").fetchall()


def state(conn, export_id):
    return ledger.get(conn, export_id).state


# ---- rows: people and shops are invented -------------------------------------------------------------------------------------------


def store(n, *, name="Na Chi Lăng – Nhà Hoàng Thị Mai", owner="Hoàng Thị Mai", phone="0900000012", citizen="*********012", stt=None):
    return [
        n if stt is None else stt, f"PMS{n:07d}", name, "Hộ gia đình", owner, phone, citizen, "24137", "Huyện Chi Lăng", "Xã Vạn Linh", "Thôn Phố Cũ", None,
        "02/08/2021", "03/08/2021", "Hoạt động", 2, "14/09/2021 20:11:05", "BD-CL-07", "https://langson.postmart.vn/na-1.html",
    ]  # fmt: skip


def refund(n, amount="175000", reason="Hàng dập", code=None):
    return [
        code or f"HT{n:012d}", "PM2109140000001", "43160", "Trả hàng và hoàn tiền", "1", amount, reason, "14/09/2021 08:10:00", "14/09/2021 15:30:00",
        "Đã hoàn tất",
    ]  # fmt: skip


@dataclass
class Order:
    """An order; `block` gives its rows as the sheet has them, order columns on the first row only."""

    n: int
    lines: list[tuple[str, int, int]] = field(default_factory=lambda: [("43160", 2, 175_000), ("51877", 1, 120_000)])
    discount: int = 20_000
    shipping: int = 35_000

    @property
    def code(self) -> str:
        return f"PM210914{self.n:07d}"

    @property
    def goods(self) -> int:
        return sum(quantity * price for _, quantity, price in self.lines)

    @property
    def total(self) -> int:
        return self.goods - self.discount + self.shipping

    def block(self, stt, *, whole=False, **change):
        order = {
            "stt": stt, "order_code": self.code, "created_at": "14/09/2021 10:22:31", "status_raw": "Đã xác nhận", "event_at": "14/09/2021 14:05:00",
            "store_code": "PMS0000001", "store_name": "Na Chi Lăng – Nhà Hoàng Thị Mai", "buyer_province": "Hà Nội", "goods_gross_vnd": f"{self.goods:,}".replace(",", "."),
            "seller_discount_vnd": self.discount, "shipping_fee_vnd": self.shipping, "order_total_vnd": f"{self.total:,}".replace(",", "."),
            "payment_method": "COD", "payment_status": "Chưa thanh toán", "waybill": "EM000000123VN", "carrier_status": 2, "sales_channel": "App",
        } | change  # fmt: skip
        names = [column.name for column in load_contract("postmart", "orders").columns]
        rows = []
        for number, (product, quantity, price) in enumerate(self.lines):
            line = {
                "product_code": product,
                "product_name": "Na hộp",
                "unit": "hộp",
                "quantity": quantity,
                "unit_price_vnd": price,
                "line_amount_vnd": quantity * price,
            }
            rows.append([(line | (order if number == 0 or whole else {})).get(name) for name in names])
        return rows


def orders_file(*blocks):
    return workbook("orders", [row for block in blocks for row in block], total=["Tổng cộng"])


HOUSEHOLDS = [
    ["STT", "Mã hộ", "Họ tên chủ hộ", "Số CCCD chủ hộ", "Số điện thoại", "Thôn", "Số nhân khẩu", "Ngày cập nhật"],
    [1, "H000001", "Hoàng Thị Mai", 20000000012, 900000012, "Thôn Phố Cũ", 4, "01/09/2021"],
    [2, "H000002", "Nông Văn Tư", "020 000 000 013", "+84 900 000 013", "Thôn Phố Cũ", "5", "01/09/2021"],
    [3, "H000003", "Lý Thị Na", "*********014", "không có", "Thôn Phố Cũ", 3, None],
]


# ---- what stands in raw ------------------------------------------------------------------------------------------------------------


def test_raw_holds_the_sheet_as_text_with_its_export_and_row(db, landing):
    rows = [*Order(1).block(1), [], *Order(2, [("38112", 4, 50_000)], discount=0, shipping=0).block(2)]
    export_id = landed_postmart(db, landing, "orders", workbook("orders", rows, total=["Tổng cộng", *[None] * 11, 7]), "xlsx", rows_declared=3)
    loaded = load(db, landing, export_id)
    assert (loaded.state, loaded.rows_delivered, loaded.rows_loaded, loaded.rows_duplicate) == ("loaded", 3, 3, 0)
    columns = ("export_id", "source_row", "stt", "order_code", "product_code", "quantity", "unit_price_vnd", "goods_gross_vnd", "shipping_fee_vnd", "reason")
    assert raw(db, "orders", *columns) == [
        (export_id, 1, "1", "PM2109140000001", "43160", "2", "175000", "470.000", "35000", None),
        (export_id, 2, "1", "PM2109140000001", "51877", "1", "120000", "470.000", "35000", None),
        (export_id, 4, "2", "PM2109140000002", "38112", "4", "50000", "200.000", "0", None),
    ]
    export = ledger.get(db, export_id)
    assert (export.rows_delivered, export.rows_loaded, export.rows_quarantined, export.rows_duplicate, export.rows_superseded) == (3, 3, 0, 0, 0)
    assert db.execute("select first_row, rows, first_file_row from ops.export_part").fetchall() == [(1, 3, 6)], "source_row 4 is row 9 of the sheet"


def test_every_column_of_raw_is_text(db):
    kinds = db.execute(
        """select distinct data_type from information_schema.columns
           where table_schema = 'raw' and column_name not in ('export_id', 'source_row')"""
    ).fetchall()
    assert kinds == [("text",)]


HARD_TEXTS = [
    'Hàng; "dập", nát',
    "hai\ndòng",
    "hai\r\ndòng",
    "hai\rdòng",
    "Na\n\\.\nhộp",
    "\\.\nhộp",
    "tab\tở giữa",
    "\\N",
    "\\.",
    "\\",
    "a\\nb",
    '"',
    '""',
    "'; drop table raw.postmart_refunds; --",
    "=1+1",
    "NULL",
    "-",
    "0",
    "ế" * 2000,
    "🍎 na",
]


def test_text_comes_through_as_it_was_delivered(db, landing):
    export_id = landed_postmart(db, landing, "refunds", csv_file("refunds", [refund(n, reason=text) for n, text in enumerate(HARD_TEXTS)]), "csv")
    load(db, landing, export_id)
    assert [row[0] for row in raw(db, "refunds", "reason")] == HARD_TEXTS


def test_blank_is_null_and_letters_are_composed(db, landing):
    content = csv_file(
        "refunds", [refund(1, reason=""), refund(2, reason="  "), refund(3, reason="\u00a0"), refund(4, reason=unicodedata.normalize("NFD", "Hàng dập"))]
    )
    load(db, landing, landed_postmart(db, landing, "refunds", content, "csv"))
    assert [row[0] for row in raw(db, "refunds", "reason")] == [None, None, None, "Hàng dập"]


def test_parts_are_numbered_through(db, landing):
    export_id = landed_postmart(db, landing, "refunds", zip_file("refunds", [refund(1), refund(2)], [refund(3)]), "zip", rows_declared=3)
    load(db, landing, export_id)
    assert raw(db, "refunds", "source_row", "refund_code") == [(n, f"HT{n:012d}") for n in (1, 2, 3)]


def test_more_rows_than_one_batch_of_copy_come_whole(db, landing):
    count = BATCH_ROWS + 1
    export_id = landed_postmart(db, landing, "refunds", zip_file("refunds", [refund(n) for n in range(1, count + 1)]), "zip", rows_declared=count)
    assert load(db, landing, export_id).rows_loaded == count
    told = db.execute("select count(distinct refund_code), min(source_row), max(source_row) from raw.postmart_refunds").fetchone()
    assert told == (count, 1, count)


def test_an_empty_day_is_a_delivery_without_rows(db, landing):
    export_id = landed_postmart(db, landing, "refunds", csv_file("refunds", []), "csv", rows_declared=0, control_total=0)
    loaded = load(db, landing, export_id)
    assert (loaded.state, loaded.rows_delivered) == ("loaded", 0)
    ledger.conservation(db, export_id)


# ---- again -------------------------------------------------------------------------------------------------------------------------


def everything(conn, dataset):
    book = conn.execute("select to_jsonb(e) - 'loaded_at' from ops.export as e order by export_id").fetchall()
    parts = conn.execute("select * from ops.export_part order by 1, 2").fetchall()
    told = conn.execute("select to_jsonb(c) - 'checked_at' from ops.check_result as c order by export_id, rule_name").fetchall()
    return raw(conn, dataset), aside(conn), book, parts, told


def test_loading_twice_gives_the_same_rows_and_ids(db, landing):
    one, two = Order(1), Order(2)
    export_id = landed_postmart(db, landing, "orders", orders_file(one.block(1), two.block(2), one.block(1)), "xlsx", rows_declared=6, orders_declared=2)
    first = load(db, landing, export_id)
    before = everything(db, "orders")
    assert len(before[0]) == 6
    assert len(before[1]) == 2
    assert load(db, landing, export_id) == first
    assert everything(db, "orders") == before


def test_the_same_file_has_the_same_rows_in_another_warehouse(db, landing, warehouse_dsn):
    content = workbook("stores", [store(1), store(2)])
    load(db, landing, landed_postmart(db, landing, "stores", content, "xlsx"))
    with warehouse.connect(warehouse_dsn, "kinhteso test") as other:
        load(other, landing, landed_postmart(other, landing, "stores", content, "xlsx"))
        assert raw(other, "stores") == raw(db, "stores")


@pytest.mark.parametrize("reached", ["judged", "accepted", "superseded"])
def test_what_was_judged_is_not_loaded_again(db, landing, reached):
    export_id = landed_postmart(db, landing, "refunds", csv_file("refunds", [refund(1), refund(1)]), "csv")
    first = load(db, landing, export_id)
    db.execute("update ops.export set state = %s", [reached])
    before = everything(db, "refunds"), db.execute("select loaded_at, ctid from ops.export").fetchall()
    again = load(db, landing, export_id, read=lambda *_: pytest.fail("it was read again"))
    assert (again.state, again.rows_delivered, again.rows_loaded, again.rows_duplicate) == (reached, first.rows_delivered, 1, 1)
    assert (everything(db, "refunds"), db.execute("select loaded_at, ctid from ops.export").fetchall()) == before


def test_another_load_leaves_other_exports_alone(db, landing):
    first = landed_postmart(db, landing, "refunds", csv_file("refunds", [refund(1), refund(1)]), "csv")
    load(db, landing, first)
    before = raw(db, "refunds", export_id=first)
    second = landed_postmart(db, landing, "refunds", csv_file("refunds", [refund(1)]), "csv", version=2)
    load(db, landing, second)
    load(db, landing, second)
    assert raw(db, "refunds", export_id=first) == before
    assert len(raw(db, "refunds", export_id=second)) == 1
    assert ledger.count(db, first)["duplicate"] == 1


def test_what_has_not_come_cannot_be_loaded(db, landing):
    export_id = ledger.expect(db, "postmart", "refunds", DAY, dt.datetime(2021, 9, 15, 2, tzinfo=dt.UTC))
    with pytest.raises(ledger.LedgerError, match="has not come yet"):
        load(db, landing, export_id)
    assert state(db, export_id) == "expected"


# ---- personal data -----------------------------------------------------------------------------------------------------------------

NAMES = ("Hoàng Thị Mai", "Nông Văn Tư", "Lý Thị Na")
PERSONAL = re.compile(r"(?<![0-9a-f])(0|84|\+84)?9[ .\-]?0{2,}[0-9 .\-]{3,}|(?<![0-9a-f])0?20[ .\-]?0{3}[ .\-]?0{3}[ .\-]?[0-9]{2,3}(?![0-9a-f])")


# Digests and times of the ledger hold digits by chance.
NO_DATA = re.compile(r"\b[0-9a-f]{64}\b|\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+")


def all_text(conn):
    """Every row of every table of raw and ops, all columns, as text."""
    tables = conn.execute("select schemaname, tablename from pg_tables where schemaname in ('raw', 'ops') and tablename <> 'migration'").fetchall()
    return [
        (f"{schema}.{table}", text)
        for schema, table in tables
        for (text,) in conn.execute(f"select (to_jsonb(t) - 'export_id' - 'bytes')::text from {schema}.{table} as t").fetchall()
    ]


def personal_data(conn):
    found = []
    for table, text in all_text(conn):
        plain = unicodedata.normalize("NFC", text).casefold()
        found += [(table, name) for name in NAMES if name.casefold() in plain]
        found += [(table, match.group()) for match in PERSONAL.finditer(NO_DATA.sub("", text))]
    return found


PHONES = ["0900000012", "900000012", 900000012, "84900000012", "+84 900 000 012", "900000012.0", "9.00000012E+8", "0900.000.012"]


def test_no_phone_citizen_number_or_name_of_an_owner_reaches_a_table(db, landing):
    stores = [store(n, phone=phone, name=f"Shop {NAMES[n % 3]}", owner=NAMES[n % 3]) for n, phone in enumerate(PHONES, 1)]
    load(db, landing, landed_postmart(db, landing, "stores", workbook("stores", stores), "xlsx", rows_declared=len(stores)))
    load(db, landing, landed_postmart(db, landing, "orders", orders_file(Order(1).block(1)), "xlsx"))
    load(db, landing, landed(db, landing, "registers", "households", {"Bieu01b_187_06505_20210914.xlsx": form(HOUSEHOLDS)}, unit="187_06505"))
    counts = [len(raw(db, "stores")), len(raw(db, "orders")), len(raw(db, "households", source="registers"))]
    assert counts == [len(PHONES), 2, 3], "there is something to look at"
    assert personal_data(db) == []


def test_the_search_for_personal_data_finds_them(db, landing):
    """What the test before this one leans on: each way of writing is found where it stands."""
    load(db, landing, landed_postmart(db, landing, "stores", workbook("stores", [store(1)]), "xlsx"))
    for text in [*map(str, PHONES), "020000000012", "20000000012", "020 000 000 013", "HOÀNG THỊ MAI", unicodedata.normalize("NFD", "Lý Thị Na")]:
        db.execute("update raw.postmart_stores set hamlet_raw = %s", [f"x {text} y"])
        assert personal_data(db), text


def test_keys_stand_where_personal_data_stood(db, landing):
    stores = [store(n, phone=phone) for n, phone in enumerate([*PHONES, "không có", None], 1)]
    load(db, landing, landed_postmart(db, landing, "stores", workbook("stores", stores), "xlsx"))
    assert [row[0] for row in raw(db, "stores", "phone_key")] == [KNOWN_KEY] * len(PHONES) + [None, None]
    names = ("owner_name_key", "owner_name_is_test", "store_name_key", "store_name_is_test")
    assert set(raw(db, "stores", *names)) == {(key("hoangthimai"), "false", key("nachilangnhahoangthimai"), "false")}
    load(db, landing, landed(db, landing, "registers", "households", {"Bieu01b_187_06505_20210914.xlsx": form(HOUSEHOLDS)}, unit="187_06505"))
    assert raw(db, "households", "household_code", "head_name_key", "citizen_id_key", "phone_key", "commune_code", "as_of", source="registers") == [
        ("H000001", key("hoangthimai"), key("020000000012"), KNOWN_KEY, "06505", "2021-09-14"),
        ("H000002", key("nongvantu"), key("020000000013"), key("+84900000013"), "06505", "2021-09-14"),
        ("H000003", key("lythina"), None, None, "06505", "2021-09-14"),
    ]


def test_a_test_store_is_marked(db, landing):
    stores = [store(1, name="KHÁCH HÀNG TEST"), store(2, owner="khach hang test 02"), store(3)]
    load(db, landing, landed_postmart(db, landing, "stores", workbook("stores", stores), "xlsx"))
    assert raw(db, "stores", "store_name_is_test", "owner_name_is_test") == [("true", "false"), ("false", "true"), ("false", "false")]


def test_columns_that_are_not_kept_stay_in_the_landing(db, landing):
    load(db, landing, landed_postmart(db, landing, "stores", workbook("stores", [store(1)]), "xlsx"))
    text = "\n".join(text for table, text in all_text(db) if table == "raw.postmart_stores")
    assert "Thôn Phố Cũ" in text
    for away in ("BD-CL-07", "https://", "*********"):
        assert away not in text


def test_without_a_secret_nothing_is_loaded(db, landing):
    export_id = landed_postmart(db, landing, "stores", workbook("stores", [store(1)]), "xlsx")
    with pytest.raises(ValueError, match="KINHTESO_PHONE_KEY"):
        loading.load(db, export_id, load_contract("postmart", "stores"), landing, "")
    assert (raw(db, "stores"), state(db, export_id)) == ([], "landed")


# ---- what the manifest says --------------------------------------------------------------------------------------------------------

ORDERS = [Order(1), Order(2, [("38112", 4, 50_000)], discount=0, shipping=0)]
RIGHT = {"rows_declared": 3, "orders_declared": 2, "control_total": 685_000}


def refused(conn, landing, export_id, dataset, source="postmart"):
    """Loads what has to be refused; what the refusal says."""
    with pytest.raises(loading.LoadRefused) as raised:
        load(conn, landing, export_id)
    export = ledger.get(conn, export_id)
    assert raw(conn, dataset, source=source, export_id=export_id) == [], "nothing of it is in raw"
    assert (export.state, bool(export.ended_at), export.loaded_at, export.rows_delivered) == ("rejected", True, None, None)
    assert export.reason == str(raised.value)
    for part in (export.origin, export.label, "Next:", "corrected version", f"expectations/{source}/{dataset}.yml", "docs/runbooks/export-rejected.md"):
        assert part in export.reason
    told = conn.execute("select rule_id, outcome, passed, rule from ops.check_result where export_id = %s", [export_id]).fetchall()
    assert told == [(raised.value.rule_id, "reject", False, export.reason)]
    return raised.value


def test_declared_figures_that_come_out_are_taken(db, landing):
    export_id = landed_postmart(db, landing, "orders", orders_file(ORDERS[0].block(1), ORDERS[1].block(2)), "xlsx", **RIGHT)
    assert load(db, landing, export_id).rows_loaded == 3


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rows_declared": 4}, "4 rows declared, 3 found"),
        ({"rows_declared": 2}, "2 rows declared, 3 found"),
        ({"rows_declared": 0}, "0 rows declared, 3 found"),
        ({"orders_declared": 3}, "3 orders declared, 2 found"),
        ({"orders_declared": 1}, "1 orders declared, 2 found"),
        ({"control_total": 685_001}, "685,001 VND declared, 685,000 VND found"),
        ({"control_total": 684_999}, "684,999 VND declared, 685,000 VND found"),
        ({"control_total": 1_170_000}, "1,170,000 VND declared, 685,000 VND found"),  # the total of an order once per line
        ({"control_total": 0}, "0 VND declared"),
    ],
)
def test_declared_figures_that_do_not_come_out_refuse_the_orders(db, landing, wrong, told):
    export_id = landed_postmart(db, landing, "orders", orders_file(ORDERS[0].block(1), ORDERS[1].block(2)), "xlsx", **RIGHT | wrong)
    refusal = refused(db, landing, export_id, "orders")
    assert refusal.rule_id == "Q01"
    assert told in str(refusal)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rows_declared": 1}, "1 rows declared, 2 found"),
        ({"control_total": 175_000}, "175,000 VND declared, 275,000 VND found"),
        ({"rows_declared": 3}, "3 rows"),
    ],
)
def test_declared_figures_that_do_not_come_out_refuse_the_refunds(db, landing, wrong, told):
    right = {"rows_declared": 2, "control_total": 275_000}
    content = csv_file("refunds", [refund(1), refund(2, amount="100000")])
    assert told in str(refused(db, landing, landed_postmart(db, landing, "refunds", content, "csv", **right | wrong), "refunds"))
    assert load(db, landing, landed_postmart(db, landing, "refunds", content, "csv", version=2, **right)).state == "loaded"


def test_a_repeated_block_counts_as_rows_but_once_as_order_and_money(db, landing):
    one, two = ORDERS
    declared = {"rows_declared": 5, "orders_declared": 2, "control_total": 685_000}
    export_id = landed_postmart(db, landing, "orders", orders_file(one.block(1), two.block(2), one.block(1)), "xlsx", **declared)
    loaded = load(db, landing, export_id)
    assert (loaded.rows_delivered, loaded.rows_loaded, loaded.rows_duplicate) == (5, 3, 2)


def test_a_refused_version_leaves_the_one_before_in_raw(db, landing):
    good = landed_postmart(db, landing, "refunds", csv_file("refunds", [refund(1)]), "csv", rows_declared=1)
    load(db, landing, good)
    before = raw(db, "refunds")
    bad = landed_postmart(db, landing, "refunds", csv_file("refunds", [refund(1), refund(2)]), "csv", version=2, rows_declared=3)
    refused(db, landing, bad, "refunds")
    assert raw(db, "refunds") == before
    assert state(db, good) == "loaded"


def test_a_refused_delivery_is_refused_again_until_what_was_wrong_is_put_right(db, landing):
    export_id = landed_postmart(db, landing, "refunds", csv_file("refunds", [refund(1), refund(2)]), "csv", rows_declared=3)
    first = refused(db, landing, export_id, "refunds")
    assert str(refused(db, landing, export_id, "refunds")) == str(first)
    db.execute("update ops.export set rows_declared = 2")
    assert load(db, landing, export_id).state == "loaded"
    export = ledger.get(db, export_id)
    assert (export.state, export.reason, export.ended_at, export.rows_loaded) == ("loaded", None, None, 2)
    assert db.execute("select count(*) from ops.check_result").fetchone() == (0,)


def cut(content: bytes, after: str) -> bytes:
    return content[: content.index(after.encode()) + len(after.encode())]


def without_column(dataset, rows):
    content = csv_file(dataset, rows).decode("utf-8-sig").replace("Số lượng;", "", 1)
    return content.encode("utf-8-sig")


REFUSED_FILES = {
    "a workbook that is cut": ("stores", "xlsx", workbook("stores", [store(1)])[:-30], "F01"),
    "HTML under the name of a workbook": ("stores", "xlsx", b"<html><table></table></html>", "F21"),
    "an empty file": ("refunds", "zip", b"", "F01"),
    "a CSV that ends inside a quoted field": ("refunds", "csv", cut(csv_file("refunds", [refund(1), refund(2, reason="nát; dập")]), "nát; "), "F02"),
    "a CSV in another encoding": ("refunds", "csv", csv_file("refunds", [refund(1)])[:-3] + b"\xd2\xec\r\n", "F18"),
    "a CSV without a column": ("refunds", "csv", without_column("refunds", [refund(1)]), "Q02"),
    "a ZIP without its second part": ("refunds", "zip", zip_file("refunds", [refund(1)], [refund(2)]).replace(b"p02of02", b"p03of02"), "F27"),
}


@pytest.mark.parametrize("fault", REFUSED_FILES)
def test_what_the_reader_refuses_is_rejected_whole(db, landing, fault):
    dataset, suffix, content, rule = REFUSED_FILES[fault]
    refusal = refused(db, landing, landed_postmart(db, landing, dataset, content, suffix), dataset)
    assert refusal.rule_id == rule


def test_what_the_reader_has_to_say_is_noted_as_a_warning(db, landing):
    content = csv_file("refunds", [refund(1)]).decode("utf-8-sig").encode()
    loaded = load(db, landing, landed_postmart(db, landing, "refunds", content, "csv"))
    assert len(loaded.warnings) == 1
    assert "no BOM" in loaded.warnings[0]
    assert db.execute("select rule_id, outcome, passed, rule from ops.check_result").fetchall() == [("F19", "warn", False, loaded.warnings[0])]


# ---- exact duplicates --------------------------------------------------------------------------------------------------------------


def test_exact_duplicates_are_set_aside_once(db, landing):
    content = csv_file("refunds", [refund(1), refund(2), refund(1), refund(3), refund(1), refund(2)])
    export_id = landed_postmart(db, landing, "refunds", content, "csv", rows_declared=6, control_total=6 * 175_000)
    loaded = load(db, landing, export_id)
    assert (loaded.rows_delivered, loaded.rows_loaded, loaded.rows_duplicate) == (6, 3, 3)
    assert aside(db) == [(3, "duplicate"), (5, "duplicate"), (6, "duplicate")]
    assert len(raw(db, "refunds")) == 6, "they stay in raw"
    ledger.conservation(db, export_id)


def test_the_number_of_a_row_does_not_make_it_another(db, landing):
    load(db, landing, landed_postmart(db, landing, "stores", workbook("stores", [store(1, stt=1), store(2, stt=2), store(1, stt=3)]), "xlsx"))
    assert aside(db) == [(3, "duplicate")]


def test_rows_that_differ_in_anything_kept_are_no_duplicates(db, landing):
    rows = [refund(1), refund(1, reason="Hàng nát"), refund(1, amount="175001"), refund(1, reason="")]
    load(db, landing, landed_postmart(db, landing, "refunds", csv_file("refunds", rows), "csv"))
    assert aside(db) == []


def test_two_stores_of_other_owners_are_no_duplicates(db, landing):
    rows = [store(1), store(1, owner="Nông Văn Tư"), store(1, phone="0900000013"), store(1, phone="+84 900 000 012")]
    load(db, landing, landed_postmart(db, landing, "stores", workbook("stores", rows), "xlsx"))
    assert aside(db) == [(4, "duplicate")], "the same number, written in another way"


def test_rows_without_a_key_are_left_to_the_judge(db, landing):
    content = csv_file("refunds", [["", *refund(1)[1:]], ["", *refund(1)[1:]]])
    load(db, landing, landed_postmart(db, landing, "refunds", content, "csv"))
    assert aside(db) == []


TWINS = Order(7, [("43160", 1, 175_000), ("43160", 1, 175_000)])


def load_orders(db, landing, *blocks, version=1):
    """What of the sheet's rows is set aside."""
    export_id = landed_postmart(db, landing, "orders", orders_file(*blocks), "xlsx", version=version)
    load(db, landing, export_id)
    ledger.conservation(db, export_id)
    found = db.execute("select source_row, outcome from ops.set_aside_row where export_id = %s order by 1", [export_id]).fetchall()
    assert {outcome for _, outcome in found} <= {"duplicate"}
    return [source_row for source_row, _ in found]


def test_a_repeated_block_is_a_duplicate_wherever_it_stands(db, landing):
    one, two = ORDERS
    assert load_orders(db, landing, one.block(1), two.block(2), one.block(1)) == [4, 5], "further down"
    assert load_orders(db, landing, one.block(1), two.block(2), one.block(3), version=2) == [4, 5], "with another number"
    assert load_orders(db, landing, one.block(1), one.block(1), two.block(2), version=3) == [3, 4], "right behind it"
    assert load_orders(db, landing, one.block(1), one.block(2), two.block(3), version=4) == [3, 4], "right behind it with another number"
    assert load_orders(db, landing, two.block(1), two.block(1), two.block(1), version=5) == [2, 3], "three times, of one line each"


def test_two_equal_lines_inside_one_block_are_two_lines(db, landing):
    assert load_orders(db, landing, TWINS.block(1), ORDERS[0].block(2)) == []
    assert load_orders(db, landing, ORDERS[0].block(1), TWINS.block(2), TWINS.block(2), version=2) == [5, 6], "the block's repeat is one all the same"
    assert load_orders(db, landing, TWINS.block(1), ORDERS[0].block(2), TWINS.block(1), version=3) == [5, 6]
    triple = Order(8, [("43160", 1, 175_000)] * 3)
    assert load_orders(db, landing, triple.block(1), triple.block(1), version=4) == [4, 5, 6]


def test_blocks_of_one_order_that_differ_are_left_to_the_judge(db, landing):
    one = ORDERS[0]
    assert load_orders(db, landing, one.block(1), one.block(2, status_raw="Đã giao")) == []
    assert load_orders(db, landing, one.block(1), one.block(2, status_raw="Đã giao"), one.block(3), version=2) == [5, 6], "of those two the first came again"
    assert load_orders(db, landing, one.block(1), one.block(1, status_raw="Đã giao"), version=4) == []
    shorter = Order(1, one.lines[:1])
    assert load_orders(db, landing, one.block(1), shorter.block(2), version=3) == []


def test_the_volume_form_sets_the_same_rows_aside(db, landing):
    one, two = ORDERS
    rows = [*one.block(1, whole=True), *two.block(2, whole=True), *one.block(1, whole=True), *TWINS.block(3, whole=True)]
    load(db, landing, landed_postmart(db, landing, "orders", zip_file("orders", rows[:4], rows[4:]), "zip", rows_declared=7, orders_declared=3))
    assert aside(db) == [(4, "duplicate"), (5, "duplicate")], "a block that is cut by the end of a part is one block"


lines = st.lists(st.tuples(st.sampled_from(["43160", "51877"]), st.integers(1, 2), st.sampled_from([50_000, 175_000])), min_size=1, max_size=3)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(lines, min_size=1, max_size=4), st.data())
def test_of_any_sheet_the_first_block_of_each_order_counts(shared_db, tmp_path, orders, data):
    orders = [Order(n, given_lines) for n, given_lines in enumerate(orders, 1)]
    blocks = data.draw(st.permutations([*orders, *data.draw(st.lists(st.sampled_from(orders), max_size=4))]))
    by_order = data.draw(st.booleans(), label="STT numbers the orders, not the blocks")
    expected, seen, row = [], set(), 1
    for order in blocks:
        if order.n in seen:
            expected += range(row, row + len(order.lines))
        seen.add(order.n)
        row += len(order.lines)
    declared = {"rows_declared": row - 1, "orders_declared": len(orders), "control_total": sum(order.total for order in orders)}
    content = orders_file(*[order.block(order.n if by_order else place) for place, order in enumerate(blocks, 1)])
    landing = Landing(tmp_path / hashlib.sha256(content).hexdigest())
    with shared_db.transaction(force_rollback=True):
        export_id = landed_postmart(shared_db, landing, "orders", content, "xlsx", **declared)
        loaded = load(shared_db, landing, export_id)
        assert aside(shared_db) == [(source_row, "duplicate") for source_row in expected]
        assert (loaded.rows_delivered, loaded.rows_duplicate) == (row - 1, len(expected))
        ledger.conservation(shared_db, export_id)


# ---- pages of the platform with an API ---------------------------------------------------------------------------------------------

MS = 1631589751000


def voso_store(n, updated=0, **change):
    return {
        "STORE_ID": f"88000000000{n:05d}", "STORE_NAME": "THẠCH ĐEN", "OWNER_TYPE": "HO_GIA_DINH", "OWNER_NAME": "LÝ THỊ NA", "PHONE_KEY": KNOWN_KEY,
        "ID_KEY": None, "PROVINCE_ID": 22, "DISTRICT_ID": 9801, "WARDS_ID": 980101, "ADDRESS": "Thôn Pò Bó", "HAMLET_NAME": "Pò Bó", "STATUS": "HOAT_DONG",
        "CREATED_AT": MS, "APPROVED_AT": MS, "LAST_ACTIVE_AT": MS, "UPDATED_AT": MS + updated, "IS_DELETED": False, "DELETED_AT": None,
    } | change  # fmt: skip


def pages(*items):
    bodies = [{"status": 200, "error": False, "message": "OK", "data": {"ITEMS": page, "TOTAL": sum(map(len, items))}} for page in items]
    return {f"page-{number:05d}.json.gz": gzip.compress(json.dumps(body).encode(), mtime=0) for number, body in enumerate(bodies, 1)}


def test_a_row_read_twice_is_a_duplicate_and_an_older_state_is_superseded(db, landing):
    moved = voso_store(2, updated=9000, STATUS="TAM_NGUNG")
    export_id = landed(db, landing, "voso", "stores", pages([voso_store(1), voso_store(2)], [voso_store(1), moved, voso_store(3)]), rows_declared=3)
    loaded = load(db, landing, export_id)
    assert (loaded.rows_delivered, loaded.rows_loaded, loaded.rows_duplicate, loaded.rows_superseded) == (5, 3, 1, 1)
    assert aside(db) == [(2, "superseded"), (3, "duplicate")]
    assert raw(db, "stores", "store_id", "status", "is_deleted", "deleted_at", source="voso")[3] == ("8800000000000002", "TAM_NGUNG", "false", None)
    assert db.execute("select part_no, first_row, rows from ops.export_part order by 1").fetchall() == [(1, 1, 2), (2, 3, 3)]
    assert personal_data(db) == []


@pytest.mark.parametrize("total", [1, 3])
def test_a_total_that_is_not_the_number_of_keys_refuses_the_pull(db, landing, total):
    export_id = landed(db, landing, "voso", "stores", pages([voso_store(1), voso_store(2)]), rows_declared=total)
    with pytest.raises(loading.LoadRefused, match=f"{total} rows declared, 2 found"):
        load(db, landing, export_id)
    assert (raw(db, "stores", source="voso"), state(db, export_id)) == ([], "rejected")


def test_a_bulk_part_that_is_cut_is_refused(db, landing):
    lines = "".join(json.dumps(voso_store(n)) + "\n" for n in range(1, 200)).encode()
    export_id = landed(db, landing, "voso", "stores", {"part-00001.jsonl.gz": gzip.compress(lines)[:-20]}, rows_declared=199)
    assert refused(db, landing, export_id, "stores", "voso").rule_id == "F03"


# ---- killed on the way -------------------------------------------------------------------------------------------------------------


def killing_reader(victim, killer_dsn, at_row, look):
    """The real reader; while its row `at_row` is read, somebody else kills the loader's connection."""

    def read(contract, parts, landing, export):
        stream = readers.read(contract, parts, landing, export)
        rows = iter(stream)

        def until_killed():
            for number, row in enumerate(rows, 1):
                if number == at_row:
                    with psycopg.connect(killer_dsn, autocommit=True) as killer:
                        look(killer)
                        assert killer.execute("select pg_terminate_backend(%s, 5000)", [victim.info.backend_pid]).fetchone() == (True,)
                yield row

        stream._rows = until_killed()
        return stream

    return read


@pytest.mark.parametrize("at_row", [1, BATCH_ROWS + 2, 3 * BATCH_ROWS])
def test_a_connection_killed_in_the_middle_of_copy_leaves_nothing_and_the_next_load_succeeds(warehouse_dsn, landing, at_row):
    count = 3 * BATCH_ROWS
    content = zip_file("refunds", [refund(n) for n in range(1, count)] + [refund(1)])
    seen = []

    def look(killer):
        copying = "select count(*) from pg_stat_progress_copy where relid = 'raw.postmart_refunds'::regclass"
        seen.append((killer.execute(copying).fetchone()[0], killer.execute("select count(*) from raw.postmart_refunds").fetchone()[0]))

    with warehouse.connect(warehouse_dsn, "kinhteso test") as other:
        export_id = landed_postmart(other, landing, "refunds", content, "zip", rows_declared=count)
        victim = warehouse.connect(warehouse_dsn, "kinhteso victim")
        with pytest.raises(psycopg.OperationalError):
            load(victim, landing, export_id, read=killing_reader(victim, warehouse_dsn, at_row, look))
        assert victim.broken
        victim.close()
        assert seen == [(1, 0)], "it was in the middle of COPY, and nobody saw a part of it"
        assert raw(other, "refunds") == []
        assert aside(other) == []
        export = ledger.get(other, export_id)
        assert (export.state, export.reason, export.loaded_at, export.rows_delivered) == ("landed", None, None, None)
        assert ledger.exports_to_load(other) == [export_id]
        loaded = load(other, landing, export_id)
        assert (loaded.state, loaded.rows_delivered, loaded.rows_loaded, loaded.rows_duplicate) == ("loaded", count, count - 1, 1)


def test_an_error_that_is_no_refusal_leaves_what_was_loaded_before(db, landing):
    """A second load of the same export that dies in the middle: the first one's rows stand."""
    export_id = landed_postmart(db, landing, "refunds", csv_file("refunds", [refund(1), refund(1), refund(2)]), "csv")
    load(db, landing, export_id)
    before = everything(db, "refunds")

    def dying(contract, parts, landing, export):
        stream = readers.read(contract, parts, landing, export)
        rows = iter(stream)

        def until_it_dies():
            yield next(rows)
            raise MemoryError("out of memory")

        stream._rows = until_it_dies()
        return stream

    with pytest.raises(MemoryError):
        load(db, landing, export_id, read=dying)
    assert everything(db, "refunds") == before


def test_a_landing_that_cannot_be_reached_leaves_the_export_landed(db, landing):
    export_id = landed_postmart(db, landing, "refunds", csv_file("refunds", [refund(1)]), "csv")
    away = landing.root.with_name("away")
    landing.root.rename(away)
    with pytest.raises(FileNotFoundError):
        load(db, landing, export_id)
    assert (raw(db, "refunds"), state(db, export_id)) == ([], "landed")
    away.rename(landing.root)
    assert load(db, landing, export_id).rows_loaded == 1


def test_two_loads_of_one_export_wait_for_each_other(warehouse_dsn, landing):
    with warehouse.connect(warehouse_dsn, "kinhteso test") as one, warehouse.connect(warehouse_dsn, "kinhteso test") as two:
        export_id = landed_postmart(one, landing, "refunds", csv_file("refunds", [refund(1), refund(2)]), "csv")
        two.execute("set lock_timeout = '300ms'")

        def read(*given):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                load(two, landing, export_id)
            return readers.read(*given)

        assert load(one, landing, export_id, read=read).rows_loaded == 2
        assert load(two, landing, export_id).rows_loaded == 2
        assert len(raw(one, "refunds")) == 2


def test_a_phone_in_a_key_column_does_not_reach_a_table(db, landing):
    export_id = landed(db, landing, "voso", "stores", pages([voso_store(1, PHONE_KEY="0900000012"), voso_store(2)]), rows_declared=2)
    load(db, landing, export_id)
    keys = [row[0] for row in raw(db, "stores", "phone_key", source="voso")]
    assert keys[0] == "not a key" and len(keys[1]) == 64
    assert not any("0900000012" in str(row) for row in raw(db, "stores", source="voso"))


def test_a_wrong_encoding_is_told_by_place_and_not_by_content(db, landing):
    rows = [refund(1), refund(2, reason="Hoàng Thị Mai 0900000012 dập Quáº§n")]
    refusal = refused(db, landing, landed_postmart(db, landing, "refunds", csv_file("refunds", rows), "csv"), "refunds")
    assert refusal.rule_id == "F18" and "line 3" in str(refusal)
    assert "0900000012" not in str(refusal) and "Hoàng" not in str(refusal)
    assert ".." not in str(refusal)


def test_a_delivery_that_breaks_does_not_hold_up_the_next_one(db, landing, monkeypatch):
    """I8: whatever happens to one export, those after it are loaded; the step is red and says of which it speaks."""
    from kinhteso import intake
    from kinhteso.settings import Settings

    first = landed_postmart(db, landing, "refunds", csv_file("refunds", [refund(1)]), "csv", version=1)
    second = landed_postmart(db, landing, "refunds", csv_file("refunds", [refund(2)]), "csv", version=2)
    load_one = loading.load

    def broken(conn, export_id, *rest, **named):
        if export_id == first:
            raise ZeroDivisionError("nobody foresaw this\nDETAIL: Hoàng Thị Mai")
        return load_one(conn, export_id, *rest, **named)

    monkeypatch.setattr(loading, "load", broken)
    settings = Settings(str(landing.root), "", "demo-pepper")
    with pytest.raises(intake.StepBroken, match=r"postmart/refunds .* v1: ZeroDivisionError: nobody foresaw this\.") as told:
        intake.load(db, settings, "postmart", "refunds")
    assert "Mai" not in str(told.value)
    assert (state(db, first), state(db, second)) == ("landed", "loaded")
