"""Great Expectations judges what arrived, before anything of it counts.

One suite per dataset, built from its contract: what the columns say (required, type, allowed values and words, pattern, unique key) and
the explicit `expectations:` of expectations/<source>/<dataset>.yml. Great Expectations reads the rows of one export from raw, less what the
load has set aside, and its failures decide by outcome: reject refuses the delivery, quarantine sets rows aside, fail keeps the data and fails the
run, warn tells. Which rows fail is found by the same conditions in SQL, set-based; if the two ever count differently, nothing is decided and the
task fails. The rows are read and parsed once, into the temporary table `judged` with a column per condition (`groups` says what is asked together).
Shares (`limits:`) and what needs history (kinhteso.history) are counted after that.

Verdict, results, quarantine and the move in the ledger are one transaction. Great Expectations is imported inside the functions: it takes
seconds, and most tasks do not need it.
"""

import json
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from csv import DictReader
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg import sql

from kinhteso import ledger, mishaps
from kinhteso.building import project_dir
from kinhteso.warehouse import raw_columns

RUNBOOK = "docs/runbooks/export-rejected.md"
LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")
SAMPLE = 5
SEVERITY = {"reject": "critical", "quarantine": "warning", "fail": "critical", "warn": "info"}
_PARSERS = {
    "integer": "parse.integer", "decimal": "parse.decimal", "money": "parse.money", "date": "parse.local_date", "datetime": "parse.local_time",
    "epoch_ms": "parse.epoch_ms", "boolean": "parse.boolean", "rate": "parse.rate", "json": "parse.json",
}  # fmt: skip
_TYPE_IN_WORDS = {
    "integer": "a whole number", "decimal": "a number with decimal comma", "money": "an amount in whole VND", "date": "a date dd/MM/yyyy",
    "datetime": "a time dd/MM/yyyy HH:mm:ss", "epoch_ms": "milliseconds since 1970", "boolean": "true or false", "rate": "a rate",
    "json": "JSON",
}  # fmt: skip

log = logging.getLogger(__name__)


class JudgementFailed(RuntimeError):
    """The delivery is rejected; the message says to a person what is wrong and what to do."""


class CheckFailed(JudgementFailed):
    """The delivery counts, but a check of outcome `fail` did not hold: the run must not be green (RELIABILITY I6)."""


class JudgementBroken(RuntimeError):
    """The judge could not judge: an expectation raised, or Great Expectations and SQL count differently. Nothing was decided."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One expectation: what Great Expectations is asked, and the same condition in SQL over the judged rows (true for a bad row)."""

    rule: str
    name: str
    outcome: str
    says: str
    bad: str = ""  # condition on the judged rows
    query: str = ""  # instead of `bad`: a query of offending things; {batch} are the judged rows
    native: tuple[str, dict[str, Any]] | None = None  # expectation class and its arguments
    flag: str = ""  # condition over the typed row, kept in the judged rows as flag__<name>: null where it does not hold
    shown: str = ""  # instead: an expression over the typed row, kept under the column that is asked


@dataclass(frozen=True, slots=True)
class Check:
    """A result: how many rows (or things) fail, of how many, with the first keys."""

    rule: str
    name: str
    outcome: str
    says: str
    passed: bool
    rows_failed: int
    rows_total: int
    sample: tuple[str, ...] = ()
    figure: float | None = None
    bound: float | None = None
    places: str | None = None  # file and first rows in it of what fails
    asked: tuple[str, dict[str, Any]] | None = None  # what Great Expectations was asked: class and arguments


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of an export; `checks` holds every result, failed or not. `reason`: why it is rejected, or why it would be by today's rules."""

    export_id: int
    state: str
    rows: int
    rows_quarantined: int
    checks: tuple[Check, ...] = ()
    seconds: float = 0.0
    reason: str | None = None

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]

    @property
    def red(self) -> list[Check]:
        """Failed checks that fail the run of a delivery that counts."""
        return [check for check in self.failed if check.outcome == "fail"] if self.state == "accepted" else []

    @property
    def is_kept(self) -> bool:
        """Whether it counts although the rules of today would reject it."""
        return self.state == "accepted" and any(check.outcome == "reject" for check in self.failed)


@dataclass
class _Scope:
    """What conditions may refer to, for one export."""

    export: ledger.Export
    contract: Any
    words: dict[str, dict[str, str]] = field(default_factory=dict)  # column -> delivered spelling -> canonical
    stores: ledger.Export | None = None
    previous: ledger.Export | None = None


def covers_more_than_its_day(export: ledger.Export) -> bool:
    """A backlog, and what is reconciled (bulk, re-read, month): its rows may be of any day up to its own."""
    return export.is_backlog or bool(export.source != "registers" and export.unit)


def judge(conn: psycopg.Connection, export_id: int, contract: Any = None, *, again: bool = False) -> Verdict:
    """Judge one loaded export and move it to accepted or rejected; returns the verdict.

    An export that was judged before keeps its verdict, without being judged again, unless `again` (after a rule, a word or a reference
    changed): then results are replaced, quarantine moves (good now: replayed; still bad: open since the first time; dismissed: stays so), and an
    accepted export whose counting rows changed is queued for a build. An accepted export that the rules of today would reject goes on counting as
    it did, row for row, and says so (`Verdict.is_kept`): the last good state carries on.
    Raises JudgementFailed for a rejected delivery (each time), JudgementBroken and ledger.ConservationBroken when nothing was decided.
    """
    started = time.monotonic()
    export = ledger.get(conn, export_id)
    if contract is None:
        from kinhteso.contracts import load_contract

        contract = load_contract(export.source, export.dataset)
    with ledger.locked(conn, export.source, export.dataset, export.business_day):
        export = ledger.get(conn, export_id, for_update=True)
        if export.loaded_at is None:
            raise ledger.LedgerError(f"{export.label} is {export.state}, not loaded: there is nothing to judge. {export.reason or ''}".strip())
        if export.state == "superseded" or (export.state in ("accepted", "rejected") and not again):
            verdict = _verdict_on_file(conn, export)
        else:
            verdict = _judge(conn, export, contract, started)
    if verdict.state == "rejected":
        raise JudgementFailed(verdict.reason or f"{export.label} is rejected")
    return verdict


