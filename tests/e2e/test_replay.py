"""The stack as an operator runs it: connections in the environment, real Airflow, `replay`, `dsn`; and what the asset between platform and
warehouse does without a person."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import psutil
import psycopg
import pytest
from kinhteso.local import cli, processes
from oracle import MEASURES, recount
from served import simulators

from simulators import campaign

ROOT = Path(__file__).resolve().parents[2]
FIRST = date(2021, 9, 12)


def _servers(home: Path) -> list[str]:
    """Command lines of PostgreSQL servers whose data lie under ``home``."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if str(home) in line and "postgres" in line:
                found.append(line)
    return found


def command(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "kinhteso.local", *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=400, check=False)


@pytest.fixture()
def home():
    """A folder that every user may pass through, so that PostgreSQL may lie in it."""
    path = Path(tempfile.mkdtemp(prefix="kinhteso-stack-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture()
def operator(tmp_path, home):
    """An operator's environment with sources of its own, and those sources."""
    inbox = tmp_path / "inbox"
    with simulators(tmp_path / "sources", "--inbox", str(inbox)) as served:
        sftp, http = served.sftp, served.http
        shutil.copytree(ROOT / "dbt_project", home / "project", ignore=shutil.ignore_patterns("target", "logs"))
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW", "KINHTESO"))}
        env = {
            **kept,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT)]),
            "PYTHONWARNINGS": "ignore",
            "KINHTESO_HOME": str(home),
            "KINHTESO_DBT_PROJECT": str(home / "project"),
            "AIRFLOW_CONN_POSTMART": json.dumps(
                {"conn_type": "sftp", "host": sftp["host"], "port": sftp["port"], "login": sftp["username"], "password": sftp["password"]}
            ),
            "AIRFLOW_CONN_VOSO": f"http://{http['username']}:{http['password']}@{http['host']}:{http['port']}/v1",
            "KINHTESO_PHONE_KEY": "demo-pepper",
            "KINHTESO_FIRST_DAY": str(FIRST),
            "KINHTESO_REGISTERS_INBOX": str(inbox),
        }
        yield env, served
        command(env, "down")
        for name in ("warehouse", "demo"):
            assert processes.marked(str(home / name / "airflow")) == []
        assert _servers(home) == []


