"""Which commune an address means on its date, by the rules R1–R14 of the domain; what fits two is ambiguous, never guessed. Pure.

A reading gives a set of communes of the list in force. One commune and no contradiction: resolved. Otherwise the set goes to a person.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache

from kinhteso.addresses import reading, spelling
from kinhteso.addresses.decisions import Decisions
from kinhteso.addresses.hamlets import Hamlets
from kinhteso.addresses.names import HOME, Entry, Index, Lists
from kinhteso.addresses.reading import Item

RESOLVED, AMBIGUOUS, OUT_OF_SCOPE = "resolved", "ambiguous", "out_of_scope"
RULES = tuple(f"R{n}" for n in range(1, 15))
DECISION = "decision"
CACHE = 65_536


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an address says. ``code`` and ``candidates`` (sorted) are of the list ``list``; ``rule`` is what decided."""

    status: str
    code: str = ""
    candidates: tuple[str, ...] = ()
    rule: str = ""
    list: str = ""

    @property
    def is_resolved(self) -> bool:
        """Whether it is one commune."""
        return self.status == RESOLVED


@dataclass(frozen=True, slots=True)
class Found:
    """Communes that a name can be. ``entries``: the names that fit; ``is_sure``: nothing speaks against the one; ``said`` and ``district``: the pieces
    that say so."""

    codes: frozenset[str]
    is_sure: bool
    rule: str
    entries: tuple[Entry, ...] = ()
    said: tuple[Item, ...] = ()
    district: str | None = None


_NOTHING = Found(frozenset(), False, "R9")


