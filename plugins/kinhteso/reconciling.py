"""A platform's whole state against the warehouse: count, list, mend (EXPORTS §9.1, §10.2, §10.9, §15; Q14, Q18).

Vỏ Sò's bulk shows the platform at the end of a day, its re-read what the last 45 days' windows say now, Postmart's monthly file every order of a
month. Each goes the way of any datum: landing, ledger, raw, judged, accepted; with a `unit` (bulk, reread, month), so it never stands for a day.
Before it counts it is compared, key by key, with what counts already: rows that say the same are set aside as duplicates, rows that lag behind
as superseded, and only what differs counts. What a whole state does not know any more is withdrawn. The models then choose: the latest time wins,
of one time the whole state (F42). Nothing differs, nothing is built.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql
from psycopg.rows import class_row

from kinhteso import business_day, contracts, intake, judging, ledger, loading
from kinhteso.landing import Landing
from kinhteso.platforms import postmart, voso
from kinhteso.readers import DeliveryRefused
from kinhteso.settings import Settings

UNITS = ("bulk", "reread", "month")
SATURDAY = 5
#: The monthly file is due on this day of the next month.
MONTH_DUE = 5
SAMPLE = 5
OWNER = "data-platform"
RUNBOOK = "docs/runbooks/reconciliation-differs.md"

log = logging.getLogger(__name__)


class NotYet(Exception):
    """The warehouse does not know the day yet that is to be compared; ask again later."""


class _NoWholeState(Exception):
    """The delivery does not know so much of what the warehouse knows that nothing of it is taken."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What one comparison found: keys, not rows. Orders and goods_net (whole VND) of datasets of orders only."""

    source: str
    dataset: str
    unit: str
    as_of: date
    state: str
    passed: bool
    compared: int
    missing: int
    extra: int
    changed: int
    older: int
    orders_warehouse: int | None
    orders_source: int | None
    goods_net_warehouse_vnd: int | None
    goods_net_source_vnd: int | None
    message: str

    @property
    def differing(self) -> int:
        """Keys that are not the same on both sides."""
        return self.missing + self.extra + self.changed + self.older


@cache
def rules() -> dict[str, Any]:
    """expectations/reconciliation.yml."""
    path: Path = contracts.folder() / "reconciliation.yml"
    if not path.is_file():
        raise contracts.ContractError(f"there is no {path.name} in the folder of the contracts")
    return yaml.safe_load(path.read_text(encoding="utf-8"))


# ---- what is due ---------------------------------------------------------------------------------------------------------------


def is_bulk_due(day: date) -> bool:
    """The bulk is pulled on Sunday, for the Saturday before (EXPORTS §15)."""
    return day.weekday() == SATURDAY


def month_due(day: date) -> date:
    """First day of the newest month whose file is there when business day ``day`` is over: on the 5th of the next month (EXPORTS §9.1)."""
    morning = day + timedelta(days=1)
    last = morning.replace(day=1) - timedelta(days=1)
    return (last if morning.day >= MONTH_DUE else last.replace(day=1) - timedelta(days=1)).replace(day=1)


