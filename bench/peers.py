"""The peers, in their own environment (`requirements-bench.txt`): what somebody would write with them for the same files, in their documented way."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from bench.clock import Clock, main


def dlt_read_csv(clock: Clock, dsn: str, folder: str, files: list[str]) -> dict[str, Any]:
    """`filesystem | read_csv` to Postgres: dlt's documented way for CSV (pandas in chunks of 10,000 rows, rows as dicts, its default loader files)."""
    import dlt
    import pandas
    from dlt.sources.filesystem import filesystem, read_csv

    assert pandas
    with _pipelines() as home:
        pipeline = dlt.pipeline("bench_read_csv", pipelines_dir=home, destination=dlt.destinations.postgres(dsn), dataset_name="peer", progress=None)
        clock.start()
        found = filesystem(bucket_url=Path(folder).as_uri(), file_glob="*.csv")
        chosen = found.add_filter(lambda item: item["file_name"] in files)
        reader = (chosen | read_csv(sep=";", dtype=str, encoding="utf-8-sig", keep_default_na=False)).with_name("orders")
        pipeline.run(reader, write_disposition="append")
        clock.stop()
    return {"version": dlt.__version__}


def dlt_arrow(clock: Clock, dsn: str, folder: str, files: list[str]) -> dict[str, Any]:
    """A resource that yields pyarrow's batches of text columns, loaded by dlt as CSV: the fastest that its documentation knows for Postgres."""
    import dlt
    import pyarrow
    from pyarrow import csv

    @dlt.resource(name="orders", write_disposition="append")
    def orders() -> Any:
        for file in files:
            with open(Path(folder) / file, encoding="utf-8-sig") as f:
                names = f.readline().rstrip("\r\n").split(";")
            convert = csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string()), strings_can_be_null=True)
            parse = csv.ParseOptions(delimiter=";", newlines_in_values=True)
            with csv.open_csv(Path(folder) / file, csv.ReadOptions(block_size=8 << 20), parse, convert) as reader:
                for batch in reader:
                    yield pyarrow.Table.from_batches([batch])

    with _pipelines() as home:
        pipeline = dlt.pipeline("bench_arrow", pipelines_dir=home, destination=dlt.destinations.postgres(dsn), dataset_name="peer", progress=None)
        clock.start()
        pipeline.run(orders(), loader_file_format="csv")
        clock.stop()
    return {"version": dlt.__version__}


def pandas_csv(clock: Clock, dsn: str, folder: str, files: list[str]) -> dict[str, Any]:
    """`read_csv` + `to_sql` in chunks of 50,000 rows, as its documentation has it."""
    import pandas
    import sqlalchemy

    engine = sqlalchemy.create_engine(dsn)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create schema peer"))
    clock.start()
    for file in files:
        for chunk in pandas.read_csv(Path(folder) / file, sep=";", dtype=str, encoding="utf-8-sig", keep_default_na=False, chunksize=50_000):
            chunk.to_sql("orders", engine, schema="peer", if_exists="append", index=False)
    clock.stop()
    return {"version": pandas.__version__}


def pandas_excel(clock: Clock, dsn: str, path: str, limit: int) -> dict[str, Any]:
    """`read_excel` (with the calamine engine) + `to_sql` of the first ``limit`` rows."""
    import pandas
    import sqlalchemy

    engine = sqlalchemy.create_engine(dsn)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create schema peer"))
    clock.start()
    frame = pandas.read_excel(path, skiprows=4, nrows=limit, dtype=str, engine="calamine")
    frame.to_sql("orders", engine, schema="peer", index=False, chunksize=50_000)
    clock.stop()
    return {"version": pandas.__version__}


def calamine(clock: Clock, paths: list[str]) -> dict[str, Any]:
    """python-calamine alone: every cell of the sheet as a Python value, row by row."""
    import python_calamine

    clock.start()
    rows = total = 0
    for path in paths:
        sheet = python_calamine.CalamineWorkbook.from_path(path).get_sheet_by_index(0)
        for row in sheet.to_python(skip_empty_area=True)[5:-1]:
            rows += 1
            total += int(str(row[14]).replace(".", ""))
    clock.stop()
    return {"rows": rows, "amount": total}


def openpyxl(clock: Clock, path: str, limit: int) -> dict[str, Any]:
    """openpyxl in its read-only mode, the first ``limit`` rows."""
    import openpyxl as library

    clock.start()
    sheet = library.load_workbook(path, read_only=True).worksheets[0]
    rows = total = 0
    for row in sheet.iter_rows(min_row=6, max_row=5 + limit, values_only=True):
        rows += 1
        total += int(str(row[14]).replace(".", ""))
    clock.stop()
    return {"rows": rows, "amount": total, "version": library.__version__}


class _pipelines:
    """A folder for dlt's state, without its telemetry."""

    def __enter__(self) -> str:
        import os

        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        self.folder = tempfile.mkdtemp(prefix="bench-dlt-")
        return self.folder

    def __exit__(self, *_: Any) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


WORKS = {
    "dlt_read_csv": dlt_read_csv, "dlt_arrow": dlt_arrow, "pandas_csv": pandas_csv, "pandas_excel": pandas_excel, "calamine": calamine, "openpyxl": openpyxl,
}  # fmt: skip

if __name__ == "__main__":
    main(WORKS)
