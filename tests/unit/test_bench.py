"""The bench still runs, in small, and what it checks can fail. Nothing is timed here."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench import __main__ as command
from bench import data, days, judged, loads, ours, reporting
from bench.clock import Clock
from bench.measuring import Measurement, Ratio, Side, Taken, WrongResult
from bench.stage import ChildFailed, Stage

ROWS = 300


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    home = Path(tempfile.mkdtemp(prefix="kinhteso-bench-"))
    try:
        with Stage(home, say=lambda _: None, durable=False).running() as running:
            yield running
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(autouse=True)
def _without_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "PEERS", Path("/nowhere/bin/python"))


def test_loads_are_measured_checked_and_told(stage: Stage) -> None:
    told: dict[str, Any] = {}
    assert command.run(stage, ["csv", "json", "xlsx"], 1, 0.0005, told.__setitem__) == []
    assert set(told["csv"]["sides"]) == {"kinhteso", "psql \\copy"}
    assert all(side["seconds"]["median"] > 0 and side["rate"] > 0 for one in told.values() for side in one["sides"].values())
    assert told["csv"]["sides"]["kinhteso"]["peak_mb"] > 1
    results = reporting.merged("csv", told["csv"], reporting.machine(stage), rounds=1, size=0.0005, is_whole=False)
    assert "raw load of an order export, beside \\copy" in reporting.page(results)
    assert not Stage(stage.home / "other").server.throwaway  # what is timed is durable


DAMAGE = (
    "delete from {table} where ctid = (select min(ctid) from {table})",
    "update {table} set {amount} = '1' where ctid = (select min(ctid) from {table})",
    "update {table} set {text} = left({text}, -1) where ctid = (select min(ctid) from {table})",
)


@pytest.mark.parametrize("source", ["postmart", "voso"])
def test_a_damaged_result_is_wrong(stage: Stage, source: str) -> None:
    sides: list[loads.RawLoad | loads.Copied]
    if source == "postmart":
        archive, parts, known = data.order_export(stage.data, ROWS)
        sides = [loads.RawLoad(stage, source, [archive], known), loads.Copied(stage, parts, known, source, "format csv, header, delimiter ';'")]
        amount, text = "line_amount_vnd", "product_name"
    else:
        pages, flat, known = data.order_pages(stage.data, ROWS)
        sides = [loads.RawLoad(stage, source, pages, known), loads.Copied(stage, [flat], known, source, "format csv")]
        amount, text = "goods_amount", "lines"
    for side, database, table in zip(sides, ("bench_ours", "bench_bare"), (f"raw.{source}_orders", "bare"), strict=True):
        side.run()
        damage = [statement.format(table=table, amount=amount, text=text) for statement in DAMAGE]
        if table == "raw.postmart_orders":
            damage.append("update raw.postmart_orders set store_name_key = 'Na Chi Lăng' where source_row = 1")
        with psycopg.connect(stage.dsn(database)) as conn:
            for statement in damage:
                side.look(conn)
                conn.execute(statement)
                with pytest.raises(WrongResult):
                    side.look(conn)
                conn.rollback()
        side.close()


def test_the_judge_has_to_find_what_is_wrong(stage: Stage) -> None:
    loaded = judged.Loaded(stage, 1_000)
    assert loaded.known.wrong_rows > 0
    told = ours.judge(Clock(), stage.fresh(judged.JUDGED, judged.LOADED), loaded.export_id)
    assert 5 < told["rules"] < told["subjects"] < told["checks"]
    assert loaded.scan(lambda: told["rules"])().seconds > 0
    with psycopg.connect(stage.dsn(judged.JUDGED)) as conn:
        for damage in (
            "update ops.export set state = 'rejected' where dataset = 'orders'",
            "update ops.check_result set passed = true where not passed",
            "update ops.set_aside_row set source_row = source_row + 100",
        ):
            loaded.look(conn)
            conn.execute(damage)  # type: ignore[call-overload]
            with pytest.raises(WrongResult):
                loaded.look(conn)
            conn.rollback()


def test_cells_of_the_script_are_held_against_ours() -> None:
    told = {"06505": {"commune_code": "06505", "stores": 2, "completeness": "FULL"}, "06475": {"commune_code": "06475", "stores": 1, "completeness": "FULL"}}
    script = {code: {k: v for k, v in row.items() if k != "completeness"} for code, row in told.items()}
    assert days.differ(told, script) == []
    assert days.differ(told, {"06505": script["06505"]}) == ["commune 06475 is told by one side only"]
    assert days.differ(told, script | {"06475": script["06475"] | {"stores": 3}}) == ["06475 stores: 1 here, 3 by the script"]
    assert days.differ(told, script | {"06475": {"commune_code": "06475"}}) == ["06475 stores: 1 here, None by the script"]


def test_what_is_written_anew_is_seen(stage: Stage) -> None:
    dsn, landing = stage.fresh("bench_quiet"), stage.home / "quiet"
    landing.mkdir()
    (landing / "file").write_text("as it came")
    before = days.stamps(dsn, landing)
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("insert into raw.postmart_stores (export_id, source_row) values (1, 1)")
        one = days.stamps(dsn, landing)
        conn.execute("update raw.postmart_stores set source_row = source_row")  # the same values, another version of the row
    two = days.stamps(dsn, landing)
    (landing / "file").write_text("as it came")
    assert before["rows"] != one["rows"] != two["rows"]
    assert two["rows"] == days.stamps(dsn, landing)["rows"]
    assert days.stamps(dsn, landing)["files"] != two["files"]
    stage.drop("bench_quiet")


def test_the_page_says_what_was_measured() -> None:
    """The tables of docs/performance.md are those of bench/results.json; by hand nothing of them is changed."""
    before, begin, rest = reporting.PAGE.read_text(encoding="utf-8").partition(reporting.BEGIN)
    tables, end, after = rest.partition(reporting.END)
    assert before and begin and end and after
    measured = reporting.page(json.loads(reporting.RESULTS.read_text(encoding="utf-8"))) if reporting.RESULTS.exists() else ""
    assert tables.strip() == measured


def test_a_wrong_result_ends_the_bench_and_takes_its_state_away() -> None:
    closed: list[str] = []

    def wrong() -> None:
        raise WrongResult("no")

    side = Side("ours", 1, lambda: Taken(1.0), wrong, lambda: closed.append("side"))
    measurement = Measurement("m", "M", [side], [], finish=lambda: closed.append("all"))
    with pytest.raises(WrongResult):
        measurement.measure(3, lambda _: None)
    assert closed == ["side", "all"]
    assert side.taken == []


def test_what_fails_is_told_and_the_others_are_kept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> None:
        raise WrongResult("not what was known")

    def of(check: Any) -> Any:
        return lambda *_: Measurement("m", "M", [Side("ours", 1, lambda: Taken(1.0), check)], [])

    monkeypatch.setattr(command, "MEASUREMENTS", {"wrong": of(wrong), "right": of(lambda: None)})
    kept: dict[str, Any] = {}
    assert command.run(stage, ["wrong", "right"], 1, 1.0, kept.__setitem__) == ["wrong: WrongResult: not what was known"]
    assert kept["wrong"] is None
    assert kept["right"]["sides"]["ours"]["seconds"]["median"] == 1.0


def test_a_process_that_fails_is_told(stage: Stage) -> None:
    with pytest.raises(ChildFailed, match="KeyError"):
        stage.ours("no such work")


@pytest.mark.parametrize(
    ("ratio", "value", "reached"),
    [
        (Ratio("", "ours", "peer", "rate", 0.5), 0.5, True),  # 100 rows in 2 s beside 200 rows in 2 s
        (Ratio("", "ours", "peer", "rate", 0.6), 0.5, False),
        (Ratio("", "ours", "peer", "seconds", 1.0), 1.0, True),
        (Ratio("", "ours", "peer", "peak_mb", 1.1), 1.5, False),
        (Ratio("", "ours", "", "time", 1.9), 2.0, False),
        (Ratio("", "ours", "peer", "seconds"), 1.0, None),  # only told
    ],
)
def test_ratios_are_of_medians(ratio: Ratio, value: float, reached: bool | None) -> None:
    ours = Side("ours", 100, lambda: Taken(0), lambda: None, taken=[Taken(s, 0, 30) for s in (9.0, 2.0, 1.0)])
    peer = Side("peer", 200, lambda: Taken(0), lambda: None, taken=[Taken(2.0, 0, 20)])
    assert ratio.value({"ours": ours, "peer": peer}) == pytest.approx(value)
    assert ratio.is_reached(value) is reached
