"""I1–I8 (RELIABILITY) after a fault: over the ledger, and independently of it from the bytes in the landing.

Counting here shares no code with the pipeline's readers. Each check gives what is wrong in words; nothing is wrong when the list is empty.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import re
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import openpyxl
import psycopg

SCHEMAS = ("raw", "ops", "core", "kpi", "bi", "dbt_failures")
#: What tells one release from another and not what it says (`published()` compares these apart).
STAMPS = {"release_id", "published_at", "rebuilt_at", "refreshed_at"}
#: Canary values: the password of both sources and the key of the HMACs, as the suite sets them.
SECRETS = ("demo-password", "demo-pepper")
#: Invented people: phones 0900xxxxxx in every shape in which they are delivered, citizen numbers of Lạng Sơn (020 and nine digits).
PERSONAL = r"(^|[^0-9a-fA-F])((0|\+?84[ .]?)?900([ .]?[0-9]{3}){2}|020[0-9]{9})($|[^0-9a-fA-F])"


@dataclass
class Books:
    """What became of the rows. ``lost``: in a delivered file and nowhere in the ledger; ``doubled``: held or counted more than once."""

    lost: int = 0
    doubled: int = 0
    wrong: list[str] = field(default_factory=list)


# ---- I1: rows of the landed bytes, counted without the pipeline ------------------------------------------------------------------


def rows_of(path: Path) -> int:
    """Data rows of a delivered file by a plain reader."""
    return _rows_of(path.name, path.read_bytes())


@lru_cache(maxsize=4096)
def _rows_of(name: str, content: bytes) -> int:
    name = name.lower()
    if name.endswith(".json.gz"):
        return len(json.loads(gzip.decompress(content))["data"]["ITEMS"])
    if name.endswith(".jsonl.gz"):
        return len(gzip.decompress(content).splitlines())
    if name.endswith(".csv"):
        return _csv_rows(content)
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return sum(_csv_rows(archive.read(n)) for n in archive.namelist() if n.lower().endswith(".csv") and not n.startswith("__MACOSX"))
    return _workbook_rows(content)


def _csv_rows(content: bytes) -> int:
    text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    return sum(any(record) for record in csv.reader(io.StringIO(text, newline=""), delimiter=";")) - 1


def _workbook_rows(content: bytes) -> int:
    if not content.startswith(b"PK"):  # HTML under an Excel name (F21): a row of the table begins with a number
        return len(re.findall(r"<tr[^>]*>\s*<td[^>]*>\s*\d+\s*</td>", content.decode("utf-8", "replace"), re.IGNORECASE))
    rows = 0
    for sheet in openpyxl.load_workbook(io.BytesIO(content)).worksheets:
        if sheet.sheet_state != "visible":
            continue
        cells = list(sheet.iter_rows(values_only=True))
        start = next((n for n, row in enumerate(cells) if row and str(row[0]).strip() == "STT"), None)
        if start is None:
            continue
        is_form = any("BIỂU SỐ" in str(c) or "DANH SÁCH HỘ" in str(c) for row in cells[:start] for c in row if c)
        for row in cells[start + 1 :]:
            first = "" if row[0] is None else str(row[0]).strip()
            is_number = re.fullmatch(r"\d+(\.0)?", first) is not None
            if re.match(r"(tổng cộng|người lập|chủ tịch)", first, re.IGNORECASE) and not is_form:
                break
            rows += is_number or (not is_form and first == "" and sum(c not in (None, "") for c in row) > 3)
    return rows


def conserved(conn: psycopg.Connection[Any], landing: Path) -> Books:
    """I1: rows of the landed bytes = loaded + quarantined + exact duplicates + superseded, per export, and every landed byte is as it came."""
    books = Books()
    exports = conn.execute(
        """select export_id, source, dataset, unit, business_day, version, state, reason, rows_delivered, rows_loaded, rows_quarantined, rows_duplicate,
             rows_superseded from ops.export where landed_at is not null order by source, dataset, business_day, unit, version"""
    ).fetchall()
    for export_id, source, dataset, unit, day, version, state, reason, delivered, *figures in exports:
        label = f"{source}/{dataset} {unit} {day} v{version}".replace("  ", " ")
        parts = [(landing / path, sha) for path, sha in conn.execute("select path, sha256 from ops.export_part where export_id = %s", [export_id]).fetchall()]
        for path, sha in parts:
            if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != sha:
                books.wrong.append(f"I1 {label}: {path.name} is not in the landing as it came")
        if state == "rejected" and delivered is None:
            if not reason:
                books.wrong.append(f"I6 {label}: rejected without a reason")
            continue
        if state == "superseded" and delivered is None:
            continue  # an older version that came later was never read (F11); its bytes are kept
        if state in ("landed", "loaded"):
            books.wrong.append(f"I1 {label}: stuck in state {state}")
            books.lost += sum(rows_of(path) for path, _ in parts)
            continue
        found = sum(rows_of(path) for path, _ in parts)
        told = sum(f or 0 for f in figures)
        if found != delivered or found != told:
            books.wrong.append(f"I1 {label}: {found} rows in its files, {delivered} delivered by the ledger, {told} accounted for")
        books.lost += max(0, found - told)
        books.doubled += max(0, told - found)
        held = conn.execute(f"select count(*), count(distinct source_row) from raw.{source}_{dataset} where export_id = %s", [export_id]).fetchone()  # type: ignore[arg-type]
        assert held is not None
        if held[0] != held[1] or held[0] != delivered:
            books.wrong.append(f"I1 {label}: raw holds {held[0]} rows, {held[1]} of them distinct, of {delivered}")
            books.doubled += held[0] - held[1]
    for table, key in (
        ("fct_order_line", "platform, order_code, line_no"),
        ("fct_refund", "refund_key"),
        ("fct_order_status_event", "platform, order_code, status_raw, event_at"),
    ):
        if conn.execute("select to_regclass(%s)", [f"core.{table}"]).fetchone() == (None,):
            continue
        (twice,) = conn.execute(f"select count(*) - count(distinct ({key})) from core.{table}").fetchone()  # type: ignore[misc,arg-type]
        if twice:
            books.wrong.append(f"I1 core.{table}: {twice} rows more than keys")
            books.doubled += twice
    return books


# ---- I2, I3: what is published -------------------------------------------------------------------------------------------------


def published(conn: psycopg.Connection[Any], origin: str | None = None) -> dict[str, str]:
    """Digest of each table of `bi`, without its stamps. ``origin``: a table (export_id, source_row, origin) whose text stands for these two."""
    digests = {}
    for (table,) in conn.execute(
        "select table_name from information_schema.tables where table_schema = 'bi' and table_type = 'BASE TABLE' order by 1"
    ).fetchall():
        columns = [
            c
            for (c,) in conn.execute(
                "select column_name from information_schema.columns where table_schema = 'bi' and table_name = %s order by ordinal_position", [table]
            ).fetchall()
            if c not in STAMPS
        ]
        named = f'bi."{table}" as t'
        if origin and {"export_id", "source_row"} <= set(columns):
            columns = [c for c in columns if c not in ("export_id", "source_row")]
            named += f" left join {origin} using (export_id, source_row)"
        row = ", ".join(f'"{c}"' for c in columns) + (", coalesce(origin, concat_ws(' ', export_id, source_row))" if "join" in named else "")
        (digest,) = conn.execute(
            f"select md5(coalesce(string_agg(md5(row({row})::text), '' order by md5(row({row})::text)), '')) from {named}"  # type: ignore[arg-type]
        ).fetchone()  # type: ignore[misc]
        digests[table] = digest
    return digests


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Tables whose digest moved, but for those that tell of the way and not of where it led."""
    return sorted(
        t
        for t in before.keys() | after.keys()
        if before.get(t) != after.get(t) and t not in ("release", "release_note", "data_status_daily", "kpi_restatement")
    )


