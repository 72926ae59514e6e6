"""Text as old programs write it: Windows-1258, UTF-8 taken for CP1252, UTF-16, TCVN3."""

from __future__ import annotations

import unicodedata

_TONES = {"\u0300", "\u0301", "\u0303", "\u0309", "\u0323"}
_LETTERS = {
    "à": 0xB5, "ả": 0xB6, "ã": 0xB7, "á": 0xB8, "ạ": 0xB9, "ằ": 0xBB, "ẳ": 0xBC, "ẵ": 0xBD, "ắ": 0xBE, "ặ": 0xC6, "ầ": 0xC7, "ẩ": 0xC8, "ẫ": 0xC9, "ấ": 0xCA, "ậ": 0xCB,
    "è": 0xCC, "ẻ": 0xCE, "ẽ": 0xCF, "é": 0xD0, "ẹ": 0xD1, "ề": 0xD2, "ể": 0xD3, "ễ": 0xD4, "ế": 0xD5, "ệ": 0xD6, "ì": 0xD7, "ỉ": 0xD8, "ĩ": 0xDC, "í": 0xDD, "ị": 0xDE,
    "ò": 0xDF, "ỏ": 0xE1, "õ": 0xE2, "ó": 0xE3, "ọ": 0xE4, "ồ": 0xE5, "ổ": 0xE6, "ỗ": 0xE7, "ố": 0xE8, "ộ": 0xE9, "ờ": 0xEA, "ở": 0xEB, "ỡ": 0xEC, "ớ": 0xED, "ợ": 0xEE,
    "ù": 0xEF, "ủ": 0xF1, "ũ": 0xF2, "ú": 0xF3, "ụ": 0xF4, "ừ": 0xF5, "ử": 0xF6, "ữ": 0xF7, "ứ": 0xF8, "ự": 0xF9, "ỳ": 0xFA, "ỷ": 0xFB, "ỹ": 0xFC, "ý": 0xFD, "ỵ": 0xFE,
    "ă": 0xA8, "â": 0xA9, "ê": 0xAA, "ô": 0xAB, "ơ": 0xAC, "ư": 0xAD, "đ": 0xAE, "Ă": 0xA1, "Â": 0xA2, "Ê": 0xA3, "Ô": 0xA4, "Ơ": 0xA5, "Ư": 0xA6, "Đ": 0xA7,
}  # fmt: skip


def cp1258(text: str) -> bytes:
    """Base letter and combining tone, as Windows-1258 has them."""
    out = []
    for c in unicodedata.normalize("NFC", text):
        parts = unicodedata.normalize("NFD", c)
        base = unicodedata.normalize("NFC", "".join(p for p in parts if p not in _TONES))
        out.append(base + "".join(p for p in parts if p in _TONES))
    return "".join(out).encode("cp1258", "replace")


def mojibake(text: str) -> bytes:
    """UTF-8 that was read as CP1252 and saved again as UTF-8 with BOM."""
    read = "".join(bytes([b]).decode("cp1252", "ignore") or chr(b) for b in text.encode())
    return read.encode("utf-8-sig")


def utf16(text: str) -> bytes:
    """UTF-16 little endian with BOM."""
    return b"\xff\xfe" + text.encode("utf-16-le")


def without_bom(text: str) -> bytes:
    """UTF-8 without BOM."""
    return text.encode()


def tcvn3(text: str) -> bytes:
    """TCVN3 (ABC): one byte a letter; capitals with a tone have none of their own and take the small letter's."""
    out = bytearray()
    for c in unicodedata.normalize("NFC", text):
        code = _LETTERS.get(c) or _LETTERS.get(c.lower())
        out += bytes([code]) if code else c.encode("latin-1", "replace")
    return bytes(out)
