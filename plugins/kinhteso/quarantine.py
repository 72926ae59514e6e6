"""What waits for a person, and the two ways to end it: replay (something was corrected) and dismiss (it is not to count; with a reason).

Taken are a class (`postmart/orders`), a delivery (`postmart/orders 2021-09-14 v1`, or its number), a rule (`Q06`, or the name of an expectation),
a day, or any of them together. A replay judges again what the selection touches: rejected deliveries are read again from the landing,
deliveries that count are judged where they lie. What is good now counts from the next release on, what is still bad stays, what a higher version
has replaced does not come back, what was dismissed stays dismissed. Twice changes nothing. Every action is noted in ops.quarantine_action.

Moves are set-based and lie in `judging` and `ledger`; each delivery is a transaction of its own, so one that breaks holds up no other.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from kinhteso import contracts, ledger, mishaps
from kinhteso.settings import Settings

ACTIONS = ("replay", "dismiss")
ALL = "everything that waits"
MIN_REASON = 5
RUNBOOK = "docs/runbooks/quarantine-growing.md"
_LABEL = re.compile(r"^(?P<source>[a-z]+)/(?P<dataset>[a-z_]+)(?: (?P<unit>[0-9_]+))? (?P<day>\d{4}-\d\d-\d\d) v(?P<version>\d+)$")
#: A snapshot of stores is judged first: the other datasets of its day are held against it.
_ORDER = "e.business_day, e.source, case e.dataset when 'stores' then 0 when 'orders' then 2 when 'refunds' then 3 else 1 end, e.dataset, e.unit, e.version"

log = logging.getLogger(__name__)


class SelectionError(ValueError):
    """What was asked for cannot be done as it was said; the message says how to say it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which part of what waits; every entry narrows it, none means all."""

    source: str | None = None
    dataset: str | None = None
    export_id: int | None = None
    rule: str | None = None
    day: date | None = None
    words: str = ALL

    @property
    def is_all(self) -> bool:
        """Whether nothing narrows it."""
        return not (self.source or self.export_id or self.rule or self.day)

    @property
    def parameters(self) -> dict[str, Any]:
        """For queries: source, dataset, id, rule, day."""
        return {"source": self.source, "dataset": self.dataset, "id": self.export_id, "rule": self.rule, "day": self.day}


@dataclass(frozen=True, slots=True)
class Matter:
    """Something that waits: a row of ops.open_matter."""

    export_id: int
    source: str
    dataset: str
    unit: str
    business_day: date
    version: int
    kind: str
    rule_id: str
    rule_name: str
    rule: str
    rows: int
    since: datetime | None
    file: str | None
    file_rows: list[int] | None
    keys: list[str] | None
    places: str | None

    @property
    def label(self) -> str:
        """The delivery, as it is named everywhere."""
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.source}/{self.dataset}{unit} {self.business_day} v{self.version}"

    @property
    def told(self) -> str:
        """One line: what, rule in words, file and rows, since when."""
        said = (self.rule.splitlines() or [""])[0]
        rows = f"{self.rows} row{'s' if self.rows != 1 else ''}: " if self.rows else ""
        place = f"; {self.file} rows {', '.join(map(str, self.file_rows))}" if self.file and self.file_rows else f"; {self.places}" if self.places else ""
        keys = f" ({', '.join(self.keys)})" if self.keys else ""
        since = f"; since {self.since:%Y-%m-%d %H:%M}" if self.since else ""
        return f"{self.label}, {self.rule_id} {self.rule_name}: {rows}{said}{place}{keys}{since}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one delivery. ``is_red``: a person has to look (it broke, or counts although today's rules would reject it)."""

    export_id: int
    label: str
    state_before: str
    state_after: str
    rows_replayed: int
    rows_open: int
    rows_dismissed: int
    words: str
    is_red: bool = False


# ---- what is meant -------------------------------------------------------------------------------------------------------------


