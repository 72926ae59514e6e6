"""The table of all faults: what each strikes, what the source does, when it ends. README.md shows it (tests/simulators/test_faults.py compares).

`day` below is the business day D of the switch. The hour at which something strikes follows from its kind:

- **Files** of Postmart: the folder of D, from D+1 on. Switched off, the folder is as it should have been.
- **Records** of Vỏ Sò's delta sets (ORDERS, ORDER_EVENTS, RETURNS, PRODUCTS): those whose last change lies in D, in every answer, bulk too.
  Of its full sets (STORES, PAYMENT_ACCOUNTS): while D is being fetched, so a snapshot of another day is whole.
- **Answers and network**: requests while D is being fetched: the clock stands between D+1 00:00 and D+2 00:00. `*TIMES` ends it after so many strikes.
- **Forms**: those whose as-of date is D. Where the districts sent none of that register as of D, the first district sends one, with the fault.
"""

from __future__ import annotations

from dataclasses import dataclass

SHEETS = ("DONHANG", "GIANHANG", "TAIKHOANTT")
FORMS = ("R1", "R1B", "R2", "R3", "R4", "R5")
TEXTS = ("HOANTRA", "SANPHAM")
FILES = ("GIANHANG", "SANPHAM", "DONHANG", "HOANTRA", "TAIKHOANTT")
BULK = ("STORES", "PRODUCTS", "ORDERS", "ORDER_EVENTS", "RETURNS", "PAYMENT_ACCOUNTS")


@dataclass(frozen=True)
class Kind:
    """One fault: its default dataset, the others that it can strike, how often it strikes unless told (0: always), and two sentences."""

    name: str
    default: str
    datasets: tuple[str, ...]
    does: str
    ends: str
    times: int = 0


