"""Alerts through Airflow's notifiers, against a mail server and a webhook of our own; what runs, deadlines and DAG files tell."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import deliveries as d
import psycopg
import pytest
from kinhteso import ledger, notifying
from post import body_of, listening, post

ROOT = Path(__file__).resolve().parents[2]
GOOD = "from airflow.sdk import dag\n\n\n@dag(schedule=None)\ndef good():\n    pass\n\n\ngood()\n"


@pytest.fixture()
def said():
    """What the alert logger says."""
    with listening("kinhteso.alert") as kept:
        yield kept


@pytest.fixture()
def office(db, warehouse_dsn, monkeypatch, tmp_path):
    """A warehouse whose alerts go to servers of our own."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(notifying.tempfile, "tempdir", None)
    info = psycopg.conninfo.conninfo_to_dict(warehouse_dsn)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f"postgres://{info['user']}:{info['password']}@{info['host']}:{info['port']}/{info['dbname']}")
    for name, value in {"LANDING": tmp_path / "landing", "REGISTERS_INBOX": tmp_path / "inbox", "PHONE_KEY": "demo-pepper", "SCHEDULES": "off"}.items():
        monkeypatch.setenv(f"KINHTESO_{name}", str(value))
    (tmp_path / "inbox").mkdir()
    with post() as kept:
        for name, value in kept.environment().items():
            monkeypatch.setenv(name, value)
        yield kept


def rejected(db, **given):
    export_id = d.land(db, "postmart", "orders", d.many(d.line, 3), **given)
    ledger.reject(db, export_id, "F15: heading {{ 7 * 7 }} of 'Đơn hàng' is none of the contract")


def run_of(dag_id, state="failed", day="2021-09-14", **given):
    run = SimpleNamespace(dag_id=dag_id, run_id=f"by_hand__{day}", partition_key=day, conf={}, state=state, start_date=None, run_type="manual")
    return {"dag_run": run, "params": {}, "reason": "task_failure", **given}


def test_a_message_arrives_at_mail_server_and_webhook_in_vietnamese_and_english(db, office, monkeypatch):
    monkeypatch.setenv("KINHTESO_RUNBOOKS_URL", "https://wiki.example.vn/runbooks")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.vn/")
    rejected(db)
    notifying.look(db)
    (mail,), (hook,) = office.mails, office.posts
    assert mail["subject"] == hook["subject"] and mail["subject"].startswith(
        "[kinhteso] Dữ liệu bị từ chối: A3 Đơn hàng Postmart, 14/09/2021 · Delivery rejected"
    )
    assert mail["to"] == "truc@example.vn, lanh-dao@example.vn" and mail["from"] == "kinhteso@example.vn" and mail["auto-submitted"] == "auto-generated"
    for words in (body_of(mail), hook["text"]):
        assert "https://wiki.example.vn/runbooks/export-rejected.md" in words and "https://airflow.example.vn/kinhteso/" in words
        assert "{{ 7 * 7 }}" in words, "what comes from files is no template"
    assert (
        hook["state"] == "open"
        and hook["datasets"] == ["postmart/orders"]
        and hook["days"] == ["2021-09-14"]
        and office.paths == ["/services/secret-token-abc"]
    )
    notifying.look(db)
    assert (len(office.mails), len(office.posts)) == (1, 1)


def test_a_server_that_is_down_delays_only_its_own_message_and_no_address_is_logged(db, office, said):
    rejected(db)
    office.http_down = True
    notifying.look(db)
    assert (len(office.mails), len(office.posts)) == (1, 0)
    office.http_down, office.smtp_down = False, True
    notifying.look(db)
    assert (len(office.mails), len(office.posts)) == (1, 1)
    assert "secret-token-abc" not in "\n".join(said) and "could not be sent by webhook" in "\n".join(said)


@pytest.mark.parametrize("sink", ["webhook", "heartbeat"])
def test_a_server_that_is_gone_leaves_no_secret_in_any_log(db, office, capfd, monkeypatch, sink):
    monkeypatch.setenv(f"AIRFLOW_CONN_ALERT_{sink.upper()}", '{"conn_type": "http", "host": "http://127.0.0.1:1/services/secret-token-abc"}')
    with listening("kinhteso.alert", "") as said:
        rejected(db)
        notifying.look(db)
        notifying.beat()
    printed = "".join(capfd.readouterr()) + "\n".join(said)
    assert ("could not be sent by webhook" if sink == "webhook" else "heartbeat did not get through") in printed and "secret-token-abc" not in printed


