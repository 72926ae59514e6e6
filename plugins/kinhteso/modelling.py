"""What the dbt project has to keep, read from dbt's manifest: layers, contracts, descriptions, unit tests, what is published.

Each rule is a function from the manifest (a dict, as dbt writes it) to complaints, one line each: what, where, remedy. `make lint` runs them all
(``python -m kinhteso.modelling``); the tests show that each bites. The rules' source is DESIGN, STYLE and dbt_project/README.md.
"""

from __future__ import annotations

import json
import sys
import tempfile
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kinhteso import building, publishing

Manifest = Mapping[str, Any]

#: What each layer may read. `raw` is what was delivered, `ledger` what `ops` knows of it, `scope` what a build works on (incremental filters only).
READS: dict[str, frozenset[str]] = {
    "staging": frozenset({"raw", "ledger", "scope", "seeds"}),
    "intermediate": frozenset({"staging", "intermediate", "ledger", "scope", "seeds"}),
    "core": frozenset({"intermediate", "core", "scope", "seeds"}),
    "kpi": frozenset({"core", "kpi", "scope", "seeds"}),
}
#: Reads that the rule would forbid, each with its reason.
PASSES: dict[tuple[str, str], str] = {
    ("data_status_daily", "int_deliveries__by_day"): "it tells of deliveries, which are no part of the star",
    ("int_orders", "postmart_orders"): "which orders a delivery speaks of, whether it counts now or not; staging knows only what counts",
    ("int_orders", "voso_orders"): "likewise",
    ("int_refunds", "postmart_refunds"): "likewise",
    ("int_refunds", "voso_refunds"): "likewise",
    ("int_products__dated", "voso_products"): "likewise",
}
_SCOPE = frozenset({"change", "build", "build_order", "build_refund", "build_cell", "build_unit", "build_entity"})

#: Models that only rename, cast or key what they read: a unit test would repeat them.
WITHOUT_LOGIC: frozenset[str] = frozenset(
    {"bridge_commune_succession", "data_status_daily", "dim_household", "dim_order_status", "dim_platform", "dim_product", "dim_store",
     "dim_wallet", "fct_account_state", "fct_day_completeness", "fct_lead_household", "fct_target", "fct_team_member"}
)  # fmt: skip


def manifest(state_dir: Path | None = None) -> dict[str, Any]:
    """The project as dbt understands it; parsed anew, without a database. Raises RuntimeError with dbt's words when it does not parse."""
    with tempfile.TemporaryDirectory() as folder:
        state = state_dir or Path(folder)
        result = building.run_dbt("postgresql://nobody@localhost/none", ["parse"], state)
        if not result.success:
            raise RuntimeError(f"The dbt project does not parse: {result.exception}")
        return json.loads((state / "target" / "manifest.json").read_text(encoding="utf-8"))


def models(given: Manifest) -> Iterator[dict[str, Any]]:
    """The project's models."""
    return (n for n in given["nodes"].values() if n["resource_type"] == "model" and n["package_name"] == "kinhteso")


def layer(node: Mapping[str, Any]) -> str:
    """staging, intermediate, core, kpi, seeds; of a source raw, ledger or scope."""
    if node["resource_type"] == "source":
        return "raw" if node["source_name"] == "raw" else "scope" if node["name"] in _SCOPE else "ledger"
    return "seeds" if node["resource_type"] == "seed" else node["fqn"][1]


def layers(given: Manifest) -> list[str]:
    """A layer reads only the one below, itself above staging, and seeds (STYLE 5)."""
    nodes, found, passed = {**given["nodes"], **given["sources"]}, [], set()
    for model in models(given):
        of = layer(model)
        if of not in READS:
            found.append(f"{model['original_file_path']}: there is no layer {of}; models live in {', '.join(READS)}")
            continue
        for read in sorted(set(model["depends_on"]["nodes"])):
            other = nodes[read]
            if layer(other) in READS[of]:
                continue
            if (pair := (model["name"], other["name"])) in PASSES:
                passed.add(pair)
            else:
                found.append(
                    f"{model['original_file_path']}: {of} reads {other['name']} ({layer(other)}); it may read {', '.join(sorted(READS[of]))}: "
                    "let the layer below pass it on"
                )
    return found + [f"modelling.PASSES lets {model} read {other}, which it does not" for model, other in sorted(PASSES.keys() - passed)]


def contracts(given: Manifest) -> list[str]:
    """core and kpi have enforced contracts over every column, and persist their descriptions."""
    found = []
    for model in models(given):
        if layer(model) not in ("core", "kpi"):
            continue
        where = f"{model['original_file_path']}:"
        if not model["config"]["contract"]["enforced"]:
            found.append(f"{where} its contract is not enforced")
        if not all(model["config"]["persist_docs"].get(what) for what in ("relation", "columns")):
            found.append(f"{where} its descriptions are not persisted (persist_docs)")
        found += [f"{where} column {name} has no data_type" for name, column in model["columns"].items() if not column["data_type"]]
        if not model["columns"]:
            found.append(f"{where} no column is described")
    return found


