"""The dbt project keeps its rules, each rule bites, and what is built and published says what the manifest says."""

from __future__ import annotations

import copy
import csv
import random
from datetime import date, timedelta

import psycopg
import pytest
from kinhteso import alerting, building, freshness, modelling, publishing
from rawworld import D0, RawWorld
from test_incremental import deliver_day, deliver_registers


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return modelling.manifest(tmp_path_factory.mktemp("manifest"))


@pytest.mark.parametrize("rule", modelling.RULES, ids=lambda r: r.__name__)
def test_the_project_keeps_its_rules(manifest, rule):
    assert rule(manifest) == []


def model(given, name):
    return next(m for m in modelling.models(given) if m["name"] == name)


def _reads(name, other):
    def spoil(given):
        model(given, name)["depends_on"]["nodes"].append(other)

    return spoil


def _set(name, *path):
    def spoil(given):
        node = model(given, name)
        for step in path[:-2]:
            node = node[step]
        node[path[-2]] = path[-1]

    return spoil


def _block(name, text):
    def spoil(given):
        given["docs"][f"doc.kinhteso.{name}"] = {
            "package_name": "kinhteso",
            "name": name,
            "block_contents": text,
            "original_file_path": "models/core/_columns.md",
        }

    return spoil


def _drop(where, wanted):
    def spoil(given):
        for key in [k for k, v in given[where].items() if wanted(v)]:
            del given[where][key]

    return spoil


