"""dbt keeps what it parsed: what has changed since is parsed again, and what it warns of is in the task's log."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

from kinhteso import building
from written import edit, own_project


def parsed(dsn: str, state) -> dict:
    assert building.run_dbt(dsn, ["parse"], state).success
    return json.loads((state / "target" / "manifest.json").read_text(encoding="utf-8"))["nodes"]


def test_a_changed_project_and_another_database_are_parsed_again(monkeypatch, tmp_path, caplog):
    project, state, dsn = own_project(monkeypatch, tmp_path), tmp_path / "state", "postgresql://nobody:parse-secret@localhost/parsed_{}"
    before = parsed(dsn.format("one"), state)
    edit(project / "models/core/dim_platform.sql", " from {{", " from /* edited */ {{")
    edit(project / "macros/layers.sql", "then 2 when 'month'", "then 3 when 'month'")
    (project / "models/core/_more.yml").write_text("models:\n  - name: nowhere\n    description: parse-secret\n", encoding="utf-8")
    with caplog.at_level(logging.WARNING, "kinhteso.building"):
        after = parsed(dsn.format("one"), state)
    assert {k for k in before if before[k].get("raw_code") != after[k].get("raw_code")} == {"model.kinhteso.dim_platform.v1"}
    assert "/* edited */" in after["model.kinhteso.dim_platform.v1"]["raw_code"] and before.keys() == after.keys()
    assert [r for r in caplog.records if "nowhere" in r.message], "dbt warns of a description without its model"
    assert {n["database"] for n in after.values()} == {"parsed_one"}
    assert {n["database"] for n in parsed(dsn.format("two"), state).values()} == {"parsed_two"}


def test_what_dbt_says_keeps_the_password_to_itself(monkeypatch, caplog):
    monkeypatch.setenv("DBT_ENV_SECRET_WAREHOUSE_PASSWORD", "very-secret")
    with caplog.at_level(logging.DEBUG, "kinhteso.building"):
        for level in ("debug", "warn", "error"):
            building._say(SimpleNamespace(info=SimpleNamespace(level=level, msg=f"{level}: no login with very-secret")))
    assert [(r.levelname, r.message) for r in caplog.records] == [
        ("WARNING", "dbt: warn: no login with *****"),
        ("ERROR", "dbt: error: no login with *****"),
    ]
