"""Faults of Postmart's files: late, damaged, changed, or not what they say (F01–F30, F65–F81)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from case import DAY, Case, need
from struck import REGISTRY, Struck, struck

CODES = {"GIANHANG": "stores", "SANPHAM": "products", "DONHANG": "orders", "HOANTRA": "refunds", "TAIKHOANTT": "accounts"}


def refused(number: str, switch: str, *words: str, group: str = "", seen: str = "refused") -> None:
    """A fault for which the whole dataset is rejected, told with ``words``; version 2 brings it right."""
    code = switch.partition(":")[2].partition("=")[0]
    name = f"postmart/{CODES[code]}"

    def look(case: Case) -> str:
        rows = case.sql("select state, reason from ops.export where source = 'postmart' and dataset = %s and business_day = %s", CODES[code], DAY)
        need(rows and all(state in ("expected", "rejected") for state, _ in rows), f"{name} {DAY} is {rows}")
        told = case.told(f"PM_LSN_{code}_{DAY:%Y%m%d}_v1", *words)
        need("Runbook" in told or "Ask the supplier" in told, f"no next step is told: {told}")
        return seen

    look.__name__ = f"{code.lower()}_refused"
    REGISTRY.append(Struck(number, switch.replace("@DAY", f"@{DAY}"), look, out=(name,), again=(CODES[code],), group=group))


def accepted(number: str, switch: str, rule: str = "", *words: str, group: str = "", seen: str = "") -> None:
    """A fault with which the dataset loads whole, with a warning of ``rule`` if one is asked for."""
    code = switch.partition(":")[2].partition("=")[0]
    name = f"postmart/{CODES[code]}"

    def look(case: Case) -> str:
        export = case.state(name, "accepted")
        need(
            export.rows_quarantined == 0,
            f"{export.label}: {export.rows_quarantined} rows in quarantine: {case.sql('select rule_name, count(*) from ops.quarantine_row where export_id = %s group by 1', export.export_id)}",
        )
        if not rule:
            case.struck_bytes(name)
            return seen
        said, _ = case.check(name, rule)
        need(all(w in said for w in words), f"{said!r} does not say {words}")
        return seen

    look.__name__ = f"{code.lower()}_accepted"
    REGISTRY.append(Struck(number, switch.replace("@DAY", f"@{DAY}"), look, group=group))


refused("F01", "F01@DAY:DONHANG", "is damaged", "twice", group="refused-1", seen="fetched twice, refused, what came is kept")
refused("F01", "F01@DAY:SANPHAM", "is damaged", "twice")
refused("F02", "F02@DAY:HOANTRA", "is damaged", "twice", group="refused-1", seen="fetched twice, refused, what came is kept")
refused("F09", "F09@DAY:DONHANG", "rows declared, 0 found", group="refused-4", seen="refused: rows declared, 0 found")
refused("F14", "F14@DAY:GIANHANG", "heading 4 is 'Ghi chú'", group="refused-1", seen="refused: heading 4 is named with what is expected there")
refused("F14", "F14@DAY:DONHANG=swap", "heading 4 is")
refused("F15", "F15@DAY:DONHANG", "'Tổng tiền'", "aliases", group="refused-2", seen="refused: both headings are named, and the alias as a remedy")
refused("F16", "F16@DAY:DONHANG=inside", "heading", group="refused-3", seen="inside: refused")
refused("F18", "F18@DAY:HOANTRA", "is not UTF-8", group="refused-2", seen="Windows-1258: refused")
refused("F18", "F18@DAY:SANPHAM=mojibake", "wrong encoding", group="refused-3", seen="UTF-8 saved as CP1252: refused")
refused("F20", "F20@DAY:HOANTRA", "not separated by ';'", group="refused-3", seen="refused")
refused("F21", "F21@DAY:TAIKHOANTT", "HTML", group="refused-4", seen="HTML: refused")
refused("F21", "F21@DAY:DONHANG=xls", "old .xls", seen=".xls: refused")
refused("F27", "F27@DAY:SANPHAM", "does not hold every part", group="refused-1", seen="refused: the parts that are there are named")
refused("F30", "F30@DAY:GIANHANG=40%", "must not vanish", group="refused-3", seen="40 %: snapshot refused, the last good one carries on")
refused("F65", "F65@DAY:DONHANG", "another day", group="refused-5", seen="orders: refused by the day in the title")
refused("F65", "F65@DAY:HOANTRA", "another day", seen="refunds: refused by their bytes")
refused("F65", "F65@DAY:SANPHAM", "another day", seen="products: refused by the day in the parts' names")
refused("F67", "F67@DAY:HOANTRA", "is damaged", group="refused-4", seen="refused")
refused("F68", "F68@DAY:SANPHAM", "is not UTF-8", group="refused-4", seen="CSV: refused")
refused("F68", "F68@DAY:GIANHANG", "TCVN3", group="refused-4", seen="sheet: refused, the font is named")
refused("F70", "F70@DAY:TAIKHOANTT", "damaged", group="refused-3", seen="refused")
refused("F71", "F71@DAY:SANPHAM", "would unpack to", group="refused-2", seen="refused unopened")
refused("F71", "F71@DAY:DONHANG", "would unpack to")
refused("F72", "F72@DAY:GIANHANG", "declares a document type", group="refused-2", seen="refused before any XML is parsed")
refused("F73", "F73@DAY:TAIKHOANTT", "draws on other files", group="refused-2", seen="refused, nothing followed")
refused("F74", "F74@DAY:DONHANG", "holds macros", seen="refused, nothing run")
refused("F81", "F81@DAY:TAIKHOANTT", "heading", group="refused-1", seen="refused: the missing heading is named")

accepted("F13", "F13@DAY:DONHANG", "F13", "Ghi chú nội bộ", group="loads-1", seen="loaded, the new column named in a warning")
accepted("F16", "F16@DAY:SANPHAM", "F13", group="loads-1", seen="at the end: loaded with a warning")
accepted("F17", "F17@DAY:DONHANG", group="loads-2", seen="loaded, the KPIs are the same")
accepted("F17", "F17@DAY:GIANHANG", seen="loaded, the KPIs are the same")
accepted("F19", "F19@DAY:HOANTRA", "F19", "no BOM", group="loads-1", seen="no BOM: loaded with a warning")
accepted("F19", "F19@DAY:HOANTRA=utf-16", "F19", "UTF-16", group="loads-2", seen="UTF-16: loaded with a warning")
accepted("F22", "F22@DAY:TAIKHOANTT", group="loads-1", seen="all rows loaded")
accepted("F22", "F22@DAY:DONHANG", seen="all rows loaded")
accepted("F23", "F23@DAY:DONHANG", group="loads-3", seen="notes and totals are no rows")
accepted("F24", "F24@DAY:DONHANG", group="loads-4", seen="the same sums from every form")
accepted("F69", "F69@DAY:SANPHAM", group="loads-2", seen="loaded, one row each")
accepted("F75", "F75@DAY:GIANHANG", "F75", "Bản cũ", group="loads-1", seen="the visible sheet is read, the hidden one named in a warning")
accepted("F77", "F77@DAY:TAIKHOANTT", group="loads-3", seen="accounts: the same values")
accepted("F77", "F77@DAY:GIANHANG", group="loads-3", seen="stores: the same values, commune codes padded")
accepted("F77", "F77@DAY:DONHANG", seen="orders: the same values")
accepted("F78", "F78@DAY:GIANHANG", group="loads-2", seen="stores: the same dates")
accepted("F78", "F78@DAY:DONHANG", seen="orders: the same times")


def of_day(*headings: str) -> Any:
    """Whether a row is of `DAY` by one of its dates."""

    def is_of(row: dict[str, Any]) -> bool:
        for heading in headings:
            value = row.get(heading)
            if isinstance(value, datetime) and value.date() == DAY or str(value or "").startswith(f"{DAY:%d/%m/%Y}"):
                return True
        return False

    return is_of


def order_out(switch: str) -> Any:
    """The recount leaves out the orders that a fault strikes, as the file of `DAY` tells of them."""
    from case import keys

    struck_keys: set[str] = set()

    def without(dataset: str, row: dict[str, Any]) -> bool:
        if not struck_keys:
            struck_keys.update(keys(switch.replace("@DAY", f"@{DAY}")))
        return dataset == "postmart/orders" and str(row.get("Mã đơn hàng")) in struck_keys and of_day("Ngày cập nhật trạng thái")(row)

    return without


def in_quarantine(case: Case, name: str, rule: str, fault: str) -> int:
    """The keys that the fault struck are in quarantine for the rule, and no others; gives how many."""
    wanted = set(case.struck(fault))
    found = {key for _, key in case.quarantined(name, rule)}
    need(found == wanted, f"in quarantine for {rule} are {sorted(found)}, struck were {sorted(wanted)}")
    need(case.state(name, "accepted").rows_quarantined, "nothing is counted as quarantined")
    return len(found)


@struck("F28", "F28@DAY:DONHANG", without=order_out("F28@DAY:DONHANG"), out=("postmart/orders",), again=("orders",))
def order_without_its_lines_in_a_small_file(case: Case) -> str:
    case.state("postmart/orders", "rejected")
    case.told("postmart/orders", "at most 2 %")
    return "above 2 % (a small file): refused"


@struck("F29", "F29@DAY:DONHANG", group="loads-5")
def repeated_block(case: Case) -> str:
    export = case.state("postmart/orders", "accepted")
    need(export.rows_duplicate, f"no row is set aside as a duplicate, {export.rows_quarantined} in quarantine")
    return "exact repeat: set aside and counted"


@struck("F29", "F29@DAY:DONHANG=conflict", without=order_out("F29@DAY:DONHANG=conflict"))
def conflicting_blocks(case: Case) -> str:
    in_quarantine(case, "postmart/orders", "Q04", "F29")
    return "conflicting blocks: the order in quarantine"


@struck("F30", "F30@DAY:GIANHANG", group="loads-5")
def one_store_vanishes(case: Case) -> str:
    (gone,) = case.struck("F30")
    export = case.state("postmart/stores", "accepted")
    need(not case.sql("select 1 from raw.postmart_stores where export_id = %s and store_code = %s", export.export_id, gone), f"{gone} is still there")
    return "one: accepted, the store is closed from that day"


@struck("F26", "F26@DAY:GIANHANG", group="loads-4")
def damaged_phones(case: Case) -> str:
    export = case.state("postmart/stores", "accepted")
    (odd,) = case.struck("F26")
    rows = case.sql(
        "select count(*) filter (where phone_key is null), min(store_code) filter (where phone_key is null and store_code = %s), count(*) from raw.postmart_stores where export_id = %s",
        odd,
        export.export_id,
    )
    need(rows[0][1] == odd and export.rows_quarantined == 0, f"{odd} has a key, or rows are in quarantine: {rows}, {export.rows_quarantined}")
    return "all shapes give the same key, the impossible one none; all rows load"


@struck("F79", "F79@DAY:DONHANG", group="loads-6")
def another_name(case: Case) -> str:
    need((case.outbox() / f"PM_LSN_DONHANG_{DAY:%Y%m%d}_v1 (1).xlsx").exists(), "no copy lies there")
    need(len(case.sql("select 1 from ops.export where source = 'postmart' and dataset = 'orders' and business_day = %s", DAY)) == 1, "the copy was taken")
    return "the copy that no manifest names is left"


@struck("F08", "F08@DAY", group="loads-6")
def empty_day(case: Case) -> str:
    for name in ("postmart/orders", "postmart/refunds"):
        need(case.state(name, "accepted").rows_delivered == 0, f"{name} is not empty")
    return "accepted with 0 rows"


@struck("F51", "F51@DAY:DONHANG", group="loads-7")
def test_order(case: Case) -> str:
    export = case.state("postmart/orders", "accepted")
    need(case.sql("select 1 from raw.postmart_orders where export_id = %s and order_code = '123456789101112'", export.export_id), "no test order came")
    return "order: loaded, marked, counted nowhere"


@struck("F51", "F51@DAY:GIANHANG")
def test_store(case: Case) -> str:
    export = case.state("postmart/stores", "accepted")
    need(case.sql("select 1 from raw.postmart_stores where export_id = %s and store_name_is_test = 'true'", export.export_id), "no test store came")
    return "store: loaded, marked, counted nowhere"


@struck("F84", "F84@DAY:GIANHANG", group="loads-7")
def unknown_household(case: Case) -> str:
    export = case.state("postmart/stores", "accepted")
    need(case.sql("select 1 from raw.postmart_stores where export_id = %s and store_code = 'PMS8888800'", export.export_id), "no such store came")
    return "the store counts as unmatched, no household gets it"


@struck("F87", "F87@DAY:GIANHANG", group="loads-8")
def on_both_platforms(case: Case) -> str:
    export = case.state("postmart/stores", "accepted")
    need(case.sql("select 1 from raw.postmart_stores where export_id = %s and store_code = 'PMS7777777'", export.export_id), "no such store came")
    return "the household counts once, and as one on both platforms"


@struck("F49", "F49@DAY:GIANHANG", group="loads-6")
def unknown_commune(case: Case) -> str:
    case.state("postmart/stores", "accepted")
    words, rows = case.check("postmart/stores", "F49")
    need(rows == 1, f"{rows} rows")
    return "kept, warning with the row"


@struck("F85", "F85@DAY:GIANHANG")
def closed_commune(case: Case) -> str:
    case.state("postmart/stores", "accepted")
    case.check("postmart/stores", "F49")
    return "closed: kept, warning"


@struck("F85", "F85@DAY:GIANHANG=ambiguous", out=("postmart/stores",), again=("stores",))
def ambiguous_commune(case: Case) -> str:
    case.told("postmart/stores", "Mã xã (VNPost) must be given")
    return "no code, a name that two communes have: not guessed, refused above 0.5 %"


@struck("F46", "F46@DAY:DONHANG", group="loads-8")
def unknown_status(case: Case) -> str:
    case.state("postmart/orders", "accepted")
    case.check("postmart/orders", "F46")
    case.told("postmart/orders", "at most 1 %")
    return "kept as UNKNOWN, warning; above 1 % (a small file) the run is red"


@struck("F43", "F43@DAY:DONHANG", group="loads-10")
def late_status(case: Case) -> str:
    (order,) = case.struck("F43")
    export = case.state("postmart/orders", "accepted")
    need(case.sql("select 1 from raw.postmart_orders where export_id = %s and order_code = %s", export.export_id, order), "it did not come")
    return "restated: returned on the day of the event, its revenue stays"


def illegal_told(case: Case) -> str:
    """After the build: the check over all status changes names the order."""
    need(
        case.sql(
            "select 1 from ops.day_check where rule_name = 'illegal_transitions' and not passed and sample::text like '%%' || %s || '%%'", case.struck("F83")[0]
        ),
        "Q08 does not name it",
    )
    return "the illegal transition is named by Q08"


@struck("F83", "F83@DAY:DONHANG", group="loads-11", after=illegal_told)
def backwards(case: Case) -> str:
    (order,) = case.struck("F83")
    export = case.state("postmart/orders", "accepted")
    need(case.sql("select 1 from raw.postmart_orders where export_id = %s and order_code = %s", export.export_id, order), "it did not come")
    return "loaded, both states kept"


@struck("F86", "F86@DAY:GIANHANG", out=("postmart/stores",), again=("stores",))
def merged_commune(case: Case) -> str:
    case.state("postmart/stores", "rejected")
    case.told("postmart/stores", "Q10", "stores before 0 now")
    return "all stores of a commune under a code of the other list, which is no code of VNPost: the commune lost its stores, refused (Q10)"


@struck("F88", "F88@DAY:DONHANG", out=("postmart/orders",), again=("orders",))
def bad_money(case: Case) -> str:
    case.state("postmart/orders", "rejected")
    case.told("postmart/orders", "at most 2 %")
    return "above 2 % (a small file): refused"


refused("F89", "F89@DAY:GIANHANG", "must not vanish", seen="stores: refused (F30), the last good snapshot carries on")


@struck("F89", "F89@DAY:DONHANG", group="loads-9")
def fewer_rows(case: Case) -> str:
    gone, export = case.struck("F89"), case.state("postmart/orders", "accepted")
    need(gone and export.rows_delivered == export.rows_loaded, "rows are set aside")
    return "orders: within the ±60 % of Q09, loaded"


@struck("F25", "F25@DAY:DONHANG", without=order_out("F25@DAY:DONHANG"))
def swapped_dates(case: Case) -> str:
    export = case.export("postmart/orders")
    need(export.state in ("accepted", "rejected") and case.struck("F25"), "no date was swapped")
    found = {key for _, key in case.quarantined("postmart/orders", "F25")}
    need(found == set(case.struck("F25")), f"in quarantine are {found}")
    return "rows in quarantine"
