"""The worlds that measurements run on, at toy size: what stands in them is what a load would have left, the day arrives by the real way, and the totals come
out; a wrong figure fails the run."""

from collections.abc import Iterator

import psycopg
import pytest
from kinhteso import contracts, ledger, warehouse

from bench import questions, worlds

#: Communes of the real seeds and invented ones, on all three lists; days enough for an order to be told of twice.
TOY = worlds.World("toy", days=4, lines=200, stores=200, communes=207, hamlets=2, form_days=2)


@pytest.fixture(scope="module")
def made(module_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[worlds.Made]:
    """A world with the day on top, built once."""
    made = worlds.make(module_dsn, TOY, tmp_path_factory.mktemp("toy"))
    worlds.arrive(made)
    worlds.run_day(made, worlds.Clock())
    yield made


def test_totals_are_those_of_the_plan(made: worlds.Made) -> None:
    assert worlds.check(made, worlds.DAY) > 4_000


@pytest.mark.parametrize(
    ("table", "measure"), [("kpi_commune_daily", "orders_valid"), ("kpi_commune_daily", "store_rate"), ("kpi_province_daily", "revenue_gross_vnd")]
)
def test_a_wrong_figure_is_an_error(made: worlds.Made, table: str, measure: str) -> None:
    one = f"ctid = (select min(ctid) from bi.{table} where date = '{worlds.DAY}' and geography = '2021' and {measure} > 0)"
    with psycopg.connect(made.dsn, autocommit=True) as conn:
        conn.execute(f"update bi.{table} set {measure} = {measure} + 1 where {one}")
        try:
            with pytest.raises(worlds.WrongResult, match="told"):
                worlds.check(made, worlds.DAY)
        finally:
            conn.execute(f"update bi.{table} set {measure} = {measure} - 1 where xmin::text = (select max(xmin::text::bigint)::text from bi.{table})")
    worlds.check(made, worlds.DAY)


@pytest.mark.parametrize("contract", [c for c in contracts.all_contracts() if c.source != "registers"], ids=lambda c: f"{c.source} {c.dataset}")
def test_history_is_what_a_load_leaves(made: worlds.Made, contract: contracts.Contract) -> None:
    """The rows that the real load made of the day's files are those that the history would have been given of that day."""
    names, values = worlds._raw_columns(contract)
    planned = f"select w.source_row, {', '.join(values)} from world.{contract.source}_{contract.dataset}(%(day)s) as w"
    loaded = f"select source_row, {', '.join(names)} from {contract.raw_table} where export_id = %(id)s"
    given = {"day": worlds.DAY, "id": ledger.export_id(contract.source, contract.dataset, "", worlds.DAY, 1)}
    with psycopg.connect(made.dsn) as conn:
        (rows,) = conn.execute(f"select count(*) from ({loaded}) as l", given).fetchone() or (0,)
        assert rows
        assert conn.execute(f"({planned}) except all ({loaded})", given).fetchall() == []
        assert conn.execute(f"({loaded}) except all ({planned})", given).fetchall() == []


def test_ledger_of_the_history_conserves_rows(made: worlds.Made) -> None:
    with warehouse.connect(made.dsn) as conn:
        for (export_id,) in conn.execute("select export_id from ops.export where business_day < %s", [worlds.DAY]).fetchall():
            ledger.conservation(conn, export_id)


def test_every_question_is_answered(made: worlds.Made) -> None:
    answers = questions.ask(made.dsn, worlds.DAY)
    assert {a.question.table for a in answers} == {"kpi_commune_daily", "target_progress_daily", "kpi_district_daily"}
    assert all(a.rows > 0 and a.question.sql in questions.as_text(answers) for a in answers)
