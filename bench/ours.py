"""Kinhteso's work, each piece in a process of its own: `python -m bench.ours load`."""

from __future__ import annotations

import importlib.util
import re
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.clock import Clock, main
from bench.data import PHONE_KEY


def _import(*modules: str) -> None:
    """What a worker has imported before its work begins, as far as it is there."""
    for module in modules:
        if importlib.util.find_spec(module):
            importlib.import_module(module)


def load(clock: Clock, dsn: str, export_id: int, source: str, dataset: str, landing: str) -> dict[str, Any]:
    """From landed bytes to committed raw rows, with ledger, counts, figures of the manifest and keys."""
    from kinhteso import loading, readers, warehouse
    from kinhteso.contracts import load_contract
    from kinhteso.landing import Landing

    assert readers
    _import("kinhteso.readers.files", "kinhteso.readers.pages", "kinhteso.readers.frames")
    contract = load_contract(source, dataset)
    with warehouse.connect(dsn) as conn:
        clock.start()
        loaded = loading.load(conn, export_id, contract, Landing(landing), PHONE_KEY)
        clock.stop()
    return {"rows": loaded.rows_loaded, "state": loaded.state}


def judge(clock: Clock, dsn: str, export_id: int) -> dict[str, Any]:
    """All expectations of the dataset over a loaded export, to the verdict in the ledger. Great Expectations is imported before: a worker does it once."""
    import great_expectations
    from kinhteso import judging, warehouse
    from kinhteso.contracts import load_contract

    assert great_expectations
    with warehouse.connect(dsn) as conn:
        from kinhteso import ledger

        export = ledger.get(conn, export_id)
        contract = load_contract(export.source, export.dataset)
        clock.start()
        verdict = judging.judge(conn, export_id, contract)
        clock.stop()
    kinds = re.compile("_(required|type|pattern|allowed|words)$")
    return {
        "state": verdict.state, "rows": verdict.rows, "rows_quarantined": verdict.rows_quarantined, "checks": len(verdict.checks),
        "rules": len({check.rule for check in verdict.checks}), "subjects": len({kinds.sub("", check.name) for check in verdict.checks}),
    }  # fmt: skip


def read_workbook(clock: Clock, paths: list[str], source: str, dataset: str, day: str) -> dict[str, Any]:
    """Every row of some sheets as the loader gets it."""
    from kinhteso.contracts import load_contract
    from kinhteso.landing import Landing, Part
    from kinhteso.readers import read

    _import("python_calamine", "kinhteso.readers.files", "kinhteso.readers.frames")
    contract = load_contract(source, dataset)
    export = SimpleNamespace(source=source, dataset=dataset, business_day=date.fromisoformat(day), version=1, unit="")
    amount = [c.name for c in contract.columns].index("line_amount_vnd")
    clock.start()
    rows = total = 0
    for file in map(Path, paths):
        for frame in read(contract, [Part(1, file.name, file.name, "", 0)], Landing(file.parent), export).frames():
            rows += frame.values.height
            total += sum(int(value.replace(".", "")) for value in frame.values.to_series(amount).to_list())
    clock.stop()
    return {"rows": rows, "amount": total}


def day(clock: Clock, dsn: str, home: str, world: dict[str, Any], postmaster: int = 0, again: bool = False) -> dict[str, Any]:
    """A day from its sources to its release, step by step as the DAGs' tasks do it; ``again``: nothing new must come of it."""
    import dbt.adapters.postgres
    import dbt.cli.main
    import great_expectations
    import great_expectations.expectations
    from kinhteso import checking, contracts, intake, judging, loading, publishing, warehouse

    from bench import worlds
    from bench.days import stands

    assert dbt and great_expectations and judging and loading and publishing
    made = stands(worlds.World(**world), dsn, Path(home))
    steps = worlds.Clock(postmaster)
    clock.start()
    if not again:
        release = worlds.run_day(made, steps)
        clock.stop()
        told = [{"name": s.name, "seconds": round(s.seconds, 3), "cpu": round(s.cpu, 3), "cpu_database": round(s.cpu_database, 3)} for s in steps.steps]
        return {"release": release.release_id, "rows_changed": release.rows_changed, "steps": told}
    outbox = worlds.Outbox(made.home / "source")
    with made.project(), warehouse.connect(dsn, "kinhteso bench") as conn:
        for contract in (c for c in contracts.all_contracts() if c.source in ("postmart", "voso")):
            if contract.source == "postmart":
                arrivals = intake.land_postmart(conn, outbox, made.settings, contract.dataset, worlds.DAY, "bench again")
            else:
                pages = worlds.Pages(made.home / "source/voso", worlds.DAY)
                arrivals = intake.land_voso(conn, lambda: pages, made.settings, contract.dataset, worlds.DAY, "bench again")  # noqa: B023
            done = intake.load(conn, made.settings, contract.source, contract.dataset) + intake.judge(conn, made.settings, contract.source, contract.dataset)
            if arrivals.landed or arrivals.refused or done:
                raise worlds.WrongResult(f"{contract.source} {contract.dataset} was taken again: {arrivals}, {done}")
        scope = checking.build(dsn, made.settings.first_day, state_dir=made.home / "dbt")
        if scope is not None:
            publishing.publish(dsn, scope)
    clock.stop()
    return {"built": scope is not None}


def resolve(clock: Clock, path: str, to: str) -> dict[str, Any]:
    """A CSV of addresses to communes, by the command's own function."""
    from kinhteso import addresses
    from kinhteso.addresses import files

    resolver = addresses.resolver()
    clock.start()
    counts = files.resolve_file(Path(path), Path(to), resolver)
    clock.stop()
    return {"rows": sum(counts.rows.values())}


def parse_dags(clock: Clock, folder: str) -> dict[str, Any]:
    """The folder of DAGs as the dag-processor parses it; Airflow and what every DAG file imports are imported before."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()):
        import kinhteso.dagkit
        from airflow.dag_processing.dagbag import DagBag
        from airflow.providers.standard.operators import trigger_dagrun

        assert kinhteso.dagkit and trigger_dagrun
        clock.start()
        bag = DagBag(folder, collect_dags=True)
        clock.stop()
    return {"dags": sorted(bag.dags), "errors": {str(k): v for k, v in bag.import_errors.items()}}


WORKS = {"load": load, "judge": judge, "read_workbook": read_workbook, "day": day, "resolve": resolve, "parse_dags": parse_dags}

if __name__ == "__main__":
    main(WORKS)
