"""Communes as people write them; what is unclear stays unresolved."""

import pytest
from kinhteso import communes


@pytest.mark.parametrize(
    ("code", "name", "district", "expected"),
    [
        ("06505", "Xã Vạn Linh", None, "06505"),
        ("6505", "Xã Vạn Linh", "187", "06505"),
        (None, "XÃ VẠN LINH", "187", "06505"),
        (None, "UBND XÃ VẠN LINH", "187", "06505"),
        (None, "xa van linh", "187", "06505"),
        (None, "Vạn Linh", "187", "06505"),
        (None, "Thị trấn Chi Lăng", "187", communes.resolve(None, "TT. Chi Lăng", "187")),
        (None, "Chi Lăng", "187", None),  # a commune and a town of that name
        (None, "Xã Hòa Bình", None, None),  # in several districts
        (None, "Vạn Linh", None, None),  # no type and no district
        ("06505", "Xã Hòa Bình", "187", None),  # code and name disagree
        ("06505", "Xã Vạn Linh", "186", None),  # code of another district
        ("99999", None, None, None),
        ("abc", "Xã Vạn Linh", "187", None),
        (None, None, "187", None),
    ],
)
def test_resolve(code, name, district, expected):
    assert communes.resolve(code, name, district) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("187", "187"), ("UBND HUYỆN CHI LĂNG", "187"), ("Huyện Chi Lăng", "187"), ("TP. Lạng Sơn", "178"), ("Chi Lăng", None), ("UBND TỈNH", None)],
)
def test_district(text, expected):
    assert communes.district_code(text) == expected


def test_every_commune_is_found_by_its_own_name_and_district():
    for c in communes.all_communes():
        assert communes.resolve(None, c.name, c.district_code) == c.code
        assert communes.resolve(c.code.lstrip("0"), c.name.upper(), c.district_code) == c.code
