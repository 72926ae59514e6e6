"""Hamlets within a commune: found by name, told apart by their unit word or marks, never guessed."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinhteso.addresses import hamlets, spelling

REGISTER = ["Thôn Phố Cũ", "Thôn Nà Cạn", "Thôn Nà Càn", "Bản Làng", "Khối 3", "Thôn 3", "Khu phố 7", "Thôn Pò Bó", "Xóm Mới A", "Thôn Khòn Búm 2"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Thôn Phố Cũ", "Thôn Phố Cũ"), ("THÔN PHỐ CŨ", "Thôn Phố Cũ"), ("Phố Cũ", "Thôn Phố Cũ"), ("T. Phố Cũ", "Thôn Phố Cũ"), ("thon pho cu", "Thôn Phố Cũ"),
        ("Xóm Phố Cũ", "Thôn Phố Cũ"), ("Thôn Nà Cạn", "Thôn Nà Cạn"), ("Nà Càn", "Thôn Nà Càn"), ("Na Can", None), ("Thôn 3", "Thôn 3"), ("Khối 3", "Khối 3"),
        ("3", None), ("Tổ 3", None), ("KP. 7", "Khu phố 7"), ("7", "Khu phố 7"), ("Bản Làng", "Bản Làng"), ("Làng", "Bản Làng"), ("Khòn Búm", None),
        ("Thôn Khòn Búm2", "Thôn Khòn Búm 2"), ("Thôn Lạ", None), ("", None), ("Thôn", None), ("Mới A", "Xóm Mới A"), ("Mới", None),
    ],
)  # fmt: skip
def test_find(text, expected):
    assert hamlets.find(text, REGISTER) == expected


names = st.lists(
    st.tuples(st.sampled_from(["Thôn", "Bản", "Xóm", "Khối", "Khu phố"]), st.sampled_from(["Nà Cạn", "Nà Càn", "Pò Bó", "1", "2", "Khuổi Mươi", "Hòa Bình", "Phố Cũ", "Pá Mỵ"])).map(" ".join),
    min_size=1, max_size=12, unique=True,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(names, st.data())
def test_its_own_name_finds_it_however_it_is_written(register, data):
    name = data.draw(st.sampled_from(register))
    case = data.draw(st.sampled_from([str.upper, str.lower, str]))
    form = data.draw(st.sampled_from(["NFC", "NFD"]))
    assert hamlets.find(f" {unicodedata.normalize(form, case(name))}\u00a0", register) == name


@settings(max_examples=300, deadline=None)
@given(names, st.data())
def test_without_its_unit_word_or_marks_it_is_found_only_where_one_fits(register, data):
    name = data.draw(st.sampled_from(register))
    bare = hamlets.without_unit(name)
    same = [n for n in register if spelling.key(hamlets.without_unit(n)) == spelling.key(bare)]
    assert hamlets.find(bare, register) == (name if same == [name] else None)
    plain = spelling.letters(bare.lower())
    alike = [n for n in register if spelling.letters(hamlets.without_unit(n).lower()) == plain]
    assert hamlets.find(plain, register) in ((name,) if alike == [name] else (None, *(n for n in alike if hamlets.without_unit(n).lower() == plain)))


@settings(max_examples=300, deadline=None)
@given(names, st.text(max_size=20))
def test_what_is_found_is_on_the_register(register, text):
    assert hamlets.find(text, register) in (None, *register)
    assert hamlets.find(text, list(reversed(register))) == hamlets.find(text, register)


def test_as_the_models_do(shared_db):
    """parse.hamlet and without_unit name the same."""
    for name in [*REGISTER, "T.Nà Cạn", "tdp 5", "Tổ dân phố 5", "KP.3", "Bản Khuổi Mươi", "Thôn Bản Làng", "x. Mới"]:
        expected = shared_db.execute("select parse.hamlet(%s)", [name]).fetchone()[0]
        assert spelling.letters(hamlets.without_unit(name).casefold()).replace(" ", "").replace(".", "") == expected, name
