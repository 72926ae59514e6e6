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
    "nothing complementary": ("or (j.{{ m }}_cramped{{ n }} and (j.{{ m }}_next{{ n }} or not j.{{ m }}_has_next{{ n }}))\n                 or j.{{ m }}_alone{{ n }}", ""),
    "no second count": ("j.{{ m }}_cramped{{ n }} and (j.{{ m }}_next{{ n }} or not j.{{ m }}_has_next{{ n }})", "j.{{ m }}_cramped{{ n }} and not j.{{ m }}_has_next{{ n }}"),
    "a second one, whatever the room": ("greatest(s.{{ m }} - 1, 0)", "4 * (s.{{ m }}_small{{ n }})::int - 1"),
    "no fallback where all others are 0": ("(j.{{ m }}_next{{ n }} or not j.{{ m }}_has_next{{ n }})", "j.{{ m }}_next{{ n }}"),
    "parts in sight of a hidden whole": ("or (j.{{ m }}_forced{{ n }} and j.{{ m }}_weight{{ n }} > 0)", ""),
    "the whole in sight where only one has it": ("or j.{{ m }}_alone{{ n }}", ""),
}  # fmt: skip
SEED = 20211
#: As kpi_hamlet_daily groups them.
GROUPS = [["place"], ["commune"]]


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


def split(rows: list[dict[str, Any]], rng: random.Random) -> list[dict[str, Any]]:
    """The same communes as units that a later list splits: of each one hamlet lies alone in a part of its own, of the larger ones a second one, or two together."""
    found = []
    for commune in sorted({r["commune"] for r in rows}):
        of = [r for r in rows if r["commune"] == commune]
        named = [r["hamlet_code"] for r in of if r["hamlet_code"] != "~"]
        rng.shuffle(named)
        parts = {named[0]: "part 1"}
        if len(named) > 3:
            parts |= rng.choice([{named[1]: "part 2"}, {named[1]: "part 2", named[2]: "part 2"}])
        found += [{**r, "place": f"{commune} {parts.get(r['hamlet_code'], 'rest')}"} for r in of]
    return found


def suppressed(dsn: str, state, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as the project's macro shows them; ``place``: the part of a split commune, else the commune."""
    call = f"{{{{ hidden_counts('pg_temp.cells', {GROUPS}, 'hamlet_code', {WITHIN}) }}}}"
    result = building.run_dbt(dsn, ["compile", "--inline", f"select * from {call} as h"], state)
    assert result.success, result.exception
    query = result.result.results[0].node.compiled_code
    rows = [{"place": str(r["commune"]), **r} for r in rows]
    names = ["commune", "place", "hamlet_code", *WITHIN]
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row) as conn:
        conn.execute(f"create temp table cells (commune int, place text, hamlet_code text, {', '.join(f'{m} bigint' for m in WITHIN)})")
        with conn.cursor() as cur:
            cur.executemany(f"insert into cells ({', '.join(names)}) values ({', '.join(['%s'] * len(names))})", [[r[n] for n in names] for r in rows])
        found = conn.execute(query).fetchall()
    return [{**r, **{m: None if r[f"{m}_hidden"] else r[m] for m in WITHIN}} for r in found]


def attack(rows: list[dict[str, Any]], shown: list[dict[str, Any]], by: str = "commune") -> Iterator[str]:
    """What the attacker knows in the end of each commune, or ``by`` place, of which the totals are published."""
    for unit in sorted({r[by] for r in rows}):
        truth = {(r["hamlet_code"], m): r[m] for r in rows for m in WITHIN if r[by] == unit}
        totals = {m: sum(v for (_, of), v in truth.items() if of == m and v is not None) for m in WITHIN}
        of = [r for r in shown if r[by] == unit]
        yield from (f"{unit} {cell}: {a}..{b}, it is {truth[cell]}" for cell, (a, b) in given_away(of, totals).items())


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


def test_groups_of_parts_alone_give_it_away(parted, warehouse_dsn, tmp_path, monkeypatch):
    """The leak that the second grouping closes: a small count alone in its part is the commune's total less what is shown."""
    monkeypatch.setattr("test_suppression.GROUPS", [["place"]])
    told = list(attack(parted, suppressed(warehouse_dsn, tmp_path, parted)))
    assert len([t for t in told if 1 <= int(t.rpartition(" ")[2]) <= 4]) > 20, told


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


@pytest.fixture(scope="module")
def parted(invented):
    return split(invented, random.Random(SEED))


def test_a_hamlet_alone_in_its_part_is_not_what_its_neighbours_leave_of_the_commune(parted, warehouse_dsn, tmp_path):
    """A later list splits the commune, so the totals of its parts are in sight as well as its own: neither gives a count away. Of what is alone in its
    part, and so is its part's total, and of parts of very few households nothing is said."""
    shown = suppressed(warehouse_dsn, tmp_path, parted)
    assert not [r for r in shown if any(r[m] in (1, 2, 3, 4) for m in WITHIN)]
    assert list(attack(parted, shown)) == []
    few = {p for p in {r["place"] for r in parted} if sum((r[HOUSEHOLDS] or 0) - 1 for r in parted if r["place"] == p and r["hamlet_code"] != "~") < 4}
    assert [told for told in attack(parted, shown, "place") if told.split(" (")[0] not in few and 1 <= int(told.rpartition(" ")[2]) <= 4] == []
    alone = [r for r in parted if sum(o["place"] == r["place"] for o in parted) == 1]
    assert sum(r["households_with_store"] in (1, 2, 3, 4) for r in alone) > 20, "the world has to have them"
