"""From the landing to raw: one export, one transaction, with COPY; text as delivered, keys instead of personal data.

Structural faults are found here, before anything is judged: what the reader refuses (headings, encoding, parts) and figures of the
manifest that do not come out (Q01). Then nothing of the delivery is in raw, the ledger says rejected, and the task fails. Exact
duplicates and older states of a key are kept in raw and set aside.
"""

import io
import logging
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl
import psycopg
import psycopg.copy
from psycopg import sql

from kinhteso import ledger
from kinhteso.blocks import Blocks
from kinhteso.contracts import REGISTER_COLUMNS
from kinhteso.personal import Keys
from kinhteso.readers.frames import ahead, mapped, of_rows
from kinhteso.warehouse import raw_columns, raw_table, select_list

ANALYZE_FROM_ROWS = 2_000
RUNBOOK = "docs/runbooks/export-rejected.md"
#: What stands in raw for a delivered key that is none: it may be the phone itself, which must not reach a table (the row goes to quarantine).
NOT_A_KEY = "not a key"
_HEX64 = "^[0-9a-fA-F]{64}$"
#: A phone or citizen number inside free text (Q17), what stands in its place, and the columns that are no free text: codes of things.
_PERSONAL_NUMBER = re.compile(r"(?<![0-9A-Za-z_])(?:0[0-9]{9}|[0-9]{12})(?![0-9A-Za-z_])")
_HOLDS_NUMBER = r"(?:^|[^0-9A-Za-z_])(?:0[0-9]{9}|[0-9]{12})(?:[^0-9A-Za-z_]|$)"
MASK = "[…]"
_CODE = re.compile("(_id|_code|_codes|_ref|_number|_no|waybill|currency)$")

log = logging.getLogger(__name__)


