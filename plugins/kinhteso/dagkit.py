"""What every DAG file shares: owner, tags, time limits, the alert, the business day, and the way to the sources.

Nothing here looks up a connection or variable when a DAG file is parsed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from kinhteso.settings import Settings

OWNER = "data-platform"
TIMEZONE = "Asia/Ho_Chi_Minh"
START = datetime(2021, 9, 1)
#: Partition keys of platform runs and their asset events: the business day.
DAY_FORMAT = "%Y-%m-%d"
#: Postmart's SFTP: how often a connection is tried that is not refused, and after how long a silence (s) it counts as broken off.
SFTP_TRIES, SFTP_SILENCE_SECONDS = 3, 120.0

log = logging.getLogger("kinhteso.alert")


class Tag(StrEnum):
    """The closed vocabulary of DAG tags."""

    INTAKE = "intake"
    WAREHOUSE = "warehouse"
    POSTMART = "postmart"
    VOSO = "voso"
    REGISTERS = "registers"
    WATCH = "watch"


def alert(context: Mapping[str, Any]) -> None:
    """A run failed: one message per cause, for a person (`notifying`); a line in the log in any case."""
    from kinhteso import notifying

    run = context["dag_run"]
    log.error(
        "ALERT %s run %s failed (%s). Owner: %s. Next: open the red task of this run, read its last message. Runbook: docs/runbooks/run-failed.md",
        run.dag_id,
        run.run_id,
        context.get("reason") or "a task failed",
        OWNER,
    )
    notifying.quietly(lambda: notifying.run_failed(context))


def note_failure(context: Mapping[str, Any]) -> None:
    """A task failed for good: what no rule foresees is written down for the run's message."""
    from kinhteso import notifying

    notifying.quietly(lambda: notifying.task_failed(context))


def note_success(context: Mapping[str, Any]) -> None:
    """The last task of a run is green: what was wrong with runs of this DAG is over."""
    from kinhteso import notifying

    notifying.quietly(lambda: notifying.run_ended_well(context))


def deadline_passed(context: Mapping[str, Any]) -> None:
    """Airflow's deadline alert: the run is not done in time."""
    from kinhteso import notifying

    notifying.quietly(lambda: notifying.deadline_passed(context))


def deadline(hours: float) -> Any:
    """Airflow tells when a run is not done ``hours`` after it was queued (KINHTESO_RUN_DUE_SECONDS instead, where it is set)."""
    from airflow.sdk.definitions.callback import SyncCallback
    from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

    due = timedelta(seconds=float(os.environ.get("KINHTESO_RUN_DUE_SECONDS") or hours * 3600))
    return DeadlineAlert(reference=DeadlineReference.DAGRUN_QUEUED_AT, interval=due, callback=SyncCallback("kinhteso.dagkit.deadline_passed"))


def defaults(*tags: Tag, hours: float, runs: int = 4, due: float | None = None) -> dict[str, Any]:
    """Arguments of @dag that all DAGs share; a run that takes longer than ``hours`` fails; one that is not done after ``due`` hours (default: half
    of them) is told.

    ``runs`` at once: a replay must not queue behind a run that waits for its marker; the ledger's locks keep them apart (F55).
    """
    return {
        "start_date": START,
        "catchup": False,
        "max_active_runs": runs,
        "dagrun_timeout": timedelta(hours=hours),
        "tags": [str(t) for t in tags],
        "on_failure_callback": alert,
        "deadline": deadline(hours / 2 if due is None else due),
        "default_args": {
            "owner": OWNER,
            "on_failure_callback": note_failure,
            "on_success_callback": note_success,
            "retries": int(os.environ.get("KINHTESO_TASK_RETRIES", "1")),
            "retry_delay": timedelta(seconds=int(os.environ.get("KINHTESO_RETRY_SECONDS", "300"))),
            "execution_timeout": timedelta(hours=2),
        },
    }


def by_clock(timetable: Any) -> Any:
    """The DAG's schedule, or None where DAGs run only when they are told to (KINHTESO_SCHEDULES=off: demo, replay on one machine)."""
    return None if os.environ.get("KINHTESO_SCHEDULES") == "off" else timetable


def day_params() -> dict[str, Any]:
    """Parameters of a run that is started by hand: its business day, and whether it is a replay."""
    from airflow.sdk import Param

    return {
        "business_day": Param(None, type=["null", "string"], format="date", title="Ngày số liệu · Business day (YYYY-MM-DD)"),
        "replay": Param(False, type="boolean", title="Chạy lại, không chờ hạn · Replay: do not wait for a deadline in the past"),
    }


