"""The Data Docs of one delivery: what Great Expectations was asked and what it found, laid out by Great Expectations' own renderer.

Made on request from `ops.check_result`, so that nothing has to be kept in step. Of GX's page only the sections are taken: its frame loads styles and
scripts from the internet, and its texts are not escaped. Importing Great Expectations takes seconds, so it happens at the first look, not when
the api-server starts.
"""

from __future__ import annotations

import html
import logging
import os
from collections.abc import Mapping, Sequence
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any


def sections(export: Mapping[str, Any], checks: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The version of Great Expectations and its sections as HTML, over those rows of ``checks`` that it was asked; ("", "") when it was asked none.

    Counts and the first offending keys are shown, never a value: ops.check_result holds none.
    """
    asked = sorted((check for check in checks if check["expectation"]), key=lambda c: (c["passed"], c["rule_name"]))
    if not asked:
        return "", ""
    gx, page, view = _great_expectations()
    results = [_result(gx, check) for check in asked]
    held = sum(check["passed"] for check in asked)
    document = page.render(
        gx.ExpectationSuiteValidationResult(
            success=held == len(asked),
            results=results,
            suite_name=f"{export['source']}_{export['dataset']}",
            statistics={
                "evaluated_expectations": len(asked),
                "successful_expectations": held,
                "unsuccessful_expectations": len(asked) - held,
                "success_percent": 100 * held / len(asked),
            },
            meta={
                "great_expectations_version": gx.version,
                "batch_spec": {"data_asset_name": _label(export)},
                "run_id": {"run_name": export["run_id"] or "", "run_time": f"{max(c['checked_at'] for c in asked).astimezone(UTC)}"},
            },
        )
    )
    overview, *columns, run = document.sections
    columns.sort(key=lambda section: "fa-times" not in str(section.to_json_dict()))  # what failed first
    document.sections = [overview, *columns, run]
    return gx.version, view.render(document)


def _label(export: Mapping[str, Any]) -> str:
    return f"{export['source']}/{export['dataset']}{' ' + export['unit'] if export['unit'] else ''} {export['business_day']} v{export['version']}"


def _result(gx: Any, check: Mapping[str, Any]) -> Any:
    """A validation result as GX would give it, without values; texts are escaped here, because its templates do not."""
    failed, total = check["rows_failed"], check["rows_total"]
    percent = 100 * failed / total if total else 0.0
    found = {
        "element_count": total,
        "unexpected_count": failed,
        "unexpected_percent": percent,
        "unexpected_percent_total": percent,
        "unexpected_percent_nonmissing": percent,
        "partial_unexpected_list": [html.escape(str(key)) for key in check["sample"] or []],
    }
    if check["expectation"] == "UnexpectedRowsExpectation":
        found["observed_value"] = f"{failed} unexpected rows"
    words = html.escape(f"{check['rule_id']} {check['rule_name']} ({check['outcome']}): {check['rule']}").replace("$", "&#36;")
    return gx.ExpectationValidationResult(
        success=check["passed"],
        expectation_config=gx.ExpectationConfiguration(
            type=gx.camel_to_snake(check["expectation"]),
            kwargs={name: html.escape(value) if name == "column" else value for name, value in (check["arguments"] or {}).items()},
            description=words,
            meta={},
        ),
        result=found,
    )


@cache
def _great_expectations() -> tuple[Any, Any, Any]:
    """Its names, its page renderer, and its view with a frame of our own."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    from types import SimpleNamespace

    import great_expectations
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView
    from great_expectations.util import camel_to_snake

    logging.getLogger("great_expectations").setLevel(logging.ERROR)

    class View(DefaultJinjaPageView):
        """Sections only, with classes only: no style attribute (the content policy forbids it), no link to pages that are not here, no hook for scripts."""

        _template = "data_docs_sections.j2"

        def render_styling(self, styling: Mapping[str, Any]) -> str:
            return str(super().render_styling({"classes": styling.get("classes")}))

        def attributes_dict_to_html_string(self, attributes_dict: dict[str, Any], prefix: str = "") -> str:
            return ""

    names = SimpleNamespace(
        version=great_expectations.__version__,
        ExpectationSuiteValidationResult=ExpectationSuiteValidationResult,
        ExpectationValidationResult=ExpectationValidationResult,
        ExpectationConfiguration=ExpectationConfiguration,
        camel_to_snake=camel_to_snake,
    )
    return names, ValidationResultsPageRenderer(run_info_at_end=True), View(custom_views_directory=str(Path(__file__).parent / "templates"))
