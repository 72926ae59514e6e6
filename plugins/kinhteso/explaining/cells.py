"""What is asked and what is answered: a cell, its explanation as a tree of figures, the entities behind each with their rows, what does not agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import psycopg

from kinhteso.kpis import GRAIN, Kpi, Words

if TYPE_CHECKING:
    from kinhteso.explaining.beside import Beside
    from kinhteso.explaining.places import Portion

BEGINNING = date(1, 1, 1)
Cursor = psycopg.Cursor[dict[str, Any]]

#: Level -> table of `kpi` and `bi`, and its column with the unit's code.
LEVELS = {
    "commune": ("kpi_commune_daily", "commune_code"),
    "district": ("kpi_district_daily", "district_code"),
    "province": ("kpi_province_daily", "province_code"),
    "hamlet": ("kpi_hamlet_daily", "hamlet_code"),
}
#: Levels of target_progress_daily.
TARGET_LEVELS = ("province", "district", "commune", "hamlet", "cooperative")

#: Tables of `bi` whose cells are asked for by level and measure, or by target; and how.
EXPLAINED = {
    **{table: f"LEVEL={level} KPI=…" for level, (table, _) in LEVELS.items()},
    "target_progress_daily": "LEVEL=… TARGET=store",
    "kpi_commune_daily_as_published": "RELEASE=n KPI=…",
}
#: The other tables of `bi`, and why no cell of theirs is explained.
NOT_EXPLAINED = {
    "kpi_restatement": Words("mỗi dòng tự nói vì sao; hiện cạnh ô của nó", "each row says why by itself; it is shown beside its cell"),
    "release": Words("mỗi dòng là một lần phát hành", "a row is a release"),
    "data_status_daily": Words("đếm dòng của từng lần giao, không phải KPI: xem bảng theo dõi", "counts rows of deliveries, no KPI: see the board"),
    **dict.fromkeys(
        ("dim_date", "dim_commune", "bridge_commune_succession", "dim_platform", "dim_wallet", "dim_order_status", "dim_location"),
        Words("danh mục, không phải KPI", "a list of names, no KPI"),
    ),
    "dim_hamlet": Words("số hộ của thôn: hỏi LEVEL=hamlet KPI=households", "its households are asked for with LEVEL=hamlet KPI=households"),
    **dict.fromkeys(
        ("dim_household", "dim_store", "dim_product", "fct_order_line", "fct_refund"),
        Words("là thực thể; export_id nói từ lần giao nào", "entities themselves; export_id says from which delivery"),
    ),
}


class NoSuchCell(ValueError):
    """There is no such cell; the message says what there is, Vietnamese first."""

    def __init__(self, vi: str, en: str) -> None:
        super().__init__(f"{vi} · {en}")


def what_is_explained(asked: str = "") -> tuple[str, str]:
    """Which tables of `bi` are explained, and of one that is asked for why not: to be put behind a refusal, in both languages."""
    there = "; ".join(f"bi.{table}: {how}" for table, how in EXPLAINED.items())
    why = NOT_EXPLAINED.get(asked.removeprefix("bi."))
    not_there = ", ".join(NOT_EXPLAINED)
    return (
        f"{f' bi.{asked} {why.vi}.' if why else ''} Giải thích được: {there}. Không: {not_there}",
        f"{f' bi.{asked}: {why.en}.' if why else ''} Explained are {there}; not: {not_there} (docs/README.md).",
    )


@dataclass(frozen=True)
class Cell:
    """A figure of `bi`. ``commune`` is the unit's code: of a commune, district or province, or commune-hamlet as in target_progress_daily.

    With ``target`` (an indicator) it is one of target_progress_daily: ``kpi`` is its column, or empty for the whole row.
    """

    commune: str
    day: date
    kpi: str
    geography: str = "2021"
    level: str = "commune"
    target: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a delivery: ``file`` as the source named it, ``landing_path`` as it lies in the landing, ``file_row`` the row in it."""

    role: str
    note: str | None
    export_id: int
    source_row: int
    code: str | None = field(repr=False)
    source: str | None
    dataset: str | None
    unit: str | None
    business_day: date | None
    version: int | None
    state: str | None
    file: str | None
    landing_path: str | None
    file_row: int | None


