"""Keys of households and accounts cannot be computed by who has the register (RELIABILITY, privacy 2): keyed by a load, the same in every build, the salt
nowhere but in its table."""

import datetime as dt

import deliveries
import psycopg
import pytest
from deliveries import PHONE_KEY
from kinhteso import building, explaining, publishing
from kinhteso.personal import Keys
from psycopg.conninfo import make_conninfo
from rawworld import D0, SALT, RawWorld, local, pseudonym
from test_restating import communes

JULY = dt.date(2021, 7, 1)
TABLES = {
    "bi.dim_store": "household_key", "bi.dim_household": "household_key", "bi.fct_order_line": "household_key", "core.fct_lead_household": "household_key",
    "core.fct_account_state": "household_key",
}  # fmt: skip


@pytest.fixture(scope="module")
def built(postgres, template, tmp_path_factory):
    """A household with a store, an order, an account and a recognition; the folder of dbt's artefacts."""
    name = "kinhteso_pseudonyms"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"drop database if exists {name} with (force)")
        admin.execute(f"create database {name} template {template}")
    dsn, state = make_conninfo(postgres, dbname=name), tmp_path_factory.mktemp("dbt")
    with psycopg.connect(dsn, autocommit=True) as conn:
        world, (a, *_) = RawWorld(conn, communes()), communes()
        unit = f"{a['gso_district_code']}_{a['gso_code']}"
        rows = {
            "hamlets": [{"hamlet_raw": "Thôn Phố Cũ", "households": "20", "commune_code": a["gso_code"], "as_of": str(JULY)}],
            "households": [world.household("H-1", a, phone="p1", as_of=JULY)],
            "leads": [{"household_code": "H-1", "recognised_on": "01/08/2021", "hamlet_raw": "Thôn Phố Cũ", "commune_code": a["gso_code"], "as_of": str(JULY)}],
        }
        for dataset, told in rows.items():
            world.deliver("registers", dataset, JULY, told, unit=unit, mode="form")
        world.deliver("postmart", "stores", D0, [world.postmart_store(1, a, phone="p1", approved=JULY)], mode="snapshot", is_backlog=True)
        account = {"account_ref": "PP-1", "phone_key": "p1", "kyc_level": "2", "kyc_at": "10/08/2021", "opened_at": "10/08/2021", "status_raw": "Hoạt động",
                   "commune_src_code": a["vnpost_commune_code"], "commune_name": a["gso_name"]}  # fmt: skip
        world.deliver("postmart", "accounts", D0, [account], mode="snapshot", is_backlog=True)
        order = world.postmart_order("PM210912000000001", "PMS0000001", local(D0), "Đã giao", local(D0, 15), [70_000], delivered=local(D0, 15))
        world.deliver("postmart", "orders", D0, order, is_backlog=True)
        publishing.publish(dsn, building.build(dsn, D0, state_dir=state))
        yield conn, dsn, state, a["gso_code"]
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"drop database {name} with (force)")


def keys(conn) -> dict[str, set]:
    return {t: {k for (k,) in conn.execute(f"select {c} from {t}") if k} for t, c in TABLES.items()}


def test_everywhere_the_same_and_keyed(built):
    conn, dsn, state, _ = built
    household = pseudonym("household|H-1")
    assert keys(conn) == dict.fromkeys(TABLES, {household})
    assert conn.execute("select distinct account_key from core.fct_account_state").fetchall() == [(pseudonym("account|postmart|PP-1"),)]
    versions = conn.execute("select household_version_key from bi.dim_household union select account_version_key from core.fct_account_state").fetchall()
    publishing.publish(dsn, building.build(dsn, D0, full_refresh=True, state_dir=state))
    assert keys(conn) == dict.fromkeys(TABLES, {household}), "in every build"
    # nothing of them is told by the codes alone: under another salt all are others
    with conn.transaction(force_rollback=True):
        conn.execute("update ops.pseudonym_salt set salt = repeat('0', 64)")
        again = "select household_key from core.dim_household union select household_version_key from core.dim_household"
        again += " union select account_key from core.fct_account_state union select account_version_key from core.fct_account_state"
        assert {k for (k,) in conn.execute(again)} & {household, pseudonym("account|postmart|PP-1"), *(k for (k,) in versions)} == set()


def test_a_cell_is_explained_by_the_same_keys(built):
    conn, _, _, commune = built
    for kpi, entity in (("households_with_store", "household|H-1"), ("lead_households", "household|H-1"), ("accounts", "account|postmart|PP-1")):
        found = explaining.explain(conn, explaining.Cell(commune, D0, kpi))
        assert found.problems == [] and {e.shown for e in found.explanation.entities} == {pseudonym(entity)}, kpi


def test_the_salt_is_in_no_artefact_and_nobody_of_bi_reads_it(built):
    conn, _, state, _ = built
    files = [p for p in state.rglob("*") if p.is_file()]
    assert any("pseudonym_salt" in p.read_text(errors="ignore") for p in files), "what dbt has compiled is there"
    assert not [p for p in files if SALT.encode() in p.read_bytes()]
    assert not conn.execute(
        "select has_table_privilege('bi_reader', 'ops.pseudonym_salt', 'select') and has_schema_privilege('bi_reader', 'ops', 'usage')"
    ).fetchone()[0]


def test_other_keys_move_no_figure(built):
    """As when a warehouse of before is built by this: everything again, under other keys, and nothing that was published is restated."""
    conn, dsn, state, _ = built
    figures = "select geography, commune_code, date, stores, households_with_store, lead_households, accounts, revenue_net_vnd from bi.kpi_commune_daily order by 1, 2, 3"
    before, old = conn.execute(figures).fetchall(), keys(conn)
    conn.execute("update ops.pseudonym_salt set salt = repeat('0', 64)")
    try:
        publishing.publish(dsn, building.build(dsn, D0, full_refresh=True, state_dir=state))
        assert all(old[t] & new == set() and new for t, new in keys(conn).items())
        assert conn.execute(figures).fetchall() == before
        assert conn.execute("select count(*) from bi.kpi_restatement").fetchone() == (0,)
        assert conn.execute("select count(distinct account_key) from ops.account_as_published").fetchone() == (1,)
    finally:
        conn.execute("update ops.pseudonym_salt set salt = %s", [SALT])


def test_the_first_load_keys_them_for_good(db, monkeypatch):
    """Of the secret, one way; a changed secret changes nothing, and where nothing has been loaded yet nothing is there."""
    assert db.execute("select count(*) from ops.pseudonym_salt").fetchone() == (0,)
    for n, key in enumerate((PHONE_KEY, "another"), 1):
        export_id = deliveries.land(db, "registers", "households", [deliveries.household(n)], version=n)
        monkeypatch.setattr(deliveries, "PHONE_KEY", key)
        deliveries.load(db, export_id, [deliveries.household(n)])
        assert db.execute("select salt from ops.pseudonym_salt").fetchone() == (Keys(PHONE_KEY).salt(),)
    assert PHONE_KEY not in Keys(PHONE_KEY).salt()
