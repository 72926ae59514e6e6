"""`make docs`: dbt's own pages (models, columns, lineage, tests, exposures) as one file that needs no server and no internet.

The SQL is compiled against an empty warehouse of its own, which is gone afterwards: no figure, host, path or secret is in the file.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinhteso import building, warehouse
from kinhteso.local.cli import ROOT, state_root
from kinhteso.local.postgres import EmbeddedPostgres

#: dbt's page can count its readers at somebody else's server. Ours cannot: the function returns at once, and the addresses are gone.
_COUNTS, _ELSEWHERE = "turn_on_tracking:function(){", re.compile(r"//d1fc8wv8zag5ca\.cloudfront\.net/[\w./]*|fishtownanalytics\.sinter-collect\.com")

_EMPTY = '"nodes": {}, "sources": {}, "errors": null'


class DocsFailed(RuntimeError):
    """dbt could not make its pages, or they would say what they must not."""


def make(to: Path, dsn: str) -> Path:
    """Write the page to ``to``, compiled against the warehouse at ``dsn`` (migrated, may be empty). Raises DocsFailed."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        result = building.run_dbt(dsn, ["docs", "generate", "--static", "--empty-catalog"], state)
        page = state / "target" / "static_index.html"
        if not result.success or not page.is_file():
            raise DocsFailed(f"dbt docs generate failed: {result.exception or 'no page'}")
        manifest = json.loads((state / "target" / "manifest.json").read_text(encoding="utf-8"))
        text = with_types(page.read_text(encoding="utf-8"), manifest)
        text = clean(text, [folder, str(building.project_dir()), str(building.project_dir().parent)])
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(text, encoding="utf-8")
    return to


def with_types(text: str, manifest: Mapping[str, Any]) -> str:
    """The page with the columns' types, which dbt would take from a warehouse that was built: here the contracts say them."""
    nodes = {
        key: {
            "unique_id": key,
            "metadata": {"type": "VIEW" if node["config"]["materialized"] == "view" else "BASE TABLE", "schema": node["schema"], "name": node["alias"],
                         "database": "", "comment": node["description"], "owner": ""},
            "columns": {name: {"type": column["data_type"], "index": n, "name": name, "comment": column["description"]}
                        for n, (name, column) in enumerate(node["columns"].items(), 1)},
            "stats": {"has_stats": {"id": "has_stats", "label": "Has Stats?", "value": False, "include": False, "description": ""}},
        }
        for key, node in manifest["nodes"].items()
        if node["resource_type"] == "model" and node["columns"]
    }  # fmt: skip
    if text.count(_EMPTY) != 1:
        raise DocsFailed("dbt's page is not the one that is known here: it has no empty catalog (kinhteso.local.dbtdocs.with_types)")
    return text.replace(_EMPTY, f'"nodes": {json.dumps(nodes)}, "sources": {{}}, "errors": null')


def clean(text: str, paths: list[str]) -> str:
    """The page without its counter of readers and without the paths of this machine. Raises DocsFailed when dbt's page counts in a way not known here."""
    if text.count(_COUNTS) != 1:
        raise DocsFailed("dbt's page is not the one that is known here: see what it loads from elsewhere (kinhteso.local.dbtdocs.clean)")
    text = _ELSEWHERE.sub("", text.replace(_COUNTS, f"{_COUNTS}return;"))
    for path in sorted(paths, key=len, reverse=True):
        text = text.replace(path, "")
    return text


def main() -> int:
    """Make .local/dbt-docs.html and say where it is."""
    home = Path(tempfile.mkdtemp(prefix="kinhteso-docs-"))
    try:
        server = EmbeddedPostgres(home)
        dsn = server.start()
        try:
            with warehouse.connect(dsn) as conn:
                warehouse.migrate(conn)
            page = make(state_root() / "dbt-docs.html", dsn)
        finally:
            server.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(f"{page.relative_to(ROOT) if page.is_relative_to(ROOT) else page}: open it in a browser.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
