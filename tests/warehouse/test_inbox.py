"""The inbox of forms: what is new, what was seen, what came again, what is refused and read again by hand."""

import os
from datetime import date
from pathlib import Path

import pytest
import xlsxwriter
from kinhteso import intake, ledger, quarantine
from kinhteso.settings import Settings
from written import edit, own_contracts, own_project

R2 = ("STT", "Tên xã", "Thôn/Bản/Khối phố", "Số, ngày QĐ thành lập", "Họ và tên", "Năm sinh", "Chức vụ", "Nhiệm vụ trong tổ", "Số điện thoại", "Đã tập huấn",
      "Ngày tập huấn", "Đơn vị tập huấn", "Ghi chú")  # fmt: skip
NAME = "Bieu02_187_06505_20210910.xlsx"


@pytest.fixture()
def settings(tmp_path):
    (tmp_path / "inbox").mkdir()
    return Settings(str(tmp_path / "landing"), str(tmp_path / "inbox"), "demo-pepper", date(2021, 9, 10))


def put(settings: Settings, members: int, *, name: str = NAME, says: str = "10/09/2021", hour: int = 9) -> Path:
    """A list of teams in the inbox, come at ``hour``."""
    path = Path(settings.registers_inbox) / name
    with xlsxwriter.Workbook(str(path)) as book:
        page = book.add_worksheet("Xã Vạn Linh")
        for row, text in (
            (0, "UBND HUYỆN CHI LĂNG"),
            (1, "UBND XÃ VẠN LINH"),
            (3, "BIỂU SỐ 02: DANH SÁCH TỔ CÔNG NGHỆ CỘNG ĐỒNG"),
            (4, f"(Số liệu tính đến ngày {says})"),
        ):
            page.write(row, 0, text)
        page.write_row(6, 0, R2)
        for n in range(1, members + 1):
            role = "Tổ trưởng" if n == 1 else "Thành viên"
            page.write_row(
                6 + n, 0, [n, "Xã Vạn Linh", "Thôn Phố Cũ", "45/QĐ-UBND", f"Người {n}", 1980, None, role, None, "Có", "01/08/2021", "Viettel Post", None]
            )
    moment = 1_631_239_200 + hour * 3600
    os.utime(path, (moment, moment))
    return path


def take(db, settings: Settings, *, by_hand: bool = False) -> tuple[list[str], list[str]]:
    """One run of the DAG's steps: which registers had work, and what was refused."""
    refused, work = [], intake.registers_with_work(db, settings, by_hand=by_hand)
    for dataset in work:
        refused += intake.land_registers(db, settings, dataset, None).refused
        for step in (intake.load, intake.judge):
            try:
                step(db, settings, "registers", dataset)
            except intake.StepFailed as failed:
                refused.append(str(failed))
    return work, refused


def states(db) -> list[tuple]:
    return db.execute("select version, state, rows_loaded from ops.export where source = 'registers' order by version").fetchall()


def counting(db) -> int:
    """Members on the list that counts, as staging chooses it: the form that came last."""
    return db.execute(
        """select count(*) from raw.registers_teams where export_id =
             (select export_id from ops.export where state = 'accepted' order by received_at desc, version desc limit 1)"""
    ).fetchone()[0]


def test_a_form_is_taken_once(db, settings):
    put(settings, 3)
    assert take(db, settings) == (["teams"], [])
    assert take(db, settings) == ([], []), "an inbox without news costs no task"
    assert states(db) == [(1, "accepted", 3)]


def test_a_copy_under_another_name_is_nothing_new(db, settings):
    path = put(settings, 3)
    take(db, settings)
    copy = path.with_name("Bieu02_187_06505_20210910 (1).xlsx")
    copy.write_bytes(path.read_bytes())
    assert take(db, settings) == ([], [])


def test_the_form_that_came_last_counts_even_if_its_bytes_are_known(db, settings):
    path = put(settings, 3, hour=9)
    content = path.read_bytes()
    take(db, settings)
    put(settings, 5, name="Bieu02_187_06505_20210910 bản sửa.xlsx", hour=10)
    take(db, settings)
    assert counting(db) == 5
    again = path.with_name("Bieu02_187_06505_20210910 (2).xlsx")
    again.write_bytes(content)
    os.utime(again, (1_631_239_200 + 11 * 3600,) * 2)
    assert take(db, settings) == (["teams"], [])
    assert counting(db) == 3 and [v for v, _, _ in states(db)] == [1, 2, 3]
    assert take(db, settings) == ([], [])


def test_a_refused_form_is_kept_told_once_and_read_again_by_hand(db, settings):
    put(settings, 3, says="09/09/2021")
    work, refused = take(db, settings)
    assert work == ["teams"] and len(refused) == 1 and "row 5 says 09/09/2021, the file name 10/09/2021" in refused[0]
    assert states(db) == [(1, "rejected", None)]
    assert list(Path(settings.landing).rglob("*.xlsx")), "what came is in the landing"
    assert take(db, settings) == ([], []), "known, so it is not told every hour"
    work, refused = take(db, settings, by_hand=True)
    assert work == ["teams"] and "row 5 says" in refused[0] and states(db) == [(1, "rejected", None)]
    bad = (Path(settings.registers_inbox) / NAME).rename(Path(settings.registers_inbox) / "Bieu02_187_06505_20210910 cũ.xlsx")
    put(settings, 3, hour=10)
    assert take(db, settings) == (["teams"], []) and counting(db) == 3
    assert bad.exists() and take(db, settings, by_hand=True) == ([], []), "a corrected form is there: the old one is not read again"