class Resolver:
    """Resolves by the given lists; ``off`` are rules that are left out, to show what each is good for."""

    def __init__(self, lists: Lists, decided: Decisions | None = None, off: Iterable[str] = ()):
        self.lists, self.decided, self.off = lists, decided or Decisions(), frozenset(off)
        self.words = lists.words
        self.reader = reading.Reader(self.words)
        self._cached = lru_cache(maxsize=CACHE)(self._resolve)
        self.norm = lru_cache(maxsize=CACHE)(self._norm)

    def _on(self, rule: str) -> bool:
        return rule not in self.off

    # ---- an address ----

    def resolve(self, text: str | None, day: date | None) -> Resolution:
        """The commune of an address on the day of its record; without a day (R8 cannot choose a list) nothing is resolved."""
        if day is None:
            found = {self._cached(text or "", p.name) for p in self.lists.periods}
            if all(r.status == OUT_OF_SCOPE for r in found):
                return replace(next(iter(found)), list="")
            return Resolution(AMBIGUOUS, rule="R8")
        period = self.lists.in_force(day) if self._on("R8") else self.lists.periods[-1]
        return self._decided(text or "", period.name, day) or self._cached(text or "", period.name)

    def _decided(self, text: str, list_name: str, day: date) -> Resolution | None:
        """What an operator has decided about it; that goes before all rules."""
        if not self.decided or (decision := self.decided.find(self.norm(text), list_name, day)) is None:
            return None
        if decision.code == OUT_OF_SCOPE:
            return Resolution(OUT_OF_SCOPE, rule=DECISION, list=list_name)
        return Resolution(RESOLVED, decision.code, rule=DECISION, list=list_name)

    def _norm(self, text: str) -> str:
        """The form under which an address is decided once for all: repaired, lower case, single spaces, one kind of separator, numbers masked."""
        return norm(spelling.repair(text, self.reader.known_syllables).text)

    def name_of(self, list_name: str, code: str) -> str:
        """A code with its name ("06523 Xã Chi Lăng, Huyện Chi Lăng"), for whoever has to choose."""
        unit = self.lists.units.get((list_name, code))
        return " ".join(filter(None, [code, ", ".join(filter(None, [unit.name, unit.district_name])) if unit else ""]))

    def _resolve(self, text: str, list_name: str) -> Resolution:
        index = self.lists.index(list_name)
        repaired = spelling.repair(text, self.reader.known_syllables, r12=self._on("R12"), r13=self._on("R13"))
        cleaned = spelling.clean(repaired.text) if self._on("R1") else repaired.text
        empty = " ".join(cleaned.casefold().split())
        if not repaired.is_lossy and (empty in reading.EMPTY or not any(c.isalnum() for c in empty)):
            return Resolution(AMBIGUOUS, rule="R9", list=list_name)
        if repaired.is_lossy:
            return Resolution(AMBIGUOUS, candidates=self._lossy(cleaned, index), rule="R13", list=list_name)
        items = self.reader.read(cleaned if self._on("R13") else cleaned.replace("?", " ")) if self._on("R3") else self._bare(cleaned)
        result = self._decide(items, index, spelling.has_marks(cleaned))
        if repaired.is_damaged:
            codes = {result.code, *result.candidates} - {""}
            return Resolution(AMBIGUOUS, candidates=tuple(sorted(codes)), rule="R12", list=list_name)
        if repaired.how and result.is_resolved:
            result = replace(result, rule="R12" if result.rule in ("R1", "R3") else f"R12+{result.rule}")
        return replace(result, list=list_name)

    def _bare(self, text: str) -> list[Item]:
        """Parts as names, without unit words (R3 off)."""
        found = []
        for n, part in enumerate(re.split(r"[,;\n]", text)):
            plain = spelling.plain(part)
            roles = frozenset(self.words.roles.get(plain, ()))
            found.append(Item("name" if roles else "unknown", part, spelling.key(part), plain, "", roles, n))
        return found

    # ---- what the pieces say together ----

    def _decide(self, items: Sequence[Item], index: Index, is_marked: bool) -> Resolution:
        items = _after_names([i for i in items if "country" not in i.roles and i.kind != reading.NOISE])
        items = _formers(items, has_districts=index.has_districts)
        scope, items = self._province(items)
        if scope is not None:
            return scope
        districts, is_district_unread = self._districts(items)
        codes = [i for i in items if i.kind == "code"]
        hamlets = _hamlets_said(items)
        found = self._commune(items, index, districts, hamlets, is_marked)
        if found.is_sure and self._on("R9") and (is_district_unread or self._is_part_unread(items, found)):
            found = replace(found, is_sure=False, rule="R9")
        if codes:
            return self._by_code(codes, found, items, index, districts)
        if not found.codes and self._is_district_code(items):
            return _ambiguous(frozenset(), "R9")
        is_bare_district = found.rule == "R9" and all(self._district_of_name(i) for i in found.said)
        if not found.is_sure and (not found.entries or is_bare_district):
            found = self._initials(items, index, districts) or found
        if not found.codes and not _has_names(items):
            found = self._after_place(items, index, is_marked) or found
        return _result(found, guess=found.rule != "R5" and not self._on(found.rule))

    def _is_part_unread(self, items: Sequence[Item], found: Found) -> bool:
        """Whether words that nobody knows stand where they would change what the name says: beside it, or in the place of its district."""
        for said in found.said:
            at = items.index(said)
            beside = [items[n] for n in (at - 1, at + 1) if 0 <= n < len(items) and (n > at or said.kind == "name")]
            if any(i.kind == "unknown" and i.part == said.part for i in beside) or _is_elsewhere(items, at):
                return True
            after = items[at + 1 :]
            home = next((n for n, i in enumerate(after) if "province" in i.roles and self.words.provinces.get(i.plain) == HOME), len(after))
            if found.district is None and any(i.kind == "unknown" for i in after[:home]):
                return True
            if any(i.kind == "unknown" and i.key == _FORMER for i in after) and any(e.is_current for e in found.entries):
                return True
        return False

    def _province(self, items: Sequence[Item]) -> tuple[Resolution | None, list[Item]]:
        """Another province (R10), or what is left to be read. A name that is a province and a commune of ours is a province where it stands as one."""
        items = list(items)
        provinces = self.words.provinces
        last = max((n for n, i in enumerate(items) if i.kind in ("commune", "district", "province", "name")), default=-1)
        is_home = any("province" in i.roles and provinces.get(i.plain) == HOME for i in items)
        has_home_district = any(i.kind == "district" and self._home_district(i) for i in items)
        has_strange_district = any(i.kind == "district" and not self._home_district(i) for i in items)
        has_typed = any(i.kind == "commune" for i in items)
        foreign = {self.words.foreign_districts[i.plain] for i in items if "foreign" in i.roles}
        others, unread, doubtful = [], False, False
        for n, item in enumerate(items):
            code = provinces.get(item.plain) if "province" in item.roles else None
            if item.kind == "province" and code is None:
                unread = True
            if code is None or code == HOME:
                continue
            is_followed = any(i.kind in ("commune", "district", "name") and i is not item for i in items[n + 1 :])
            if item.kind == "province":
                if item.type == "t." and is_followed:  # "T. Hòa Bình, xã …" is a hamlet
                    items[n] = replace(item, kind="place", roles=frozenset())
                else:
                    others.append(item)
            elif item.kind == "district":
                if item.type == "thành phố":
                    others.append(item)
            elif item.kind == "name":
                if not item.roles & {"commune", "district"}:
                    is_contradicted = n != last and (has_home_district or any("district" in i.roles for i in items[n + 1 :]))
                    doubtful |= is_contradicted
                    if not is_contradicted:
                        others.append(item)
                elif code in foreign or (n == last and not is_home and not has_home_district and (has_strange_district or has_typed)):
                    others.append(item)
        if not self._on("R10"):
            return None, [i for i in items if i not in others]
        has_our_code = any(i.kind == "code" and self._is_our_code(i.plain) for i in items)
        if others and not is_home and not doubtful and not has_our_code:
            return Resolution(OUT_OF_SCOPE, rule="R10"), items
        if any(i.kind == "code" and i.province not in ("", HOME) for i in items):
            districts = {d.code for d in self.lists.districts}
            ours = any(i.district in districts or self._is_our_code(i.plain) for i in items if i.kind == "code")
            if not ours and not is_home and next(i for i in items if i.kind == "code").province in self.words.province_codes:
                return Resolution(OUT_OF_SCOPE, rule="R10"), items
        if others or unread or doubtful:
            strange = others[0] if others else Item("district", "?", "?", "?", "", frozenset(), -1)
            return None, [*(i for i in items if i not in others), replace(strange, kind="district", roles=frozenset(), key="?", plain="?", type="tỉnh")]
        return None, items

    def _is_our_code(self, code: str) -> bool:
        return any((p.name, code.zfill(5)) in self.lists.units for p in self.lists.periods)

    def _home_district(self, item: Item) -> str | None:
        """Code of the district that an item with a unit word says, one of ours and of that kind."""
        fits = [d for d in self.words.districts.get(item.plain, ()) if (item.type == "thành phố") == d.is_city and item.type != "quận"]
        if not self._on("R6"):
            fits = [d for d in fits if spelling.key(d.short_name) == item.key]
        return fits[0].code if len(fits) == 1 else None

    def _district_of_name(self, item: Item) -> str | None:
        fits = self.words.districts.get(item.plain, ()) if "district" in item.roles else ()
        return fits[0].code if len(fits) == 1 else None

    def _districts(self, items: Sequence[Item]) -> tuple[list[str], bool]:
        """Districts said with a unit word, and whether one of those is none of ours."""
        found, unread = [], False
        for item in items:
            if item.kind == "district":
                code = self._home_district(item)
                unread |= code is None
                if code and code not in found:
                    found.append(code)
        homes = [i for i in items if i.kind in ("name", "province") and self.words.provinces.get(i.plain) == HOME]
        if not found and len(homes) > 1 and homes[0].kind == "name":
            found.append(self.words.districts[homes[0].plain][0].code)
        return found, unread

    def _commune(self, items: Sequence[Item], index: Index, districts: list[str], hamlets: list[str], is_marked: bool) -> Found:
        typed = [i for i in items if i.kind == "commune"]
        names = [i for i in items if i.kind == "name" and i.roles & {"commune", "district"} and self.words.provinces.get(i.plain) != HOME]

        def look(item: Item, district: str | None) -> Found:
            found = replace(self._match(index, item, district, hamlets, is_marked), said=(item,), district=district)
            # The lists know no earlier unit of a name that a unit in force has: which one is meant, nobody says.
            return replace(found, is_sure=False, rule="R9") if item.is_former and any(e.is_current for e in found.entries) else found

        if len(districts) > 1:
            every = frozenset().union(*(look(i, None).codes for i in typed or names if "commune" in i.roles))
            return Found(every, False, "R9")
        district = districts[0] if districts else None
        if typed:
            return self._typed(items, typed, names, district, look)
        return self._untyped(items, names, district, index, look)

    def _typed(self, items, typed, names, district, look) -> Found:  # type: ignore[no-untyped-def]
        at = max(items.index(i) for i in typed)
        after = [i for i in names if items.index(i) > at]
        before = [i for i in names if items.index(i) < at]
        if district is None:
            said = next((i for i in after if self._district_of_name(i)), None) or next((i for i in reversed(before) if self._district_of_name(i)), None)
            district = self._district_of_name(said) if said else None
            after = [i for i in after if i is not said]
        statements = [look(i, district) for i in typed]
        statements += [look(i, district) for i in after if "commune" in i.roles and self._district_of_name(i) != district]
        return _together(statements)

    def _untyped(self, items, names, district, index: Index, look) -> Found:  # type: ignore[no-untyped-def]
        communes = [i for i in names if "commune" in i.roles]
        if not communes:
            return _NOTHING
        if district is not None:
            marked = next((n for n, i in enumerate(items) if i.kind == "district"), len(items))
            before = [i for i in communes if items.index(i) < marked]
            after = [i for i in communes if items.index(i) > marked]
            # Unit words go from small to large: of several names the one next to the district is the commune, those before it are hamlets.
            return look(before[-1], district) if before else look(after[0], district) if len(after) == 1 else _together([look(i, district) for i in after])
        provinces = [n for n, i in enumerate(items) if "province" in i.roles and self.words.provinces.get(i.plain) == HOME]
        is_reversed = bool(provinces) and provinces[0] == 0 and len(provinces) == 1 and len(names) > 0 and items[0].kind in ("name", "province")
        order = list(reversed(names)) if is_reversed else names
        if len(order) == 1:
            found = self._alone(order[0], index, look(order[0], None))
            return replace(found, is_sure=False, rule="R10") if found.is_sure and not provinces and self._may_be_elsewhere(order[0]) else found
        last, before_last = order[-1], order[-2]
        said = self._district_of_name(last)
        if said and "commune" in before_last.roles:
            found = look(before_last, said)
            if found.entries and found.rule != "R9":
                if "province" in before_last.roles | last.roles and not provinces and found.codes and self._may_be_elsewhere(last):
                    return replace(found, is_sure=False, rule="R10")
                return found
            return replace(found, is_sure=False, rule="R9")
        if "commune" not in last.roles:
            return replace(look(before_last, None), is_sure=False, rule="R9")
        found = look(last, None)
        firsts = [c for c in map(self._district_of_name, order[:-1]) if c]
        others = [look(last, c) for c in firsts]
        if any("commune" in i.roles and not self._district_of_name(i) for i in order[:-1]):
            others += [look(i, None) for i in order[:-1] if "commune" in i.roles]
        codes = found.codes.union(*(o.codes for o in others))
        is_elsewhere = self._may_be_elsewhere(last) and not provinces
        sure = found.is_sure and len(codes) == 1 and not is_elsewhere and all(o.is_sure for o in others)
        rule = found.rule if sure else "R10" if is_elsewhere else found.rule if not found.is_sure else "R9"
        return replace(found, codes=codes, is_sure=sure, rule=rule, district=firsts[0] if sure and firsts else None)

    def _may_be_elsewhere(self, item: Item) -> bool:
        return "province" in item.roles and self._on("R10")

    def _alone(self, item: Item, index: Index, found: Found) -> Found:
        """One name without unit word and district: where districts are in force and it is one's name, that may be meant (R9)."""
        if index.has_districts and self._district_of_name(item) and self._on("R9"):
            if all(e.is_future for e in found.entries):
                return _NOTHING
            return replace(found, is_sure=False, rule="R4" if len({e.key for e in found.entries if e.is_current}) and len(found.codes) > 2 else "R9")
        if index.has_districts and not self._on("R9"):
            fits = tuple(e for e in found.entries if e.is_current)
            return _found(fits, [], found.rule) if fits else found
        return found

    # ---- a name ----

    def _match(self, index: Index, item: Item, district: str | None, hamlets: list[str], is_marked: bool) -> Found:
        """The communes that a name can be, in the district if one is said."""
        is_farm = item.type == reading.FARM or item.plain.startswith("nt ")
        name, plain = item.key.removeprefix("nt "), item.plain.removeprefix("nt ")
        exact = spelling.exact_key(item.text).removeprefix("nt ")
        unit_type = "Thị trấn" if is_farm else item.type
        every = [e for e in index.by_plain.get(plain, ()) if e.is_current or e.is_future or self._on("R7")]
        fits = [e for e in every if not e.is_future]
        if item.is_former:
            fits = [e for e in fits if not e.is_current] or fits
        if not fits:
            return Found(frozenset().union(*(e.targets for e in every)), False, "R8" if every else "R9", tuple(every))
        if not self._on("R2"):
            fits = [e for e in fits if e.exact == exact or spelling.letters(e.exact) == spelling.letters(exact)]
        is_exact = (lambda e: e.key == name) if self._on("R2") else (lambda e: e.exact == exact)
        same = lambda entries: [e for e in entries if is_exact(e)] or list(entries)  # noqa: E731
        here = [e for e in fits if district in e.districts] if district else fits
        if not here:
            return _found(same(fits), hamlets, "R9", is_sure=False)
        typed = [e for e in here if not unit_type or (e.type == unit_type and (not is_farm or e.is_farm))] if self._on("R5") else here
        if not typed:
            return _found(same(here), hamlets, "R5", is_sure=False)
        has_marks = is_marked or not self._on("R6")
        chosen = [e for e in typed if is_exact(e)] if has_marks else []
        is_plain = not chosen
        if is_plain:
            if not self._on("R6"):
                return Found(frozenset(), False, "R6")
            elsewhere = [e for e in fits if has_marks and district and is_exact(e) and district not in e.districts]
            if elsewhere:  # the marks say another name than the one in this district: which of the two is wrong, nobody knows
                return _found([*typed, *elsewhere], hamlets, "R9", is_sure=False)
            if any(spelling.tone_count(word) > 1 for word in item.text.casefold().split()):  # "Hồẫ Sơn": no wrong marks but damage
                return _found(typed, hamlets, "R6", is_sure=False)
            chosen = typed
        if district is None and not index.has_districts:
            current = {e.key for e in chosen if e.is_current}
            chosen = [e for e in chosen if e.is_current or e.key not in current]
        return _found(chosen, hamlets, self._rule(chosen, typed, here, fits, item, index, district, is_plain, exact))

    def _rule(self, chosen, typed, here, fits, item, index, district, is_plain, exact) -> str:  # type: ignore[no-untyped-def]
        """Which rule decided, for whoever reads the result."""
        if len(chosen) > 1:
            if district and not index.has_districts and any(e.is_current for e in chosen):
                return "R8"
            if is_plain and len({e.key for e in chosen}) > 1:
                return "R6"
            return "R5" if district else "R4"
        one = chosen[0]
        if not one.is_current:
            return "R7"
        if is_plain:
            return "R6"
        if not index.has_districts:
            return "R8"
        if len(here) > len(typed) and any(e.key == one.key for e in here if e not in typed):
            return "R5"
        if district and any(e.key == one.key for e in fits if e not in here):
            return "R4"
        if one.exact != exact:
            return "R2"
        return "R3" if item.type else "R1"

    def _after_place(self, items: Sequence[Item], index: Index, is_marked: bool) -> Found | None:
        """Candidates of a text without any separator, where a hamlet's name runs into names ("Thôn Nà Cạn Vạn Linh Chi Lăng")."""
        for item in items:
            tokens = item.text.split()
            for start in range(1, len(tokens) - 1 if item.kind == "place" and item.type == "area" else 0):
                tail = self.reader._items(tuple(tokens[start:]), item.part)
                if spelling.plain(tokens[start - 1]) == "nt":  # "Thôn NT Thái Bình": the hamlet's own name
                    continue
                if all(i.kind == "name" for i in tail):
                    return replace(self._commune(tail, index, [], [], is_marked), is_sure=False, rule="R9")
        return None

    # ---- initials ----

    def _initials(self, items: Sequence[Item], index: Index, districts: list[str]) -> Found | None:
        """Candidates of a name that is written by its initials; never more than candidates (R11)."""
        unread = [(i.text, i.type) for i in items if i.kind == "commune" and not i.is_known]
        for part in sorted({i.part for i in items if i.kind == "unknown"}):
            unread.append((" ".join(i.text for i in items if i.kind == "unknown" and i.part == part), ""))
        for text, said in unread:
            pattern = _initials_pattern(text)
            if pattern is None:
                continue
            named = [*districts, *filter(None, (self._district_of_name(i) for i in items if i.kind == "name"))]
            unit_type = "Thị trấn" if said == reading.FARM else said
            fits = [
                e for entries in index.by_plain.values() for e in entries
                if e.is_current and pattern.fullmatch(e.plain) and (not named or named[0] in e.districts) and (not unit_type or e.type == unit_type)
            ]  # fmt: skip
            codes = frozenset().union(*(e.targets for e in fits))
            if codes or said:
                return Found(codes, not self._on("R11") and len(codes) == 1, "R11", tuple(fits))
        return None

    # ---- codes ----

    def _is_district_code(self, items: Sequence[Item]) -> bool:
        return any(i.kind == "number" and i.plain in {d.code for d in self.lists.districts} for i in items)

    def _by_code(self, codes: Sequence[Item], found: Found, items: Sequence[Item], index: Index, districts: list[str]) -> Resolution:
        """A code counts in the list in force; a name, a district or another code beside it has to say the same (R14)."""
        if not self._on("R14"):
            unit = index.by_code.get(codes[0].plain)
            return Resolution(RESOLVED, unit.code, rule="R14") if unit else _ambiguous(found.codes, "R14")
        written = {c.plain.zfill(5) for c in codes if c.plain}
        if not written:
            return _ambiguous(frozenset(), "R9")
        olds = {c: index.old_codes.get(c, ()) if self._on("R7") else () for c in written}
        nowadays = frozenset(c if c in index.by_code else t for c in written for t in ((c,) if c in index.by_code else [x for e in olds[c] for x in e.targets]))
        if len(written) > 1:
            return _ambiguous(nowadays | found.codes, "R14")
        code = written.pop()
        unit = index.by_code.get(code)
        lies = {d for e in self._entries(index, code) for d in e.districts}
        said = {*districts, *(c.district for c in codes if c.district)}
        is_strange = any(c.province not in ("", HOME) for c in codes) or any(i.kind == "district" and not self._home_district(i) for i in items)
        if is_strange or not said <= lies:
            return _ambiguous(nowadays | found.codes, "R14")
        if not found.entries:
            is_named = any(i.kind == "commune" for i in items)
            return Resolution(RESOLVED, code, rule="R14") if unit and not is_named else _ambiguous(nowadays | found.codes, "R14")
        names = [i for i in items if i.kind == "name" and i.roles & {"commune", "district"}]
        if unit and not any(i.kind == "commune" for i in items) and all(self._district_of_name(i) in lies for i in names):
            return Resolution(RESOLVED, code, rule="R14")
        if unit and any(e.is_current and e.unit.code == code for e in found.entries):
            return Resolution(RESOLVED, code, rule="R14")
        # Neither the code nor the name is in force: both may be of one unit of an earlier list.
        is_old = unit is None and not any(e.is_current for e in found.entries)
        agreed = {(e.key, e.type) for e in found.entries if is_old and not e.is_future}
        went = next((e.targets for e in olds[code] if (e.key, e.type) in agreed), frozenset())
        if len(went) == 1:
            return Resolution(RESOLVED, next(iter(went)), rule="R14+R7")
        return _ambiguous(nowadays | (went or found.codes), "R14")

    def _entries(self, index: Index, code: str) -> list[Entry]:
        current = [e for e in index.by_plain.get(_entry_plain(index, code), ()) if e.is_current and e.unit.code == code]
        return [*current, *index.old_codes.get(code, ())]

    # ---- lost letters ----

    def _lossy(self, text: str, index: Index) -> tuple[str, ...]:
        """Candidates of a text with lost letters: what the letters that are left allow (R13)."""
        typed: list[Entry] = []
        bare: list[tuple[int, list[Entry]]] = []
        districts: list[tuple[int, set[str]]] = []
        codes: set[str] = set()
        for n, tokens in enumerate(self.reader.parts(text)):
            words = [t.replace(reading.DOT, "").casefold() for t in tokens]
            codes |= {c for w in words for c in [w.rpartition("¤")[2].zfill(5)] if c in index.by_code}
            for start in range(len(words)):
                before = words[max(0, start - 2) : start]
                unit = next((u for u, spelled in _LOST_UNITS.items() if start and _lost(before, spelled)), None)
                for end in range(start + 1, min(len(words), start + self.words.longest) + 1):
                    patterns = [spelling.lost_pattern(w) for w in words[start:end]]
                    if unit and unit != reading.DISTRICT:
                        typed += [e for e in _every(index) if e.type == unit and _fits(patterns, words[start:end], e.unit.short_name)]
                    elif start == 0 and end == len(words):
                        bare.append((n, [e for e in _every(index) if _fits(patterns, words, e.unit.short_name)]))
                    if unit == reading.DISTRICT or (start == 0 and end == len(words)):
                        districts.append((n, {d.code for d in self.lists.districts if _fits(patterns, words[start:end], d.short_name)}))
        said = [n for n, found in districts if found]
        named = [(n, found) for n, found in bare if found and (n not in said or n == min(m for m, f in bare if f))]
        candidates = typed or [e for _, found in named for e in found]
        inside = {d for n, found in districts if typed or n not in {m for m, _ in named} for d in found}
        chosen = [e for e in candidates if e.districts & inside] or candidates
        return tuple(sorted(frozenset(codes).union(*(e.targets for e in chosen))))

    # ---- a form's commune ----

    def resolve_named(self, code: str | None, unit_type: str | None, name: str, district: str | None, day: date, *, text: str = "") -> Resolution:
        """As `resolve`, of an address that came in columns: code, unit word, name without it, code of its district.

        Only names of the list in force resolve: what a form says of a unit that has ceased would replace what its successor says of itself, so that is
        for a person. ``text``: the whole as one text, under which a decision may stand.
        """
        period = self.lists.in_force(day)
        if text and (decided := self._decided(text, period.name, day)):
            return decided
        index, found, items = self.lists.index(period.name), _NOTHING, []
        if cleaned := spelling.clean(name):
            item = Item("commune", cleaned, spelling.key(cleaned), spelling.plain(cleaned), unit_type or "", frozenset(["commune"]), 0)
            items = [item]
            found = self._match(index, item, district, [], spelling.has_marks(cleaned))
        if code:
            items.insert(0, Item("code", code, code, code.strip(), "", frozenset(), 0, district or ""))
            result = self._by_code(items[:1], found, items, index, [district] if district else [])
        else:
            result = _result(found)
        if result.is_resolved and found.entries and not any(e.is_current and e.targets == {result.code} for e in found.entries):
            result = _ambiguous([result.code], "R7")
        return replace(result, list=period.name)


