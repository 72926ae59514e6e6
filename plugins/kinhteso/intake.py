"""What the daily DAGs do with one dataset: land what has come, load it, judge it.

The steps hand nothing to each other but the ledger: `load` takes what is landed, `judge` what is loaded, so a step that died after its
commit, or ran twice, finds its work where the database says it is. A step goes on to the next delivery when one is refused and raises at
the end, naming every refusal: one bad file does not hold up another (RELIABILITY I8).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from kinhteso import contracts, deciding, ledger, mishaps, registers, reviewing
from kinhteso.landing import Landing
from kinhteso.platforms import postmart, voso
from kinhteso.readers import DeliveryRefused, SourceUnreachable
from kinhteso.settings import Settings

log = logging.getLogger(__name__)

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
#: EXPORTS §9.1: at 09:00 local of the next day a delivery is missing, not late.
DEADLINE = time(9, 0)
REASON_LENGTH = 2000


class StepFailed(Exception):
    """Some deliveries of this step were refused or are missing; each is named, with what to do."""


class StepBroken(Exception):
    """Something that no rule foresees happened to a delivery; the others of the step were done. Trying again may help."""


@dataclass
class Arrivals:
    """What one look at a source brought. ``is_due``: the asked day itself has not come; ``told``: days whose absence has its reason in the
    ledger already; ``is_final``: the source refused the login, so nobody may ask again by himself (F34)."""

    landed: list[int] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    is_due: bool = False
    told: set[date] = field(default_factory=set)
    is_final: bool = False


def deadline(day: date) -> datetime:
    """When the delivery of business day ``day`` counts as missing."""
    return datetime.combine(day + timedelta(days=1), DEADLINE, LOCAL)


def days_to_look_at(first_day: date, day: date) -> list[date]:
    """The asked day and those before it that the source still keeps, oldest first."""
    start = max(first_day, day - timedelta(days=ledger.LOOK_BACK_DAYS - 1))
    return [start + timedelta(days=n) for n in range((day - start).days + 1)]


def _refuse(
    conn: psycopg.Connection[Any],
    arrivals: Arrivals,
    contract: contracts.Contract,
    day: date,
    asked: date,
    run_id: str | None,
    error: Exception,
    version: int = 1,
) -> None:
    """Tell a refusal and note it. Of a day before the asked one it is told by the run that finds it, not again by every run of the 35 days (I8)."""
    reason = str(error)[:REASON_LENGTH]
    known, told_by = ledger.expected_reason(conn, contract.source, contract.dataset, day, version)
    is_new = known != reason or told_by in (None, run_id)
    if day == asked or is_new:
        arrivals.refused.append(str(error))
    arrivals.told.add(day)
    log.error("%s", error)
    due = deadline(day)
    ledger.expect(conn, contract.source, contract.dataset, day, due, mode=contract.mode, reason=reason, run_id=run_id if is_new else None, version=version)


def reopen(conn: psycopg.Connection[Any], source: str, dataset: str, day: date) -> list[int]:
    """A run that is repeated by hand reads again what was rejected of its day: the contract, a word or a code may have been corrected since.

    What a higher version has replaced by now stays rejected (F11). Vỏ Sò is asked again instead: a rejected pull is no accepted one.
    """
    versions = ledger.known_versions(conn, source, dataset, day).values()
    accepted = max((e.version for e in versions if e.state == "accepted"), default=0)
    return [e.export_id for e in versions if e.state == "rejected" and e.version > accepted and ledger.reopen(conn, e.export_id)]


def land_postmart(conn: psycopg.Connection[Any], sftp: Any, settings: Settings, dataset: str, day: date, run_id: str | None) -> Arrivals:
    """Land every version of ``dataset`` that the outbox holds and the ledger does not, of ``day`` and the 34 days before it. A second run waits
    for the first, and finds what it took (F55)."""
    with ledger.alone(conn, "postmart", dataset):
        return _land_postmart(conn, sftp, settings, dataset, day, run_id)


def _land_postmart(conn: psycopg.Connection[Any], sftp: Any, settings: Settings, dataset: str, day: date, run_id: str | None) -> Arrivals:
    contract = contracts.load_contract("postmart", dataset)
    landing, arrivals = Landing(settings.landing), Arrivals()
    for offered_day in days_to_look_at(settings.first_day, day):
        known = ledger.known_versions(conn, "postmart", dataset, offered_day)
        try:
            offers = [o for o in postmart.offers(sftp, offered_day, [contract]) if o.dataset == dataset]
        except SourceUnreachable:
            raise
        except DeliveryRefused as error:
            if offered_day == day or not known:
                _refuse(conn, arrivals, contract, offered_day, day, run_id, error)
            continue
        newest_accepted = max((e.version for e in known.values() if e.state == "accepted"), default=0)
        for offer in sorted(offers, key=lambda o: o.version):
            export = known.get(offer.version)
            if export is not None and (export.sha256 == offer.sha256 or (offered_day != day and ledger.is_known_change(conn, export, offer.sha256, run_id))):
                continue
            try:
                delivery = postmart.land(sftp, offer, contract, landing, settings.first_day)
                arrivals.landed.append(ledger.landed(conn, delivery, run_id))
            except SourceUnreachable:
                raise
            except ledger.ContentChanged as error:
                arrivals.refused.append(str(error))
                log.error("%s", error)
            except DeliveryRefused as error:
                if offer.version < newest_accepted:  # F11: an older version changes nothing, nor does a damaged one
                    log.info("ignored, v%s is accepted: %s", newest_accepted, error)
                else:
                    _refuse(conn, arrivals, contract, offered_day, day, run_id, error, offer.version)
            except OSError:
                raise  # the host's disk, not the delivery
            except Exception as error:
                _refuse(conn, arrivals, contract, offered_day, day, run_id, _unforeseen(contract, offered_day, error), offer.version)
    arrivals.is_due = not _has_come(conn, "postmart", dataset, day)
    return arrivals


def land_voso(
    conn: psycopg.Connection[Any], client: Callable[[], voso.VosoClient], settings: Settings, dataset: str, day: date, run_id: str | None
) -> Arrivals:
    """Pull ``dataset`` for ``day`` and for each earlier day of the last 35 that has no accepted pull, oldest first.

    The first day of all comes by the bulk job (EXPORTS, "Backlog"); a window begins ten minutes before the last accepted one ended. A second run
    waits for the first, and pulls only what that one did not (F55).
    """
    with ledger.alone(conn, "voso", dataset):
        return _land_voso(conn, client, settings, dataset, day, run_id)


def _land_voso(
    conn: psycopg.Connection[Any], client: Callable[[], voso.VosoClient], settings: Settings, dataset: str, day: date, run_id: str | None
) -> Arrivals:
    contract = contracts.load_contract("voso", dataset)
    landing, arrivals = Landing(settings.landing), Arrivals()
    missing = ledger.missing_days(conn, "voso", dataset, settings.first_day, day)
    waiting = {ledger.get(conn, i).business_day for i in _in_work(conn, "voso", dataset)}
    missing = [wanted for wanted in missing if wanted not in waiting]
    source = client() if missing else None
    for wanted in missing:
        version = ledger.next_version(conn, "voso", dataset, wanted)
        assert source is not None
        try:
            if wanted == settings.first_day:
                delivery = voso.land_backlog(source, contract, wanted, landing, version)
            else:
                since = ledger.watermark(conn, "voso", dataset, wanted)
                delivery = voso.land_day(source, contract, wanted, since, landing, version, settings.first_day)
            arrivals.landed.append(ledger.landed(conn, delivery, run_id))
        except voso.NotReady as error:
            log.info("%s", error)
            arrivals.told.add(wanted)
            ledger.expect(conn, "voso", dataset, wanted, deadline(wanted), mode=contract.mode, reason=str(error))
        except DeliveryRefused as error:
            _refuse(conn, arrivals, contract, wanted, day, run_id, error)
            arrivals.is_final = error.rule_id == "F34"
            if arrivals.is_final or isinstance(error, SourceUnreachable):
                break
        except Exception as error:
            _refuse(conn, arrivals, contract, wanted, day, run_id, _unforeseen(contract, wanted, error))
    if source is not None:
        source.close()
    arrivals.is_due = not _has_come(conn, "voso", dataset, day)
    return arrivals


def registers_with_work(conn: psycopg.Connection[Any], settings: Settings, *, by_hand: bool = False) -> list[str]:
    """Registers of which the inbox holds a form that was not taken yet, or of which a landed form waits for its next step.

    ``by_hand``: what was rejected is read again (see `reopen`). Forms whose commune an operator has decided since are judged again at once.
    """
    reviewing.follow(conn, settings)
    wanted = {form.dataset for form in registers.scan(Path(settings.registers_inbox)) if form.dataset and _is_new(conn, form, by_hand=by_hand)}
    return [c.dataset for c in contracts.all_contracts() if c.source == "registers" and (c.dataset in wanted or _in_work(conn, "registers", c.dataset))]


def _is_new(conn: psycopg.Connection[Any], form: registers.Form, *, by_hand: bool = False) -> bool:
    """Whether a form has still to be taken. The same bytes are nothing new, unless the district sent them again after another version of that
    day: the form that came last counts (EXPORTS §12)."""
    known = ledger.same_content(conn, "registers", form.dataset or "", form.sha256)
    if known is None:
        return True
    versions = ledger.known_versions(conn, "registers", known.dataset, known.business_day, known.unit).values()
    is_replaced = any(e.state == "accepted" and e.version > known.version for e in versions)
    if by_hand and known.state == "rejected" and not is_replaced and ledger.reopen(conn, known.export_id):
        return True
    is_again = known.received_at is not None and form.received_at > known.received_at
    return is_again and any(e.sha256 != form.sha256 and e.received_at and known.received_at and e.received_at > known.received_at for e in versions)


def unknown_forms(settings: Settings) -> list[str]:
    """A line per file of the inbox that is no register anybody can name."""
    return [
        f"form {form.path.name}: neither its name (Bieu01 … Bieu05) nor its title says which register it is. Rename it or take it out of the inbox."
        for form in registers.scan(Path(settings.registers_inbox))
        if form.dataset is None
    ]


def land_registers(conn: psycopg.Connection[Any], settings: Settings, dataset: str, run_id: str | None) -> Arrivals:
    """Land the forms of ``dataset`` in the inbox that were not taken yet (by content). A second run waits for the first (F55)."""
    with ledger.alone(conn, "registers", dataset):
        return _land_registers(conn, settings, dataset, run_id)


def _land_registers(conn: psycopg.Connection[Any], settings: Settings, dataset: str, run_id: str | None) -> Arrivals:
    landing, arrivals = Landing(settings.landing), Arrivals()
    for form in registers.scan(Path(settings.registers_inbox)):
        if form.dataset != dataset or not _is_new(conn, form):
            continue
        delivery, refusal = registers.land(form, landing, lambda unit, as_of: ledger.next_version(conn, "registers", dataset, as_of, unit))
        with conn.transaction():  # a refused form is never seen as landed only: the next step would take it
            export_id = ledger.landed(conn, delivery, run_id)
            if refusal is not None:
                ledger.reject(conn, export_id, str(refusal))
        if refusal is None:
            arrivals.landed.append(export_id)
        else:
            arrivals.refused.append(str(refusal))
            log.error("%s", refusal)
    return arrivals


def _has_come(conn: psycopg.Connection[Any], source: str, dataset: str, day: date) -> bool:
    return any(e.state not in {"expected"} for e in ledger.known_versions(conn, source, dataset, day).values())


def _in_work(conn: psycopg.Connection[Any], source: str, dataset: str) -> list[int]:
    return ledger.exports_to_load(conn, source, dataset) + ledger.exports_to_judge(conn, source, dataset)


def mark_missing(conn: psycopg.Connection[Any], source: str, dataset: str, day: date) -> None:
    """The deadline has passed: note the day as expected and missing. A missing file is never "no data" (EXPORTS §9.1)."""
    contract = contracts.load_contract(source, dataset)
    due = deadline(day)
    ledger.expect(conn, source, dataset, day, due, mode=contract.mode, reason=f"missing: nothing came until {due:%d/%m/%Y %H:%M}")


@contextmanager
def expected(conn: psycopg.Connection[Any], settings: Settings, source: str, dataset: str, day: date) -> Iterator[None]:
    """A day that is asked for stands in the ledger before anything is asked, so that a source that cannot be reached is seen as missing, with
    the reason. StepFailed has noted its reasons itself; it is raised for a day before the backlog, of which no source will ever tell."""
    if day < settings.first_day:
        raise StepFailed(f"{source}/{dataset} {day}: the history begins with the backlog of {settings.first_day} (KINHTESO_FIRST_DAY); nothing was asked.")
    contract = contracts.load_contract(source, dataset)
    ledger.expect(conn, source, dataset, day, deadline(day), mode=contract.mode)
    try:
        yield
    except StepFailed:
        raise
    except Exception as error:
        # What says no more than that we broke is told as a failed task, not as something about the delivery.
        is_told = isinstance(error, DeliveryRefused) or type(error).__name__ == "AirflowFailException"
        reason = str(error) if is_told and str(error) else f"task failed: {mishaps.in_words(error) or mishaps.named(error)}"
        ledger.expect(conn, source, dataset, day, deadline(day), mode=contract.mode, reason=reason[:REASON_LENGTH])
        raise


def expect_day(conn: psycopg.Connection[Any], day: date) -> None:
    """Note what of ``day`` is due and has not come; what is known already stays as it is."""
    for contract in contracts.all_contracts():
        if contract.source in {"postmart", "voso"}:
            ledger.expect(conn, contract.source, contract.dataset, day, deadline(day), mode=contract.mode)


def load(conn: psycopg.Connection[Any], settings: Settings, source: str, dataset: str) -> list[int]:
    """Load everything of ``dataset`` that is landed; returns the export ids. Raises StepFailed naming what was refused."""
    from kinhteso import loading

    contract = contracts.load_contract(source, dataset)
    landing = Landing(settings.landing)
    return _each(
        conn, ledger.exports_to_load(conn, source, dataset), lambda e: loading.load(conn, e, contract, landing, settings.phone_key), (loading.LoadRefused,)
    )


def judge(conn: psycopg.Connection[Any], settings: Settings, source: str, dataset: str) -> list[int]:
    """Judge everything of ``dataset`` that is loaded, oldest day first. Raises StepFailed naming what was rejected."""
    waiting = ledger.exports_to_judge(conn, source, dataset)
    if not waiting:
        return []
    from kinhteso import judging

    try:
        return _each(conn, waiting, lambda e: judging.judge_strictly(conn, e), (judging.JudgementFailed, ledger.ConservationBroken))
    finally:
        if not conn.broken and (source == "registers" or (source == "postmart" and dataset in deciding.DATASETS)):
            reviewing.note(conn, source, dataset)


def _unforeseen(contract: contracts.Contract, day: date, error: Exception) -> Exception:
    log.error("%s/%s %s", contract.source, contract.dataset, day, exc_info=error)
    return RuntimeError(
        f"{contract.source}/{contract.dataset} {day}: "
        + (
            mishaps.in_words(error)
            or f"{mishaps.named(error)}. No rule foresees this. The next run tries again; if it stays, tell the data platform team. "
            "Runbook: docs/runbooks/export-rejected.md"
        )
    )


def _each(conn: psycopg.Connection[Any], export_ids: Iterable[int], step: Callable[[int], Any], refusals: tuple[type[Exception], ...]) -> list[int]:
    """Do ``step`` for every export, whatever becomes of the ones before it (I8); then raise StepBroken or StepFailed naming what went wrong."""
    done, failed, broken = [], [], []
    for export_id in export_ids:
        try:
            mishaps.again_when_in_the_way(lambda: step(export_id))  # noqa: B023
            done.append(export_id)
        except refusals as error:
            failed.append(str(error))
        except Exception as error:
            if conn.broken:
                raise
            label = ledger.get(conn, export_id).label
            log.error("%s", label, exc_info=error)
            broken.append(
                f"{label}: {mishaps.in_words(error) or mishaps.named(error)}. It stays where it was; the next try or run takes it up again. "
                "If it stays, tell the data platform team."
            )
    if broken:
        raise StepBroken("\n\n".join(broken + failed))
    if failed:
        raise StepFailed("\n\n".join(failed))
    return done


def refusals(conn: psycopg.Connection[Any], source: str, day: date, datasets: Iterable[str]) -> list[str]:
    """What of ``source`` and ``day`` does not count: missing or rejected, one line each, with the reason."""
    lines = []
    for dataset in datasets:
        versions = ledger.known_versions(conn, source, dataset, day)
        if any(e.state == "accepted" for e in versions.values()):
            continue
        newest = max(versions.values(), key=lambda e: e.version, default=None)
        if newest is None:
            reason, _ = ledger.expected_reason(conn, source, dataset, day)
            lines.append(f"{source}/{dataset} {day} v1: " + (f"nothing was taken. {reason}" if reason else "nobody has asked for it yet"))
        else:
            stuck = "" if newest.state in ("rejected", "superseded") else ", and no further: an earlier task failed; read its log, then clear it"
            lines.append(f"{newest.label}: {newest.state}{stuck}. {newest.reason or ''}".strip())
    return lines