def business_day(context: Mapping[str, Any]) -> date:
    """The run's business day: its parameter, else its partition key; never the clock.

    Raises ValueError telling how to start the run when it carries neither, or one that has not begun: releases would tell of days to come.
    """
    given = (context.get("params") or {}).get("business_day") or context["dag_run"].partition_key
    if not given:
        raise ValueError(
            f"This run of {context['dag_run'].dag_id} carries no business day. Start it with the parameter "
            '{"business_day": "YYYY-MM-DD"} or with a partition key of that form.'
        )
    day = date.fromisoformat(str(given)[:10])
    if day > (today := datetime.now(ZoneInfo(TIMEZONE)).date()):
        raise ValueError(f"The business day {day} lies in the future (today is {today} in {TIMEZONE}). Start the run again with the right day.")
    return day


def is_by_hand(context: Mapping[str, Any]) -> bool:
    """A run that a person started or cleared reads again what was rejected: something may have been corrected since."""
    return str(getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type)) == "manual" or context["ti"].try_number > 1


def is_replay(context: Mapping[str, Any]) -> bool:
    """A replay takes what is there now and does not wait for a deadline that lies in the past."""
    return bool((context.get("params") or {}).get("replay"))


@contextmanager
def warehouse() -> Iterator[psycopg.Connection[Any]]:
    """A connection to the warehouse with its tables in place (connection id ``warehouse``)."""
    from kinhteso import mishaps
    from kinhteso import warehouse as database

    with mishaps.told():
        conn = database.connect(warehouse_dsn())
        try:
            database.migrate(conn)
            yield conn
        finally:
            conn.close()


def warehouse_dsn() -> str:
    """libpq connection string of the connection ``warehouse``."""
    from airflow.sdk import Connection

    from kinhteso.warehouse import conninfo

    return conninfo(Connection.get("warehouse").get_uri())


def settings() -> Settings:
    """Settings from the environment, read when a task runs."""
    return Settings.from_environment()


def _attempt(*credentials: str | None) -> tuple[str, str]:
    """The run with a digest of the credentials, and the same with the run's try: a person who clears the task or corrects the connection may try
    again."""
    import hashlib

    from airflow.sdk import get_current_context

    context = get_current_context()
    told = hashlib.sha256(repr((settings().phone_key, *credentials)).encode()).hexdigest()[:16]
    run = f"{context['dag_run'].dag_id} {context['run_id']} {told}"
    return run, f"{run} {context['ti'].try_number}"


@contextmanager
def postmart_outbox(conn: psycopg.Connection[Any]) -> Iterator[Any]:
    """An SFTP client on the connection ``postmart``. The host key is the one the connection carries, else the one seen first: a key that
    changes is refused, never accepted by itself (EXPORTS F54); a refused login is not tried again (F34)."""
    import paramiko  # type: ignore[import-untyped]
    from airflow.providers.sftp.hooks.sftp import SFTPHook
    from airflow.sdk.exceptions import AirflowFailException
    from tenacity import Retrying, retry_if_not_exception_type, stop_after_attempt, wait_random

    from kinhteso import ledger
    from kinhteso.readers import SourceUnreachable

    try:
        hook = SFTPHook(ssh_conn_id="postmart")
    except (ValueError, paramiko.SSHException) as error:  # a key in the connection that is none
        raise AirflowFailException(
            f"The connection postmart cannot be used: {error}. Nothing was asked. Correct AIRFLOW_CONN_POSTMART (host_key, private_key; forms in "
            ".env.example), then clear the task. Runbook: docs/runbooks/login-refused.md"
        ) from None
    hook.conn_retry_attempts = 1  # the hook would try a refused login three times (F34)
    refused = (paramiko.AuthenticationException, paramiko.BadHostKeyException)
    again = Retrying(retry=retry_if_not_exception_type(refused), stop=stop_after_attempt(SFTP_TRIES), wait=wait_random(2, 5), reraise=True)
    if hook.host_key is None:
        hook.no_host_key_check = True  # the pin below decides

    def kind_of(error: Exception) -> str | None:
        return "login_refused" if isinstance(error, AirflowFailException) else "unreachable" if isinstance(error, SourceUnreachable) else None

    def connect() -> Any:
        managed = hook.get_managed_conn()
        opened = managed.__enter__()

        @stack.callback
        def close() -> None:  # a connection that is dead already must not hide why
            with suppress(EOFError, OSError, paramiko.SSHException):
                managed.__exit__(None, None, None)

        return opened

    run, attempt = _attempt(hook.username, hook.password, hook.key_file)
    with ExitStack() as stack:
        with ledger.one_login(conn, "postmart", run, attempt, kind_of) as told:
            if told:
                raise AirflowFailException(told[1]) if told[0] == "login_refused" else SourceUnreachable("F06", told[1], True)
            try:
                client = again(connect)
            except refused as error:
                raise AirflowFailException(
                    f"Postmart's SFTP server {hook.remote_host} refused: {error}. It is not tried again, to avoid a lock-out. Correct AIRFLOW_CONN_POSTMART "
                    "(login, password or key, host_key), then clear the task. Runbook: docs/runbooks/login-refused.md"
                ) from None
            except (OSError, EOFError, paramiko.SSHException) as error:
                raise SourceUnreachable(
                    "F06",
                    f"Postmart's SFTP server {hook.remote_host} does not answer: {str(error) or type(error).__name__}. The next run asks again. "
                    "Runbook: docs/runbooks/export-late.md",
                    True,
                ) from None
        _check_pin(conn, client, is_pinned_by_connection=hook.host_key is not None)
        client.get_channel().settimeout(SFTP_SILENCE_SECONDS)
        yield client


