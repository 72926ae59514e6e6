"""Faults in the bytes of a file of Postmart, before its manifest is made: hash and figures are right for the faulty file."""

from __future__ import annotations

import html
import io
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from simulators.faults.scene import Scene
from simulators.faults.switch import Fault
from simulators.tables import ZIP_TIME, Rendered, render

Content = Callable[[Rendered, Fault, Scene], Rendered]
CONTENT: dict[str, Content] = {}
SHEET = "xl/worksheets/sheet1.xml"


def spoils(name: str) -> Callable[[Callable[[bytes, Fault], bytes]], Callable[[bytes, Fault], bytes]]:
    """Register what a fault makes of the bytes of a workbook (of Postmart, or a form)."""

    def register(f: Callable[[bytes, Fault], bytes]) -> Callable[[bytes, Fault], bytes]:
        def content(made: Rendered, fault: Fault, scene: Scene) -> Rendered:
            scene.note(fault, made.dataset, "file")
            return replace(made, content=f(made.content, fault))

        CONTENT[name], SPOIL[name] = content, f
        return f

    return register


SPOIL: dict[str, Callable[[bytes, Fault], bytes]] = {}


def rezip(content: bytes, change: Callable[[str, bytes], bytes] = lambda _, b: b, more: dict[str, bytes] | None = None) -> bytes:
    """The same ZIP with members changed and added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        members = {i.filename: change(i.filename, old.read(i)) for i in old.infolist()} | (more or {})
        for name, data in members.items():
            info = zipfile.ZipInfo(name, ZIP_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, data)
    return out.getvalue()


def edit(content: bytes, name: str, change: Callable[[bytes], bytes], more: dict[str, bytes] | None = None) -> bytes:
    """One member of a ZIP changed."""
    return rezip(content, lambda n, b: change(b) if n == name else b, more)


def cells(content: bytes) -> list[list[str]]:
    """The texts of the first sheet, row by row, gaps left out."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        sheet = book.read(SHEET).decode()
        shared = []
        if "xl/sharedStrings.xml" in book.namelist():
            shared = [re.sub(r"<[^>]+>", "", s) for s in re.findall(r"<si>(.*?)</si>", book.read("xl/sharedStrings.xml").decode(), re.S)]
    found: list[list[str]] = []
    for number, row in re.findall(r'<row r="(\d+)"[^>]*>(.*?)</row>', sheet, re.S):
        while len(found) < int(number) - 1:
            found.append([])
        line: list[str] = []
        for column, kind, value in re.findall(r'<c r="([A-Z]+)\d+"(?: s="\d+")?(?: t="(\w+)")?(?:/>|>(.*?)</c>)', row, re.S):
            at = 0
            for letter in column:
                at = at * 26 + ord(letter) - 64
            line += [""] * (at - 1 - len(line))
            value = re.sub(r"<[^>]+>", "", value)
            line.append(html.unescape(shared[int(value)] if kind == "s" else value))
        found.append(line)
    return found


@spoils("F21")
def not_a_workbook(content: bytes, f: Fault) -> bytes:
    """The name says .xlsx, the bytes are an HTML table (``value`` xls: the head of an old OLE2 workbook)."""
    if f.value == "xls":
        return (
            bytes.fromhex("d0cf11e0a1b11ae1")
            + bytes(16)
            + bytes.fromhex("3e000300feff0900")
            + bytes(480)
            + bytes.fromhex("09080800000510000000000000000000")
            + bytes(1008)
        )
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(v)}</td>" for v in row) + "</tr>\n" for row in cells(content))
    return f'<html><head><meta http-equiv="Content-Type" content="text/html; charset=utf-8"></head><body><table border="1">\n{rows}</table></body></html>\n'.encode()


@spoils("F22")
def dimension(content: bytes, f: Fault) -> bytes:
    return edit(content, SHEET, lambda b: re.sub(rb'<dimension ref="[^"]*"/>', b'<dimension ref="A1"/>', b))