def judge_strictly(conn: psycopg.Connection, export_id: int, contract: Any = None) -> Verdict:
    """`judge`, for a task of a run: raises CheckFailed, after all is committed, where a delivery counts but a check of outcome `fail` did not hold."""
    verdict = judge(conn, export_id, contract)
    if not verdict.red:
        return verdict
    export = ledger.get(conn, export_id)
    if contract is None:
        from kinhteso.contracts import load_contract

        contract = load_contract(export.source, export.dataset)
    raise CheckFailed(_for_a_person(export, contract, verdict.red, verdict.checks))


def _verdict_on_file(conn: psycopg.Connection, export: ledger.Export) -> Verdict:
    rows = conn.execute(
        """select rule_id, rule_name, outcome, rule, passed, rows_failed, rows_total, sample, figure, bound, places from ops.check_result
           where export_id = %s order by rule_name""",
        [export.export_id],
    ).fetchall()
    checks = tuple(Check(*row[:7], tuple(row[7] or ()), *(None if v is None else float(v) for v in row[8:10]), row[10]) for row in rows)  # type: ignore[call-arg]
    return Verdict(export.export_id, export.state, export.rows_delivered or 0, export.rows_quarantined or 0, checks, 0.0, export.reason)


def _scope(conn: psycopg.Connection, export: ledger.Export, contract: Any) -> _Scope:
    scope = _Scope(export, contract)
    scope.words = _words_found(conn, export, contract)
    scope.stores = _reference(conn, export, "stores")
    scope.previous = ledger.latest_accepted(conn, export.source, export.dataset, export.business_day)
    return scope


def groups(conn: psycopg.Connection, export: ledger.Export, contract: Any) -> dict[str, str]:
    """What judging is measured against: per group of expectations, those that one query can answer, the one scan over raw that does, without keeping
    anything. `rows`: each condition over a row by itself; `neighbours`: those over the rows of an order or of a key; and each query by itself.
    A query gives the number of rows and, per condition in the order of the suite, how many fail.
    """
    scope = _scope(conn, export, contract)
    rules = suite(scope)
    beside = [rule for rule in rules if " over (" in rule.flag]
    of_rows = [rule for rule in rules if not rule.query and rule not in beside]
    found = {
        name: f"select count(*), {', '.join(f'count(*) filter (where {rule.bad})' for rule in some)} from ({judged_rows(scope, some)}) as judged"
        for name, some in (("rows", of_rows), ("neighbours", beside))
        if some
    }
    judged = f"({judged_rows(scope, [])})"
    return found | {rule.name: f"select count(*) from ({rule.query.replace('{batch}', judged)}) as failing" for rule in rules if rule.query}


def _judge(conn: psycopg.Connection, export: ledger.Export, contract: Any, started: float) -> Verdict:
    from kinhteso import history

    scope = _scope(conn, export, contract)
    rules = suite(scope)

    conn.execute("drop table if exists pg_temp.judged")
    conn.execute("create temporary table judged on commit drop as " + judged_rows(scope, rules))  # type: ignore[arg-type]
    asked = _ask_great_expectations(conn, export, rules)
    counted = _count(conn, contract, rules)
    checks, rejected, before = _checks(conn, export, rules, asked, counted), [], _rows_aside(conn, export)
    with conn.transaction() as moves:
        _set_aside(conn, export, contract, [rule for rule, check in zip(rules, checks, strict=True) if rule.outcome == "quarantine" and not check.passed])
        checks += _limits(conn, scope, rules, checks) + history.checks(conn, export, contract, counted.rows, counted.nulls)
        rejected = [check for check in checks if not check.passed and check.outcome == "reject"]
        if rejected and export.state == "accepted":
            raise psycopg.Rollback(moves)
    _store_results(conn, export, checks)
    conn.execute("drop table pg_temp.judged")

    stored = ledger.store_counts(conn, export.export_id)
    conn.execute("update ops.export set judged_at = now() where export_id = %s", [export.export_id])
    reason = _for_a_person(export, contract, rejected, checks) if rejected else None
    if export.state == "accepted":
        ledger.conservation(conn, export.export_id)
        if _rows_aside(conn, export) != before:
            ledger.change(conn, export, "replayed")
        conn.execute("update ops.export set reason = %s where export_id = %s", [reason, export.export_id])
        ended = ledger.get(conn, export.export_id)
    elif rejected:
        ledger.conservation(conn, export.export_id)
        ended = ledger.reject(conn, export.export_id, str(reason))
    else:
        conn.execute("update ops.export set state = 'judged', reason = null where export_id = %s", [export.export_id])
        ended = ledger.accept(conn, export.export_id)
    seconds = time.monotonic() - started
    verdict = Verdict(export.export_id, ended.state, stored["held"], stored["quarantined"], tuple(checks), seconds, ended.reason)
    log.info(
        "%s: %s, %s rows, %s quarantined, %s of %s checks failed, %.1f s",
        export.label, ended.state, verdict.rows, verdict.rows_quarantined, len(verdict.failed), len(checks), seconds,
    )  # fmt: skip
    return verdict


