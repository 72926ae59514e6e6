"""kpi_hamlet_daily: what every hamlet has, what of it is shown, and whether what is not shown may be withheld (KPI §4; docs/README.md, small counts of hamlets)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import date
from typing import Any

from oracle.files import Row
from oracle.geography import Place
from oracle.kpis import HAMLET, RATES, Recount, Table, ratio, vnd
from oracle.words import bare, nfc, plain, word

KEYS = ("geography", "commune_code", "hamlet_code", "date")
#: Counts of households, which small numbers are taken out of, each after the one that it is a part of.
WITHIN = {
    "households": None, "households_with_store": "households", "households_with_active_store": "households_with_store", "households_with_payment": "households",
    "lead_households": "households",
}  # fmt: skip
HOUSEHOLDS = tuple(WITHIN)
TEAMS = ("hamlets_with_team", "team_members", "team_members_trained")
#: What a commune has beside its hamlets.
REST = "~"


def hamlets(recount: Recount, days: Iterable[date]) -> Table:
    """True counts by (geography, commune, hamlet, day), with nothing suppressed. Only units of the lists in which registers have come. `group`: the commune or
    its part of which the hamlet is one."""
    found: Table = {}
    teams: dict[tuple[int, int], dict[str, Counter[str]]] = {}
    forms: dict[tuple[int, frozenset[int]], tuple[Any, dict[str, tuple[str, int, Place]]]] = {}
    for day in days:
        homes = recount.households(day)
        held = recount.held(day)
        per: dict[tuple[str, str], dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        readers: dict[tuple[str, str], Any] = {}
        listed: dict[tuple[str, str], dict[str, tuple[str, int, Place]]] = {}
        for unit, (form, pieces) in recount.in_force("hamlets", day).items():
            mark = (id(form), frozenset(pieces))
            if mark not in forms:
                mine = {plain(r[HAMLET]): (nfc(r[HAMLET]), vnd(r["Tổng số hộ"]), recount.geo.place(*unit, r[HAMLET])) for r in form}
                forms[mark] = (reader(form), {h: told for h, told in mine.items() if not pieces.isdisjoint(told[2].pieces)})
            readers[unit], listed[unit] = forms[mark]
            for hamlet, (_, households, _) in listed[unit].items():
                per[unit][hamlet]["households"] = households
        for measure in ("households_with_store", "households_with_active_store", "households_with_payment"):
            for home in held[measure]:
                place = homes.place[home]
                unit = (place.list, place.code)
                per[unit][readers.get(unit, _nothing)(homes.told[home])][measure] += 1
        for home, at, where in recount.leads(day):
            lives = homes.place.get(home)
            told = homes.told[home] if lives and (lives.list, lives.code) == (at.list, at.code) else where
            per[at.list, at.code][readers.get((at.list, at.code), _nothing)(told)]["lead_households"] += 1
        for unit, (form, _) in recount.in_force("teams", day).items():
            read = readers.get(unit, _nothing)
            if (id(form), id(read)) not in teams:
                teams[id(form), id(read)] = _teams(form, read)
            for hamlet, counts in teams[id(form), id(read)].items():
                per[unit][hamlet].update(counts)
        for (name, code), mine_ in per.items():
            known = listed.get((name, code), {})
            u = recount.geo.units[name][code]
            for hamlet, counts in mine_.items():
                if (hamlet == REST and not any(counts.values())) or (hamlet != REST and hamlet not in known):
                    continue
                row: dict[str, Any] = {m: counts[m] for m in (*HOUSEHOLDS, *TEAMS)}
                if hamlet == REST:
                    row["households"] = None
                row |= {"hamlet_name": known[hamlet][0] if hamlet in known else "Chưa rõ thôn", "completeness": recount.completeness(day)}
                row["group"] = known[hamlet][2] if hamlet in known else recount.geo.place(name, code)
                row |= {"commune_name": u["gso_name"], "district_code": u["district_code"] or None, "district_name": u["district_name"] or None}
                found[name, code, hamlet, day] = row
    return found


def shown(counted: Table) -> Table:
    """The rows as they are published: hidden counts and the rates made of them are null."""
    parts: dict[tuple[Place, date], dict[str, dict[str, Any]]] = defaultdict(dict)
    communes: dict[tuple[str, str, date], dict[str, dict[str, Any]]] = defaultdict(dict)
    for (name, code, hamlet, day), row in counted.items():
        parts[row["group"], day][hamlet] = communes[name, code, day][hamlet] = row
    of_parts: dict[tuple[str, str, date], set[tuple[str, str]]] = defaultdict(set)
    for (place, day), mine_ in parts.items():
        of_parts[place.list, place.code, day] |= hide(mine_, WITHIN)
    hidden = {mark: hide(mine_, WITHIN, of_parts[mark]) for mark, mine_ in communes.items()}
    found: Table = {}
    for key, row in counted.items():
        mine = {m for h, m in hidden[key[0], key[1], key[3]] if h == key[2]}
        given = {c: None if c in mine else v for c, v in row.items() if c != "group"} | {"suppressed": bool(mine)}
        for rate, part in RATES.items():
            right = ratio(given[part], given["households"], 6) if given[part] is not None and given["households"] is not None else None
            given[rate] = None if right is not None and right > 1 else right
        found[key] = given
    return found


def hide(rows: dict[str, dict[str, Any]], within: dict[str, str | None], before: Collection[tuple[str, str]] = ()) -> set[tuple[str, str]]:
    """(hamlet, measure) of what is not shown of a commune, or of a part of it, on a day: a part goes with its whole; 1 to 4 are hidden; what is hidden needs
    room of 4 above 1 each, else the smallest shown 5 or more goes too; where there is none everything goes. ``before``: what its parts hide already."""
    hidden: set[tuple[str, str]] = set()
    for measure, whole in within.items():
        count = {h: row[measure] for h, row in rows.items() if row[measure] is not None}
        small = {h for h, n in count.items() if 1 <= n <= 4}
        forced = {h for h in count if whole and (h, whole) in hidden}
        was = {h for h in count if (h, measure) in before}
        held, out = small | forced | was, set(small)
        if any(count[h] for h in held):
            out |= forced  # where all of them are 0 the total says so
        if small and sum(max(count[h] - 1, 0) for h in held) < 4:
            large = [(n, h) for h, n in count.items() if n >= 5 and h not in forced | was]
            out |= {min(large)[1]} if large else set(count)
        parts = [p for p, of in within.items() if of == measure and whole]
        if len(rows) > 1 and sum(n > 0 for n in count.values()) == 1 and any(1 <= sum(r[p] for r in rows.values()) <= 4 for p in parts):
            out = set(count)
        # the 0 of a part whose whole is shown as 0 tells nothing
        hidden |= {(h, measure) for h in was}
        hidden |= {(h, measure) for h in out if not whole or count[h] or (h, whole) in hidden or rows[h][whole] != 0}
    return hidden


def _nothing(text: str) -> str:
    return REST


def reader(form: list[Row]) -> Any:
    """Text -> hamlet of R1: the full name first, then the name without its unit word where only one fits."""
    full = {plain(r[HAMLET]) for r in form}
    short = Counter(bare(f) for f in {nfc(r[HAMLET]) for r in form})
    alone = {bare(r[HAMLET]): plain(r[HAMLET]) for r in form if short[bare(r[HAMLET])] == 1}
    return lambda text: plain(text) if plain(text) in full else alone.get(bare(text), REST)


def _teams(form: list[Row], read: Any) -> dict[str, Counter[str]]:
    """Figures of the teams by hamlet; a team of two hamlets is both's."""
    mine: dict[str, Counter[str]] = defaultdict(Counter)
    teams: dict[tuple[str, str], list[tuple[str, bool]]] = defaultdict(list)
    for r in form:
        teams[nfc(r[HAMLET]), nfc(r["Số, ngày QĐ thành lập"])].append((word(r["Nhiệm vụ trong tổ"]), word(r["Đã tập huấn"]) in ("co", "x")))
    served: dict[str, set[str]] = defaultdict(set)
    for (where, _), people in teams.items():
        names = {h for h in re.split(r"\s*[,;]\s*", where) if h}
        counts = any(role == "to truong" for role, _ in people) and sum(t for role, t in people if role != "to truong") >= 2
        for hamlet, unknown in {(read(h), bare(h) if read(h) == REST else "") for h in names}:
            mine[hamlet]["team_members"] += len(people)
            mine[hamlet]["team_members_trained"] += sum(t for _, t in people)
            if counts:
                served[hamlet].add(unknown or hamlet)
    for hamlet, who in served.items():
        mine[hamlet]["hamlets_with_team"] = len(who)
    return mine