@spoils("F70")
def broken_xml(content: bytes, f: Fault) -> bytes:
    """The sheet ends in the middle; the ZIP around it is sound."""
    return edit(content, SHEET, lambda b: b[: b.index(b"</row>", len(b) // 2) + 3])


@spoils("F71")
def bomb(content: bytes, f: Fault) -> bytes:
    """The first sheet or part goes on with ``value`` MiB (2,048) of blanks, which XML and CSV allow; never held unpacked."""
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        name = SHEET if SHEET in book.namelist() else book.namelist()[0]
        whole = book.read(name)
        rest = {n: book.read(n) for n in book.namelist() if n != name}
    head, tail = (whole[: (cut := whole.index(b"</sheetData>"))], whole[cut:]) if name == SHEET else (whole, b"")
    out = io.BytesIO()
    block = (b" " if name == SHEET else b"\r\n\r\n") * (1 << 20 if name == SHEET else 1 << 18)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for other, data in rest.items():
            archive.writestr(zipfile.ZipInfo(other, ZIP_TIME), data, zipfile.ZIP_DEFLATED)
    return _with_bomb(out, name, head, block, f.number(2048), tail)


def _with_bomb(out: io.BytesIO, name: str, head: bytes, block: bytes, times: int, tail: bytes) -> bytes:
    """A stored member whose deflated stream is one compressed block over and over; only the CRC goes over all that is unpacked."""
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = press.compress(head) + press.flush(zlib.Z_FULL_FLUSH)
    again = press.compress(block) + press.flush(zlib.Z_FULL_FLUSH)
    end = press.compress(tail) + press.flush()
    crc = zlib.crc32(head)
    for _ in range(times):
        crc = zlib.crc32(block, crc)
    data = packed + again * times + end
    info = zipfile.ZipInfo(name, ZIP_TIME)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(info, data)
        info.compress_type, info.CRC, info.file_size = zipfile.ZIP_DEFLATED, zlib.crc32(tail, crc), len(head) + len(block) * times + len(tail)
        archive.fp.seek(info.header_offset)  # type: ignore[union-attr]
        archive.fp.write(info.FileHeader(False))  # type: ignore[union-attr]
        archive.fp.seek(archive.start_dir)  # type: ignore[union-attr]
    return out.getvalue()


@spoils("F72")
def entities(content: bytes, f: Fault) -> bytes:
    """A document type with entities in entities, and one that points at a local file."""
    nest = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 10))
    head = f'<!DOCTYPE sst [<!ENTITY e0 "ha">{nest}<!ENTITY file SYSTEM "file:///etc/passwd">]>'.encode()

    def change(b: bytes) -> bytes:
        at = b.index(b"?>") + 2
        return b[:at] + head + b[at:].replace(b"</t>", b"&e9;&file;</t>", 1)

    return edit(content, "xl/sharedStrings.xml", change)


def _declare(types: bytes, *lines: str) -> bytes:
    return types.replace(b"</Types>", "".join(lines).encode() + b"</Types>")


@spoils("F73")
def external_links(content: bytes, f: Fault) -> bytes:
    """The workbook links to a file elsewhere; the values are as they were."""
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    link = f'<?xml version="1.0"?><externalLink xmlns="{main}"><externalBook xmlns:r="{kind}" r:id="rId1"><sheetNames><sheetName val="Gia"/></sheetNames></externalBook></externalLink>'
    target = f'<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="{kind}/externalLinkPath" Target="http://192.0.2.1/gia.xlsx" TargetMode="External"/></Relationships>'

    def change(name: str, b: bytes) -> bytes:
        if name == "[Content_Types].xml":
            return _declare(
                b,
                '<Override PartName="/xl/externalLinks/externalLink1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.externalLink+xml"/>',
            )
        if name == "xl/_rels/workbook.xml.rels":
            return b.replace(
                b"</Relationships>", f'<Relationship Id="rId99" Type="{kind}/externalLink" Target="externalLinks/externalLink1.xml"/></Relationships>'.encode()
            )
        if name == "xl/workbook.xml":
            return b.replace(b"</sheets>", b'</sheets><externalReferences><externalReference r:id="rId99"/></externalReferences>')
        return b

    return rezip(content, change, {"xl/externalLinks/externalLink1.xml": link.encode(), "xl/externalLinks/_rels/externalLink1.xml.rels": target.encode()})


@spoils("F74")
def macros(content: bytes, f: Fault) -> bytes:
    """A VBA project under the name .xlsx."""
    kind = "http://schemas.microsoft.com/office/2006/relationships/vbaProject"

    def change(name: str, b: bytes) -> bytes:
        if name == "[Content_Types].xml":
            b = b.replace(b"spreadsheetml.sheet.main+xml", b"__").replace(b"vnd.openxmlformats-officedocument.__", b"vnd.ms-excel.sheet.macroEnabled.main+xml")
            return _declare(b, '<Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/>')
        if name == "xl/_rels/workbook.xml.rels":
            return b.replace(b"</Relationships>", f'<Relationship Id="rId98" Type="{kind}" Target="vbaProject.bin"/></Relationships>'.encode())
        return b

    return rezip(content, change, {"xl/vbaProject.bin": bytes.fromhex("d0cf11e0a1b11ae1") + b"Sub Auto_Open()" + bytes(1024)})


@spoils("F75")
def hidden_sheet(content: bytes, f: Fault) -> bytes:
    """A hidden first sheet: an old copy of the first one, cut after its twelfth row."""
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"
    with zipfile.ZipFile(io.BytesIO(content)) as book:
        old = book.read(SHEET)
    rows = re.sub(rb'<row r="(1[3-9]|[2-9]\d|\d{3,})".*?</row>', b"", old, flags=re.S)
    copy = re.sub(rb"<mergeCells.*?</mergeCells>", b"", rows, flags=re.S).replace(b' tabSelected="1"', b"")

    def change(name: str, b: bytes) -> bytes:
        if name == "[Content_Types].xml":
            return _declare(
                b, '<Override PartName="/xl/worksheets/sheet99.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
            )
        if name == "xl/_rels/workbook.xml.rels":
            return b.replace(b"</Relationships>", f'<Relationship Id="rId97" Type="{kind}" Target="worksheets/sheet99.xml"/></Relationships>'.encode())
        if name == "xl/workbook.xml":
            b = b.replace(b"<sheets>", '<sheets><sheet name="Bản cũ" sheetId="99" state="hidden" r:id="rId97"/>'.encode())
            return re.sub(rb"<workbookView ", b'<workbookView activeTab="1" firstSheet="1" ', b)
        return b

    return rezip(content, change, {"xl/worksheets/sheet99.xml": copy})


def yesterday(made: Rendered, f: Fault, scene: Scene) -> Rendered:
    """F65: yesterday's file under today's name; the supplier's system took the wrong file, so the manifest is that file's."""
    old = next(render(t) for t in scene.postmart.tables(f.day - timedelta(days=1)) if t.dataset == made.dataset)
    scene.note(f, made.dataset, "file")
    return replace(old, name=made.name)


CONTENT["F65"] = yesterday
