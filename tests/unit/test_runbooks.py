"""Runbooks keep one form, name only what exists, and every one that a message names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from runbooks import FOLDER, PAGES

ROOT = Path(__file__).resolve().parents[2]
HEADINGS = ["Khi nào · When", "Đọc gì · What to check", "Làm gì · What to do", "Xong khi nào · How to see it is over", "Gọi ai · Who to call"]
WANTED = {"export-late", "export-rejected", "quarantine-growing", "commune-code-unknown", "login-refused", "reissue-by-hand", "backfill-a-month", "disk-full",
          "restore", "build-failed", "dag-does-not-parse", "reconciliation-differs"}  # fmt: skip
PAGE_LINES = 40


def problems_of(text: str, targets: set[str], pages: set[str]) -> list[str]:
    """What of a runbook breaks the form."""
    lines, found = text.splitlines(), []
    if [line[3:] for line in lines if line.startswith("## ")] != HEADINGS:
        found.append(f"headings are not {HEADINGS}")
    if not re.match(r"# .+ · .+", lines[0]):
        found.append("the title is not 'Vietnamese · English'")
    if len(lines) > PAGE_LINES:
        found.append(f"longer than a page of {PAGE_LINES} lines")
    found += [f"there is no make {c}" for c in sorted(set(re.findall(r"`make ([a-z-]+)", text)) - targets)]
    found += [f"there is no page {p}" for p in sorted(set(re.findall(r"\]\(([a-z-]+)\.md\)", text)) - pages)]
    if re.search(r"(?i)`[^`]*\b(update|delete|insert|truncate|drop)\s+(?:from |into |table )?(ops|raw|core|bi|staging)\.", text):
        found.append("edits the database by hand (RELIABILITY I7)")
    return found


def targets() -> set[str]:
    """Commands of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_a_runbook_keeps_the_form(path):
    assert problems_of(path.read_text(), targets(), {p.stem for p in PAGES}) == []


GOOD = "# Một · One\n" + "".join(f"## {h}\nx\n" for h in HEADINGS)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (GOOD.replace("## Gọi ai", "## Ai"), "headings"),
        (GOOD.replace("# Một · One", "# One"), "title"),
        (GOOD + "x\n" * 40, "longer"),
        (GOOD + "`make nothing`\n", "no make nothing"),
        (GOOD + "[x](nowhere.md)\n", "no page nowhere"),
        (GOOD + "`update ops.export set state = 'accepted'`\n", "by hand"),
    ],
)
def test_the_form_bites(broken, says):
    assert any(says in p for p in problems_of(broken, {"replay"}, {"a"})), problems_of(broken, {"replay"}, {"a"})
    assert problems_of(GOOD, {"replay"}, {"a"}) == []


def test_every_runbook_that_a_message_names_exists():
    from kinhteso import alerting

    named = {k.runbook for k in alerting.KINDS.values()}
    for path in [*(ROOT / "plugins").rglob("*.py"), *(ROOT / "dags").glob("*.py"), *(ROOT / "dbt_project" / "models").rglob("*.yml")]:
        text = path.read_text()
        named |= set(re.findall(r"runbooks/([a-z-]+)\.md", text))
        for line in re.findall(r"Runbooks?: (`[^.\n]*)", text):
            named |= set(re.findall(r"`([a-z-]+)`", line))
    assert named - {p.stem for p in PAGES} == set()
    assert len(named) > 10 and {p.stem for p in PAGES} >= WANTED


def test_the_list_of_runbooks_is_complete():
    listed = set(re.findall(r"\]\(([a-z-]+)\.md\)", (FOLDER / "README.md").read_text()))
    assert listed == {p.stem for p in PAGES}
