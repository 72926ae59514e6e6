"""Delivered files and pages to rows of text, streamed.

`read` gives (source_row, values): source_row counts the physical rows after the headings over the whole delivery, values stand in the
order of the contract's columns. What cannot be read without guessing is refused as a whole, with what a person can do about it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinhteso.readers.frames import Frame


class DeliveryRefused(Exception):
    """A delivery that must not be loaded. ``rule_id`` is a fault or rule of EXPORTS §13, §14; ``retriable``: it may yet come right."""

    def __init__(self, rule_id: str, message: str, retriable: bool = False) -> None:
        super().__init__(message.replace("\0", "␀"))  # the message goes into the database, which has no text with NUL
        self.rule_id = rule_id
        self.retriable = retriable


class SourceUnreachable(DeliveryRefused):
    """The source does not answer, so there is no sense in asking it for more now."""


@dataclass(frozen=True)
class PartRows:
    """Where a part's rows are: ``first_row`` is the source_row of its first row, which stands in row ``first_file_row`` of the file."""

    part_no: int
    first_row: int
    rows: int
    first_file_row: int


Row = tuple[int, list[str | None]]


class RowStream:
    """Rows of a delivery, in frames or one by one; ``parts``, ``rows`` and ``warnings`` are complete when it is exhausted."""

    def __init__(self) -> None:
        self.parts: list[PartRows] = []
        self.rows = 0
        self.warnings: list[str] = []
        self._rows: Iterator[Row] | None = None
        self._frames: Iterator[Frame] = iter(())

    def __iter__(self) -> Iterator[Row]:
        if self._rows is not None:
            return self._rows
        return itertools.chain.from_iterable(frame.rows() for frame in self._frames)

    def frames(self) -> Iterator[Frame]:
        """The rows in columns."""
        if self._rows is None:
            return self._frames
        from kinhteso.readers.frames import of_rows

        return of_rows(self._rows)


def read(contract: Any, parts: Sequence[Any], landing: Any, export: Any) -> RowStream:
    """Rows of the landed ``parts`` as ``contract`` says. ``export`` names day, version and unit for messages and forms.

    Raises DeliveryRefused, at once or while it is iterated.
    """
    stream = RowStream()
    if contract.source == "registers":
        from kinhteso.registers import forms

        stream._rows = forms.rows(stream, contract, parts, landing, export)
    elif contract.api:
        from kinhteso.readers import pages

        stream._frames = pages.read(stream, contract, parts, landing, export)
    else:
        from kinhteso.readers import files

        stream._frames = files.read(stream, contract, parts, landing, export)
    return stream
