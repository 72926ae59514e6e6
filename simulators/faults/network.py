"""Faults of the network and of the login: which listeners answer, with which key and certificate. They hold while D is being fetched (see `catalogue`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from simulators.faults.switch import Fault


@dataclass(frozen=True)
class Wanted:
    """What the listeners should be like."""

    sftp: bool = True
    http: bool = True
    other_host_key: bool = False
    expired: bool = False


def gone(on: Sequence[Fault], platform: str, fetching: date) -> bool:
    """F56: the port refuses while D is being fetched; F66: for `value` days (3) from D on."""
    return any(
        (f.name == "F56" and f.day == fetching) or (f.name == "F66" and f.day <= fetching < f.day + timedelta(days=f.number(3)))
        for f in on
        if f.dataset == platform
    )


def holds(on: Sequence[Fault], name: str, fetching: date, platform: str) -> Fault | None:
    """The fault of a name that is on for a platform on the day that is being fetched."""
    return next((f for f in on if f.name == name and f.day == fetching and f.dataset == platform), None)


def wanted(on: Sequence[Fault], fetching: date) -> Wanted:
    """The listeners under the faults that are on."""
    key = holds(on, "F54", fetching, "POSTMART")
    return Wanted(
        sftp=not gone(on, "POSTMART", fetching), http=not gone(on, "VOSO", fetching), other_host_key=bool(key and key.value != "disk"),
        expired=holds(on, "F64", fetching, "VOSO") is not None,
    )  # fmt: skip


class Logins:
    """Whether a login at the SFTP server is good: F34 refuses all; F61 lets `value` (1) through, then the password is the old one with `-new`."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.counts: dict[str, int] = {}

    def good(self, given: str, on: Sequence[Fault], fetching: date) -> bool:
        """Judge a password."""
        if holds(on, "F34", fetching, "POSTMART"):
            return False
        self.counts = {k: n for k, n in self.counts.items() if k in {f.sign for f in on}}
        f = holds(on, "F61", fetching, "POSTMART")
        if f and self.counts.get(f.sign, 0) >= f.number(1):
            return given == f"{self.password}-new"
        if f and given == self.password:
            self.counts[f.sign] = self.counts.get(f.sign, 0) + 1
        return given == self.password
