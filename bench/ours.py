"""Kinhteso's work, each piece in a process of its own: `python -m bench.ours load '{...}'`."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bench.clock import Clock, main
from bench.data import PHONE_KEY


def load(clock: Clock, dsn: str, export_id: int, source: str, dataset: str, landing: str) -> dict[str, Any]:
    """From landed bytes to committed raw rows, with ledger, counts, figures of the manifest and keys."""
    from kinhteso import loading, readers, warehouse
    from kinhteso.contracts import load_contract
    from kinhteso.landing import Landing
    from kinhteso.readers import files, pages

    assert readers and files and pages
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
    return {
        "state": verdict.state, "rows": verdict.rows, "rows_quarantined": verdict.rows_quarantined, "checks": len(verdict.checks),
        "failed": sorted(check.name for check in verdict.failed), "groups": len({check.rule for check in verdict.checks}),
    }  # fmt: skip


def read_workbook(clock: Clock, path: str, source: str, dataset: str, day: str) -> dict[str, Any]:
    """Every row of a sheet as the loader gets it."""
    import python_calamine
    from kinhteso.contracts import load_contract
    from kinhteso.landing import Landing, Part
    from kinhteso.readers import files, read

    assert python_calamine and files
    contract, file = load_contract(source, dataset), Path(path)
    export = SimpleNamespace(source=source, dataset=dataset, business_day=date.fromisoformat(day), version=1, unit="")
    amount = next(n for n, c in enumerate(contract.columns) if c.name == "line_amount_vnd")
    clock.start()
    rows = total = 0
    for _, values in read(contract, [Part(1, file.name, file.name, "", 0)], Landing(file.parent), export):
        rows += 1
        total += int((values[amount] or "0").replace(".", ""))
    clock.stop()
    return {"rows": rows, "amount": total}


WORKS = {"load": load, "judge": judge, "read_workbook": read_workbook}

if __name__ == "__main__":
    main(WORKS)
