"""What is made from the code is what the code says, and a page, row or word that drifts is seen."""

from __future__ import annotations

import re
import shutil
import unicodedata
from pathlib import Path

import pytest
from kinhteso import documenting
from kinhteso.kpis import KPIS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "kpi").glob("*.md"))


def test_nothing_has_drifted():
    assert documenting.drift() == []


@pytest.fixture()
def copy(tmp_path):
    for path in documenting.pages():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    assert documenting.drift(tmp_path) == []
    return tmp_path


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda root: _say(root / "docs/kpi/store_rate.md", "50 %", "55 %"), "docs/kpi/store_rate.md is not what the code says"),
        (lambda root: (root / "docs/kpi/stores.md").unlink(), "docs/kpi/stores.md is missing"),
        (lambda root: (root / "docs/kpi/moon.md").write_text("x"), "docs/kpi/moon.md describes nothing any more"),
        (lambda root: _say(root / "docs/kpi/README.md", "accounts", "konten"), "docs/kpi/README.md is not"),
        (lambda root: _say(root / "docs/datasets.md", "R4", "R6"), "docs/datasets.md is not"),
        (lambda root: _say(root / "dags/README.md", "02:30", "02:45"), "dags/README.md is not"),
    ],
)
def test_drift_is_seen(copy, spoil, says):
    spoil(copy)
    assert any(line.startswith(says) for line in documenting.drift(copy))
    documenting.write(copy)
    assert documenting.drift(copy) == [] or "dags/README.md" in says, "make docs mends it"


def _say(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_measure_without_words_and_words_without_a_measure_are_seen(monkeypatch):
    assert documenting.missing() == []
    assert documenting.missing({k: v for k, v in KPIS.items() if k != "stores"}) == [
        "kpi_commune_daily has stores, which plugins/kinhteso/kpis.py does not describe"
    ]
    assert documenting.missing({**KPIS, "moons": KPIS["stores"]}) == ["plugins/kinhteso/kpis.py describes moons, which kpi_commune_daily does not have"]
    monkeypatch.delitem(documenting.TARGETS, "team")
    assert "the seed target_default" in documenting.missing()[0]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_a_page_is_whole_in_two_languages(path):
    text = path.read_text(encoding="utf-8")
    assert unicodedata.is_normalized("NFC", text)
    assert not re.search(r"[\ufffd\u200b\u00ad]|\bNone\b(?!\.)|\{|\}", text), "nothing left unfilled"
    if path.name != "README.md":
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == list(documenting.HEADINGS)
        parts = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
        assert all(part.strip() for part in parts)
        assert re.search(r"[ăâđêôơưàáảãạèéẻẽẹìíỉĩịòóỏõọùúủũụ]", parts[0]), "Vietnamese with its marks"


def test_every_measure_and_target_is_reached_from_the_index_and_no_link_is_dead():
    index = (ROOT / "docs/kpi/README.md").read_text(encoding="utf-8")
    for name in [*KPIS, *(t.page for t in documenting.TARGETS.values())]:
        assert index.count(f"| [{name}]({name}.md) |") == 1, name
    for path in PAGES:
        for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
            assert (path.parent / link).is_file(), f"{path.name} links to {link}"


def test_a_schedule_in_words():
    assert documenting.when("30 2 * * *", "local") == "02:30"
    assert documenting.when("0 20 4 * 6", "UTC") == "Sunday 03:00; day 5"
    assert documenting.when("0 7-18 * * *", "local") == "hourly, 07–18"
    assert documenting.when("*/15 * * * *", "local") == "every 15 minutes"
    with pytest.raises(ValueError, match="no words for"):
        documenting.when("0 */2 * * *", "local")


def test_every_command_that_a_readme_names_is_one_of_the_makefile():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *(ROOT / "docs").rglob("*.md")]
    named = {(p.name, m) for p in pages for m in re.findall(r"`make ([a-z-]+)", p.read_text(encoding="utf-8"))}
    assert len(named) > 10
    assert {(page, name) for page, name in named if name not in targets | {"bi"}} == set()


def test_every_folder_that_the_root_readme_names_is_there():
    named = re.findall(r"^\| `(\w+)/` \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(named) > 6 and all((ROOT / name).is_dir() for name in named)
