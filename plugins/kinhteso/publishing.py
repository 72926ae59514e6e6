"""Publish one release: everything that BI reads changes in one transaction (RELIABILITY I3).

`bi` holds real tables. A release compares them with what dbt built, row by row in the database, deletes and inserts only what differs,
and writes its number and time on the rows it put there: ``release_id`` on a KPI row is the release that gave the row its present values.
A reader therefore sees the old release or the new one, whole, and an unchanged day rewrites nothing.

After a build of what changed it compares the rows that the builds since the last release can have moved, by the predicates with which they forgot them
(ops.build_moved, dbt_project/macros/scopes.sql): a day costs what the day brings. After a build of everything, and of a table that was made again, it
compares all; `strays` does so as well and says what a release has missed.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg import sql

from kinhteso import as_published, catalog, mishaps, restating
from kinhteso.building import BUILD_LOCK, FORGET_SCOPE, BuildScope

#: A reader's statement ends after 60 s, and a reader's idle transaction too (warehouse.BI_STATEMENT_TIMEOUT): whoever holds `bi` lets go before this.
LOCK_SECONDS = 90


#: In ops.build_moved: any row of any table.
ANY = "*"


class PublishBlocked(RuntimeError):
    """Somebody holds a table of `bi` that has to be made again; the last release stands."""


class NotBuilt(RuntimeError):
    """What stands in core and kpi is not what this build left there tested; the last release stands."""


@dataclass(frozen=True)
class Published:
    """A table of `bi`: where it is built, its key, its foreign keys (columns -> table, columns), and the columns that BI is not given. Of a traced
    one a release notes the rows that go and come (pg_temp.gone_<name>, came_<name>), for what is kept of it. ``of``: the table that a view is made of, of
    which builds say what moved; empty: nobody says it of this view, so all of it is compared. ``indexes``: beside the key's."""

    schema: str
    name: str
    key: tuple[str, ...]
    stamped: bool = False
    traced: bool = False
    references: tuple[tuple[tuple[str, ...], str, tuple[str, ...]], ...] = ()
    withheld: tuple[str, ...] = ()
    of: str | None = None
    indexes: tuple[tuple[str, ...], ...] = ()

    @property
    def told_by(self) -> str:
        """The relation of which builds note what they can have moved."""
        return f"{self.schema}.{self.name}" if self.of is None else self.of


_DATE = (("date",), "dim_date", ("date",))
_COMMUNE = (("commune_code", "geography"), "dim_commune", ("commune_code", "geography"))
_PLATFORM = (("platform",), "dim_platform", ("platform",))

#: KPI §4. Dimensions come first, so that foreign keys find them.
TABLES: tuple[Published, ...] = (
    Published("core", "dim_date", ("date",)),
    Published("core", "dim_commune", ("commune_code", "geography")),
    Published("core", "bridge_commune_succession", ("old_code", "old_list", "new_code", "new_list")),
    Published("core", "dim_platform", ("platform",)),
    Published("core", "dim_wallet", ("wallet",), references=(_PLATFORM,)),
    Published("core", "dim_order_status", ("order_status",)),
    Published("core", "dim_location", ("location_key",), references=(_PLATFORM,)),
    Published("core", "dim_hamlet", ("hamlet_key",)),
    # With a household's hamlet, or its place in a list that is kept by hamlet, its stores would give away what kpi_hamlet_daily suppresses.
    Published("core", "dim_household", ("household_version_key",), withheld=("hamlet", "source_row"), of="intermediate.int_households__in_force"),
    Published(
        "core",
        "dim_store",
        ("store_version_key",),
        traced=True,
        references=(_PLATFORM,),
        of="intermediate.int_stores__matched",
        indexes=(("valid_to",), ("platform", "store_code")),
    ),
    Published(
        "core",
        "dim_product",
        ("product_version_key",),
        traced=True,
        references=(_PLATFORM,),
        of="intermediate.int_products__dated",
        indexes=(("valid_to",), ("platform", "product_code")),
    ),
    Published(
        "core",
        "fct_order_line",
        ("order_line_key",),
        traced=True,
        references=(
            _COMMUNE,
            _PLATFORM,
            (("order_status",), "dim_order_status", ("order_status",)),
            (("created_date",), "dim_date", ("date",)),
            (("store_version_key",), "dim_store", ("store_version_key",)),
            (("location_key",), "dim_location", ("location_key",)),
        ),
        indexes=(("platform", "order_code"),),
    ),
    Published(
        "core",
        "fct_refund",
        ("refund_key",),
        traced=True,
        references=(_COMMUNE, _PLATFORM, (("completed_date",), "dim_date", ("date",))),
        indexes=(("platform", "refund_code"),),
    ),
    Published("kpi", "kpi_commune_daily", ("geography", "commune_code", "date"), stamped=True, traced=True, references=(_DATE, _COMMUNE)),
    Published("kpi", "kpi_district_daily", ("geography", "district_code", "date"), stamped=True, references=(_DATE,)),
    Published("kpi", "kpi_province_daily", ("geography", "province_code", "date"), stamped=True, references=(_DATE,)),
    Published("kpi", "kpi_hamlet_daily", ("geography", "commune_code", "hamlet_code", "date"), stamped=True, references=(_DATE, _COMMUNE)),
    Published("kpi", "target_progress_daily", ("level", "unit_code", "indicator", "date"), references=(_DATE,)),
    Published("kpi", "data_status_daily", ("source", "dataset", "date"), references=(_DATE,), of=""),
)

