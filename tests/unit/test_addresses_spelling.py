"""What may become of an address on its way, as properties: the same commune, or a person is asked; never another one."""

import html
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinhteso.addresses import names, resolver, spelling
from test_addresses import BETWEEN, CAMPAIGN, LISTS, NOW, said

UNITS = [(u, day) for day in (CAMPAIGN, BETWEEN, NOW) for u in LISTS.units.values() if u.list == LISTS.in_force(day).name]
units = st.sampled_from(UNITS)
more = settings(max_examples=250, deadline=None)


def full(unit, province=", tỉnh Lạng Sơn"):
    return f"{unit.name}{', ' + unit.district_name if unit.district_name else ''}{province}"


def encoded(text, codec):
    """Text as UTF-8 bytes look when read in another code page."""
    return "".join(spelling._SHOWN[codec][b] for b in text.encode("utf-8"))


def in_tcvn3(text):
    """Typed with a TCVN3 font: capitals with marks have no code, they are typed small."""
    back = {letter: code for code, letter in spelling.TCVN3.items()}
    return "".join(back.get(c) or back.get(c.lower(), c) for c in text)


def in_vni(text):
    back = {}
    for code, letter in spelling.VNI.items():
        if letter not in back or len(code) > 1:
            back[letter] = code
    return "".join(back.get(c, c) for c in text)


def in_cp1258(text, shown="cp1252"):
    """As Windows-1258 bytes (base letter, then its tone) look when read in another code page."""
    found = []
    for c in unicodedata.normalize("NFC", text):
        decomposed = unicodedata.normalize("NFD", c)
        tone = "".join(m for m in decomposed if m in spelling._TONES)
        base = unicodedata.normalize("NFC", "".join(m for m in decomposed if m not in spelling._TONES))
        found.append(base + tone)
    return "".join(spelling._SHOWN[shown][b] for b in "".join(found).encode("cp1258"))


@more
@given(units, st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]), st.sampled_from([str.upper, str.lower, str.title, str.swapcase, str]))
def test_normal_form_and_case(one, form, case):
    unit, day = one
    assert said(unicodedata.normalize(form, case(full(unit))), day) == unit.code


@more
@given(units, st.data())
def test_invisible_characters_and_spaces(one, data):
    unit, day = one
    text = full(unit)
    for _ in range(4):
        at = data.draw(st.integers(0, len(text)))
        text = text[:at] + data.draw(st.sampled_from(["\u200b", "\ufeff", "\u00ad", "\u200d", "\u2060", "\u202a"])) + text[at:]
    text = text.replace(" ", data.draw(st.sampled_from(["\u00a0", "  ", "\t", "\u2007", "\u3000", " \u00a0"])))
    assert said(f" {text}\u00a0", day) == unit.code


def other_placement(syllable):
    others = spelling.spellings(syllable) - {syllable.lower()}
    return sorted(others)[0] if others else syllable


@more
@given(units)
def test_tone_placement_and_i_y(one):
    unit, day = one
    assert said(" ".join(other_placement(s) if s[0].islower() or s.isalpha() else s for s in full(unit).split(" ")), day) == unit.code


def test_tone_placement_changes_something():
    assert other_placement("hòa") == "hoà" and other_placement("Thụy") == "thuỵ" and other_placement("lý") == "lí" and other_placement("quý") == "quí"
    assert spelling.key("tai") != spelling.key("tay") and spelling.key("thúi") != spelling.key("thúy")
    assert len({spelling.key(u.short_name) for u in LISTS.units.values()}) == len({u.short_name.casefold() for u in LISTS.units.values()}), (
        "R2 makes no two names one"
    )


@pytest.mark.parametrize("codec", ["cp1252", "latin-1", "cp1258"])
def test_utf8_read_as_another_page(codec):
    for unit, day in UNITS:
        assert said(encoded(full(unit), codec), day) == unit.code, encoded(full(unit), codec)
        assert said(encoded(encoded(full(unit), "cp1252"), codec), day) == unit.code, "twice over"


@pytest.mark.parametrize("font", [in_tcvn3, in_vni, in_cp1258, lambda t: in_cp1258(t, "latin-1")], ids=["TCVN3", "VNI", "cp1258", "cp1258 as latin-1"])
def test_old_fonts(font):
    wrong = [(font(full(u)), said(font(full(u)), day), u.code) for u, day in UNITS if said(font(full(u)), day) != u.code]
    assert wrong == []


@pytest.mark.parametrize(("font", "text"), [(in_tcvn3, "TiÕng ViÖt rÊt hay"), (in_vni, "Tieáng Vieät raát hay")])
def test_the_samples_of_the_rules(font, text):
    assert font("Tiếng Việt rất hay") == text
    assert spelling.repair(text, resolver().reader.known_syllables).text == "Tiếng Việt rất hay"


