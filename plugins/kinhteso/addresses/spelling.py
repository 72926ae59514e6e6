"""Vietnamese text made comparable and, where its encoding was mistaken, whole again (domain rules R1, R2, R6, R12, R13). Pure.

Two keys of a syllable: with its marks (`key`: "hoà" and "hòa" are "hoa̱2", "lí" and "lý" are one) and without (`plain`).
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache

#: Code points that nobody sees: zero widths, marks of direction, soft hyphen, BOM, controls other than white space.
_INVISIBLE = dict.fromkeys(
    [0xAD, 0x34F, 0x61C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF, *range(9), *range(14, 28), *range(0x7F, 0xA0)]
)
_D_LIKE = str.maketrans("ÐðƉɖ", "ĐđĐđ")
_TONES = {"\u0300": "2", "\u0301": "1", "\u0303": "4", "\u0309": "3", "\u0323": "5"}
_QUALITY = {"\u0302": "^", "\u0306": "(", "\u031b": "+"}
_CONSONANTS = "bcdđghklmnpqrstvx"
#: A letter that was lost: "?", the replacement character, the boxes that fonts draw for it.
LOST = "?\ufffd\u25a1\u25af\u25fb\u2b1c\u2370\u00bf"

_RIMES = (  # of syllables, without marks
    "a ac ach ai am an ang anh ao ap at au ay e ec ech em en eng enh eo ep et eu i ia ich iec iem ien ieng iep iet ieu im in inh ip it iu o oa oac oach oai "
    "oam oan oang oanh oao oap oat oay oc "
    "oe oem oen oeo oet oi om on ong ooc oong op ot u ua uan uang uat uay uc ue uech uen uenh uet ui um un ung uo uoc uoi uom "
    "uon uong uop uot uou up ut uu uy uya uych uyen uyet uynh uyp uyt uyu uit uan y ych ym yn ynh yt yem yen yet yeu yeng yu ac"
)
_SYLLABLE = re.compile(rf"(?:b|ch?|d|gh?|gi|h|kh?|l|m|ngh?|nh?|ph?|qu|r|s|th|tr|t|v|x)?(?:{'|'.join(sorted(set(_RIMES.split()), key=len, reverse=True))})")
_WORD = re.compile(r"[^\W\d_]+")
_LETTERS = frozenset("aàáảãạăằắẳẵặâầấẩẫậbcdđeèéẻẽẹêềếểễệghiìíỉĩịklmnoòóỏõọôồốổỗộơờớởỡợpqrstuùúủũụưừứửữựvxyỳýỷỹỵfjwz")
_ODD = re.compile(f"[^\\x00-\\x7f{''.join(sorted(c for c in _LETTERS if c > chr(127)))}{''.join(sorted(c.upper() for c in _LETTERS if c > chr(127)))}]")


# ---- R1, R2: comparable ----


def clean(text: str) -> str:
    """NFC, no invisible characters, any white space but line ends as one space, Ð as Đ; case is kept (R1)."""
    if text.isascii():
        return "\n".join(" ".join(line.split()) for line in text.replace("\x00", "").splitlines())
    text = unicodedata.normalize("NFKC", text.translate(_INVISIBLE)).translate(_D_LIKE)
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


@lru_cache(maxsize=65_536)
def _marks(syllable: str) -> tuple[str, str, str]:
    """(letters with their quality, letters alone, tone) of one syllable, lower case. "ệ" may come in any order of its marks."""
    rich: list[str] = []
    bare: list[str] = []
    tone = ""
    for char in unicodedata.normalize("NFD", syllable.casefold()):
        if char in _TONES:
            tone = _TONES[char]
        elif char in _QUALITY:
            if rich:
                rich[-1] += _QUALITY[char]
        elif not unicodedata.combining(char):
            rich.append(char)
            bare.append("d" if char == "đ" else char)
    return "".join(rich), "".join(bare), tone


def _one_i(letters: str) -> str:
    """i and y are one where spelling varies (lý/lí, quý/quí, yên/iên), not where they tell words apart (tai/tay)."""
    if letters.endswith("y") and (letters[:-1] in ("", "qu") or all(c in _CONSONANTS for c in letters[:-1])):
        return letters[:-1] + "i"
    return "i" + letters[1:] if letters.startswith("ye") else letters


@lru_cache(maxsize=65_536)
def key(text: str) -> str:
    """Syllables with their marks, whatever the normal form, the place of the tone or i/y (R1, R2)."""
    return " ".join(_one_i(rich) + tone for rich, _, tone in map(_marks, text.split()))


@lru_cache(maxsize=65_536)
def exact_key(text: str) -> str:
    """As `key`, where tone placement and i/y still tell (what is left when R2 is off)."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


