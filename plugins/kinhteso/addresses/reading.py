"""An address read into its pieces: which words are a commune, a district, a province, a hamlet or street, a code (domain rule R3). Pure."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from kinhteso.addresses import spelling
from kinhteso.addresses.names import HOME, Words

#: Parts that are kept: districts, communes and provinces come again and again.
CACHE = 32_768
DOT = "\ue000"  # stands for the dot of an abbreviation, which ends no sentence

_OWN_SIGNS = dict.fromkeys(map(ord, f"§¤{DOT}"), " ")

COMMUNE, DISTRICT, PROVINCE, PLACE, NOISE = "commune", "district", "province", "place", "noise"
FARM = "Thị trấn NT"

_WORDS = Path(__file__).parents[1] / "data" / "address_words.csv"


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of an address. ``kind``: commune, district, province (each with a unit word), name (without), place, number, code, noise, unknown
    (with a ``type`` if it is nothing but a unit word).

    ``text`` as written, ``key`` and ``plain`` its comparison forms, ``type`` the unit word, ``roles`` what a known name can be.
    """

    kind: str
    text: str
    key: str
    plain: str
    type: str
    roles: frozenset[str]
    part: int
    district: str = ""  # of a code that names its district too
    province: str = ""
    is_former: bool = False  # "Xã Hòa Bình (cũ)"

    @property
    def is_known(self) -> bool:
        """Whether it is a name of the lists."""
        return bool(self.roles)