def last_of_month(day: date) -> date:
    """The last day of its month."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


# ---- landing -------------------------------------------------------------------------------------------------------------------


def land_voso(
    conn: psycopg.Connection[Any], client: Callable[[], voso.VosoClient], settings: Settings, dataset: str, as_of: date, run_id: str | None
) -> intake.Arrivals:
    """Land the bulk of ``dataset`` at the end of ``as_of`` and, of a dataset of windows, the re-read of the 45 days up to it. What this run has
    landed before is not asked for again.

    Raises NotYet while the day's own delivery does not count: all of the day would differ.
    """
    contract = contracts.load_contract("voso", dataset)
    own = ledger.accepted(conn, "voso", dataset, as_of)
    if not own:
        raise NotYet(f"voso/{dataset} {as_of}: the day's own delivery does not count yet, so there is nothing to compare with. Run voso_daily for it first.")
    arrivals, landing = intake.Arrivals(), Landing(settings.landing)
    if contract.mode == "snapshot" and own[-1].is_reconstructed:
        log.info("voso/%s %s was pulled too late to be that day's state; it is not compared", dataset, as_of)
        return arrivals
    since = max(settings.first_day, as_of - timedelta(days=rules()["reread_days"] - 1))
    wanted: dict[str, Callable[[voso.VosoClient, int], Any]] = {"bulk": lambda c, n: voso.land_bulk(c, contract, as_of, landing, n)}
    if contract.api["window"]:
        wanted["reread"] = lambda c, n: voso.land_reread(c, contract, as_of, since, landing, n)
    there = {unit: ledger.known_versions(conn, "voso", dataset, as_of, unit) for unit in wanted}
    wanted = {unit: land for unit, land in wanted.items() if run_id is None or all(e.run_id != run_id for e in there[unit].values())}
    source = client() if wanted else None
    for unit, land in wanted.items():
        assert source is not None
        try:
            arrivals.landed.append(ledger.landed(conn, land(source, max(there[unit], default=0) + 1), run_id))
        except voso.NotReady as error:
            raise NotYet(str(error)) from error
        except DeliveryRefused as error:
            log.error("%s", error)
            arrivals.refused.append(str(error))
            note_refusal(conn, "voso", dataset, unit, as_of, str(error), run_id)
            arrivals.is_final = error.rule_id == "F34"
            if arrivals.is_final:
                break
    if source is not None:
        source.close()
    return arrivals


def land_postmart(conn: psycopg.Connection[Any], sftp: Any, settings: Settings, day: date, run_id: str | None) -> intake.Arrivals:
    """Land the file of the month that is due by ``day``, every version that the ledger does not know. ``is_due``: none has come yet."""
    contract, month = contracts.load_contract("postmart", "orders"), month_due(day)
    last, arrivals = last_of_month(month), intake.Arrivals()
    if last < settings.first_day:
        return arrivals
    known = ledger.known_versions(conn, "postmart", "orders", last, "month")
    taken = max((e.version for e in known.values() if e.state == "accepted"), default=0)
    for version, came in postmart.land_month(sftp, month, contract, Landing(settings.landing), lambda n: known[n].sha256 if n in known else None):
        try:
            if isinstance(came, DeliveryRefused):
                raise came
            arrivals.landed.append(ledger.landed(conn, came, run_id))
        except (DeliveryRefused, ledger.ContentChanged) as error:
            if version < taken:  # F11: an older version changes nothing, nor does a damaged one
                log.info("ignored, v%s is accepted: %s", taken, error)
                continue
            log.error("%s", error)
            arrivals.refused.append(str(error))
            note_refusal(conn, "postmart", "orders", "month", last, str(error), run_id)
    arrivals.is_due = not (known or arrivals.landed or arrivals.refused)
    return arrivals


def month_missing(conn: psycopg.Connection[Any], day: date, run_id: str | None) -> str:
    """Note that the month's file has not come, and say so."""
    month = month_due(day)
    words = (
        f"postmart/orders {month:%Y-%m}: {postmart.month_name(month, 1)} is due on the {MONTH_DUE}th and has not come. Owner: {OWNER}. "
        "Next: ask the supplier; the next run looks again. Runbook: docs/runbooks/export-late.md"
    )
    note_refusal(conn, "postmart", "orders", "month", last_of_month(month), words, run_id)
    return words


def note_refusal(conn: psycopg.Connection[Any], source: str, dataset: str, unit: str, as_of: date, words: str, run_id: str | None) -> None:
    """Keep that nothing could be compared, and why."""
    conn.execute(
        "insert into ops.reconciliation (run_id, source, dataset, unit, as_of, state, passed, message) values (%s, %s, %s, %s, %s, 'refused', false, %s)",
        [run_id, source, dataset, unit, as_of, words[: intake.REASON_LENGTH]],
    )


# ---- the comparison ------------------------------------------------------------------------------------------------------------