def select(
    conn: psycopg.Connection[Any], *, class_: str | None = None, export: str | None = None, rule: str | None = None, day: date | str | None = None
) -> Selection:
    """The selection that a person said; blank entries say nothing. Raises SelectionError naming what is known instead."""
    class_, export, rule = (str(given).strip() or None if given is not None else None for given in (class_, export, rule))
    said = {"class": class_, "export": export, "rule": rule, "day": str(day) if day else None}
    words = ", ".join(f"{name} {value}" for name, value in said.items() if value) or ALL
    source, dataset = _class(class_)
    export_id = _export(conn, export)
    if rule and not _is_known_rule(conn, rule):
        known = [f"{m[0]} {m[1]}" for m in conn.execute("select distinct rule_id, rule_name from ops.open_matter order by 1, 2 limit 20").fetchall()]
        raise SelectionError(f"Nothing was ever judged by a rule {rule!r}. What waits is under: {', '.join(known) or 'no rule; nothing waits'}.")
    try:
        wanted = date.fromisoformat(str(day)) if day else None
    except ValueError:
        raise SelectionError(f"The business day {day!r} is no day of the form YYYY-MM-DD.") from None
    return Selection(source, dataset, export_id, rule, wanted, words)


def _class(given: str | None) -> tuple[str | None, str | None]:
    if not given:
        return None, None
    known = [(c.source, c.dataset) for c in contracts.all_contracts()]
    source, _, dataset = given.partition("/")
    if (source, dataset) in known or (not dataset and source in {s for s, _ in known}):
        return source, dataset or None
    raise SelectionError(f"There is no class {given!r}. Known are: {', '.join(f'{s}/{d}' for s, d in known)}; or a whole source.")


def _export(conn: psycopg.Connection[Any], given: str | None) -> int | None:
    if not given:
        return None
    label = _LABEL.match(" ".join(given.split()))
    if not label and not given.isdigit():
        raise SelectionError(f"EXPORT is a delivery as it is named in messages, like 'postmart/orders 2021-09-14 v1', or its number; got {given!r}.")
    try:
        id = int(given) if not label else ledger.export_id(label["source"], label["dataset"], label["unit"] or "", label["day"], int(label["version"]))
        return ledger.get(conn, id).export_id
    except (ledger.LedgerError, psycopg.errors.NumericValueOutOfRange):
        raise SelectionError(f"The ledger knows no delivery {given!r}. `make quarantine` lists what waits, each with its name.") from None


def _is_known_rule(conn: psycopg.Connection[Any], rule: str) -> bool:
    query = """select exists (select from ops.check_result where %(rule)s in (rule_id, rule_name))
                   or exists (select from ops.quarantine_row where %(rule)s in (rule_id, rule_name))"""
    return bool(conn.execute(query, {"rule": rule}).fetchone()[0])  # type: ignore[index]


_NARROWED = """(%(source)s::text is null or e.source = %(source)s) and (%(dataset)s::text is null or e.dataset = %(dataset)s)
  and (%(id)s::bigint is null or e.export_id = %(id)s) and (%(day)s::date is null or e.business_day = %(day)s)"""
_OF_RULE = "(%(rule)s::text is null or %(rule)s in ({x}.rule_id, {x}.rule_name))"


def open_matters(conn: psycopg.Connection[Any], selection: Selection | None = None) -> list[Matter]:
    """What waits for a person, in the order in which a replay would take it. A rejected delivery is found by any rule that it fails."""
    rule = f"""({_OF_RULE.format(x="e")} or (e.kind = 'rejected' and exists (select from ops.check_result as c
                 where c.export_id = e.export_id and not c.passed and {_OF_RULE.format(x="c")})))"""
    columns = ", ".join(f"e.{name}" for name in Matter.__dataclass_fields__)
    with conn.cursor(row_factory=class_row(Matter)) as cursor:
        query = f"select {columns} from ops.open_matter as e where {_NARROWED} and {rule} order by {_ORDER}, e.kind, e.rule_id, e.rule_name"
        return cursor.execute(query, (selection or Selection()).parameters).fetchall()  # type: ignore[arg-type]


