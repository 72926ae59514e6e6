"""The headline of the campaign, read from `bi`: the five districts of phase 1, the communes that lag, and whether every figure came out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row
from rich.console import Console
from rich.table import Table

DAY = "2021-09-15"
#: KPI.md §5: the five phase-1 districts at the end of 2021-09-15, as the article of September 2021 reports them.
FIGURES = {
    "households": Decimal(97_068),
    "households_with_store": Decimal(48_706),
    "households_with_payment": Decimal(24_808),
    "products_on_sale": Decimal(4_300),
    "orders_valid_to_date": Decimal(6_995),
    "lead_households": Decimal(2_409),
    "team_members_trained": Decimal(3_119),
    "hamlets_with_team": Decimal(998),
    "store_base": Decimal(1_015),
    "payment_base": Decimal(302),
    "store growth, times": Decimal(48),
    "payment growth, times": Decimal(82),
    "revenue growth, times": Decimal(145),
    "store target met": Decimal(1),
    "payment target behind": Decimal(1),
    "lead target behind": Decimal(1),
}
_SUMS = (
    "households", "households_with_store", "households_with_payment", "products_on_sale", "orders_valid_to_date", "lead_households",
    "team_members_trained", "hamlets_with_team", "store_base", "payment_base", "revenue_base_vnd", "revenue_net_vnd_to_date",
)  # fmt: skip


def figures(conn: psycopg.Connection[Any]) -> dict[str, Decimal | None]:
    """The figures of FIGURES as `bi` has them."""
    sums = ", ".join(f"sum({name}) as {name}" for name in _SUMS)
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(f"select {sums} from bi.kpi_commune_daily where geography = '2021' and date = %s and phase = 1", [DAY]).fetchone()  # type: ignore[arg-type]
        assert row is not None

        def times(value: str, base: str) -> Decimal | None:
            return Decimal(row[value] / row[base]).quantize(Decimal(1)) if row[value] and row[base] else None

        found: dict[str, Decimal | None] = {n: row[n] for n in _SUMS if n in FIGURES}
        found["store growth, times"] = times("households_with_store", "store_base")
        found["payment growth, times"] = times("households_with_payment", "payment_base")
        found["revenue growth, times"] = times("revenue_net_vnd_to_date", "revenue_base_vnd")
        rate = {
            n: (row[n] or 0) / row["households"] if row["households"] else None for n in ("households_with_store", "households_with_payment", "lead_households")
        }
        districts = cursor.execute(
            "select indicator, array_agg(distinct status) as statuses from bi.target_progress_daily where level = 'district' and date = %s"
            " and unit_code in (select district_code from bi.kpi_commune_daily where phase = 1 and date = %s) group by indicator",
            [DAY, DAY],
        ).fetchall()
    statuses = {d["indicator"]: set(d["statuses"]) for d in districts}
    found["store target met"] = Decimal(int(rate["households_with_store"] is not None and rate["households_with_store"] >= Decimal("0.5")))
    found["payment target behind"] = Decimal(int("behind" in statuses.get("payment", ()) and (rate["households_with_payment"] or 1) < Decimal("0.5")))
    found["lead target behind"] = Decimal(int("behind" in statuses.get("lead", ()) and (rate["lead_households"] or 1) < Decimal("0.1")))
    return found


def misses(found: dict[str, Decimal | None]) -> list[str]:
    """A line per figure that is not what KPI.md §5 says."""
    return [f"{name}: expected {want:,}, bi says {found.get(name)}" for name, want in FIGURES.items() if found.get(name) != want]


def show(conn: psycopg.Connection[Any], console: Console) -> None:
    """Print the district table and, per target, the ten communes that lag most."""
    head = Table(title=f"Giai đoạn 1, hết ngày 15/09/2021 · Phase 1 at the end of {DAY}", title_justify="left")
    columns = (
        ("Huyện", "district_name"), ("Hộ", "households"), ("Hộ có cửa hàng số", "households_with_store"), ("%", "store_rate"),
        ("Hộ có TK thanh toán", "households_with_payment"), ("%", "payment_rate"), ("Hộ đầu tàu", "lead_households"),
        ("Thôn có tổ CNCĐ", "hamlets_with_team"), ("Sản phẩm", "products_on_sale"), ("Đơn hợp lệ", "orders_valid_to_date"),
        ("Doanh thu thuần (đồng)", "revenue_net_vnd_to_date"),
    )  # fmt: skip
    for title, name in columns:
        head.add_column(title, justify="left" if name == "district_name" else "right")
    measures = ", ".join(f"sum({n}) as {n}" for _, n in columns if n not in ("district_name", "store_rate", "payment_rate"))
    query = f"""select coalesce(district_name, 'Cả 5 huyện') as district_name, {measures},
                  sum(households_with_store)::numeric / nullif(sum(households), 0) as store_rate,
                  sum(households_with_payment)::numeric / nullif(sum(households), 0) as payment_rate
                from bi.kpi_commune_daily where geography = '2021' and date = %s and phase = 1
                group by rollup (district_name) order by grouping(district_name), district_name"""
    with conn.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(query, [DAY]):  # type: ignore[arg-type]
            head.add_row(*(_shown(row[n], n) for _, n in columns), end_section=False, style="bold" if row["district_name"] == "Cả 5 huyện" else None)
        console.print(head)
        labels = {"store": "Cửa hàng số", "payment": "TK thanh toán", "lead": "Hộ đầu tàu", "team": "Tổ CNCĐ"}
        lag = Table(title="Mười xã chậm nhất theo từng chỉ tiêu · The ten communes that lag most", title_justify="left")
        for label in labels.values():
            lag.add_column(label)
        lists = []
        for indicator in labels:
            rows = cursor.execute(
                "select c.commune_name, c.district_name, t.attainment from bi.target_progress_daily as t"
                " join bi.kpi_commune_daily as c on c.commune_code = t.unit_code and c.date = t.date and c.geography = '2021'"
                " where t.level = 'commune' and t.indicator = %s and t.date = %s and c.phase = 1 and t.attainment is not null"
                " order by t.attainment, t.unit_code limit 10",
                [indicator, DAY],
            ).fetchall()
            lists.append([f"{r['commune_name']}, {r['district_name'].removeprefix('Huyện ')} {r['attainment']:.0%}" for r in rows])
        for n in range(max(map(len, lists), default=0)):
            lag.add_row(*(one[n] if n < len(one) else "" for one in lists))
        console.print(lag)


def _shown(value: Any, name: str) -> str:
    if value is None:
        return "–"
    if name.endswith("_rate"):
        return f"{value:.1%}".replace(".", ",")
    return f"{value:,.0f}".replace(",", ".") if isinstance(value, int | Decimal) else str(value)
