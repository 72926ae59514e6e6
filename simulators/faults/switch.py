"""One fault that is switched on, its text form, and the file in which a running server finds what is on.

`FNN@YYYY-MM-DD[:DATASET][=VALUE][*TIMES]`, several with commas: `F10@2021-09-13`, `F01@2021-09-13:SANPHAM`, `F30@2021-09-14=40%`, `F60@2021-09-14:ORDERS=503*4`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

_TEXT = re.compile(r"(?P<name>F\d\d)@(?P<day>\d{4}-\d\d-\d\d)(:(?P<dataset>\w+))?(=(?P<value>[^*]+))?(\*(?P<times>\d+))?")


@dataclass(frozen=True)
class Fault:
    """One fault on one business day (of a form: its as-of date). ``times`` 0 is always while it is on; ``usual`` is that of its kind; ``born``: the
    how-manieth setting of the switches put it on."""

    name: str
    day: date
    dataset: str
    value: str = ""
    times: int = 0
    usual: int = field(default=0, compare=False)
    born: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return (
            f"{self.name}@{self.day}"
            + (f":{self.dataset}" if self.dataset else "")
            + (f"={self.value}" if self.value else "")
            + (f"*{self.times}" if self.times != self.usual else "")
        )

    @property
    def sign(self) -> str:
        """Its text and when it was switched on: what is counted starts anew with the next time."""
        return f"{self.born}:{self}"

    @property
    def place(self) -> tuple[str, date, str]:
        """What makes it the same switch again."""
        return self.name, self.day, self.dataset

    def strikes(self, dataset: str) -> bool:
        """Whether it is on for a dataset; without one it is on for all that it can strike."""
        return self.dataset in ("", dataset)

    def number(self, default: int) -> int:
        """``value`` as a whole number."""
        return int(self.value) if self.value else default

    def of(self, count: int, default: str = "1") -> int:
        """How many of ``count`` are struck: `3`, or `40%` rounded up; at most all."""
        text = self.value or default
        wanted = -(-count * int(text[:-1]) // 100) if text.endswith("%") else int(text)
        return min(count, wanted)


@dataclass(frozen=True)
class Struck:
    """Which natural keys a fault hit in a dataset, in what way, and what the source says of them now (by its own headings or field names)."""

    fault: str
    day: date
    dataset: str
    effect: str  # damaged, changed, withdrawn, added, repeated, hidden, file
    keys: tuple[str, ...] = ()
    says: dict[str, dict[str, object]] = field(default_factory=dict)


def split(text: str) -> list[re.Match[str]]:
    """The parts of a comma-separated list; raises ValueError that says how to write one."""
    found = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        match = _TEXT.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} is no fault; write FNN@YYYY-MM-DD[:DATASET][=VALUE][*TIMES]")
        found.append(match)
    return found


class Switches:
    """What is on, in DIR/faults.json. Read at each question, so a server needs no restart."""

    def __init__(self, state: Path) -> None:
        self.path = state / "faults.json"
        self._seen: tuple[int, int] | None = None
        self._on: tuple[Fault, ...] = ()

    def on(self) -> tuple[Fault, ...]:
        """The faults that are on now."""
        from simulators.faults import parse

        try:
            stat = self.path.stat()
            if self._seen != (stat.st_mtime_ns, stat.st_ino):
                found = json.loads(self.path.read_text())["on"]
                self._on = tuple(replace(parse(text)[0], born=born) for text, born in found)
                self._seen = stat.st_mtime_ns, stat.st_ino
        except FileNotFoundError:
            self._on, self._seen = (), None
        return self._on

    def set(self, faults: Sequence[Fault]) -> None:
        """These and no others; what is on already goes on as it is."""
        before = {str(f): f.born for f in self.on()}
        self._write([replace(f, born=before.get(str(f), 0)) for f in faults])

    def add(self, faults: Sequence[Fault]) -> None:
        """Switch on, anew where it is on; what has the same name, day and dataset is replaced."""
        new = {f.place for f in faults}
        self._write([*(f for f in self.on() if f.place not in new), *(replace(f, born=0) for f in faults)])

    def clear(self, faults: Sequence[Fault] = ()) -> None:
        """Switch these off, by name, day and dataset; all where none are named."""
        gone = {f.place for f in faults}
        self._write([f for f in self.on() if f.place not in gone] if faults else [])

    def _write(self, faults: Sequence[Fault]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        setting = 1 + (json.loads(self.path.read_text())["setting"] if self.path.exists() else 0)
        partial = self.path.with_suffix(".part")
        partial.write_text(json.dumps({"setting": setting, "on": [[str(f), f.born or setting] for f in faults]}))
        os.replace(partial, self.path)