def _check_pin(conn: psycopg.Connection[Any], client: Any, *, is_pinned_by_connection: bool) -> None:
    import base64

    from airflow.sdk.exceptions import AirflowFailException

    channel = client.get_channel()
    key = channel.get_transport().get_remote_server_key() if channel is not None else None
    if key is None or is_pinned_by_connection:
        return
    seen = f"{key.get_name()} {base64.b64encode(key.asbytes()).decode()}"
    pinned = conn.execute(
        "insert into ops.source_pin (source, kind, value) values ('postmart', 'host_key', %s)"
        " on conflict (source, kind) do update set source = excluded.source returning value",
        (seen,),
    ).fetchone()
    if pinned and pinned[0] != seen:
        raise AirflowFailException(
            "F54: Postmart's SFTP host key is not the one seen first. Nothing was read. Ask the supplier whether the server changed; if so, put "
            "the new key into the connection (extra host_key), then clear the task. Runbook: docs/runbooks/login-refused.md"
        )


def voso_client(conn: psycopg.Connection[Any]) -> Any:
    """A client of the Vỏ Sò export API on the connection ``voso``; a login that it refuses is not tried again by another task of the run."""
    from airflow.sdk import Connection

    from kinhteso import ledger
    from kinhteso.platforms.voso import VosoClient, base_url_of
    from kinhteso.readers import DeliveryRefused, SourceUnreachable

    def kind_of(error: Exception) -> str | None:
        if isinstance(error, SourceUnreachable):
            return "unreachable"
        return "login_refused" if isinstance(error, DeliveryRefused) and error.rule_id == "F34" else None

    @contextmanager
    def one_login() -> Iterator[DeliveryRefused | None]:
        run, attempt = _attempt(c.login, c.password)
        with ledger.one_login(conn, "voso", run, attempt, kind_of) as told:
            yield None if told is None else DeliveryRefused("F34", told[1]) if told[0] == "login_refused" else SourceUnreachable("F31", told[1], True)

    c = Connection.get("voso")
    return VosoClient(base_url_of(c.conn_type, c.host, c.port, c.schema, c.extra_dejson), c.login, c.password, one_login=one_login)


def landed(arrivals: Any) -> int:
    """How many deliveries have landed; a refusal fails the task for good, after all that could be taken was taken."""
    from airflow.sdk.exceptions import AirflowFailException

    if arrivals.refused:
        raise AirflowFailException("\n\n".join(arrivals.refused))
    return len(arrivals.landed)


def landed_or_wait(conn: psycopg.Connection[Any], arrivals: Any, source: str, dataset: str, day: date, *, is_over: bool) -> Any:
    """What a landing sensor answers: done, ask again later, or (deadline passed, something refused) a failure that says so.

    What another day brought does not end the waiting for the asked one; it is loaded with it, at the deadline at the latest.
    """
    from airflow.sdk import PokeReturnValue
    from airflow.sdk.exceptions import AirflowFailException

    from kinhteso import intake

    if arrivals.is_due and not is_over and not arrivals.is_final:
        return PokeReturnValue(is_done=False)
    if arrivals.is_due and is_over and day not in arrivals.told:
        intake.mark_missing(conn, source, dataset, day)
    if arrivals.refused:
        raise (AirflowFailException if arrivals.is_final else intake.StepFailed)("\n\n".join(arrivals.refused))
    return PokeReturnValue(is_done=True, xcom_value=len(arrivals.landed))


