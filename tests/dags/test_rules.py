"""The rules that every DAG file keeps (house style); each rule is shown to bite on a broken file."""

from __future__ import annotations

import ast
import os
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAGS = sorted((ROOT / "dags").glob("*.py"))
HEADINGS = ["What", "In and out", "When and why then", "If it fails", "How to re-run"]
WANTED = {"postmart_daily", "voso_daily", "registers_intake", "day_close", "warehouse_daily", "quarantine_replay", "reconcile_weekly", "watch"}
MAX_LINES = 80


def problems_of(text: str) -> list[str]:
    """What a DAG file does at import time that it must not, and what of its size."""
    tree, found = ast.parse(text), []
    if len(text.splitlines()) > MAX_LINES:
        found.append(f"longer than {MAX_LINES} lines: move logic into plugins/kinhteso")
    in_function: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            in_function |= {id(n) for n in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in in_function:
            continue
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.startswith(("Variable.", "Connection.", "open", "os.environ", "os.getenv", "requests.", "httpx.", "psycopg.")):
                found.append(f"line {node.lineno}: {name} at import time")
            if name in {"datetime.now", "date.today", "pendulum.now"}:
                found.append(f"line {node.lineno}: the clock at import time")
        if isinstance(node, ast.ImportFrom) and node.module in {"pandas", "great_expectations", "dbt"}:
            found.append(f"line {node.lineno}: {node.module} is imported when the file is parsed")
    return found


@pytest.mark.parametrize("path", DAGS, ids=lambda p: p.stem)
def test_a_dag_file_is_wiring(path):
    assert problems_of(path.read_text()) == []


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("x = Variable.get('a')\n", "Variable.get"),
        ("from datetime import datetime\nx = datetime.now()\n", "clock"),
        ("from pandas import DataFrame\n", "pandas"),
        ("x = 1\n" * 81, "longer than"),
        ("x = open('f').read()\n", "open"),
    ],
)
def test_the_rule_bites(broken, says):
    assert any(says in p for p in problems_of(broken))


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """All DAGs, parsed as the dag-processor does, without a database."""
    os.environ.setdefault("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(ROOT / "dags"), collect_dags=True)


def test_every_dag_parses_and_is_known(bag):
    assert bag.import_errors == {}
    assert set(bag.dags) == WANTED


@pytest.mark.parametrize("dag_id", sorted(WANTED))
def test_owner_tags_limits_alert_and_words(bag, dag_id):
    from kinhteso import dagkit

    dag = bag.dags[dag_id]
    assert dag.default_args["owner"] == dagkit.OWNER
    assert dag.tags and set(dag.tags) <= {str(t) for t in dagkit.Tag}
    assert dag.dagrun_timeout and dag.dagrun_timeout <= timedelta(hours=12)
    assert dag.on_failure_callback is not None
    assert dag.deadline, "a run that hangs has to be told"
    assert dag.catchup is False
    assert [line[3:] for line in dag.doc_md.splitlines() if line.startswith("## ")] == HEADINGS
    assert "business_day" in dag.params
    for task in dag.tasks:
        assert task.execution_timeout and task.owner == dagkit.OWNER, task.task_id
        assert task.on_failure_callback and task.on_success_callback, task.task_id


@pytest.mark.parametrize("dag_id", ["postmart_daily", "voso_daily", "registers_intake"])
def test_datasets_are_mapped_tasks_with_names(bag, dag_id):
    steps = {t.task_id: t for t in bag.dags[dag_id].tasks if t.task_id.startswith("take.")}
    assert set(steps) == {"take.land", "take.load", "take.judge"}
    assert all(t.map_index_template == "{{ dataset }}" for t in steps.values())


def test_waiting_gives_its_slot_back(bag):
    for dag_id in ("postmart_daily", "voso_daily", "reconcile_weekly"):
        land = next(t for t in bag.dags[dag_id].tasks if t.task_id == "take.land")
        assert land.mode == "reschedule", dag_id


def test_platforms_meet_in_the_warehouse_through_assets(bag):
    emitted = {a.uri for d in bag.dags.values() for t in d.tasks for a in (getattr(t, "outlets", None) or [])}
    waited = {a.uri for a in bag.dags["warehouse_daily"].timetable.asset_condition.objects}
    things = ("postmart/accepted", "voso/accepted", "registers/accepted", "quarantine/replayed", "business_day/closed")
    assert waited == {f"kinhteso://{thing}" for thing in things}
    assert waited <= emitted


@pytest.mark.parametrize(("dag_id", "days_before"), [("postmart_daily", 1), ("voso_daily", 1), ("day_close", 1), ("registers_intake", 0), ("watch", 0)])
def test_a_run_by_the_clock_carries_its_business_day(bag, dag_id, days_before):
    """Asked of the scheduler's own timetable: a run at 02:30 of the 15th in Lạng Sơn is of the 14th, whatever day it is in UTC."""
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    dag: SerializedDAG = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags[dag_id]))
    run = dag.timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=TimeRestriction(dag.start_date, None, False))
    local = run.run_after.astimezone(ZoneInfo("Asia/Ho_Chi_Minh"))
    assert run.partition_key == f"{local.date() - timedelta(days=days_before):%Y-%m-%d}", run


def test_reconciliation_runs_on_sundays_and_on_the_fifth(bag):
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    dag: SerializedDAG = DagSerialization.from_dict(DagSerialization.to_dict(bag.dags["reconcile_weekly"]))
    run, keys = None, []
    for _ in range(6):
        run = dag.timetable.next_dagrun_info_v2(last_dagrun_info=run, restriction=TimeRestriction(dag.start_date, None, True))
        keys.append((run.run_after.astimezone(ZoneInfo("Asia/Ho_Chi_Minh")).strftime("%a %d %H:%M"), run.partition_key))
    assert keys == [
        ("Sun 05 03:00", "2021-09-04"), ("Sun 12 03:00", "2021-09-11"), ("Sun 19 03:00", "2021-09-18"), ("Sun 26 03:00", "2021-09-25"),
        ("Sun 03 03:00", "2021-10-02"), ("Tue 05 03:00", "2021-10-04"),
    ]  # fmt: skip


def test_the_business_day_is_said_never_guessed():
    from kinhteso import dagkit

    class Run:
        dag_id, partition_key = "postmart_daily", None

    with pytest.raises(ValueError, match="carries no business day"):
        dagkit.business_day({"params": {}, "dag_run": Run()})
    Run.partition_key = "2021-09-13"
    assert str(dagkit.business_day({"params": {}, "dag_run": Run()})) == "2021-09-13"
    assert str(dagkit.business_day({"params": {"business_day": "2021-09-14"}, "dag_run": Run()})) == "2021-09-14"
    with pytest.raises(ValueError, match="2121-09-14 lies in the future"):
        dagkit.business_day({"params": {"business_day": "2121-09-14"}, "dag_run": Run()})


def test_what_another_day_brought_does_not_end_the_waiting():
    from datetime import date

    from kinhteso import dagkit, intake

    late = intake.Arrivals(landed=[1], is_due=True)
    assert not dagkit.landed_or_wait(None, late, "postmart", "orders", date(2021, 9, 14), is_over=False).is_done
    come = intake.Arrivals(landed=[1, 2], is_due=False)
    assert dagkit.landed_or_wait(None, come, "postmart", "orders", date(2021, 9, 14), is_over=False).is_done