def _to_replay(conn: psycopg.Connection[Any], selection: Selection) -> list[int]:
    """Deliveries that a replay of the selection touches: with something open, and where a rule or a delivery is named, all that failed it."""
    query = f"""select e.export_id from ops.export as e
        where {_NARROWED} and e.dismissed_at is null and e.state in ('accepted', 'rejected', 'landed', 'loaded') and e.landed_at is not null
          and not exists (select from ops.export as n where e.state <> 'accepted' and n.source = e.source and n.dataset = e.dataset and n.unit = e.unit
                            and n.business_day = e.business_day and n.state = 'accepted' and n.version > e.version)
          and (%(rule)s::text is null
               or exists (select from ops.check_result as c where c.export_id = e.export_id and not c.passed and {_OF_RULE.format(x="c")})
               or exists (select from ops.quarantine_row as q where q.export_id = e.export_id and q.state = 'open' and {_OF_RULE.format(x="q")}))
          and (e.state <> 'accepted' or %(rule)s::text is not null or %(id)s::bigint is not null
               or exists (select from ops.open_matter as m where m.export_id = e.export_id and m.kind <> 'changed'))
        order by {_ORDER}"""
    return [row[0] for row in conn.execute(query, selection.parameters).fetchall()]  # type: ignore[arg-type]


# ---- replay --------------------------------------------------------------------------------------------------------------------


def replay(conn: psycopg.Connection[Any], settings: Settings, selection: Selection, who: str, run_id: str | None = None) -> list[Outcome]:
    """Read and judge again what the selection touches, delivery by delivery, oldest day first; what became of each.

    A delivery that breaks is told and holds up no other. Nothing is published here; `has_news` says whether a release is due.
    """
    chosen = _to_replay(conn, selection)
    _note(conn, "replay", who, run_id, selection, None, f"{len(chosen)} deliveries are judged again")
    outcomes = []
    for export_id in chosen:
        outcome = _replay_one(conn, settings, export_id, who)
        _note(conn, "replay", who, run_id, selection, None, outcome.words, outcome)
        log.info("%s: %s", outcome.label, outcome.words)
        outcomes.append(outcome)
    return outcomes


def _replay_one(conn: psycopg.Connection[Any], settings: Settings, export_id: int, who: str) -> Outcome:
    from kinhteso import judging, loading
    from kinhteso.landing import Landing

    export, before = ledger.get(conn, export_id), _rows(conn, export_id)
    contract, trouble, moved = contracts.load_contract(export.source, export.dataset), None, 0
    try:
        if export.state == "rejected":
            ledger.reopen(conn, export_id)
        if ledger.get(conn, export_id).state == "landed":
            loading.load(conn, export_id, contract, Landing(settings.landing), settings.phone_key)
        moved = loading.place_again(conn, export_id, contract, Landing(settings.landing))
        verdict = judging.judge(conn, export_id, contract, again=export.state == "accepted")
        trouble = verdict.reason if verdict.is_kept else None
    except (loading.LoadRefused, judging.JudgementFailed):
        pass  # still rejected: the ledger says why
    except Exception as error:
        if conn.broken:
            raise
        log.error("%s", export.label, exc_info=error)
        trouble = f"broke: {mishaps.named(error)}. It stays where it was; replay it again, and if it breaks again, tell the data platform team."
    with conn.transaction():
        conn.execute(
            "update ops.quarantine_row set closed_by = %s where export_id = %s and closed_by = 'pipeline' and state = 'replayed' and closed_at >= %s",
            [who, export_id, before["at"]],
        )
    return _told(conn, export, before, trouble, moved)