_STAMP = (
    ("release_id", "bigint", "Mã bản phát hành đã đưa ra giá trị của dòng này · Release that gave this row its present values"),
    ("published_at", "timestamp with time zone", "Thời điểm phát hành · When that release was published"),
)

_RELEASE_COLUMNS = (
    ("release_id", "bigint", "Mã bản phát hành · Release number"),
    ("published_at", "timestamp with time zone", "Thời điểm phát hành · When it was published"),
    ("business_date", "date", "Ngày số liệu mới nhất trong bản này · Last business day told of"),
    ("what_changed", "text", "Những gì đã thay đổi so với bản trước · What changed since the release before"),
    ("completeness", "text", "Mức độ đầy đủ của ngày mới nhất · How complete the last day is"),
)


@dataclass(frozen=True)
class Release:
    """What came of a publish. ``is_new`` is false when nothing differed: the last release stands and is named."""

    release_id: int
    business_date: str
    completeness: str
    rows_changed: int
    is_new: bool

    def to_json(self) -> dict[str, Any]:
        """As a task returns it."""
        return asdict(self)


def _built(conn: psycopg.Connection[Any], table: Published) -> list[catalog.Column]:
    """Columns of what was built, without those that BI is not given."""
    return [column for column in catalog.columns(conn, table.schema, table.name) if column[0] not in table.withheld]


def _create(conn: psycopg.Connection[Any], table: Published, columns: list[catalog.Column]) -> None:
    body = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t, _ in columns)  # type: ignore[arg-type]
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    conn.execute(sql.SQL("create table bi.{} ({}, primary key ({}))").format(sql.Identifier(table.name), body, key))
    if "date" in table.key and table.key != ("date",):
        # Who asks for a day's targets asks for one level of units: of a day's rows nine in ten are hamlets.
        day = ("date", *(name for name in ("level", "indicator") if name in table.key))
        conn.execute(sql.SQL("create index on bi.{} ({})").format(sql.Identifier(table.name), catalog.listed(day)))


def _index(conn: psycopg.Connection[Any], table: Published) -> None:
    """Make the indexes that are not there; names say what they are of."""
    for columns in table.indexes:
        name = f"{table.name}_of_{'_'.join(columns)}"
        if not conn.execute("select to_regclass(%s)", (f"bi.{name}",)).fetchone()[0]:  # type: ignore[index]
            statement = sql.SQL("create index {} on bi.{} ({})")
            conn.execute(statement.format(sql.Identifier(name), sql.Identifier(table.name), catalog.listed(columns)))


