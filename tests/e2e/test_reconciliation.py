"""Reconciliation in a real Airflow against the simulators: what the days could not see is counted, listed and mended with the bulk, the re-read and
the month's file, a release follows, and the figures are right."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path

import psycopg
import pytest
from kinhteso import reconciling, warehouse
from kinhteso.local import cli, processes
from kinhteso.settings import Settings
from pipeline import Pipeline
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from served import simulators

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND, LAST = date(2021, 9, 29), date(2021, 9, 30), date(2021, 10, 4)
FIGURES = ("orders_placed", "orders_valid", "orders_delivered", "revenue_gross_vnd", "products_on_sale", "stores", "refunds_vnd")
WINDOWED = ("products", "orders", "order_events", "refunds")
COMPARED = {("voso", d, "bulk") for d in (*WINDOWED, "stores", "accounts")} | {("voso", d, "reread") for d in WINDOWED} | {("postmart", "orders", "month")}


@pytest.fixture()
def pipeline(postgres, template, tmp_path):
    """Days around the end of September, until the morning on which the month's file comes."""
    name = "kinhteso_reconciliation"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"create database {name} template {template}")
    settings = Settings(landing=str(tmp_path / "landing"), registers_inbox=str(tmp_path / "inbox"), phone_key="demo-pepper", first_day=FIRST)
    with simulators(tmp_path / "served", "--first-day", str(FIRST), "--inbox", str(tmp_path / "inbox")) as served:
        taken = Pipeline(make_conninfo(postgres, dbname=name), settings, served, tmp_path / "state", [])
        for day in (FIRST, SECOND, LAST):
            taken.take(day)
        taken.release()
        yield taken
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)")


@pytest.fixture()
def airflow(pipeline, monkeypatch):
    """An operator's Airflow over that warehouse and those sources."""
    home, own = Path(tempfile.mkdtemp(prefix="kinhteso-reconcile-")), conninfo_to_dict(pipeline.dsn)
    home.chmod(0o755)
    for name in [n for n in os.environ if n.startswith(("AIRFLOW", "KINHTESO"))]:
        monkeypatch.delenv(name)
    sftp, http = pipeline.served.sftp, pipeline.served.http
    login = {"conn_type": "sftp", "host": sftp["host"], "port": sftp["port"], "login": sftp["username"], "password": sftp["password"]}
    settings = {
        "KINHTESO_HOME": str(home), "KINHTESO_PHONE_KEY": "demo-pepper", "KINHTESO_FIRST_DAY": str(FIRST), "KINHTESO_LANDING": pipeline.settings.landing,
        "KINHTESO_REGISTERS_INBOX": pipeline.settings.registers_inbox, "AIRFLOW_CONN_POSTMART": json.dumps(login),
        "AIRFLOW_CONN_VOSO": f"http://{http['username']}:{http['password']}@{http['host']}:{http['port']}/v1",
        "AIRFLOW_CONN_WAREHOUSE": f"postgres://{own['user']}:{own.get('password') or ''}@{own['host']}:{own['port']}/{own['dbname']}",
    }  # fmt: skip
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    stack = cli.choose(cli.environment(), cli.state_root())
    stack.home.mkdir(parents=True, exist_ok=True)
    try:
        yield cli.start_all(stack, with_parent=True, schedules=False)
    finally:
        cli.stop_ours(stack)
        assert processes.marked(str(home / "warehouse" / "airflow")) == []
        shutil.rmtree(home, ignore_errors=True)


