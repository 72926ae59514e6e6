"""A hamlet within its commune: by its whole name, else by its name without unit word where only one fits; never a guess. Pure.

The same as the models do in SQL (parse.plain, parse.hamlet), with marks where they tell two hamlets apart.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable

from kinhteso.addresses import spelling

_UNIT = re.compile(r"^(?:(?:thon|ban|xom|khoi pho|khoi|khu pho|khu|to dan pho|tdp|kp)[\s.]+|[tbkx]\.\s*)+(?=\S)")
_WORD = re.compile(r"[^\W_]+")


def _words(text: str) -> str:
    return " ".join(_WORD.findall(spelling.clean(text)))


def without_unit(text: str) -> str:
    """Nà Cạn of "Thôn Nà Cạn", "T. Nà Cạn", "thon Na Can" (without marks there); a name that is nothing but its unit word stays."""
    cleaned = spelling.clean(text)
    bare = spelling.letters(cleaned.casefold())
    unit = _UNIT.match(bare)
    return cleaned[unit.end() :] if unit and len(bare) == len(cleaned) else cleaned


#: From the strictest to the loosest; the first that names exactly one hamlet has found it, the first that names several has found none.
_KEYS: tuple[Callable[[str], str], ...] = (
    lambda t: spelling.key(_words(t)),
    lambda t: spelling.plain(_words(t)).replace(" ", ""),
    lambda t: spelling.key(_words(without_unit(t))),
    lambda t: spelling.plain(_words(without_unit(t))).replace(" ", ""),
)


class Hamlets:
    """The hamlets of one commune, as its register writes them."""

    def __init__(self, names: Iterable[str]):
        self.names = tuple(dict.fromkeys(names))
        self._by_key: list[dict[str, set[str]]] = []
        for of in _KEYS:
            found: dict[str, set[str]] = defaultdict(set)
            for name in self.names:
                found[of(name)].add(name)
            self._by_key.append(found)

    def find(self, text: str) -> str | None:
        """The register's name of a hamlet, or None where none or more than one fits."""
        for of, known in zip(_KEYS, self._by_key, strict=True):
            if (wanted := of(text)) and (fits := known.get(wanted)):
                return next(iter(fits)) if len(fits) == 1 else None
        return None


def find(text: str, names: Iterable[str]) -> str | None:
    """As `Hamlets.find`, for one text."""
    return Hamlets(names).find(text)