def _keyed(conn: psycopg.Connection[Any]) -> None:
    """Declare the foreign keys that are not there: of new tables, and those that fell with a table that was made again beneath others."""
    for table in TABLES:
        there = {
            (tuple(own), other)
            for own, other in conn.execute(
                """select array(select attname from unnest(k.conkey) with ordinality as c (n, i)
                                join pg_attribute as a on a.attrelid = k.conrelid and a.attnum = c.n order by c.i)::text[], o.relname
                   from pg_constraint as k join pg_class as o on o.oid = k.confrelid
                   where k.contype = 'f' and k.conrelid = to_regclass(%s)""",
                (f"bi.{table.name}",),
            )
        }
        for own, other, theirs in table.references:
            if (own, other) not in there:
                conn.execute("set constraints all immediate")  # a table with checks to come cannot be altered
                conn.execute(
                    sql.SQL("alter table bi.{} add foreign key ({}) references bi.{} ({}) deferrable initially deferred").format(
                        sql.Identifier(table.name), catalog.listed(own), sql.Identifier(other), catalog.listed(theirs)
                    )
                )


def _prepare(conn: psycopg.Connection[Any]) -> set[str]:
    """Make the tables of `bi` as dbt describes them; a table whose columns changed is made again inside the release's transaction. Gives the names of
    those made again."""
    conn.execute("create schema if not exists bi")
    release = Published("bi", "release", ("release_id",))
    if not catalog.columns(conn, "bi", "release"):
        _create(conn, release, list(_RELEASE_COLUMNS))
        for name, _, text in _RELEASE_COLUMNS:
            conn.execute(sql.SQL("comment on column bi.release.{} is {}").format(sql.Identifier(name), sql.Literal(text)))
        conn.execute("comment on table bi.release is 'Các bản phát hành số liệu · Releases: what BI sees changes only with them'")
    wanted: dict[str, list[catalog.Column]] = {}
    stale = []
    for table in TABLES:
        columns = _built(conn, table) + (list(_STAMP) if table.stamped else [])
        wanted[table.name] = columns
        there = [(n, t) for n, t, _ in catalog.columns(conn, "bi", table.name)]
        if there and there != [(n, t) for n, t, _ in columns]:
            stale.append(table)
    for table in stale:
        old = sql.Identifier(table.name)
        if table.traced:
            conn.execute(sql.SQL("create temporary table {} on commit drop as table bi.{}").format(sql.Identifier(f"gone_{table.name}"), old))
        conn.execute(sql.SQL("drop table bi.{} cascade").format(old))
    for table in TABLES:
        if not catalog.columns(conn, "bi", table.name):
            _create(conn, table, wanted[table.name])
        _index(conn, table)
        catalog.describe(conn, "bi", table.name, wanted[table.name], catalog.comment(conn, table.schema, table.name))
        for side in ("gone", "came") if table.traced else ():
            trace = sql.SQL("create temporary table if not exists {} (like bi.{}) on commit drop")
            conn.execute(trace.format(sql.Identifier(f"{side}_{table.name}"), sql.Identifier(table.name)))
            for column, type_, _ in wanted[table.name] if table in stale and side == "gone" else ():
                add = sql.SQL("alter table pg_temp.{} add column if not exists {} {}")
                conn.execute(add.format(sql.Identifier(f"gone_{table.name}"), sql.Identifier(column), sql.SQL(type_)))  # type: ignore[arg-type]
    return {table.name for table in stale}


def _parts(conn: psycopg.Connection[Any], scope: BuildScope) -> dict[str, list[str]] | None:
    """Of each relation that was built since the last release, predicates over the rows that may have moved; None where that may be any row."""
    since = "build_id > coalesce((select max(build_id) from ops.build where state = 'published' and build_id < %(build)s), 0) and build_id <= %(build)s"
    query = f"select relation, predicate from ops.build_moved where relation = '{ANY}' or {since} group by 1, 2 order by 1, 2"
    rows = conn.execute(query, {"build": scope.build_id}).fetchall()  # type: ignore[arg-type]
    whole = conn.execute(f"select bool_or(is_full_refresh) from ops.build where {since}", {"build": scope.build_id}).fetchone()
    if not rows or rows[0][0] == ANY or whole is None or whole[0] is not False:
        return None
    parts: dict[str, list[str]] = {}
    for relation, predicate in rows:
        parts.setdefault(relation, []).append(predicate)
    return parts