def load_step(source: str) -> Any:
    """A mapped task that loads all of ``dataset`` that is landed, whatever became of the landing of other files.

    A refusal is not tried again by itself: the same bytes would be refused again, and a second try that finds nothing to do would be green.
    """
    from airflow.sdk import TriggerRule, get_current_context, task
    from airflow.sdk.exceptions import AirflowFailException

    @task(task_id="load", trigger_rule=TriggerRule.ALL_DONE, map_index_template="{{ dataset }}")
    def load(dataset: str) -> int:
        from kinhteso import intake

        get_current_context()["dataset"] = dataset  # type: ignore[typeddict-unknown-key]
        with warehouse() as conn:
            try:
                return len(intake.load(conn, settings(), source, dataset))
            except intake.StepFailed as refused:
                raise AirflowFailException(str(refused)) from refused

    return load


def judge_step(source: str) -> Any:
    """A mapped task in which Great Expectations judges all of ``dataset`` that is loaded; fails, for good, when a delivery is rejected."""
    from airflow.sdk import TriggerRule, get_current_context, task
    from airflow.sdk.exceptions import AirflowFailException

    @task(task_id="judge", trigger_rule=TriggerRule.ALL_DONE, map_index_template="{{ dataset }}")
    def judge(dataset: str) -> int:
        from kinhteso import intake

        get_current_context()["dataset"] = dataset  # type: ignore[typeddict-unknown-key]
        with warehouse() as conn:
            try:
                return len(intake.judge(conn, settings(), source, dataset))
            except intake.StepFailed as rejected:
                raise AirflowFailException(str(rejected)) from rejected

    return judge


def announce_step(source: str, asset: Any) -> Any:
    """A task that emits ``asset`` for the run's business day when something of ``source`` waits for a release, whatever failed beside it."""
    from airflow.sdk import TriggerRule, get_current_context, task
    from airflow.sdk.exceptions import AirflowSkipException

    @task(task_id="announce", trigger_rule=TriggerRule.ALL_DONE, outlets=[asset])
    def announce() -> None:
        context = get_current_context()
        with warehouse() as conn:
            row = conn.execute("select 1 from ops.change where source = %s and release_id is null limit 1", [source]).fetchone()
        if row is None or is_replay(context):
            raise AirflowSkipException("nothing new counts" if row is None else "a replay publishes by itself")
        context["outlet_events"][asset].add_partitions(business_day(context).isoformat())

    return announce


def verdict_step(source: str, datasets: list[str]) -> Any:
    """The last task: green only when no task of the run is red and every dataset of the day counts (registers: when every file of the inbox is a
    known form), so that a run is never green and wrong (RELIABILITY I6)."""
    from airflow.sdk import TriggerRule, get_current_context, task
    from airflow.sdk.exceptions import AirflowFailException

    @task(task_id="verdict", trigger_rule=TriggerRule.ALL_DONE)
    def verdict() -> None:
        from kinhteso import intake

        context = get_current_context()
        run = context["dag_run"]
        states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
        lines = [f"the task {name} is red: its log says why" for name, state in sorted(states.items()) if state in ("failed", "upstream_failed")]
        with warehouse() as conn:
            day = business_day(context)
            lines += intake.unknown_forms(settings()) if source == "registers" else intake.refusals(conn, source, day, datasets)
        if lines:
            raise AirflowFailException("What does not count:\n  " + "\n  ".join(lines))

    return verdict


