"""Personal data become keys that the sources can make too; what is no number makes no key."""

import csv
import hashlib
import hmac
import unicodedata
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinhteso import personal
from kinhteso.loading import KnownKeys
from kinhteso.personal import Keys

PEPPER = "demo-pepper"
KNOWN_ANSWER = "86d476a8634482cd69dc0cdaac42e139818087791ebdedf89769c964ab50d6ae"
PREFIXES = Path(personal.__file__).parent / "data" / "phone_prefix_2018.csv"


def hmac_hex(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


# ---- phones --------------------------------------------------------------------------------------------------------------------

DAMAGED = [
    "0900000012",
    "900000012",  # a number cell lost the zero
    "84900000012",
    "+84 900 000 012",
    "+84900000012",
    "0084900000012",
    "00 84 900 000 012",
    "900000012.0",
    "0900000012.0",
    "84900000012.00",
    "9.00000012E+8",
    "9.00000012e+08",
    "9.00000012E8",
    "8.4900000012E+10",
    "0900.000.012",
    "0900 000 012",
    "0900-000-012",
    "0900–000–012",
    "(0900) 000 012",
    "84.900.000.012",
    "+84 (0) 900 000 012",
    "84 0900 000 012",
    "  0900000012\t",
    "0900\u00a0000\u00a0012",
    "0900\u200b000012\ufeff",
]


@pytest.mark.parametrize("text", DAMAGED)
def test_every_damaged_form_of_a_phone_is_the_same_number(text):
    assert personal.phone_e164(text) == "+84900000012"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "   ",
        "-",
        "không có",
        "90000012",  # a digit is missing
        "09000000123",  # a digit too many
        "0000000012",
        "0400000012",  # no network begins so
        "0090000012",
        "8490000001",  # nine digits at least follow 84
        "840000000012",
        "+85 900 000 012",  # another country
        "0085900000012",
        "+900000012",
        "01100000012",  # never an eleven-digit prefix
        "090000001O",
        "0900000012a",
        "O900000012",
        "０９００００００１２",  # full width is no ASCII digit
        "٠٩٠٠٠٠٠٠١٢",
        "0900000012 / 0900000013",  # two people
        "0900000012/0900000013",
        "0900000012/13",
        "0900000012, 0900000013",
        "900000012.5",
        "9.00000012E+7",
        "9.00012E+08",  # rounded by the sheet: three digits are gone
        "9.1E+08",
        "9.00000012E+9",
        "9.0000001234E+8",  # a fraction is left over
        "9.00000012E-8",
        "*******012",
        "020000000012",  # a citizen number
        KNOWN_ANSWER,
    ],
)
def test_what_cannot_be_a_phone_gives_none(text):
    assert personal.phone_e164(text) is None


def old_prefixes() -> list[tuple[str, str]]:
    with PREFIXES.open(encoding="utf-8", newline="") as file:
        return [(row["old_prefix_11_digit"], row["new_prefix_10_digit"]) for row in csv.DictReader(file)]


def test_the_list_of_old_prefixes_is_whole():
    prefixes = dict(old_prefixes())
    assert len(prefixes) == len(set(prefixes.values())) == 21
    assert (prefixes["0162"], prefixes["0120"], prefixes["0123"], prefixes["0186"], prefixes["0199"]) == ("032", "070", "083", "056", "059")


@pytest.mark.parametrize(("old", "new"), old_prefixes())
def test_an_eleven_digit_number_of_before_2018_becomes_its_ten_digit_number(old, new):
    expected = f"+84{new[1:]}0000012"
    for text in (f"{old}0000012", f"{old[1:]}0000012", f"+84 {old[1:]} 000 0012", f"84{old[1:]}0000012", f"0084{old[1:]}0000012", f"{old[1:]}0000012.0"):
        assert personal.phone_e164(text) == expected, text
    for today in (f"{new}0000012", f"{new[1:]}0000012", f"84{new[1:]}0000012"):
        assert personal.phone_e164(today) == expected, "a network of today may begin with 84 itself"


