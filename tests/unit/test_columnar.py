"""What is read in columns is what is read row by row: values, numbers, parts, warnings and refusals, of hostile files and pages too."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import types
import unicodedata
import zipfile
from datetime import date

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from kinhteso import contracts
from kinhteso.landing import Landing, Part
from kinhteso.readers import DeliveryRefused, RowStream, files, frames, pages

EXPORT = types.SimpleNamespace(business_day=date(2021, 9, 14), version=1, unit="", is_backlog=False)
numbered = itertools.count(1)


def told(reader, contract, parts, landing, is_columnar):
    """Everything that a reader says of a delivery."""
    stream = RowStream()
    try:
        rows = [row for frame in reader(stream, contract, parts, landing, EXPORT, is_columnar=is_columnar) for row in frame.rows()]
    except DeliveryRefused as refused:
        return refused.rule_id, str(refused)
    return rows, stream.rows, stream.parts, stream.warnings


def both(reader, contract, contents, folder):
    landing, parts = Landing(folder / str(next(numbered))), []
    for number, (name, content) in enumerate(contents.items(), 1):
        sha, size = landing.put(name, content)
        parts.append(Part(number, name, name, sha, size))
    return tuple(told(reader, contract, parts, landing, is_columnar) for is_columnar in (True, False))


# ---- CSV -----------------------------------------------------------------------------------------------------------------------

ODD = ["", " ", '"', '""', ";", "\n", "\r\n", "\r", "\t", "\0", "\x1c", "\u00a0", "\u200b", "\ufeff", "\u00ad", "\u3000", "\u037e", "Ã¡", "áº", "e\u0301", "😀"]
ODD += ["Na Chi Lăng", unicodedata.normalize("NFD", "Mật ong"), "Ðà", "0900000012", "020000000012", "KHACH HANG TEST", "1.000", "a", "”"]
cell = st.lists(st.sampled_from(ODD), max_size=3).map("".join)
plain_cell = st.sampled_from(["", "Na", "Quýt vàng", "1.000", "a;b", 'hộp "3" kg', "hai\ndòng", " đầu", "cuối "])
orders, refunds = (contracts.load_contract("postmart", dataset) for dataset in ("orders", "refunds"))


def field(value, is_quoted):
    return '"' + value.replace('"', '""') + '"' if is_quoted or any(c in value for c in ';"\r\n') else value


@st.composite
def csv_files(draw, contract):
    """Mostly right, with something wrong here and there."""
    cells = draw(st.sampled_from([plain_cell, plain_cell, cell]))
    width, quotes = len(contract.columns), draw(st.booleans())
    rows = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["whole", "whole", "whole", "more", "blank", "empty", "short", "long", "raw"]))
        if kind == "empty":
            rows.append("")
            continue
        values = ["" if kind == "blank" else draw(cells) for _ in range(width + {"short": -1, "long": 1}.get(kind, 0))]
        if kind == "more" and contract is orders:
            values = ["" if c.fill else value for c, value in zip(contract.columns, values, strict=True)]
        rows.append(";".join(values if kind == "raw" else [field(v, quotes) for v in values]))
    head = [c.heading for c in contract.columns] + draw(st.sampled_from([[], [], ["Ghi chú"], [""]]))
    end = draw(st.sampled_from(["\r\n", "\r\n", "\n", "\r"]))
    content = end.join([";".join(head), *rows]) + draw(st.sampled_from([end, end, "", end * 2]))
    return content.encode(draw(st.sampled_from(["utf-8-sig", "utf-8-sig", "utf-8", "utf-16"])), "replace")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.sampled_from([orders, refunds]), st.integers(1, 3), st.sampled_from([40, 300, 1 << 20]), st.booleans())
def test_files(tmp_path, data, contract, parts, block, is_cut):
    contents = [data.draw(csv_files(contract)) for _ in range(parts)]
    if is_cut:
        contents[-1] = contents[-1][: len(contents[-1]) - data.draw(st.integers(1, 40))]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for number, content in enumerate(contents, 1):
            out.writestr(f"x_p{number:02d}of{parts:02d}.csv", content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "BLOCK_BYTES", block)
        for delivered in ({"x.zip": archive.getvalue()}, {"x.csv": contents[0], "y.csv": contents[-1]}):
            columnar, by_row = both(files.read, contract, delivered, tmp_path)
            assert columnar == by_row


def test_a_reader_that_is_wrong_about_one_value_is_noticed(tmp_path, monkeypatch):
    line = ";".join("Na\u00a0Chi Lăng" for _ in refunds.columns)
    content = ("\ufeff" + ";".join(c.heading for c in refunds.columns) + "\r\n" + line + "\r\n").encode()
    columnar, by_row = both(files.read, refunds, {"x.csv": content}, tmp_path)
    assert columnar == by_row and columnar[0][0][1][0] == "Na Chi Lăng"
    monkeypatch.setattr(frames, "cleaned", lambda column, *_: column)
    columnar, by_row = both(files.read, refunds, {"x.csv": content}, tmp_path)
    assert columnar != by_row


# ---- pages ---------------------------------------------------------------------------------------------------------------------

voso = contracts.load_contract("voso", "orders")
anything = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.integers(0, 99), st.floats(allow_nan=False, allow_infinity=False), cell,
    st.lists(st.dictionaries(st.sampled_from(["LINE_NO", "QUANTITY", "X"]), st.one_of(st.integers(0, 9), st.just("2")), max_size=2), max_size=2),
    st.dictionaries(st.sampled_from(["A", "B"]), st.integers(0, 9), max_size=1),
)  # fmt: skip


@st.composite
def items(draw):
    item = {}
    for column in voso.columns:
        kind = draw(st.sampled_from(["usual"] * 12 + ["any", "away"]))
        if kind == "any":
            item[column.heading] = draw(anything)
        elif kind == "usual":
            usual = {"json": [{"LINE_NO": 1, "QUANTITY": 2}], "boolean": True, "text": "Đã giao"}
            item[column.heading] = usual.get(column.type, 1631589751000)
    return item | draw(st.sampled_from([{}, {}, {}, {"NEW": 1}]))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(items(), max_size=4), min_size=1, max_size=3), st.integers(1, 5), st.booleans(), st.sampled_from([0, 0, 0, 9]))
@example([[{"ORDER_ID": "1", "LINES": [{"QUANTITY": "2"}], "GOODS_AMOUNT": "5"}]], 1, False, 0)
def test_pages(tmp_path, given_pages, batch, are_lines, cut):
    if are_lines:
        contents = {f"part-{n}.jsonl.gz": "\n".join(map(json.dumps, page)).encode() for n, page in enumerate(given_pages)}
    else:
        contents = {f"page-{n}.json.gz": json.dumps({"data": {"ITEMS": page}}).encode() for n, page in enumerate(given_pages)}
    packed = {name: (whole := gzip.compress(content, mtime=0))[: len(whole) - cut] for name, content in contents.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "BATCH_ROWS", batch)
        columnar, by_item = both(pages.read, voso, packed, tmp_path)
    assert columnar == by_item


def test_items_that_are_no_objects_and_pages_that_are_no_json_are_refused(tmp_path):
    for content, word in ((b'{"data": {"ITEMS": [{"ORDER_ID": "1"}, 7]}}', "no object: 7"), (b"<html>", "not JSON")):
        columnar, by_item = both(pages.read, voso, {"page-1.json.gz": gzip.compress(content)}, tmp_path)
        assert columnar == by_item
        assert columnar[0] == "F47" and word in columnar[1]