# ---- quarantine moves ----------------------------------------------------------------------------------------------------------


def _set_aside(conn: psycopg.Connection, export: ledger.Export, contract: Any, failed: Sequence[Rule]) -> None:
    """Set aside what fails now, and close what fails no more; each row keeps when it was first found bad. What a person dismissed was not judged:
    it stays where it is."""
    began = conn.execute("select clock_timestamp()").fetchone()[0]  # type: ignore[index]
    conn.execute(
        """delete from ops.set_aside_row as a where a.export_id = %(id)s and a.outcome = 'quarantined' and not exists
             (select from ops.quarantine_row as q where q.export_id = %(id)s and q.source_row = a.source_row and q.state = 'dismissed')""",
        {"id": export.export_id},
    )
    for rule in failed:
        _quarantine(conn, export, contract, rule, began)
    conn.execute(
        """update ops.quarantine_row as q set state = 'replayed', closed_at = clock_timestamp(), closed_by = 'pipeline',
             state_reason = case when a.outcome = 'duplicate' then 'an exact duplicate of another row' when a.outcome = 'superseded' then
               'an older state of its key' when a.outcome is null then 'holds now' else 'holds now; another rule keeps the row aside' end
           from ops.quarantine_row as o left join ops.set_aside_row as a on a.export_id = o.export_id and a.source_row = o.source_row
           where q.export_id = %(id)s and q.state = 'open' and coalesce(q.last_failed_at < %(began)s, true)
             and (o.export_id, o.source_row, o.rule_name) = (q.export_id, q.source_row, q.rule_name)""",
        {"id": export.export_id, "began": began},
    )


def _rows_aside(conn: psycopg.Connection, export: ledger.Export) -> Any:
    """Digest of which rows do not count."""
    query = "select count(*), md5(string_agg(source_row::text, ',' order by source_row)) from ops.set_aside_row where export_id = %s"
    return conn.execute(query, [export.export_id]).fetchone()


# ---- the suite -----------------------------------------------------------------------------------------------------------------


def suite(scope: _Scope) -> list[Rule]:
    """Every rule of a dataset: those its columns imply, its key, and those written out in its file."""
    rules: list[Rule] = []
    for column in scope.contract.columns:
        if column.keep:
            rules += _column_rules(scope, column)
    rules += _key_rules(scope.contract)
    rules += [rule for given in scope.contract.expectations or [] if (rule := _explicit(scope, given))]
    names = [rule.name for rule in rules]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise ValueError(f"expectations/{scope.contract.source}/{scope.contract.dataset}.yml: names used twice: {sorted(doubled)}")
    return rules


def _column_rules(scope: _Scope, column: Any) -> list[Rule]:
    heading = column.heading
    if column.personal:
        # Only a key is left of it: it can be missing, nothing else. A phone of which no key can be made is no fault (F26).
        if not (column.required and column.personal == "name"):
            return []
        name = f"{column.name}_key"
        return [_native("Q03", f"{column.name}_required", f"{heading} must be given", "ExpectColumnValuesToNotBeNull", name, f'"{name}" is null')]
    name, rules = column.name, []
    if column.required:
        rules.append(_native("Q03", f"{name}_required", f"{heading} must be given", "ExpectColumnValuesToNotBeNull", name, f'"{name}" is null'))
    if column.type in _PARSERS:
        says = f"{heading} must be {_TYPE_IN_WORDS[column.type]}"
        rules.append(
            _native("Q03", f"{name}_type", says, "ExpectColumnValuesToBeNull", f"unread__{name}", f'"unread__{name}" is not null',
                    shown=f'case when "{name}" is null then "raw__{name}" end')
        )  # fmt: skip
    pattern = "^[0-9a-f]{64}$" if column.type == "hex64" else column.pattern
    if pattern:
        says = f"{heading} must be {'64 hexadecimal digits' if column.type == 'hex64' else f'written like {pattern}'}"
        rules.append(_native("Q03", f"{name}_pattern", says, "ExpectColumnValuesToMatchRegex", name, f'"{name}" !~ {_text(pattern)}', regex=pattern))
    if column.allowed:
        allowed = [str(value) for value in column.allowed]
        says = f"{heading} must be one of: {', '.join(allowed)}"
        rules.append(_native("Q03", f"{name}_allowed", says, "ExpectColumnValuesToBeInSet", name, f'"{name}" not in ({_texts(allowed)})', value_set=allowed))
    if column.words:
        known = sorted({*scope.words.get(name, {}), *(row["word"] for row in _seed_words(scope.contract.source, column.words))})
        # F46: an order of a status nobody knows stays, as UNKNOWN, with a warning; any other unknown word makes the row unusable.
        rule, outcome = ("F46", "warn") if column.words == "order_status" else ("Q03", "quarantine")
        says = f"{heading} must be a word of the list `{column.words}` (dbt_project/seeds/status_words.csv)"
        rules.append(_native(rule, f"{name}_words", says, "ExpectColumnValuesToBeInSet", name, f'"{name}" not in ({_texts(known)})', outcome, value_set=known))
    return rules


def _native(rule: str, name: str, says: str, expectation: str, column: str, bad: str, outcome: str = "quarantine", shown: str = "", **arguments: Any) -> Rule:
    return Rule(rule, name, outcome, says, bad, native=(expectation, {"column": column, **arguments}), shown=shown)


