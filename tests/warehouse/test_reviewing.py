"""Names of communes that no rule can tell go to a list; a decision takes the form up again at the next intake."""

import csv
import os
from datetime import date
from pathlib import Path

import psycopg
import pytest
import xlsxwriter
from kinhteso import intake, quarantine, reviewing
from kinhteso.addresses import decisions
from kinhteso.settings import Settings
from rawworld import RawWorld
from test_inbox import R2, states, take
from written import own_project


@pytest.fixture()
def settings(tmp_path):
    (tmp_path / "inbox").mkdir()
    return Settings(str(tmp_path / "landing"), str(tmp_path / "inbox"), "demo-pepper", date(2021, 9, 10))


@pytest.fixture()
def seeds(monkeypatch, tmp_path):
    return own_project(monkeypatch, tmp_path) / "seeds"


def put(settings, *names, name="Bieu02_187_20210910.xlsx", hour=9):
    """A district's list of teams: three members of each commune named."""
    path = Path(settings.registers_inbox) / name
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet("Biểu 02")
        for row, text in ((0, "UBND HUYỆN CHI LĂNG"), (3, "BIỂU SỐ 02: DANH SÁCH TỔ CÔNG NGHỆ CỘNG ĐỒNG"), (4, "(Số liệu tính đến ngày 10/09/2021)")):
            page.write(row, 0, text)
        page.write_row(6, 0, R2)
        members = [(commune, n) for commune in names for n in range(3)]
        for at, (commune, n) in enumerate(members):
            role = "Thành viên" if n else "Tổ trưởng"
            page.write_row(
                7 + at, 0, [at + 1, commune, f"Thôn {commune}", "45/QĐ-UBND", f"Người {at}", 1980, None, role, None, "Có", "01/08/2021", "Viettel Post", None]
            )
    os.utime(path, (1_631_239_200 + hour * 3600,) * 2)


def decide(seeds, norm, code, **more):
    row = {
        "text_norm": norm,
        "list": "2021",
        "record_from": "",
        "record_to": "",
        "code": code,
        "decided_by": "mai",
        "decided_on": "2021-10-01",
        "reason": "hỏi huyện rồi",
    }
    with (seeds / "address_decision.csv").open("a", encoding="utf-8", newline="") as f:
        csv.DictWriter(f, decisions.COLUMNS).writerow({**row, **more})


def listed(db):
    return db.execute("select text_norm, list, candidates, rule, rows, state, decided_code, first_file from ops.address_review order by text_norm").fetchall()


def test_an_ambiguous_commune_waits_and_flows_on_when_it_is_decided(db, settings, seeds):
    put(settings, "Xã Vạn Linh", "Chi Lăng", "Xã Quang Lang")
    take(db, settings)
    assert states(db) == [(1, "accepted", 3)]
    file = "Bieu02_187_20210910.xlsx"
    waits = [
        ("chi lăng, huyện chi lăng", "2021", "06466|06523", "R5", 3, "open", None, file),
        ("xã quang lang, huyện chi lăng", "2021", "06463", "R7", 3, "open", None, file),
    ]
    assert listed(db) == waits
    assert take(db, settings) == ([], []) and listed(db) == waits, "twice changes nothing"
    (first, _) = reviewing.open_entries(db)
    assert "06466 Thị trấn Chi Lăng, Huyện Chi Lăng; 06523 Xã Chi Lăng" in first.told and "3 rows of registers/teams" in first.told

    decide(seeds, first.text_norm, "06466")
    assert take(db, settings) == ([], []), "nothing new in the inbox"
    assert states(db) == [(1, "accepted", 6)]
    assert [r[0] for r in db.execute("select distinct commune_code from raw.registers_teams order by 1 nulls last").fetchall()] == ["06466", "06505", None]
    assert [(r[0], r[4], r[5], r[6]) for r in listed(db)] == [
        ("chi lăng, huyện chi lăng", 0, "decided", "06466"),
        ("xã quang lang, huyện chi lăng", 3, "open", None),
    ]
    assert db.execute("select count(*) from ops.change where release_id is null").fetchone()[0] >= 1, "a release is due"
    actions = "select count(*) from ops.quarantine_action"
    before = db.execute(actions).fetchone()
    assert take(db, settings) == ([], []) and db.execute(actions).fetchone() == before, "once"


