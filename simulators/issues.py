"""What comes to lie in a day's folder of the outbox: files with their manifest and marker (§9.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from simulators.tables import Rendered, plain, stamp

MANIFEST = (
    "Tên tệp", "Bộ dữ liệu", "Ngày dữ liệu", "Phiên bản", "Kích thước (byte)", "SHA-256", "Số dòng", "Số đơn", "Tổng tiền kiểm soát", "Lý do phát hành lại",
    "Thời điểm tạo",
)  # fmt: skip


@dataclass(frozen=True)
class Drop:
    """A file that lies in a day's folder from ``at`` on, and until ``until`` where it goes away again."""

    at: datetime
    name: str
    content: bytes
    until: datetime | None = None
    modified: datetime | None = None

    def lies(self, now: datetime) -> bool:
        """Whether it is there at ``now``."""
        return self.at <= now and (self.until is None or now < self.until)


@dataclass
class Issue:
    """One manifest with its files and marker. The last three say what becomes of them on the way: ``damage`` after the manifest was made."""

    day: date
    version: int
    word: str
    files: list[Rendered]
    at: datetime
    reason: str = ""
    stamped: timedelta = timedelta()
    damage: dict[str, Callable[[bytes], bytes]] = field(default_factory=dict)
    late: dict[str, timedelta] = field(default_factory=dict)
    half: set[str] = field(default_factory=set)

    def drops(self) -> list[Drop]:
        """Files, manifest, marker, in that order (§9.1)."""
        found, lines, ready = [], [], self.at
        for k, f in enumerate(self.files):
            when = self.at + timedelta(seconds=2 * k)
            lines.append((
                f.name, f.dataset, f"{self.day:%d/%m/%Y}", self.version, len(f.content), hashlib.sha256(f.content).hexdigest(), f.rows,
                "" if f.orders is None else f.orders, "" if f.control is None else f.control, self.reason, stamp(when + self.stamped),
            ))  # fmt: skip
            content = self.damage[f.dataset](f.content) if f.dataset in self.damage else f.content
            if f.dataset in self.half:
                ready = self.at + timedelta(hours=2)
                found.append(Drop(when, f"{f.name}.part", content[: len(content) // 2], until=ready))
                when = ready
            found.append(Drop(when + self.late.get(f.dataset, timedelta()), f.name, content))
        found.append(Drop(ready + timedelta(minutes=1), f"MANIFEST_{self.word}{self.day:%Y%m%d}_v{self.version}.csv", plain(MANIFEST, lines)))
        found.append(Drop(ready + timedelta(minutes=2), f"PM_LSN_{self.word}{self.day:%Y%m%d}_v{self.version}.ok", b""))
        return found