def _key_rules(contract: Any) -> list[Rule]:
    """Q04. Exact duplicates are set aside before; what is left twice differs, and nobody knows which is right: none of them counts."""
    if contract.row_group:
        group = f'"{contract.row_group}"'
        head = ", ".join(f'"raw__{column.name}"' for column in contract.columns if column.keep and column.fill and not column.personal)
        over = f"over (partition by {group})"
        return [
            Rule(
                "Q04", "key_unique", "quarantine",
                f"a {contract.row_group} must come in one block with one set of order values; blocks of it that differ cannot both be right",
                '"flag__key_unique" is not null',
                native=("ExpectColumnValuesToBeNull", {"column": "flag__key_unique"}),
                flag=f"{group} is not null and (max(source_row) {over} - min(source_row) {over} + 1 <> count(*) {over}"
                f" or min(hash_record_extended(row({head}), 0)) {over} <> max(hash_record_extended(row({head}), 0)) {over})",
            )
        ]  # fmt: skip
    if not contract.key:
        return []
    says = f"the key ({', '.join(contract.key)}) must be unique; rows of one key that differ cannot both be right"
    return [
        Rule(
            "Q04", "key_unique", "quarantine", says, '"flag__key_unique" is not null', native=("ExpectColumnValuesToBeUnique", {"column": "row_key"}),
            flag="row_key is not null and count(*) over (partition by row_key) > 1",
        )
    ]  # fmt: skip


def _explicit(scope: _Scope, given: dict[str, Any]) -> Rule | None:
    """A rule written in the file; None when what it needs is not there: `needs: stores | previous`, or `previous_codes`, a delivery before whose codes of
    communes mean the same units."""
    needs = given.get("needs")
    if (needs == "stores" and not scope.stores) or (needs in ("previous", "previous_codes") and not scope.previous):
        return None
    if needs == "previous_codes" and scope.previous and _codes_change(scope.previous, scope.export):
        return None
    name, says = str(given["name"]), str(given["says"])
    if given["outcome"] not in SEVERITY:
        raise ValueError(f"{name}: outcome {given['outcome']!r} is none of {sorted(SEVERITY)}")
    if "query" in given:
        if given["outcome"] == "quarantine":
            raise ValueError(f"{name}: a query cannot name rows to quarantine; use `rows`")
        return Rule(str(given["rule"]), name, given["outcome"], says, query=_fill(scope, given["query"]))
    return Rule(
        str(given["rule"]), name, given["outcome"], says, f'"flag__{name}" is not null', native=("ExpectColumnValuesToBeNull", {"column": f"flag__{name}"}),
        flag=_fill(scope, given["rows"]),
    )  # fmt: skip


_PLACEHOLDER = re.compile(r"\{([a-z_]+(?:\.[A-Za-z0-9_]+)*)\}")


def _fill(scope: _Scope, text: str) -> str:
    """Put the facts of this export into a condition: {day}, {day_start}, {day_end}, {is_backlog}, {received_at}, {received_on}, {stores}, {previous},
    {limit.RULE.parameter}, {carrier.SCHEME}, {communes.COLUMN}, {words.DOMAIN.CANONICAL} (to hold parse.word(…) against); {batch} stays for the judge.
    """
    export = scope.export

    def value(match: re.Match[str]) -> str:
        head, *rest = match[1].split(".")
        if head == "batch":
            return match[0]
        if head == "day":
            return f"date '{export.business_day}'"
        if head in ("day_start", "day_end"):
            return f"(timestamptz '{export.business_day} 00:00:00+07'{' + interval ' + _text('24 hours') if head == 'day_end' else ''})"
        if head == "is_backlog":
            return "true" if covers_more_than_its_day(export) else "false"
        if head == "received_at":
            return f"timestamptz '{_seen(export).isoformat()}'"
        if head in ("stores", "previous"):
            return _counting_rows(getattr(scope, head))
        if head == "limit":
            from kinhteso import history

            return str(float(history.limits(scope.contract)[rest[0]][rest[1]]))
        if head == "words":
            return ", ".join(f"parse.word({_text(word)})" for word in _spellings(scope.contract.source, rest[0], rest[1]))
        if head == "received_on":
            return f"date '{_seen(export).astimezone(LOCAL).date()}'"
        if head == "carrier":
            return ", ".join(row["code"] for row in _seed("carrier_status") if row["status_scheme"] == rest[0] and row["canonical"] != "UNKNOWN")
        if head == "communes":
            return _texts(sorted({row[rest[0]] for row in _seed("commune_crosswalk") if row[rest[0]]}))
        raise ValueError(f"unknown placeholder {match[0]}")

    return _PLACEHOLDER.sub(value, text)


def _codes_change(before: ledger.Export, now: ledger.Export) -> bool:
    """Whether R0 has codes that come into force after the one delivery and not after the other; a pull shows the moment of the pull."""
    since, until = (e.pulled_at.astimezone(LOCAL).date() if e.pulled_at else e.business_day for e in (before, now))
    return any(since < date.fromisoformat(row["valid_from"]) <= until for row in _seed("commune_crosswalk"))


def _seen(export: ledger.Export) -> datetime:
    """The source's "now" of a delivery: its clock at the pull, the file's time, else ours at the landing."""
    return export.pulled_at or export.received_at or export.landed_at or datetime.now(LOCAL)


def _spellings(source: str, domain: str, canonical: str) -> list[str]:
    found = [row["word"] for row in _seed_words(source, domain) if row["canonical"] == canonical]
    if not found:
        raise ValueError(f"dbt_project/seeds/status_words.csv has no word of {source} for {domain} {canonical}")
    return found