@settings(deadline=None)
@given(st.integers(0, 999), st.sampled_from(["0{}", "{}", "84{}", "+84{}", "0084{}", "{}.0", "84{}.0", "+84 0{}"]), st.data())
def test_separators_never_change_a_number(n, form, data):
    digits = f"900000{n:03d}"
    gaps = [data.draw(st.sampled_from(["", " ", "-", "\u00a0"])) for _ in digits]
    spaced = "".join(digit + gap for digit, gap in zip(digits, gaps, strict=True)) if not form.endswith(".0") else digits
    assert personal.phone_e164(form.format(spaced)) == f"+84{digits}"


@settings(deadline=None)
@given(st.text(alphabet="0123456789 .-+()/E84\u00a0đ", max_size=18))
def test_what_comes_out_is_a_number_of_vietnam_or_nothing(text):
    number = personal.phone_e164(text)
    assert number is None or (number.startswith("+84") and number[1:].isdigit() and len(number) in (12, 13))
    assert number is None or personal.phone_e164(number) == number, "the comparable form stands for itself"


# ---- citizen numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["020000000012", "20000000012", "20000000012.0", "020000000012.0", "020 000 000 012", "020.000.000.012", "020-000-000-012", " 020000000012\u00a0"]
)
def test_a_citizen_number_is_its_twelve_digits(text):
    assert personal.citizen_digits(text) == "020000000012"


@pytest.mark.parametrize(
    "text",
    [None, "", " ", "*********012", "000000012", "0200000012", "0200000000123", "02000000001x", "không có", "-", "٠٢٠٠٠٠٠٠٠٠١٢", "2.0000000012E+10"],
)
def test_identity_cards_masked_and_broken_numbers_are_no_citizen_number(text):
    assert personal.citizen_digits(text) is None


# ---- names ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hoàng Thị Mai", "hoangthimai"),
        ("HOÀNG  THỊ MAI", "hoangthimai"),
        ("hoang thi mai", "hoangthimai"),
        ("Hoàng\u00a0Thị-Mai.", "hoangthimai"),
        (unicodedata.normalize("NFD", "Hoàng Thị Mai"), "hoangthimai"),
        ("Đặng Văn Đức", "dangvanduc"),
        ("Ðặng Văn Ðức", "dangvanduc"),  # U+00D0
        ("đặng văn ðức", "dangvanduc"),
        ("Nguyễn Hữu Thuỷ 2", "nguyenhuuthuy2"),
        ("Nguyễn Hữu Thủy 2", "nguyenhuuthuy2"),
        ("ỪỬỮỰ ờởỡợ ĂẮẶ ÂẤẬ ÊẾỆ ÝỲỴ", "uuuuooooaaaaaaeeeyyy"),
        ("–", ""),
        ("", ""),
        (None, None),
    ],
)
def test_names_are_compared_without_case_accents_spacing_and_normal_form(text, expected):
    assert personal.plain(text) == expected


@settings(deadline=None)
@given(st.text(max_size=30))
def test_the_comparison_form_is_ascii_and_stands_for_itself(text):
    form = personal.plain(text)
    assert all(c in "abcdefghijklmnopqrstuvwxyz0123456789" for c in form)
    assert personal.plain(form) == form == personal.plain(unicodedata.normalize("NFD", text))


# ---- keys ----------------------------------------------------------------------------------------------------------------------


def test_the_known_answer_of_the_contract():
    assert Keys(PEPPER).key("+84900000012") == KNOWN_ANSWER == hmac_hex(PEPPER, "+84900000012")
    assert {Keys(PEPPER).phone(text) for text in DAMAGED} == {KNOWN_ANSWER}