def _equal(table: Published, names: list[str]) -> tuple[sql.Composable, sql.Composable]:
    """Of a row s and a row t: whether they have one key, whether all else is the same."""
    same = sql.SQL(" and ").join(sql.SQL("s.{c} = t.{c}").format(c=sql.Identifier(k)) for k in table.key)
    rest = [n for n in names if n not in table.key]
    if not rest:
        return same, sql.SQL("true")
    return same, sql.SQL("row({}) is not distinct from row({})").format(catalog.listed(rest, "s"), catalog.listed(rest, "t"))


def _apply(conn: psycopg.Connection[Any], table: Published, release_id: int, *, remade: bool = False, parts: list[str] | None = None) -> int:
    """Make bi.<table> equal to what was built; returns the number of rows deleted or inserted. ``parts``: predicates over the rows that may differ; None: all
    of them may."""
    if parts == [] and not remade:
        return 0
    names = [n for n, _, _ in _built(conn, table)]
    source, target = sql.Identifier(table.schema, table.name), sql.Identifier("bi", table.name)
    cols = catalog.listed(names)
    same, equal = _equal(table, names)

    def noted(side: str, change: sql.Composed) -> int:
        """Rows that ``change`` moved; of a traced table they are noted."""
        if not table.traced:
            return conn.execute(change).rowcount
        note = sql.SQL("with moved as ({} returning t.*) insert into {} ({all}) select {all} from moved")
        every = catalog.listed([n for n, _, _ in catalog.columns(conn, "bi", table.name)])
        return conn.execute(note.format(change, sql.Identifier(f"{side}_{table.name}"), all=every)).rowcount

    stamp = sql.SQL(", release_id, published_at") if table.stamped else sql.SQL("")
    values = sql.SQL(", {}, transaction_timestamp()").format(sql.Literal(release_id)) if table.stamped else sql.SQL("")
    insert = sql.SQL("insert into {t} as t ({cols}{stamp}) select {cols}{values} from {s} as s where not exists (select 1 from {w} as t where {found})")
    gone = 0
    if remade or parts is None or "true" in parts:
        # What was never analyzed is not small: a nested loop over a table that is being filled costs the square of it.
        conn.execute("set local enable_nestloop = off")
        if not remade:  # what stood in one made again is noted already
            delete = sql.SQL("delete from {t} as t where not exists (select 1 from {s} as s where {same} and {equal})")
            gone = noted("gone", delete.format(t=target, s=source, same=same, equal=equal))
        came = noted("came", insert.format(t=target, s=source, w=target, cols=cols, stamp=stamp, values=values, found=same))
        conn.execute("set local enable_nestloop = on")
        return max(gone, came)
    now, was = _copied(conn, table, cols, source, parts, "now"), _copied(conn, table, cols, target, parts, "was")
    key = sql.SQL(" and ").join(sql.SQL("w.{c} = t.{c}").format(c=sql.Identifier(k)) for k in table.key)
    delete = sql.SQL(
        "delete from {t} as t using (select * from {was} as t where not exists (select 1 from {now} as s where {same} and {equal})) as w where {key}"
    )
    gone = noted("gone", delete.format(t=target, was=was, now=now, same=same, equal=equal, key=key))
    found = sql.SQL("{} and {}").format(same, equal)
    came = noted("came", insert.format(t=target, s=now, w=was, cols=cols, stamp=stamp, values=values, found=found))
    return max(gone, came)


def _copied(conn: psycopg.Connection[Any], table: Published, cols: sql.Composable, of: sql.Identifier, parts: list[str], side: str) -> sql.Identifier:
    """A copy of the rows of ``of`` that ``parts`` speak of, each once: how many they are the planner knows of a copy alone."""
    name = sql.Identifier(f"{side}_{table.name}")
    chosen = [
        sql.SQL("select {} from {} as t where ({}){}").format(
            cols,
            of,
            sql.SQL(part),
            sql.SQL("".join(f" and ({before}) is not true" for before in parts[:n])),  # type: ignore[arg-type]
        )
        for n, part in enumerate(parts)
    ]
    conn.execute(sql.SQL("create temporary table {} on commit drop as {}").format(name, sql.SQL(" union all ").join(chosen)))
    conn.execute(sql.SQL("analyze {} ({})").format(name, catalog.listed(table.key)))
    return name