def test_replay_a_late_platform_and_what_a_reader_sees(operator, home, monkeypatch):
    env, served = operator
    served.clock("2021-09-13T06:00")
    stray = Path(env["KINHTESO_REGISTERS_INBOX"]) / "ghi chú.xlsx"
    stray.write_text("no workbook")
    words = home / "project" / "seeds" / "status_words.csv"
    known = words.read_text(encoding="utf-8")
    words.write_text(known.replace("payment_method,postmart,COD,COD\n", ""), encoding="utf-8")
    wrong = {**env, "AIRFLOW_CONN_VOSO": env["AIRFLOW_CONN_VOSO"].replace("demo-password", "wrong-password")}
    done = command(wrong, "replay", "2021-09-12")
    assert done.returncode == 1 and "release 1, and its run is red" in done.stdout, done.stdout + done.stderr
    assert "Q05 refunds_of_unknown_orders" in done.stdout, "a refund of an order that was refused"
    assert "voso_daily: failed" in done.stdout and "Invalid owner account" in done.stdout
    assert "refused postmart/orders 2021-09-12 v1" in done.stdout and "`payment_method` (dbt_project/seeds/status_words.csv)" in done.stdout
    assert "registers_intake: failed" in done.stdout and "ghi chú.xlsx: neither its name" in done.stdout, "a stray file is red, and named"
    stray.unlink()
    assert "wrong-password" not in done.stdout + done.stderr
    assert served.refused_logins() == 1, "a refused login is tried once, not by every dataset and not again"
    assert not (home / "demo").exists(), "no simulator beside the operator's sources"

    for name in [n for n in os.environ if n.startswith(("AIRFLOW", "KINHTESO"))]:
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    stack = cli.choose(cli.environment(), cli.state_root())
    dsn_of = lambda: cli.warehouse_dsn(stack)  # noqa: E731
    try:
        airflow = cli.start_all(stack, with_parent=True, schedules=False)
        with psycopg.connect(dsn_of()) as conn:
            assert conn.execute("select distinct completeness from bi.kpi_commune_daily where geography = '2021' and date = '2021-09-12'").fetchall() == [
                ("STALE_BOTH",)
            ]
        _mend_a_word(airflow, env, words, known, dsn_of())
        with psycopg.connect(dsn_of()) as conn:
            assert conn.execute("select distinct completeness from bi.kpi_commune_daily where geography = '2021' and date = '2021-09-12'").fetchall() == [
                ("STALE_VOSO",)
            ]
        # Nobody replays: a platform's run brings the missing day, and its asset makes the release.
        before = _releases(dsn_of())
        states = cli.wait_for(airflow, {"voso_daily": airflow.trigger("voso_daily", {"business_day": "2021-09-12"})}, "12")
        assert states == {"voso_daily": "success"}, _why(dsn_of(), home)
        _wait_for_release(dsn_of(), before)
        world, day = campaign.make("small", 1, FIRST), FIRST
        with psycopg.connect(dsn_of()) as conn:
            assert conn.execute("select distinct completeness from bi.kpi_commune_daily where geography = '2021' and date = '2021-09-12'").fetchall() == [
                ("FULL",)
            ]
            found = {
                r[0]: dict(zip(MEASURES, r[1:], strict=True))
                for r in conn.execute(f"select commune_code, {', '.join(MEASURES)} from bi.kpi_commune_daily where geography = '2021' and date = %s", [day])
            }
            ages = dict(conn.execute("select status, count(*) from ops.source_freshness group by 1").fetchall())
            assert sum(ages.values()) == 15 and set(ages) <= {"pass", "warn"}, "the DAG has measured how old every source is, by the business day"
        for code, cell in recount(world, day).items():
            assert {m: found[code][m] for m in MEASURES} == {m: cell[m] for m in MEASURES}, code
        logs = "".join(p.read_text(errors="replace") for p in (home / "warehouse" / "airflow").rglob("*.log"))
        assert "demo-password" not in logs and "wrong-password" not in logs and "demo-pepper" not in logs, "secrets stay out of logs"
    finally:
        cli.stop_ours(stack)

    reader = command(env, "dsn").stdout.strip().splitlines()[-1]
    with psycopg.connect(reader, autocommit=True) as conn:
        assert conn.execute("select count(*) from bi.kpi_commune_daily").fetchone()[0] > 0
        for schema in ("raw.postmart_stores", "ops.export", "core.dim_household", "intermediate.int_orders"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(f"select 1 from {schema}")
        with pytest.raises((psycopg.errors.ReadOnlySqlTransaction, psycopg.errors.InsufficientPrivilege)):
            conn.execute("delete from bi.kpi_commune_daily")


def _mend_a_word(airflow, env: dict[str, str], words: Path, known: str, dsn: str) -> None:
    """Orders were rejected for a word that nobody knew: listed, not dismissed without a reason, and with the word in the CSV replayed into a release
    without a person; by hand once more it changes nothing."""
    listed = command(env, "quarantine", "--class", "postmart/orders")
    assert listed.returncode == 0 and "Rejected deliveries" in listed.stdout and "payment_method" in listed.stdout, listed.stdout + listed.stderr
    refused = airflow.trigger("quarantine_replay", {"action": "dismiss", "class": "postmart/orders"})
    assert cli.wait_for(airflow, {"quarantine_replay": refused}, "dismiss") == {"quarantine_replay": "failed"}
    assert any("needs a reason in words" in told for told in airflow.failures("quarantine_replay", refused))
    words.write_text(known, encoding="utf-8")
    before = _releases(dsn)
    run = airflow.trigger("quarantine_replay", {"class": "postmart/orders"})
    assert cli.wait_for(airflow, {"quarantine_replay": run}, "replay") == {"quarantine_replay": "success"}, airflow.failures("quarantine_replay", run)
    _wait_for_release(dsn, before)
    before = _releases(dsn)
    twice = command(env, "replay-quarantine", "--class", "postmart/orders")
    assert twice.returncode == 0 and "nothing that counts has changed" in twice.stdout, twice.stdout + twice.stderr
    with psycopg.connect(dsn) as conn:
        noted = conn.execute(
            "select done_by, state_before, state_after from ops.quarantine_action where run_id = %s and export_id is not null", [run]
        ).fetchall()
    assert noted == [("admin", "rejected", "accepted")] and _releases(dsn) == before


def _wait_for_release(dsn: str, before: int) -> None:
    deadline = time.monotonic() + 120
    while _releases(dsn) == before:
        assert time.monotonic() < deadline, "the asset did not bring a release"
        time.sleep(1)


def _releases(dsn: str) -> int:
    with psycopg.connect(dsn) as conn:
        return conn.execute("select count(*) from ops.release").fetchone()[0]


def _why(dsn: str, home: Path) -> str:
    """What the ledger and the logs of failed tasks say."""
    with psycopg.connect(dsn) as conn:
        told = conn.execute("select source, dataset, version, state, reason from ops.export where source = 'voso' and state <> 'accepted'").fetchall()
    logs = [p for p in (home / "warehouse" / "airflow" / "logs").rglob("*.log") if '"level":"error"' in p.read_text(errors="replace")]
    return f"{told}\n" + "\n".join(f"{p}:\n{p.read_text(errors='replace')[-3000:]}" for p in logs)


def test_a_day_in_reverse_order_is_refused_with_words(tmp_path):
    env = {**os.environ, "KINHTESO_HOME": str(tmp_path), "PYTHONPATH": str(ROOT / "plugins")}
    done = command(env, "replay", "2021-09-14", "2021-09-12")
    assert done.returncode == 2 and "is after" in done.stdout


def test_home_and_sources_are_read_from_the_env_file(tmp_path, monkeypatch):
    for name in [n for n in os.environ if n.startswith(("AIRFLOW_CONN", "KINHTESO"))]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    assert cli.state_root() == tmp_path / ".local"
    (tmp_path / ".env").write_text("KINHTESO_HOME=elsewhere\nAIRFLOW_CONN_VOSO=http://u:p@127.0.0.1:1/v1\n")
    assert cli.state_root() == tmp_path / "elsewhere"
    stack = cli.choose(cli.environment(), cli.state_root())
    assert not stack.simulated and stack.home == tmp_path / "elsewhere" / "warehouse", "one own source is enough: no simulator"
    monkeypatch.setenv("KINHTESO_HOME", str(tmp_path / "said"))
    assert cli.state_root() == tmp_path / "said", "the environment prevails"