def test_what_differs_is_counted_listed_mended_and_released_and_then_nothing_differs(pipeline, airflow):
    assert pipeline.problems == []
    days = (FIRST, SECOND, LAST)
    right = {day: pipeline.cells(day, FIGURES) for day in days}
    lose(pipeline)
    assert {day: pipeline.cells(day, FIGURES) for day in days} != right

    before = releases(pipeline)
    run = airflow.trigger("reconcile_weekly", {"business_day": str(LAST)})
    assert cli.wait_for(airflow, {"reconcile_weekly": run}, "differs") == {"reconcile_weekly": "failed"}, "mended, and red: somebody asks the platform why"
    assert Counter((t["task_id"].rpartition(".")[2], t["state"]) for t in airflow.tasks("reconcile_weekly", run)) == {
        ("land", "success"): 7, ("compare", "success"): 7, ("announce_postmart", "success"): 1, ("announce_voso", "success"): 1, ("verdict", "failed"): 1,
    }, airflow.failures("reconcile_weekly", run)  # fmt: skip
    [told] = airflow.failures("reconcile_weekly", run)
    with warehouse.connect(pipeline.dsn) as conn:
        found = {(one.source, one.dataset, one.unit): one for one in reconciling.of_run(conn, run)}
        listed = conn.execute(
            """select d.source, d.dataset, e.unit, d.kind, count(*), bool_and(d.is_mended), min(d.key) from ops.difference as d
               join ops.export as e using (export_id) where e.run_id = %s group by 1, 2, 3, 4 order by 1, 2, 3, 4""",
            [run],
        ).fetchall()
    assert set(found) == COMPARED, "the bulk, the re-read and the month"
    empty = {key for key, one in found.items() if not one.compared}
    assert empty <= {("voso", "refunds", "bulk"), *(("voso", d, "reread") for d in ("products", "refunds"))}, empty
    assert [row[:6] for row in listed] == [
        ("postmart", "orders", "month", "changed", 1, True), ("postmart", "orders", "month", "missing", 2, True), ("voso", "orders", "bulk", "changed", 1, True),
        ("voso", "products", "bulk", "missing", 1, True), ("voso", "stores", "bulk", "missing", 1, True),
    ]  # fmt: skip
    counted = {(*key, kind): n for key, one in found.items() for kind in ("missing", "extra", "changed", "older") if (n := getattr(one, kind))}
    assert counted == {row[:4]: row[4] for row in listed}, "counted as listed"
    month = found["postmart", "orders", "month"]
    assert not month.passed and month.orders_source - month.orders_warehouse == 2
    for part in ("Q18", month.message, found["voso", "orders", "bulk"].message, *(row[6] for row in listed), "reconciliation-differs"):
        assert part in told, part

    deadline = time.monotonic() + 240  # nobody asks for it: the assets do
    while {day: pipeline.cells(day, FIGURES) for day in days} != right:
        assert time.monotonic() < deadline, "no release brought the figures right"
        time.sleep(1)
    assert releases(pipeline) > before

    while airflow.call("GET", "/dags/warehouse_daily/dagRuns?state=running&state=queued")["total_entries"]:
        time.sleep(1)
    stands = releases(pipeline)
    again = subprocess.run([sys.executable, "-m", "kinhteso.local", "reconcile", str(LAST)], cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert " ".join(again.stdout.split()).count("no difference") == len(COMPARED), again.stdout
    assert "nothing that counts has changed" in again.stdout and releases(pipeline) == stands


def releases(pipeline: Pipeline) -> int:
    with psycopg.connect(pipeline.dsn) as conn:
        return conn.execute("select count(*) from ops.release").fetchone()[0]


def lose(pipeline: Pipeline) -> None:
    """Rows that a truncated, shifted or unbumped delivery would not have had; then a build over all that is left."""
    with psycopg.connect(pipeline.dsn, autocommit=True) as conn:
        state = "select export_id from ops.export where source = %s and dataset = %s and business_day = %s and unit = '' and state = 'accepted'"
        [(orders,)] = conn.execute(state, ["postmart", "orders", FIRST]).fetchall()
        codes = [c for (c,) in conn.execute(
            """select order_code from raw.postmart_orders where export_id = %s and order_code not in
               (select order_code from raw.postmart_orders where export_id <> %s) and parse.local_date(event_at) >= date '2021-09-01'
               group by 1 order by 1 limit 3""", [orders, orders])]  # fmt: skip
        conn.execute("delete from raw.postmart_orders where export_id = %s and order_code = any(%s)", [orders, codes[:2]])
        conn.execute("update raw.postmart_orders set seller_discount_vnd = '1' where order_code = %s", [codes[2]])
        [(voso,)] = conn.execute(state, ["voso", "orders", FIRST]).fetchall()
        conn.execute(
            """update raw.voso_orders set seller_discount = (parse.money(seller_discount) + 1000)::text where export_id = %s and order_id =
               (select min(order_id) from raw.voso_orders where export_id = %s and delivered_at is not null and order_id not in
                (select order_id from raw.voso_orders where export_id <> %s and export_id in (select export_id from ops.export where unit = '')))""",
            [voso, voso, voso],
        )
        [(products,)] = conn.execute(state, ["voso", "products", FIRST]).fetchall()
        conn.execute(
            """delete from raw.voso_products where export_id = %s and product_id = (select min(product_id) from raw.voso_products
               where export_id = %s and status = 'DANG_BAN' and product_id not in (select product_id from raw.voso_products where export_id <> %s and export_id in
                (select export_id from ops.export where unit = '')))""",
            [products, products, products],
        )
        [(stores,)] = conn.execute(state, ["voso", "stores", LAST]).fetchall()
        conn.execute("delete from raw.voso_stores where export_id = %s and store_id = (select min(store_id) from raw.voso_stores where export_id = %s)",
                     [stores, stores])  # fmt: skip
    from kinhteso import building, publishing

    publishing.publish(pipeline.dsn, building.build(pipeline.dsn, FIRST, full_refresh=True, state_dir=pipeline.state))