def _counting_rows(export: ledger.Export) -> str:
    return (
        f"(select r.* from raw.{export.source}_{export.dataset} as r where r.export_id = {export.export_id} and not exists "
        f"(select from ops.set_aside_row as a where a.export_id = {export.export_id} and a.source_row = r.source_row))"
    )


def _reference(conn: psycopg.Connection, export: ledger.Export, dataset: str) -> ledger.Export | None:
    """The accepted snapshot of that dataset to hold references against: of the same day, else the last one before."""
    if export.source == "registers" or export.dataset == dataset:
        return None
    same_day = ledger.accepted(conn, export.source, dataset, export.business_day)
    return same_day[-1] if same_day else ledger.latest_accepted(conn, export.source, dataset, export.business_day)


# ---- seeds ---------------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _read_seed(path: Path, changed_at: int) -> tuple[dict[str, str], ...]:
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(DictReader(file))


def seed_path(name: str) -> Path:
    """The seed `name` of the dbt project in use."""
    return project_dir() / "seeds" / f"{name}.csv"


def _seed(name: str) -> tuple[dict[str, str], ...]:
    path = seed_path(name)
    return _read_seed(path, path.stat().st_mtime_ns)


def _seed_words(source: str, domain: str) -> list[dict[str, str]]:
    return [row for row in _seed("status_words") if row["domain"] == domain and row["source"] == source]


def _words_found(conn: psycopg.Connection, export: ledger.Export, contract: Any) -> dict[str, dict[str, str]]:
    """For each column of words: the spellings of this export that the seed knows, compared as parse.word() does, and what they mean; one look at the rows."""
    columns = {column.name: column.words for column in contract.columns if column.keep and column.words}
    if not columns:
        return {}
    seeds = {name: _seed_words(contract.source, domain) for name, domain in columns.items()}
    known = [(name, row["word"], row["canonical"]) for name, rows in seeds.items() for row in rows]
    names = [sql.Identifier(name) for name in columns]
    spelling = sql.SQL("case {} end").format(sql.SQL(" ").join(sql.SQL("when grouping({0}) = 0 then {0}").format(name) for name in names))
    heading = sql.SQL("case {} end").format(
        sql.SQL(" ").join(sql.SQL("when grouping({}) = 0 then {}").format(sql.Identifier(name), sql.Literal(name)) for name in columns)
    )
    found: dict[str, dict[str, str]] = {name: {} for name in columns}
    for name, word, canonical in conn.execute(
        sql.SQL(
            """with d as (select {heading} as heading, {spelling} as spelling from {table} where export_id = %s group by grouping sets ({sets}))
               select d.heading, d.spelling, min(w.canonical) from d
               join unnest(%s::text[], %s::text[], %s::text[]) as w (heading, word, canonical)
                 on w.heading = d.heading and parse.word(w.word) = parse.word(d.spelling)
               where d.spelling is not null group by 1, 2"""
        ).format(
            heading=heading, spelling=spelling, table=sql.Identifier("raw", f"{contract.source}_{contract.dataset}"),
            sets=sql.SQL(", ").join(sql.SQL("({})").format(name) for name in names),
        ),
        [export.export_id, *([list(part) for part in zip(*known, strict=True)] if known else [[], [], []])],
    ):  # fmt: skip
        found[name][word] = canonical
    return found


# ---- the rows ------------------------------------------------------------------------------------------------------------------


def judged_rows(scope: _Scope, rules: Sequence[Rule]) -> str:
    """The query of what is judged: per row source_row, row_key, the raw text of each column (blank as NULL), and what the rules compute.

    Conditions see typed values under the columns' names and the text under raw__<name>.
    """
    contract, export = scope.contract, scope.export
    typed, shown = [], []
    columns = {column.name: column for column in contract.columns if column.keep and not column.personal}
    for name in raw_columns(contract):
        column = columns.get(name)
        if column is None or (column.type not in _PARSERS and not column.words):
            typed.append(f'r."{name}" as "raw__{name}", r."{name}" as "{name}"')
        elif column.words:
            meanings = scope.words.get(name, {})
            cases = " ".join(f"when {_text(word)} then {_text(canonical)}" for word, canonical in meanings.items())
            typed.append(f'r."{name}" as "raw__{name}", ' + (f'case r."{name}" {cases} end as "{name}"' if cases else f'null::text as "{name}"'))
        else:
            typed.append(f'case when not parse.blank(r."{name}") then r."{name}" end as "raw__{name}", {_PARSERS[column.type]}(r."{name}") as "{name}"')
        shown.append(f'"raw__{name}" as "{name}"')
    key = [contract.row_group] if contract.row_group else [*contract.key, *(["as_of"] if contract.source == "registers" and contract.key else [])]
    row_key = " || '|' || ".join(f'r."{name}"' for name in key) if key else "null::text"
    flags = []
    for rule in rules:
        if rule.flag:
            flags.append(f'case when {rule.flag} then true end as "flag__{rule.name}"')
        elif rule.shown and rule.native:
            flags.append(f'{rule.shown} as "{rule.native[1]["column"]}"')
    return (
        f"select source_row, row_key, {', '.join(shown + flags)} from (select r.source_row, {row_key} as row_key, {', '.join(typed)} "
        f'from raw."{contract.source}_{contract.dataset}" as r where r.export_id = {export.export_id} and not exists '
        f"(select from ops.set_aside_row as a where a.export_id = {export.export_id} and a.source_row = r.source_row and a.outcome <> 'quarantined')"
        f" and not exists (select from ops.quarantine_row as q where q.export_id = {export.export_id} and q.source_row = r.source_row"
        " and q.state = 'dismissed')"
        " offset 0) as d"  # the fence keeps the planner from reading each text again for every condition on it
        + "".join(f" cross join lateral ({query}) as {name}" for name, query in contract.facts.items())
    )


