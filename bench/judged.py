"""The judge beside plain sequential scans of the same rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
from kinhteso import ledger
from kinhteso.warehouse import raw_columns

from bench import data
from bench.data import DAY
from bench.loads import RawLoad
from bench.measuring import Measurement, Ratio, Side, Taken, must_be
from bench.stage import Stage

SHOPS = 28_000
LOADED, JUDGED = "bench_loaded", "bench_judged"


class Loaded:
    """A warehouse with one loaded export of orders, to be judged in a copy of it, and the snapshot of shops that it refers to."""

    def __init__(self, stage: Stage, rows: int, database: str = LOADED) -> None:
        self.stage, self.database = stage, database
        archive, _, self.known = data.order_export(stage.data, rows)
        load = RawLoad(stage, "postmart", [archive], self.known)
        load.name = database
        load.run()
        load.check()
        with psycopg.connect(stage.dsn(database), autocommit=True) as conn:
            (self.export_id,) = conn.execute("select export_id from ops.export where dataset = 'orders'").fetchone() or (0,)
            self._shops(conn, load)
            conn.execute("vacuum analyze")

    def _shops(self, conn: psycopg.Connection[Any], load: RawLoad) -> None:
        day = DAY - timedelta(days=1)
        shops = ledger.export_id("postmart", "stores", "", day, 1)
        conn.execute(
            """insert into ops.export (export_id, source, dataset, unit, business_day, version, mode, state, accepted_at, rows_delivered, rows_loaded)
               values (%s, 'postmart', 'stores', '', %s, 1, 'snapshot', 'accepted', now(), %s, %s)""",
            [shops, day, SHOPS, SHOPS],
        )
        conn.execute(
            "insert into raw.postmart_stores (export_id, source_row, store_code) select %s, n, 'PMS' || lpad(n::text, 7, '0') from generate_series(1, %s) as n",
            [shops, SHOPS],
        )

    def judge(self) -> Taken:
        """In a copy of the database."""
        self.stage.fresh(JUDGED, self.database, by_copy=True)
        return self.stage.ours("judge", dsn=self.stage.dsn(JUDGED), export_id=self.export_id)

    def check(self) -> None:
        """Look at what the run left."""
        with psycopg.connect(self.stage.dsn(JUDGED)) as conn:
            self.look(conn)

    def look(self, conn: psycopg.Connection[Any]) -> None:
        """It is accepted, exactly the rows of the wrong orders stand aside, and every other rule holds."""
        told = conn.execute("select state, rows_delivered, rows_quarantined from ops.export where export_id = %s", [self.export_id]).fetchone()
        must_be(told, ("accepted", self.known.rows, self.known.wrong_rows), "the ledger after the judgement")
        query = "select rule_name, rows_failed from ops.check_result where export_id = %s and not passed"
        must_be(
            dict(conn.execute(query, [self.export_id]).fetchall()),
            {"order_total": self.known.wrong_rows} if self.known.wrong_rows else {},
            "the rules that failed",
        )
        aside = conn.execute(
            """select count(*) from ops.set_aside_row as a join raw.postmart_orders as r on r.export_id = a.export_id and r.source_row = a.source_row
               where r.stt::integer %% %s = %s""",
            [data.WRONG_TOTAL_EVERY, data.WRONG_TOTAL_EVERY - 1],
        ).fetchone()
        must_be(aside, (self.known.wrong_rows,), "the rows that stand aside")

    def scan(self, scans: Callable[[], int]) -> Callable[[], Taken]:
        """So many sequential scans over the same rows, each with a condition on a column of its own that no row meets."""

        def run() -> Taken:
            columns = raw_columns(load_contract_of_orders())
            conditions = [
                f"select count(*) from raw.postmart_orders where export_id = {self.export_id} and {columns[n % len(columns)]} = '?'" for n in range(scans())
            ]
            with psycopg.connect(self.stage.dsn(self.database)) as conn:

                def work() -> None:
                    for condition in conditions:
                        must_be(conn.execute(condition).fetchone(), (0,), condition)  # type: ignore[call-overload]

                return self.stage.timed(work)

        return run

    def groups(self) -> Taken:
        """One sequential scan per group of expectations, those that one query answers (`judging.groups`), with their conditions and nothing kept."""
        from kinhteso import judging

        with psycopg.connect(self.stage.dsn(self.database)) as conn:
            queries = judging.groups(conn, ledger.get(conn, self.export_id), load_contract_of_orders())

            def work() -> None:
                failing = [sum(conn.execute(query).fetchone()[1:]) for query in queries.values()]  # type: ignore[call-overload,index]
                must_be(sum(failing), self.known.wrong_rows, "the rows that fail, by the scans")

            return self.stage.timed(work)


def load_contract_of_orders() -> Any:
    """The contract of A3."""
    from kinhteso.contracts import load_contract

    return load_contract("postmart", "orders")


def judge(stage: Stage, size: float) -> Measurement:
    """2 M rows with the full suite of A3."""
    rows = int(2_000_000 * size)
    loaded, told = Loaded(stage, rows), dict[str, Taken]()

    def run() -> Taken:
        told["ours"] = loaded.judge()
        return told["ours"]

    def groups(by: str) -> Callable[[], int]:
        return lambda: int(told["ours"].more[by])

    def finish() -> None:
        stage.drop(LOADED)

    note = "`select count(*) … where` a column is a value, over one connection"
    sides = [
        Side("kinhteso", rows, run, loaded.check, lambda: stage.drop(JUDGED), note="Great Expectations and SQL, to the verdict in the ledger"),
        Side("a scan per group", rows, loaded.groups, lambda: None, note="each answers a group's expectations over the rows in raw, and keeps nothing"),
        Side("a scan per rule", rows, loaded.scan(groups("rules")), lambda: None, note=note),
        Side("a scan per column and condition", rows, loaded.scan(groups("subjects")), lambda: None, note=note),
    ]
    notes = [
        "A group is what one query can answer: the conditions of a row by itself, those over the rows of an order, and each query by itself"
        " (`judging.groups`). The wish is held against one scan per group that answers it. Told as well are scans that only compare one text column: as many"
        " as the contract has rules (Q03, Q04, Q06, F28, …), and as many as there are columns and conditions."
    ]
    ratios = [
        Ratio("judging, beside a sequential scan per group of expectations", "kinhteso", "a scan per group", "seconds", 1.5),
        Ratio("the same, beside a bare scan per rule", "kinhteso", "a scan per rule", "seconds"),
        Ratio("the same, beside a bare scan per column and condition", "kinhteso", "a scan per column and condition", "seconds"),
    ]
    return Measurement("judge", f"Judging {rows:,} order lines with the full suite", sides, ratios, finish=finish, notes=notes)
