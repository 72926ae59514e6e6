"""Personal data become keys here, before they reach a table (RELIABILITY, privacy 2).

A key is HMAC-SHA256(secret, comparable form).hexdigest(). The comparable forms are the contract between the sources: wallets
and Vỏ Sò deliver keys made the same way (EXPORTS §6, §9.8, §10.3).
"""

import csv
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

_PREFIXES = Path(__file__).parent / "data" / "phone_prefix_2018.csv"

# What may stand between the digits of a phone number; anything else ("0900000012 / 0900000013", letters) makes it no number.
_PLAIN_MOBILE = re.compile(r"0[35789][0-9]{8}")
_PHONE_FILLERS = str.maketrans("", "", " \t\u00a0\u200b\ufeff.-–—()/")
_NUMBER_CELL = re.compile(r"(\d+)\.0+")
_SCIENTIFIC = re.compile(r"\d(?:\.(\d+))?[eE]\+?(\d{1,2})")
#: "9.0000012E+8" has dropped a zero at its end; one that lacks more digits was rounded and is no number any more.
_ZEROS_DROPPED = 2
_MOBILE = re.compile(r"0[35789]\d{8}")
_LANDLINE = re.compile(r"02\d{9}")
_OLD_MOBILE = re.compile(r"01\d{9}")

_LATIN_D = str.maketrans("đðĐÐ", "dddd")
# bytes.translate table: lower case; everything that is no ASCII letter or digit is deleted
_LOWER = bytes(range(256)).lower()
_NOT_ALNUM = bytes(b for b in range(256) if not chr(b).isascii() or not chr(b).isalnum())

TEST_MARK = "khachhangtest"  # RULINGS 24: KHACH HANG TEST without case and accents


@lru_cache(maxsize=1)
def _new_prefix() -> dict[str, str]:
    with _PREFIXES.open(encoding="utf-8", newline="") as file:
        return {row["old_prefix_11_digit"]: row["new_prefix_10_digit"] for row in csv.DictReader(file)}


def phone_e164(text: str | None) -> str | None:
    """A delivered phone number as +84… , or None when no Vietnamese number can be made of it.

    Takes what EXPORTS §9.3 column F and the domain rules list: lost leading zero, 84 / +84 / 0084, dots, spaces, dashes,
    "912345678.0" and 9.12345678E+8 of a number cell, and the eleven-digit mobiles of before 2018 (RULINGS 30).
    """
    if text is None:
        return None
    if _PLAIN_MOBILE.fullmatch(text):
        return "+84" + text[1:]
    text = text.strip()
    if number_cell := _NUMBER_CELL.fullmatch(text):
        text = number_cell[1]
    elif (scientific := _SCIENTIFIC.fullmatch(text)) and 0 <= int(scientific[2]) - len(scientific[1] or "") <= _ZEROS_DROPPED:
        text = str(int(float(text)))
    international = text.startswith("+")
    digits = text.removeprefix("+").translate(_PHONE_FILLERS)
    if not (digits.isascii() and digits.isdigit()):
        return None
    if "/" in text and len(digits) > 12:
        return None
    if international:
        if not digits.startswith("84"):
            return None
        digits = "0" + digits[2:].removeprefix("0")
    elif digits.startswith("0084"):
        digits = "0" + digits[4:].removeprefix("0")
    elif digits.startswith("84") and len(digits) >= 11:
        digits = "0" + digits[2:].removeprefix("0")
    elif not digits.startswith("0"):
        digits = "0" + digits
    if _OLD_MOBILE.fullmatch(digits):
        new = _new_prefix().get(digits[:4])
        digits = new + digits[4:] if new else ""
    if _MOBILE.fullmatch(digits) or _LANDLINE.fullmatch(digits):
        return "+84" + digits[1:]
    return None


def citizen_digits(text: str | None) -> str | None:
    """The twelve digits of a citizen number, or None.

    Spaces, dots and dashes are dropped. Eleven digits are a number cell that lost its leading zero (every number of Lạng Sơn
    begins with 020) and are padded; nine-digit identity cards and masked numbers ("*********417") are no key (RULINGS 3).
    """
    if text is None:
        return None
    text = text.strip()
    if number_cell := _NUMBER_CELL.fullmatch(text):
        text = number_cell[1]
    digits = text.translate(_PHONE_FILLERS)
    if not (digits.isascii() and digits.isdigit()):
        return None
    if len(digits) == 11:
        digits = "0" + digits
    return digits if len(digits) == 12 else None


def plain(text: str | None) -> str | None:
    """Comparison form of names: only [a-z0-9]; no case, accents, spacing, normal form. Equals parse.plain() in SQL."""
    if text is None:
        return None
    decomposed = text if text.isascii() else unicodedata.normalize("NFD", text.translate(_LATIN_D))
    return decomposed.encode("ascii", "ignore").translate(_LOWER, _NOT_ALNUM).decode("ascii")


class Keys:
    """Keys made with one secret."""

    def __init__(self, secret: str):
        if not secret:
            raise ValueError("KINHTESO_PHONE_KEY is empty: personal data cannot be keyed, so nothing is loaded")
        block = secret.encode() if len(secret.encode()) <= 64 else hashlib.sha256(secret.encode()).digest()
        # The two halves of HMAC (RFC 2104), hashed once: three times as fast as hmac.digest for short texts.
        self._inner = hashlib.sha256(bytes(b ^ 0x36 for b in block.ljust(64, b"\0")))
        self._outer = hashlib.sha256(bytes(b ^ 0x5C for b in block.ljust(64, b"\0")))

    def key(self, text: str) -> str:
        """HMAC-SHA256 of the text in hex."""
        inner = self._inner.copy()
        inner.update(text.encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    def salt(self) -> str:
        """What the pseudonyms of households and accounts are keyed with (`ops.pseudonym_salt`): of the secret, one way; no text that is keyed has this form."""
        return self.key("kinhteso / pseudonyms")

    def phone(self, text: str | None) -> str | None:
        number = phone_e164(text)
        return self.key(number) if number else None

    def citizen(self, text: str | None) -> str | None:
        digits = citizen_digits(text)
        return self.key(digits) if digits else None

    def name(self, text: str | None) -> tuple[str | None, str]:
        """(key of the comparison form or None when blank, 'true' if it is a test name else 'false')."""
        form = plain(text)
        if not form:
            return None, "false"
        return self.key(form), "true" if TEST_MARK in form else "false"

    def columns(self, kind: str, values: Iterable[str | None]) -> Sequence[Sequence[str | None]]:
        """The raw columns that stand for one personal column: one for phones and citizen numbers, two for names."""
        if kind == "phone":
            return [list(map(self.phone, values))]
        if kind == "citizen_id":
            return [list(map(self.citizen, values))]
        if kind == "name":
            pairs = [self.name(value) for value in values]
            return [[pair[0] for pair in pairs], [pair[1] for pair in pairs]]
        raise ValueError(f"unknown kind of personal data: {kind}")
