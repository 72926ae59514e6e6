"""What a reader of `bi` can find out about suppressed counts: exact integer bounds from all that is published of a commune on a day.

No knowledge of how the pipeline suppresses, but for what its documentation says: zeros are shown as long as one is (beside those whose whole is 0; of a split
commune, one of the same ``place``), and a part of a shown count is hidden for its own sake only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

HOUSEHOLDS = "households"
#: Measure -> what it is a part of.
WITHIN = {
    HOUSEHOLDS: None,
    "households_with_store": HOUSEHOLDS,
    "households_with_active_store": "households_with_store",
    "households_with_payment": HOUSEHOLDS,
    "lead_households": HOUSEHOLDS,
}
Cell = tuple[str, str]  # hamlet, measure


def ranges(rows: Sequence[Mapping[str, Any]], totals: Mapping[str, int | None]) -> dict[Cell, tuple[int, int]]:
    """Least and greatest value of each hidden count: ``rows`` as BI reads them (hidden is None), ``totals`` of their commune.

    Raises AssertionError if what is published contradicts itself.
    """
    hamlets = [r for r in rows if r["hamlet_code"] != "~"]
    cells = [(r["hamlet_code"], m) for r in rows for m in WITHIN if not (m == HOUSEHOLDS and r["hamlet_code"] == "~")]
    at = {cell: i for i, cell in enumerate(cells)}
    shown = {(r["hamlet_code"], m): r[m] for r in rows for m in WITHIN if r[m] is not None}
    low, high = np.zeros(len(cells)), np.full(len(cells), 10_000.0)
    for (hamlet, measure), i in at.items():
        if (hamlet, measure) in shown:
            low[i] = high[i] = shown[hamlet, measure]
        elif measure == HOUSEHOLDS:
            low[i] = 1  # R1 knows no hamlet without households
        else:
            whole = WITHIN[measure]
            is_for_itself = hamlet == "~" and whole == HOUSEHOLDS or (hamlet, whole) in shown
            if is_for_itself and any(shown.get((r["hamlet_code"], measure)) == 0 != shown.get((r["hamlet_code"], whole), 1) for r in _beside(hamlet, rows)):
                low[i] = 1
    lines, least, most = [], [], []
    for measure in WITHIN:
        if totals[measure] is None:
            continue
        line = np.zeros(len(cells))
        line[[at[r["hamlet_code"], measure] for r in (hamlets if measure == HOUSEHOLDS else rows)]] = 1
        lines.append(line), least.append(totals[measure]), most.append(totals[measure])
    for (hamlet, measure), i in at.items():
        if (hamlet, WITHIN[measure]) in at:
            line = np.zeros(len(cells))
            line[i], line[at[hamlet, WITHIN[measure]]] = 1, -1
            lines.append(line), least.append(-np.inf), most.append(0)
    constraint = LinearConstraint(np.array(lines), least, most)

    def extreme(i: int, sign: int) -> int:
        aim = np.zeros(len(cells))
        aim[i] = sign
        found = milp(aim, constraints=constraint, bounds=Bounds(low, high), integrality=np.ones(len(cells)))
        assert found.success, f"what is published contradicts itself: {rows}, {totals}"
        return round(found.x[i])

    return {cell: (extreme(i, 1), extreme(i, -1)) for cell, i in at.items() if cell not in shown}


def _beside(hamlet: str, rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The rows of a hamlet's part of its commune; of one that is alone in its part, of the commune."""
    place = next(r.get("place") for r in rows if r["hamlet_code"] == hamlet)
    found = [r for r in rows if r.get("place") == place]
    return found if len(found) > 1 else list(rows)


def given_away(rows: Sequence[Mapping[str, Any]], totals: Mapping[str, int | None]) -> dict[Cell, tuple[int, int]]:
    """Hidden counts that are known: one value, or certainly 1 to 4. A commune with one row is its total; of that nothing is said."""
    return {cell: (a, b) for cell, (a, b) in ranges(rows, totals).items() if a == b or (a >= 1 and b <= 4)} if len(rows) > 1 else {}
