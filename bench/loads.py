"""Raw loads beside COPY, dlt and pandas; workbooks beside calamine and openpyxl."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from kinhteso.contracts import load_contract

from bench import data
from bench.data import DAY, Known
from bench.measuring import Measurement, Ratio, Side, Taken, must_be
from bench.stage import PEERS, Stage

RECEIVED = datetime(2021, 9, 14, 18, 30, tzinfo=UTC)
#: Rows of a sheet, at most (EXPORTS, "Volume form").
LARGEST_SHEET = 50_000


class RawLoad:
    """A delivery that is landed anew in a fresh database for each round, and what raw must hold then."""

    def __init__(self, stage: Stage, source: str, files: Sequence[Path], known: Known) -> None:
        self.stage, self.source, self.files, self.known = stage, source, list(files), known
        self.name, self.taken = "bench_ours", None
        self.contract = load_contract(source, "orders")

    def landed(self) -> tuple[str, int]:
        """DSN of a fresh warehouse in which the delivery has landed, and its export's id."""
        dsn = self.stage.fresh(self.name)
        given: dict[str, Any] = {"received_at": RECEIVED, "rows_declared": self.known.rows}
        if self.source == "postmart":
            given |= {"orders_declared": self.known.orders, "control_total": self.known.total}
        return dsn, self.stage.land(dsn, self.stage.landing / f"{self.source}-{self.known.rows}", self.source, "orders", DAY, self.files, **given)

    def run(self) -> Taken:
        """Load it."""
        dsn, export_id = self.landed()
        where = str(self.stage.landing / f"{self.source}-{self.known.rows}")
        return self.stage.ours("load", dsn=dsn, export_id=export_id, source=self.source, dataset="orders", landing=where)

    def check(self) -> None:
        """Look at what the run left."""
        with psycopg.connect(self.stage.dsn(self.name)) as conn:
            self.look(conn)

    def look(self, conn: psycopg.Connection[Any]) -> None:
        """Raw holds what was delivered, keys stand for names, and the ledger says so."""
        told = conn.execute("select state, rows_delivered, rows_loaded, rows_duplicate, rows_superseded from ops.export where source = %s", [self.source])
        must_be(told.fetchone(), ("loaded", self.known.rows, self.known.rows, 0, 0), "the ledger")
        text = ", ".join(f"coalesce({c}, '')" for c in self.contract.raw_columns)
        found = conn.execute(
            f"select md5(string_agg(concat_ws('|', {text}), chr(10) order by source_row)) from {self.contract.raw_table}"  # type: ignore[arg-type]
            " where (source_row - 1) %% %s = 0",
            [self.known.sample_step],
        ).fetchone()
        must_be(found, (self.known.sample,), "the sampled rows")
        if self.source == "postmart":
            check_lines(conn, self.contract.raw_table, self.known, "order_code", "line_amount_vnd", "product_name")
        else:
            check_orders(conn, self.contract.raw_table, self.known, "goods_amount", "lines")

    def close(self) -> None:
        """Away with the database."""
        self.stage.drop(self.name)


def check_lines(conn: psycopg.Connection[Any], table: str, known: Known, order: str, amount: str, name: str) -> None:
    """Rows, orders, sum and characters of a table of order lines."""
    query = f"select count(*), count(distinct {order}), sum(replace({amount}, '.', '')::bigint), sum(length({name})) from {table}"
    must_be(conn.execute(query).fetchone(), (known.rows, known.orders, known.amount, known.name_characters), f"the lines in {table}")  # type: ignore[call-overload]


def check_orders(conn: psycopg.Connection[Any], table: str, known: Known, amount: str, lines: str) -> None:
    """Rows, sum and characters of a table of orders with their lines."""
    query = f"select count(*), sum({amount}::bigint), sum(length({lines})) from {table}"
    must_be(conn.execute(query).fetchone(), (known.rows, known.amount, known.name_characters), f"the orders in {table}")  # type: ignore[call-overload]