def test_a_word_that_was_unknown_is_read_again_after_the_list_was_corrected(db, settings, tmp_path, monkeypatch):
    """The form is rejected for its unknown roles; with the words in the seed a run by hand takes it, without a new file."""
    put(settings, 3)
    words = own_project(monkeypatch, tmp_path) / "seeds" / "status_words.csv"
    known = words.read_text(encoding="utf-8")
    words.write_text("\n".join(line for line in known.splitlines() if "Thành viên" not in line) + "\n", encoding="utf-8")
    _, refused = take(db, settings)
    assert refused and states(db)[0][1] == "rejected"
    words.write_text(known, encoding="utf-8")
    assert take(db, settings) == ([], []), "not by itself"
    assert take(db, settings, by_hand=True) == (["teams"], [])
    assert states(db) == [(1, "accepted", 3)]


def test_a_commune_that_is_corrected_in_the_list_is_known_to_a_form_that_came_before(db, settings, tmp_path, monkeypatch):
    """The communes of a form are found while it is read: its rows wait in quarantine, and a replay finds them by the list of today."""
    put(settings, 3)
    communes = own_project(monkeypatch, tmp_path) / "seeds" / "commune.csv"
    known = communes.read_text(encoding="utf-8")
    communes.write_text(known.replace("Vạn Linh", "Van Lang"), encoding="utf-8")
    take(db, settings)
    assert states(db) == [(1, "accepted", 0)]
    (matter,) = quarantine.open_matters(db)
    assert (matter.kind, matter.rows) == ("rows", 3) and NAME in matter.told and "the form's commune is one of the province's" in matter.told
    communes.write_text(known, encoding="utf-8")
    replay = lambda: [o.words for o in quarantine.replay(db, settings, quarantine.select(db, class_="registers/teams"), "mai")]
    assert replay() == ["3 rows count now; 3 rows are of another commune now"] and states(db) == [(1, "accepted", 3)]
    placed = "select commune_code, count(*) from raw.registers_teams group by 1"
    assert db.execute(placed).fetchall() == [("06505", 3)] and quarantine.open_matters(db) == []
    queue = "select count(*) from ops.change"
    before = db.execute(queue).fetchone()
    assert replay() == [], "twice changes nothing"

    communes.write_text(
        known.replace("Xã Vạn Linh,Xã,Vạn Linh", "Xã Xưa,Xã,Xưa").replace("Xã Bằng Mạc,Xã,Bằng Mạc", "Xã Vạn Linh,Xã,Vạn Linh"), encoding="utf-8"
    )
    assert db.execute(queue).fetchone() == before
    label = "registers/teams " + db.execute("select unit from ops.export").fetchone()[0] + " 2021-09-10 v1"
    named = lambda: [o.words for o in quarantine.replay(db, settings, quarantine.select(db, export=label), "mai")]
    assert named() == ["nothing more counts; 3 rows are of another commune now"], "rows that counted move too"
    assert db.execute(placed).fetchall() == [("06493", 3)] and db.execute(queue).fetchone() == (before[0] + 1,)
    assert named() == ["nothing more counts"] and db.execute(queue).fetchone() == (before[0] + 1,)


def test_a_heading_that_became_an_alias_lets_a_form_in(db, settings, tmp_path, monkeypatch):
    put(settings, 3)
    contract, heading = own_contracts(monkeypatch, tmp_path) / "registers" / "teams.yml", "heading: Nhiệm vụ trong tổ,"
    edit(contract, heading, "heading: Vai trò trong tổ,")
    _, [refused] = take(db, settings)
    assert "lacks the columns" in refused and "Vai trò trong tổ" in refused and "alias" in refused and states(db)[0][1] == "rejected"
    edit(contract, "heading: Vai trò trong tổ,", "heading: Vai trò trong tổ, aliases: [Nhiệm vụ trong tổ],")
    replayed = quarantine.replay(db, settings, quarantine.select(db, class_="registers/teams"), "mai")
    assert [o.words for o in replayed] == ["accepted: 3 rows count now"] and states(db) == [(1, "accepted", 3)]


def test_a_file_that_is_no_register_is_named(db, settings):
    put(settings, 1, name="ghi chú.xlsx").write_bytes(b"PK\x03\x04 no workbook")
    assert intake.registers_with_work(db, settings) == []
    (line,) = intake.unknown_forms(settings)
    assert "ghi chú.xlsx" in line and "Rename it" in line


def test_what_a_higher_version_has_replaced_is_not_read_again(db):
    import deliveries as d

    first = d.land(db, "postmart", "products", d.many(d.product, 2), version=1)
    ledger.reject(db, first, "a heading")
    assert intake.reopen(db, "postmart", "products", d.DAY) == [first]
    ledger.reject(db, first, "a heading")
    d.judged(db, "postmart", "products", d.many(d.product, 3), version=2)
    assert intake.reopen(db, "postmart", "products", d.DAY) == []


def test_reopening_touches_only_what_is_rejected(db, settings):
    put(settings, 3)
    take(db, settings)
    (export_id,) = db.execute("select export_id from ops.export where source = 'registers'").fetchone()
    assert ledger.reopen(db, export_id) is False and states(db) == [(1, "accepted", 3)]