def strays(conn: psycopg.Connection[Any]) -> list[str]:
    """One line per table of `bi` that is not what was built, with the number of rows: what a release has missed, or a hand has changed. All of each table is
    compared, however long its history. Empty where all is well, and where a build waits for its release or deliveries are yet to be told
    (`data_status_daily` follows the ledger). Where it is not, the next release compares all and mends it.
    """
    found = []
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s)", (BUILD_LOCK,))
        last = conn.execute("select state from ops.build order by build_id desc limit 1").fetchone()
        if last is None or last[0] != "published":
            return []
        conn.execute("set local enable_nestloop = off")
        for table in TABLES:
            if not table.told_by:
                continue
            same, equal = _equal(table, [n for n, _, _ in _built(conn, table)])
            query = sql.SQL(
                "select (select count(*) from {t} as t where not exists (select 1 from {s} as s where {same} and {equal})),"
                " (select count(*) from {s} as s where not exists (select 1 from {t} as t where {same}))"
            ).format(t=sql.Identifier("bi", table.name), s=sql.Identifier(table.schema, table.name), same=same, equal=equal)
            differ, lack = conn.execute(query).fetchone() or (0, 0)
            if differ or lack:
                found.append(f"bi.{table.name} is not what was built: {differ} rows are otherwise or too many, {lack} are not there; the next release mends it")
        if found:
            conn.execute("insert into ops.build_moved (build_id, relation, predicate) values (0, %s, 'true')", (ANY,))
    return found


def _what_changed(conn: psycopg.Connection[Any], scope: BuildScope, changed: dict[str, int]) -> str:
    exports = conn.execute(
        """
        select c.source, c.dataset, min(c.business_day), max(c.business_day), count(distinct c.export_id)
        from ops.change c where c.build_id = %s and c.kind <> 'superseded' group by 1, 2 order by 1, 2
        """,
        (scope.build_id,),
    ).fetchall()
    came = "; ".join(f"{s}/{d} {a}" + (f"…{b}" if b != a else "") + f" ({n})" for s, d, a, b, n in exports) or "không có tệp mới"
    rows = ", ".join(f"{name} {count}" for name, count in changed.items() if count)
    return f"Nhận: {came}. Dòng thay đổi: {rows or '0'}."


def publish(dsn: str, scope: BuildScope, *, lock_seconds: int = LOCK_SECONDS) -> Release:
    """Publish what ``scope`` built, in one transaction, and close its changes.

    Returns the release; when no table of `bi` differs from what was built and a release exists, that one stands. Raises NotBuilt when another
    build has begun since, PublishBlocked when a reader holds a table for longer than ``lock_seconds`` that has to be made again (F104).
    """
    try:
        with mishaps.told(but=psycopg.errors.LockNotAvailable):
            return mishaps.again_when_in_the_way(lambda: _publish(dsn, scope, lock_seconds))
    except psycopg.errors.LockNotAvailable as error:
        raise PublishBlocked(
            f"Release of build {scope.build_id} ({scope.business_date}) was not published: a table of bi has new columns and somebody has held it for more "
            f"than {lock_seconds} s ({mishaps.first_line(error)}). Holding it are: {_holders(dsn) or 'none any more'}. The last release stands, "
            "whole. Next: clear the task; "
            "a query that never ends is ended with select pg_terminate_backend(<pid>). Owner: data-platform. Runbook: docs/runbooks/build-failed.md"
        ) from error


def _holders(dsn: str) -> str:
    """Who holds tables of `bi`: process number, role, application, since when; no text of a query."""
    with psycopg.connect(dsn) as conn:
        rows = conn.execute(
            """select distinct a.pid, a.usename, coalesce(nullif(a.application_name, ''), 'unnamed'), a.state, to_char(a.xact_start, 'HH24:MI:SS TZ')
               from pg_locks as l join pg_class as c on c.oid = l.relation join pg_namespace as n on n.oid = c.relnamespace
               join pg_stat_activity as a on a.pid = l.pid
               where n.nspname = 'bi' and l.granted and l.pid <> pg_backend_pid()
                 and l.database = (select oid from pg_database where datname = current_database())"""
        ).fetchall()
    return "; ".join(f"pid {pid}, role {role}, {application}, {state} since {since}" for pid, role, application, state, since in rows)


