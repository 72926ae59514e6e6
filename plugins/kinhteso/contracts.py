"""The contract of each dataset: expectations/<source>/<dataset>.yml, read once.

The YAML is the single source: the reader's headings, the raw table's columns and the Great Expectations suite all come from it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

#: libyaml's, where it is there: every task reads all contracts, and plain Python takes six times as long.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
TYPES = {"text", "integer", "decimal", "money", "date", "datetime", "epoch_ms", "boolean", "hex64", "json", "rate"}
PERSONAL = {"phone", "citizen_id", "name"}
#: What the registers' reader adds to each row.
REGISTER_COLUMNS = ("commune_code", "as_of", "district_code")


class ContractError(ValueError):
    """A YAML of expectations/ does not say what a contract must say."""


@dataclass(frozen=True)
class Column:
    """A delivered column. ``keep`` false: it stays in the landing; ``personal``: only keys of it reach a table; ``empty_from``: the day from which on
    the source has nothing to say there."""

    name: str
    heading: str
    type: str = "text"
    required: bool = False
    personal: str | None = None
    keep: bool = True
    fill: bool = False
    group: str | None = None
    aliases: tuple[str, ...] = ()
    words: str | None = None
    allowed: tuple[Any, ...] = ()
    pattern: str | None = None
    may_be_absent: bool = False
    empty_from: date | None = None

    @property
    def raw_names(self) -> tuple[str, ...]:
        """Columns of the raw table that this column becomes."""
        if not self.keep:
            return ()
        if self.personal == "name":
            return (f"{self.name}_key", f"{self.name}_is_test")
        return (f"{self.name}_key",) if self.personal else (self.name,)


@dataclass(frozen=True)
class Contract:
    """One dataset of one source, as its YAML says."""

    source: str
    dataset: str
    code: str
    title: str
    owner: str
    mode: str
    columns: tuple[Column, ...]
    kpi: bool = False
    file: dict[str, Any] = field(default_factory=dict)
    api: dict[str, Any] = field(default_factory=dict)
    form: dict[str, Any] = field(default_factory=dict)
    key: tuple[str, ...] = ()
    row_group: str | None = None
    expectations: tuple[dict[str, Any], ...] = ()
    #: name -> a query of one row over the typed row, to whose columns conditions refer as name.column: what several of them ask of a nested value
    facts: dict[str, str] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=dict)

    @property
    def raw_table(self) -> str:
        """Qualified name of the raw table."""
        return f"raw.{self.source}_{self.dataset}"

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """Columns of the raw table after export_id and source_row."""
        names = tuple(n for c in self.columns for n in c.raw_names)
        return names + (REGISTER_COLUMNS if self.source == "registers" else ())

    @property
    def where(self) -> str:
        """The YAML's path, for messages."""
        return f"expectations/{self.source}/{self.dataset}.yml"


def folder() -> Path:
    """Folder of the contracts: KINHTESO_EXPECTATIONS, else beside the plugins folder."""
    return Path(os.environ.get("KINHTESO_EXPECTATIONS") or Path(__file__).resolve().parents[2] / "expectations")


def parse(text: str, where: str) -> Contract:
    """A contract from YAML text. Raises ContractError naming the file and what is wrong."""
    given = yaml.load(text, Loader=LOADER)  # noqa: S506 it is a safe one
    if not isinstance(given, dict):
        raise ContractError(f"{where}: must be a mapping")
    known = {f.name for f in fields(Contract)}
    if unknown := set(given) - known:
        raise ContractError(f"{where}: unknown entries {sorted(unknown)}; known are {sorted(known)}")
    if missing := {"source", "dataset", "code", "title", "owner", "mode", "columns"} - set(given):
        raise ContractError(f"{where}: missing entries {sorted(missing)}")
    columns = tuple(_column(c, where) for c in given["columns"])
    if doubled := {c.name for c in columns if sum(c.name == other.name for other in columns) > 1}:
        raise ContractError(f"{where}: columns named twice: {sorted(doubled)}")
    lists = {"key": tuple(given.get("key") or ()), "expectations": tuple(given.get("expectations") or ())}
    maps = {name: given.get(name) or {} for name in ("file", "api", "form", "facts", "limits")}
    return Contract(**{**given, **lists, **maps, "columns": columns})


def _column(given: dict[str, Any], where: str) -> Column:
    known = {f.name for f in fields(Column)}
    name = given.get("name")
    if unknown := set(given) - known:
        raise ContractError(f"{where}: column {name}: unknown entries {sorted(unknown)}")
    if not name or not given.get("heading"):
        raise ContractError(f"{where}: a column needs name and heading, got {given}")
    column = Column(**{**given, "aliases": tuple(given.get("aliases") or ()), "allowed": tuple(given.get("allowed") or ())})
    if column.type not in TYPES:
        raise ContractError(f"{where}: column {name}: type {column.type!r} is none of {sorted(TYPES)}")
    if column.personal not in PERSONAL | {None}:
        raise ContractError(f"{where}: column {name}: personal {column.personal!r} is none of {sorted(PERSONAL)}")
    return column


def load_contract(source: str, dataset: str) -> Contract:
    """The contract of ``source``/``dataset``, as its file says now. Raises ContractError when there is none or it is wrong."""
    path = folder() / source / f"{dataset}.yml"
    if not path.is_file():
        raise ContractError(f"there is no contract {path.name} for source {source}")
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _read(path: Path, changed_at: int) -> Contract:
    return parse(path.read_text(encoding="utf-8"), f"expectations/{path.parent.name}/{path.name}")


def all_contracts() -> tuple[Contract, ...]:
    """Every contract, by source and code."""
    found = [load_contract(p.parent.name, p.stem) for p in folder().glob("*/*.yml")]
    return tuple(sorted(found, key=lambda c: (c.source, c.code)))
