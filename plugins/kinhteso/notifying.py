"""Alerts through Airflow: which sinks are set up, and when a run, a deadline or a DAG file that does not parse has something to tell.

Sinks are Airflow notifiers. Mail (SmtpNotifier): connection `smtp_default` and KINHTESO_ALERT_TO; webhook: connection `alert_webhook`. Where none is set,
messages are log lines that begin with ALERT. What fails here is logged and never raised: an alert must not break a run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import requests  # type: ignore[import-untyped]
from airflow.sdk import BaseNotifier

from kinhteso import alerting, mishaps
from kinhteso.alerting import Cause, Limits, Links, Message, Sink

SECONDS = 20
SMTP, WEBHOOK, HEARTBEAT = "smtp_default", "alert_webhook", "alert_heartbeat"
BOARD_PATH = "/kinhteso/board"
PARSE_SECONDS = 120
#: While the warehouse is down nothing can be claimed: one message per host and so many seconds.
DOWN_AGAIN_SECONDS = 24 * 3600
#: A DAG file that stays broken is parsed again and again; it is looked after once in so many seconds.
PARSE_AGAIN_SECONDS = 600

log = logging.getLogger("kinhteso.alert")

#: Which causes explain a red run of a DAG: those of its source, or of these kinds.
_EXPLAINS = {"warehouse_daily": ("build_failed", "build_stuck"), "reconcile_weekly": ("reconciliation_differs",)}
#: What a red `verdict` of a DAG repeats: it fails after the release, for what is told by itself.
_REPEATS = {"warehouse_daily": ("check_failed", "export_rejected")}
_SOURCES = {"postmart_daily": "postmart", "voso_daily": "voso", "registers_intake": "registers"}

# ---- sinks ---------------------------------------------------------------------------------------------------------------------


def _connection(name: str) -> Any | None:
    """The Airflow connection of that name; None where there is none, or an empty one (compose passes an unset variable on as such)."""
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError

    if os.environ.get(f"AIRFLOW_CONN_{name.upper()}") == "":
        return None
    try:
        return Connection.get(name)
    except (AirflowException, AirflowRuntimeError):  # there is none of that name
        return None


def mail(to: list[str]) -> Sink:
    """A sink that mails to ``to`` through the connection smtp_default."""

    def send(message: Message) -> None:
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        # Replies, reminders and the end of a cause stand together in the reader's mailbox.
        thread = f"<{hashlib.sha256(message.cause_key.encode()).hexdigest()[:32]}@kinhteso>"
        headers = {"References": thread, "Auto-Submitted": "auto-generated", "X-Kinhteso-Cause": message.kind}
        # A notifier that is called as a function reads its fields as Jinja templates; what is told comes from files of others.
        SmtpNotifier(to=to, subject=message.subject, html_content=message.html, smtp_conn_id=SMTP, custom_headers=headers).notify({})  # type: ignore[typeddict-item]

    return send


class WebhookNotifier(BaseNotifier):
    """Posts JSON to the address of a connection, with its login where it has one.

    Airflow's HttpNotifier would do, but its hook logs the whole address when a server does not answer; that of a chat server is a secret.
    """

    def __init__(self, payload: Mapping[str, Any], conn_id: str = WEBHOOK, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.payload, self.conn_id = payload, conn_id

    def notify(self, context: Any) -> None:
        """Post. Raises requests' errors, also for an answer that is none of 2xx; a redirect is not followed."""
        _request("POST", _connection(self.conn_id), json=dict(self.payload))


def address_of(connection: Any) -> str:
    """The URL of a connection: its host, where that is a whole address; else put together, so that a URI keeps its path."""
    host, schema = connection.host or "", connection.schema or ""
    if "://" in host:
        return str(host)
    scheme = schema if schema in ("http", "https") else "https" if connection.conn_type == "https" or connection.port == 443 else "http"
    path = "" if schema in ("http", "https") else schema
    return f"{scheme}://{host}{f':{connection.port}' if connection.port else ''}/{path}"


def _request(method: str, connection: Any, **kwargs: Any) -> requests.Response:
    login = (connection.login, connection.password or "") if connection.login else None
    answer = requests.request(method, address_of(connection), auth=login, timeout=SECONDS, allow_redirects=False, **kwargs)
    if answer.status_code >= 300:
        raise requests.HTTPError(f"status {answer.status_code}")
    return answer


def webhook() -> Sink:
    """A sink that posts JSON to the connection alert_webhook."""
    return lambda message: WebhookNotifier(message.payload()).notify({})