def _read_words() -> tuple[dict[tuple[str, ...], tuple[str, str]], frozenset[str]]:
    """Unit words as their keys (an abbreviation with DOT) with kind and type, and the texts that say that nothing is said (R9)."""
    units, empty = {}, set()
    with _WORDS.open(encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            if row["kind"] == "empty":
                empty.add(row["word"])
            else:
                units[tuple(w[:-1] + DOT if w.endswith(".") else spelling.key(w) for w in row["word"].split())] = (row["kind"], row["type"])
    return units, frozenset(empty)


_TABLE, EMPTY = _read_words()
_LONGEST_MARKER = max(map(len, _TABLE))
_MISSPELT = {
    "xa": (COMMUNE, "Xã"), "phuong": (COMMUNE, "Phường"), "thi tran": (COMMUNE, "Thị trấn"), "huyen": (DISTRICT, "huyện"), "thanh pho": (DISTRICT, "thành phố"),
    "thi xa": (DISTRICT, "thành phố"), "tinh": (PROVINCE, "tỉnh"),
}  # fmt: skip
_PLAIN_ONLY_WITH_NAME = {("tinh",), ("quan",), ("x",), ("p",), ("h",), ("nt",), ("xa",), ("ph",)}

_ABBREVIATIONS = [
    (re.compile(r"(?<![\w.])t\s?[./]\s?t\s?[./]?\s?n\s?[./]?\s?t(?![\w])\.?", re.IGNORECASE), f" ttnt{DOT} "),
    (re.compile(r"(?<![\w.])t\s?[./]\s?t(?!\w)\.?(?!\s?\w\.)", re.IGNORECASE), f" tt{DOT} "),
    (re.compile(r"(?<![\w.])t\s?[./]\s?p(?!\w)\.?", re.IGNORECASE), f" tp{DOT} "),
    (re.compile(r"(?<![\w.])t\s?[./]\s?x(?!\w)\.?", re.IGNORECASE), f" tx{DOT} "),
    (re.compile(r"(?<![\w.])t\.d\.p(?!\w)\.?", re.IGNORECASE), f" tdp{DOT} "),
    (re.compile(r"(?<![\w.])k\.p(?!\w)\.?", re.IGNORECASE), f" kp{DOT} "),
    (re.compile(r"(?<![\w.])(tp|tt|tx)\s*/\s*(?=[^\W\d_]{2})", re.IGNORECASE), rf" \1{DOT} "),
    (re.compile(r"(?<![\w./])(x|h|p)\s*/\s*(?=[^\W\d_]{2})", re.IGNORECASE), rf" \1{DOT} "),
]
_INITIALS = re.compile(r"(?<![\w.])(?:[^\W\d_]\.\s?){1,4}[^\W\d_](?![^\W\d_])\.?")
_SHORT = re.compile(r"(?<![\w.])(ttnt|ttr|tt|tp|tx|tdp|kp|kdc|sn|nt|km|ql|tl|đt|th|phg|ph|x|p|h|q|t|f|đ)\s*\.\s*(?=[\w])", re.IGNORECASE)
_SHORT_COLON = re.compile(
    r"(?<!\w)(ttnt|tt|tp|tx|x|p|h|t|xã|xa|phường|phuong|thị trấn|thi tran|huyện|huyen|thành phố|thanh pho|thị xã|thi xa|tỉnh|tinh|thôn|thon|bản|xóm|khối"
    r"|đường)\s*:\s*",
    re.IGNORECASE,
)
_WORD_DOT = re.compile(r"(?<!\w)(xã|phường|thị trấn|thi tran|huyện|huyen|thành phố|thanh pho|thị xã|thi xa|tỉnh)\s*[.=]\s*(?=\w)", re.IGNORECASE)
#: Labels of a form that was filled in: "Xã/Phường: …", "Quận/Huyện: …", "Tỉnh/TP: …".
_LABELS = re.compile(
    r"(?<!\w)(?:xã|phường|thị trấn|tt|quận|huyện|tx|tp|thị xã|thành phố|tỉnh)"
    r"(?:\s*[/,(]\s*(?:xã|phường|thị trấn|tt|quận|huyện|thị xã|thành phố|tx|tp|thành)\)?)+\s*[:=]",
    re.IGNORECASE,
)
_STRONG = re.compile(r"[,;\n|()\[\]{}<>\"“”«»•·、،:!=~*^@&]|\s[-‐‑‒–—―−/\\]+(?:\s|$)|(?<=\s)[-‐‑‒–—―−]+|[–—―]|(?:(?<=\w\w)|(?<=\d))\.(?=\s|$)|\s\+\s")
_WEAK = re.compile(r"([-‐‑‒−_/\\.+]+)")
_CODES = re.compile(
    r"(?<![\w.])(?:(?P<p1>\d{2}(?=[-./_ ])|20)(?P<s>[-./_ ]?)(?P<d1>\d{3})(?P=s)(?P<c1>\d{5})|(?P<p2>\d{2})[-./_](?P<c2>\d{5})|(?P<d3>\d{3})[-./_](?P<c3>\d{5})"
    r"|(?P<p4>20)[-./_](?P<d4>\d{3}))(?![\w]|[-./_]\d)"
)
_NUMBER = re.compile(r"\d+")
_NUMBER_LIKE = re.compile(r"\d[\w/.-]*|[ivx]+")


#: Unit words of English, which stand after the name.
_ENGLISH = {
    "ward": "phuong", "commune": "xa", "town": "thi tran", "townlet": "thi tran", "township": "thi tran", "district": "huyen", "dist": "huyen",
    "city": "thanh pho", "province": "tinh", "prov": "tinh",
}  # fmt: skip


class Reader:
    """Reads addresses with the names of all lists."""

    def __init__(self, words: Words):
        self.words = words
        marks = {tuple(w.replace(DOT, "") for w in t) for t in _TABLE}
        self.known_syllables = frozenset(words.syllables | {s for t in marks for s in t} | {spelling.key(w) for e in EMPTY for w in e.split()})
        self._marker_words = {w for t in marks for w in t}
        self._marker_bigrams = {(spelling.plain(a), spelling.plain(b)) for t in marks for a, b in pairwise(t)}
        glued = {n.replace(" ", ""): n for n in [*words.roles, *words.spelled]}
        for t in marks:
            plain = spelling.plain(" ".join(t))
            if len(plain) > 1 or plain in "xph":
                glued.setdefault(plain.replace(" ", ""), plain)
        self._glued = glued
        self._longest_glued = max(map(len, glued))
        self._items_of = lru_cache(maxsize=CACHE)(self._items)

    # ---- parts and tokens ----

    def parts(self, text: str) -> list[list[str]]:
        """Words of the parts between separators, abbreviations with DOT, codes as "§province¤district¤commune"."""
        text = text.translate(_OWN_SIGNS)
        for pattern, to in _ABBREVIATIONS:
            text = pattern.sub(to, text)
        text = _CODES.sub(_code, text)
        text = _LABELS.sub(" , ", text)
        text = _SHORT_COLON.sub(r"\1 ", text)
        text = _WORD_DOT.sub(r"\1 ", text)
        text = _INITIALS.sub(_initials, text)
        text = _SHORT.sub(rf"\1{DOT} ", text)
        found = []
        for part in _STRONG.split(text):
            for piece in self._weak(part):
                tokens = [t for word in piece.split() for t in self._token(word)]
                if tokens:
                    found += self._from_english(tokens)
        return found

    def _from_english(self, tokens: list[str]) -> list[list[str]]:
        """ "Van Linh Commune Chi Lang District" as xa Van Linh, huyen Chi Lang; left as it is where anything but a known name stands before a unit word."""
        found: list[list[str]] = []
        chunk: list[str] = []
        for token in tokens:
            unit = _ENGLISH.get(token.replace(DOT, "").casefold())
            if unit is None:
                chunk.append(token)
                continue
            plain = " ".join(spelling.plain(t) for t in chunk)
            if plain not in self.words.roles:
                return [tokens]
            is_city = unit == "thi tran" and self.words.provinces.get(plain) == HOME  # Lang Son was a town once
            found.append([*("thanh pho" if is_city else unit).split(), *chunk])
            chunk = []
        return [*found, chunk] if chunk else found

    def _weak(self, part: str) -> list[str]:
        """A hyphen, underscore, slash or dot without spaces: inside a name it is a space, elsewhere it separates."""
        if "§" in part or not _WEAK.search(part):
            return [part]
        pieces = _WEAK.split(part)
        found = [pieces[0]]
        for mark, piece in zip(pieces[1::2], pieces[2::2], strict=True):
            left, right = found[-1].split()[-1:], piece.split()[:1]
            if not left or not right:
                found[-1] += " " + piece
            elif left[0][-1:].isdigit() and (right[0][:1].isdigit() or len(right[0]) == 1):
                found[-1] += ("/" if mark != "." else ".") + piece
            else:
                a, b = (spelling.plain(w.replace(DOT, "")) for w in (left[0], right[0]))
                is_initial = mark == "." and len(a) == 1 and a.isalpha()
                if is_initial or (a, b) in self.words.bigrams | self._marker_bigrams or spelling.key(left[0]) in self._marker_words:
                    found[-1] += " " + piece
                else:
                    found.append(piece)
        return found

    def _token(self, word: str) -> list[str]:
        word = word.strip("'`´’‘\"#")
        if not word or word == DOT:
            return []
        if word.isdigit() or word[0] == "§" or DOT in word or len(word) <= 2:
            return [word]
        lower = word.casefold()
        if spelling.is_syllable(lower) or (spelling.key(lower),) in _TABLE or (word.isupper() and len(word) <= 4 and not self._is_glued(lower)):
            return [word]
        pieces = spelling.case_pieces(word)
        if len(pieces) > 1 and all(p.isdigit() or spelling.is_syllable(p.casefold()) or (spelling.key(p),) in _TABLE for p in pieces):
            return pieces
        found = [t for p in re.findall(r"\d+|\D+", word) for t in (self._tile(p) if not p.isdigit() else [p])]
        return found or [word]

    def _is_glued(self, word: str) -> bool:
        return spelling.letters(word) in self._glued

    def _tile(self, word: str) -> list[str]:
        """Words of "xavanlinh", xa van linh, where names and unit words cover the whole of it in one shortest way."""
        bare = spelling.letters(word.casefold())
        composed = word if len(bare) == len(word) else None
        if composed is None:
            return [word]
        ways = list(spelling.tilings(bare, self._glued, self._longest_glued))
        found = {tuple(self._laid(word, bare, way)) for way in ways if len(way) == len(ways[0])}
        return list(found.pop()) if len(found) == 1 else [word]

    def _laid(self, word: str, bare: str, way: list[int]) -> list[str]:
        tokens, at = [], 0
        for size in way:
            cut = word[at : at + size]
            for syllable in self._glued[bare[at : at + size]].split():
                tokens.append(cut[: len(syllable)])
                cut = cut[len(syllable) :]
            at += size
        return tokens

    # ---- pieces ----

    def read(self, text: str) -> list[Item]:
        """The pieces of an address in their order."""
        return [item for n, tokens in enumerate(self.parts(text)) for item in self._items_of(tuple(tokens), n)]

    def _items(self, tokens: tuple[str, ...], part: int) -> list[Item]:
        """The cheapest way to explain all words of a part."""
        keys = [t.casefold() if DOT in t else spelling.key(t) for t in tokens]
        plains = [spelling.plain(t) for t in tokens]
        is_marked_text = any(spelling.has_marks(t) for t in tokens)
        size = len(tokens)
        best: list[tuple[float, list[Item]]] = [(0.0, []), *((float("inf"), []) for _ in range(size))]
        for start in range(size):
            cost, done = best[start]
            if cost == float("inf"):
                continue
            for end, extra, item in self._moves(tokens, keys, plains, start, part, is_marked_text):
                if cost + extra < best[end][0]:
                    best[end] = (cost + extra, [*done, item])
        return best[size][1]

    def _moves(self, tokens, keys, plains, start, part, is_marked_text):  # type: ignore[no-untyped-def]
        size = len(tokens)
        token = tokens[start]
        if token[0] == "§":
            province, district, commune = token[1:].split("¤")
            yield start + 1, 1.0, Item("code", commune, commune, commune, "", frozenset(), part, district, province)
            return
        if _NUMBER.fullmatch(token):
            if len(token) in (4, 5):
                yield start + 1, 1.0, Item("code", token, token, token, "", frozenset(), part)
            else:
                yield start + 1, 1.0, Item("number", token, token, token, "", frozenset(), part)
                if start == 0 and size > 1 and len(token) <= 3:
                    yield from self._place(tokens, keys, plains, 0, 0, "street", part)
            return
        if token[0].isdigit():
            yield start + 1, 1.0, Item("place", token, token, token, "street", frozenset(), part)
            if start == 0:
                yield from self._place(tokens, keys, plains, 0, 0, "street", part)
            return
        begins_name = False
        for end, extra, plain, roles in self._names(tokens, keys, plains, start):
            begins_name |= extra == 0 and end > start + 1
            yield end, 2.0 + extra, self._item("name", tokens, start, end, plain, "", roles, part)
        for length in range(min(_LONGEST_MARKER, size - start), 0, -1):
            at = start + length
            marker = _TABLE.get(tuple(keys[start:at]))
            if marker is None:
                continue
            kind, unit = marker
            if kind == NOISE:
                yield at, 1.5, self._item(NOISE, tokens, start, at, "", "", frozenset(), part)
                continue
            if kind == PLACE and begins_name and length == 1:
                continue  # Hồ Sơn is no lake, Đình Lập no temple
            if kind == PLACE:
                yield from self._place(tokens, keys, plains, start, at, unit, part)
                continue
            wanted = {COMMUNE: ("commune",), DISTRICT: ("district", "province", "foreign"), PROVINCE: ("province",)}[kind]
            if at == size:
                yield at, 4.0, self._item("unknown", tokens, start, at, "", unit if start == 0 else "", frozenset(), part)
                continue
            for end, extra, plain, roles in self._names(tokens, keys, plains, at):
                if roles & set(wanted):
                    yield end, 1.0 + extra, self._item(kind, tokens, at, end, plain, unit, roles, part)
            if tokens[start] == f"t{DOT}" or tokens[start] == f"T{DOT}":
                yield from self._place(tokens, keys, plains, start, at, "area", part)
                continue
            if length == 1 and tuple(keys[start:at]) in _PLAIN_ONLY_WITH_NAME and (is_marked_text or keys[start] == "tinh"):
                continue
            for end in range(at + 1, size + 1):
                if end > at + 1 and _TABLE.get((keys[end - 1],), ("",))[0] in (COMMUNE, DISTRICT, PROVINCE) and spelling.has_marks(tokens[end - 1]):
                    break
                yield end, 6.0 + 0.2 * (end - at), self._item(kind, tokens, at, end, " ".join(plains[at:end]), unit, frozenset(), part)
        yield from self._misspelt(tokens, keys, plains, start, part)
        yield start + 1, 5.0, self._item("unknown", tokens, start, start + 1, plains[start], "", frozenset(), part)

    def _misspelt(self, tokens, keys, plains, start, part):  # type: ignore[no-untyped-def]
        """A unit word with wrong marks ("Xả", "Huyên") before a name of its kind (R6)."""
        for length in (2, 1):
            at = start + length
            marker = _MISSPELT.get(" ".join(plains[start:at]))
            if marker is None or at >= len(tokens) or tuple(keys[start:at]) in _TABLE or not spelling.has_marks(" ".join(tokens[start:at])):
                continue
            for end, extra, plain, roles in self._names(tokens, keys, plains, at):
                if marker[0] in roles or (marker[0] == PROVINCE and "province" in roles):
                    yield end, 1.7 + extra, self._item(marker[0], tokens, at, end, plain, marker[1], roles, part)

    def _place(self, tokens, keys, plains, start, at, unit, part):  # type: ignore[no-untyped-def]
        """A hamlet, street, gate or block: all that follows up to the next unit word; of "Khối 5 Vĩnh Trại" the number only (R3)."""
        size = len(tokens)
        if unit == "area" and at < size and _NUMBER_LIKE.fullmatch(tokens[at].casefold()):
            end = at + 1
            if end < size and len(tokens[end]) == 1 and tokens[end].isalpha() and tokens[end].isupper():
                yield end + 1, 2.5, self._item("place", tokens, at, end + 1, "", unit, frozenset(), part)
            yield end, 2.5, self._item("place", tokens, at, end, " ".join(plains[at:end]), unit, frozenset(), part)
            return
        for end in range(at + (1 if at > start else 2), size + 1):
            yield end, 2.0 + 0.5 * (end - at), self._item("place", tokens, at, end, " ".join(plains[at:end]), unit, frozenset(), part)
        if at == size:
            yield at, 3.0, self._item("unknown", tokens, start, at, "", "", frozenset(), part)

    def _names(self, tokens, keys, plains, start):  # type: ignore[no-untyped-def]
        """Known names that begin here: (end, cost of other marks, plain key, roles)."""
        if plains[start] not in self.words.firsts:
            return
        for length in range(min(self.words.longest, len(tokens) - start), 0, -1):
            plain = " ".join(plains[start : start + length])
            roles = self.words.roles.get(plain)
            if roles:
                written = " ".join(keys[start : start + length])
                exact = self.words.exact[plain]
                is_other = any(spelling.has_marks(t) for t in tokens[start : start + length]) and written not in exact
                # Marks tell tỉnh Thanh Hóa from xã Thành Hòa; without them it can be either.
                roles = exact[written] if written in exact and spelling.has_marks(" ".join(tokens[start : start + length])) else roles
                yield start + length, 0.6 if is_other else 0.0, plain, frozenset(roles)

    def _item(self, kind, tokens, start, end, plain, unit, roles, part):  # type: ignore[no-untyped-def]
        text = " ".join(tokens[start:end])
        return Item(kind, text, spelling.key(text), plain, unit, roles, part)


def _code(match: re.Match[str]) -> str:
    g = match.groupdict("")
    return f" §{g['p1'] or g['p2'] or g['p4']}¤{g['d1'] or g['d3'] or g['d4']}¤{g['c1'] or g['c2'] or g['c3']} "


def _initials(match: re.Match[str]) -> str:
    """ "Initials with dots are one word ("H.V.T"); a unit word before initials ("X. V.L") stays apart."""
    letters = re.findall(r"[^\W\d_]", match[0])
    if len(letters) >= 3 and letters[0].casefold() in "xph" and match[0][1:3] == ". ":
        return f"{letters[0]}{DOT} {''.join(letters[1:])} "
    if len(letters) == 2 and letters[0].casefold() in "xpht":
        return match[0]
    return f" {''.join(letters).upper()} "


def is_home(item: Item, words: Words) -> bool:
    """Whether a name is Lạng Sơn."""
    return words.provinces.get(item.plain) == HOME