@settings(deadline=None)
@given(st.text(min_size=1, max_size=100), st.text(max_size=200))
def test_a_key_is_the_hmac_of_the_standard_library(secret, text):
    keys = Keys(secret)
    assert keys.key(text) == hmac_hex(secret, text)
    assert keys.key(text) == hmac_hex(secret, text), "a key that was made leaves no trace in the next one"


@pytest.mark.parametrize("secret", ["x" * 63, "x" * 64, "x" * 65, "x" * 128, "x" * 1000, "đ" * 32, "đ" * 33, "\0", "x\0"])
def test_secrets_around_and_beyond_the_block_of_64_bytes(secret):
    assert Keys(secret).key("+84900000012") == hmac_hex(secret, "+84900000012")


def test_another_secret_gives_other_keys():
    assert len({Keys(secret).phone("0900000012") for secret in (PEPPER, "demo-pepper2", "Demo-pepper", PEPPER * 10)}) == 4


def test_an_empty_secret_is_refused():
    with pytest.raises(ValueError, match="KINHTESO_PHONE_KEY"):
        Keys("")


def test_phones_and_citizen_numbers_that_are_none_have_no_key():
    keys = Keys(PEPPER)
    assert keys.phone("không có") is None
    assert keys.citizen("*********012") is None
    assert keys.citizen("20000000012") == hmac_hex(PEPPER, "020000000012")


@pytest.mark.parametrize(
    "name", ["KHACH HANG TEST", "Khách hàng test", "khách  HÀNG Test 01", unicodedata.normalize("NFD", "Shop KHÁCH HÀNG TEST"), "(khach-hang-test)"]
)
def test_a_test_name_is_marked(name):
    assert Keys(PEPPER).name(name) == (hmac_hex(PEPPER, personal.plain(name)), "true")


@pytest.mark.parametrize("name", ["Hoàng Thị Mai", "Khách hàng thân thiết", "Test", "Khách test hàng"])
def test_a_name_of_a_person_is_not_marked(name):
    assert Keys(PEPPER).name(name) == (hmac_hex(PEPPER, personal.plain(name)), "false")


@pytest.mark.parametrize("name", [None, "", "   ", "–", "..."])
def test_a_blank_name_has_no_key_and_is_no_test(name):
    assert Keys(PEPPER).name(name) == (None, "false")


def test_spellings_of_one_name_have_one_key():
    spellings = ["Hoàng Thị Mai", "HOÀNG THỊ MAI", "hoang  thi mai", unicodedata.normalize("NFD", "Hoàng Thị Mai")]
    assert {Keys(PEPPER).name(name) for name in spellings} == {(hmac_hex(PEPPER, "hoangthimai"), "false")}


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["Hoàng Thị Mai", "Nông Văn Tư", "KHACH HANG TEST", "", None, "Lý Thị Na"]), min_size=1, max_size=9), max_size=6))
def test_what_is_remembered_from_frame_to_frame_changes_nothing(frames):
    keys = Keys(PEPPER)
    known = KnownKeys(keys)
    known.LIMIT = 3
    for names in frames:
        assert [column.to_list() for column in known.columns("name", pl.Series(names, dtype=pl.String))] == keys.columns("name", names)
        assert known.columns("phone", pl.Series(["0900000012", None], dtype=pl.String))[0].to_list() == [keys.phone("0900000012"), None]


def test_a_personal_column_becomes_its_raw_columns():
    keys = Keys(PEPPER)
    assert keys.columns("phone", ["900000012.0", None, "x"]) == [[KNOWN_ANSWER, None, None]]
    assert keys.columns("citizen_id", ["20000000012", "*********012"]) == [[hmac_hex(PEPPER, "020000000012"), None]]
    assert keys.columns("name", ["Hoàng Thị Mai", "Khách hàng TEST", None]) == [
        [hmac_hex(PEPPER, "hoangthimai"), hmac_hex(PEPPER, "khachhangtest"), None],
        ["false", "true", "false"],
    ]
    with pytest.raises(ValueError, match="religion"):
        keys.columns("religion", ["x"])
