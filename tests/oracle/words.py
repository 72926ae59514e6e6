"""Comparison forms of Vietnamese words, written apart from the pipeline's."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Any


def nfc(value: Any) -> str:
    """Text of a cell in NFC, one space between words; '' for nothing."""
    return " ".join(unicodedata.normalize("NFC", str(value)).split()) if value is not None else ""


def plain(text: Any) -> str:
    """For comparing: no case, accents, spaces, punctuation."""
    return _plain(str(text if text is not None else ""))


def word(text: Any) -> str:
    """A word of a list without accents, spaces kept."""
    return _word(str(text if text is not None else ""))


def bare(text: Any) -> str:
    """A hamlet's name without the word for its kind."""
    return _bare(str(text if text is not None else ""))


@lru_cache(maxsize=1 << 19)
def _word(text: str) -> str:
    folded = unicodedata.normalize("NFD", nfc(text).translate(str.maketrans("đðĐÐ", "dddd")).lower())
    return "".join(c for c in folded if not unicodedata.combining(c))


@lru_cache(maxsize=1 << 19)
def _plain(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", _word(text))


@lru_cache(maxsize=1 << 19)
def _bare(text: str) -> str:
    return plain(re.sub(r"^((thon|ban|xom|khoi pho|khoi|khu pho|khu|to dan pho|tdp|kp)[ .]+|[tbkx]\.\s*)+(?=\S)", "", word(text)))