def compare(conn: psycopg.Connection[Any], settings: Settings, source: str, dataset: str, run_id: str | None, read: Any = None) -> list[Reconciliation]:
    """Load, judge, compare and mend with all that is landed of ``dataset``, the whole state before the re-read. Of Postmart, the accepted file of
    the newest month, in its highest version, is compared again: a correction that came since may differ from it.

    Raises intake.StepFailed naming what was refused, after all that could be done was done.
    """
    contract = contracts.load_contract(source, dataset)
    waiting = conn.execute(
        """select export_id, state from ops.export where source = %(source)s and dataset = %(dataset)s and unit = any(%(units)s)
             and (state in ('landed', 'loaded') or (state = 'accepted' and unit = 'month' and (business_day, version) =
                  (select business_day, max(version) filter (where state = 'accepted') from ops.export
                   where source = %(source)s and dataset = %(dataset)s and unit = 'month' group by 1 order by 1 desc limit 1)))
           order by business_day, array_position(array['month', 'bulk', 'reread'], unit), version""",
        {"source": source, "dataset": dataset, "units": list(UNITS)},
    ).fetchall()
    done, refused = [], []
    for export_id, state in waiting:
        if ledger.gives_way(conn, export_id):
            continue
        try:
            if state == "landed":
                loading.load(conn, export_id, contract, Landing(settings.landing), settings.phone_key, read=read)
            done.append(reconcile(conn, export_id, contract, run_id))
        except (loading.LoadRefused, judging.JudgementFailed, ledger.ConservationBroken) as error:
            refused.append(str(error))
            export = ledger.get(conn, export_id)
            note_refusal(conn, source, dataset, export.unit, export.business_day, str(error), run_id)
    if refused:
        raise intake.StepFailed("\n\n".join(refused))
    return done


def reconcile(conn: psycopg.Connection[Any], export_id: int, contract: contracts.Contract, run_id: str | None) -> Reconciliation:
    """Judge one loaded export of a unit, compare it and let what differs count: one transaction. Again it finds what differs since.

    Raises judging.JudgementFailed where it is rejected, also for knowing too little (`limits.withdrawn`); nothing of it counts then.
    """
    export = ledger.get(conn, export_id)
    try:
        with ledger.locked(conn, export.source, export.dataset, export.business_day):
            is_first = ledger.get(conn, export_id, for_update=True).state != "accepted"
            try:
                judging.judge(conn, export_id, contract)
            except judging.JudgementFailed as error:
                rejected = error  # the rejection is kept with this transaction; it is told after it
            else:
                _pairs(conn, export, contract)
                return _mend(conn, export, contract, run_id, is_first)
    except _NoWholeState as error:  # nothing of the judgement is kept either
        ledger.reject(conn, export_id, str(error))
        raise judging.JudgementFailed(str(error)) from None
    raise rejected


def _normal(column: contracts.Column | None, value: str) -> str:
    """What is compared of a raw text: what the models read of it."""
    kind = column.type if column else "text"
    if kind in ("integer", "decimal", "money", "rate"):
        return f"trim_scale(parse.{'rate' if kind == 'rate' else kind}({value}))::text"
    if kind in ("date", "datetime", "epoch_ms"):
        return f"parse.{ {'date': 'local_date', 'datetime': 'local_time', 'epoch_ms': 'epoch_ms'}[kind] }({value})::text"
    if kind == "boolean":
        return f"coalesce(parse.boolean({value}), false)::text"
    if kind == "json":
        return f"parse.json({value})::text"
    if column is not None and column.words:
        return f"parse.word({value})"
    return f"lower(nullif(btrim({value}), ''))" if kind == "hex64" else f"nullif(btrim({value}), '')"


def _is_shown(column: contracts.Column | None) -> bool:
    """Whether values may be listed: no keys of persons, no free text."""
    return column is not None and not column.personal and (column.type not in ("text", "hex64", "json") or bool(column.words))


_TIME = {"order_events": "created_at"}


def _instant(contract: contracts.Contract) -> str:
    """SQL of the business time of a raw row `r` that decides between two states."""
    if contract.source == "postmart":
        return "parse.local_time(r.event_at)"
    if contract.mode == "snapshot":  # a snapshot shows the moment of its pull: what any of its times says may lie after the day
        return f"greatest({', '.join(f'parse.epoch_ms(r.{c.name})' for c in contract.columns if c.type == 'epoch_ms' and c.keep)})"
    return f"parse.epoch_ms(r.{_TIME.get(contract.dataset, 'updated_at')})"


def _columns(contract: contracts.Contract) -> tuple[list[str], list[str]]:
    """The compared raw columns: of the key as a whole, and of the lines of a block."""
    names = list(rules()["compared"][contract.source][contract.dataset])
    if unknown := set(names) - set(contract.raw_columns):
        raise contracts.ContractError(f"expectations/reconciliation.yml: {contract.source}/{contract.dataset} has no columns {sorted(unknown)}")
    if not contract.row_group:
        return names, []
    filled = {c.name for c in contract.columns if c.fill}
    return [n for n in names if n in filled], [n for n in names if n not in filled]


