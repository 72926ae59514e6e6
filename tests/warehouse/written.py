"""Rows of `deliveries` as the platforms' real files in a real landing, and editable copies of the contracts and the dbt project."""

import contextlib
import csv
import datetime as dt
import io
import shutil
import zipfile
from pathlib import Path

import deliveries as d
import xlsxwriter
from kinhteso import building, contracts, judging, ledger, loading
from kinhteso.contracts import load_contract
from kinhteso.landing import Delivery, Landing, Part
from kinhteso.settings import Settings

WORDS = {"stores": "GIANHANG", "products": "SANPHAM", "orders": "DONHANG", "refunds": "HOANTRA", "accounts": "TAIKHOANTT"}
SUFFIX = {"stores": "xlsx", "products": "zip", "orders": "xlsx", "refunds": "csv", "accounts": "xlsx"}


def settings_in(folder: Path, first_day: dt.date = dt.date(2021, 9, 12)) -> Settings:
    return Settings(str(folder / "landing"), str(folder / "inbox"), d.PHONE_KEY, first_day)


def content(dataset: str, rows: list[dict], renamed: dict[str, str] | None = None, suffix: str | None = None) -> bytes:
    """The file of a Postmart dataset; ``renamed`` gives headings another text, ``suffix`` another form than the dataset's own."""
    contract, suffix = load_contract("postmart", dataset), suffix or SUFFIX[dataset]
    head = [(renamed or {}).get(c.heading, c.heading) for c in contract.columns]
    lines = [[row.get(c.name) for c in contract.columns] for row in rows]
    out = io.BytesIO()
    if suffix == "xlsx":
        with xlsxwriter.Workbook(out) as book:
            page = book.add_worksheet(contract.file["sheet"])
            page.write(0, 0, "BƯU ĐIỆN TỈNH LẠNG SƠN")
            for number, cells in enumerate([head, *lines], 4):
                for column, value in enumerate(cells):
                    if value is not None:
                        page.write(number, column, value)
        return out.getvalue()
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\r\n").writerows([head, *lines])
    if suffix == "csv":
        return text.getvalue().encode("utf-8-sig")
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("PM_LSN_p01of01.csv", text.getvalue().encode("utf-8-sig"))
    return out.getvalue()


def delivered(conn, settings: Settings, dataset: str, rows: list[dict], *, version: int = 1, day: dt.date = d.DAY, renamed=None, **declared) -> int:
    """Land a Postmart file, load and judge it; its export_id, whatever became of it."""
    name = f"PM_LSN_{WORDS[dataset]}_{day:%Y%m%d}_v{version}.{SUFFIX[dataset]}"
    folder, landing = f"postmart/{dataset}/{day}/v{version}", Landing(settings.landing)
    sha, size = landing.put(f"{folder}/{name}", content(dataset, rows, renamed))
    delivery = Delivery(
        "postmart", dataset, day, version, load_contract("postmart", dataset).mode, name, folder, sha, size,
        dt.datetime.combine(day, dt.time(18, 30), dt.UTC), (Part(1, f"{folder}/{name}", name, sha, size),), **declared,
    )  # fmt: skip
    export_id = ledger.landed(conn, delivery, "test")
    try:
        loading.load(conn, export_id, load_contract("postmart", dataset), landing, settings.phone_key)
        judging.judge(conn, export_id)
    except (loading.LoadRefused, judging.JudgementFailed):
        pass
    return export_id


def own_contracts(monkeypatch, folder: Path) -> Path:
    """A copy of expectations/ that the test may edit."""
    shutil.copytree(contracts.folder(), folder / "expectations")
    monkeypatch.setenv("KINHTESO_EXPECTATIONS", str(folder / "expectations"))
    return folder / "expectations"


def own_project(monkeypatch, folder: Path) -> Path:
    """A copy of dbt_project/ that the test may edit."""
    shutil.copytree(building.project_dir(), folder / "dbt_project", ignore=shutil.ignore_patterns("target", "logs"))
    monkeypatch.setenv("KINHTESO_DBT_PROJECT", str(folder / "dbt_project"))
    return folder / "dbt_project"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (path.name, old, text.count(old))
    path.write_text(text.replace(old, new), encoding="utf-8")


@contextlib.contextmanager
def broken(conn, change: str, back: str):
    """A change of what was built, taken back afterwards."""
    conn.execute("create table broken as " + back)
    try:
        assert conn.execute(change).rowcount > 0
        yield
    finally:
        name = back.split(" from ")[1].split()[0]
        conn.execute(f"delete from {name}")
        conn.execute(f"insert into {name} select * from broken")
        conn.execute("drop table broken")
