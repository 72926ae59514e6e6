"""What can be said of the orders of a delivery while its rows pass: how many, what they cost, which may hold a block twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from kinhteso.readers.frames import Frame


class Blocks:
    """Orders of several rows as they pass, so that a table of millions of rows need not be grouped afterwards.

    It only ever proves: `orders`, `total` and `suspects` are None where it cannot, and then SQL counts. Memory is bounded: codes that rise from
    order to order cannot repeat; else the hash of each is kept, for up to `MAX_ORDERS`.
    """

    MAX_ORDERS = 1 << 20
    MAX_SUSPECTS = 10_000
    MAX_TAIL_ROWS = 100_000
    _MONEY = r"\A(?:[0-9]{1,12}|[0-9]{1,3}(?:\.[0-9]{3}){1,3})\z"
    _MONEYS = ("line_amount_vnd", "goods_gross_vnd", "order_total_vnd")

    def __init__(self, contract: Any) -> None:
        self.group = contract.row_group
        at = {c.name: str(n) for n, c in enumerate(contract.columns) if c.keep}
        self._can = at.keys() >= {self.group, "stt", *self._MONEYS}
        self._at = {name: at[name] for name in (self.group, "stt", *self._MONEYS)} if self._can else {}
        self._repeated: list[int] = []
        self._hashes, self._first_rows = (np.ones(self.MAX_ORDERS, dtype=t) for t in (np.uint64, np.int64))
        self._runs, self._total, self._rises, self._sums = 0, 0, True, True
        self._last: str | None = None
        self._tail: pl.DataFrame | None = None
        self._suspects: list[str] = []

    def give_up(self) -> None:
        """Nothing is proven any more."""
        self._can, self._tail = False, None

    def look(self, frame: Frame) -> None:
        """Take the next rows; the last order is kept back, as it may go on."""
        if not self._can:
            return
        found = frame.values.select(pl.col(at).alias(name) for name, at in self._at.items()).with_columns(frame.source_row.alias("source_row"))
        if self._tail is not None:
            found = pl.concat([self._tail, found])
        starts = self._starts(found)
        if not len(starts):
            return
        self._tail = found[int(starts[-1]) :]
        if self._tail.height > self.MAX_TAIL_ROWS:
            self.give_up()
            return
        self._runs_of(found[: int(starts[-1])], starts[:-1])

    def end(self) -> None:
        """No more rows come."""
        if self._can and self._tail is not None:
            self._runs_of(self._tail, self._starts(self._tail))
            self._tail = None
        if self._can and not self._rises:
            self._repeated = self._repeats()

    @property
    def orders(self) -> int | None:
        """How many different orders there are."""
        return self._runs if self._can and not self._repeated else None

    @property
    def total(self) -> int | None:
        """Sum of the orders' totals, in VND, where each order has one."""
        return self._total if self._can and not self._repeated and self._sums else None

    @property
    def suspects(self) -> tuple[list[str], list[int]] | None:
        """Orders that may hold a block twice: by code, and by a source_row of theirs."""
        return (self._suspects, self._repeated) if self._can and len(self._suspects) + len(self._repeated) <= self.MAX_SUSPECTS else None

    def _starts(self, found: pl.DataFrame) -> Any:
        code = found[self.group]
        is_new = code.ne_missing(code.shift(1)).to_numpy()
        if len(is_new):
            is_new[0] = True
        return np.flatnonzero(is_new)

    def _runs_of(self, found: pl.DataFrame, starts: Any) -> None:
        if not len(starts):
            return
        code = found[self.group]
        codes = code.gather(starts)
        given = codes.is_not_null().to_numpy()
        moneys = found.select(
            pl.when(pl.col(name).str.contains(self._MONEY)).then(pl.col(name).str.replace_all(".", "", literal=True)).cast(pl.Int64).alias(name)
            for name in self._MONEYS
        )
        inside = np.ones(found.height, dtype=bool)
        inside[starts] = False
        stt, line, goods, total = found["stt"], *(moneys[name] for name in self._MONEYS)
        odd_rows = line.is_null() | goods.is_null() | stt.is_null()
        odd = odd_rows.to_numpy() | (inside & (stt.ne_missing(stt.shift(1)) | goods.ne_missing(goods.shift(1))).to_numpy())
        is_odd = np.add.reduceat(odd, starts, dtype=np.int64) > 0
        is_odd |= np.add.reduceat(line.fill_null(0).to_numpy(), starts) != goods.fill_null(0).gather(starts).to_numpy()
        rows = found["source_row"].to_numpy()
        is_odd |= rows[np.append(starts[1:], found.height) - 1] - rows[starts] + 1 != np.diff(np.append(starts, found.height))
        self._suspects += codes.filter(pl.Series(is_odd & given)).to_list()
        self._sums = self._sums and bool(given.all()) and not (total.is_null().any() or (inside & total.ne_missing(total.shift(1)).to_numpy()).any())
        self._total += sum(total.gather(starts).filter(pl.Series(given)).fill_null(0).to_list())
        codes, rows = codes.drop_nulls(), rows[starts][given]
        if not codes.len():
            return
        is_rising = codes.is_sorted() and not (codes == codes.shift(1)).any() and (self._last is None or self._last < codes[0])
        self._rises, self._last = self._rises and bool(is_rising), codes[-1]
        until = self._runs + codes.len()
        if until <= self.MAX_ORDERS:
            self._hashes[self._runs : until], self._first_rows[self._runs : until] = codes.hash().to_numpy(), rows
        elif not self._rises:
            self.give_up()
        self._runs = until
        if len(self._suspects) > self.MAX_SUSPECTS:
            self.give_up()

    def _repeats(self) -> list[int]:
        if self._runs > self.MAX_ORDERS:
            self.give_up()
            return []
        hashes = self._hashes[: self._runs]
        order = np.argsort(hashes, kind="stable")
        again = np.flatnonzero(hashes[order][1:] == hashes[order][:-1])
        return [int(row) for row in np.unique(self._first_rows[order[again]])]