def descriptions(given: Manifest) -> list[str]:
    """Every column of core and kpi has the docs block of its own name; each block is used; all are Vietnamese · English, composed (NFC)."""
    found, used = [], Counter[str]()
    for model in models(given):
        if layer(model) not in ("core", "kpi"):
            continue
        if not _two_languages(model["description"]):
            found.append(f"{model['original_file_path']}: its description is not Vietnamese · English")
        for name, column in model["columns"].items():
            blocks = [b.split(".")[-1] for b in column["doc_blocks"]]
            used.update(blocks)
            if blocks != [name]:
                found.append(
                    f"{model['original_file_path']}: column {name} is not described by its docs block (has {blocks or 'none'}): models/core/_columns.md"
                )
    texts: dict[str, str] = {}
    for block in (d for d in given["docs"].values() if d["package_name"] == "kinhteso"):
        name, text = block["name"], block["block_contents"].strip()
        if not used[name]:
            found.append(f"{block['original_file_path']}: docs block {name} describes no column")
        if not _two_languages(text):
            found.append(f"{block['original_file_path']}: docs block {name} is not Vietnamese · English: {text!r}")
        if text in texts:
            found.append(f"{block['original_file_path']}: docs blocks {texts[text]} and {name} say the same")
        texts[text] = name
    return found


def _two_languages(text: str) -> bool:
    """Both sides of one `·`, different, the first with Vietnamese letters, composed."""
    first, dot, second = text.partition(" · ")
    has_accent = any(unicodedata.decomposition(c) or c in "đĐ" for c in first)
    return bool(dot) and bool(first.strip()) and bool(second.strip()) and first != second and has_accent and unicodedata.is_normalized("NFC", text)


def published(given: Manifest) -> list[str]:
    """What publishing.TABLES names is a public model with a version and the relation's plain name, and no other is."""
    wanted = {t.name for t in publishing.TABLES}
    found = [f"publishing.TABLES names {name}, which no model builds" for name in sorted(wanted - {m["name"] for m in models(given)})]
    for model in models(given):
        is_public, where = model["access"] == "public", f"{model['original_file_path']}:"
        if is_public != (model["name"] in wanted):
            found.append(f"{where} access is {model['access']}, but bi {'does' if not is_public else 'does not'} publish it (publishing.TABLES)")
        if is_public and not model["version"]:
            found.append(f"{where} BI reads it, so it needs a version")
        if is_public and model["version"] == model["latest_version"] and model["alias"] != model["name"]:
            found.append(f"{where} its relation is {model['alias']}; the name of the latest version is the contract")
        if not model["group"]:
            found.append(f"{where} it has no group, so nobody owns it")
    return found


def unit_tests(given: Manifest) -> list[str]:
    """Every model with logic has a unit test, an incremental one in both its ways."""
    tested: dict[str, set[Any]] = {}
    for test in given["unit_tests"].values():
        tested.setdefault(test["model"], set()).add(((test["overrides"] or {}).get("macros") or {}).get("is_incremental"))
    found = []
    for model in models(given):
        name, where = model["name"], f"{model['original_file_path']}:"
        if name in WITHOUT_LOGIC:
            if name in tested:
                found.append(f"{where} it is listed as without logic (modelling.WITHOUT_LOGIC) and has a unit test")
        elif name not in tested:
            found.append(f"{where} it has no unit test")
        elif model["config"]["materialized"] == "incremental" and not {True, False} <= tested[name]:
            missing = "incremental" if True not in tested[name] else "full"
            found.append(f"{where} no unit test of its {missing} way (overrides: macros: is_incremental)")
    return found + [f"modelling.WITHOUT_LOGIC names {name}, which is no model" for name in sorted(WITHOUT_LOGIC - {m["name"] for m in models(given)})]


def freshness(given: Manifest) -> list[str]:
    """Every dataset that is delivered is asked for its age, by the data's own date; only R3 and R5 come when something is decided."""
    found = []
    for source in given["sources"].values():
        if source["source_name"] != "raw" or source["name"] in ("registers_targets", "registers_enterprises"):
            continue
        limit = (source["freshness"] or {}).get("warn_after") or {}
        if not limit.get("count") or not source["loaded_at_query"]:
            found.append(f"{source['original_file_path']}: source {source['name']} has no freshness (warn_after and loaded_at_query; EXPORTS §12)")
    return found


def exposures(given: Manifest) -> list[str]:
    """Each table of bi has a reader that is named, with an owner."""
    read = {given["nodes"][n]["name"] for e in given["exposures"].values() for n in e["depends_on"]["nodes"]}
    found = [f"exposures: nobody is named who reads {t.name}" for t in publishing.TABLES if t.name not in read]
    return found + [f"exposures: {e['name']} has no description" for e in given["exposures"].values() if not _two_languages(e["description"])]


RULES: tuple[Callable[[Manifest], list[str]], ...] = (layers, contracts, descriptions, published, unit_tests, freshness, exposures)


def main() -> int:
    """All rules over the project; 1 if one complains."""
    given = manifest()
    found = [f"{rule.__name__}: {line}" for rule in RULES for line in rule(given)]
    print("\n".join(found) or f"dbt_project keeps its {len(RULES)} rules.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
