"""Airflow's four processes on loopback, and its REST API (the CLI costs seconds of CPU per call)."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from kinhteso.local import processes

ROOT = Path(__file__).resolve().parents[3]
HEALTH_SECONDS = 180
PROCESSES = ("api-server", "scheduler", "dag-processor", "triggerer")


class AirflowFailed(RuntimeError):
    """Airflow did not start or answer; the message says where its logs are."""


def _kept(path: Path, make: Callable[[], str]) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make())
        path.chmod(0o600)
    return path.read_text().strip()


class LocalAirflow:
    """Airflow with home folder ``home``/airflow and its metadata in the database ``metadata``; ``settings`` go to every process.

    ``schedules``: whether DAGs run by the clock; without, they run when they are told to (demo, replay).
    """

    def __init__(self, home: Path, metadata: Mapping[str, Any], settings: Mapping[str, str], *, port: int | None = None, schedules: bool = True) -> None:
        self.home = home / "airflow"
        self.mark = str(self.home)
        given = _kept(self.home / "port", lambda: str(port or processes.free_port()))
        self.port = int(port or given)
        (self.home / "port").write_text(str(self.port))
        self.url = f"http://127.0.0.1:{self.port}"
        self.password = self._password()
        self._metadata, self._settings, self._schedules = metadata, settings, schedules
        self._http: httpx.Client | None = None

    def _password(self) -> str:
        path = self.home / "passwords.json"
        return str(json.loads(_kept(path, lambda: json.dumps({"admin": secrets.token_urlsafe(12)})))["admin"])

    def environment(self) -> dict[str, str]:
        """Environment of the four processes."""
        m = self._metadata
        config = self.home / "config"
        config.mkdir(parents=True, exist_ok=True)
        (config / "airflow_local_settings.py").write_text("from kinhteso.preload import preload\n\npreload()\n")
        venv = Path(sys.executable).parent
        airflow = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "8",
            # A task's supervisor may miss its end and then sleeps for this long (default 5 s), holding the slot.
            "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__AUTH_MANAGER": "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.home / "passwords.json"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__INTERNAL_API_URL": self.url,
            "AIRFLOW__CORE__FERNET_KEY": _kept(self.home / "fernet.key", _fernet_key),
            "AIRFLOW__API_AUTH__JWT_SECRET": _kept(self.home / "jwt.key", lambda: secrets.token_urlsafe(48)),
            "AIRFLOW__API__SECRET_KEY": _kept(self.home / "api.key", lambda: secrets.token_urlsafe(32)),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__EXPOSE_CONFIG": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{m['user']}:{quote(m['password'])}@{m['host']}:{m['port']}/{m['dbname']}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{m['user']}:{quote(m['password'])}@{m['host']}:{m['port']}/{m['dbname']}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "60",
            # A file that has changed is read at once; the others need no second look while the machine works.
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "KINHTESO_SCHEDULES": "on" if self._schedules else "off",
            **({} if self._schedules else {"KINHTESO_RETRY_SECONDS": "5"}),
            "DO_NOT_TRACK": "1",
            "GX_ANALYTICS_ENABLED": "false",
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "PYTHONPATH": os.pathsep.join([str(config), str(ROOT / "plugins")]),
            "PYTHONWARNINGS": "ignore",
            "PATH": f"{venv}{os.pathsep}{os.environ.get('PATH', '')}",
        }
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW__", "PG"))}
        return {**kept, **airflow, **self._settings}

    # ---- life ----

    def migrate(self) -> None:
        """Make or upgrade the metadata tables."""
        log = self.home / "migrate.log"
        with log.open("wb") as out:
            done = subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=self.environment(), stdout=out, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise AirflowFailed(f"airflow db migrate failed; see {log}:\n{log.read_text(errors='replace')[-1500:]}")

    def start(self, *, with_parent: bool) -> None:
        """Start the four processes; `wait` tells when they are healthy."""
        if not processes.is_free(self.port):
            raise AirflowFailed(f"Port {self.port} is taken; stop what listens there or set KINHTESO_AIRFLOW_PORT.")
        env = self.environment()
        arguments = {
            "api-server": ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"],
            "scheduler": ["--skip-serve-logs"],
            "dag-processor": [],
            "triggerer": ["--skip-serve-logs"],
        }
        pids = {}
        for name in PROCESSES:
            command = [sys.executable, "-m", "airflow", name, *arguments[name]]
            pids[name] = processes.start(command, self.home / f"{name}.log", env, self.mark, with_parent=with_parent).pid
        (self.home / "pids.json").write_text(json.dumps(pids))

    def is_running(self) -> bool:
        """Whether processes of this home run and the API answers."""
        try:
            return bool(processes.marked(self.mark)) and httpx.get(f"{self.url}/api/v2/monitor/health", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def wait(self, dags: set[str], say: Callable[[str], None] = lambda _: None) -> None:
        """Wait until every process is healthy and ``dags`` are parsed. Raises AirflowFailed naming what is not."""
        deadline, unwell = time.monotonic() + HEALTH_SECONDS, "nothing answers yet"
        while time.monotonic() < deadline:
            gone = [n for n, pid in json.loads((self.home / "pids.json").read_text()).items() if not _lives(pid)]
            if gone:
                raise AirflowFailed(f"{', '.join(gone)} of Airflow ended by itself; see {self.home}/{gone[0]}.log")
            try:
                health = httpx.get(f"{self.url}/api/v2/monitor/health", timeout=10, trust_env=False).json()
                sick = [n for n, h in health.items() if (h or {}).get("status") != "healthy"]
                if not sick:
                    errors = self.call("GET", "/importErrors").get("import_errors") or []
                    if errors:
                        raise AirflowFailed("DAG files do not parse:\n" + "\n".join(f"{e['filename']}: {e['stack_trace']}" for e in errors))
                    known = {d["dag_id"] for d in self.call("GET", "/dags?limit=100").get("dags", [])}
                    if dags <= known:
                        return
                    sick = [f"DAG {d}" for d in sorted(dags - known)]
                if unwell != (unwell := ", ".join(sick)):
                    say(f"waiting for {unwell}")
            except (httpx.HTTPError, ValueError):
                pass
            time.sleep(0.5)
        raise AirflowFailed(f"Airflow is not healthy after {HEALTH_SECONDS} s: {unwell}. Logs: {self.home}/*.log")

    def stop(self) -> None:
        """Stop all processes of this home."""
        pids = json.loads((self.home / "pids.json").read_text()).values() if (self.home / "pids.json").exists() else ()
        processes.stop(self.mark, pids)

    # ---- REST ----

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """A call of /api/v2, logged in as admin."""
        if self._http is None:
            token = httpx.post(f"{self.url}/auth/token", json={"username": "admin", "password": self.password}, timeout=30, trust_env=False)
            token.raise_for_status()
            self._http = httpx.Client(
                base_url=f"{self.url}/api/v2", timeout=60, trust_env=False, headers={"Authorization": f"Bearer {token.json()['access_token']}"}
            )
        answer = self._http.request(method, path, **kwargs)
        if answer.status_code == 401:
            self._http = None
            return self.call(method, path, **kwargs)
        if answer.status_code >= 400:
            raise AirflowFailed(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    def trigger(self, dag_id: str, conf: Mapping[str, Any]) -> str:
        """Start a run; gives its id."""
        run_id = f"by_hand__{conf.get('business_day', 'now')}__{uuid.uuid4().hex[:8]}"
        body = {"logical_date": None, "dag_run_id": run_id, "conf": dict(conf)}
        return str(self.call("POST", f"/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def state(self, dag_id: str, run_id: str) -> str:
        """State of a run: queued, running, success, failed."""
        return str(self.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}")["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """Task instances of a run."""
        return list(self.call("GET", f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances?limit=200")["task_instances"])

    def failures(self, dag_id: str, run_id: str) -> list[str]:
        """What the failed tasks of a run say, in the words of their exceptions."""
        told = []
        for task in self.tasks(dag_id, run_id):
            if task["state"] != "failed":
                continue
            path = f"/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
            content = self.call("GET", path, params={"map_index": task["map_index"]}, headers={"Accept": "application/json"}).get("content") or []
            errors = [d["exc_value"] for event in content if isinstance(event, dict) for d in event.get("error_detail") or [] if not d.get("is_cause")]
            told.append(
                errors[0] if errors else f"the task {task['task_id']} {task.get('rendered_map_index') or ''} ended without a word; see {self.home}/logs"
            )
        return told


def _fernet_key() -> str:
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def _lives(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