def _states(contract: contracts.Contract, which: str) -> str:
    """Query of the states that raw rows `r` of exports `e` show: k, t, place, rank and the compared columns; one row per block."""
    key = contract.row_group or contract.key[0]
    heads, lines = _columns(contract)
    by_name = {c.name: c for c in contract.columns}
    shown = ", ".join(f'r."{n}"' for n in heads)
    block, order, rank = "", "", "0"
    if contract.row_group:
        line = "concat_ws(' × ', " + ", ".join(_normal(by_name[n], f'r."{n}"') for n in lines) + ")"
        block = (
            f", string_agg({line}, '; ') over (partition by r.export_id, r.{key} order by {line} rows between unbounded preceding and unbounded following)"
            " as lines_of_block"
        )
        order, rank = f" order by r.export_id, r.{key}, r.source_row", "coalesce(w.rank, 0)"
    first = f"distinct on (r.export_id, r.{key}) " if contract.row_group else ""
    words = " left join pg_temp.reconciled_words as w on w.word = parse.word(r.status_raw)" if contract.row_group else ""
    return f"""select {first}r.{key} as k, {_instant(contract)} as t, r.export_id, r.source_row, e.business_day, e.version, {_AUTHORITY} as authority,
               {rank} as rank, {shown}{block}
        from {contract.raw_table} as r join ops.export as e on e.export_id = r.export_id{words}
        where r.{key} is not null and {which}{order}"""


_AUTHORITY = "case e.unit when 'bulk' then 2 when 'month' then 2 when 'reread' then 1 else 0 end"
_NOT_ASIDE = "not exists (select from ops.set_aside_row as a where a.export_id = r.export_id and a.source_row = r.source_row{more})"


def _withdrawn(contract: contracts.Contract) -> str:
    """As macro `accepted` (dbt_project/macros/layers.sql) has it: what another reconciliation has withdrawn or said instead."""
    key = contract.row_group or contract.key[0]
    reach = "x.business_day = e.business_day" if contract.mode == "snapshot" else "d.kind = 'extra' and x.business_day >= e.business_day"
    return f"""exists (select from ops.difference as d join ops.export as x on x.export_id = d.export_id and x.state = 'accepted'
        where d.is_mended and d.source = e.source and d.dataset = e.dataset and d.key = r.{key} and {reach}
          and (e.unit = '' or e.accepted_at < x.accepted_at))"""