def _rows(conn: psycopg.Connection[Any], export_id: int) -> dict[str, Any]:
    """Which rows of a delivery stand in quarantine now, and the database's clock."""
    row = conn.execute(
        """select clock_timestamp(),
                  coalesce((select array_agg(source_row) from ops.set_aside_row where export_id = %(id)s and outcome = 'quarantined'), '{}'),
                  (select count(distinct source_row) from ops.quarantine_row where export_id = %(id)s and state = 'dismissed')""",
        {"id": export_id},
    ).fetchone()
    assert row is not None
    return {"at": row[0], "aside": set(row[1]), "dismissed": row[2]}


def _told(conn: psycopg.Connection[Any], export: ledger.Export, before: dict[str, Any], trouble: str | None, moved: int) -> Outcome:
    now, after = ledger.get(conn, export.export_id), _rows(conn, export.export_id)
    flowed, newly = len(before["aside"] - after["aside"]), len(after["aside"] - before["aside"])
    still = [m for m in open_matters(conn, Selection(export_id=export.export_id)) if m.kind in ("rows", "unmapped")]
    open_rows = len(after["aside"]) - after["dismissed"] if now.state == "accepted" else 0
    if trouble:
        words, flowed = trouble, 0
    elif now.state == "rejected":
        words, flowed = f"still rejected. {now.reason or ''}".strip(), 0
    elif now.state == "superseded":
        words, flowed = f"does not count: {now.reason}", 0
    else:
        if export.state != "accepted":
            words, flowed, newly = f"accepted: {now.rows_loaded} rows count now", now.rows_loaded or 0, 0
        else:
            words = f"{flowed} rows count now" if flowed else "nothing more counts"
        words += f"; {moved} rows are of another commune now" if moved else ""
        words += f"; {newly} rows newly in quarantine" if newly else ""
        words += f"; {open_rows} rows stay in quarantine" if open_rows else ""
        words += "".join(f"\n  {m.told}" for m in still)
    return Outcome(export.export_id, export.label, export.state, now.state, flowed, max(open_rows, 0), after["dismissed"], words, trouble is not None)


def has_news(conn: psycopg.Connection[Any], first_day: date) -> bool:
    """Whether a release is due: something changed in what counts, or a seed or model is not what the last release was made with."""
    from kinhteso import building

    waiting = conn.execute("select exists (select from ops.change where release_id is null)").fetchone()
    last = conn.execute("select project_digest from ops.build where state = 'published' order by build_id desc limit 1").fetchone()
    return bool(waiting and waiting[0]) or last is None or last[0] != building.project_digest(building.project_dir(), first_day)


# ---- dismiss -------------------------------------------------------------------------------------------------------------------


def check_reason(reason: str | None) -> str:
    """The reason of a dismissal; raises SelectionError when there is none that says anything."""
    said = " ".join((reason or "").split())
    if len(said) < MIN_REASON:
        raise SelectionError('A dismissal needs a reason in words, like REASON="Postmart confirms: test orders". Nothing was dismissed.')
    return said


def dismiss(conn: psycopg.Connection[Any], selection: Selection, reason: str | None, who: str, run_id: str | None = None) -> list[Outcome]:
    """Dismiss what the selection names: its open rows of deliveries that count, and its rejected deliveries as a whole. They never count, and no
    replay takes them up again; a corrected delivery of the source (a higher version) does. A dismissed row is closed under all its rules.

    Raises SelectionError without a reason, or when nothing narrows the selection.
    """
    said = check_reason(reason)
    if selection.is_all:
        raise SelectionError("Say what to dismiss: a class, a delivery or a rule. Nothing was dismissed.")
    matters = [m for m in open_matters(conn, selection) if m.kind in ("rows", "rejected")]
    _note(conn, "dismiss", who, run_id, selection, said, f"{len({m.export_id for m in matters})} deliveries are touched")
    return [_dismiss_one(conn, export_id, selection, said, who, run_id) for export_id in dict.fromkeys(m.export_id for m in matters)]