def _text(value: str) -> str:
    """A text literal; the colon is written so that no SQL layer takes what follows it for a parameter."""
    quoted = value.replace("\\", "\\\\").replace("'", "''").replace(":", "\\003A")
    return f"U&'{quoted}'" if "\\" in quoted else f"'{quoted}'"


def _texts(values: Iterable[str]) -> str:
    return ", ".join(map(_text, values)) or "null"


# ---- Great Expectations --------------------------------------------------------------------------------------------------------


@contextmanager
def _quiet() -> Any:
    """No telemetry, no info lines, no progress bars."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logger = logging.getLogger("great_expectations")
    logger.setLevel(logging.ERROR)
    yield


def _ask_great_expectations(conn: psycopg.Connection, export: ledger.Export, rules: Sequence[Rule]) -> list[int]:
    """Validate the suite over the judged rows; how many rows fail each rule, in the order of `rules`. Raises JudgementBroken when an expectation raised.

    First only whether each holds, which Great Expectations finds out for all conditions of rows in one query; how many rows fail, which costs queries
    of its own per expectation, is asked of those that do not.
    """
    with _quiet():
        import great_expectations as gx
        from great_expectations.core.result_format import ResultFormat
        from great_expectations.validator.v1_validator import Validator
        from sqlalchemy.pool import StaticPool

        logging.getLogger("great_expectations").setLevel(logging.ERROR)  # its import sets the level back
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False, "metric_calculations": False}  # type: ignore[assignment]
        # Its engine is our connection, so that it sees the judged rows, and no password stands in a name, a log line or an error of it.
        source = context.data_sources.add_postgres(  # type: ignore[call-arg]
            "warehouse",
            connection_string="postgresql+psycopg://judge@warehouse/judged",
            kwargs={"creator": lambda: _Lent(conn), "poolclass": StaticPool, "use_native_hstore": False},
        )
        counts: dict[str, int] = {}
        try:
            asset = source.add_table_asset(f"{export.source}_{export.dataset}", table_name="judged")
            batch = asset.add_batch_definition_whole_table("export")
            # Batch.validate() does just this, but makes the batch once more.
            asked = Validator(batch)
            for answer in (ResultFormat.BOOLEAN_ONLY, ResultFormat.BASIC):
                asked.result_format = answer
                left = [rule for rule in rules if counts.get(rule.name) != 0]
                with _configured_once():
                    answers = asked._validate_expectation_configs([_expectation(rule) for rule in left]) if left else []
                for one in answers:
                    name = one.expectation_config.meta["name"]  # type: ignore[union-attr,index]
                    if raised := _raised(one.exception_info):
                        raise JudgementBroken(f"{export.label}: expectation {name} could not be evaluated: {raised}. Nothing was decided.")
                    found = one.result.get("unexpected_count", one.result.get("observed_value"))
                    counts[name] = int(found or 0) if answer is ResultFormat.BASIC else int(not one.success)
                    if bool(one.success) != (counts[name] == 0):
                        raise JudgementBroken(f"{export.label}: expectation {name} says success={one.success} with {counts[name]} unexpected rows")
        except JudgementBroken:
            raise
        except Exception as error:
            raise JudgementBroken(f"{export.label}: Great Expectations could not judge it: {mishaps.named(error)}") from None
        finally:
            _close(source)
    return [counts[rule.name] for rule in rules]


@contextmanager
def _configured_once() -> Iterator[None]:
    """While a suite is validated nothing of an expectation changes, but Great Expectations makes its configuration anew on each look, sixty times per
    expectation: half of the time that a small delivery takes."""
    from great_expectations.expectations.expectation import Expectation

    made: dict[int, tuple[Any, Any]] = {}
    real = Expectation.configuration

    def configuration(self: Any) -> Any:
        if id(self) not in made:
            made[id(self)] = (self, real.fget(self))  # type: ignore[attr-defined]
        return made[id(self)][1]

    Expectation.configuration = property(configuration)  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Expectation.configuration = real  # type: ignore[method-assign]


class _Lent:
    """Our connection as Great Expectations' engine may have it: what it begins, commits, rolls back or closes is ours to end. A statement that fails
    takes back itself only, so that the first error is the one that is told."""

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    def cursor(self, *_: Any, **__: Any) -> psycopg.Cursor:
        return _Saving(self._conn)

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...


class _Saving(psycopg.Cursor):
    def execute(self, *given: Any, **more: Any) -> Any:
        with self.connection.transaction():
            return super().execute(*given, **more)


def _expectation(rule: Rule) -> Any:
    """The rule as a configuration; made without the Expectation of which `ExpectationSuite` would make it, and make it anew on each look."""
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.util import camel_to_snake

    kind, arguments = _question(rule)
    meta = {"name": rule.name, "rule": rule.rule, "outcome": rule.outcome}
    return ExpectationConfiguration(camel_to_snake(kind), dict(arguments), meta, description=rule.says, severity=SEVERITY[rule.outcome])  # type: ignore[arg-type]


def _question(rule: Rule) -> tuple[str, dict[str, Any]]:
    """The class of Great Expectations that a rule is, and its arguments."""
    if rule.native:
        return rule.native
    return "UnexpectedRowsExpectation", {"unexpected_rows_query": rule.query}


def _raised(info: Any) -> str | None:
    """The message of an exception inside an expectation; Great Expectations gives one record or one per metric."""
    records = [info] if info and "raised_exception" in info else list((info or {}).values())
    for record in records:
        if isinstance(record, dict) and record.get("raised_exception"):
            return mishaps.first_line(record.get("exception_message") or "", "no message")
    return None


def _close(source: Any) -> None:
    try:
        source.get_execution_engine().close()
        source.get_engine().dispose()
    except Exception:  # closing is a courtesy: the connection dies with the task anyway
        log.debug("the judge's own connection did not close", exc_info=True)


# ---- the same in SQL -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Counted:
    """One look at the judged rows: how many there are, how many fail each rule of rows, and in how many each column is empty."""

    rows: int
    failing: dict[str, int]
    nulls: dict[str, int]


def _count(conn: psycopg.Connection, contract: Any, rules: Sequence[Rule]) -> _Counted:
    rowwise = [rule for rule in rules if not rule.query]
    columns = raw_columns(contract)
    asked = [f"count(*) filter (where {rule.bad})" for rule in rowwise] + [f'count(*) - count("{name}")' for name in columns]
    total, *counts = conn.execute(f"select {', '.join(['count(*)', *asked])} from pg_temp.judged").fetchone()  # type: ignore[arg-type,misc]
    failing = dict(zip((rule.name for rule in rowwise), counts, strict=False))
    return _Counted(total, failing, dict(zip(columns, counts[len(rowwise) :], strict=True)))


def _checks(conn: psycopg.Connection, export: ledger.Export, rules: Sequence[Rule], asked: Sequence[int], counted: _Counted) -> list[Check]:
    """Our count of every rule, compared with Great Expectations', with the first keys of what fails."""
    checks, differing = [], []
    for rule, theirs in zip(rules, asked, strict=True):
        sample: tuple[str, ...] = ()
        places = None
        if rule.query:
            rows = conn.execute(rule.query.replace("{batch}", "pg_temp.judged")).fetchall()  # type: ignore[arg-type]
            ours, sample = len(rows), tuple(" ".join(map(str, row)) for row in rows[:SAMPLE])
        else:
            ours = counted.failing[rule.name]
            if ours:
                sample, places = _first_keys(conn, rule.bad), _places(conn, export, rule.bad)
        if ours != theirs:
            differing.append(f"{rule.name}: Great Expectations {theirs}, SQL {ours}")
        checks.append(Check(rule.rule, rule.name, rule.outcome, rule.says, ours == 0, ours, counted.rows, sample, places=places, asked=_question(rule)))
    if differing:
        raise JudgementBroken("Great Expectations and SQL count differently, so nothing was decided: " + "; ".join(differing))
    return checks


