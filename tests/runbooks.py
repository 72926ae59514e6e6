"""The runbooks' pages and the queries that stand in them."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "runbooks"
PAGES = sorted(p for p in FOLDER.glob("*.md") if p.name != "README.md")


def queries() -> list[tuple[str, str]]:
    """Page and query of each, with something in the place of what a person has to fill in."""
    return [
        (page.stem, re.sub(r"'<(?:day|first|last)>'", "'2021-09-14'", " ".join(query.split())).replace("<id>", "1"))
        for page in PAGES
        for query in re.findall(r"`(select [^`]+)`", page.read_text())
    ]