class Copied:
    """`psql \\copy` of files into a table of text columns that is there, WAL-logged as ours is: the floor."""

    def __init__(self, stage: Stage, files: Sequence[Path], known: Known, source: str, options: str) -> None:
        self.stage, self.files, self.known, self.options = stage, files, known, options
        self.source, self.columns = source, [c.name for c in load_contract(source, "orders").columns]

    def run(self) -> Taken:
        """Copy all files in one transaction."""
        dsn = self.stage.fresh("bench_bare", "template0")
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(f"create table bare ({', '.join(f'{c} text' for c in self.columns)})")  # type: ignore[call-overload]
        return self.stage.run_psql(dsn, "begin", *(f"\\copy bare from '{file}' with ({self.options})" for file in self.files), "commit")

    def check(self) -> None:
        """Look at what the run left."""
        with psycopg.connect(self.stage.dsn("bench_bare")) as conn:
            self.look(conn)

    def look(self, conn: psycopg.Connection[Any]) -> None:
        """All of it is there."""
        if self.source == "postmart":
            check_lines(conn, "bare", self.known, "order_code", "line_amount_vnd", "product_name")
        else:
            check_orders(conn, "bare", self.known, "goods_amount", "lines")

    def close(self) -> None:
        """Away with the database."""
        self.stage.drop("bench_bare")


class PeerLoad:
    """A peer of `bench.peers` that fills peer.orders from CSV parts."""

    def __init__(self, stage: Stage, what: str, files: Sequence[Path], known: Known) -> None:
        self.stage, self.what, self.files, self.known = stage, what, files, known

    def run(self) -> Taken:
        """In an empty database."""
        self.stage.fresh("bench_peer", "template0")
        return self.stage.peer(self.what, dsn=url(self.stage, "bench_peer"), folder=str(self.files[0].parent), files=[f.name for f in self.files])

    def check(self) -> None:
        """All of it is there, by the position of its columns."""
        with psycopg.connect(self.stage.dsn("bench_peer")) as conn:
            names = [
                name
                for (name,) in conn.execute(
                    "select quote_ident(column_name) from information_schema.columns where table_schema = 'peer' and table_name = 'orders'"
                    " and column_name not like '\\_dlt%' order by ordinal_position"
                )
            ]
            check_lines(conn, "peer.orders", self.known, names[1], names[14], names[10])

    def close(self) -> None:
        """Away with the database."""
        self.stage.drop("bench_peer")


def url(stage: Stage, database: str) -> str:
    """The address of a database as dlt and SQLAlchemy want it."""
    from psycopg.conninfo import conninfo_to_dict

    info = conninfo_to_dict(stage.dsn(database))
    return f"postgresql://{info['user']}:{info['password']}@{info['host']}:{info['port']}/{database}"


def _has_peers(stage: Stage) -> bool:
    if not PEERS.exists():
        stage.say(f"the peers' environment is not there ({PEERS.parents[1].name}, made by `make bench`): dlt, pandas and openpyxl are left out")
    return PEERS.exists()


def csv_load(stage: Stage, size: float) -> Measurement:
    """2 M rows of orders in the volume form."""
    rows, few = int(2_000_000 * size), max(1, int(200_000 * size))
    archive, parts, known = data.order_export(stage.data, rows)
    ours, copied = RawLoad(stage, "postmart", [archive], known), Copied(stage, parts, known, "postmart", "format csv, header, delimiter ';'")
    sides = [
        Side("kinhteso", rows, ours.run, ours.check, ours.close, note="the ZIP in the landing to committed raw rows, with ledger, hash and keys"),
        Side("psql \\copy", rows, copied.run, copied.check, copied.close, note="the unpacked parts into one bare text table"),
    ]
    if _has_peers(stage):
        _, few_parts, few_known = data.order_export(stage.data, few)
        for name, what, rounds in (("dlt, Arrow", "dlt_arrow", 2), ("dlt, read_csv", "dlt_read_csv", 1), ("pandas to_sql", "pandas_csv", 1)):
            peer = PeerLoad(stage, what, few_parts, few_known)
            sides.append(Side(name, few, peer.run, peer.check, peer.close, rounds=rounds, note=f"{few:,} rows"))
    ratios = [
        Ratio("raw load of an order export, beside \\copy", "kinhteso", "psql \\copy", "rate", 0.7),
        Ratio("the same, beside dlt's read_csv", "kinhteso", "dlt, read_csv", "rate", 25),
        Ratio("the same, beside dlt's Arrow way", "kinhteso", "dlt, Arrow", "rate", 4),
        Ratio("the same, beside pandas to_sql", "kinhteso", "pandas to_sql", "rate", 20),
    ]
    return Measurement("csv", f"Raw load of {rows:,} order lines (ZIP of CSV parts)", sides, ratios)