def test_html_entities():
    for unit, day in UNITS:
        for write in (lambda c: f"&#{ord(c)};", lambda c: f"&#x{ord(c):X};", lambda c: html.escape(f"&#{ord(c)};")):
            assert said("".join(c if c.isascii() else write(c) for c in full(unit)), day) == unit.code
    assert said("X&atilde; V&#226;n An,&nbsp;huy&#7879;n Chi L&#259;ng<br/>", CAMPAIGN) == "06469"


def test_good_text_is_never_repaired():
    known = resolver().reader.known_syllables
    for unit, _ in UNITS:
        for text in (full(unit), full(unit).upper(), full(unit, ""), unit.name, unit.short_name, unit.short_name.lower()):
            found = spelling.repair(text, known)
            assert (found.text, found.how, found.is_lossy, found.is_damaged) == (text, (), False, False)


def test_one_letter_that_was_lost_on_the_way_is_for_a_person():
    """UTF-8 whose byte 90 the code page had no letter for: the rest is still legible, but nothing is resolved from it."""
    found = resolver().resolve(encoded("Xã Đồng Ý, huyện Bắc Sơn", "cp1252").replace("\x90", ""), CAMPAIGN)
    assert (found.status, found.rule, found.candidates) == ("ambiguous", "R13", ("06337",))


@more
@given(units, st.data())
def test_a_lost_letter_is_never_resolved(one, data):
    """Every letter with marks as "?", or one of them as U+FFFD: a person is asked, and the right commune is among the candidates."""
    unit, day = one
    text = full(unit)
    marked = [i for i, c in enumerate(text) if not c.isascii()]
    lost = marked if data.draw(st.booleans()) else [data.draw(st.sampled_from(marked))]
    mark = data.draw(st.sampled_from("?\ufffd□"))
    found = resolver().resolve("".join(mark if i in lost else c for i, c in enumerate(text)), day)
    assert (found.status, found.rule) == ("ambiguous", "R13")
    assert unit.code in found.candidates


ABBREVIATED = {
    "Xã": ["X.", "x.", "X ", "X/", "xã", "XÃ", "Xa", "x. ", "Xã:"],
    "Phường": ["P.", "p.", "P ", "P/", "phường", "Phuong", "F."],
    "Thị trấn": ["TT.", "TT ", "T.T", "T.T.", "tt", "T/T", "thị trấn", "Thi tran", "TTr."],
    "Huyện": ["H.", "h.", "H ", "huyện", "Huyen", "H/", "HUYỆN"],
    "Thành phố": ["TP.", "TP ", "T.P", "Tp.", "T/P", "thành phố", "Thanh pho", "TX.", "Thị xã", "T.X."],
}


@more
@given(units, st.data())
def test_unit_words_in_all_shapes(one, data):
    unit, day = one
    text = unit.name.replace("NT ", "NT ")
    said_type = data.draw(st.sampled_from(ABBREVIATED[unit.unit_type]))
    text = said_type + ("" if said_type[-1] in " /" else data.draw(st.sampled_from([" ", ""])) if said_type[-1] == "." else " ") + unit.short_name
    if unit.district_name:
        kind = "Thành phố" if unit.district_name.startswith("Thành phố") else "Huyện"
        word = data.draw(st.sampled_from(ABBREVIATED[kind]))
        text += (
            data.draw(st.sampled_from([", ", " - ", "; ", "\n", " / ", " ", " (", ","]))
            + word
            + ("" if word[-1] in " /" else " ")
            + names.short_district(unit.district_name)
        )
    text += data.draw(st.sampled_from(["", ", Lạng Sơn", ", T. Lạng Sơn", " - tỉnh Lạng Sơn", ", Lạng Sơn, Việt Nam", ". Tỉnh Lạng Sơn."]))
    assert said(text, day) == unit.code


@more
@given(units, st.data())
def test_order_of_the_parts(one, data):
    unit, day = one
    parts = [p for p in (unit.name, unit.district_name, "tỉnh Lạng Sơn") if p]
    assert said(data.draw(st.sampled_from([", ", "\n", " - ", "; "])).join(data.draw(st.permutations(parts))), day) == unit.code


PLACES = [
    "Thôn",
    "Bản",
    "Xóm",
    "Khối",
    "Khối phố",
    "Tổ dân phố",
    "Đường",
    "Phố",
    "Ngõ",
    "Cổng",
    "Khu",
    "Số nhà 5 đường",
    "Chợ",
    "Cửa khẩu",
    "Ngõ 3 phố",
    "TDP",
    "Khu phố",
]


@more
@given(units, st.sampled_from(PLACES), st.sampled_from(UNITS))
def test_a_hamlet_or_street_with_the_name_of_a_commune_changes_nothing(one, word, other):
    unit, day = one
    assert said(f"{word} {other[0].short_name}, {full(unit)}", day) == unit.code


@more
@given(units, st.sampled_from(PLACES))
def test_a_hamlet_or_street_alone_is_no_commune(one, word):
    unit, day = one
    assert said(f"{word} {unit.short_name}", day) == "?"
    if unit.district_name:
        assert said(f"{word} {unit.short_name}, {unit.district_name}", day) == "?"