def _pairs(conn: psycopg.Connection[Any], export: ledger.Export, contract: contracts.Contract) -> None:
    """Make pg_temp.pairs: per key both sides at the end of the export's day, what differs, and what that is (`kind`):
    equal | own | later | missing | extra | changed | older; null where a key cannot be held against this delivery."""
    key = contract.row_group or contract.key[0]
    heads, lines = _columns(contract)
    by_name = {c.name: c for c in contract.columns}
    order = "t desc nulls last, authority desc, rank desc, business_day desc, version desc, export_id desc, source_row desc"
    if not contract.row_group:
        order = "t desc nulls last, business_day desc, authority desc, version desc, export_id desc, source_row desc"
    if contract.mode == "snapshot":
        order = "authority desc, version desc, export_id desc, source_row desc"
    reach = {"snapshot": "and e.business_day = %(day)s", "delta": "and e.business_day <= %(day)s"}.get(contract.mode, "")
    ours = f"""e.source = %(source)s and e.dataset = %(dataset)s and e.state = 'accepted' {reach}
        and (e.export_id <> %(id)s or r.{key} in (select d.key from ops.difference as d
             where d.export_id = %(id)s and d.is_mended and d.kind <> 'extra'))
        and {_NOT_ASIDE.format(more="")} and not {_withdrawn(contract)}"""
    if export.unit == "reread":
        ours += f" and r.{key} in (select k from pg_temp.theirs)"
    theirs = f"e.export_id = %(id)s and {_NOT_ASIDE.format(more=' and not a.compared')}"
    differs = ", ".join(
        f"""'{n}', case when o."{n}" is distinct from t."{n}" and {_normal(by_name.get(n), f'o."{n}"')} is distinct from {_normal(by_name.get(n), f't."{n}"')}
            then {f'jsonb_build_array(o."{n}", t."{n}")' if _is_shown(by_name.get(n)) else "'true'::jsonb"} end"""
        for n in heads
    )
    if lines:
        differs += ", 'lines', case when o.lines_of_block is distinct from t.lines_of_block then jsonb_build_array(o.lines_of_block, t.lines_of_block) end"
    end = business_day.end(export.business_day)
    whole = {
        "bulk": "o.t < %(end)s and o.business_day <= %(day)s",
        "month": f"""o.t >= %(month)s and o.t < %(end)s and not exists (select from {contract.raw_table} as r join ops.export as e using (export_id)
                     where e.state = 'accepted' and e.business_day > %(day)s and r.{key} = o.k)""",
        "reread": "false",
    }[export.unit]
    outranks = "(o.business_day, o.authority, o.version) > (t.business_day, t.authority, t.version)"
    if contract.row_group:
        outranks = "(o.authority, o.business_day, o.version) > (t.authority, t.business_day, t.version)"
    # A snapshot's own time says only whether it shows something later than the day; of one day the whole state is right.
    is_older = "false" if contract.mode == "snapshot" else "o.t > t.t"
    params = {
        "id": export.export_id, "source": export.source, "dataset": export.dataset, "day": export.business_day, "end": end,
        "month": business_day.start(export.business_day.replace(day=1)),
    }  # fmt: skip
    for name in ("pairs", "theirs", "ours", "reconciled_words"):
        conn.execute(sql.SQL("drop table if exists {}").format(sql.Identifier("pg_temp", name)))
    if contract.row_group:
        _rank_words(conn, contract)
    conn.execute("create temporary table theirs on commit drop as " + _states(contract, theirs), params)  # type: ignore[arg-type]
    conn.execute(f"create temporary table ours on commit drop as select distinct on (k) * from ({_states(contract, ours)}) as s order by k, {order}", params)  # type: ignore[arg-type]
    conn.execute("analyze pg_temp.theirs")
    conn.execute("analyze pg_temp.ours")
    conn.execute(
        f"""create temporary table pairs on commit drop as
            select p.*, case
                when p.our_export is null then 'missing'
                when p.is_gone then 'extra'
                when p.their_export is null then null
                when p.our_export = %(id)s then 'own'
                when p.is_later then 'later'
                when p.is_older then 'older'
                when p.differs = '{{}}'::jsonb then 'equal'
                when p.is_outranked then 'older'
                else 'changed' end as kind
            from (select coalesce(t.k, o.k) as k, t.export_id as their_export, o.export_id as our_export, {_goods_net(contract)}
                    coalesce(t.k is null and {whole} and not exists
                      (select from {contract.raw_table} as r where r.export_id = %(id)s and r.{key} = o.k), false) as is_gone,
                    coalesce(o.t >= %(end)s, false) as is_later, coalesce({is_older}, false) as is_older,
                    coalesce({outranks}, false) as is_outranked,
                    case when t.k is null or o.k is null then '{{}}'::jsonb else jsonb_strip_nulls(jsonb_build_object({differs})) end as differs
                  from pg_temp.theirs as t full join pg_temp.ours as o on o.k = t.k) as p""",  # type: ignore[arg-type]
        params,
    )


def _goods_net(contract: contracts.Contract) -> str:
    """goods_net (EXPORTS §8.4) of both sides, where the dataset has it."""
    if contract.dataset != "orders":
        return "null::numeric as our_net, null::numeric as their_net,"
    gross, discount = ("goods_amount", "seller_discount") if contract.source == "voso" else ("goods_gross_vnd", "seller_discount_vnd")
    return ", ".join(f"parse.money({side}.{gross}) - parse.money({side}.{discount}) as {name}_net" for side, name in (("o", "our"), ("t", "their"))) + ","


def _rank_words(conn: psycopg.Connection[Any], contract: contracts.Contract) -> None:
    """The rank of each status word, which decides between two states of one second (EXPORTS §8.1)."""
    rank = {row["status"]: int(row["rank"]) for row in judging._seed("order_status")}
    words = [(row["word"], rank[row["canonical"]]) for row in judging._seed_words(contract.source, "order_status")]
    conn.execute(
        """create temporary table reconciled_words on commit drop as
           select parse.word(w.word) as word, max(w.rank) as rank from unnest(%s::text[], %s::int[]) as w (word, rank) group by 1""",
        [[w for w, _ in words], [r for _, r in words]],
    )


