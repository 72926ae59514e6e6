"""kpi_hamlet_daily: what every hamlet has, and whether what is not shown may be withheld (KPI §4; STYLE: 1 to 4 households are nobody's business)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from oracle.files import Row
from oracle.kpis import HAMLET, RATES, Recount, Table, ratio, vnd
from oracle.words import bare, nfc, plain, word

KEYS = ("geography", "commune_code", "hamlet_code", "date")
#: Counts of households, which small numbers are taken out of.
HOUSEHOLDS = ("households", "households_with_store", "households_with_active_store", "households_with_payment", "lead_households")
TEAMS = ("hamlets_with_team", "team_members", "team_members_trained")
#: What a commune has beside its hamlets.
REST = "~"


def hamlets(recount: Recount, days: Iterable[date]) -> Table:
    """True counts by (geography, commune, hamlet, day), with nothing suppressed. Only units of the lists in which registers have come."""
    found: Table = {}
    for day in days:
        homes = recount.households(day)
        held = recount.held(day)
        held["lead_households"] = {}
        for (name, code), (form, _) in recount.in_force("leads", date.max).items():
            for since, until, home, where in recount.r4(form):
                if since <= day and (until is None or day < until):
                    held["lead_households"][name, code, home] = where
        per: dict[tuple[str, str], dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        readers: dict[tuple[str, str], Any] = {}
        listed = recount.in_force("hamlets", day)
        for unit, (form, _) in listed.items():
            readers[unit] = _reader(form)
            for r in form:
                per[unit][plain(r[HAMLET])]["households"] = vnd(r["Tổng số hộ"])
        for measure in ("households_with_store", "households_with_active_store", "households_with_payment"):
            for home in held[measure]:
                place = homes.place[home]
                unit = (place.list, place.code)
                per[unit][readers.get(unit, _nothing)(homes.told[home])][measure] += 1
        for (name, code, home), where in held["lead_households"].items():
            place = homes.place.get(home)
            told = homes.told[home] if place and (place.list, place.code) == (name, code) else where
            per[name, code][readers.get((name, code), _nothing)(told)]["lead_households"] += 1
        for unit, (form, _) in recount.in_force("teams", day).items():
            _teams(form, readers.get(unit, _nothing), per[unit])
        for (name, code), mine in per.items():
            form = listed.get((name, code), ([], None))[0]
            names = {plain(r[HAMLET]): nfc(r[HAMLET]) for r in form} | {REST: "Chưa rõ thôn"}
            for hamlet, counts in mine.items():
                if hamlet == REST and not any(counts.values()):
                    continue
                row: dict[str, Any] = {m: counts[m] for m in (*HOUSEHOLDS, *TEAMS)}
                if hamlet == REST:
                    row["households"] = None
                row |= {"hamlet_name": names[hamlet], "completeness": recount.completeness(day)}
                u = recount.geo.units[name][code]
                row |= {"commune_name": u["gso_name"], "district_code": u["district_code"] or None, "district_name": u["district_name"] or None}
                found[name, code, hamlet, day] = row
    return found


def _nothing(text: str) -> str:
    return REST


def _reader(form: list[Row]) -> Any:
    """Text -> hamlet of R1: the full name first, then the name without its unit word where only one fits."""
    full = {plain(r[HAMLET]) for r in form}
    short = Counter(bare(f) for f in {nfc(r[HAMLET]) for r in form})
    alone = {bare(r[HAMLET]): plain(r[HAMLET]) for r in form if short[bare(r[HAMLET])] == 1}
    return lambda text: plain(text) if plain(text) in full else alone.get(bare(text), REST)


def _teams(form: list[Row], read: Any, mine: dict[str, Counter[str]]) -> None:
    """A team of two hamlets is both's."""
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
        for column in sorted(row.keys() | (given.keys() - {"suppressed", *RATES})):
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