def _first_keys(conn: psycopg.Connection, bad: str) -> tuple[str, ...]:
    rows = conn.execute(
        f"select coalesce(row_key, 'row ' || source_row), min(source_row) from pg_temp.judged where {bad} group by 1 order by 2 limit {SAMPLE}"  # type: ignore[arg-type]
    ).fetchall()
    return tuple(row[0] for row in rows)


def _places(conn: psycopg.Connection, export: ledger.Export, bad: str) -> str | None:
    """Where the first failing rows stand: file, and row number in it ("PM_LSN_DONHANG_20210914_v1.xlsx rows 86, 87")."""
    row = conn.execute(
        f"""select string_agg(file || case when n = 1 then ' row ' else ' rows ' end || at, '; ' order by part_no)
            from (select coalesce(p.origin, %(origin)s, 'the delivery') as file, coalesce(p.part_no, 1) as part_no, count(*) as n,
                         string_agg((coalesce(p.first_file_row - p.first_row, 0) + j.source_row)::text, ', ' order by j.source_row) as at
                  from (select source_row from pg_temp.judged where {bad.replace("%", "%%")} order by 1 limit {SAMPLE}) as j
                  left join lateral (select * from ops.export_part as x where x.export_id = %(id)s and x.first_row <= j.source_row
                                     order by x.first_row desc limit 1) as p on true
                  group by 1, 2) as f""",  # type: ignore[arg-type]
        {"id": export.export_id, "origin": export.origin},
    ).fetchone()
    return row[0] if row else None


def _quarantine(conn: psycopg.Connection, export: ledger.Export, contract: Any, rule: Rule, began: datetime) -> None:
    """Set the failing rows aside with the rule in words; of a dataset in blocks, the whole block of each. `began`: when this judgement did."""
    bad = rule.bad
    if contract.row_group:
        bad = f"{rule.bad} or row_key in (select row_key from pg_temp.judged where {rule.bad} and row_key is not null)"
    conn.execute(
        f"""insert into ops.quarantine_row as q (export_id, source_row, rule_id, rule_name, rule, row_key, content, opened_at, last_failed_at)
            select r.export_id, r.source_row, %(rule)s, %(name)s, %(says)s, j.row_key, to_jsonb(r) - 'export_id' - 'source_row', clock_timestamp(),
              clock_timestamp()
            from pg_temp.judged as j
            join raw."{contract.source}_{contract.dataset}" as r on r.export_id = %(id)s and r.source_row = j.source_row
            where j.source_row in (select source_row from pg_temp.judged where {bad.replace("%", "%%")})
            on conflict (export_id, source_row, rule_name) do update set rule_id = excluded.rule_id, rule = excluded.rule, row_key = excluded.row_key,
              content = excluded.content, last_failed_at = excluded.last_failed_at, state = 'open', closed_at = null, closed_by = null,
              opened_at = case q.state when 'open' then q.opened_at else excluded.opened_at end,
              state_reason = case q.state when 'open' then q.state_reason else 'fails again; was ' || q.state || ' ' || q.closed_at::date end""",  # type: ignore[arg-type]
        {"id": export.export_id, "rule": rule.rule, "name": rule.name, "says": rule.says},
    )
    conn.execute(
        """insert into ops.set_aside_row (export_id, source_row, outcome)
           select export_id, source_row, 'quarantined' from ops.quarantine_row where export_id = %s and rule_name = %s and last_failed_at >= %s
           on conflict do nothing""",
        [export.export_id, rule.name, began],
    )