def norm(text: str) -> str:
    """Lower-case NFC, separators as ", ", single spaces, no phone or citizen number: the key of decisions. Of a normal form it is that form."""
    cleaned = masked(spelling.clean(text)).replace(_MASK_CLEANED, MASK).casefold()
    return ", ".join(p for p in (" ".join(p.split()).strip(" .") for p in re.split(r"[,;\n|]", cleaned)) if p)


_PERSONAL = re.compile(r"(?<![\w.])\+?\d(?:[ .\-]?\d){8,14}(?!\w)")
_FULL_CODE = re.compile(r"\d\d[-./_ ]?\d{3}[-./_ ]?\d{5}")
MASK = "[…]"
_MASK_CLEANED = spelling.clean(MASK)


def masked(text: str) -> str:
    """A phone or citizen number in any spelling away; a commune's full code (20-187-06523) stays."""
    return _PERSONAL.sub(lambda m: m[0] if _FULL_CODE.fullmatch(m[0]) and m[0].startswith("20") else MASK, text)


def _has_names(items: Sequence[Item]) -> bool:
    """Whether anything but places, numbers and unknown words was read."""
    return any(i.kind in ("commune", "district", "province", "name", "code") for i in items)


#: "Xã Hoàng Văn Thụ (cũ)" is not the unit of that name in force.
_FORMER = spelling.key("cũ")


