"""Deliveries of any size, as the contract of the sources has them, and what is known of them. People, shops and goods are invented; phones are 0900000xxx."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import itertools
import json
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from kinhteso.contracts import load_contract

DAY = date(2021, 9, 14)
PHONE_KEY = "bench-pepper"
LOCAL = timezone(timedelta(hours=7))
PART_ROWS = 200_000
PAGE_ROWS = 100
SAMPLED_ROWS = 500
#: Moves when the same parameters give other bytes: what was written before is not used again.
GENERATION = 2
#: One order in so many says a total that is not its sum: the judge has to find it.
WRONG_TOTAL_EVERY = 400

_PROVINCES = ("Hà Nội", "Hải Phòng", "Lạng Sơn", "Bắc Giang", "Thành phố Hồ Chí Minh", "Đà Nẵng", "", "Quảng Ninh", "Nghệ An", "Cần Thơ", "Thái Nguyên")
_GOODS = ("Na Chi Lăng", "Hồng vành khuyên", "Rau bò khai", "Hoa hồi khô", "Thạch đen", "Mật ong hoa rừng", "Quýt vàng", "Chè shan", "Gà sáu ngón")
_UNITS = ("hộp", "kg", "gói", "túi", "chai")
_PAYMENTS = (("COD", "Chưa thanh toán"), ("PostPay", "Đã thanh toán"), ("COD", "Chưa thanh toán"), ("Chuyển khoản", "Đã thanh toán"), ("Thẻ", "Đã thanh toán"))
_CHANNELS = ("App", "Web", "Bưu tá hỗ trợ")


@dataclass(frozen=True)
class Shop:
    """A shop that sells."""

    code: str
    name: str


@dataclass
class Known:
    """What must come out: rows, orders, sums in whole VND, characters of a column, rows of orders that are wrong in themselves, and a digest over some 500
    rows spread over the whole (values in the order of the raw columns)."""

    rows: int = 0
    orders: int = 0
    amount: int = 0
    total: int = 0
    name_characters: int = 0
    wrong_rows: int = 0
    sample_step: int = 1
    sample: str = ""
    files: list[str] = field(default_factory=list)


def shops(count: int) -> list[Shop]:
    """Invented shops with names as sellers write them."""
    return [Shop(f"PMS{n:07d}", f"{_GOODS[n % 9]} Chi Lăng – Nhà {n}") for n in range(1, count + 1)]


def quoted(text: str) -> str:
    """As a CSV has it."""
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ';"\r\n') else text


def dotted(amount: int) -> str:
    """1250000 as 1.250.000."""
    return f"{amount:,}".replace(",", ".")


def name_key(name: str, phone_key: str = PHONE_KEY) -> str:
    """The key of a name, by the rule (EXPORTS §8.5) and not by the code that is measured: HMAC-SHA256 of its letters and digits without accents."""
    plain = unicodedata.normalize("NFD", name.replace("Đ", "D").replace("đ", "d")).encode("ascii", "ignore").decode().lower()
    return hmac.new(phone_key.encode(), "".join(c for c in plain if c.isalnum()).encode(), hashlib.sha256).hexdigest()


def digest(rows: Sequence[Sequence[str | None]]) -> str:
    """Over rows of text, NULL as nothing; in SQL: md5(string_agg(concat_ws('|', coalesce(a, ''), ...), chr(10) order by ...))."""
    return hashlib.md5("\n".join("|".join(v or "" for v in row) for row in rows).encode(), usedforsecurity=False).hexdigest()


# ---- Postmart's orders ---------------------------------------------------------------------------------------------------------


def order_lines(rows: int, day: date, sellers: Sequence[Shop], known: Known, first_order: int = 1) -> Iterator[str]:
    """``rows`` lines of orders placed on ``day``, one to three to an order, in the CSV dialect (CRLF); ``known`` is complete at the end."""
    known.sample_step = max(1, rows // SAMPLED_ROWS)
    head, dmy = f"PM{day:%y%m%d}", f"{day:%d/%m/%Y}"
    seconds = [f"{dmy} {s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}" for s in range(86_400)]
    goods = [(f"{43_000 + n}", text, quoted(text)) for n in range(4_001) for text in [_good(n)]]
    names = [(s.code, s.name, quoted(s.name)) for s in sellers]
    prices = [5_000 + 1_000 * (n * 37 % 491) for n in range(997)]
    sampled: list[list[str | None]] = []
    done, stt, step = 0, 0, known.sample_step
    while done < rows:
        stt += 1
        number = first_order + stt - 1
        count = min((1, 3, 2, 2)[stt % 4], rows - done)
        created = stt * 7_919 % 80_000
        shop, shop_name, shop_text = names[stt * 31 % len(names)]
        lines, gross = [], 0
        for n in range(count):
            price, quantity = prices[(stt * 13 + n) % 997], (1, 2, 1, 5, 3)[(stt + n) % 5]
            gross += price * quantity
            lines.append((goods[(stt * 17 + n * 101) % 4_001], _UNITS[(stt + n) % 5], quantity, price, price * quantity))
        discount, shipping = (0 if stt % 3 else min(20_000, gross)), (0, 15_000, 35_000)[stt % 3]
        is_wrong = stt % WRONG_TOTAL_EVERY == WRONG_TOTAL_EVERY - 1
        total = gross - discount + shipping + is_wrong
        known.wrong_rows += count if is_wrong else 0
        kind = stt % 20
        if kind == 0:  # cancelled the same day
            status, reason, carrier, delivered = "Đã hủy", "Người mua đổi ý", "", ""
        elif kind < 4:  # delivered in town within hours
            status, reason, carrier, delivered = "Đã giao", "", "14", seconds[created + 6_000]
        elif kind < 12:
            status, reason, carrier, delivered = "Đã xác nhận", "", "1", ""
        else:
            status, reason, carrier, delivered = "Chờ xác nhận", "", "", ""
        event = seconds[created + (6_000 if kind < 12 else 0)]
        payment, paid = _PAYMENTS[stt % 5]
        waybill = f"EM{stt:09d}VN" if carrier else ""
        province, channel = _PROVINCES[stt % 11], _CHANNELS[stt % 3]
        first = f"{stt};{head}{number:07d};{seconds[created]};{status};{event};{reason};{shop};{shop_text};{province};"
        last = f";{dotted(gross)};{dotted(discount)};{dotted(shipping)};{dotted(total)};{payment};{paid};{waybill};{carrier};{delivered};{channel}\r\n"
        for (code, text, in_csv), unit, quantity, price, amount in lines:
            yield f"{first}{code};{in_csv};{unit};{quantity};{dotted(price)};{dotted(amount)}{last}"
            known.name_characters += len(text)
            if done % step == 0:
                sampled.append([
                    str(stt), f"{head}{number:07d}", seconds[created], status, event, reason, shop, name_key(shop_name), "false", province, code, text, unit,
                    str(quantity), dotted(price), dotted(amount), dotted(gross), dotted(discount), dotted(shipping), dotted(total), payment, paid, waybill,
                    carrier, delivered, channel,
                ])  # fmt: skip
            done += 1
        known.amount += gross
        known.total += total
    known.rows, known.orders, known.sample = done, stt, digest(sampled)


def _good(n: int) -> str:
    text = f"{_GOODS[n % 9]} loại {n % 5 + 1}, mã {n}"
    return f'{text}; hộp "{n % 7 + 1}" kg' if n % 10 == 0 else text


def order_export(folder: Path, rows: int, day: date = DAY, sellers: int = 28_000, first_order: int = 1) -> tuple[Path, list[Path], Known]:
    """The volume form of A3: the ZIP of CSV parts, the same parts unpacked, and what is known. Written once per size."""
    folder = folder / f"orders-{day:%Y%m%d}-{rows}-{sellers}-{first_order}-g{GENERATION}"
    stem, count = f"PM_LSN_DONHANG_{day:%Y%m%d}_v1", max(1, -(-rows // PART_ROWS))
    archive, told = folder / f"{stem}.zip", folder / "known.json"
    parts = [folder / f"{stem}_p{n:02d}of{count:02d}.csv" for n in range(1, count + 1)]
    if not told.exists():
        folder.mkdir(parents=True, exist_ok=True)
        known = Known(files=[p.name for p in parts])
        headings = ";".join(c.heading for c in load_contract("postmart", "orders").columns) + "\r\n"
        lines = order_lines(rows, day, shops(sellers), known, first_order=first_order)
        for part in parts:
            with part.open("w", encoding="utf-8-sig", newline="") as f:
                f.write(headings)
                f.writelines(itertools.islice(lines, PART_ROWS))
        next(lines, None)  # to its end, where `known` is complete
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as z:
            for part in parts:
                z.write(part, part.name)
        told.write_text(json.dumps(asdict(known)))
    return archive, parts, Known(**json.loads(told.read_text()))


# ---- Vỏ Sò's orders ------------------------------------------------------------------------------------------------------------


def _ms(day: date, second: int) -> int:
    return int(datetime.combine(day, datetime.min.time(), LOCAL).timestamp() + second) * 1000


def voso_orders(count: int, day: date, known: Known) -> Iterator[tuple[dict[str, Any], list[str | None]]]:
    """``count`` orders as the API's items, each with its values as text in the order of the contract."""
    names = [c.heading for c in load_contract("voso", "orders").columns]
    known.sample_step = max(1, count // SAMPLED_ROWS)
    start, sampled = _ms(day, 0), []
    for n in range(1, count + 1):
        created = start + n * 7_919 % 80_000 * 1000
        lines: list[dict[str, Any]] = []
        for line in range(1, (1, 3, 2, 2)[n % 4] + 1):
            price, quantity = 5_000 + 1_000 * (n * 37 % 491), (1, 2, 1, 5, 3)[(n + line) % 5]
            lines.append({
                "LINE_NO": line, "PRODUCT_ID": str(5_500_000_000_000_000 + n * 17 % 4_001), "NAME": _good(n * 17 % 4_001), "QUANTITY": quantity, "PRICE": price,
                "AMOUNT": price * quantity, "WEIGHT": 500,
            })  # fmt: skip
        goods = sum(line["AMOUNT"] for line in lines)
        discount, platform, ship = (0 if n % 3 else 5_000), (0 if n % 4 else 2_000), (0, 15_000, 27_500)[n % 3]
        is_delivered, is_cancelled = 0 < n % 20 < 4, n % 20 == 0
        item: dict[str, Any] = {
            "ORDER_ID": str(7_100_000_000_000_000 + n), "ORDER_NUMBER": f"VS{day:%y%m%d}{n:07d}", "WAYBILL": f"VOSO{n:09d}" if is_delivered else None,
            "STORE_ID": str(8_800_000_000_000_000 + n * 31 % 24_000 + 1),
            "STATUS": "DA_HUY" if is_cancelled else "GIAO_THANH_CONG" if is_delivered else "CHO_DUYET",
            "ORDER_STATUS": 501 if is_delivered else None, "ORDER_STATUSDATE": f"{day:%d/%m/%Y} 23:10:00" if is_delivered else None, "IS_RETURNING": False,
            "CREATED_AT": created, "UPDATED_AT": created + 6_000_000, "CONFIRMED_AT": created + 1_000_000 if is_delivered else None,
            "SHIPPED_AT": created + 2_000_000 if is_delivered else None, "DELIVERED_AT": created + 6_000_000 if is_delivered else None,
            "CANCELLED_AT": created + 6_000_000 if is_cancelled else None, "RETURNED_AT": None, "CANCEL_REASON": "NGUOI_MUA" if is_cancelled else None,
            "RECEIVER_PROVINCE": n % 63 + 1, "GOODS_AMOUNT": goods, "SELLER_DISCOUNT": min(discount, goods), "PLATFORM_DISCOUNT": platform, "SHIP_FEE": ship,
            "TOTAL_AMOUNT": goods - min(discount, goods) - platform + ship, "MONEY_COLLECTION": goods if n % 2 else 0, "MONEY_TOTAL": ship,
            "COD_STATUS": "CHUA_NHAN_COD" if n % 2 else "KHONG_CO_COD",
            "PAYMENT_METHOD": "COD" if n % 2 else "VIETTEL_MONEY", "CURRENCY": "VND", "LINES": lines,
        }  # fmt: skip
        text = [_as_text(item[name]) for name in names]
        known.rows += 1
        known.orders += 1
        known.amount += goods
        known.total += item["TOTAL_AMOUNT"]
        known.name_characters += len(text[-1] or "")
        if (n - 1) % known.sample_step == 0:
            sampled.append(text)
        yield item, text
    known.sample = digest(sampled)


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if isinstance(value, list) else str(value)


def order_pages(folder: Path, count: int, day: date = DAY) -> tuple[list[Path], Path, Known]:
    """Pages of 100 orders as the pull leaves them in the landing (`page-00001.json.gz`), the same orders as one CSV for COPY, and what is known."""
    folder = folder / f"voso-orders-{day:%Y%m%d}-{count}-g{GENERATION}"
    told, flat, pages = folder / "known.json", folder / "orders.csv", -(-count // PAGE_ROWS)
    paths = [folder / f"page-{n:05d}.json.gz" for n in range(1, pages + 1)]
    if not told.exists():
        import csv

        folder.mkdir(parents=True, exist_ok=True)
        known = Known(files=[p.name for p in paths])
        orders = voso_orders(count, day, known)
        with flat.open("w", encoding="utf-8", newline="") as f:
            writer = csv.writer(f)
            for path in paths:
                page = list(itertools.islice(orders, PAGE_ROWS))
                writer.writerows(text for _, text in page)
                body = {"status": 200, "error": False, "message": "OK", "data": {"ITEMS": [item for item, _ in page], "PAGE_SIZE": PAGE_ROWS, "TOTAL": count}}
                path.write_bytes(gzip.compress(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(), compresslevel=6, mtime=0))
        next(orders, None)
        told.write_text(json.dumps(asdict(known)))
    return paths, flat, Known(**json.loads(told.read_text()))


# ---- a workbook ----------------------------------------------------------------------------------------------------------------


def order_workbook(folder: Path, rows: int, day: date = DAY, sellers: int = 2_000, first_order: int = 1) -> tuple[Path, Known]:
    """The sheet form of A3 with ``rows`` rows of 25 columns, every row an order's line with the order's columns filled."""
    import csv

    import xlsxwriter

    folder = folder / f"workbook-{day:%Y%m%d}-{rows}-{sellers}-{first_order}-g{GENERATION}"
    path, told = folder / f"PM_LSN_DONHANG_{day:%Y%m%d}_v1.xlsx", folder / "known.json"
    if not told.exists():
        folder.mkdir(parents=True, exist_ok=True)
        known, contract = Known(files=[path.name]), load_contract("postmart", "orders")
        with xlsxwriter.Workbook(str(path), {"constant_memory": True}) as book:
            page = book.add_worksheet(contract.file["sheet"])
            page.write(0, 0, "BÁO CÁO ĐƠN HÀNG")
            page.write(2, 0, f"Từ ngày {day:%d/%m/%Y} đến ngày {day:%d/%m/%Y}")
            page.write_row(4, 0, [c.heading for c in contract.columns])
            for n, row in enumerate(csv.reader(order_lines(rows, day, shops(sellers), known, first_order=first_order), delimiter=";"), 5):
                for column, value in enumerate(row):
                    if value and column in (0, 12):
                        page.write_number(n, column, int(value))
                    elif value:
                        page.write_string(n, column, value)
            page.write(rows + 5, 0, "Tổng cộng")
        told.write_text(json.dumps(asdict(known)))
    return path, Known(**json.loads(told.read_text()))