# ---- I5: secrecy ---------------------------------------------------------------------------------------------------------------


def secrecy(conn: psycopg.Connection[Any], texts: dict[str, str], names: list[str]) -> list[str]:
    """Secrets, phones, citizen numbers and people's names in any table, and in ``texts`` (logs, messages, artefacts)."""
    forbidden = "|".join([PERSONAL, *(re.escape(n) for n in (*SECRETS, *names))])
    wrong = []
    tables = conn.execute(
        "select table_schema, table_name from information_schema.tables where table_schema = any(%s) and table_type = 'BASE TABLE'", [list(SCHEMAS)]
    ).fetchall()
    for schema, table in tables:
        found = conn.execute(f'select count(*) from "{schema}"."{table}" as t where t::text ~ %s', [forbidden]).fetchone()  # type: ignore[arg-type]
        if found and found[0]:
            wrong.append(f"I5 {schema}.{table}: {found[0]} rows hold personal data or a secret")
    for name, text in texts.items():
        if match := re.search(forbidden, text):
            wrong.append(f"I5 {name}: holds personal data or a secret ({match[0][:4]}…)")
    return wrong


# ---- I6, I8 --------------------------------------------------------------------------------------------------------------------


def red_or_right(conn: psycopg.Connection[Any], problems: list[str]) -> list[str]:
    """I6: what was rejected or is missing was told; nothing that is not accepted lies in the star."""
    wrong = []
    told = "\n".join(problems)
    for source, dataset, day, version, origin in conn.execute(
        "select source, dataset, business_day, version, origin from ops.export where state = 'rejected'"
    ).fetchall():
        if f"{source}/{dataset}" not in told and str(origin) not in told and f"{source} {dataset} {day}" not in told:
            wrong.append(f"I6 {source}/{dataset} {day} v{version}: rejected, and no task was red")
    return wrong


def accepted(conn: psycopg.Connection[Any], source: str, day: Any) -> set[str]:
    """Datasets of a source with an accepted export for the day."""
    return {
        d
        for (d,) in conn.execute(
            "select distinct dataset from ops.export where source = %s and business_day = %s and state = 'accepted'", [source, day]
        ).fetchall()
    }