#: (rule, what is spoiled, what the complaint has to say)
SPOILED = {
    "core reads staging": (modelling.layers, _reads("dim_hamlet", "model.kinhteso.stg_registers__hamlets"), "dim_hamlet.sql: core reads stg_registers__hamlets (staging)"),
    "kpi reads what was delivered": (modelling.layers, _reads("target_progress_daily", "source.kinhteso.raw.postmart_orders"), "kpi reads postmart_orders (raw)"),
    "kpi reads the ledger": (modelling.layers, _reads("data_status_daily", "source.kinhteso.ops.export"), "kpi reads export (ledger)"),
    "intermediate reads core": (modelling.layers, _reads("int_days", "model.kinhteso.dim_date.v1"), "int_days.sql: intermediate reads dim_date (core)"),
    "an exception that nothing needs": (modelling.layers, lambda given: model(given, "data_status_daily")["depends_on"].update(nodes=[]), "PASSES lets data_status_daily"),
    "a layer of its own": (modelling.layers, _set("int_days", "fqn", ["kinhteso", "marts", "int_days"]), "there is no layer marts"),
    "contract not enforced": (modelling.contracts, _set("fct_target", "config", "contract", "enforced", False), "fct_target.sql: its contract is not enforced"),
    "comments not persisted": (modelling.contracts, _set("fct_target", "config", "persist_docs", {}), "fct_target.sql: its descriptions are not persisted"),
    "a column without type": (modelling.contracts, _set("dim_date", "columns", "year", "data_type", None), "column year has no data_type"),
    "a column that has its own words": (modelling.descriptions, _set("dim_date", "columns", "year", "doc_blocks", []), "column year is not described by its docs block"),
    "a column described as another": (modelling.descriptions, _set("dim_date", "columns", "year", "doc_blocks", ["doc.kinhteso.month"]), "column year is not described"),
    "a block nobody uses": (modelling.descriptions, _block("moon", "Mặt trăng · Moon"), "docs block moon describes no column"),
    "one language": (modelling.descriptions, _block("year", "Year"), "docs block year is not Vietnamese · English"),
    "Vietnamese without its marks": (modelling.descriptions, _block("year", "Nam · Year"), "docs block year is not Vietnamese · English"),
    "decomposed letters": (modelling.descriptions, _block("year", "Na\u0306m · Year"), "docs block year is not Vietnamese · English"),
    "one text twice": (modelling.descriptions, _block("years", "Năm · Year"), "docs blocks year and years say the same"),
    "public and not published": (modelling.published, _set("fct_target", "access", "public"), "fct_target.sql: access is public, but bi does not publish it"),
    "published and not public": (modelling.published, _set("dim_date", "access", "protected"), "dim_date.sql: access is protected, but bi does publish it"),
    "published without version": (modelling.published, _set("dim_date", "version", None), "dim_date.sql: BI reads it, so it needs a version"),
    "a relation that says its version": (modelling.published, _set("dim_date", "alias", "dim_date_v1"), "its relation is dim_date_v1"),
    "nobody's model": (modelling.published, _set("int_days", "group", None), "int_days.sql: it has no group"),
    "published and not built": (modelling.published, _drop("nodes", lambda n: n["name"] == "dim_wallet"), "publishing.TABLES names dim_wallet"),
    "no limit": (modelling.freshness, lambda given: given["sources"]["source.kinhteso.raw.registers_teams"].update(freshness=None), "registers_teams has no freshness"),
    "age of the load": (modelling.freshness, lambda given: given["sources"]["source.kinhteso.raw.voso_orders"].update(loaded_at_query=None), "voso_orders has no freshness"),
    "a model without a unit test": (modelling.unit_tests, _drop("unit_tests", lambda u: u["model"] == "int_flows__by_day"), "int_flows__by_day.sql: it has no unit test"),
    "a unit test of the full way only": (modelling.unit_tests, _drop("unit_tests", lambda u: u["name"].startswith("only_touched")), "int_flows__by_day.sql: no unit test of its incremental way"),
    "a unit test of the incremental way only": (modelling.unit_tests, _drop("unit_tests", lambda u: u["name"].startswith("flows_are")), "int_flows__by_day.sql: no unit test of its full way"),
    "a list of models that drifts": (modelling.unit_tests, _drop("nodes", lambda n: n["name"] == "dim_wallet"), "WITHOUT_LOGIC names dim_wallet"),
    "nobody reads it": (modelling.exposures, _drop("exposures", lambda e: e["name"] == "sales"), "nobody is named who reads dim_order_status"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPOILED)
def test_a_rule_bites(manifest, case):
    rule, spoil, says = SPOILED[case]
    given = copy.deepcopy(manifest)
    spoil(given)
    assert any(says in line for line in rule(given)), rule(given)


def test_a_reference_past_its_layer_does_not_parse(tmp_path, monkeypatch):
    import shutil

    project = tmp_path / "dbt_project"
    shutil.copytree(building.project_dir(), project, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "models" / "core" / "dim_extra.sql").write_text("select * from {{ ref('stg_registers__hamlets') }}")
    monkeypatch.setenv("KINHTESO_DBT_PROJECT", str(project))
    with pytest.raises(RuntimeError, match="dim_extra.*stg_registers__hamlets"):
        modelling.manifest(tmp_path / "state")


# ---- what is built and published -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def released(module_dsn, tmp_path_factory):
    """DSN of a warehouse of which a day was released, and the state folder of its build."""
    dsn, state = module_dsn, tmp_path_factory.mktemp("dbt")
    rng = random.Random(5)
    with open(building.project_dir() / "seeds" / "commune_crosswalk.csv", encoding="utf-8", newline="") as f:
        communes = [r for r in csv.DictReader(f) if r["list"] == "2021"]
    with psycopg.connect(dsn, autocommit=True) as conn:
        world = RawWorld(conn, communes)
        deliver_registers(world, date(2021, 9, 1), rng)
        for unit in ("187_06463", "187_06466"):
            world.deliver("registers", "teams", date(2021, 9, 4), [], unit=unit, mode="form")
        deliver_day(world, D0, rng)
    publishing.publish(dsn, building.build(dsn, D0, state_dir=state))
    return dsn, state


#: Columns of the relations of a schema with their comments, and the relations' own (column '').
_COMMENTS = """
select c.relname, coalesce(a.attname, ''), d.description, format_type(a.atttypid, a.atttypmod)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_description d on d.objoid = c.oid and d.objsubid = coalesce(a.attnum, 0) and d.classoid = 'pg_class'::regclass
where n.nspname = %(schema)s and c.relkind in ('r', 'v', 'm', 'p')
union all
select c.relname, '', obj_description(c.oid, 'pg_class'), null from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relkind in ('r', 'v', 'm', 'p')
"""


@pytest.mark.parametrize("schema", ["core", "kpi", "bi"])
def test_every_column_says_in_two_languages_what_it_is(released, schema):
    with psycopg.connect(released[0]) as conn:
        rows = conn.execute(_COMMENTS, {"schema": schema}).fetchall()
    assert len(rows) > 80
    silent = [f"{schema}.{table}.{column}" for table, column, text, _ in rows if not (text and modelling._two_languages(text))]
    assert silent == []


def test_what_is_published_is_what_the_contracts_say(released, manifest):
    alias = {"timestamptz": "timestamp with time zone"}
    with psycopg.connect(released[0]) as conn:
        found = {}
        for table, column, _, kind in conn.execute(_COMMENTS, {"schema": "bi"}):
            if column:
                found.setdefault(table, {})[column] = kind
    assert set(found) >= {t.name for t in publishing.TABLES} | {"release"}
    for table in publishing.TABLES:
        wanted = {n: alias.get(c["data_type"], c["data_type"]) for n, c in model(manifest, table.name)["columns"].items() if n not in table.withheld}
        wanted |= {n: t for n, t, _ in publishing._STAMP} if table.stamped else {}
        assert found[table.name] == wanted, table.name


# ---- how old the data are ------------------------------------------------------------------------------------------------------


def test_a_stale_form_is_told_by_the_date_of_its_data(released):
    dsn, state = released
    with psycopg.connect(dsn, autocommit=True) as conn:
        ages = {(a.source, a.dataset): a.status for a in freshness.measure(dsn, state)}
        assert ("registers", "targets") not in ages and set(ages.values()) == {"pass"}, ages
        assert "source_stale" not in {c.kind for c in alerting.collect(conn, alerting.datetime.now(alerting.LOCAL))}
        assert conn.execute("select age_days, limit_days from ops.source_freshness where dataset = 'teams'").fetchone() == ((D0 - date(2021, 9, 4)).days, 10)
        # loaded a moment ago, and yet old: its data are of 1 September
        older = "update ops.export set business_day = %s, accepted_at = now() where source = 'registers' and dataset = 'teams' and unit = %s"
        conn.execute(older, [D0 - timedelta(days=11), "187_06463"])
        assert {a.status for a in freshness.measure(dsn, state)} == {"pass"}, "another commune's is newer"
        assert conn.execute("select units, units_late from ops.source_freshness where dataset = 'teams'").fetchone() == (2, 1)
        conn.execute(older, [D0 - timedelta(days=11), "187_06466"])
        conn.execute("update ops.export set business_day = %s where source = 'voso' and dataset = 'orders'", [D0 - timedelta(days=1)])
        ages = {(a.source, a.dataset): a.status for a in freshness.measure(dsn, state)}
        assert {k for k, v in ages.items() if v == "warn"} == {("registers", "teams"), ("voso", "orders")}
        causes = [c for c in alerting.collect(conn, alerting.datetime.now(alerting.LOCAL)) if c.kind == "source_stale"]
        assert [c.key for c in causes] == ["source_stale|registers/teams"], "a platform's missing day is another message"
        assert "11 days before 12/09/2021; limit 10 days; 2 of 2 units that have sent one are past it" in causes[0].facts["words"]
        build = conn.execute("select max(build_id) from ops.build").fetchone()[0]
        assert freshness.unknown(conn, build) == []


def test_an_age_that_cannot_be_measured_is_told(released, tmp_path, monkeypatch):
    import shutil

    dsn, _ = released
    project = tmp_path / "dbt_project"
    shutil.copytree(building.project_dir(), project, ignore=shutil.ignore_patterns("target", "logs"))
    macro = project / "macros" / "freshness.sql"
    macro.write_text(macro.read_text().replace("from ops.build as b", "from ops.no_such_table as b"))
    monkeypatch.setenv("KINHTESO_DBT_PROJECT", str(project))
    freshness.measure(dsn, tmp_path / "state")
    with psycopg.connect(dsn, autocommit=True) as conn:
        lines = freshness.unknown(conn, conn.execute("select max(build_id) from ops.build").fetchone()[0])
    assert any("registers/teams could not be measured" in line and "no_such_table" in line for line in lines), lines