def json_load(stage: Stage, size: float) -> Measurement:
    """1 M orders as JSON pages."""
    orders = int(1_000_000 * size)
    pages, flat, known = data.order_pages(stage.data, orders)
    ours, copied = RawLoad(stage, "voso", pages, known), Copied(stage, [flat], known, "voso", "format csv")
    sides = [
        Side("kinhteso", orders, ours.run, ours.check, ours.close, note=f"{len(pages):,} gzipped pages of 100 orders to committed raw rows"),
        Side("psql \\copy", orders, copied.run, copied.check, copied.close, note="the same rows as one CSV"),
    ]
    return Measurement(
        "json", f"Raw load of {orders:,} orders (JSON pages)", sides, [Ratio("JSON pages, beside \\copy", "kinhteso", "psql \\copy", "rate", 0.4)], "orders"
    )


def takes_row(number: int) -> bool:
    """Whether the reader's guard lets a sheet reach that row (F71)."""
    from kinhteso.readers import workbook as guard

    return guard._FAR_CELL.search(f'<c r="A{number}" t="s"><v>'.encode()) is None


def workbook(stage: Stage, size: float) -> Measurement:
    """200,000 rows of 25 columns: one sheet, or as many of the contract's largest as it takes where the reader's guard takes no larger one."""
    each = max(50, int((200_000 if takes_row(200_005) else LARGEST_SHEET) * size))
    rows, few = int(200_000 * size) // each * each, max(1, int(20_000 * size))
    books = [data.order_workbook(stage.data, each, first_order=1 + n * each) for n in range(rows // each)]
    paths, amount = [str(path) for path, _ in books], sum(known.amount for _, known in books)
    told: dict[str, Taken] = {}

    def read(name: str, run: Any) -> Any:
        def of() -> Taken:
            told[name] = run()
            return told[name]

        return of

    def check(name: str) -> Any:
        def of() -> None:
            must_be((told[name].more["rows"], told[name].more["amount"]), (rows, amount), f"the sheets as {name} read them")

        return of

    def few_rows() -> None:
        must_be(told["openpyxl"].more["rows"], few, "the rows that openpyxl read")

    sides = [
        Side(
            "kinhteso",
            rows,
            read("kinhteso", lambda: stage.ours("read_workbook", paths=paths, source="postmart", dataset="orders", day=DAY)),
            check("kinhteso"),
        ),
    ]
    if _has_peers(stage):
        peer = PeerLoad(stage, "pandas_excel", [], books[0][1])

        def run_pandas() -> Taken:
            stage.fresh("bench_peer", "template0")
            return stage.peer("pandas_excel", dsn=url(stage, "bench_peer"), path=paths[0], limit=few)

        def check_pandas() -> None:
            with psycopg.connect(stage.dsn("bench_peer")) as conn:
                must_be(conn.execute("select count(*) from peer.orders").fetchone(), (few,), "the rows that pandas wrote")

        sides += [
            Side("calamine", rows, read("calamine", lambda: stage.peer("calamine", paths=paths)), check("calamine"), note="every cell, no more"),
            Side("openpyxl", few, read("openpyxl", lambda: stage.peer("openpyxl", path=paths[0], limit=few)), few_rows, rounds=1, note=f"{few:,} rows"),
            Side("pandas read_excel + to_sql", few, run_pandas, check_pandas, peer.close, rounds=1, note=f"reads the sheet, writes {few:,} rows"),
        ]
    ratios = [
        Ratio("a workbook, beside calamine alone", "kinhteso", "calamine", "seconds", 1.3),
        Ratio("its memory, beside calamine alone", "kinhteso", "calamine", "peak_mb"),
        Ratio("the same, beside openpyxl", "kinhteso", "openpyxl", "rate"),
        Ratio("the same, beside pandas read_excel + to_sql", "kinhteso", "pandas read_excel + to_sql", "rate"),
    ]
    sheets = "a sheet" if len(paths) == 1 else f"{len(paths)} sheets of {each:,} rows (the contract's largest)"
    return Measurement("xlsx", f"Reading {rows:,} rows × 25 columns from {sheets}", sides, ratios)