@more
@given(units, st.data())
def test_written_together(one, data):
    """CamelCase, underscores, without marks: the commune, or more than one and the right one among them."""
    unit, day = one
    text = full(unit, data.draw(st.sampled_from(["", ", tỉnh Lạng Sơn"])))
    if data.draw(st.booleans()):
        text = spelling.letters(text)
        text = " ".join(w.capitalize() for w in text.split())
    else:
        text = " ".join(w[:1].upper() + w[1:] for w in text.split())
    glued = data.draw(
        st.sampled_from([text.replace(" ", ""), text.replace(" ", "").replace(",", "_"), text.replace(", ", " ").replace(" ", "_"), text.replace(" ", "-")])
    )
    found = resolver().resolve(glued, day)
    assert found.code == unit.code or unit.code in found.candidates, glued


@pytest.mark.parametrize(
    "shape",
    [
        "{n} {d} tỉnh Lạng Sơn", "thôn Nà Bó {n} {d}", "{s} {ds} Lạng Sơn", "{s}-{ds}-Lạng Sơn", "Lạng Sơn, {ds}, {s}", "Khối 3 {s}, {ds}, Lạng Sơn", "Nà Bó, {s}, {ds}",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "write", [str, spelling.plain, lambda t: spelling.letters(t.lower()), lambda t: t.upper()], ids=["as it is", "plain", "small", "capitals"]
)
def test_no_shape_gives_another_commune(shape, write):
    """Without separators, without marks, in other orders: each unit is found, or is among the candidates."""
    for unit, day in UNITS:
        text = write(shape.format(n=unit.name, d=unit.district_name, s=unit.short_name, ds=names.short_district(unit.district_name)))
        found = resolver().resolve(text, day)
        assert found.code == unit.code or unit.code in found.candidates, text


def test_all_in_one_word():
    wrong = []
    for unit, day in UNITS:
        text = spelling.letters(f"{unit.name}{unit.district_name}".lower()).replace(" ", "")
        found = resolver().resolve(text, day)
        if found.code != unit.code and unit.code not in found.candidates:
            wrong.append((text, found))
    assert wrong == []


@more
@given(units)
def test_without_marks_it_is_the_one_or_among_the_candidates(one):
    unit, day = one
    found = resolver().resolve(spelling.plain(full(unit)), day)
    assert found.code == unit.code or (unit.code in found.candidates and found.rule in ("R5", "R6", "R7"))
    plains = [u for u, d in UNITS if d == day and (spelling.plain(u.name), u.district_code) == (spelling.plain(unit.name), unit.district_code)]
    assert len(plains) == 1


@more
@given(units, st.sampled_from(["{}", "0{}", "20-{d}-0{}", "20.{d}.0{}", "0{} {n}", "{} - {n}", "{n} (0{})", "{n}, {dn} 0{}"]))
def test_codes_with_and_without_their_zero(one, shape):
    unit, day = one
    if "{d}" in shape and not unit.district_code:
        shape = "20-0{}"
    assert said(shape.format(unit.code[1:], d=unit.district_code, n=unit.name, dn=unit.district_name), day) == unit.code


@more
@given(units, st.sampled_from(UNITS))
def test_a_code_beside_another_name_is_never_resolved_to_one_of_them(one, other):
    unit, day = one
    if other[1] != day or other[0].code == unit.code or spelling.plain(other[0].short_name) == spelling.plain(unit.short_name):
        return
    found = resolver().resolve(f"{unit.code} {other[0].name}", day)
    assert found.status == "ambiguous" and {unit.code} <= set(found.candidates)


@more
@given(units, st.sampled_from(sorted(p for c, p in LISTS.words.province_codes.items() if c != names.HOME)), st.sampled_from(["tỉnh ", "T. ", "Tỉnh "]))
def test_another_province_is_out_of_scope(one, province, word):
    unit, day = one
    assert said(f"{unit.name}, {word}{province}", day) == "out"
    assert said(f"{unit.name}, huyện Nào Đó, {province}", day) == "out"


@settings(max_examples=400, deadline=None)
@given(st.text(max_size=60), st.sampled_from([CAMPAIGN, NOW, None]))
def test_any_text_has_an_answer(text, day):
    found = resolver().resolve(text, day)
    assert found.status in ("resolved", "ambiguous", "out_of_scope")
    assert found == resolver().resolve(text, day)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "xã",
                "huyện",
                "TT",
                "Chi Lăng",
                "Hòa Bình",
                "Lạng Sơn",
                ",",
                "-",
                "(",
                "06523",
                "20",
                "thôn",
                "Vạn Linh",
                "?",
                "H.",
                "tỉnh",
                "Bắc Giang",
                "HVT",
                "5",
                "/",
            ]
        ),
        max_size=9,
    )
)
def test_any_pieces_have_an_answer(pieces):
    found = resolver().resolve(" ".join(pieces), CAMPAIGN)
    assert bool(found.code) == (found.status == "resolved")
    if found.code:
        assert ("2021", found.code) in LISTS.units and "?" not in pieces