def _is_standing(conn: psycopg.Connection[Any], scope: BuildScope) -> None:
    """The tables hold what the last build wrote, tested or not: only a scope that is the last one, and was built whole, may be published."""
    row = conn.execute("select build_id, state from ops.build order by build_id desc limit 1").fetchone()
    if row is None or row[0] != scope.build_id or row[1] not in ("built", "published"):
        told = "the ledger knows no build" if row is None else f"the last build is {row[0]}, which is {row[1]}"
        raise NotBuilt(
            f"Build {scope.build_id} ({scope.business_date}) cannot be published: {told}, so core and kpi do not hold what build {scope.build_id} tested. "
            "The last release stands. Next: run warehouse_daily from its task build. Owner: data-platform. Runbook: docs/runbooks/build-failed.md"
        )


def _publish(dsn: str, scope: BuildScope, lock_seconds: int) -> Release:
    with psycopg.connect(dsn) as conn:
        conn.execute("set local client_min_messages = warning")
        conn.execute("select pg_advisory_xact_lock(%s)", (BUILD_LOCK,))
        conn.execute("select set_config('lock_timeout', %s, true)", (f"{lock_seconds}s",))
        _is_standing(conn, scope)
        before = catalog.columns(conn, *as_published.TABLE)
        as_published.prepare(conn)
        remade = _prepare(conn)
        as_published.make_view(conn)
        restating.prepare(conn)
        row = conn.execute("select coalesce(max(release_id), 0) + 1 from ops.release").fetchone()  # the lock above keeps others out
        assert row is not None
        release_id = row[0]
        parts = _parts(conn, scope)
        moved = {table.name: None if parts is None or not table.told_by else parts.get(table.told_by, []) for table in TABLES}
        changed = {table.name: _apply(conn, table, release_id, remade=table.name in remade, parts=moved[table.name]) for table in TABLES}
        _keyed(conn)
        for table in TABLES:
            if changed[table.name]:
                catalog.freshen(conn, "bi", table.name)
        is_remembered = restating.remember(conn, None if parts is None else parts.get("intermediate.int_accounts__matched", []))
        told = conn.execute("select completeness from bi.kpi_province_daily where date = %s limit 1", (scope.business_date,)).fetchone()
        completeness = told[0] if told else "FULL"
        last = conn.execute("select release_id, business_date, completeness from bi.release order by release_id desc limit 1").fetchone()
        total = sum(changed.values())
        is_new = total > 0 or last is None
        if is_new:
            text = _what_changed(conn, scope, changed)
            conn.execute(
                "insert into ops.release (release_id, published_at, business_date, completeness, what_changed, rows_changed, project_digest)"
                " overriding system value values (%s, transaction_timestamp(), %s, %s, %s, %s, %s)",
                (release_id, scope.business_date, completeness, text, total, scope.digest),
            )
            conn.execute("insert into bi.release values (%s, transaction_timestamp(), %s, %s, %s)", (release_id, scope.business_date, text, completeness))
            as_published.keep(conn, release_id)
            restating.tell(conn, scope, release_id, before, is_remembered=is_remembered)
        elif last is not None:
            release_id = last[0]
        conn.execute("update ops.change set release_id = %s where build_id = %s and release_id is null", (release_id, scope.build_id))
        conn.execute("update ops.build set state = 'published', ended_at = now() where build_id = %s", (scope.build_id,))
        conn.execute(FORGET_SCOPE)
        if conn.execute("select 1 from pg_roles where rolname = 'bi_reader'").fetchone():
            conn.execute("grant usage on schema bi to bi_reader")
            conn.execute("grant select on all tables in schema bi to bi_reader")
    return Release(release_id, scope.business_date.isoformat(), completeness, total, is_new)