def _mend(conn: psycopg.Connection[Any], export: ledger.Export, contract: contracts.Contract, run_id: str | None, is_first: bool) -> Reconciliation:
    """Set aside what says nothing new, list what differs, withdraw what is gone; count; conserve."""
    key = contract.row_group or contract.key[0]
    told: dict[str, int] = dict(conn.execute("select kind, count(*) from pg_temp.pairs where kind is not null group by 1").fetchall())
    known = sum(told.get(k, 0) for k in ("equal", "own", "extra", "changed", "older"))
    limit, gone = rules()["limits"]["withdrawn"], told.get("extra", 0)
    if gone >= limit["rows"] and gone > limit["share"] * known:
        raise _NoWholeState(
            f"{contract.code} {contract.title}, {export.label}: rejected. It does not know {gone:,} of {known:,} keys that the warehouse knows "
            f"(at most {limit['share']:.0%} may be gone), so it is no whole state. First: {', '.join(_sample(conn, ('extra',)))}. "
            f"Nothing was mended or withdrawn. File: {export.origin}. Owner: {OWNER}. Next: ask {export.source}; a new one is compared by the next run. "
            f"Runbook: {RUNBOOK}"
        )
    ids = {"id": export.export_id}
    conn.execute("delete from ops.set_aside_row where export_id = %(id)s and compared", ids)
    conn.execute(
        f"""insert into ops.set_aside_row (export_id, source_row, outcome, compared)
            select r.export_id, r.source_row, case p.kind when 'equal' then 'duplicate' else 'superseded' end, true
            from {contract.raw_table} as r join pg_temp.pairs as p on p.k = r.{key} and p.kind in ('equal', 'later', 'older')
            where r.export_id = %(id)s on conflict do nothing""",  # type: ignore[arg-type]
        ids,
    )
    conn.execute(
        """insert into ops.difference (export_id, source, dataset, key, kind, differs, is_mended)
           select %(id)s, %(source)s, %(dataset)s, k, kind, differs, kind <> 'older' from pg_temp.pairs where kind in ('missing', 'extra', 'changed', 'older')
           on conflict (export_id, key) do update set kind = excluded.kind, differs = excluded.differs, is_mended = excluded.is_mended,
             noticed_at = excluded.noticed_at""",
        ids | {"source": export.source, "dataset": export.dataset},
    )
    ledger.store_counts(conn, export.export_id)
    ledger.conservation(conn, export.export_id)
    mended = sum(told.get(k, 0) for k in ("missing", "extra", "changed"))
    if is_first and not mended:
        conn.execute("delete from ops.change where export_id = %(id)s and build_id is null and release_id is null", ids)
    elif mended and not is_first:
        ledger.change(conn, export, "replayed")
    done = _figures(conn, export, contract, told, mended)
    names = [name for name in Reconciliation.__slots__ if name != "differing"]
    conn.execute(
        f"insert into ops.reconciliation (run_id, export_id, {', '.join(names)}) values (%s, %s, {', '.join(['%s'] * len(names))})",  # type: ignore[arg-type]
        [run_id, export.export_id, *(getattr(done, name) for name in names)],
    )
    log.log(logging.INFO if done.passed else logging.ERROR, "%s", done.message)
    return done


