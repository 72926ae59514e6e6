"""Network and login faults of Postmart's SFTP server, asked through what the DAG asks it through (`dagkit.postmart_outbox`); the same of Vỏ Sò are
in answers.py."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
import pytest
from case import DAY, NEXT, SOURCES, Case, QuickPipeline, need, strike
from kinhteso import dagkit, intake
from kinhteso.readers import DeliveryRefused
from struck import Struck, holds

POSTMART = {f"postmart/{d}" for d in SOURCES["postmart"]}
ORDERS = {"postmart/orders"}


@dataclass
class ByTheDag(QuickPipeline):
    """As QuickPipeline; of Postmart the day is expected and the outbox opened as `postmart_daily` does it."""

    def _land(self, conn: psycopg.Connection[Any], source: str, dataset: str, day: date) -> intake.Arrivals:
        from airflow.sdk.exceptions import AirflowFailException

        if source != "postmart":
            return super()._land(conn, source, dataset, day)
        try:
            with intake.expected(conn, self.settings, source, dataset, day), dagkit.postmart_outbox(conn) as outbox:
                return intake.land_postmart(conn, outbox, self.settings, dataset, day, f"run {self.runs}")
        except (AirflowFailException, DeliveryRefused) as error:
            self.problems.append(f"{source}/{dataset} {day}: {error}")
            return intake.Arrivals()


@pytest.fixture()
def as_airflow(monkeypatch):
    """A connection `postmart`, and which run and try of it asks: the two things that a worker has from Airflow."""

    from airflow.providers.sftp.hooks.sftp import SFTPHook  # noqa: F401  (it sets up Airflow's logging, which would take the case's handler away)

    def connect(case: Case) -> None:
        s = case.served.sftp
        login = {"conn_type": "sftp", "host": s["host"], "port": s["port"], "login": s["username"], "password": s["password"]}
        monkeypatch.setenv("AIRFLOW_CONN_POSTMART", json.dumps(login))
        monkeypatch.setattr(dagkit, "_attempt", lambda *credentials: (f"run {case.pipeline.runs}",) * 2)

    return connect


@pytest.mark.only_faults
@pytest.mark.fault("F34", "F56", "F57", "F58", "F59", "F61")
@pytest.mark.parametrize(("switch", "out", "words", "seen"), [
    ("F34@{}:POSTMART", POSTMART, ("refused", "not tried again", "AIRFLOW_CONN_POSTMART"), "Postmart: one login, no second try, though five datasets ask"),
    ("F56@{}:POSTMART", POSTMART, ("does not answer", "export-late"), "Postmart: missing with its reason; Vỏ Sò goes on"),
    ("F57@{}:DONHANG=3", ORDERS, ("broke off", "Nothing of", "export-late"), "Postmart: given up after the limit; nothing half-read counts, the next run brings it"),
    ("F58@{}:DONHANG", ORDERS, ("broke off", "Nothing of", "export-late"), "Postmart: nothing of the broken file is kept, the next run brings it"),
    ("F59@{}:DONHANG", set(), (), "Postmart: shorter than declared, fetched again, came whole"),
    ("F61@{}:POSTMART", POSTMART - {f"postmart/{SOURCES['postmart'][0]}"}, ("refused", "not tried again"), "Postmart: what had come counts, the next login failed at once"),
], ids=lambda v: v.partition("@")[0] if isinstance(v, str) and "@" in v else None)  # fmt: skip
def test_the_outbox(baseline, tmp_path, teller, as_airflow, monkeypatch, switch, out, words, seen):
    number = switch.partition("@")[0]
    teller.told = {n: t for n, t in teller.told.items() if n == number}
    with strike(baseline, tmp_path, switch.format(DAY), kind=ByTheDag) as case:
        as_airflow(case)
        monkeypatch.setattr(dagkit, "SFTP_SILENCE_SECONDS", 1.5)
        case.take(DAY)
        for source in ("postmart", "voso"):
            for name in (f"{source}/{d}" for d in SOURCES[source]):
                kept_out = not case.sql("select 1 from ops.export where source || '/' || dataset = %s and business_day = %s and state = 'accepted'", name, DAY)
                need(kept_out == (name in out), f"{name} is {'not ' if kept_out else ''}accepted: {case.problems}")
        if words:
            case.told(*words)
        for name in out:
            ((reason,),) = case.sql("select reason from ops.export where source || '/' || dataset = %s and business_day = %s", name, DAY)
            need(all(w in (reason or "") for w in words), f"the ledger's reason of {name} is {reason!r}")
        if number == "F34":
            tries = case.log.getvalue().count("Authentication (password) failed")
            need(tries == 1, f"{tries} logins were tried")
        case.switch()
        case.take(DAY)
        case.take(NEXT, at="11:00")
        case.release()
        holds(case, [Struck(number, "", lambda c: None)], teller)
        teller.saw(number, seen)