def _dismiss_one(conn: psycopg.Connection[Any], export_id: int, selection: Selection, reason: str, who: str, run_id: str | None) -> Outcome:
    export = ledger.get(conn, export_id)
    with ledger.locked(conn, export.source, export.dataset, export.business_day):
        export = ledger.get(conn, export_id, for_update=True)
        given = {"id": export_id, "rule": selection.rule, "reason": reason, "who": who}
        if export.state == "rejected":
            conn.execute("update ops.export set dismissed_at = now(), dismissed_by = %(who)s, dismissed_reason = %(reason)s where export_id = %(id)s", given)
            chosen = "true"
        else:
            chosen = f"""q.source_row in (select o.source_row from ops.quarantine_row as o
                                          where o.export_id = %(id)s and o.state = 'open' and {_OF_RULE.format(x="o")})"""
        conn.execute(
            f"""update ops.quarantine_row as q set state = 'dismissed', state_reason = %(reason)s, closed_at = clock_timestamp(), closed_by = %(who)s
                where q.export_id = %(id)s and q.state = 'open' and {chosen}""",  # type: ignore[arg-type]
            given,
        )
        rows = conn.execute(
            """select count(distinct source_row) filter (where state = 'dismissed' and closed_at >= now()), count(distinct source_row) filter
                 (where state = 'dismissed'), count(distinct source_row) filter (where state = 'open') from ops.quarantine_row where export_id = %s""",
            [export_id],
        ).fetchone()
        assert rows is not None
        what = "the delivery" if export.state == "rejected" else f"{rows[0]} rows"
        outcome = Outcome(export_id, export.label, export.state, export.state, 0, rows[2], rows[1], f"{what} dismissed by {who}: {reason}")
        _note(conn, "dismiss", who, run_id, selection, reason, outcome.words, outcome)
    return outcome


# ---- audit ---------------------------------------------------------------------------------------------------------------------


def _note(
    conn: psycopg.Connection[Any], action: str, who: str, run_id: str | None, selection: Selection, reason: str | None, words: str,
    outcome: Outcome | None = None,
) -> None:  # fmt: skip
    o = outcome
    conn.execute(
        """insert into ops.quarantine_action (action, done_by, run_id, selection, reason, export_id, state_before, state_after, rows_replayed, rows_open,
             rows_dismissed, outcome) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
        [action, who, run_id, selection.words, reason, *((o.export_id, o.state_before, o.state_after, o.rows_replayed, o.rows_open, o.rows_dismissed)
         if o else [None] * 6), words],
    )  # fmt: skip


def noted(conn: psycopg.Connection[Any], run_id: str) -> list[str]:
    """What a run noted, one entry per delivery."""
    return [
        f"{label}: {words}"
        for label, words in conn.execute(
            """select e.source || '/' || e.dataset || coalesce(' ' || nullif(e.unit, ''), '') || ' ' || e.business_day || ' v' || e.version, a.outcome
               from ops.quarantine_action as a join ops.export as e using (export_id) where a.run_id = %s order by a.action_id""",
            [run_id],
        ).fetchall()
    ]


def run(conn: psycopg.Connection[Any], settings: Settings, action: str, said: dict[str, Any], who: str, run_id: str | None = None) -> Sequence[Outcome]:
    """One action as a DAG run or a command asks for it: ``said`` has class, export, rule, business_day, reason. Raises SelectionError."""
    if action not in ACTIONS:
        raise SelectionError(f"The action is one of {', '.join(ACTIONS)}; got {action!r}.")
    if action == "dismiss":
        check_reason(said.get("reason"))
    selection = select(conn, class_=said.get("class"), export=said.get("export"), rule=said.get("rule"), day=said.get("business_day"))
    if action == "dismiss":
        return dismiss(conn, selection, said.get("reason"), who, run_id)
    return replay(conn, settings, selection, who, run_id)


def red(outcomes: Iterable[Outcome]) -> list[str]:
    """What a person has to look at, one line each."""
    return [f"{o.label}: {o.words}" for o in outcomes if o.is_red]
