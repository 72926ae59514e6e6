"""Vỏ Sò's JSON pages and the bulk job's JSON Lines (EXPORTS §10)."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from kinhteso.readers import PartRows, Row, RowStream, text
from kinhteso.readers.files import Subject

_LINE_NUMBERS = ("LINE_NO", "QUANTITY", "PRICE", "AMOUNT", "WEIGHT")


def value(given: Any) -> str | None:
    """A JSON value as text: strings bare, true/false, digits, arrays and objects as JSON text, null as None."""
    if given is None:
        return None
    if isinstance(given, str):
        return text.clean(given)
    if given is True:
        return "true"
    if given is False:
        return "false"
    if isinstance(given, int):
        return str(given)
    if isinstance(given, float):
        return str(int(given)) if given.is_integer() else repr(given)
    return orjson.dumps(given).decode()


def rows(stream: RowStream, contract: Any, parts: Sequence[Any], landing: Any, export: Any) -> Iterator[Row]:
    """Items of all pages or lines of all parts, numbered through."""
    names = [c.heading for c in contract.columns]
    known = set(names)
    numbers = [c.heading for c in contract.columns if c.type in ("integer", "epoch_ms")]
    as_text: dict[str, int] = {}
    unknown: set[str] = set()
    ordinal = 0
    for part in parts:
        subject = Subject(contract, export, part.origin)
        first = ordinal + 1
        with landing.open(part.path) as f:
            try:
                for item in _items(gzip.GzipFile(fileobj=f), part.path):
                    if not isinstance(item, dict):
                        raise subject.refused("F47", f"an item is no object: {str(item)[:80]}.")
                    ordinal += 1
                    stream.rows += 1
                    for name in numbers:
                        if isinstance(item.get(name), str):
                            as_text[name] = as_text.get(name, 0) + 1
                    for line in item.get("LINES") or () if isinstance(item.get("LINES"), list) else ():
                        for name in _LINE_NUMBERS if isinstance(line, dict) else ():
                            if isinstance(line.get(name), str):
                                as_text[f"LINES.{name}"] = as_text.get(f"LINES.{name}", 0) + 1
                    if not item.keys() <= known:
                        unknown |= item.keys() - known
                    yield ordinal, [value(item.get(n)) for n in names]
            except (EOFError, gzip.BadGzipFile, OSError) as error:
                raise subject.refused("F03", f"the part is damaged ({error}).") from error
            except orjson.JSONDecodeError as error:
                raise subject.refused("F47", f"not JSON ({error}).") from error
        stream.parts.append(PartRows(part.part_no, first, ordinal - first + 1, 1))
    if as_text:
        told = ", ".join(f"{name} ({count:,})" for name, count in sorted(as_text.items()))
        stream.warnings.append(f"F47: numbers came as text: {told}; exact whole numbers are taken, others go to quarantine")
    if unknown:
        stream.warnings.append(f"F13: fields that the contract does not know: {', '.join(sorted(unknown))}; they stay in the landing")


def _items(f: gzip.GzipFile, path: str) -> Iterator[Any]:
    if path.endswith(".jsonl.gz"):
        for line in f:
            if line.strip():
                yield orjson.loads(line)
        return
    body = orjson.loads(f.read())
    yield from (body.get("data") or {}).get("ITEMS") or ()