def sinks() -> dict[str, Sink]:
    """What is set up; none is no error. Mail without a server is logged and left out."""
    found: dict[str, Sink] = {}
    to = [a.strip() for a in os.environ.get("KINHTESO_ALERT_TO", "").replace(";", ",").split(",") if a.strip()]
    if to:
        if _connection(SMTP) is None:
            log.error("KINHTESO_ALERT_TO is set but there is no connection %s: set AIRFLOW_CONN_SMTP_DEFAULT (.env.example). Alerts are logged only.", SMTP)
        else:
            found["mail"] = mail(to)
    if _connection(WEBHOOK) is not None:
        found["webhook"] = webhook()
    return found


def links() -> Links:
    """Addresses of runbooks (KINHTESO_RUNBOOKS_URL) and of the board (KINHTESO_BOARD_URL, else inside the Airflow UI)."""
    board = os.environ.get("KINHTESO_BOARD_URL")
    if not board and (base := os.environ.get("AIRFLOW__API__BASE_URL")):
        board = base.rstrip("/") + BOARD_PATH
    return Links(os.environ.get("KINHTESO_RUNBOOKS_URL", ""), board or "")


def by_clock() -> bool:
    """Whether DAGs run by the clock (KINHTESO_SCHEDULES)."""
    return os.environ.get("KINHTESO_SCHEDULES") != "off"


# ---- looking and telling -------------------------------------------------------------------------------------------------------


def look(conn: psycopg.Connection[Any], *, seen: Iterable[Cause] = (), whole: Iterable[str] = ()) -> list[Message]:
    """Bring the causes up to date and send what is due; returns what was sent. The inbox's stray files are looked at as well."""
    from kinhteso import dagkit, intake

    now, limits, whole, seen = datetime.now(UTC), Limits.from_environment(), set(whole), list(seen)
    first_day = None
    try:
        settings = dagkit.settings()
        first_day = settings.first_day
        seen += [Cause(f"form_unknown|{line.split(':')[0]}", "form_unknown", {"what": line.split(":")[0].removeprefix("form "), "words": line}, "registers")
                 for line in intake.unknown_forms(settings)]  # fmt: skip
        whole.add("form_unknown")
    except Exception as error:  # an inbox that cannot be read is told by registers_intake
        log.warning("The inbox was not looked at: %s", alerting.reason_of(error))
    alerting.collect(conn, now, limits, by_clock=by_clock(), first_day=first_day, seen=seen, whole=whole)
    return alerting.tell(conn, sinks(), now, limits, links())


@contextmanager
def _warehouse() -> Iterator[psycopg.Connection[Any]]:
    """dagkit's connection, with the driver's own error where a task is told of it in words."""
    from kinhteso import dagkit

    try:
        with dagkit.warehouse() as conn:
            yield conn
    except mishaps.Mishap as told:
        raise told.__cause__ or told from None


def tell(seen: Iterable[Cause] = (), whole: Iterable[str] = ()) -> list[Message]:
    """As `look`, with a connection of its own; when the warehouse itself cannot be reached, that is told, once a day and host."""
    try:
        with _warehouse() as conn:
            told = look(conn, seen=seen, whole=whole)
            _down_stamp().unlink(missing_ok=True)
            return told
    except psycopg.OperationalError as error:
        _tell_down(error)
        return []


def _down_stamp() -> Path:
    return Path(tempfile.gettempdir()) / f"kinhteso-alert-{os.getuid()}" / "warehouse-down"


def _tell_down(error: Exception) -> None:
    stamp, now = _down_stamp(), datetime.now(UTC)
    stamp.parent.mkdir(mode=0o700, exist_ok=True)
    if stamp.exists() and time.time() - stamp.stat().st_mtime < DOWN_AGAIN_SECONDS:
        return
    row = {"cause_key": "warehouse_down", "kind": "warehouse_down", "source": None, "facts": {"what": "PostgreSQL", "words": alerting.reason_of(error)},
           "first_seen": now, "cleared_at": None, "times_told": 0}  # fmt: skip
    message = alerting.compose(row, links())
    log.error("ALERT %s | %s", message.subject, message.text.replace("\n", " | "))
    reached = [name for name, send in sinks().items() if _reaches(name, send, message)]
    if reached or not sinks():
        stamp.touch()


def _reaches(name: str, send: Sink, message: Message) -> bool:
    try:
        send(message)
    except Exception as error:
        log.error("The alert could not be sent by %s: %s", name, alerting.reason_of(error))
        return False
    return True