@pytest.mark.parametrize(
    ("form", "address"),
    [
        ("https://chat.example.vn/hooks/abc", "https://chat.example.vn/hooks/abc"),
        ("http://127.0.0.1:8065/hooks/abc", "http://127.0.0.1:8065/hooks/abc"),
        ('{"conn_type": "http", "host": "https://chat.example.vn/hooks/abc"}', "https://chat.example.vn/hooks/abc"),
        ('{"conn_type": "http", "host": "chat.example.vn", "schema": "https", "port": 8443}', "https://chat.example.vn:8443/"),
    ],
)
def test_a_webhook_is_given_as_uri_or_as_json(monkeypatch, form, address):
    monkeypatch.setenv("AIRFLOW_CONN_ALERT_WEBHOOK", form)
    assert notifying.address_of(notifying._connection("alert_webhook")) == address


def test_a_setting_that_lacks_its_other_half_is_named_and_none_is_no_error(office, said, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_SMTP_DEFAULT")
    assert list(notifying.sinks()) == ["webhook"] and "AIRFLOW_CONN_SMTP_DEFAULT" in "\n".join(said)
    for name in ("SMTP_DEFAULT", "ALERT_WEBHOOK", "ALERT_HEARTBEAT"):  # as compose passes on what is not set
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", "")
    monkeypatch.setenv("KINHTESO_ALERT_TO", "")
    assert notifying.sinks() == {}
    notifying.beat()


def test_a_red_run_tells_its_causes_and_is_itself_one_only_when_nothing_explains_it(db, office):
    rejected(db)
    for _ in range(3):  # each red run and retry calls back
        notifying.run_failed(run_of("postmart_daily"))
    assert [p["kind"] for p in office.posts] == ["export_rejected"]
    notifying.run_failed(run_of("postmart_daily", day="2021-09-15"))
    notifying.run_failed(run_of("day_close"))
    assert sorted(p["cause"] for p in office.posts[1:]) == ["run_failed|day_close|2021-09-14", "run_failed|postmart_daily|2021-09-15"]
    task = SimpleNamespace(downstream_task_ids=set())
    notifying.run_ended_well({"task": task, "ti": SimpleNamespace(dag_id="day_close")})
    notifying.look(db)
    assert (office.posts[-1]["cause"], office.posts[-1]["state"]) == ("run_failed|day_close|2021-09-14", "over")


def test_a_release_whose_checks_failed_is_one_cause_and_a_build_that_breaks_beside_it_another(db, office):
    db.execute(
        "insert into ops.day_check (business_day, source, dataset, commune_code, rule_id, rule_name, rule, outcome, passed, rows_failed, rows_total, build_id)"
        " values ('2021-09-14', 'warehouse', '', '', 'Q18', 'sums', 'communes add up to the province', 'fail', false, 1, 200, 1)"
    )
    notifying.run_failed(run_of("warehouse_daily", ti=SimpleNamespace(task_id="verdict")))
    assert [p["kind"] for p in office.posts] == ["check_failed"]
    notifying.run_failed(run_of("warehouse_daily", ti=SimpleNamespace(task_id="publish")))
    assert [p["kind"] for p in office.posts] == ["check_failed", "run_failed"], "publish failed, and no check explains that"


def test_a_task_that_no_rule_foresees_is_told_once_for_all_its_mapped_tasks(db, office):
    for n, dataset in enumerate(("stores", "orders", "refunds")):
        ti = SimpleNamespace(dag_id="postmart_daily", task_id="take.load", map_index=n)
        notifying.task_failed({**run_of("postmart_daily"), "ti": ti, "exception": RuntimeError(f"the reader broke: '/landing/{dataset}/part {n}'")})
    notifying.run_failed(run_of("postmart_daily"))
    (hook,) = office.posts
    assert hook["kind"] == "task_failed" and "take.load: RuntimeError: the reader broke" in hook["text"] and "run-failed" in hook["text"]


def test_a_full_disk_is_one_message_over_all_dags(db, office):
    for dag_id in ("postmart_daily", "voso_daily", "warehouse_daily"):
        ti = SimpleNamespace(dag_id=dag_id, task_id="take.land", map_index=0)
        notifying.task_failed({**run_of(dag_id), "ti": ti, "exception": OSError(28, "No space left on device")})
        notifying.run_failed(run_of(dag_id))
    (hook,) = office.posts
    assert hook["kind"] == "disk_full" and "disk-full.md" in hook["text"]


def test_a_refusal_that_is_in_the_ledger_is_no_second_cause(db, office):
    from airflow.sdk.exceptions import AirflowFailException

    ti = SimpleNamespace(dag_id="postmart_daily", task_id="take.judge", map_index=0)
    notifying.task_failed({**run_of("postmart_daily"), "ti": ti, "exception": AirflowFailException("rejected")})
    assert db.execute("select count(*) from ops.alert").fetchone() == (0,)


def test_a_deadline_that_passes_is_told_unless_the_run_is_over(db, office):
    deadline = {"id": "1", "deadline_time": "2021-09-15T02:00:00+00:00"}
    run = {"dag_id": "warehouse_daily", "dag_run_id": "r", "state": "failed", "conf": {"business_day": "2021-09-14"}, "partition_key": None}
    notifying.deadline_passed({"dag_run": run, "deadline": deadline})
    assert office.posts == [], "a failed run was told when it failed"
    notifying.deadline_passed({"dag_run": {**run, "state": "running"}, "deadline": deadline})
    notifying.deadline_passed({"dag_run": {**run, "state": "running"}, "deadline": deadline})
    (hook,) = office.posts
    assert hook["kind"] == "run_late" and "warehouse_daily" in hook["subject"] and "14/09/2021" in hook["subject"]
    assert "15/09/2021 09:00 (UTC+7)" in hook["text"], "a person reads the time of their own clock"


def test_the_watch_finds_dag_files_that_do_not_parse_and_says_when_they_do_again(db, office, monkeypatch, tmp_path):
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "good.py").write_text(GOOD)
    (dags / "broken.py").write_text('from airflow.sdk import dag\n\nraise ValueError("0900000123 is no setting")\n')
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(dags))
    for section in ("CORE", "DATABASE"):  # as in a task
        monkeypatch.setenv(f"AIRFLOW__{section}__SQL_ALCHEMY_CONN", "airflow-db-not-allowed:///")
    notifying.watch(db)
    (hook,) = office.posts
    assert hook["kind"] == "dag_unparsable" and "broken.py" in hook["subject"] and "ValueError" in hook["text"] and "dag-does-not-parse.md" in hook["text"]
    assert "0900000123" not in hook["text"]
    (dags / "broken.py").write_text(GOOD.replace("good", "mended"))
    notifying.watch(db)
    assert [p["state"] for p in office.posts] == ["open", "over"] and office.beats == 2, "each watch calls the server outside"


