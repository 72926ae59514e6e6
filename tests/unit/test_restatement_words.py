"""What can move a KPI: each measure of kpi_commune_daily knows its families, and a delivery of each dataset can move something."""

import yaml
from kinhteso import building, restating

#: Follow from seeds alone, so no delivery moves them.
OF_SEEDS = {"phase", "phase_day"}


def measures() -> set[str]:
    told = yaml.safe_load((building.project_dir() / "models/kpi/_kpi__models.yml").read_text(encoding="utf-8"))
    [model] = [m for m in told["models"] if m["name"] == "kpi_commune_daily"]
    return {c["name"] for c in model["columns"] if c["data_type"].startswith(("bigint", "integer", "numeric"))}


def test_every_measure_knows_what_moves_it():
    known = {kpi for kpi, *_ in restating._needs()}
    assert measures() - known == OF_SEEDS, "say in restating._needs() which orders, stores, accounts or registers move the new measure"
    assert known - measures() == {"rates_held"}


def test_what_can_move_a_measure_comes_with_some_dataset():
    needed = {family for _, family, *_ in restating._needs()}
    assert needed == {family for families in restating._CAN_MOVE.values() for family in families}
    assert {way for *_, way in restating._needs()} == {"day", "to_date", "before", "kick_off", "window", "held"}