def _formers(items: Sequence[Item], *, has_districts: bool) -> list[Item]:
    """ "(cũ)" after a commune's name means the unit that had it before. After a district's it says what everybody knows, once there are none."""
    found: list[Item] = []
    for item in items:
        last = found[-1] if found else None
        if item.kind == "unknown" and item.key == _FORMER and last is not None and last.part in (item.part, item.part - 1):
            if last.kind == "commune" or (last.kind == "name" and last.roles == {"commune"}):
                found[-1] = replace(last, is_former=True)
                continue
            if last.kind == "district" and not has_districts:
                continue
        found.append(item)
    return found


#: Before a commune's name: near it, bordering on it, not in it, away from it. Where that is, nobody says.
_ELSEWHERE = {"gần", "giáp", "cạnh", "cách", "ngoài", "không", "chẳng", "trừ", "khác", "từ", "quê", "near", "outside", "not", "from"}
_ELSEWHERE_PLAIN = {"gan", "giap", "cach", "khong"}


def _is_elsewhere(items: Sequence[Item], at: int) -> bool:
    """Whether the words right before a commune say that it is another place; words without marks only as the first of them: "Na Gan" is a hamlet."""
    run: list[str] = []
    for item in reversed(items[:at]):
        if item.kind != "unknown" or item.part != items[at].part:
            break
        run[:0] = item.text.casefold().split()
    return any(w in _ELSEWHERE for w in run) or (bool(run) and run[0] in _ELSEWHERE_PLAIN)


