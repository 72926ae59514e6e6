"""Small counts of hamlets are hidden, and cannot be derived from what stays in sight (KPI §4): an attacker with an exact solver tries."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from attacker import HOUSEHOLDS, WITHIN, given_away
from kinhteso import building

#: A rule of the macro, and what takes it out.
BROKEN = {
    "nothing complementary": ("or (j.{{ m }}_cramped and (j.{{ m }}_next or not j.{{ m }}_has_next))\n                 or j.{{ m }}_alone", ""),
    "no second count": ("j.{{ m }}_cramped and (j.{{ m }}_next or not j.{{ m }}_has_next)", "j.{{ m }}_cramped and not j.{{ m }}_has_next"),
    "a second one, whatever the room": ("greatest(s.{{ m }} - 1, 0)", "4 * (s.{{ m }}_small)::int - 1"),
    "no fallback where all others are 0": ("(j.{{ m }}_next or not j.{{ m }}_has_next)", "j.{{ m }}_next"),
    "parts in sight of a hidden whole": ("or (j.{{ m }}_forced and j.{{ m }}_weight > 0)", ""),
    "the whole in sight where only one has it": ("or j.{{ m }}_alone", ""),
}
SEED = 20211


def communes(rng: random.Random, n: int) -> list[dict[str, Any]]:
    """Hamlet rows of ``n`` invented communes of two to six hamlets, with counts as small as they are at the beginning of a campaign."""
    rows = []
    for commune in range(n):
        scale, is_remote = rng.choice([2, 5, 12]), rng.random() < 0.3
        for hamlet in range(rng.randint(2, 6)):
            households = rng.randint(1, 12) if is_remote else rng.randint(5, 60)
            stores = min(households, rng.choice([0, rng.randint(0, scale), rng.randint(0, 3 * scale)]))
            row = {
                HOUSEHOLDS: households, "households_with_store": stores, "households_with_active_store": rng.randint(0, stores),
                "households_with_payment": min(households, rng.randint(0, scale)), "lead_households": min(households, rng.choice([0, 0, 1, 2, 5, 7])),
            }  # fmt: skip
            rows.append({"commune": commune, "hamlet_code": f"h{hamlet}", **row})
        if rng.random() < 0.25:
            stores = rng.randint(0, 6)
            row = {
                "households_with_store": stores,
                "households_with_active_store": rng.randint(0, stores),
                "households_with_payment": rng.randint(0, 6),
                "lead_households": 1,
            }
            rows.append({"commune": commune, "hamlet_code": "~", HOUSEHOLDS: None, **row})
    return rows


def suppressed(dsn: str, state, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as the project's macro shows them."""
    call = f"{{{{ hidden_counts('pg_temp.cells', ['commune'], 'hamlet_code', {WITHIN}) }}}}"
    result = building.run_dbt(dsn, ["compile", "--inline", f"select * from {call} as h"], state)
    assert result.success, result.exception
    query = result.result.results[0].node.compiled_code
    names = ["commune", "hamlet_code", *WITHIN]
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as conn:
        conn.execute(f"create temp table cells (commune int, hamlet_code text, {', '.join(f'{m} bigint' for m in WITHIN)})")
        with conn.cursor() as cur:
            cur.executemany(f"insert into cells ({', '.join(names)}) values ({', '.join(['%s'] * len(names))})", [[r[n] for n in names] for r in rows])
        found = conn.execute(query).fetchall()
    return [{**r, **{m: None if r[f"{m}_hidden"] else r[m] for m in WITHIN}} for r in found]


def attack(rows: list[dict[str, Any]], shown: list[dict[str, Any]]) -> Iterator[str]:
    """What the attacker knows of each commune in the end."""
    for commune in sorted({r["commune"] for r in rows}):
        truth = {(r["hamlet_code"], m): r[m] for r in rows for m in WITHIN if r["commune"] == commune}
        totals = {m: sum(v for (_, of), v in truth.items() if of == m and v is not None) for m in WITHIN}
        of = [r for r in shown if r["commune"] == commune]
        yield from (f"{commune} {cell}: {a}..{b}, it is {truth[cell]}" for cell, (a, b) in given_away(of, totals).items())


@pytest.fixture(scope="module")
def invented():
    return communes(random.Random(SEED), 120)


def test_nothing_hidden_can_be_derived(invented, warehouse_dsn, tmp_path):
    shown = suppressed(warehouse_dsn, tmp_path, invented)
    assert not [r for r in shown if any(r[m] in (1, 2, 3, 4) for m in WITHIN)]
    hidden = sum(r[m] is None for r in shown for m in WITHIN)
    assert list(attack(invented, shown)) == []
    large = [r[m] for r in invented for m in WITHIN if (r[m] or 0) >= 5]
    assert 0.2 < hidden / (len(shown) * len(WITHIN)) < 0.75 and len(large) > 100, "the world has to have both"
    seen = sum((r[m] or 0) >= 5 for r in shown for m in WITHIN)
    assert seen > 0.5 * len(large), f"what is large stays in sight where it can: {seen} of {len(large)}"


@pytest.mark.parametrize("rule", BROKEN)
def test_the_attacker_finds_what_a_broken_rule_lets_through(rule, invented, warehouse_dsn, tmp_path, monkeypatch):
    right, wrong = BROKEN[rule]
    copy = tmp_path / "dbt_project"
    shutil.copytree(building.project_dir(), copy, ignore=shutil.ignore_patterns("target", "logs"))
    macro = copy / "macros" / "suppression.sql"
    assert right in macro.read_text(), f"the macro no longer says {right!r}"
    macro.write_text(macro.read_text().replace(right, wrong))
    monkeypatch.setenv("KINHTESO_DBT_PROJECT", str(copy))
    assert next(attack(invented, suppressed(warehouse_dsn, tmp_path / "state", invented)), None)
