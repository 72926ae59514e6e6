"""The registry of measures: none of KPI §4 missing, each text in both languages, each part a measure, each rule and dataset one that exists."""

import re
from pathlib import Path

import pytest
import yaml
from kinhteso import contracts
from kinhteso.explaining.telling import PART_WORDS
from kinhteso.kpis import KINDS, KPIS, PERIODS, STORES_OF_HOUSEHOLDS, UNITS, Words
from kinhteso.progress import COLUMNS, HAMLET_KPIS

ROOT = Path(__file__).parents[2]
#: Names and codes of the unit, which are no measures.
KEYS = {"geography", "commune_code", "commune_name", "district_code", "district_name", "date"}
KNOWN = {**KPIS, STORES_OF_HOUSEHOLDS.key: STORES_OF_HOUSEHOLDS}


def test_every_column_of_kpi_commune_daily_is_a_measure_and_every_measure_a_column():
    models = yaml.safe_load((ROOT / "dbt_project/models/kpi/_kpi__models.yml").read_text())["models"]
    columns = next([c["name"] for c in m["columns"]] for m in models if m["name"] == "kpi_commune_daily")
    assert set(KPIS) == {c for c in columns if c not in KEYS} | {"release_id", "published_at"}


@pytest.mark.parametrize(
    ("table", "told", "names"),
    [("kpi_hamlet_daily", set(HAMLET_KPIS) - {"release_id", "published_at"}, KEYS | {"hamlet_code", "hamlet_name"}),
     ("target_progress_daily", set(COLUMNS), {"level", "unit_code", "unit_name", "commune_code", "district_code", "indicator", "date"})],
)  # fmt: skip
def test_every_column_of_hamlets_and_targets_is_told(table, told, names):
    models = yaml.safe_load((ROOT / "dbt_project/models/kpi/_kpi__models.yml").read_text())["models"]
    assert told == {c["name"] for m in models if m["name"] == table for c in m["columns"]} - names


@pytest.mark.parametrize("kpi", [*HAMLET_KPIS.values(), *COLUMNS.values()], ids=lambda kpi: kpi.key)
def test_a_measure_of_hamlets_and_targets_is_told_in_both_languages(kpi):
    assert kpi.unit in UNITS and kpi.rule and all(words.vi.strip() and words.en.strip() for words in (kpi.name, kpi.definition, kpi.formula))
    assert "của xã" not in kpi.definition.vi or kpi.key not in HAMLET_KPIS


@pytest.mark.parametrize("kpi", KNOWN.values(), ids=lambda kpi: kpi.key)
def test_a_measure_is_told_whole(kpi):
    assert kpi.unit in UNITS and kpi.kind in KINDS and kpi.period in PERIODS and kpi.rule
    texts = [kpi.name, kpi.definition, kpi.formula, kpi.protection, *kpi.limits, *kpi.questions]
    for text in texts:
        assert isinstance(text, Words) and text.vi.strip() and text.en.strip()
    assert all(re.fullmatch(r"KPI §\d(\.\d+)?|RULINGS \d+", rule) for rule in kpi.rule), kpi.rule
    assert set(kpi.sources) <= {f"{c.source}/{c.dataset}" for c in contracts.all_contracts()}
    assert all(key in KNOWN and (kpi.period == "base" or role in PART_WORDS) for role, key in kpi.parts)
    assert bool(kpi.parts) >= (kpi.kind in ("rate", "multiple", "difference")) and len(set(kpi.sources)) == len(kpi.sources)
    assert kpi.additive == (kpi.kind not in ("rate", "multiple", "attribute"))


def test_every_kpi_of_stores_accounts_and_facts_is_in_00000_and_no_other():
    """RULINGS 1."""
    facts = {"stores", "stores_unmatched", "accounts", "accounts_unmatched", "products_on_sale", "orders_placed", "orders_valid", "orders_delivered",
             "orders_cancelled", "orders_returned", "orders_out_of_province", "revenue_gross_vnd", "refunds_vnd", "revenue_net_vnd"}  # fmt: skip
    assert {k for k, v in KPIS.items() if v.in_00000 and v.kind != "attribute"} == facts