@lru_cache(maxsize=65_536)
def plain(text: str) -> str:
    """Without any mark, Đ as d; i and y are one as in `key` (R6)."""
    return " ".join(_one_i(bare) for _, bare, _ in map(_marks, text.split()))


@lru_cache(maxsize=65_536)
def letters(text: str) -> str:
    """Lower-case letters without marks, nothing else changed: one per letter of an NFC text."""
    return "".join(_marks(c)[1] or c for c in text)


@lru_cache(maxsize=65_536)
def has_marks(text: str) -> bool:
    """Whether a mark or đ stands in the text, so that marks may be expected where they belong."""
    return not text.isascii() and any(c in "đĐ" or unicodedata.combining(c) for c in unicodedata.normalize("NFD", text))


@lru_cache(maxsize=65_536)
def is_syllable(word: str) -> bool:
    """Whether a word can be one Vietnamese syllable, by its letters."""
    return len(word) <= 8 and _SYLLABLE.fullmatch(_marks(word)[1]) is not None


@lru_cache(maxsize=8192)
def spellings(syllable: str) -> frozenset[str]:
    """Lower-case NFC spellings of one syllable that R2 holds for equal: hòa and hoà, lý and lí."""
    lower = unicodedata.normalize("NFC", syllable.casefold())
    rich, _, tone = _marks(lower)
    found = {lower}
    if tone and rich[-2:] in ("oa", "oe", "uy") and not rich.startswith("qu"):
        mark = next(m for m, t in _TONES.items() if t == tone)
        composed = unicodedata.normalize("NFC", "".join(c for c in unicodedata.normalize("NFD", lower) if c not in _TONES))
        found |= {unicodedata.normalize("NFC", composed[:n] + mark + composed[n:]) for n in (len(composed) - 1, len(composed))}
    for a, b in (("y", "i"), ("ý", "í"), ("ỳ", "ì"), ("ỷ", "ỉ"), ("ỹ", "ĩ"), ("ỵ", "ị")):
        found |= {f[:-1] + y for f in set(found) for x, y in ((a, b), (b, a)) if f.endswith(x) and key(f[:-1] + y) == key(lower)}
    return frozenset(found)


# ---- R12: encodings ----

_TCVN3_CODES = (
    "a1 a2 a3 a4 a5 a6 a7 a8 a9 aa ab ac ad ae b5 b6 b7 b8 b9 bb bc bd be c6 c7 c8 c9 ca cb cc ce cf d0 d1 d2 d3 d4 d5 d6 d7 "
    "d8 dc dd de df e1 e2 e3 e4 e5 e6 e7 e8 e9 ea eb ec ed ee ef f1 f2 f3 f4 f5 f6 f7 f8 f9 fa fb fc fd fe"
)
_TCVN3_LETTERS = "ĂÂÊÔƠƯĐăâêôơưđàảãáạằẳẵắặầẩẫấậèẻẽéẹềểễếệìỉĩíịòỏõóọồổỗốộờởỡớợùủũúụừửữứựỳỷỹýỵ"
TCVN3 = {chr(int(code, 16)): letter for code, letter in zip(_TCVN3_CODES.split(), _TCVN3_LETTERS, strict=True)}


def _vni() -> dict[str, str]:
    """VNI: the letter, then a character for its tone, or for its quality and tone together."""
    tones = {"ù": "\u0301", "ø": "\u0300", "û": "\u0309", "õ": "\u0303", "ï": "\u0323"}
    circumflex = {"â": "", "á": "\u0301", "à": "\u0300", "å": "\u0309", "ã": "\u0303", "ä": "\u0323"}
    breve = {"ê": "", "é": "\u0301", "è": "\u0300", "ú": "\u0309", "ü": "\u0303", "ë": "\u0323"}
    table = {"ñ": "đ", "í": "í", "ì": "ì", "æ": "ỉ", "ó": "ĩ", "ò": "ị", "î": "ỵ", "ô": "ơ", "ö": "ư"}
    table |= {base + mark: base + tone for base in "aeouy" for mark, tone in tones.items()}
    table |= {base + mark: written + tone for base, written in (("ô", "ơ"), ("ö", "ư")) for mark, tone in tones.items()}
    table |= {base + mark: base + "\u0302" + tone for base in "aeo" for mark, tone in circumflex.items()}
    table |= {"a" + mark: "a\u0306" + tone for mark, tone in breve.items()}
    both = {}
    for source, letter in table.items():
        for s in {source, source.upper(), source[0].upper() + source[1:]}:
            both[s] = unicodedata.normalize("NFC", letter if s == source else letter.upper())
    return both


VNI = _vni()
_VNI_PIECE = re.compile("|".join(sorted(map(re.escape, VNI), key=len, reverse=True)) + r"|[\x00-\x7f]")