def _after_names(items: Sequence[Item]) -> list[Item]:
    """A unit word in brackets after a name is that name's: "Chi Lăng (thị trấn)"."""
    found: list[Item] = []
    for item in items:
        if item.kind == "unknown" and item.type and found and found[-1].kind == "name" and found[-1].part == item.part - 1:
            kind = reading.COMMUNE if item.type in ("Xã", "Phường", "Thị trấn", reading.FARM) else reading.DISTRICT
            if kind in found[-1].roles and item.type != "quận":
                found[-1] = replace(found[-1], kind=kind, type=item.type)
                continue
        found.append(item)
    return found


def _hamlets_said(items: Sequence[Item]) -> list[str]:
    """What may be a hamlet: after its unit word, or words of a part that are no known name."""
    found = [i.text for i in items if i.kind == "place" and i.type in ("area", "")]
    run: list[Item] = []
    for item in [*items, None]:
        if item is not None and item.kind in ("unknown", "number") and (not run or run[-1].part == item.part):
            run.append(item)
            continue
        if run:
            found.append(" ".join(i.text for i in run))
        run = [item] if item is not None and item.kind in ("unknown", "number") else []
    return found


def _targets(entry: Entry, hamlets: Sequence[str]) -> frozenset[str]:
    """Into what the unit went; for a split one by its hamlet, where that hamlet's new commune is known."""
    if entry.hamlets and hamlets:
        known = Hamlets(entry.hamlets)
        names = {name for text in hamlets if (name := known.find(text))}
        if names and len(codes := {entry.hamlets[n] for n in names}) == 1:
            return codes.pop()
    return entry.targets


