"""What a workbook may not hold: inputs are hostile (RELIABILITY, privacy and security 7). Looked at before any library opens it."""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Callable
from typing import BinaryIO

from kinhteso.readers import DeliveryRefused

#: All parts together; the contract's largest sheet (50,000 rows, EXPORTS "Volume form") unpacks to some 60 MB.
MAX_UNPACKED_BYTES = 1 << 30
#: Sheets of text shrink by 10 to 30; beyond this factor it is a bomb.
MAX_UNPACK_FACTOR, FACTOR_COUNTS_FROM_BYTES = 200, 64 << 20
MAX_PARTS = 10_000
_PROLOG_BYTES, _CHUNK = 64 << 10, 1 << 20
_DTD = re.compile(rb"<!(DOCTYPE|ENTITY)", re.IGNORECASE)
_MACROS = re.compile(r"(^|/)(vbaProject[^/]*\.bin|xlmacrosheets/|macrosheets/|activeX/)", re.IGNORECASE)
_LINKS = re.compile(r"(^|/)(externalLinks/|connections\.xml$|queryTables/|model/)", re.IGNORECASE)
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\s[^>]*>", re.IGNORECASE)
_SHEET = re.compile(r"(^|/)worksheets/[^/]+\.xml$", re.IGNORECASE)
#: A value in column AAA or farther, or in row 100,000 or farther: a reader would make room for all the cells between.
_FAR_CELL = re.compile(rb'<(?:\w+:)?c\s[^>]*?\br="(?:[A-Z]{3,}[0-9]+|[A-Z]{1,2}[1-9][0-9]{5,})"[^>]*(?<!/)>')
#: Stands in each of those; found six times as fast.
_FAR_REFERENCE = re.compile(rb'r="(?:[A-Z]{3,}[0-9]|[A-Z]{1,2}[1-9][0-9]{5})')
_OVERLAP = 256


def guard(f: BinaryIO, refused: Callable[[str, str, str], DeliveryRefused]) -> None:
    """Leave ``f`` at its beginning, or raise what ``refused`` (rule, what, remedy) makes of what was found:

    F71 a bomb (size, factor, number of parts, cells far out), F72 a DTD, F73 links to other files or servers, F74 macros. Damaged archives raise
    zipfile.BadZipFile.
    """
    remedy = "Save it as a plain .xlsx with values only and send that."
    with zipfile.ZipFile(f) as archive:
        infos = archive.infolist()
        unpacked, packed = sum(i.file_size for i in infos), max(1, sum(i.compress_size for i in infos))
        if len(infos) > MAX_PARTS:
            raise refused("F71", f"it holds {len(infos):,} parts; that is no workbook.", remedy)
        if unpacked > MAX_UNPACKED_BYTES or (unpacked > FACTOR_COUNTS_FROM_BYTES and unpacked > MAX_UNPACK_FACTOR * packed):
            raise refused("F71", f"it would unpack to {unpacked:,} bytes, {unpacked // packed} times its size; that is no workbook.", remedy)
        for info in infos:
            if _MACROS.search(info.filename):
                raise refused("F74", f"it holds macros ({info.filename}).", remedy)
            if _LINKS.search(info.filename):
                raise refused("F73", f"it draws on other files or servers ({info.filename}).", remedy)
        for info in infos:
            if info.filename.lower().endswith((".xml", ".rels", ".vml")):
                _guard_part(archive, info, refused, remedy)
    f.seek(0)


def is_damage(error: BaseException, *kinds: type[BaseException]) -> bool:
    """Whether an error of reading an archive or workbook says that the file is damaged or locked, and not that the pipeline is. A parser in Rust that
    gives up on hostile bytes raises PanicException, which is no Exception."""
    if isinstance(error, DeliveryRefused):
        return False
    known = (*kinds, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, NotImplementedError)
    return isinstance(error, known) or type(error).__name__ == "PanicException" or (isinstance(error, RuntimeError) and "encrypted" in str(error))


def _guard_part(archive: zipfile.ZipFile, info: zipfile.ZipInfo, refused: Callable[[str, str, str], DeliveryRefused], remedy: str) -> None:
    with archive.open(info) as part:
        head = part.read(_PROLOG_BYTES)
        if _DTD.search(head.replace(b"\0", b"")):  # UTF-16 has a NUL in each letter of it
            raise refused("F72", f"{info.filename} declares a document type or an entity.", remedy)
        if info.filename.lower().endswith(".rels"):
            for relation in _RELATION.findall(head + part.read(_CHUNK)):
                if b'"External"' in relation and b"/hyperlink" not in relation:
                    raise refused("F73", f"{info.filename} leads to something outside the file.", remedy)
        if _SHEET.search(info.filename):
            kept = head
            while kept:
                if _FAR_REFERENCE.search(kept) and _FAR_CELL.search(kept):
                    raise refused("F71", f"{info.filename} has values beyond column ZZ or row 100,000; reading it would take all the room between.", remedy)
                following = part.read(_CHUNK)
                kept = kept[-_OVERLAP:] + following if following else b""
