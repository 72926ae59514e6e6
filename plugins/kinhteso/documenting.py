"""Pages and tables that are made from the code, so that they cannot drift from it (STYLE 10): ``make docs`` writes them, ``make lint`` compares.

- docs/kpi: a page per measure and per target, from the registry `kpis`, the dbt contracts and the contracts of the datasets;
- docs/datasets.md: the datasets, from expectations/;
- the table of DAGs in dags/README.md, from the DAG files (read, not imported).

Each part is a function from what is in the repository to text; `pages` gives all of them by path. Vietnamese first, then English.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from kinhteso import contracts, kpis
from kinhteso.kpis import KPIS, Kpi, Words
from kinhteso.progress import INDICATORS as TARGETS
from kinhteso.progress import Target

ROOT = Path(__file__).resolve().parents[2]
MADE = "<!-- Made by `make docs` from plugins/kinhteso/kpis.py and the contracts; do not edit here. -->"

#: Sections of the index: heading, and the pattern of the keys that stand under it; the first that fits.
SECTIONS: tuple[tuple[Words, str], ...] = (
    (Words("Cửa hàng số", "Digital stores"), r"(households|households_with_(store|active).*|store_rate|stores.*|match_rate)"),
    (Words("Thanh toán điện tử", "E-payment"), r"(households_with_payment|payment_rate|accounts.*)"),
    (Words("Hộ đầu tàu", "Lead households"), r"lead_.*"),
    (Words("Tổ công nghệ cộng đồng", "Community digital teams"), r"(hamlets.*|team_.*)"),
    (Words("Sản phẩm và đơn hàng", "Products and orders"), r"(products_.*|orders_.*)"),
    (Words("Doanh thu", "Revenue"), r"(revenue_(gross|net)_.*|refunds_.*)"),
    (Words("Tăng trưởng so với trước chiến dịch", "Growth over the time before the campaign"), r".*_(growth|base|base_vnd)"),
    (Words("Đọc một dòng", "Reading a row"), r".*"),
)

HEADINGS = (
    "Định nghĩa · Definition", "Công thức · Formula", "Mức chi tiết · Grain", "Nguồn · Sources", "Quy tắc · Rule", "Kỳ · Period",
    "Bảo vệ dữ liệu · Data protection", "Giới hạn đã biết · Known limits", "Câu hỏi gửi Sở · Open questions to the Department", "Xem thêm · See also",
)  # fmt: skip

ABOVE = Words(
    "Huyện và tỉnh: cùng cột trong kpi_district_daily, kpi_province_daily, cộng từ các xã (tỉnh có cả dòng 00000); "
    "tỷ lệ và số lần tính lại từ tổng, không lấy trung bình.",
    "Districts and the province: the same column in kpi_district_daily and kpi_province_daily, summed over the communes (the province with row 00000); "
    "rates and multiples are computed anew from the sums, never averaged.",
)

HAMLETS = Words(
    "Thôn: cùng cột trong kpi_hamlet_daily, trên danh mục xã của biểu.",
    "Hamlets: the same column in kpi_hamlet_daily, on the list of communes of the registers.",
)
SUPPRESSED = Words(
    "Ở cấp thôn, số từ 1 đến 4 hộ để trống (suppressed = true), cùng với những số có thể làm lộ ra nó.",
    "Per hamlet, counts of 1 to 4 households are null (suppressed = true), and so is what would give them away.",
)


@cache
def _models() -> dict[str, dict[str, Any]]:
    text = (ROOT / "dbt_project/models/kpi/_kpi__models.yml").read_text(encoding="utf-8")
    return {m["name"]: m for m in yaml.safe_load(text)["models"]}


def model(name: str) -> dict[str, Any]:
    """The contract of a kpi model as its YAML says. Raises KeyError for one that is not there."""
    return _models()[name]


def blocks() -> dict[str, str]:
    """The docs blocks: column name to its text in both languages."""
    text = (ROOT / "dbt_project/models/core/_columns.md").read_text(encoding="utf-8")
    return dict(re.findall(r"{% docs (\w+) %}(.*?){% enddocs %}", text, re.DOTALL))


def default_rates() -> dict[str, str]:
    """Seed target_default: indicator to rate."""
    lines = (ROOT / "dbt_project/seeds/target_default.csv").read_text(encoding="utf-8").splitlines()[1:]
    return {line.split(",")[0]: line.split(",")[1] for line in lines}


def missing(measured: Mapping[str, Kpi] = KPIS) -> list[str]:
    """Where registry and contracts disagree: a line per measure without page, page without measure, indicator unknown."""
    given = {c["name"] for c in model("kpi_commune_daily")["columns"]} - {
        "geography", "commune_code", "commune_name", "district_code", "district_name", "date",
    } | {"release_id", "published_at"}  # fmt: skip
    found = [f"kpi_commune_daily has {name}, which plugins/kinhteso/kpis.py does not describe" for name in sorted(given - set(measured))]
    found += [f"plugins/kinhteso/kpis.py describes {name}, which kpi_commune_daily does not have" for name in sorted(set(measured) - given)]
    if set(TARGETS) != set(default_rates()):
        found.append(f"progress.INDICATORS has {sorted(TARGETS)}, the seed target_default {sorted(default_rates())}")
    return found


# ---- docs/kpi ------------------------------------------------------------------------------------------------------------------


def _both(words: Words) -> str:
    return words.vi if words.vi == words.en else f"{words.vi}\n\n{words.en}"


def _list(many: tuple[Words, ...], none: Words) -> str:
    return "\n".join(f"- {w.vi}<br>{w.en}" for w in many) if many else _both(none)


def _sources(names: tuple[str, ...]) -> str:
    if not names:
        return _both(Words("Các bảng mã của dự án và bản phát hành; không tệp nào của nguồn.", "The project's own seeds and the release; no file of a source."))
    found = [contracts.load_contract(*name.split("/")) for name in names]
    return "\n".join(f"- {c.code} {c.title} (`{c.source}/{c.dataset}`)" for c in found)


def _page(title: Words, under: str, texts: tuple[str, ...]) -> str:
    body = "\n\n".join(f"## {heading}\n\n{text}" for heading, text in zip(HEADINGS, texts, strict=True))
    return f"{MADE}\n\n# {title.vi} · {title.en}\n\n{under}\n\n{body}\n"


def kpi_page(kpi: Kpi, type_: str) -> str:
    """The page of a measure."""
    unit, kind, period = kpis.UNITS[kpi.unit], kpis.KINDS[kpi.kind], kpis.PERIODS[kpi.period]
    row = Words("Dòng 00000 (chưa xác định xã) có chỉ tiêu này.", "The row 00000 (commune unknown) has it.") if kpi.in_00000 else Words(
        "Dòng 00000 (chưa xác định xã) để trống.", "Null in the row 00000 (commune unknown).")  # fmt: skip
    links = [f"[{key}]({key}.md)" for _, key in kpi.parts if key in KPIS]
    links += [f"[{k.key}]({k.key}.md)" for k in KPIS.values() if kpi.key in {key for _, key in k.parts}]
    links += [f"[{t.page}]({t.page}.md)" for t in TARGETS.values() if kpi.key in (t.value, t.denominator, t.rate)]
    of_hamlets = kpi.key in {c["name"] for c in model("kpi_hamlet_daily")["columns"]} and kpi.kind != "attribute"
    cell = f"`make explain COMMUNE=06505 DATE=2021-09-15 KPI={kpi.key}`"
    texts = (
        _both(kpi.definition),
        _both(kpi.formula),
        "\n\n".join(map(_both, (kpis.GRAIN, row, ABOVE, *([HAMLETS] if of_hamlets else [])))),
        _sources(kpi.sources),
        ", ".join(kpi.rule),
        _both(period),
        "\n\n".join(map(_both, (kpi.protection, *([SUPPRESSED] if of_hamlets else [])))),
        _list(kpi.limits, Words("Không có.", "None.")),
        _list(kpi.questions, Words("Không có.", "None.")),
        f"{', '.join(dict.fromkeys(links)) or '[index](README.md)'}\n\nMột ô ra tận tệp và dòng nguồn · A cell down to files and rows: {cell}",
    )
    return _page(kpi.name, f"`bi.kpi_commune_daily.{kpi.key}` · `{type_}` · {unit.vi}, {kind.vi} · {unit.en}, {kind.en}", texts)


def target_page(target: Target) -> str:
    """The page of an indicator of target_progress_daily."""
    value, denominator, rate = KPIS[target.value], KPIS[target.denominator], KPIS[target.rate]
    share = f"{float(default_rates()[target.indicator]):.0%}".replace("%", " %")
    told = blocks()
    columns = "\n".join(f"| `{c['name']}` | `{c['data_type']}` | {told[c['name']]} |" for c in model("target_progress_daily")["columns"])
    texts = (
        _both(Words(
            f"Mức thực hiện chỉ tiêu «{value.name.vi}» so với số được giao. "
            f"Không có quyết định nào trên hồ sơ thì lấy mức chung: {share} của «{denominator.name.vi}».",
            f"How far «{value.name.en}» is against what was decided. Where no decision is on file the default holds: {share} of «{denominator.name.en}».")),
        _both(Words(
            f"target_value = số được giao, nếu chỉ giao tỷ lệ thì ⌈tỷ lệ × {target.denominator}⌉; gap = max(0, target_value − value); "
            "attainment = value ÷ target_value; "
            "expected_by_now: đường thẳng từ giá trị ngày trước khi bắt đầu đến target_value ở hạn cuối; projected_date: đường thẳng qua 14 ngày gần nhất.",
            f"target_value = the count decided, else ⌈rate × {target.denominator}⌉; gap = max(0, target_value − value); attainment = value ÷ target_value; "
            "expected_by_now: straight line from the value of the day before kick-off to target_value on the due date; "
            "projected_date: the line through the last 14 days."))
        + f"\n\n| Cột · Column | Kiểu · Type | |\n|---|---|---|\n{columns}",
        _both(Words("một đơn vị (level: xã, thôn, hợp tác xã, huyện, tỉnh; unit_code) × chỉ tiêu × một ngày, trên danh mục xã của biểu giao chỉ tiêu (2021).",
                    "a unit (level: commune, hamlet, cooperative, district, province; unit_code) × indicator × a day, "
                    "on the list of communes of the registers (2021).")),
        _sources(target.sources),
        ", ".join(dict.fromkeys(("KPI §2", "RULINGS 12", *value.rule))),
        _both(Words("Từ ngày bắt đầu giai đoạn của đơn vị đến hạn hoàn thành; trước đó not_started, sau hạn mà chưa đạt thì overdue.",
                    "From the unit's kick-off to the due date; before it not_started, after it and not met overdue.")),
        _both(value.protection),
        _list((
            Words("Huyện và tỉnh được so với mức chung trên tổng của mình (Biểu 03 không giao cho cấp này); xã, thôn, hợp tác xã "
                  "so với quyết định của chính mình "
                  "đang có hiệu lực. Thôn không có quyết định thì theo tỷ lệ và hạn của xã.",
                  "Districts and the province are measured against the default over their sums (R3 decides nothing for them); "
                  "communes, hamlets and cooperatives "
                  "against their own decision in force. A hamlet without one has its commune's rate and due date."),
            Words("Hợp tác xã: chỉ có chỉ tiêu, không có giá trị, vì không dữ liệu nào nối hợp tác xã với hộ (no_data).",
                  "Cooperatives have their target told and no value: nothing that is delivered links them to households (no_data)."),
            Words("Thôn: số bị ẩn ở kpi_hamlet_daily thì ở đây cũng không có giá trị, khoảng thiếu, dự báo hay thứ hạng.",
                  "Hamlets: of a count that kpi_hamlet_daily hides there is no value, gap, projection or rank here."),
            Words("Đơn vị chưa có số hộ hoặc số thôn: chỉ tiêu, khoảng thiếu, dự báo để trống và tình trạng là no_data.",
                  "Without households or hamlets on file target, gap and projection are null and the status is no_data."),
            *value.limits), Words("Không có.", "None.")),
        _list((*value.questions, Words(
            "Biểu 03 chưa có mẫu chính thức: quyết định giao chỉ tiêu theo tỷ lệ tính trên số hộ của ngày nào? Kho đang lấy Biểu 01 có hiệu lực của ngày xét.",
            "There is no public template of form 03: over the households of which day does a target by rate hold? "
            "The warehouse takes the R1 in force on the day (EXPORTS §12).")),
            Words("Không có.", "None.")),
        ", ".join(f"[{k.key}]({k.key}.md)" for k in (value, denominator, rate))
        + f"\n\nMột dòng với cách tính từng cột · A row, column by column: `make explain COMMUNE=06505 DATE=2021-09-15 TARGET={target.indicator}`",
    )  # fmt: skip
    title = Words(f"Chỉ tiêu: {value.name.vi}", f"Target: {value.name.en}")
    return _page(title, f"`bi.target_progress_daily`, `indicator = '{target.indicator}'`", texts)


def index() -> str:
    """docs/kpi/README.md: every measure and target, each with its page."""
    parts = [
        MADE,
        "# Các chỉ tiêu · The KPIs",
        "Mỗi cột của `bi.kpi_commune_daily` (và cùng tên ở huyện, tỉnh) một trang; bốn chỉ tiêu của `bi.target_progress_daily` mỗi chỉ tiêu một trang.",
        "A page for each column of `bi.kpi_commune_daily` (of the same name for districts and the province), and for each of the four targets of "
        "`bi.target_progress_daily`.",
        "«Quy tắc» ghi số mục của đặc tả: KPI, RULINGS, EXPORTS. · Rules are named by their section in the specification.",
    ]
    of: dict[str, Words] = {key: next(heading for heading, pattern in SECTIONS if re.fullmatch(pattern, key)) for key in KPIS}
    for heading, _ in SECTIONS:
        rows = [
            f"| [{k.key}]({k.key}.md) | {k.name.vi} · {k.name.en} | {kpis.UNITS[k.unit].vi} · {kpis.UNITS[k.unit].en} |"
            for k in KPIS.values()
            if of[k.key] is heading
        ]
        parts.append(f"## {heading.vi} · {heading.en}\n\n| Chỉ tiêu · KPI | | Đơn vị · Unit |\n|---|---|---|\n" + "\n".join(rows))
    rows = [f"| [{t.page}]({t.page}.md) | {KPIS[t.value].name.vi} · {KPIS[t.value].name.en} |" for t in TARGETS.values()]
    parts.append("## Chỉ tiêu được giao · Targets\n\n| | |\n|---|---|\n" + "\n".join(rows))
    asked: dict[Words, list[str]] = {}
    for kpi in KPIS.values():
        for question in kpi.questions:
            asked.setdefault(question, []).append(f"[{kpi.key}]({kpi.key}.md)")
    lines = [f"- {q.vi}<br>{q.en}<br>{', '.join(keys)}" for q, keys in asked.items()]
    parts.append("## Câu hỏi gửi Sở · Open questions to the Department\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def kpi_pages() -> Iterator[tuple[Path, str]]:
    """All pages of docs/kpi."""
    types = {c["name"]: c["data_type"] for c in model("kpi_commune_daily")["columns"]} | {"release_id": "bigint", "published_at": "timestamptz"}
    folder = Path("docs/kpi")
    yield folder / "README.md", index()
    for kpi in KPIS.values():
        yield folder / f"{kpi.key}.md", kpi_page(kpi, types[kpi.key])
    for target in TARGETS.values():
        yield folder / f"{target.page}.md", target_page(target)


# ---- datasets and DAGs ---------------------------------------------------------------------------------------------------------


def datasets() -> str:
    """docs/datasets.md: what is delivered, from expectations/."""
    modes = {"snapshot": "ảnh chụp · snapshot", "delta": "thay đổi trong ngày · the day's changes", "window": "cửa sổ · window", "form": "biểu · form"}
    rows = [
        f"| {c.code} | {c.title} | `{c.source}/{c.dataset}` | {modes[c.mode]} | {', '.join(f'`{k}`' for k in c.key) or '–'} | "
        f"{sum(col.keep for col in c.columns)} | {', '.join(f'`{col.name}`' for col in c.columns if col.personal) or '–'} | {c.owner} |"
        for c in sorted(contracts.all_contracts(), key=lambda c: (("postmart", "voso", "registers").index(c.source), c.code))
    ]
    return "\n".join([
        MADE.replace("plugins/kinhteso/kpis.py and the contracts", "expectations/"), "",
        "# Các bộ dữ liệu · Datasets", "",
        "Từ `expectations/<nguồn>/<bộ dữ liệu>.yml`, nơi duy nhất ghi cột, khóa và quy tắc. Cột cá nhân chỉ vào kho dưới dạng khóa HMAC.", "",
        "From `expectations/<source>/<dataset>.yml`, the single source of columns, key and rules. Personal columns reach a table as HMAC keys only.", "",
        "| | Bộ dữ liệu · Dataset | Ở đâu · Where | Cách giao · How | Khóa · Key | Cột giữ lại · Columns kept | Cá nhân · Personal | Phụ trách · Owner |",
        "|---|---|---|---|---|---|---|---|", *rows, "",
    ])  # fmt: skip


def when(cron: str, zone: str) -> str:
    """A cron expression in words, local time (UTC+7). Raises ValueError for a form that has no words here."""
    minute, hour, day, _, weekday = cron.split()
    if minute.startswith("*/"):
        return f"every {minute[2:]} minutes"
    if "-" in hour:
        first, last = hour.split("-")
        return f"hourly, {int(first):02d}–{int(last):02d}"
    if not (minute.isdigit() and hour.isdigit()):
        raise ValueError(f"no words for the schedule {cron!r}: documenting.when")
    total = int(hour) + (7 if zone == "UTC" else 0)
    at, later = f"{total % 24:02d}:{int(minute):02d}", total // 24
    names = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
    days = [] if weekday == "*" else [f"{names[(int(weekday) + later) % 7]} {at}"]
    days += [] if day == "*" else [f"day {int(day) + later}" + ("" if days else f" {at}")]
    return "; ".join(days) or at


def dags() -> str:
    """The table of DAGs: id, schedule and first sentence of each file in dags/."""
    rows = []
    for path in sorted((ROOT / "dags").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        told = (ast.get_docstring(tree) or "").splitlines()[0].rstrip(".")
        cron = re.search(r'CronPartitionTimetable\("([^"]+)", timezone=(?:"(\w+)"|dagkit\.TIMEZONE)', text)
        at = when(cron[1], cron[2] or "local") if cron else "by hand" if "schedule=None" in text else "when something new counts"
        for dag_id in re.findall(r'dag_id="(\w+)"', text):
            rows.append(f"| `{dag_id}` | {at} | {told} |")
    return "\n".join(["| DAG | When (local) | What |", "|---|---|---|", *rows])


def _between(path: Path, mark: str, table: str) -> str:
    """The file with what stands between <!-- mark --> and <!-- /mark --> replaced."""
    text = (ROOT / path).read_text(encoding="utf-8")

    def filled(match: re.Match[str]) -> str:
        return f"{match[1]}{table}{match[2]}"

    made, count = re.subn(rf"(<!-- {mark}[^>]*-->\n).*?(\n<!-- /{mark} -->)", filled, text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{path}: the marks <!-- {mark} --> … <!-- /{mark} --> stand {count} times")
    return made


# ---- all of it -----------------------------------------------------------------------------------------------------------------


def pages() -> dict[Path, str]:
    """Everything that is made, by path within the repository."""
    return {
        **dict(kpi_pages()),
        Path("docs/datasets.md"): datasets(),
        Path("dags/README.md"): _between(Path("dags/README.md"), "dags", dags()),
    }


def drift(root: Path = ROOT) -> list[str]:
    """Files that are not what the code says: changed, missing, or left over in docs/kpi."""
    wanted = pages()
    found = missing()
    for path, text in wanted.items():
        there = (root / path).read_text(encoding="utf-8") if (root / path).is_file() else None
        if there != text:
            found.append(f"{path} is {'not what the code says' if there is not None else 'missing'}: run make docs")
    kept = {p.name for p in wanted if p.parent == Path("docs/kpi")}
    found += [f"docs/kpi/{p.name} describes nothing any more: run make docs" for p in sorted((root / "docs/kpi").glob("*.md")) if p.name not in kept]
    return found


def write(root: Path = ROOT) -> int:
    """Write what differs and remove what is left over in docs/kpi; returns the number of files changed."""
    wanted, changed = pages(), 0
    (root / "docs/kpi").mkdir(parents=True, exist_ok=True)
    for path, text in wanted.items():
        if not (root / path).is_file() or (root / path).read_text(encoding="utf-8") != text:
            (root / path).write_text(text, encoding="utf-8")
            changed += 1
    for path in (root / "docs/kpi").glob("*.md"):
        if Path("docs/kpi") / path.name not in wanted:
            path.unlink()
            changed += 1
    return changed


def main(arguments: list[str] | None = None) -> int:
    """``--check``: only compare; 1 when something differs."""
    parser = argparse.ArgumentParser(prog="python -m kinhteso.documenting", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    if parser.parse_args(arguments).check:
        found = drift()
        print("\n".join(found) or f"{len(pages())} files are what the code says.")
        return 1 if found else 0
    if found := missing():
        print("\n".join(found))
        return 1
    print(f"{write()} of {len(pages())} files changed.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