def _limits(conn: psycopg.Connection, scope: _Scope, rules: Sequence[Rule], found: Sequence[Check]) -> list[Check]:
    """Shares that must not be passed (RULINGS 19): `limits: {Q03: {share: 0.005, of: rows, rules: [Q03], outcome: reject}}`.

    Counted are the rows (or blocks, `of: groups`) that fail at least one of `rules` and none of `but_not`; a share above the limit fails.
    Entries without `share` are parameters of expectations. Rows are looked at only where one of the rules was `found` to fail.
    """
    checks = []
    failing, totals = {check.name for check in found if not check.passed}, {"*": found[0].rows_total if found else 0}
    for name, limit in (scope.contract.limits or {}).items():
        if "share" not in limit:
            continue
        held, outcome = limit.get("rules", [name]), limit.get("outcome", "reject")
        # A delivery is never rejected for rows that only a warning is about.
        counted = [rule for rule in rules if rule.rule in held and not rule.query and (outcome != "reject" or rule.outcome != "warn")]
        if not counted:
            continue
        bad = " or ".join(f"({rule.bad})" for rule in counted if rule.name in failing)
        other = " or ".join(f"({rule.bad})" for rule in rules if rule.rule in limit.get("but_not", []) and rule.name in failing and not rule.query)
        if bad and other:
            bad = f"({bad}) and not ({other})"
        unit = "coalesce(row_key, source_row::text)" if limit.get("of") == "groups" else "*"
        if unit not in totals:
            totals[unit] = conn.execute(f"select count(*) from (select from pg_temp.judged group by {unit}) as units").fetchone()[0]  # type: ignore[arg-type,index]
        of_units = "*" if unit == "*" else f"distinct {unit}"
        failed = conn.execute(f"select count({of_units}) from pg_temp.judged where {bad}").fetchone()[0] if bad else 0  # type: ignore[arg-type,index]
        total = totals[unit]
        share, bound = (failed / total if total else 0.0), float(limit["share"])
        what = scope.contract.row_group or "rows" if limit.get("of") == "groups" else "rows"
        says = limit.get("says") or f"at most {bound:.1%} of {what} may fail {', '.join(held)}"
        is_over = share > bound
        sample, places = (_first_keys(conn, bad), _places(conn, scope.export, bad)) if is_over else ((), None)
        checks.append(Check(name, f"limit_{name}", outcome, says, not is_over, failed, total, sample, round(share, 6), bound, places))
    return checks


def _store_results(conn: psycopg.Connection, export: ledger.Export, checks: Sequence[Check]) -> None:
    conn.execute("delete from ops.check_result where export_id = %s and rule_name not similar to '(reader|landing)_warning_%%'", [export.export_id])
    with conn.cursor() as cursor:
        cursor.executemany(
            """insert into ops.check_result (export_id, rule_id, rule_name, rule, outcome, passed, rows_failed, rows_total, sample, figure, bound, places,
                 expectation, arguments)
               values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            [
                (export.export_id, c.rule, c.name, c.says, c.outcome, c.passed, c.rows_failed, c.rows_total,
                 json.dumps(c.sample, ensure_ascii=False) if c.sample else None, c.figure, c.bound, c.places,
                 c.asked[0] if c.asked else None, json.dumps(c.asked[1], ensure_ascii=False) if c.asked else None)
                for c in checks
            ],
        )  # fmt: skip


def _for_a_person(export: ledger.Export, contract: Any, rejected: Sequence[Check], checks: Sequence[Check]) -> str:
    """Dataset, rules in words, first failing keys, owner, what to do next, runbook (STYLE 9)."""
    if rejected[0].outcome != "reject":
        became = "its data count, but a check failed: somebody has to look"
    elif export.state == "accepted":
        became = "stays accepted and counts as it did, but the rules of today would reject it"
    else:
        became = "rejected; the last good state carries on"
    lines = [f"{contract.code} {contract.title}, {export.label}: {became}."]
    for check in rejected:
        measured = f" ({check.figure:.2%} of {check.rows_total})" if check.figure is not None else ""
        lines.append(f"- {check.rule} {check.name}: {check.says}. Fails: {check.rows_failed}{measured}. First: {_first(check)}")
        if check.name.startswith("limit_"):
            culprits = sorted((c for c in checks if not c.passed and c.outcome == "quarantine"), key=lambda c: -c.rows_failed)[:3]
            lines += [f"  mostly {c.rule} {c.name}: {c.says}. Fails: {c.rows_failed}. First: {_first(c)}" for c in culprits]
    lines.append(
        f"File: {export.origin}. Owner: {contract.owner}. Next: ask {export.source} for a corrected version; or, if the data are right, correct "
        f"expectations/{export.source}/{export.dataset}.yml or the seed that the rule names, then make replay-quarantine EXPORT='{export.label}'. "
        f"Runbook: {RUNBOOK}"
    )
    return "\n".join(lines)


def _first(check: Check) -> str:
    """The first failing keys, and where they stand."""
    return (", ".join(check.sample) or "none named") + (f" ({check.places})" if check.places else "")