def _found(entries: Sequence[Entry], hamlets: Sequence[str], rule: str, *, is_sure: bool = True) -> Found:
    told = [_targets(e, hamlets) for e in entries]
    codes = frozenset().union(*told)
    is_moved = any(t != e.targets for t, e in zip(told, entries, strict=True))
    return Found(codes, is_sure and len(codes) == 1, "R7" if is_moved and is_sure else rule, tuple(entries))


def _together(statements: Sequence[Found], conflict: str = "R9") -> Found:
    """Several names of one address: one commune if all of them can be that one."""
    if len(statements) == 1:
        return statements[0]
    entries, said = tuple(e for s in statements for e in s.entries), tuple(i for s in statements for i in s.said)
    common = frozenset.intersection(*(s.codes for s in statements))
    if len(common) == 1 and all(s.rule not in ("R9", "R8") for s in statements):
        return Found(common, True, next((s.rule for s in statements if s.rule == "R7"), statements[0].rule), entries, said, statements[0].district)
    return Found(frozenset().union(*(s.codes for s in statements)), False, conflict, entries, said)


def _result(found: Found, *, guess: bool = False) -> Resolution:
    if found.is_sure and len(found.codes) == 1:
        return Resolution(RESOLVED, next(iter(found.codes)), rule=found.rule)
    if guess and found.codes:  # a rule that is off no longer stops
        return Resolution(RESOLVED, min(found.codes), rule=found.rule)
    return _ambiguous(found.codes, found.rule)


