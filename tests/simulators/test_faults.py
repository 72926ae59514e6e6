"""The switches themselves: their text, what is known of them, and that they count anew."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from simulators import faults
from simulators.faults import CATALOGUE, Switches, deliveries, files, forms, records, rows
from simulators.faults.answers import EARLY, LATE, SMALL_PAGES
from simulators.faults.catalogue import as_table

README = Path(faults.__file__).parents[1] / "README.md"


def test_the_readme_shows_the_catalogue():
    assert as_table() in README.read_text()


def test_every_fault_of_sources_has_a_switch():
    wanted = {f"F{n:02d}" for n in range(1, 91)} - {"F55", "F82"}
    assert wanted <= {k.name for k in CATALOGUE}
    assert len({k.name for k in CATALOGUE}) == len(CATALOGUE)


def test_every_switch_has_something_that_strikes():
    servers = {"F03", "F34", "F39", "F40", "F54", "F56", "F64", "F65", "F66", *SMALL_PAGES}
    tables = (rows.STRIKE, files.CONTENT, deliveries.ISSUES, deliveries.LYING, records.STRIKE, forms.STRIKE, EARLY, LATE)
    assert {k.name for k in CATALOGUE} == servers | {name for t in tables for name in t}


def test_a_text_is_read_and_written_the_same():
    for text in (
        "F10@2021-09-13:DONHANG",
        "F30@2021-09-14:GIANHANG=40%",
        "F60@2021-09-14:ORDERS=503*4",
        "F35@2021-09-14:VOSO*0",
        "F07@2021-09-14",
        "F63@2021-09-14:VOSO=http://10.0.0.1/a",
    ):
        assert [str(f) for f in faults.parse(text)] == [text]
    assert faults.parse("F60@2021-09-14")[0].times == 3
    for wrong in ("F99@2021-09-14", "F13", "F13@yesterday", "F13@2021-09-14:ORDERS", "F55@2021-09-14"):
        with pytest.raises(ValueError, match=wrong[:3]):
            faults.parse(wrong)


def test_a_switch_counts_anew_when_it_is_put_on_again(tmp_path: Path):
    s, on = Switches(tmp_path), faults.parse("F60@2021-09-14")
    s.set(on)
    first = s.on()[0].sign
    s.set([*on, *faults.parse("F13@2021-09-14")])
    assert s.on()[0].sign == first
    s.clear(on)
    assert [f.name for f in s.on()] == ["F13"]
    s.set(on)
    second = s.on()[0].sign
    s.add(on)
    assert len({first, second, s.on()[0].sign}) == 3


def test_an_open_store_that_sells_nothing_goes_first():
    (gone,) = [s for s in faults.struck("small", 1, date(2021, 9, 12), faults.parse("F30@2021-09-14")) if s.fault == "F30"]
    from simulators import campaign

    world = campaign.make("small", 1, date(2021, 9, 12))
    index = next(n for n, s in enumerate(world.stores) if s.code == gone.keys[0])
    assert not world.stores[index].products and not any(o.store == index for o in world.orders)