def land_whole(context: Mapping[str, Any], subject: str) -> Any:
    """What the landing sensor of a reconciliation answers for ``subject`` ("voso/orders"): skipped where nothing is due, done, or ask again later;
    after the deadline a failure that says what is missing."""
    from airflow.sdk import PokeReturnValue
    from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

    from kinhteso import intake, reconciling

    day, (source, _, dataset), by_hand = business_day(context), subject.partition("/"), is_by_hand(context)
    if source == "voso" and not (by_hand or reconciling.is_bulk_due(day)):
        raise AirflowSkipException("the bulk is pulled on Sunday, for the Saturday before")
    is_over = by_hand or datetime.now(intake.LOCAL) >= intake.deadline(day)
    with warehouse() as conn:
        if source == "voso":
            try:
                arrivals = reconciling.land_voso(conn, lambda: voso_client(conn), settings(), dataset, day, context["run_id"])
            except reconciling.NotYet as wait:
                if not is_over:
                    return PokeReturnValue(is_done=False)
                reconciling.note_refusal(conn, source, dataset, "bulk", day, str(wait), context["run_id"])
                raise AirflowFailException(str(wait)) from wait
        else:
            with postmart_outbox(conn) as sftp:
                arrivals = reconciling.land_postmart(conn, sftp, settings(), day, context["run_id"])
            if arrivals.is_due and not is_over:
                return PokeReturnValue(is_done=False)
            if arrivals.is_due:
                raise AirflowFailException(reconciling.month_missing(conn, day, context["run_id"]))
    if arrivals.refused:
        raise AirflowFailException("\n\n".join(arrivals.refused))
    return PokeReturnValue(is_done=True, xcom_value=len(arrivals.landed))


def compare_whole(context: Mapping[str, Any], subject: str) -> list[str]:
    """Load, judge, compare and mend what is landed of ``subject``; what was found, in words. A refusal is final, as in `load_step`."""
    from airflow.sdk.exceptions import AirflowFailException

    from kinhteso import intake, reconciling

    source, _, dataset = subject.partition("/")
    with warehouse() as conn:
        try:
            return [one.message for one in reconciling.compare(conn, settings(), source, dataset, context["run_id"])]
        except intake.StepFailed as refused:
            raise AirflowFailException(str(refused)) from refused


def whole_verdict(context: Mapping[str, Any]) -> None:
    """Green only when no task of the run is red, all that was compared is within its limits, and `bi` is what was built, to the row."""
    from airflow.sdk.exceptions import AirflowFailException

    from kinhteso import publishing, reconciling

    run = context["dag_run"]
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
    lines = [f"the task {name} is red: its log says why" for name, state in sorted(states.items()) if state in ("failed", "upstream_failed")]
    with warehouse() as conn:
        lines += reconciling.verdict(conn, run.run_id)
        lines += publishing.strays(conn)
    if lines:
        raise AirflowFailException("The platforms and the warehouse differ:\n  " + "\n  ".join(lines))


def mend(context: Mapping[str, Any]) -> list[str]:
    """Replay or dismiss what the run's parameters say (see `quarantine`); gives what a person has to look at. Not tried again by itself: what is
    wrong with the parameters stays wrong, and what broke is told per delivery."""
    from airflow.sdk.exceptions import AirflowFailException

    from kinhteso import quarantine

    run, params = context["dag_run"], context.get("params") or {}
    who = str(getattr(run, "triggering_user_name", None) or "unknown")
    with warehouse() as conn:
        try:
            outcomes = quarantine.run(conn, settings(), str(params.get("action")), dict(params), who, context["run_id"])
        except quarantine.SelectionError as error:
            raise AirflowFailException(f"{error} Runbook: {quarantine.RUNBOOK}") from None
    log.info("%s", "\n".join(f"{o.label}: {o.words}" for o in outcomes) or "nothing waits that was asked for")
    return quarantine.red(outcomes)


def announce_news(context: Mapping[str, Any], asset: Any) -> None:
    """Emit ``asset`` when a release is due; a command that publishes by itself says `replay`."""
    from airflow.sdk.exceptions import AirflowSkipException

    from kinhteso import quarantine

    with warehouse() as conn:
        if not quarantine.has_news(conn, settings().first_day):
            raise AirflowSkipException("nothing that counts has changed")
        day = conn.execute(
            "select coalesce((select max(business_day) from ops.change where release_id is null), (select max(business_day) from ops.export))"
        ).fetchone()
    if is_replay(context) or day is None or day[0] is None:
        raise AirflowSkipException("a replay publishes by itself")
    context["outlet_events"][asset].add_partitions(day[0].isoformat())


def no_red(context: Mapping[str, Any], task_id: str) -> None:
    """Fail when ``task_id`` is red or gave something that a person has to look at."""
    from airflow.sdk.exceptions import AirflowFailException

    lines = context["ti"].xcom_pull(task_ids=task_id)
    if lines is None:
        raise AirflowFailException(f"the task {task_id} is red: its log says why")
    if lines:
        raise AirflowFailException("A person has to look at:\n  " + "\n  ".join(lines))