# ---- from Airflow --------------------------------------------------------------------------------------------------------------


def run_failed(context: Mapping[str, Any]) -> None:
    """Callback of a DAG run that failed (in the dag-processor): tells its causes; where none explains it, the run itself is one."""
    run, day = context["dag_run"], _day(context)
    kinds = ["disk_full", *_EXPLAINS.get(run.dag_id, ())]
    if getattr(context.get("ti"), "task_id", None) == "verdict":
        kinds += _REPEATS.get(run.dag_id, ())

    def is_explained(conn: psycopg.Connection[Any]) -> bool:
        alerting.collect(conn, datetime.now(UTC), Limits.from_environment())
        return conn.execute(
            """select 1 from ops.alert where cleared_at is null and (
                 (kind = any(%(kinds)s)) or (facts->>'dag' = %(dag)s and kind = 'task_failed')
                 or (source = %(source)s and kind not in ('quarantine_growing', 'commune_unknown')
                     and (facts->'days' is null or facts->'days' ? %(day)s or first_seen >= %(since)s or kind in ('login_refused', 'unreachable'))))
               limit 1""",
            {"kinds": kinds, "dag": run.dag_id, "source": _SOURCES.get(run.dag_id), "day": day or "",
             "since": getattr(run, "start_date", None) or datetime.now(UTC)},
        ).fetchone() is not None  # fmt: skip

    try:
        with _warehouse() as conn:
            words = f"run {run.run_id}: {context.get('reason') or 'a task failed'}"
            cause = Cause(f"run_failed|{run.dag_id}|{day or 'no day'}", "run_failed", _facts(run.dag_id, day, words), _SOURCES.get(run.dag_id))
            look(conn, seen=[] if is_explained(conn) else [cause])
    except psycopg.OperationalError as error:
        _tell_down(error)


def task_failed(context: Mapping[str, Any]) -> None:
    """Callback of a task that failed for good (in its worker): notes a failure that no rule foresees, so that the run's message says it. Refusals
    are in the ledger; their AirflowFailException is skipped."""
    from airflow.sdk.exceptions import AirflowFailException

    error, ti = context.get("exception"), context["ti"]
    if not isinstance(error, BaseException) or isinstance(error, AirflowFailException) or type(error).__name__ in ("StepFailed", "BuildFailed"):
        return
    day, words = _day(context), alerting.reason_of(error)
    alike = hashlib.sha256("".join(c for c in words if not c.isdigit()).encode()).hexdigest()[:8]
    task = f"{ti.dag_id}.{ti.task_id}"
    key, kind = ("disk_full", "disk_full") if re.search(alerting.DISK_FULL, str(error)) else (f"task_failed|{ti.dag_id}|{alike}", "task_failed")
    cause = Cause(key, kind, _facts(ti.dag_id, day, f"{task}: {words}"), _SOURCES.get(ti.dag_id))
    try:
        with _warehouse() as conn:
            alerting.note(conn, [cause], datetime.now(UTC))
    except psycopg.OperationalError as down:
        _tell_down(down)


def run_ended_well(context: Mapping[str, Any]) -> None:
    """Callback of a task that succeeded: the last task of a run ends what was wrong with runs of its DAG."""
    task = context["task"]
    if task.downstream_task_ids:
        return
    with _warehouse() as conn:
        alerting.clear(conn, datetime.now(UTC), alerting.RUN_KINDS, dag=context["ti"].dag_id)


def deadline_passed(context: Mapping[str, Any]) -> None:
    """Callback of Airflow's deadline alert (in the executor): the run is not done at its deadline. One that failed before was told then."""
    run = context["dag_run"]
    if str(run.get("state")) in ("failed", "success"):
        return
    dag_id, day = str(run["dag_id"]), (run.get("conf") or {}).get("business_day") or run.get("partition_key")
    due = datetime.fromisoformat(str(context["deadline"]["deadline_time"])).astimezone(alerting.LOCAL)
    words = f"run {run['dag_run_id']}: {run.get('state')} at its deadline {due:%d/%m/%Y %H:%M} (UTC+7)"
    tell([Cause(f"run_late|{dag_id}|{day or 'no day'}", "run_late", _facts(dag_id, day, words), _SOURCES.get(dag_id))])


def _facts(dag_id: str, day: str | None, words: str) -> dict[str, Any]:
    return {"what": dag_id, "dag": dag_id, "words": words, **({"days": [str(day)[:10]]} if day else {})}


