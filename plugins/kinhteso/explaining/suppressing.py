"""Which counts of households a commune's hamlets do not show, and by which rule: `macros/suppression.sql` in other words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kinhteso.kpis import Words

#: Measure -> what it is a part of; in the order in which they are judged.
WITHIN: dict[str, str | None] = {
    "households": None, "households_with_store": "households", "households_with_active_store": "households_with_store",
    "households_with_payment": "households", "lead_households": "households",
}  # fmt: skip
#: The smallest count that is shown beside 0.
SHOWN = 5


def hidden(rows: Sequence[Mapping[str, Any]], groups: Sequence[str] = ("place_code", "commune_code")) -> dict[tuple[str, str], Words]:
    """(hamlet, measure) -> why it is not shown. ``rows`` are all of one commune and day, in the database's order of their codes; ``groups``: columns of
    what is summed up and published, the finest first: what is hidden for a part of a split commune counts in the commune too (rule 5)."""
    found: dict[tuple[str, str], Words] = {}
    for group in groups:
        before = found
        found = {}
        for key in dict.fromkeys(row[group] for row in rows):
            found |= _in_group([row for row in rows if row[group] == key], before)
    return found


def _in_group(rows: Sequence[Mapping[str, Any]], before: Mapping[tuple[str, str], Words]) -> dict[tuple[str, str], Words]:
    found: dict[tuple[str, str], Words] = {}
    for measure, whole in WITHIN.items():
        told = {row["hamlet_code"]: row[measure] for row in rows}
        was = {c for c in told if (c, measure) in before}
        small = {c for c, n in told.items() if n is not None and 0 < n < SHOWN}
        forced = {c for c in told if whole and (c, whole) in found}
        large = [c for c, n in told.items() if n is not None and n >= SHOWN and c not in forced | was]
        held = {c: told[c] for c in small | forced | was if told[c] is not None}
        is_cramped = bool(small) and sum(max(n - 1, 0) for n in held.values()) < SHOWN - 1
        makes_room = min(large, key=lambda c: told[c], default=None)  # ties: the first code
        parts = [p for p, of in WITHIN.items() if of == measure and whole]
        is_alone = len(told) > 1 and sum((n or 0) > 0 for n in told.values()) == 1 and any(0 < sum(row[p] or 0 for row in rows) < SHOWN for p in parts)
        for row in rows:
            c, n = row["hamlet_code"], row[measure]
            is_told_anyway = whole is not None and n == 0 and c not in forced and row[whole] == 0
            if n is None or (is_told_anyway and c not in was):
                continue
            if c in small:
                why = Words("quy tắc 2: số đếm từ 1 đến 4 hộ", "rule 2: a count of 1 to 4 households")
            elif c in was:
                why = before[c, measure]
            elif c in forced and sum(held.values()) > 0:
                why = Words(f"quy tắc 1: là một phần của {whole} bị ẩn", f"rule 1: a part of {whole}, which is hidden")
            elif is_cramped and makes_room is None:
                why = Words(
                    "quy tắc 4: mọi số của xã bị ẩn, vì không còn số nào từ 5 trở lên", "rule 4: all of the commune are hidden, there is none of 5 or more"
                )
            elif is_cramped and c == makes_room:
                why = Words(
                    "quy tắc 3: số nhỏ nhất từ 5 trở lên bị ẩn cùng, để không tính ngược được", "rule 3: the smallest of 5 or more goes with hidden ones"
                )
            elif is_alone:
                why = Words("quy tắc 4: chỉ một thôn có, và phần của nó nhỏ", "rule 4: one hamlet alone has any, and its part is small")
            else:
                continue
            found[c, measure] = why
    return found
