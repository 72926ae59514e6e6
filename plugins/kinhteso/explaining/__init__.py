"""Any cell of any KPI back to its formula, its counts, the entities behind it and the rows of the deliveries that say so; what stood aside beside it.

`explain` asks the database and proves what it lists: the entities are counted (their amounts summed) and held against the cell, rates, multiples and
targets are computed anew from their parts. What does not agree is a problem, never passed over. Entities are pseudonymous: stores, products, orders and
refunds by the platforms' codes, households and accounts by keyed pseudonyms, members by the key of their row; no name, phone or citizen number.

`cells`: what is asked and answered; `measures`: communes, districts, the province; `hamlets` with `suppressing`; `targets`.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from kinhteso import mishaps
from kinhteso.explaining.cells import (
    EXPLAINED,
    LEVELS,
    NOT_EXPLAINED,
    TARGET_LEVELS,
    Answer,
    Cell,
    Entity,
    Explanation,
    NoSuchCell,
    Row,
    one,
    what_is_explained,
)
from kinhteso.explaining.hamlets import Hamlets
from kinhteso.explaining.measures import Measures
from kinhteso.explaining.targets import Targets
from kinhteso.kpis import KPIS
from kinhteso.progress import COLUMNS, HAMLET_KPIS, INDICATORS

__all__ = ["EXPLAINED", "LEVELS", "NOT_EXPLAINED", "Answer", "Cell", "Entity", "Explanation", "NoSuchCell", "Row", "check", "explain"]


def explain(conn: psycopg.Connection[Any], cell: Cell, release: int | None = None) -> Answer:
    """The answer for ``cell``, read in one snapshot of the database. ``release``: what was published then, and why it moved since.

    Raises NoSuchCell.
    """
    check(cell, release)
    try:
        with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
            cursor.execute("set transaction isolation level repeatable read, read only")
            if not (one(cursor, "select to_regclass('bi.kpi_commune_daily') is not null as there") or {})["there"]:
                raise NoSuchCell("Chưa có bản phát hành nào", "nothing has been released yet. Next: make demo, or make replay FROM=….")
            if cell.target:
                return Targets(cursor, cell).answer()
            return Hamlets(cursor, cell).answer() if cell.level == "hamlet" else Measures(cursor, cell).answer(release)
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise NoSuchCell(
            "Bảng dựng sẵn đang được dựng lại hoặc thuộc phiên bản cũ; hãy hỏi lại sau bản phát hành tới",
            f"what was built is being built again, or by older code ({mishaps.first_line(error)}); ask again after the next release.",
        ) from error


def check(cell: Cell, release: int | None) -> None:
    """Whether such a cell can be asked for at all, before anything is read. Raises NoSuchCell."""
    levels = TARGET_LEVELS if cell.target else tuple(LEVELS)
    if cell.level not in levels:
        vi, en = what_is_explained(cell.level)
        raise NoSuchCell(f"Không có cấp {cell.level!r}.{vi}", f"there is no level {cell.level!r}; there are: {', '.join(levels)}.{en}")
    if cell.target:
        if cell.target not in INDICATORS:
            raise NoSuchCell(f"Không có chỉ tiêu giao {cell.target!r}", f"there is no target {cell.target!r}; there are: {', '.join(INDICATORS)}.")
        if cell.kpi and cell.kpi not in COLUMNS:
            raise NoSuchCell(
                f"target_progress_daily không có cột số liệu {cell.kpi!r}",
                f"there is no measure {cell.kpi!r} of target_progress_daily; there are: {', '.join(COLUMNS)}.",
            )
        if cell.geography != "2021":
            raise NoSuchCell("Chỉ tiêu được giao trên danh mục 2021", "targets are told on the list 2021 only; leave GEOGRAPHY out.")
    else:
        table, known = LEVELS[cell.level][0], HAMLET_KPIS if cell.level == "hamlet" else KPIS
        if cell.kpi not in known:
            vi, en = what_is_explained(cell.kpi)
            raise NoSuchCell(f"{table} không có chỉ tiêu {cell.kpi!r}.{vi}", f"there is no measure {cell.kpi!r} of {table}; there are: {', '.join(known)}.{en}")
    if release is not None and (cell.target or cell.level != "commune"):
        raise NoSuchCell("Chỉ số liệu xã được lưu theo bản phát hành", "only figures of communes are kept by release; leave RELEASE out.")