def withheld(counted: Table, published: Table) -> Iterator[str]:
    """What is wrong with a table of hamlets: a shown figure that is not the counted one, a small count that is shown, one withheld that says nothing of it,
    and one that is withheld alone, so that the commune's total tells it."""
    for key in sorted(counted.keys() - published.keys()):
        yield f"{key}: was counted, and no such row is published"
    for key in sorted(published.keys() - counted.keys()):
        yield f"{key}: published, but there is no such hamlet"
    hidden: Counter[tuple[str, str, date, str]] = Counter()
    rows: Counter[tuple[str, str, date, str]] = Counter()
    for key, row in counted.items():
        given = published.get(key)
        if given is None:
            continue
        for column in sorted(row.keys() - {"group"} | (given.keys() - {"suppressed", *RATES})):
            if column in HOUSEHOLDS and row[column] is not None:
                rows[key[0], key[1], key[3], column] += 1
                if given[column] is None:
                    hidden[key[0], key[1], key[3], column] += 1
                    if not given["suppressed"]:
                        yield f"{key} {column}: is withheld, and the row does not say so"
                    continue
                if 1 <= row[column] <= 4:
                    yield f"{key} {column}: {given[column]} is published of {row[column]} households"
            if column not in row or row[column] != given.get(column):
                yield f"{key} {column}: {row.get(column)} was counted, {given.get(column)} is published"
        if given["suppressed"] and not any(given[m] is None and row[m] is not None for m in HOUSEHOLDS):
            yield f"{key}: says that something is withheld, and nothing is"
        for rate, part in RATES.items():
            right = ratio(given[part], given["households"], 6) if given[part] is not None and given["households"] is not None else None
            right = None if right is not None and right > 1 else right
            if given[rate] != right:
                yield f"{key} {rate}: {right} follows from what is shown, {given[rate]} is published"
    for (name, code, day, measure), count in hidden.items():
        if count == 1 and rows[name, code, day, measure] > 1:
            yield f"{name} {code} {day} {measure}: one hamlet alone is withheld: the commune's total tells it"
