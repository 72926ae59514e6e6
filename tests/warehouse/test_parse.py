"""Delivered text is read in one way only: what does not say what it should is NULL, and nothing is guessed."""

import datetime as dt
import unicodedata
from decimal import Decimal

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kinhteso import personal, warehouse

UTC = dt.UTC
VIETNAMESE = "aàáảãạăằắẳẵặâầấẩẫậbcdđeèéẻẽẹêềếểễệghiìíỉĩịklmnoòóỏõọôồốổỗộơờớởỡợpqrstuùúủũụưừứửữựvxyỳýỷỹỵfjwz"
TONES = "\u0300\u0301\u0303\u0309\u0323\u0302\u0306\u031b"

on_the_database = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def at(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=UTC)


def money_with_unit(*units: str) -> dict[str, int]:
    return {f"1.250.000{gap}{unit}": 1_250_000 for unit in units for gap in ("", " ")}


def all_none(*texts: str | None) -> dict[str | None, None]:
    return dict.fromkeys(texts)


CASES: dict[str, dict] = {
    "blank": {None: True, "": True, "  ": True, "-": True, " - ": True, "0": False, "--": False, "– ": False, "x": False},
    "money": {
        "0": 0,
        "1250": 1250,
        "1.250": 1250,  # 1250, not 1.25
        "1,250": 1250,
        "45,000": 45_000,
        "45.000": 45_000,
        "1.250.000": 1_250_000,
        "1,250,000": 1_250_000,
        "1250000": 1_250_000,
        "1250000.0": 1_250_000,
        "1250000.00": 1_250_000,
        "0.0": 0,
        " 175.000 ": 175_000,
        "-1.250": -1250,
        "-5": -5,
        "999999999999999": 999_999_999_999_999,
    }
    | money_with_unit("đ", "₫", "VND", "vnđ", "VNĐ", "đồng")
    | all_none(
        None, "", "-", "  ", "1.250,000", "1,250.000", "1.25,000", "1.250.00", "1.2500", "12.50", "12,5", "12.5", "1250,0", "1250,000", "1250.000", "1250000.000", "1.250.000,0",
        "1.250.000.0", ".250", "1.", "1..250", "1 250 000", "1.250 USD", "$1250", "1250000 đ đ", "đ", "--5", "- 5", "+5", "1e6", "1.25E+6", "450k", "1,25 triệu",
        "một trăm", "٣٥٠", "9999999999999999", "NaN", "Infinity",
    ),
    "decimal": {"0": 0, "2": 2, "0,5": Decimal("0.5"), "1,5": Decimal("1.5"), "5,0": 5, "12,125": Decimal("12.125"), "-1,5": Decimal("-1.5"), "5.0": 5, " 3 ": 3}
    | all_none(None, "", "-", "0.5", "1.250", "1,2,3", "1.250,5", ",5", "5,", "hai", "1/2", "NaN", "1e2", "1234567890123"),
    "integer": {"0": 0, "12": 12, "-3": -3, "12.0": 12, " 7 ": 7, "999999999999999999": 999_999_999_999_999_999}
    | all_none(None, "", "-", "hai", "1,5", "1.5", "1.250", "1,250", "0x10", "1e3", "1 000", "9999999999999999999", "٧"),
    "rate": {
        "50%": Decimal("0.5"),
        "50 %": Decimal("0.5"),
        "0,5": Decimal("0.5"),
        "0.5": Decimal("0.5"),
        "50": Decimal("0.5"),
        "12,5": Decimal("0.125"),
        "12.5%": Decimal("0.125"),
        "10": Decimal("0.1"),
        "0,1": Decimal("0.1"),
        "100": 1,
        "100%": 1,
        "1%": Decimal("0.01"),
        "0,5%": Decimal("0.005"),
        "0": 0,
        "0%": 0,
        " 50 ": Decimal("0.5"),
    }
    | all_none(None, "", "-", "101", "101%", "100,1", "-5", "-50%", "50%%", "%", "50 phần trăm", "một nửa", "1.2.3", "1000", "50%0"),
    "local_date": {
        "09/05/2026": dt.date(2026, 5, 9),  # 9 May
        "9/5/2026": dt.date(2026, 5, 9),
        "05/09/2026": dt.date(2026, 9, 5),
        "14/09/2021": dt.date(2021, 9, 14),
        " 14/09/2021 ": dt.date(2021, 9, 14),
        "14/09/2021 10:22:31": dt.date(2021, 9, 14),
        "14/09/2021 10:22": dt.date(2021, 9, 14),
        "14/09/2021 23:59:59": dt.date(2021, 9, 14),
        "29/02/2020": dt.date(2020, 2, 29),
        "29/02/2000": dt.date(2000, 2, 29),
        "29/2/2024": dt.date(2024, 2, 29),
        "28/02/2021": dt.date(2021, 2, 28),
        "30/04/2021": dt.date(2021, 4, 30),
        "31/12/2021": dt.date(2021, 12, 31),
    }
    | all_none(
        None, "", "-", "29/02/2021", "29/2/2021", "29/02/2100", "29/02/1900", "30/02/2020", "31/02/2020", "31/2/2020", "31/04/2021", "31/4/2021", "31/06/2021",
        "31/09/2021", "31/9/2021", "31/11/2021", "32/01/2021", "00/01/2021", "0/1/2021", "14/13/2021", "14/00/2021", "09/14/2021", "14/09/21", "14/09/0021",
        "2021-09-14", "14-09-2021", "14.09.2021", "20210914", "44453", "14/09/2021x", "14/09/2021 7:00", "14/09/2021T10:22:31", "ngày 14/09/2021", "hôm qua",
    ),
    "local_time": {
        "14/09/2021 23:59:59": at(2021, 9, 14, 16, 59, 59),  # the last second of the business day
        "15/09/2021 00:00:00": at(2021, 9, 14, 17, 0, 0),  # the first of the next
        "15/09/2021": at(2021, 9, 14, 17, 0, 0),
        "14/09/2021 07:00:00": at(2021, 9, 14, 0, 0, 0),
        "14/09/2021 06:59:59": at(2021, 9, 13, 23, 59, 59),
        "14/09/2021 10:22:31": at(2021, 9, 14, 3, 22, 31),
        "14/09/2021 10:22": at(2021, 9, 14, 3, 22, 0),
        " 4/9/2021 07:08:09 ": at(2021, 9, 4, 0, 8, 9),
        "09/05/2026 08:00:00": at(2026, 5, 9, 1, 0, 0),
        "01/01/2022 06:00:00": at(2021, 12, 31, 23, 0, 0),
        "29/02/2020 12:00:00": at(2020, 2, 29, 5, 0, 0),
    }
    | all_none(
        None, "", "-", "14/09/2021 24:00:00", "14/09/2021 25:00:00", "14/09/2021 10:60:00", "14/09/2021 10:22:60", "14/09/2021 7:00:00", "29/02/2021 10:00:00",
        "31/04/2021 10:00:00", "2021-09-14 10:22:31", "14/09/2021 10", "14/09/2021 10:22:31 PM", "14/09/2021 10:22:31Z", "1631589751000",
    ),
    "epoch_ms": {
        "1631589751000": at(2021, 9, 14, 3, 22, 31),
        "1631638799999": at(2021, 9, 14, 16, 59, 59, 999_000),
        "1631638800000": at(2021, 9, 14, 17, 0, 0),
        "0": at(1970, 1, 1),
        " 1631589751000 ": at(2021, 9, 14, 3, 22, 31),
    }
    | all_none(None, "", "-", "-1", "1631589751000.0", "1.631589751e12", "14/09/2021", "16315897510000", "0x1"),
    "boolean": {"true": True, "false": False, "TRUE": True, " False ": False} | all_none(None, "", "1", "0", "có", "t", "yes"),
    "json": {"[1]": [1], '{"a": null}': {"a": None}, '"x"': "x", "12": 12} | all_none(None, "", "[1", "{'a': 1}", "[Nông sản", "NaN"),
    "plain": {
        "Xã Vạn Linh": "xavanlinh",
        "XÃ  VẠN-LINH.": "xavanlinh",
        "Ðồng Mỏ": "dongmo",  # U+00D0
        "Đồng Mỏ": "dongmo",  # U+0110
        "ðồng mỏ": "dongmo",
        "đồng\u00a0mỏ": "dongmo",
        unicodedata.normalize("NFD", "Đồng Mỏ"): "dongmo",
        "Quý Hòa": "quyhoa",
        "Quý Hoà": "quyhoa",
        "Thôn 12/3": "thon123",
        "–": "",
        "": "",
        None: None,
    },
    "word": {
        "Đã hủy": "đã hủy",
        "Đã huỷ": "đã hủy",
        "ĐÃ  HUỶ ": "đã hủy",
        "Ðã hủy": "đã hủy",  # U+00D0
        "ðã hủy": "đã hủy",
        "đã\u00a0hủy": "đã hủy",
        unicodedata.normalize("NFD", "Đã huỷ"): "đã hủy",
        "Hoàn thành": "hòan thành",  # both spellings of a syllable come to one, whichever is the right one
        "Hoạt động": "họat động",
        "Đang giao": "đang giao",
        "DANG_GIAO": "dang_giao",
        "Cho xac nhan": "cho xac nhan",  # accents are kept: this is another word
        None: None,
    },
    "hamlet": {
        "Thôn Làng Thành": "langthanh",
        "T. Làng Thành": "langthanh",
        "T.Làng Thành": "langthanh",
        "t. làng thành": "langthanh",
        "Lang Thanh": "langthanh",
        "THÔN  LÀNG THÀNH": "langthanh",
        "Thôn\u00a0Làng Thành": "langthanh",
        unicodedata.normalize("NFD", "Thôn Làng Thành"): "langthanh",
        "Bản Đuống": "duong",
        "Bản Ðuống": "duong",  # U+00D0
        "Khối phố 3": "3",
        "Khối 3": "3",
        "Tổ dân phố 3": "3",
        "TDP 3": "3",
        "Thôn Bản Lỷ": "ly",
        "Thôn": "thon",  # a unit word alone is the name
        "Tân Lập": "tanlap",  # T without a dot is a letter
        "Khuôn Áng": "khuonang",
        "": None,
        " ": None,
        "-": None,
        None: None,
    },
}  # fmt: skip


