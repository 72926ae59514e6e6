"""A small invented world written straight into `raw` and the ledger, to try the dbt project without sources.

Deliveries are text as a reader would leave it. `accept` moves an export as the ledger does and notes the change for the next build.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import psycopg
from kinhteso import ledger
from kinhteso.personal import Keys

LOCAL = timezone(timedelta(hours=7))
#: GSO code, VNPost code, VTP ward, name; filled from the seed by `communes`.
D0 = date(2021, 9, 12)


#: What the pseudonyms of this world are keyed with, as a load with this secret would.
SALT = Keys("demo-pepper").salt()


def pseudonym(text: str) -> str:
    """As core makes it, of "household|<code>" or "account|<platform>|<ref>"."""
    return hashlib.sha256(hashlib.sha256(f"{SALT}|{text}".encode()).digest()).hexdigest()


def dmy(day: date) -> str:
    return day.strftime("%d/%m/%Y")


def dmyhms(at: datetime) -> str:
    return at.astimezone(LOCAL).strftime("%d/%m/%Y %H:%M:%S")


def ms(at: datetime | None) -> str | None:
    return None if at is None else str(int(at.timestamp() * 1000))


def local(day: date, hour: int = 9, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), LOCAL)


@dataclass
class RawWorld:
    """Writes deliveries; `conn` is in autocommit."""

    conn: psycopg.Connection[Any]
    communes: list[dict[str, str]]
    rng: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        self.conn.execute("insert into ops.pseudonym_salt (salt) values (%s) on conflict do nothing", [SALT])

    def deliver(self, source: str, dataset: str, day: date, rows: list[dict[str, Any]], *, version: int = 1, unit: str = "", **export: Any) -> int:
        """Write an accepted export of ``rows`` (dicts of raw columns); a lower accepted version of a file is superseded."""
        export_id = ledger.export_id(source, dataset, unit, day, version)
        with self.conn.transaction():
            additive = source == "voso" and dataset not in {"stores", "accounts"}
            if source != "registers" and not additive:
                old = self.conn.execute(
                    "update ops.export set state = 'superseded' where source = %s and dataset = %s and business_day = %s and state = 'accepted'"
                    " returning export_id",
                    (source, dataset, day),
                ).fetchall()
                for (old_id,) in old:
                    self._note(old_id, source, dataset, day, "superseded")
            columns = {
                "mode": "delta",
                "received_at": datetime.now(UTC),
                "accepted_at": datetime.now(UTC),
                "is_backlog": False,
                "is_reconstructed": False,
                **export,
            }
            names = ", ".join(columns)
            self.conn.execute(
                f"insert into ops.export (export_id, source, dataset, unit, business_day, version, state, {names})"
                f" values (%s, %s, %s, %s, %s, %s, 'accepted', {', '.join(['%s'] * len(columns))})",
                [export_id, source, dataset, unit, day, version, *columns.values()],
            )
            for n, row in enumerate(rows, 1):
                keys = ["export_id", "source_row", *row]
                self.conn.execute(
                    f"insert into raw.{source}_{dataset} ({', '.join(keys)}) values ({', '.join(['%s'] * len(keys))})",
                    [export_id, n, *row.values()],
                )
            self._note(export_id, source, dataset, day, "accepted")
        return export_id

    def _note(self, export_id: int, source: str, dataset: str, day: date, kind: str) -> None:
        self.conn.execute(
            "insert into ops.change (export_id, source, dataset, business_day, kind) values (%s, %s, %s, %s, %s)",
            (export_id, source, dataset, day, kind),
        )

    # ---- rows -------------------------------------------------------------------------------------------------------------------

    def household(
        self, code: str, commune: dict[str, str], *, phone: str | None, citizen: str | None = None, name: str | None = None, as_of: date
    ) -> dict[str, Any]:
        return {
            "household_code": code, "head_name_key": name or f"name-{code}", "citizen_id_key": citizen, "phone_key": phone,
            "hamlet_raw": "Thôn Phố Cũ", "commune_code": commune["gso_code"], "as_of": as_of.isoformat(),
        }  # fmt: skip

    def hamlets(self, commune: dict[str, str], households: int, as_of: date) -> list[dict[str, Any]]:
        return [
            {"hamlet_raw": "Thôn Phố Cũ", "households": str(households), "commune_code": commune["gso_code"], "as_of": as_of.isoformat()},
            {"hamlet_raw": "Bản Mới", "households": "1.000", "commune_code": commune["gso_code"], "as_of": as_of.isoformat()},
        ]

    def postmart_store(
        self,
        n: int,
        commune: dict[str, str],
        *,
        phone: str | None,
        approved: date,
        status: str = "Hoạt động",
        active: datetime | None = None,
        owner: str = "Hộ gia đình",
    ) -> dict[str, Any]:
        return {
            "store_code": f"PMS{n:07d}", "owner_type": owner, "phone_key": phone, "commune_src_code": commune["vnpost_commune_code"],
            "commune_name": commune["gso_name"], "district_name": commune["district_name"], "hamlet_raw": "T. Phố Cũ",
            "owner_name_key": f"name-{n}", "store_name_is_test": "false", "owner_name_is_test": "false",
            "registered_at": dmy(approved), "approved_at": dmy(approved), "status_raw": status,
            "last_activity_at": dmyhms(active) if active else None,
        }  # fmt: skip

    def voso_store(
        self,
        n: int,
        commune: dict[str, str],
        *,
        phone: str | None,
        approved: date | None,
        status: str = "HOAT_DONG",
        deleted: bool = False,
        active: datetime | None = None,
    ) -> dict[str, Any]:
        return {
            "store_id": str(8800000000000000 + n), "owner_type": "HO_GIA_DINH", "phone_key": phone, "province_id": "22",
            "wards_id": commune["vtp_wards_id"], "status": status, "is_deleted": str(deleted).lower(), "store_name_is_test": "false",
            "owner_name_is_test": "false", "approved_at": ms(local(approved)) if approved else None, "last_active_at": ms(active),
        }  # fmt: skip

    def postmart_order(
        self,
        code: str,
        store: str,
        created: datetime,
        status: str,
        event: datetime,
        amounts: list[int],
        *,
        delivered: datetime | None = None,
        discount: int = 0,
        province: str | None = "Hà Nội",
    ) -> list[dict[str, Any]]:
        total = sum(amounts)
        return [
            {
                "order_code": code, "created_at": dmyhms(created), "status_raw": status, "event_at": dmyhms(event), "store_code": store,
                "buyer_province": province, "product_code": str(100 + i), "product_name": "Na", "quantity": "1", "unit_price_vnd": str(a),
                "line_amount_vnd": f"{a:,}".replace(",", "."), "goods_gross_vnd": str(total), "seller_discount_vnd": str(discount),
                "shipping_fee_vnd": "0", "order_total_vnd": str(total - discount), "delivered_at": dmyhms(delivered) if delivered else None,
            }
            for i, a in enumerate(amounts)
        ]  # fmt: skip

    def voso_order(
        self, n: int, store: str, created: datetime, updated: datetime, status: str, amount: int, *, province: int | None = 1, **at: datetime
    ) -> dict[str, Any]:
        line = {"LINE_NO": 1, "PRODUCT_ID": "5500000000000911", "NAME": "Thạch đen", "QUANTITY": 1, "PRICE": amount, "AMOUNT": amount, "WEIGHT": 500}
        return {
            "order_id": str(7100000000000000 + n), "order_number": f"VS210914{n:07d}", "store_id": store, "status": status,
            "created_at": ms(created), "updated_at": ms(updated), "receiver_province": None if province is None else str(province),
            "goods_amount": str(amount), "seller_discount": "0", "platform_discount": "0", "ship_fee": "0", "total_amount": str(amount),
            "currency": "VND", "lines": json.dumps([line]), **{k: ms(v) for k, v in at.items()},
        }  # fmt: skip