def _ambiguous(codes: Iterable[str], rule: str) -> Resolution:
    return Resolution(AMBIGUOUS, candidates=tuple(sorted(codes)), rule=rule)


_LOST_UNITS = {
    "Xã": ("xã", "x"), "Phường": ("phường", "p"), "Thị trấn": ("thị trấn", "tt", "ttnt", "nông trường"),
    reading.DISTRICT: ("huyện", "thành phố", "thị xã", "h", "tp", "tx"),
}  # fmt: skip
_VOWEL = re.compile("[aeiouy]")


def _initials_pattern(text: str) -> re.Pattern[str] | None:
    """Pattern of the plain names that initials can stand for: "HVT", "H.V.Thụ", "V Linh"; None where nothing is an initial."""
    words = [w for w in re.split(r"[\s.]+", text.replace(reading.DOT, " ")) if w]
    pieces, is_short = [], False
    for word in words:
        plain = spelling.plain(word)
        if not plain.isalpha():
            return None
        if len(word) == 1 or (len(word) <= 4 and (not _VOWEL.search(plain) or (word.isupper() and not spelling.is_syllable(word.casefold())))):
            is_short = True
            pieces += [f"{re.escape(c)}\\w*" for c in plain]
        else:
            pieces.append(re.escape(plain))
    return re.compile(" ".join(pieces)) if is_short and len(pieces) > 1 else None


