"""Faults in how a day's files of Postmart come: damaged on the way (the manifest does not match), late, missing, again, older after newer."""

from __future__ import annotations

import copy
import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

from simulators.faults import rows
from simulators.faults.files import edit
from simulators.faults.scene import Scene
from simulators.faults.switch import Fault
from simulators.issues import Drop, Issue
from simulators.tables import Rendered, Table, render

#: Faults that strike manifests with their files, and those that strike what lies in the folder.
ISSUES: dict[str, Callable[[list[Issue], Fault, Scene], None]] = {}
LYING: dict[str, Callable[[list[Drop], Fault, Scene], None]] = {}
WALLET = "TAIKHOANTT"


def _strikes(table: dict[str, Callable[..., None]], name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def register(f: Callable[..., None]) -> Callable[..., None]:
        table[name] = f
        return f

    return register


def at(scene: Scene, days: int, hour: str) -> datetime:
    """A moment some days after the business day."""
    return datetime.combine(scene.day + timedelta(days=days), time.fromisoformat(hour))


def mine(issues: list[Issue], f: Fault) -> list[Issue]:
    """The issues of a fault: the wallet's, the other one, or both where no dataset is named."""
    return [i for i in issues if f.dataset == "" or (i.word != "") == (f.dataset == WALLET)]


# ---- damaged on the way ----


def cut_quoted(content: bytes) -> bytes:
    """A CSV cut inside a quoted field; where none is quoted, in the middle of its last line."""
    quote = content.rfind(b'"')
    return content[: max(quote - 3, content.rfind(b'"', 0, quote) + 1)] if quote > 0 else content[: max(1, len(content.rstrip(b"\r\n")) - 7)]


def cut_part(content: bytes) -> bytes:
    """The last CSV of a ZIP cut inside a quoted field."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return edit(content, archive.namelist()[-1], cut_quoted)


def _damaged(name: str, change: Callable[[bytes], bytes]) -> None:
    def strike(issues: list[Issue], f: Fault, scene: Scene) -> None:
        for issue in issues:
            for made in issue.files:
                if f.strikes(made.dataset):
                    issue.damage[made.dataset] = change
                    scene.note(f, made.dataset, "file")

    ISSUES[name] = strike


_damaged("F01", lambda content: content[:-30])
_damaged("F02", lambda content: cut_part(content) if content.startswith(b"PK") else cut_quoted(content))
_damaged("F67", lambda content: b"")


@_strikes(rows.STRIKE, "F02")
def quoted(t: Table, f: Fault, scene: Scene) -> None:
    """So that there is a quoted field to be cut in: the last row gets a `;` in a text."""
    heading = {"HOANTRA": "Lý do", "SANPHAM": "Tên sản phẩm"}.get(t.dataset)
    if heading and t.blocks:
        last = t.blocks[-1].rows[-1]
        last[t.column(heading)] = f"{last[t.column(heading)]}; loại 1"


# ---- late, half, missing ----


@_strikes(ISSUES, "F04")
def half_written(issues: list[Issue], f: Fault, scene: Scene) -> None:
    for issue in issues:
        issue.half |= {made.dataset for made in issue.files if made.dataset == f.dataset}
    scene.note(f, f.dataset, "file")


@_strikes(ISSUES, "F05")
def marker_first(issues: list[Issue], f: Fault, scene: Scene) -> None:
    for issue in issues:
        issue.late |= {made.dataset: timedelta(minutes=f.number(45)) for made in issue.files if made.dataset == f.dataset}
    scene.note(f, f.dataset, "file")


@_strikes(ISSUES, "F06")
def late(issues: list[Issue], f: Fault, scene: Scene) -> None:
    for issue in mine(issues, f):
        issue.at = at(scene, 1, f.value or "05:00")
    scene.note(f, f.dataset, "file")


@_strikes(ISSUES, "F07")
def missing(issues: list[Issue], f: Fault, scene: Scene) -> None:
    """Nothing until ``value`` days (2) after the morning on which it should have come."""
    for issue in mine(issues, f):
        issue.at = at(scene, 1 + f.number(2), "05:30")
    scene.note(f, f.dataset, "file")


@_strikes(ISSUES, "F40")
def skewed(issues: list[Issue], f: Fault, scene: Scene) -> None:
    """The supplier's clock: `Thời điểm tạo` in the manifest (and, below, the files' times)."""
    for issue in issues:
        issue.stamped = timedelta(minutes=f.number(7))
    scene.note(f, f.dataset, "file")


@_strikes(LYING, "F40")
def skewed_files(drops: list[Drop], f: Fault, scene: Scene) -> None:
    drops[:] = [replace(d, modified=d.at + timedelta(minutes=f.number(7))) for d in drops]


@_strikes(LYING, "F54")
def disk_full(drops: list[Drop], f: Fault, scene: Scene) -> None:
    """With ``value`` disk: the supplier's disk is full, so the upload stops in its second file. (Without: the host key, see `network`.)"""
    if f.value == "disk":
        first, second = drops[0], drops[1]
        drops[:] = [first, replace(second, name=f"{second.name}.part", content=second.content[: len(second.content) // 3])]
        scene.note(f, "", "file")


@_strikes(LYING, "F79")
def other_name(drops: list[Drop], f: Fault, scene: Scene) -> None:
    """A copy of the file beside it, under a name that no manifest has."""
    for drop in [d for d in drops if f"_{f.dataset}_" in d.name and d.content and not d.name.startswith("MANIFEST")]:
        stem, dot, suffix = drop.name.rpartition(".")
        drops.append(replace(drop, name=f"{stem} (1){dot}{suffix}"))
    scene.note(f, f.dataset, "file")


# ---- again ----


def table_of(scene: Scene, dataset: str, version: int) -> Table:
    """A dataset of the day as it is in truth."""
    return next(t for t in scene.postmart.tables(scene.day, version) if t.dataset == dataset)


def restate(t: Table, f: Fault, scene: Scene, *, withdrawn: int = 1, changed: int = 1, added: int = 0) -> None:
    """The first rows withdrawn, the next ones changed, new ones added; what the table says now is noted."""
    order = rows.expendable(t, scene)
    gone, other = order[:withdrawn], order[withdrawn : withdrawn + changed]
    says: dict[str, Any] = {b.key: rows.alter(t, b, scene) for b in other}
    scene.note(f, t.dataset, "changed", [b.key for b in other], says)
    new = []
    if len(t.blocks) > withdrawn + changed:
        for n in range(added):
            source = order[withdrawn + changed]
            key = source.key[:-7] + f"99{n:05d}" if t.dataset != "TAIKHOANTT" else f"PP-ffff{n:04x}"
            new.append(rows.clone(t, source, key))
            if t.dataset == "GIANHANG":
                rows.put(t, new[-1], "Số điện thoại", f"09007777{n:02d}")
    rows.drop(t, gone)
    scene.note(f, t.dataset, "withdrawn", [b.key for b in gone])
    if new:
        scene.note(f, t.dataset, "added", [b.key for b in new], {b.key: dict(zip(t.headings, b.rows[0], strict=True)) for b in new})


def again(scene: Scene, f: Fault, made: list[Rendered], version: int, moment: datetime, reason: str) -> Issue:
    """Another issue of some datasets of the day."""
    return Issue(scene.day, version, f"{WALLET}_" if made[0].dataset == WALLET else "", made, moment, reason)


@_strikes(ISSUES, "F00")
def clean_again(issues: list[Issue], f: Fault, scene: Scene) -> None:
    """No fault: the dataset as it should have been, as version 2 at 08:00 of the next day (or version ``value``)."""
    version = f.number(2)
    issues.append(again(scene, f, [render(table_of(scene, f.dataset, version))], version, at(scene, 1, "08:00"), "Sửa tệp"))


@_strikes(ISSUES, "F10")
def reissued(issues: list[Issue], f: Fault, scene: Scene) -> None:
    """Version 2 (or ``value``) at 10:00 of the next day: the first row withdrawn, the next one changed."""
    t = table_of(scene, f.dataset, f.number(2))
    restate(t, f, scene)
    issues.append(again(scene, f, [render(t)], f.number(2), at(scene, 1, "10:00"), "Sửa giảm giá và rút một đơn"))


@_strikes(ISSUES, "F80")
def past_day(issues: list[Issue], f: Fault, scene: Scene) -> None:
    """Version 2 ``value`` days (3) after the day: two rows withdrawn, two changed, two added."""
    t = table_of(scene, f.dataset, 2)
    restate(t, f, scene, withdrawn=2, changed=2, added=2)
    issues.append(again(scene, f, [render(t)], 2, at(scene, f.number(3), "10:00"), "Phát hành lại: thêm, sửa và rút"))


@_strikes(ISSUES, "F11")
def older_later(issues: list[Issue], f: Fault, scene: Scene) -> None:
    """The whole delivery as version 2 at the usual hour, changed as F10 changes it; version 1 after it, at 10:00."""
    (first,) = mine(issues, f)
    made = []
    for t in scene.postmart.tables(scene.day, 2):
        if t.dataset in {x.dataset for x in first.files}:
            if t.dataset == f.dataset:
                restate(t, f, scene)
            made.append(render(t))
    issues.append(again(scene, f, made, 2, first.at, "Sửa giảm giá và rút một đơn"))
    first.at = at(scene, 1, f.value or "10:00")


@_strikes(LYING, "F12")
def overwritten(drops: list[Drop], f: Fault, scene: Scene) -> None:
    """Version 1 again at 11:00 with other content under the same name, its manifest too."""
    t = table_of(scene, f.dataset, 1)
    others = [x for x in scene.postmart.tables(scene.day) if (x.dataset == WALLET) == (f.dataset == WALLET) and x.dataset != f.dataset]
    restate(t, f, scene, withdrawn=0)
    issue = again(scene, f, [render(x) for x in [*others, t]], 1, at(scene, 1, f.value or "11:00"), "")
    wanted = render(copy.copy(t)).name
    drops += [d for d in issue.drops() if d.name == wanted or d.name.startswith("MANIFEST")]