def _day(context: Mapping[str, Any]) -> str | None:
    from kinhteso import dagkit

    try:
        return dagkit.business_day(context).isoformat()
    except (ValueError, KeyError, AttributeError):
        run = context["dag_run"]
        given = (getattr(run, "conf", None) or {}).get("business_day") or getattr(run, "partition_key", None)
        return str(given)[:10] if given else None


# ---- DAG files that do not parse -----------------------------------------------------------------------------------------------

_PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
print("\\n" + json.dumps({str(k): v for k, v in DagBag(sys.argv[1], collect_dags=True).import_errors.items()}))
"""


def parse_errors(folder: Path) -> dict[str, str]:
    """DAG files of ``folder`` that do not parse, with the last line of why: read by Airflow in a process of its own, as the dag-processor does.

    A folder that takes longer than `PARSE_SECONDS` is itself an error.
    """
    folder = folder.resolve()
    # A task is kept from Airflow's database by an address that is none, at which Airflow's import stumbles; reading files needs no database.
    env = {k: v for k, v in os.environ.items() if k not in ("AIRFLOW__CORE__SQL_ALCHEMY_CONN", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC")} | {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tempfile.gettempdir()}/kinhteso-no-database.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "PYTHONPATH": os.pathsep.join(str(Path(p).resolve()) for p in sys.path if p),
    }
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PARSE, str(folder)], env=env, capture_output=True, text=True, timeout=PARSE_SECONDS, check=False, cwd=tempfile.gettempdir()
        )
        found = json.loads((done.stdout.strip().splitlines() or [""])[-1])
    except subprocess.TimeoutExpired:
        return {str(folder): f"not read in {PARSE_SECONDS} s"}
    except ValueError:
        return {str(folder): f"could not be read: {alerting.scrub((done.stderr.strip().splitlines() or ['no word'])[-1][:300])}"}
    return {k: last_line(v) for k, v in found.items()}


def last_line(stacktrace: str) -> str:
    """What a stack trace says in the end, with the last place that it names."""
    lines = [line.strip() for line in stacktrace.strip().splitlines()] or ["no word"]
    places = re.findall(r'File "([^"]+)", line (\d+)', stacktrace)
    return alerting.scrub(lines[-1][:300]) + (f" ({Path(places[-1][0]).name}, line {places[-1][1]})" if places else "")


def unparsable(errors: Mapping[str, str]) -> list[Cause]:
    """Causes of DAG files that do not parse, by file name."""
    return [Cause(f"dag_unparsable|{Path(f).name}", "dag_unparsable", {"what": Path(f).name, "file": f, "words": words}) for f, words in errors.items()]


_looked_after: dict[str, float] = {}


def import_error(filename: str, stacktrace: str) -> None:
    """Listener in the dag-processor: tell of a DAG file that does not parse, in a thread, so that parsing goes on."""
    key = f"{filename}\n{last_line(stacktrace)}"
    if time.monotonic() - _looked_after.get(key, float("-inf")) < PARSE_AGAIN_SECONDS:
        return
    _looked_after[key] = time.monotonic()
    causes = [replace(c, facts={**c.facts, "words": last_line(stacktrace)}) for c in unparsable({filename: ""})]
    threading.Thread(target=quietly, args=(lambda: tell(causes),), daemon=True).start()


# ---- the watch -----------------------------------------------------------------------------------------------------------------


def watch(conn: psycopg.Connection[Any]) -> list[str]:
    """What the DAG `watch` does: look at everything, also at the DAG files, send what is due, and say to the outside that the watch lives."""
    folder = Path(os.environ.get("AIRFLOW__CORE__DAGS_FOLDER") or Path(__file__).resolve().parents[2] / "dags")
    told = look(conn, seen=unparsable(parse_errors(folder)), whole={"dag_unparsable"})
    beat()
    return [m.subject for m in told]


def beat() -> None:
    """Call the connection alert_heartbeat, where one is set: a server outside that calls a person when the calls cease."""
    connection = _connection(HEARTBEAT)
    if connection is None:
        return
    try:
        _request("GET", connection)
    except requests.RequestException as error:
        log.error("The heartbeat did not get through: %s", alerting.reason_of(error))


def quietly(step: Any) -> None:
    """Do ``step``; whatever goes wrong is logged, never raised."""
    try:
        step()
    except Exception as error:
        log.error("ALERT could not be told: %s", alerting.reason_of(error))