def _entry_plain(index: Index, code: str) -> str:
    unit = index.by_code.get(code)
    return spelling.plain(unit.short_name).removeprefix("nt ") if unit else ""


def _every(index: Index) -> Iterable[Entry]:
    return (e for entries in index.by_plain.values() for e in entries if not e.is_future)


def _fits(patterns: Sequence[re.Pattern[str]], words: Sequence[str], name: str) -> bool:
    """Whether a name can be the words with lost letters. A word that lost nothing may lack its marks."""
    parts = name.casefold().split()
    if len(parts) != len(words):
        return False
    return all(any(map(p.fullmatch, spelling.spellings(part))) or _same(word, part) for p, word, part in zip(patterns, words, parts, strict=True))


def _same(word: str, part: str) -> bool:
    if any(c in spelling.LOST for c in word):
        return False
    return spelling.key(word) == spelling.key(part) or (word.isascii() and spelling.plain(word) == spelling.plain(part))


def _lost(words: Sequence[str], units: Iterable[str]) -> bool:
    """Whether the last of some words, with lost letters, are one of these unit words."""
    for unit in units:
        parts = unit.split()
        tail = words[-len(parts) :]
        if len(tail) == len(parts) and all(spelling.lost_pattern(w).fullmatch(p) or _same(w, p) for w, p in zip(tail, parts, strict=True)):
            return True
    return False
