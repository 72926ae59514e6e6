"""Communes as people write them; what is unclear stays unresolved."""

from datetime import date

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


@pytest.mark.parametrize("on", [date(2019, 6, 1), date(2021, 9, 15), date(2025, 1, 15), date(2025, 9, 10)])
def test_every_commune_is_found_by_its_own_name_on_every_list(on):
    for c in communes.all_communes(on):
        assert communes.resolve(None, c.name, c.district_code or None, on) == c.code
        assert communes.resolve(c.code.lstrip("0"), c.name, None, on) == c.code
        assert communes.district_of(c.code, on) == (c.district_code or None)


@pytest.mark.parametrize(
    ("code", "name", "district", "on", "expected"),
    [
        ("06187", "Thị trấn Cao Lộc", "183", date(2021, 9, 15), "06187"),
        ("06187", "Phường Kỳ Lừa", None, date(2025, 9, 10), "06187"),
        ("06187", "Thị trấn Cao Lộc", None, date(2025, 9, 10), None),  # the code has another meaning now, and the name has ceased
        ("05977", "Phường Đông Kinh", "178", date(2021, 9, 15), None),  # of the other list
        (None, "Phường Kỳ Lừa", None, date(2021, 9, 15), None),  # not yet
        (None, "Kỳ Lừa", None, date(2025, 9, 10), "06187"),  # two levels: no district is missing
        (None, "Xã Quang Lang", "187", date(2021, 9, 15), None),  # went into Đồng Mỏ, which has a form of its own
        (None, "Xã Đại Đồng", "180", date(2021, 9, 15), "06040"),
        ("06040", "Thị trấn Thất Khê", "180", date(2025, 1, 15), "06040"),
        (None, "Xã Đại Đồng", "180", date(2025, 1, 15), None),  # split
    ],
)
def test_the_list_is_the_one_in_force_on_the_forms_date(code, name, district, on, expected):
    assert communes.resolve(code, name, district, on) == expected


def test_what_is_not_resolved_says_its_candidates():
    found = communes.look(None, "Xã Quang Lang", "187", date(2021, 9, 15))
    assert (found.candidates, found.rule) == (("06463",), "R7")
    assert communes.look(None, "Chi Lăng", "187", date(2021, 9, 15)).candidates == ("06466", "06523")
    assert communes.as_text("6505", "UBND Xã Hòa Bình", "187") == "6505 Xã Hòa Bình, Huyện Chi Lăng"