# fmt: off
OFF = "when switched off: file, form or records are as they should have been"
FILE_FAULTS = (
    Kind("F00", "DONHANG", FILES, "no fault: a clean version 2 (`=N`: version N) of the dataset at 08:00 of D+1", "it is the recovery from a file fault by re-issue"),
    Kind("F01", "DONHANG", ("DONHANG", "GIANHANG", "SANPHAM", "TAIKHOANTT"), "XLSX or ZIP without its last 30 bytes; the manifest is of the whole file", OFF),
    Kind("F02", "HOANTRA", TEXTS, "CSV cut inside a quoted field (of SANPHAM: in the last part); the manifest is of the whole file", OFF),
    Kind("F04", "DONHANG", FILES, "half of the file as `.part`; file, manifest and marker two hours later", "after two hours"),
    Kind("F05", "DONHANG", FILES, "marker and manifest, but the file 45 minutes later (`=MINUTES`)", "when the file has come"),
    Kind("F06", "", ("DONHANG", "TAIKHOANTT"), "everything at 05:00 (`=HH:MM`); of a named dataset: its delivery only", "when it has come"),
    Kind("F07", "", ("DONHANG", "TAIKHOANTT"), "nothing until two days later, 05:30 (`=DAYS`)", "when it has come"),
    Kind("F08", "", ("DONHANG", "HOANTRA", "VOSO", "ORDERS", "ORDER_EVENTS", "RETURNS"), "an empty day: no orders, no refunds, and a manifest that says 0 (Vỏ Sò: `TOTAL` 0)", OFF),
    Kind("F09", "DONHANG", FILES, "no rows, but a manifest that declares those of the day (240 where there are none)", OFF),
    Kind("F10", "DONHANG", FILES, "version 2 (`=N`) at 10:00 of D+1: the first row withdrawn, the next one changed", "it stays"),
    Kind("F11", "DONHANG", FILES, "the whole delivery as version 2 at the usual hour, version 1 at 10:00 (`=HH:MM`)", "it stays"),
    Kind("F12", "DONHANG", FILES, "version 1 again at 11:00 (`=HH:MM`): another content under the same name, with its manifest", OFF),
    Kind("F13", "DONHANG", FILES, "a column `Ghi chú nội bộ` at the end", OFF),
    Kind("F14", "DONHANG", FILES, "a column inserted after the third (`=swap`: the fourth and fifth exchanged)", OFF),
    Kind("F15", "DONHANG", FILES, "a column renamed: `Tổng thanh toán` → `Tổng tiền`, and the like", OFF),
    Kind("F16", "DONHANG", FILES, "a second heading that differs by a capital, at the end (`=inside`: in place of a known one)", OFF),
    Kind("F17", "DONHANG", FILES, "headings and values decomposed (NFD)", OFF),
    Kind("F18", "HOANTRA", TEXTS, "Windows-1258 (`=mojibake`: UTF-8 that was read as CP1252 and saved)", OFF),
    Kind("F19", "HOANTRA", TEXTS, "no BOM (`=utf-16`: UTF-16LE with BOM)", OFF),
    Kind("F20", "HOANTRA", TEXTS, "separator `,`", OFF),
    Kind("F21", "DONHANG", (*SHEETS, *FORMS), "`.xlsx` that is an HTML table (`=xls`: the head of an OLE2 workbook)", OFF),
    Kind("F22", "DONHANG", (*SHEETS, *FORMS), "sheet dimension `A1`", OFF),
    Kind("F23", "DONHANG", FILES, "a sub-total `Cộng` in the middle, `Tổng cộng` and signatures right below the data; none is counted", OFF),
    Kind("F24", "DONHANG", ("DONHANG", "SANPHAM", "HOANTRA"), "money in every form of §8.4 in one column", OFF),
    Kind("F25", "DONHANG", ("DONHANG", "GIANHANG"), "day and month exchanged in date cells of one row (`=N`, `=N%`), where the day is at most 12", OFF),
    Kind("F26", "GIANHANG", ("GIANHANG",), "all shapes of damaged phones, and one (`=N`) that is none", OFF),
    Kind("F27", "SANPHAM", ("SANPHAM",), "three parts, of which the second (`=NUMBER`) is missing; the manifest counts all", OFF),
    Kind("F28", "DONHANG", ("DONHANG",), "one order (`=N`, `=N%`) without its last line", OFF),
    Kind("F29", "DONHANG", FILES, "one block (`=N`, `=N%`) repeated (`=conflict`: with another value)", OFF),
    Kind("F30", "GIANHANG", ("GIANHANG", "SANPHAM", "TAIKHOANTT", "STORES", "PAYMENT_ACCOUNTS"), "one row (`=N`, `=40%`) vanishes from the snapshot", OFF),
    Kind("F40", "VOSO", ("VOSO", "POSTMART"), "the source's clock is 7 minutes fast (`=MINUTES`, `=-7`): `Date`, `NOW`, `SERVER_TIME`; Postmart: the files' times and `Thời điểm tạo`", OFF),
    Kind("F54", "POSTMART", ("POSTMART",), "another host key while D is being fetched (`=disk`: the disk is full: a half `.part`, no marker; nothing can be written)", OFF),
    Kind("F65", "DONHANG", (*FILES, "ORDERS", "ORDER_EVENTS", "RETURNS", "PRODUCTS"), "yesterday's file under today's name, with a manifest that is right for it; Vỏ Sò: yesterday's answer, with its WINDOW and SERVER_TIME", OFF),
    Kind("F67", "HOANTRA", (*FILES, "VOSO", "STORES", "PRODUCTS", "ORDERS", "ORDER_EVENTS", "RETURNS", "PAYMENT_ACCOUNTS"), "zero bytes; the manifest is of the whole file; Vỏ Sò: an empty body with status 200", OFF),
    Kind("F68", "HOANTRA", (*FILES, *FORMS), "TCVN3 text (of a workbook: its values)", OFF),
    Kind("F69", "SANPHAM", FILES, "line breaks and quotes inside two values (`=N`): legitimate", OFF),
    Kind("F70", "DONHANG", (*SHEETS, *FORMS), "the XML of the sheet ends in the middle; ZIP and hash are right", OFF),
    Kind("F71", "DONHANG", (*SHEETS, "SANPHAM", *FORMS), "a ZIP bomb: 2,048 MiB (`=MIB`) of blanks in the first sheet or part", OFF),
    Kind("F72", "DONHANG", (*SHEETS, *FORMS), "a DTD with nested and external entities", OFF),
    Kind("F73", "DONHANG", (*SHEETS, *FORMS), "an external link", OFF),
    Kind("F74", "DONHANG", (*SHEETS, *FORMS), "a VBA project", OFF),
    Kind("F75", "GIANHANG", (*SHEETS, *FORMS), "a hidden first sheet with an old, shorter copy", OFF),
    Kind("F77", "DONHANG", (*SHEETS, *FORMS), "numbers as text; codes and phones as numbers, without leading zeros", OFF),
    Kind("F78", "DONHANG", (*SHEETS, *FORMS), "dates as serial numbers", OFF),
    Kind("F79", "DONHANG", (*FILES, *FORMS), "a copy of the file beside it, under a name that no manifest has", OFF),
    Kind("F80", "DONHANG", FILES, "version 2 at 10:00 of D+3 (`=DAYS`): two rows withdrawn, two changed, two added", "it stays"),
    Kind("F81", "DONHANG", FILES, "a column is missing (`=HEADING`)", OFF),
)
#: A fault of answers strikes all requests for data (VOSO: lists, bulk, categories), or those of one list.
LISTS = ("VOSO", *BULK)
OFF_B = "when switched off, or the clock leaves the day"
PASSED = "when switched off, the clock leaves the day, or after `*TIMES`"
ANSWER_FAULTS = (
    Kind("F03", "ORDERS", BULK, "the first bulk job of day D: its first part without the last 20 bytes", "after one job (`*TIMES`)", 1),
    Kind("F31", "VOSO", LISTS, "every third call (`=K`) is refused with 429; `Retry-After` 1 second, as a number and as a date by turns", PASSED),
    Kind("F32", "VOSO", LISTS, "every third call (`=K`) gets the gateway's page, 502 and 429 by turns", PASSED),
    Kind("F33", "ORDERS", BULK, "the token ends at the third page (`=PAGE`) of each reading, with status 401 on HTTP 200; pages are a quarter of the set", OFF_B),
    Kind("F34", "VOSO", ("VOSO", "POSTMART"), "each login is refused: `Invalid owner account or password!`; Postmart: each password", OFF_B),
    Kind("F35", "VOSO", LISTS, "the first two calls (`*TIMES`; `*0`: all) get `error:true` on HTTP 200: `System error`", PASSED, 2),
    Kind("F36", "ORDERS", BULK, "NEXT_CURSOR repeats for ever (page index: page 2 again); pages are a quarter of the set", OFF_B),
    Kind("F37", "STORES", ("STORES", "PRODUCTS", "PAYMENT_ACCOUNTS"), "a row of page 1 is gone from the first question for page 2 on, TOTAL is one less; pages are a quarter of the set", OFF_B),
    Kind("F38", "ORDERS", BULK, "every other page has half of its rows and HAS_MORE true; pages are a quarter of the set", OFF_B),
    Kind("F39", "ORDERS", BULK, "PAGE_SIZE is silently cut to 10 (`=N`)", OFF_B),
    Kind("F57", "VOSO", (*LISTS, *FILES), "half of the body, then nothing for 5 seconds (`=SECONDS`: more than the client waits), then the end; once (`*TIMES`); Postmart: the file of D, when it is read", PASSED, 1),
    Kind("F58", "VOSO", (*LISTS, *FILES), "the connection is reset after 200 bytes of the body (`=N`); once (`*TIMES`); Postmart: the file of D, when it is read", PASSED, 1),
    Kind("F59", "VOSO", (*LISTS, *FILES), "half of the body with status 200 and a length that fits it; once (`*TIMES`); Postmart: the file of D, when it is read", PASSED, 1),
    Kind("F60", "VOSO", LISTS, "three calls (`*TIMES`) get 503 (`=STATUS`), with the envelope and with a page by turns", PASSED, 3),
    Kind("F61", "VOSO", ("VOSO", "POSTMART"), "after five requests for data (`=N`) all tokens are void and the password is the old one with `-new`; Postmart: after one login (`=N`)", "when switched off: the old password again"),
    Kind("F56", "VOSO", ("VOSO", "POSTMART"), "the port refuses, who is connected is cut", OFF_B),
    Kind("F64", "VOSO", ("VOSO",), "the HTTPS port (`https` in endpoints.json) shows a self-signed certificate that ended yesterday; else one that holds; both are in https-ca.pem", OFF_B),
    Kind("F66", "VOSO", ("VOSO", "POSTMART"), "as F56, for three days (`=DAYS`): while D, D+1 and D+2 are being fetched", "when switched off, or the days are over"),
    Kind("F62", "VOSO", LISTS, "a login page in HTML with status 200", PASSED),
    Kind("F63", "VOSO", LISTS, "302 to another port, where a trap keeps who came (`=internal`: 169.254.169.254; `=URL`)", PASSED),
)
RECORD_FAULTS = (
    Kind("F41", "ORDERS", ("ORDERS",), "all of the day have UPDATED_AT 12:00:00.000; pages are a quarter of the set", OFF),
    Kind("F42", "ORDERS", ("ORDERS",), "at noon a line of an older order (`=N`) gets one piece more; UPDATED_AT stays", OFF),
    Kind("F44", "ORDER_EVENTS", ("ORDER_EVENTS",), "the day's events arrive in the opposite order, three of them twice", OFF),
    Kind("F45", "ORDERS", ("ORDERS",), "a return ends with code 501 and IS_RETURNING; order and event say it by that alone", OFF),
    Kind("F47", "ORDERS", ("ORDERS", "PRODUCTS"), "PRICE is text (`=TEXT`: this text)", OFF),
    Kind("F48", "ORDERS", BULK, "a field is missing in all (`=null`: null in all): SELLER_DISCOUNT, and the like", OFF),
    Kind("F50", "STORES", ("STORES", "PAYMENT_ACCOUNTS"), "PROVINCE_ID 20 on one record (`=N`, `=N%`)", OFF),
)
DATA_FAULTS = (
    Kind("F43", "DONHANG", ("DONHANG", "ORDERS"), "an order delivered weeks ago comes back; Vỏ Sò: with code 504 of the day after its delivery, which arrives in D", OFF),
    Kind("F46", "DONHANG", ("DONHANG", "GIANHANG", "ORDERS"), "status `Chờ duyệt lại` on one row (`=N`, `=N%`); Vỏ Sò: CHO_DUYET_LAI and code 516, in the order and its event", OFF),
    Kind("F49", "GIANHANG", ("GIANHANG", "TAIKHOANTT", "STORES", "PAYMENT_ACCOUNTS"), "commune code 99999 on one row (`=N`, `=N%`); Vỏ Sò: WARDS_ID 999999", OFF),
    Kind("F51", "DONHANG", ("DONHANG", "GIANHANG", "ORDERS", "STORES"), "an order 123456789101112 (GIANHANG: a store of KHACH HANG TEST)", OFF),
    Kind("F83", "DONHANG", ("DONHANG", "ORDERS"), "a delivered order is `Đang giao` again", OFF),
    Kind("F84", "GIANHANG", ("GIANHANG", "STORES", "R4", "R1B"), "a new store (`=N`) of a household that no register has; a form: a household code that no list has", OFF),
    Kind("F85", "GIANHANG", ("GIANHANG", "STORES", "R1", "R2", "R3", "R4", "R5"), "the commune code of a closed commune (`=ambiguous`: no code, a name that two have); a form: the first commune under a closed name (`=ambiguous`: a bare name of three)", OFF),
    Kind("F86", "GIANHANG", ("GIANHANG", "STORES", "R1", "R2", "R3", "R4", "R5"), "all stores of a commune carry a code of the list of 2025; a form: the first commune under a name (and code) of 2025", OFF),
    Kind("F87", "GIANHANG", ("GIANHANG", "STORES", "R1B"), "a household with a store at the other platform opens one here; R1B: the first household is in the next commune's list (D must be a day without lists of its own)", OFF),
    Kind("F88", "DONHANG", ("DONHANG", "SANPHAM", "HOANTRA", "ORDERS", "RETURNS", "PRODUCTS"), "overflowing, negative and decimal-comma money in a row each (`=overflow`, `=negative`, `=comma`)", OFF),
    Kind("F89", "DONHANG", (*FILES, "ORDERS", "STORES", "PRODUCTS", "ORDER_EVENTS", "RETURNS", "PAYMENT_ACCOUNTS"), "40 % (`=N%`) fewer rows, all valid", OFF),
)
FORM_FAULTS = (
    Kind("F52", "R1", FORMS, "row 5 says a date 30 days (`=DAYS`) before that of the name", OFF),
    Kind("F53", "R1", ("R1",), "the first hamlet has 5 households (`=N`) more than the totals know", OFF),
    Kind("F76", "R2", ("R1", "R2", "R3", "R4", "R5"), "more columns merged where neighbours are equal", OFF),
    Kind("F90", "R1", ("R1",), "a revised R1: a tenth more households (`=zero`, `=below`: none or one in each hamlet of the first commune; `=missing`: it is not in it)", OFF),
)
# fmt: on
CATALOGUE = tuple(sorted((*FILE_FAULTS, *ANSWER_FAULTS, *RECORD_FAULTS, *DATA_FAULTS, *FORM_FAULTS), key=lambda k: k.name))


def as_table() -> str:
    """The catalogue for README.md."""
    lines = ["| Fault | Strikes (first: when none is named) | What the source does | When it ends |", "|---|---|---|---|"]
    for k in CATALOGUE:
        others = [d for d in k.datasets if d != k.default]
        lines.append(f"| {k.name} | {', '.join([k.default or 'all', *others])} | {k.does} | {k.ends} |")
    return "\n".join(lines)
