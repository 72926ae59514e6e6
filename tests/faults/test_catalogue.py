"""The catalogue is complete, and each fault of it has a test that strikes it."""

from __future__ import annotations

import ast
from pathlib import Path

import answers  # noqa: F401  (registers its entries)
import files  # noqa: F401
import invariants
import report
from catalogue import BY_NUMBER, CATALOGUE
from struck import REGISTRY

HERE = Path(__file__).parent


def marked() -> set[str]:
    """Numbers in `pytest.mark.fault(...)` of the suite's files."""
    found = set()
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fault":
                found |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    return found


def test_the_catalogue_has_every_number_once():
    assert [f.number for f in CATALOGUE] == [f"F{n:02d}" for n in range(1, 111) if n != 82]
    assert all(f.title and f.injector and f.expected and f.recovery for f in CATALOGUE)


def test_every_fault_of_the_catalogue_is_struck_by_a_test_and_no_other():
    struck = {e.number for e in REGISTRY} | marked()
    assert struck == set(BY_NUMBER), f"no test strikes {sorted(set(BY_NUMBER) - struck)}; not in the catalogue are {sorted(struck - set(BY_NUMBER))}"
    assert all(e.is_known for e in REGISTRY), "a switch that the simulators do not know strikes nothing"


def test_every_fault_of_process_database_and_host_is_struck_by_a_test():
    assert {"F55", *(f"F{n}" for n in range(91, 111))} <= marked()


def test_the_table_names_a_fault_that_failed_or_was_not_struck():
    told = {"F01": report.Told("F01", ["refused"], 0, 0, True), "F02": report.Told("F02", ["nothing"], 3, 0, False)}
    text = report.table(told)
    assert "| F01 Truncated XLSX/ZIP |" in text and "**FAILED** nothing | 3 | 0 |" in text and text.count("**not struck**") == len(CATALOGUE) - 2
    assert "1 of 109 faults survived; 3 rows lost, 0 rows doubled." in text


def test_a_plain_count_differs_when_a_row_is_gone(tmp_path):
    """The recount of I1 sees a row more, a row less, and an order's further lines."""
    whole = '﻿Mã;Tên\r\n1;a\r\n2;"b\r\nc"\r\n'
    (tmp_path / "x.csv").write_text(whole, encoding="utf-8", newline="")
    assert invariants.rows_of(tmp_path / "x.csv") == 2
    (tmp_path / "y.csv").write_text(whole + "3;d\r\n", encoding="utf-8", newline="")
    assert invariants.rows_of(tmp_path / "y.csv") == 3


def test_personal_data_and_secrets_are_found_where_they_stand(db):
    assert invariants.secrecy(db, {"log": "nothing here 2109140000123"}, ["Hoàng Thị Mai"]) == []
    for text in ("gọi 0900000012 nhé", "84900000012", "+84 900 000 012", "CCCD 020123456789", "demo-password", "HOÀNG Hoàng Thị Mai"):
        assert invariants.secrecy(db, {"log": text}, ["Hoàng Thị Mai"]), text
    db.execute("create table ops.leak (note text)")
    db.execute("insert into ops.leak values ('0900000012')")
    assert invariants.secrecy(db, {}, []) == ["I5 ops.leak: 1 rows hold personal data or a secret"]