@dataclass(frozen=True)
class Entity:
    """One of what is counted. ``amount``: what it adds to the figure."""

    place: str
    key: str = field(repr=False)
    shown: str
    amount: int | None
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Ranked:
    """A unit among those that a rank was given in: ``attainment`` = ``value`` ÷ ``target``."""

    rank: int
    unit: str
    name: str
    value: int
    target: int
    attainment: Decimal


@dataclass
class Explanation:
    """A figure and where it comes from. ``value`` is what is explained, ``found`` what was counted or computed for it; equal unless there are problems.
    ``portions``: what the unit gets of each place; of a shared place all entities are listed, and less than all of them counts here. ``hidden``: why
    `bi` does not show it. ``ranked``: the units beside which it was ranked."""

    cell: Cell
    kpi: Kpi
    value: Any
    found: Any = None
    since: date | None = None
    until: date | None = None
    notes: list[Words] = field(default_factory=list)
    parts: list[tuple[str, Explanation]] = field(default_factory=list)
    portions: list[Portion] = field(default_factory=list)
    entities: list[Entity] = field(default_factory=list)
    problems: list[Words] = field(default_factory=list)
    hidden: Words | None = None
    ranked: list[Ranked] = field(default_factory=list)

    def all_problems(self) -> list[Words]:
        """Its own and those of its parts, each once."""
        return list(dict.fromkeys([*self.problems, *(problem for _, part in self.parts for problem in part.all_problems())]))


@dataclass
class Answer:
    """The whole answer for a cell. ``published``: the value BI sees (of the release asked for, or now); ``row``: the row it stands in."""

    explanation: Explanation
    commune_name: str
    published: Any
    release: dict[str, Any] | None
    row: dict[str, Any]
    beside: Beside
    restatements: list[dict[str, Any]]
    asked_release: int | None = None
    grain: Words = GRAIN

    @property
    def problems(self) -> list[Words]:
        """Everything that does not agree."""
        return self.explanation.all_problems()


def one(cursor: Cursor, query: str, *parameters: Any) -> dict[str, Any] | None:
    """The first row of a query."""
    return cursor.execute(query, parameters).fetchone()  # type: ignore[arg-type]


def entity(rows: Sequence[dict[str, Any]]) -> Entity:
    """An entity from its rows as `entities.query` gives them."""
    names = Row.__dataclass_fields__
    first = rows[0]
    return Entity(first["place"], first["entity"], first["shown"], first["amount"], tuple(Row(**{n: r[n] for n in names}) for r in rows))


def quotient(numerator: Any, denominator: Any, digits: int) -> Decimal | None:
    """Half up to ``digits``; None over nothing or 0 (KPI §1.8, RULINGS 15)."""
    if numerator is None or not denominator:
        return None
    return (Decimal(int(numerator)) / Decimal(int(denominator))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def differs(told: Explanation, is_listed: bool) -> Words:
    """That ``found`` is not ``value``."""
    what = ("liệt kê", "listed") if is_listed else ("tính lại", "computed")
    return Words(
        f"{told.kpi.key}: ô ghi {told.value}, {what[0]} được {told.found}. Không khớp.",
        f"{told.kpi.key}: the cell says {told.value}, {what[1]} were {told.found}. They do not agree.",
    )


def tell_between(told: Explanation, build: dict[str, Any], shown: Any, built: Any) -> None:
    """What BI shows is not what was built: a build is between, or something is wrong."""
    state, number = build.get("state"), build.get("build_id")
    if state == "published":
        told.problems.append(
            Words(
                f"{told.kpi.key}: bi ghi {shown}, bản dựng đã phát hành ghi {built}.",
                f"{told.kpi.key}: bi says {shown}, what was built and released says {built}.",
            )
        )
    else:
        told.notes.append(
            Words(
                f"Bản dựng {number} ({state}) chưa phát hành: dưới đây giải thích giá trị đã dựng {built}; bi còn ghi {shown}.",
                f"Build {number} ({state}) is not released: what follows explains the built value {built}; bi still says {shown}.",
            )
        )


def tell_running(told: Explanation, build: dict[str, Any]) -> None:
    """A build that is running may be why something does not agree."""
    if told.all_problems() and build.get("state") == "running":
        told.notes.append(Words("Một bản dựng đang chạy: hãy hỏi lại sau khi phát hành.", "A build is running: ask again after its release."))


def last_build(cursor: Cursor) -> dict[str, Any]:
    """The newest build; empty where there is none."""
    return one(cursor, "select build_id, state, business_date, first_day from ops.build order by build_id desc limit 1") or {}
