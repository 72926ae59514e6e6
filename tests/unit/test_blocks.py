"""What is said of orders while they pass is never more than what grouping the whole table would say."""

from __future__ import annotations

import re
from collections import defaultdict

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kinhteso import contracts
from kinhteso.blocks import Blocks
from kinhteso.readers.frames import Frame

CONTRACT = contracts.load_contract("postmart", "orders")
AT = {c.name: n for n, c in enumerate(CONTRACT.columns)}
MONEY = re.compile(r"[0-9]{1,15}|[0-9]{1,3}(\.[0-9]{3})+")

money = st.sampled_from(["100", "1.000", "200", "1.200", "100", "100 đ", "một trăm", None])
record = st.tuples(st.sampled_from(["PM1", "PM2", "PM3", "PM4", None]), st.sampled_from(["1", "2", None]), money, money, money)


def frames_of(rows, cuts):
    """(source_row, code, stt, line, goods, total) as frames that end at the cuts."""
    bounds = [0, *sorted(cuts), len(rows)]
    for begin, end in zip(bounds, bounds[1:], strict=False):
        if begin < end:
            columns = [[None] * (end - begin) for _ in CONTRACT.columns]
            for n, (_, code, stt, line, goods, total) in enumerate(rows[begin:end]):
                for name, value in zip(
                    ("order_code", "stt", "line_amount_vnd", "goods_gross_vnd", "order_total_vnd"), (code, stt, line, goods, total), strict=True
                ):
                    columns[AT[name]][n] = value
            values = pl.DataFrame({str(n): pl.Series(column, dtype=pl.String) for n, column in enumerate(columns)})
            yield Frame(pl.Series([row[0] for row in rows[begin:end]], dtype=pl.Int64), values)


def passed(rows, cuts=(), kind=Blocks):
    blocks = kind(CONTRACT)
    for frame in frames_of(rows, cuts):
        blocks.look(frame)
    blocks.end()
    return blocks


def amount(text):
    return int(text.replace(".", "")) if text and MONEY.fullmatch(text) else None


def grouped(rows):
    """Orders with their rows, and those that `loading._set_aside_blocks` finds by grouping the table."""
    orders = defaultdict(list)
    for row in rows:
        if row[1] is not None:
            orders[row[1]].append(row)
    doubtful = set()
    for code, its in orders.items():
        numbers, stts = [r[0] for r in its], {r[2] for r in its if r[2] is not None}
        sums, goods = [amount(r[3]) for r in its], [amount(r[4]) for r in its]
        differs = None not in sums + goods and sum(sums) != min(goods)
        if max(numbers) - min(numbers) + 1 != len(its) or len(stts) > 1 or differs:
            doubtful.add(code)
    return orders, doubtful


class Short(Blocks):
    """Remembers three orders, after which only codes that rise are known not to repeat."""

    MAX_ORDERS = 3


@settings(max_examples=300, deadline=None)
@given(
    st.lists(record, max_size=12),
    st.lists(st.integers(0, 12), max_size=4),
    st.lists(st.integers(1, 3), min_size=12, max_size=12),
    st.sampled_from([Blocks, Short]),
)
def test_nothing_is_said_that_grouping_would_not_say(records, cuts, steps, kind):
    number, rows = 0, []
    for step, one in zip(steps, records, strict=False):
        number += step if step == 3 else 1  # a blank row of the file may stand between
        rows.append((number, *one))
    blocks = passed(rows, [min(cut, len(rows)) for cut in cuts], kind)
    orders, doubtful = grouped(rows)
    assert blocks.orders in (None, len(orders))
    if blocks.total is not None:
        totals = {code: {amount(r[5]) for r in its} for code, its in orders.items()}
        assert all(len(found) == 1 and None not in found for found in totals.values())
        assert blocks.total == sum(min(found) for found in totals.values())
    if blocks.suspects is not None:
        codes, at = blocks.suspects
        assert doubtful <= {*codes, *(row[1] for row in rows if row[0] in at)}


def orders(*codes, lines=2):
    return [(n * lines + line + 1, code, str(n + 1), "500", "1.000", "1.100") for n, code in enumerate(codes) for line in range(lines)]


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (3, 4, 5)])
def test_an_ordinary_file_needs_no_second_look(cuts):
    for codes in (["PM1", "PM2", "PM3"], ["PM3", "PM1", "PM2"]):
        blocks = passed(orders(*codes), cuts)
        assert (blocks.orders, blocks.total, blocks.suspects) == (3, 3_300, ([], []))


def test_an_order_that_comes_again_is_found_and_nothing_is_counted_then():
    blocks = passed(orders("PM1", "PM2", "PM1"), (3,))
    assert (blocks.orders, blocks.total) == (None, None)
    assert blocks.suspects is not None and blocks.suspects[0] == [] and blocks.suspects[1] in ([1], [5])


def test_codes_that_rise_need_no_memory_others_end_what_is_known():
    rising = [f"PM{n}" for n in range(1, 9)]
    assert passed(orders(*rising), (3,), Short).orders == 8
    blocks = passed(orders(*rising[:5], "PM0", *rising[5:]), (3,), Short)
    assert (blocks.orders, blocks.total, blocks.suspects) == (None, None, None)