def _figures(conn: psycopg.Connection[Any], export: ledger.Export, contract: contracts.Contract, told: dict[str, int], mended: int) -> Reconciliation:
    """Hold what differs against the limits (Q14; Q18 for orders of a whole state), keep the results of the checks, and say it in words."""
    limits, counts = rules()["limits"], {k: told.get(k, 0) for k in ("missing", "extra", "changed", "older")}
    compared = sum(told.get(k, 0) for k in ("equal", "own")) + sum(counts.values())
    differing, share = sum(counts.values()), sum(counts.values()) / compared if compared else 0.0
    sample = _sample(conn, tuple(counts))
    checks = []
    if export.unit != "month":
        checks.append(("Q14", limits["Q14"]["says"], share <= limits["Q14"]["share"], round(share, 6), limits["Q14"]["share"]))
    sums: Sequence[Any] = (None, None, None, None)
    if contract.dataset == "orders":
        sums = conn.execute(
            """select count(*) filter (where kind <> 'missing'), count(*) filter (where kind <> 'extra'),
                      coalesce(sum(our_net) filter (where kind <> 'missing'), 0), coalesce(sum(their_net) filter (where kind <> 'extra'), 0)
               from pg_temp.pairs where kind is not null and kind <> 'later'"""
        ).fetchone()  # type: ignore[assignment]
        if export.unit != "reread":
            is_same = abs(sums[0] - sums[1]) <= limits["Q18"]["orders"] and abs(sums[2] - sums[3]) <= limits["Q18"]["goods_net_vnd"]
            checks.append(("Q18", limits["Q18"]["says"], is_same, int(abs(sums[2] - sums[3])), limits["Q18"]["goods_net_vnd"]))
    passed = all(ok for _, _, ok, _, _ in checks)
    conn.execute("delete from ops.check_result where export_id = %s and rule_name like 'reconciled_%%'", [export.export_id])
    for rule, says, ok, figure, bound in checks:
        conn.execute(
            """insert into ops.check_result (export_id, rule_id, rule_name, rule, outcome, passed, rows_failed, rows_total, sample, figure, bound)
               values (%s, %s, %s, %s, 'fail', %s, %s, %s, %s, %s, %s)""",
            [export.export_id, rule, f"reconciled_{rule.lower()}", says, ok, differing, compared, json.dumps(sample) if sample else None, figure, bound],
        )
    lead = f"{contract.code} {contract.title}, {export.label}, {export.unit} against the warehouse: {compared:,} compared"
    if not differing:
        words = f"{lead}, no difference."
    else:
        found = ", ".join(f"{n:,} {_IN_WORDS[k]}" for k, n in counts.items() if n)
        money = f" Orders {sums[0]:,} / {sums[1]:,}, goods_net {sums[2]:,} / {sums[3]:,} VND (warehouse / source)." if sums[0] is not None else ""
        failed = "; ".join(f"{rule}: {says}" for rule, says, ok, _, _ in checks if not ok)
        words = (
            f"{lead}, {differing:,} differ ({share:.2%}): {found}.{money} {'Mended: ' + format(mended, ',') if mended else 'Nothing was mended'}. "
            f"First: {', '.join(sample)}. {'Above the limit: ' + failed + '. ' if failed else ''}File: {export.origin}. Owner: {OWNER}. "
            f"Next: read ops.difference of export {export.export_id}. Runbook: {RUNBOOK}"
        )
    orders_warehouse, orders_source, net_warehouse, net_source = sums
    return Reconciliation(
        export.source, export.dataset, export.unit, export.business_day, "mended" if mended else "equal", passed, compared,
        counts["missing"], counts["extra"], counts["changed"], counts["older"], orders_warehouse, orders_source, net_warehouse, net_source, words,
    )  # fmt: skip


_IN_WORDS = {"missing": "the warehouse did not know", "extra": "the source does not know any more", "changed": "say something else",
             "older": "lag behind the warehouse, which stands"}  # fmt: skip


def _sample(conn: psycopg.Connection[Any], kinds: Sequence[str]) -> list[str]:
    """The first keys, each with what it is and which columns differ."""
    rows = conn.execute(
        """select k, kind, (select string_agg(n, ', ' order by n) from jsonb_object_keys(differs) as n) from pg_temp.pairs where kind = any(%s)
           order by k limit %s""",
        [list(kinds), SAMPLE],
    ).fetchall()
    return [f"{k} {kind}" + (f" ({columns})" if columns else "") for k, kind, columns in rows]


# ---- looking things up ---------------------------------------------------------------------------------------------------------


def of_run(conn: psycopg.Connection[Any], run_id: str) -> list[Reconciliation]:
    """What a run compared, in order; of what it compared more than once, each time."""
    names = [name for name in Reconciliation.__slots__ if name != "differing"]
    with conn.cursor(row_factory=class_row(Reconciliation)) as cursor:
        return cursor.execute(f"select {', '.join(names)} from ops.reconciliation where run_id = %s order by reconciliation_id", [run_id]).fetchall()  # type: ignore[arg-type]


def verdict(conn: psycopg.Connection[Any], run_id: str) -> list[str]:
    """What of a run is above the limits or was refused, in words; a refusal that a later try of the same run made good is none."""
    last: dict[tuple[str, str, str], list[Reconciliation]] = {}
    for one in of_run(conn, run_id):
        found = last.setdefault((one.source, one.dataset, one.unit), [])
        last[one.source, one.dataset, one.unit] = [r for r in found if r.state != "refused"] + [one]
    return [one.message for found in last.values() for one in found if not one.passed]