def test_what_is_decided_to_be_elsewhere_is_not_asked_again(db, settings, seeds):
    """Its rows stay in quarantine; a decision of some days closes the row of the list too."""
    put(settings, "Xã Vạn Linh", "Xã Lạ 0900 000 123")
    take(db, settings)
    decide(seeds, listed(db)[0][0], "out_of_scope", list="", record_from="2021-09-01")
    assert reviewing.note(db, "registers") == 0
    assert [(r[5], r[6]) for r in listed(db)] == [("decided", "out_of_scope")] and states(db) == [(1, "accepted", 3)]


def test_a_number_in_a_name_is_masked(db, settings, seeds):
    put(settings, "Xã Vạn Linh", "Xã Lạ 0900 000 123")
    take(db, settings)
    assert [(r[0], r[3]) for r in listed(db)] == [("xã lạ […], huyện chi lăng", "R9")]


def test_a_corrected_form_ends_the_wait(db, settings, seeds):
    put(settings, "Xã Vạn Linh", "Chi Lăng")
    take(db, settings)
    put(settings, "Xã Vạn Linh", "Xã Chi Lăng", name="Bieu02_187_20210910 bản sửa.xlsx", hour=10)
    take(db, settings)
    assert [(r[5], r[6]) for r in listed(db)] == [("decided", None)]


def test_what_is_dismissed_waits_no_more(db, settings, seeds):
    put(settings, "Xã Vạn Linh", "Chi Lăng")
    take(db, settings)
    quarantine.dismiss(db, quarantine.select(db, class_="registers/teams"), "không tính", "mai")
    assert reviewing.note(db, "registers") == 0 and [r[5] for r in listed(db)] == ["decided"]


def test_a_decision_that_cannot_hold_stops_the_intake_and_says_why(db, settings, seeds):
    put(settings, "Chi Lăng")
    take(db, settings)
    decide(seeds, "chi lăng, huyện chi lăng", "06466", reason="")
    with pytest.raises(decisions.DecisionError, match=r"address_decision.csv row 2: reason is empty"):
        intake.registers_with_work(db, settings)
    assert [r[5] for r in listed(db)] == ["open"]


def test_a_store_whose_name_of_the_commune_is_not_its_codes(db, seeds):
    """Postmart's code and name disagree, or nobody knows the code: listed with both, its outcome stays as it is."""
    with (seeds / "commune_crosswalk.csv").open(encoding="utf-8", newline="") as f:
        by_code = {r["gso_code"]: r for r in csv.DictReader(f)}
    world, day = RawWorld(db, list(by_code.values())), date(2021, 9, 14)
    store = lambda n, code, **more: {**world.postmart_store(n, by_code[code], phone=None, approved=day), **more}  # noqa: E731
    rows = [store(1, "06505"), store(2, "06505", commune_name="XÃ VẠN LINH", district_name="Chi Lăng"), store(3, "06523", commune_name="Xã Vạn Linh")]
    rows += [store(4, "06523", commune_src_code="24999"), store(5, "06466", commune_src_code="24999", commune_name="Chi Lăng")]
    world.deliver("postmart", "stores", day, rows)
    assert reviewing.note(db, "postmart", "stores") == 3
    assert [(r[0], r[2], r[3], r[4]) for r in listed(db)] == [
        ("06523 xã vạn linh, huyện chi lăng", "06505|06523", "R14", 1),
        ("chi lăng, huyện chi lăng", "06466|06523", "R5", 1),
        ("xã chi lăng, huyện chi lăng", "06523", "R5", 1),
    ]
    world.deliver("postmart", "stores", date(2021, 9, 15), rows[:2])
    assert reviewing.note(db, "postmart", "stores") == 0 and {r[5] for r in listed(db)} == {"decided"}


def test_the_database_refuses_a_decided_row_without_its_time(db):
    with pytest.raises(psycopg.errors.CheckViolation):
        db.execute(
            "insert into ops.address_review (source, dataset, text_norm, list, candidates, candidate_names, rule, rows, state) values ('a','b','c','2021','','','R9',1,'decided')"
        )
    db.rollback()