class LoadRefused(RuntimeError):
    """A delivery that cannot be taken as it is; the ledger says why."""

    def __init__(self, message: str, rule_id: str):
        super().__init__(message)
        self.rule_id = rule_id


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load left behind; rows are counted from the tables."""

    export_id: int
    state: str
    rows_delivered: int
    rows_loaded: int
    rows_duplicate: int
    rows_superseded: int
    warnings: tuple[str, ...] = ()


def load(conn: psycopg.Connection, export_id: int, contract: Any, landing: Any, phone_key: str, *, read: Any = None) -> Loaded:
    """Load one landed export into raw.<source>_<dataset>; again it gives the same rows, and for a judged export it changes nothing.

    `landing` is the root of the landing, `phone_key` the HMAC secret, `read` a stand-in for readers.read in tests. Raises LoadRefused (also
    for a reader's DeliveryRefused) after noting the rejection. Any other error leaves the export landed, with nothing in raw.
    """
    refusal: LoadRefused | None = None
    export = ledger.get(conn, export_id)
    with ledger.locked(conn, export.source, export.dataset, export.business_day):
        export = ledger.get(conn, export_id, for_update=True)
        if export.state in ("judged", "accepted", "superseded") or (export.state == "rejected" and export.loaded_at):
            return _as_loaded(export)
        if export.state == "expected":
            raise ledger.LedgerError(f"{export.label} has not come yet: there is nothing to load")
        try:
            with conn.transaction():
                keys = Keys(phone_key)
                conn.execute("insert into ops.pseudonym_salt (salt) values (%s) on conflict do nothing", [keys.salt()])
                return _load(conn, export, contract, landing, keys, read)
        except LoadRefused as refused:
            refusal = refused
        except Exception as error:
            if not _is_refusal(error):
                raise
            refusal = LoadRefused(_message(export, contract, str(error)), getattr(error, "rule_id", "Q02"))
            refusal.__cause__ = error
        _clear(conn, export, contract)
        conn.execute(
            """update ops.export set state = 'rejected', reason = %s, ended_at = now(), loaded_at = null, rows_delivered = null,
                 rows_loaded = null, rows_quarantined = null, rows_duplicate = null, rows_superseded = null where export_id = %s""",
            [str(refusal), export_id],
        )
        _refusal_result(conn, export, refusal)
    raise refusal


def _is_refusal(error: Exception) -> bool:
    return type(error).__name__ == "DeliveryRefused"


def _message(export: ledger.Export, contract: Any, what: str) -> str:
    return (
        f"{contract.code} {contract.title}, {export.label}: {what.rstrip('.')}. Nothing of it was loaded; the last good state carries on. "
        f"File: {export.origin}. Owner: {contract.owner}. Next: have the source send a corrected version, or correct the contract "
        f"expectations/{export.source}/{export.dataset}.yml and run the task again. Runbook: {RUNBOOK}"
    )


def _as_loaded(export: ledger.Export) -> Loaded:
    return Loaded(export.export_id, export.state, export.rows_delivered or 0, export.rows_loaded or 0, export.rows_duplicate or 0, export.rows_superseded or 0)


def _refusal_result(conn: psycopg.Connection, export: ledger.Export, refusal: LoadRefused) -> None:
    conn.execute(
        """insert into ops.check_result (export_id, rule_id, rule_name, rule, outcome, passed, rows_failed, rows_total)
           values (%s, %s, 'delivery', %s, 'reject', false, 0, 0)""",
        [export.export_id, refusal.rule_id, str(refusal)],
    )


def _clear(conn: psycopg.Connection, export: ledger.Export, contract: Any) -> None:
    """Away with what an earlier try of this export left; what stood in quarantine is history, and the next judgement says what became of it."""
    conn.execute(sql.SQL("delete from {} where export_id = %s").format(raw_table(contract)), [export.export_id])
    conn.execute("delete from ops.set_aside_row where export_id = %s", [export.export_id])
    conn.execute("delete from ops.check_result where export_id = %s and rule_name not like 'landing_warning_%%'", [export.export_id])


def _load(conn: psycopg.Connection, export: ledger.Export, contract: Any, landing: Any, keys: Keys, read: Any) -> Loaded:
    _clear(conn, export, contract)
    if read is None:
        from kinhteso.readers import read as reader

        read = reader
    stream = read(contract, _parts(conn, export), landing, export)
    blocks = Blocks(contract) if contract.row_group else None
    held, masked = _copy(conn, export.export_id, contract, stream, keys, blocks)
    _declared_figures(conn, export, contract, held, stream, blocks)
    _own_bytes(conn, export, contract, held)
    _note_parts(conn, export.export_id, stream.parts)
    if held >= ANALYZE_FROM_ROWS:
        columns = {"export_id", "source_row", *raw_columns(contract)}
        # What rows are found by; the rest is left to autovacuum, which need not hold up the day.
        found_by = dict.fromkeys(["export_id", "source_row", *_key(contract), *([contract.row_group] if contract.row_group else [])])
        conn.execute(sql.SQL("analyze {} ({})").format(raw_table(contract), select_list([c for c in found_by if c in columns])))
    _set_aside(conn, export, contract, blocks)
    conn.execute(
        """update ops.export set state = 'loaded', reason = null, rows_delivered = %s, loaded_at = now(), judged_at = null, ended_at = null
           where export_id = %s""",
        [stream.rows, export.export_id],
    )
    ledger.conservation(conn, export.export_id, ledger.store_counts(conn, export.export_id))
    warnings = tuple(dict.fromkeys([*map(str, stream.warnings or ()), *masked]))
    ledger.note_warnings(conn, export.export_id, "reader", warnings, held)
    done = ledger.get(conn, export.export_id)
    return Loaded(done.export_id, done.state, held, done.rows_loaded or 0, done.rows_duplicate or 0, done.rows_superseded or 0, warnings)


def place_again(conn: psycopg.Connection, export_id: int, contract: Any, landing: Any) -> int:
    """Find the communes of a form that counts again, by the list of today: they are found while it is read. Returns how many rows have moved, and queues
    the form for a build then; the rest of its rows, and what a person decided about them, stays. Raises DeliveryRefused where it cannot be read any more.
    """
    export = ledger.get(conn, export_id)
    with ledger.locked(conn, export.source, export.dataset, export.business_day):
        export = ledger.get(conn, export_id, for_update=True)
        if export.source != "registers" or export.state != "accepted":
            return 0
        from kinhteso.readers import read

        names, stream = list(REGISTER_COLUMNS), read(contract, _parts(conn, export), landing, export)
        placed = ", ".join(f"{name} text" for name in names)
        conn.execute(f"create temporary table placed (source_row bigint primary key, {placed}) on commit drop")  # type: ignore[arg-type]
        with conn.cursor() as cursor, cursor.copy("copy pg_temp.placed from stdin") as copy:
            for source_row, values in stream:
                copy.write_row([source_row, *values[len(contract.columns) :]])
        ours, theirs = (", ".join(f"{table}.{name}" for name in names) for table in ("r", "p"))
        moved = conn.execute(
            f"""update {contract.raw_table} as r set ({", ".join(names)}) = row({theirs}) from pg_temp.placed as p
                where r.export_id = %s and r.source_row = p.source_row and ({ours}) is distinct from ({theirs})""",  # type: ignore[arg-type]
            [export_id],
        ).rowcount
        conn.execute("drop table pg_temp.placed")
        if moved:
            ledger.change(conn, export, "replayed")
        return moved


def _parts(conn: psycopg.Connection, export: ledger.Export) -> list[Any]:
    from kinhteso.landing import Part

    rows = conn.execute("select part_no, path, origin, sha256, bytes from ops.export_part where export_id = %s order by part_no", [export.export_id]).fetchall()
    return [Part(*row) for row in rows]


def _note_parts(conn: psycopg.Connection, export_id: int, parts: Iterable[Any]) -> None:
    with conn.cursor() as cursor:
        cursor.executemany(
            "update ops.export_part set first_row = %s, rows = %s, first_file_row = %s where export_id = %s and part_no = %s",
            [(part.first_row, part.rows, part.first_file_row, export_id, part.part_no) for part in parts],
        )


# ---- COPY ----------------------------------------------------------------------------------------------------------------------


class KnownKeys:
    """What stands in raw for personal values, by kind: values repeat (a store's name on each of its orders) and are keyed once. Bounded, so that memory
    does not grow with the file."""

    LIMIT = 65_536

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._seen: dict[str, pl.DataFrame] = {}

    def columns(self, kind: str, values: pl.Series) -> list[pl.Series]:
        """The raw columns that stand for a personal one."""
        wanted = values.unique().alias("value").to_frame()
        seen = self._seen.get(kind)
        new = wanted if seen is None else wanted.join(seen, on="value", how="anti", nulls_equal=True)
        if seen is None or seen.height + new.height > self.LIMIT:
            seen = self._made(kind, wanted)
        elif not new.is_empty():
            seen = pl.concat([seen, self._made(kind, new)], rechunk=True)
        self._seen[kind] = seen
        return values.alias("value").to_frame().join(seen, on="value", how="left", nulls_equal=True, maintain_order="left").get_columns()[1:]

    def _made(self, kind: str, values: pl.DataFrame) -> pl.DataFrame:
        columns = self._keys.columns(kind, values["value"])
        return values.with_columns(pl.Series(str(n), column, dtype=pl.String) for n, column in enumerate(columns))


class _Ahead(psycopg.copy.QueuedLibpqWriter):
    """Sends to the server from a thread of its own, so that it works while the next frame is made; never more than two of them wait."""

    QUEUE_SIZE = 2


def _copy(conn: psycopg.Connection, export_id: int, contract: Any, stream: Any, keys: Keys, blocks: Blocks | None) -> tuple[int, list[str]]:
    """Stream the rows into COPY, frame by frame; memory holds a few of them. Returns how many the server has taken, and a line per column in which
    numbers were masked."""
    masked: Counter[str] = Counter()
    known = KnownKeys(keys)
    statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(raw_table(contract), select_list(["export_id", "source_row", *raw_columns(contract)]))
    cursor = conn.cursor()
    with cursor.copy(statement, writer=_Ahead(cursor)) as copy:
        for frame in ahead(stream.frames() if hasattr(stream, "frames") else of_rows(stream)):
            if blocks:
                blocks.look(frame)
            buffer = io.BytesIO()
            numbered = [pl.repeat(export_id, len(frame.source_row), dtype=pl.Int64, eager=True).alias("export_id"), frame.source_row.alias("source_row")]
            values = _raw_values(contract, frame.values, known, masked)
            # In this CSV an unquoted empty field is NULL; blank text is NULL in raw anyway.
            pl.DataFrame(numbered + [column.alias(str(n)) for n, column in enumerate(values)]).write_csv(buffer, include_header=False)
            content = buffer.getvalue()
            if b"\0" in content:  # PostgreSQL has no text with NUL
                content = content.replace(b"\0", b"")
                if blocks:
                    blocks.give_up()
            copy.write(content)
    if blocks:
        blocks.end()
    return cursor.rowcount, [f"Q17: {count} values of {heading} held a phone or citizen number; it was masked" for heading, count in masked.items() if count]


def _raw_values(contract: Any, frame: pl.DataFrame, known: KnownKeys, masked: Counter[str]) -> list[pl.Series]:
    """Columns of the raw table from columns of the reader: what is not kept falls away, personal data become keys, personal numbers in free
    text are masked and counted."""
    kept: list[pl.Series] = []
    for column, values in zip(contract.columns, frame, strict=False):
        if not column.keep:
            continue
        if column.personal:
            kept += known.columns(column.personal, values)
        elif column.type == "hex64":
            kept.append(values.set(~values.str.contains(_HEX64), NOT_A_KEY))
        elif _is_free_text(contract, column):
            kept.append(mapped(values, _HOLDS_NUMBER, lambda value: _PERSONAL_NUMBER.sub(_mask, value)))
            masked[column.heading] += int(kept[-1].ne(values).sum())
        else:
            kept.append(values)
    return kept + frame.get_columns()[len(contract.columns) :]


def _is_free_text(contract: Any, column: Any) -> bool:
    return column.type in ("text", "json") and not (
        column.pattern or column.words or column.allowed or column.name in contract.key or _CODE.search(column.name)
    )


def _mask(found: re.Match[str]) -> str:
    """The number away, but not a whole value of JSON: that is an id or an amount."""
    before, after = found.string[: found.start()], found.string[found.end() : found.end() + 1]
    return found[0] if (before.endswith('"') and after == '"') or before.rstrip().endswith('":') else MASK


# ---- what the manifest says (Q01) ----------------------------------------------------------------------------------------------


def _declared_figures(conn: psycopg.Connection, export: ledger.Export, contract: Any, held: int, stream: Any, blocks: Blocks | None) -> None:
    """Rows, orders and control sum of the manifest, or TOTAL of the pages, against what is in raw. Exact; else LoadRefused.

    RULINGS 20: rows count repeats, orders and the control sum count an order once. Where an order comes in two blocks of different
    totals the sum may be meant either way; that order goes to quarantine, not the file. A total that is no number cannot be summed
    either: then only "more than declared" is refused. What `blocks` has proven is taken where it agrees; nothing is refused by it.
    """
    if stream.rows != held:
        raise LoadRefused(_message(export, contract, f"the reader delivered {stream.rows} rows but raw holds {held} (Q01)"), "Q01")
    if export.rows_declared is not None and not _rows_fit(conn, export, contract, held):
        raise LoadRefused(_message(export, contract, f"{export.rows_declared} rows declared, {held} found (Q01)"), "Q01")
    if blocks and export.orders_declared is not None and export.orders_declared != blocks.orders:
        found = conn.execute(
            sql.SQL("select count(distinct {}) from {} where export_id = %s").format(sql.Identifier(contract.row_group), raw_table(contract)),
            [export.export_id],
        ).fetchone()[0]  # type: ignore[index]
        if found != export.orders_declared:
            raise LoadRefused(_message(export, contract, f"{export.orders_declared} orders declared, {found} found (Q01)"), "Q01")
    is_controlled = export.control_total is not None and export.source == "postmart" and export.dataset in _CONTROLLED
    if is_controlled and not (blocks and export.control_total == blocks.total):
        _control_sum(conn, export, contract)


def _own_bytes(conn: psycopg.Connection, export: ledger.Export, contract: Any, held: int) -> None:
    """F65: the changes of a day in the very bytes of another day are that day's file under this day's name. A day without rows looks like any other;
    a snapshot names its day in its title or the names of its parts."""
    if export.mode != "delta" or not held:
        return
    other = conn.execute(
        """select business_day, version from ops.export where source = %s and dataset = %s and sha256 = %s and business_day <> %s
             and state in ('accepted', 'superseded') order by business_day desc limit 1""",
        [export.source, export.dataset, export.sha256, export.business_day],
    ).fetchone()
    if other:
        raise LoadRefused(_message(export, contract, f"it has the bytes of {other[0]} v{other[1]}: another day's file under this day's name (F65)"), "F65")


_CONTROLLED = {"orders": ("order_code", "order_total_vnd"), "refunds": ("refund_code", "refund_amount_vnd")}


def _rows_fit(conn: psycopg.Connection, export: ledger.Export, contract: Any, held: int) -> bool:
    if held == export.rows_declared:
        return True
    if export.source != "voso" or export.is_backlog:
        return False
    # TOTAL counts keys. A row that changed while a cursor was read moves past the window, so fewer than the first TOTAL is complete
    # there (EXPORTS §10.2 step 4; the pull itself has compared both totals).
    distinct = conn.execute(
        sql.SQL("select count(distinct {}) from {} where export_id = %s").format(sql.Identifier(contract.key[0]), raw_table(contract)),
        [export.export_id],
    ).fetchone()[0]  # type: ignore[index]
    if distinct == export.rows_declared:
        return True
    by_cursor = (getattr(contract, "api", None) or {}).get("paging") == "cursor"
    return by_cursor and distinct < export.rows_declared


def _control_sum(conn: psycopg.Connection, export: ledger.Export, contract: Any) -> None:
    key, amount = _CONTROLLED[export.dataset]
    row = conn.execute(
        sql.SQL(
            """with v as (select {key} as k, source_row, {amount} as t, parse.money({amount}) as v from {table} where export_id = %s),
                    o as (select k, (array_agg(v order by source_row))[1] as first, (array_agg(v order by source_row desc))[1] as last,
                                 max(v) as greatest, sum(distinct v) as each_total from v group by k)
               select array[coalesce(sum(first), 0), coalesce(sum(last), 0), coalesce(sum(greatest), 0), coalesce(sum(each_total), 0),
                            (select coalesce(sum(v), 0) from v)],
                      (select count(*) from v where v is null and t is not null)
               from o"""
        ).format(key=sql.Identifier(key), amount=sql.Identifier(amount), table=raw_table(contract)),
        [export.export_id],
    ).fetchone()
    sums, not_a_number = row  # type: ignore[misc]
    allowed = sums if export.dataset == "refunds" else sums[:4]
    if export.control_total in allowed or (not_a_number and min(allowed) < export.control_total):
        return
    raise LoadRefused(_message(export, contract, f"control sum {export.control_total:,} VND declared, {sums[0]:,} VND found (Q01)"), "Q01")


# ---- exact duplicates and older states -----------------------------------------------------------------------------------------


def _set_aside(conn: psycopg.Connection, export: ledger.Export, contract: Any, blocks: Blocks | None) -> None:
    """Exact duplicates, and for pages older states of a key: they stay in raw and do not count."""
    if blocks:
        _set_aside_blocks(conn, export, contract, blocks.suspects)
    elif contract.key:
        _set_aside_rows(conn, export, contract)


def _content(contract: Any) -> list[str]:
    """What makes two rows the same: every raw column but STT, which numbers the rows of a sheet."""
    return [name for name in raw_columns(contract) if name != "stt"]


def _key(contract: Any) -> list[str]:
    return [*contract.key, *(["as_of"] if contract.source == "registers" and contract.key else [])]


def _set_aside_rows(conn: psycopg.Connection, export: ledger.Export, contract: Any) -> None:
    """Per key: equal rows are one (the first); of different rows with UPDATED_AT the latest stands, older ones are superseded. Rows of
    one key that differ without an order between them stay: they are judged (Q04).
    """
    keys, content = _key(contract), _content(contract)
    updated = "updated_at" if export.source == "voso" and "updated_at" in content else None
    query = sql.SQL(
        """with doubled as (select {keys} from {table} where export_id = %(id)s and {keys_given} group by {keys} having count(*) > 1),
                ranked as (select r.source_row,
                             row_number() over (partition by {content} order by r.source_row) as nth,
                             {updated} as updated, max({updated}) over (partition by {rkeys}) as latest
                           from {table} as r join doubled as d on {join} where r.export_id = %(id)s)
           insert into ops.set_aside_row (export_id, source_row, outcome)
           select %(id)s, source_row, case when nth > 1 then 'duplicate' else 'superseded' end from ranked
           where nth > 1 or updated < latest"""
    ).format(
        keys=select_list(keys),
        table=raw_table(contract),
        keys_given=sql.SQL(" and ").join(sql.SQL("{} is not null").format(sql.Identifier(key)) for key in keys),
        rkeys=sql.SQL(", ").join(sql.Identifier("r", key) for key in keys),
        content=sql.SQL(", ").join(sql.Identifier("r", name) for name in content),
        join=sql.SQL(" and ").join(sql.SQL("{} = {}").format(sql.Identifier("r", key), sql.Identifier("d", key)) for key in keys),
        updated=sql.SQL("parse.epoch_ms({})").format(sql.Identifier("r", updated)) if updated else sql.SQL("null::timestamptz"),
    )
    conn.execute(query, {"id": export.export_id})


def _set_aside_blocks(conn: psycopg.Connection, export: ledger.Export, contract: Any, suspects: tuple[list[str], list[int]] | None) -> None:
    """A block of a whole order that is repeated is a duplicate; equal lines inside one block are lines (RULINGS 20).

    A block is a run of rows of one order and one STT. Where a block and its repeat stand next to each other they form one run: it is
    taken apart when it consists of m equal pieces and its lines add up to exactly m times the order's goods amount. ``suspects`` are the orders of
    which this may be true, by their codes and by a row of theirs; None where the table has to be grouped to find them.
    """
    if suspects == ([], []):
        return
    group = sql.Identifier(contract.row_group)
    few = """and {group} in (select unnest(%(codes)s::text[])
                            union select {group} from {table} where export_id = %(id)s and source_row = any(%(rows)s::bigint[]))"""
    found = f"""select {{group}} as g from {{table}} where export_id = %(id)s and {{group}} is not null {few if suspects else ""} group by 1
                having max(source_row) - min(source_row) + 1 <> count(*) or min(stt) <> max(stt)
                    or sum(parse.money(line_amount_vnd)) <> min(parse.money(goods_gross_vnd))"""
    suspect = sql.SQL(found).format(group=group, table=raw_table(contract))  # type: ignore[arg-type]
    content = sql.SQL(", ").join(map(sql.Identifier, _content(contract)))
    query = sql.SQL(
        """with suspect as materialized ({suspect}),
                r as (select source_row, {group} as g, stt, md5(row({content})::text) as content,
                             parse.money(line_amount_vnd) as amount, parse.money(goods_gross_vnd) as goods
                      from {table} where export_id = %(id)s and {group} in (select g from suspect)),
                starts as (select *, lag(g) over w is distinct from g or lag(stt) over w is distinct from stt
                                     or lag(source_row) over w is distinct from source_row - 1 as starts
                           from r window w as (order by source_row)),
                runs as (select *, count(*) filter (where starts) over (order by source_row) as run from starts),
                pieces as (select run, g, count(*) as n,
                             case when min(goods) = max(goods) and min(goods) > 0 and mod(sum(amount), min(goods)) = 0
                                   and mod(count(*), nullif(sum(amount) / min(goods), 0)) = 0
                                  then (count(*) * min(goods) / sum(amount))::bigint else count(*) end as size
                           from runs group by run, g),
                placed as (select r.source_row, r.g, r.run, r.content, p.n, p.size,
                             row_number() over (partition by r.run order by r.source_row) - 1 as at
                           from runs as r join pieces as p on p.run = r.run),
                even as (select run, bool_and(k = 1) as is_even from
                           (select run, at %% size as place, count(distinct content) as k from placed group by 1, 2) as x group by run),
                blocks as (select p.source_row, p.g, p.content, p.run, case when e.is_even then p.at / p.size else 0 end as piece
                           from placed as p join even as e on e.run = p.run),
                whole as (select g, run, piece, min(source_row) as first_row, string_agg(content, ',' order by source_row) as content
                          from blocks group by g, run, piece),
                ranked as (select g, run, piece, row_number() over (partition by g, content order by first_row) as nth from whole)
           insert into ops.set_aside_row (export_id, source_row, outcome)
           select %(id)s, b.source_row, 'duplicate' from blocks as b
           join ranked as k on k.g = b.g and k.run = b.run and k.piece = b.piece
           where k.nth > 1"""
    ).format(group=group, content=content, table=raw_table(contract), suspect=suspect)
    codes, rows = suspects or ([], [])
    conn.execute(query, {"id": export.export_id, "codes": codes, "rows": rows})