def _undefined_too(codec: str) -> dict[str, int]:
    """Characters to bytes; the bytes that the code page leaves free stand for themselves, as browsers have it."""
    table = {chr(b): b for b in range(256)} if codec == "latin-1" else {}
    for b in range(256):
        try:
            table[bytes([b]).decode(codec)] = b
        except UnicodeDecodeError:
            table.setdefault(chr(b), b)
    return table


_PAGES = {codec: _undefined_too(codec) for codec in ("cp1252", "latin-1", "cp1258")}
_BROKEN_UTF8 = re.compile(
    "áº|á»|[ÃÄÆ][\\x80-\\xbf\u2018-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122\u02c6\u02dc\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\ufffd?]"
)


_SHOWN = {codec: {b: c for c, b in table.items()} for codec, table in _PAGES.items()}


def as_cp1252(byte: int) -> str:
    """The character that Windows-1252 shows for a byte; a free one as itself."""
    return _SHOWN["cp1252"][byte]


def _bytes(text: str, codec: str) -> bytes | None:
    table = _PAGES[codec]
    try:
        return bytes([table[c] for c in text])
    except KeyError:
        return None


def _from_utf8(text: str) -> str | None:
    """UTF-8 that was read as cp1252, latin-1 or cp1258, if the whole text is such; once or several times over."""
    found = None
    for _ in range(3):
        if text.isascii():
            break
        for codec in ("cp1252", "latin-1", "cp1258"):
            raw = _bytes(text, codec)
            try:
                if raw is not None:
                    text = found = raw.decode("utf-8")
                    break
            except UnicodeDecodeError:
                continue
        else:
            break
    return found


def _from_tcvn3(text: str) -> str | None:
    if max(text) > "\xff" or any(c not in TCVN3 and not (c.isascii() or c == "\u00a0") for c in text):
        return None
    return "".join(TCVN3.get(c, c) for c in text)


def _from_vni(text: str) -> str | None:
    """Whole only if each character beyond ASCII has its part in a pair."""
    if max(text) > "\xff":
        return None
    text = text.replace("\u00a0", " ")
    pieces = _VNI_PIECE.findall(text)
    return "".join(VNI.get(p, p) for p in pieces) if sum(map(len, pieces)) == len(text) else None


def _from_cp1258(text: str) -> str | None:
    """Windows-1258 bytes that were read as cp1252 or latin-1."""
    for codec in ("cp1252", "latin-1"):
        raw = _bytes(text, codec)
        if raw is not None:
            try:
                return unicodedata.normalize("NFC", raw.decode("cp1258"))
            except UnicodeDecodeError:
                continue
    return None


_LEGACY: dict[str, Callable[[str], str | None]] = {"TCVN3": _from_tcvn3, "VNI": _from_vni, "Windows-1258": _from_cp1258}
_NOT_IN_WORD = re.compile(r"[^\W\d_]*[\xa1-\xbf×÷ªº¨´¸ˆ˜–—‘’“”„†‡•…‰‹›€™]+[^\W\d_]*")


@dataclass(frozen=True, slots=True)
class Repaired:
    """A text as it was meant. ``how``: encodings that were put right; ``is_lossy``: letters are lost, nothing may be resolved from it (R13)."""

    text: str
    how: tuple[str, ...] = ()
    is_lossy: bool = False
    is_damaged: bool = False  # characters that no Vietnamese word has, of no encoding that decodes as a whole


def _score(text: str, known: Collection[str]) -> float:
    """How Vietnamese a text is: known syllables count 2, possible ones 1, others less than nothing, by the words that have marks or symbols."""
    total = 0.0
    for word in re.split(r"[\s,;()/]+", text):
        word = word.strip(".:-_'\"")
        if not word or word.isdigit():
            continue
        if word.isascii():
            total += 2 if key(word) in known else 0
        elif _NOT_IN_WORD.search(word) or not all(c in _LETTERS for c in unicodedata.normalize("NFC", word).casefold() if c.isalpha()):
            total -= 2
        else:
            parts = _WORD.findall(unicodedata.normalize("NFC", word))
            total += sum(2 if key(p) in known else 1 if is_syllable(p) and tone_count(p) <= 1 else -2 for p in parts) / max(len(parts), 1)
    return total


def tone_count(word: str) -> int:
    """How many tone marks a word has; a syllable has one at most."""
    return sum(c in _TONES for c in unicodedata.normalize("NFD", word))