@pytest.mark.parametrize("function", CASES)
def test_each_text_is_read_as_the_contract_says(shared_db, function):
    cases = list(CASES[function].items())
    found = shared_db.execute(
        f"select t.n, parse.{function}(t.given) from unnest(%s::integer[], %s::text[]) as t (n, given)",
        [list(range(len(cases))), [text for text, _ in cases]],
    ).fetchall()
    assert len(found) == len(cases)
    assert {cases[n][0]: value for n, value in found if value != cases[n][1]} == {}


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2021-09-13 17:00:00Z", "2021-09-14"),
        ("2021-09-14 00:00:00Z", "2021-09-14"),
        ("2021-09-14 16:59:59Z", "2021-09-14"),
        ("2021-09-14 16:59:59.999Z", "2021-09-14"),
        ("2021-09-14 17:00:00Z", "2021-09-15"),
        ("2021-12-31 17:00:00Z", "2022-01-01"),
        ("2021-09-15 00:00:00+07", "2021-09-15"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Asia/Ho_Chi_Minh", "America/New_York"])
def test_the_business_day_ends_at_17_hours_utc_whatever_the_session_thinks(shared_db, moment, day, zone):
    with shared_db.transaction(force_rollback=True):
        shared_db.execute("select set_config('timezone', %s, true)", [zone])
        assert shared_db.execute("select parse.business_day(%s::timestamptz)::text", [moment]).fetchone()[0] == day


def read(conn: psycopg.Connection, function: str, texts: list[str]) -> list:
    rows = conn.execute(f"select parse.{function}(given) from unnest(%s::text[]) with ordinality as t (given, n) order by n", [texts]).fetchall()
    return [row[0] for row in rows]


def test_local_time_does_not_lean_on_the_session(shared_db):
    with shared_db.transaction(force_rollback=True):
        for zone, style in (("America/New_York", "ISO, MDY"), ("Asia/Ho_Chi_Minh", "German")):
            shared_db.execute("select set_config('timezone', %s, true), set_config('datestyle', %s, true)", [zone, style])
            held = "select parse.local_time('09/05/2026 08:00:00') = timestamptz '2026-05-09T01:00:00Z', parse.local_date('09/05/2026') = date '2026-05-09'"
            assert shared_db.execute(held).fetchone() == (True, True), (zone, style)


@on_the_database
@given(
    st.lists(st.tuples(st.integers(1, 31), st.integers(1, 12), st.integers(1900, 2400)), min_size=1, max_size=50),
    st.integers(0, 86_399),
    st.booleans(),
)
def test_every_day_of_the_calendar_is_read_and_no_other(shared_db, days, second, padded):
    def calendar(day: int, month: int, year: int) -> dt.date | None:
        try:
            return dt.date(year, month, day)
        except ValueError:
            return None

    texts = [f"{day:02d}/{month:02d}/{year}" if padded else f"{day}/{month}/{year}" for day, month, year in days]
    expected = [calendar(*day) for day in days]
    assert read(shared_db, "local_date", texts) == expected
    clock = dt.time(second // 3600, second // 60 % 60, second % 60)
    local = dt.timezone(dt.timedelta(hours=7))
    assert read(shared_db, "local_time", [f"{text} {clock}" for text in texts]) == [day and dt.datetime.combine(day, clock, local) for day in expected]


@on_the_database
@given(st.lists(st.integers(0, 999_999_999_999_999), min_size=1, max_size=50))
def test_every_way_to_write_an_amount_gives_the_same_amount(shared_db, amounts):
    for write in ("{}", "{}.0", "{} đ"):
        assert read(shared_db, "money", [write.format(amount) for amount in amounts]) == amounts
    assert read(shared_db, "money", [f"{amount:,}" for amount in amounts]) == amounts
    assert read(shared_db, "money", [f"{amount:,}".replace(",", ".") for amount in amounts]) == amounts


@on_the_database
@given(st.lists(st.text(alphabet="0123456789.,- đ", max_size=14), min_size=1, max_size=100))
def test_an_amount_is_never_read_from_a_mix_of_separators(shared_db, texts):
    for text, value in zip(texts, read(shared_db, "money", texts), strict=True):
        if "." in text and "," in text:
            assert value is None, text
        if value is not None:
            assert value == int(value), f"{text}: an amount is whole VND"


letters = st.text(alphabet=VIETNAMESE + VIETNAMESE.upper() + "ÐðĐđ" + TONES + "0123456789 .,-–/'\u00a0\u200b\n", max_size=40)


@on_the_database
@given(st.lists(letters, min_size=1, max_size=40))
def test_the_comparison_form_in_sql_is_the_one_in_python(shared_db, texts):
    for form in ("NFC", "NFD"):
        normal = [unicodedata.normalize(form, text) for text in texts]
        assert read(shared_db, "plain", normal) == [personal.plain(text) for text in normal]


@on_the_database
@given(st.lists(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20), min_size=1, max_size=40))
def test_the_comparison_forms_agree_on_every_alphabet(shared_db, texts):
    assert read(shared_db, "plain", texts) == [personal.plain(text) for text in texts]


@on_the_database
@given(st.lists(letters, min_size=1, max_size=30))
def test_words_and_hamlets_do_not_depend_on_case_or_normal_form(shared_db, texts):
    for function in ("word", "hamlet", "plain"):
        composed = read(shared_db, function, [unicodedata.normalize("NFC", text) for text in texts])
        assert composed == read(shared_db, function, [unicodedata.normalize("NFD", text) for text in texts])
        assert composed == read(shared_db, function, [unicodedata.normalize("NFC", text).upper() for text in texts])


def test_old_and_new_tone_placement_are_one_word(shared_db):
    pairs = ["oà òa", "oá óa", "oả ỏa", "oã õa", "oạ ọa", "oè òe", "oé óe", "oẻ ỏe", "oẽ õe", "oẹ ọe", "uỳ ùy", "uý úy", "uỷ ủy", "uỹ ũy", "uỵ ụy"]
    old = [f"h{pair.split()[0]}" for pair in pairs]
    new = [f"h{pair.split()[1]}" for pair in pairs]
    assert read(shared_db, "word", old) == read(shared_db, "word", new)
    assert len(set(read(shared_db, "word", new))) == len(pairs), "different tones stay different words"


FIGURES = (
    st.text(alphabet="0123456789.,- đVN", max_size=21)
    | st.from_regex(r"\A[0-9]{1,3}([.,][0-9]{3}){0,6}\Z")
    | st.from_regex(r"\A ?-?[0-9]{10,20}(\.0{0,3})? ?\Z")
)
TIMES = st.from_regex(r"\A[0-3]?[0-9]/[0-1]?[0-9]/[0-9]{4}( [0-2][0-9]:[0-6][0-9](:[0-6][0-9])?)? ?\Z") | st.text(alphabet="0123456789/: ", max_size=20)


@pytest.fixture(scope="module")
def as_before(shared_db) -> psycopg.Connection:
    """The readings as the first migrations wrote them, in a schema `before`: the faster ones of 030 must not read otherwise."""
    first = [(warehouse.MIGRATIONS / name).read_text(encoding="utf-8") for name in ("001_parse.sql", "004_parse_whole.sql")]
    with shared_db.transaction(force_rollback=True):
        shared_db.execute(
            "".join(first).replace("parse.", "before.").replace("schema if not exists parse", "schema before").replace("on schema parse", "on schema before")
        )
        yield shared_db


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(figures=st.lists(FIGURES, min_size=20, max_size=40), times=st.lists(TIMES, min_size=20, max_size=40))
def test_the_faster_readings_read_as_before(as_before, figures, times):
    for name, texts in (("integer", figures), ("decimal", figures), ("money", figures), ("epoch_ms", figures), ("local_time", times)):
        known = [*texts, *(text for text in CASES[name] if text is not None)]
        query = f"select t, parse.{name}(t), before.{name}(t) from unnest(%s::text[]) as t where parse.{name}(t) is distinct from before.{name}(t)"
        assert as_before.execute(query, [known]).fetchall() == []


def test_the_faster_readings_are_put_into_the_query(as_before):
    """A function that is called for every cell instead costs five times as much."""
    for name in ("integer", "decimal", "money", "epoch_ms", "local_time"):
        plan = as_before.execute(f"explain verbose select parse.{name}(t) from unnest(array['1']) as t").fetchall()
        assert f"parse.{name}" not in str(plan), plan