def test_our_own_dags_parse_for_the_watch():
    assert notifying.parse_errors(ROOT / "dags") == {}


def test_a_dag_folder_that_cannot_be_read_in_time_is_told(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text("from airflow.sdk import dag\nimport time\ntime.sleep(60)\n")
    monkeypatch.setattr(notifying, "PARSE_SECONDS", 5)
    assert list(notifying.parse_errors(tmp_path).values()) == ["not read in 5 s"]


def test_the_listener_tells_a_broken_file_once_while_it_is_parsed_again_and_again(db, office):
    trace = "Traceback (most recent call last):\n  File \"/dags/watch.py\", line 3, in <module>\n    x\nNameError: name 'x' is not defined\n"
    for _ in range(3):
        notifying.import_error("/dags/watch.py", trace)
    for thread in [t for t in notifying.threading.enumerate() if t.daemon and "quietly" in str(getattr(t, "_target", ""))]:
        thread.join(20)
    (hook,) = office.posts
    assert hook["cause"] == "dag_unparsable|watch.py" and "NameError" in hook["text"] and "(watch.py, line 3)" in hook["text"]


def test_a_stray_form_is_told_and_over_when_it_is_gone(db, office, tmp_path):
    stray = tmp_path / "inbox" / "ghi chú.xlsx"
    stray.write_text("no workbook")
    notifying.look(db)
    assert [p["kind"] for p in office.posts] == ["form_unknown"] and "ghi chú.xlsx" in office.posts[0]["subject"]
    stray.unlink()
    notifying.look(db)
    assert office.posts[-1]["state"] == "over"


def test_a_warehouse_that_is_down_is_told_once(office, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "postgres://kinhteso:secret-password@127.0.0.1:1/kinhteso?connect_timeout=3")
    for _ in range(3):
        notifying.run_failed(run_of("postmart_daily"))
    (hook,) = office.posts
    assert hook["kind"] == "warehouse_down" and "warehouse-down.md" in hook["text"] and "secret-password" not in str(office.posts)


def test_a_callback_never_raises_and_its_failure_is_logged(monkeypatch, said):
    from kinhteso import dagkit

    monkeypatch.setattr(notifying, "run_failed", lambda _: 1 / 0)
    dagkit.alert(run_of("postmart_daily"))
    assert "ALERT postmart_daily run by_hand__2021-09-14 failed" in "\n".join(said) and "ALERT could not be told: ZeroDivisionError" in "\n".join(said)