def repair(text: str, known: Collection[str], *, r12: bool = True, r13: bool = True) -> Repaired:
    """The text with its encoding put right where the whole of it decodes (R12), and whether letters are lost (R13).

    ``known`` are the keys of syllables that names and unit words have; between two readings that both decode they tell.
    """
    how: list[str] = []
    if r12 and "&" in text:
        unescaped = text
        for _ in range(3):
            if (once := html.unescape(unescaped)) == unescaped:
                break
            unescaped = once
        if unescaped != text:
            text = re.sub(r"<\s*(br|/p|/div|/td|/li)[^<>]*>", ", ", unescaped, flags=re.IGNORECASE)
            how.append("HTML")
    if text.isascii():
        return Repaired(text, tuple(how), r13 and "?" in text)
    if r12:
        if (whole := _from_utf8(text)) is not None:
            text = whole
            how.append("UTF-8")
        composed = unicodedata.normalize("NFC", text)
        if any("\x80" <= c <= "\xff" for c in composed) and not any(c in LOST for c in text):
            decoded = {name: t for name, decode in _LEGACY.items() if (t := decode(composed)) is not None and t != composed}
            if decoded:
                best, best_score = "", _score(composed, known)
                for name, t in decoded.items():
                    if (score := _score(t, known)) > best_score:
                        best, best_score = name, score
                if best:
                    text = decoded[best]
                    how.append(best)
    is_lossy = any(c in LOST for c in text)
    if r12 and _BROKEN_UTF8.search(text) and all(c in _PAGES["cp1252"] or c in LOST for c in text):
        raw = b"".join(bytes([_PAGES["cp1252"][c]]) if c in _PAGES["cp1252"] else b"\xff" for c in text)
        replaced = raw.decode("utf-8", "replace")
        if "\ufffd" in replaced:
            return Repaired(replaced, tuple(how), r13, True)
    composed = unicodedata.normalize("NFC", text)
    is_damaged = r12 and not is_lossy and _ODD.search(composed) is not None and any(_is_foreign(w) for w in composed.translate(_INVISIBLE).split())
    return Repaired(text, tuple(how), r13 and is_lossy, is_damaged)


def _is_foreign(word: str) -> bool:
    """A word with a character that stands in no Vietnamese word, beside letters: what an old font's text looks like."""
    if word.isascii():
        return False
    word = word.translate(_D_LIKE).strip("\u2013\u2014\u2018\u2019\u201c\u201d\u2026\u2022\u00b7\u00ab\u00bb\u00b0\u00ba")
    alphas = [c for c in unicodedata.normalize("NFKC", word).casefold() if c.isalpha()]
    if not alphas:
        return False
    if any(c not in _LETTERS and not unicodedata.combining(c) for c in alphas):
        return True
    return re.search(r"[^\W\d_][¡-¶¸-¿×÷]|[¡-¶¸-¿×÷][^\W\d_]", word) is not None


# ---- R13: what a lost letter may have been ----


@lru_cache(maxsize=4096)
def lost_pattern(word: str) -> re.Pattern[str]:
    """Pattern of the lower-case NFC words that a word with lost letters can be: n marks in a row stand for 1 to n letters with marks."""
    pattern = ""
    for run in re.finditer(f"[{re.escape(LOST)}]+|[^{re.escape(LOST)}]+", unicodedata.normalize("NFC", word).casefold()):
        least = 0 if run.end() == len(run.string) else 1  # a question mark at the end may be one
        pattern += f"[^\\x00-\\x7f]{{{least},{len(run[0])}}}" if run[0][0] in LOST else re.escape(run[0])
    return re.compile(pattern)


# ---- words written together ----


def case_pieces(word: str) -> list[str]:
    """Pieces of a word by its capitals: "YenThinh" → Yen, Thinh; "TPLạngSơn" → TP, Lạng, Sơn."""
    pieces: list[str] = []
    current = ""
    for n, char in enumerate(word):
        after = word[n + 1] if n + 1 < len(word) else ""
        is_edge = current and char.isupper() and (current[-1].islower() or (current[-1].isupper() and after.islower()))
        is_edge = is_edge or (current and char.isdigit() != current[-1].isdigit())
        if is_edge:
            pieces.append(current)
            current = ""
        current += char
    return [*pieces, current] if current else pieces


def tilings(word: str, vocabulary: Collection[str], longest: int, limit: int = 4) -> Iterator[list[int]]:
    """Ways (lengths of pieces) to lay a word of plain letters out of the vocabulary, those of fewer pieces first; at most ``limit``."""
    best: dict[int, list[list[int]]] = {0: [[]]}
    for end in range(1, len(word) + 1):
        found = []
        for size in range(1, min(longest, end) + 1):
            if word[end - size : end] in vocabulary:
                found += [[*way, size] for way in best.get(end - size, ())]
        if found:
            best[end] = sorted(found, key=len)[:limit]
    yield from best.get(len(word), ())
