"""Personal numbers in free text do not reach a table (Q17)."""

import json

import deliveries as d


def test_phones_and_citizen_numbers_in_free_text_are_masked_and_told(db):
    """Q17: sellers write their number into a product's name; ids of the same shape stay."""
    rows = [d.product(1, product_name="Na loại 1, gọi 0900000123 (hoặc 020000000123)"), d.product(2, product_code="0900000123", trace_code="123456789012")]
    rows += [d.product(3, product_name="Mật ong 1234567890 ml, lô 12345678901234")]
    export_id = d.loaded(db, "postmart", "products", rows)
    found = db.execute(
        "select product_name, product_code, trace_code from raw.postmart_products where export_id = %s order by source_row", [export_id]
    ).fetchall()
    assert found[0][0] == "Na loại 1, gọi […] (hoặc […])"
    assert found[1][1:] == ("0900000123", "123456789012")
    assert found[2][0] == "Mật ong 1234567890 ml, lô 12345678901234"
    told = db.execute("select rule_id, rule, outcome from ops.check_result where export_id = %s", [export_id]).fetchall()
    assert told == [("Q17", "Q17: 1 values of Tên sản phẩm held a phone or citizen number; it was masked", "warn")]


def test_numbers_in_the_lines_of_an_order_are_masked_where_they_are_text(db):
    line = {"LINE_NO": 1, "PRODUCT_ID": "020000000911", "NAME": "Na, gọi 0900000123", "QUANTITY": 1, "PRICE": 295000, "AMOUNT": 295000, "X": 123456789012}
    export_id = d.loaded(db, "voso", "orders", [d.with_lines(1, line)])
    (found,) = db.execute("select lines from raw.voso_orders where export_id = %s", [export_id]).fetchone()
    assert json.loads(found) == [line | {"NAME": "Na, gọi […]"}]
