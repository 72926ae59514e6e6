"""The board's pages. Every route asks Airflow who is there: without a login 401, without the right to see the website 403.

Nothing is changed here: the buttons ask Airflow's own REST API to start a run, with the login and the rights of who presses them; who may not
start a DAG sees no button for it. Pages carry no address of the internet; all they need is inside, and the content policy lets nothing else in.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from kinhteso import explaining, kpis, progress
from kinhteso.board import docs, facts
from kinhteso.explaining import telling
from kinhteso.explaining.entities import ROLES

PREFIX = "/kinhteso"
RUNBOOKS = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
#: What BI users and operators read for a state, and the short form in the overview.
WORDS = {
    "expected": "đang chờ · expected", "landed": "đã nhận · landed", "loaded": "đã nạp · loaded", "judged": "đã xét · judged",
    "accepted": "được dùng · accepted", "rejected": "bị từ chối · rejected", "superseded": "đã thay thế · superseded",
    "reject": "từ chối · reject", "quarantine": "cách ly dòng · quarantine", "warn": "cảnh báo · warning", "fail": "không đạt · failed",
    "open": "đang mở · open", "replayed": "đã xử lý · replayed", "dismissed": "đã bỏ qua · dismissed", "running": "đang chạy · running",
    "built": "đã dựng · built", "failed": "hỏng · failed", "published": "đã phát hành · published", "equal": "khớp · equal",
    "mended": "đã sửa · mended", "refused": "bị từ chối · refused", "success": "tốt · success", "pass": "đạt · pass",
    "error": "lỗi · error", "skipped": "bỏ qua · skipped",
}  # fmt: skip
SHORT = {"expected": "chờ", "landed": "nhận", "loaded": "nạp", "judged": "xét", "accepted": "✓", "rejected": "✗", "superseded": "cũ"}


@cache
def _templates() -> Any:
    from jinja2 import Environment, FileSystemLoader

    return Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)


def render(request: Request, name: str, title: str, status: int = 200, **given: Any) -> HTMLResponse:
    """A page under a content policy of its own."""
    nonce = secrets.token_urlsafe(16)
    base = str(request.scope.get("root_path") or "").rstrip("/")
    api = base.removesuffix(PREFIX) + "/api/v2"
    may = getattr(request.state, "may_start", lambda dag: False)
    body = _templates().get_template(name).render(title=title, nonce=nonce, base=base, api=api, may=may, words=WORDS, short=SHORT, **given)
    policy = (
        f"default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'self'"
    )
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
    return HTMLResponse(body, status, headers)


def runbooks() -> list[str]:
    """Names of the runbooks there are."""
    return sorted(path.stem for path in RUNBOOKS.glob("*.md") if path.stem != "README")


class NoWarehouse(RuntimeError):
    """Nobody has said where the warehouse is; the message tells how to, without a secret."""


def nobody() -> Callable[[str], bool]:
    """The rights of somebody who may start no DAG."""
    return lambda dag_id: False


def _explain(request: Request, dsn: str, asked: dict[str, str]) -> HTMLResponse:
    """A cell with what is behind it; without a unit the cells of all of its level, to choose from. ``asked``: as the form sends it."""
    title, answer, cells = "Giải thích số liệu · Explain", None, []
    with facts.reading(dsn) as conn:
        lists, last = facts.lists(conn)
    level, target, unit = asked["level"], asked["target"], asked["unit"] or asked["commune"]
    try:
        wanted, number = date.fromisoformat(asked["date"]) if asked["date"] else last, int(asked["release"]) if asked["release"] else None
        key = asked["measure"] if target else asked["kpi"]
        if wanted:
            cell = explaining.Cell(unit, wanted, key, "2021" if target else asked["geography"], level, target)
            explaining.check(cell, number)
            with facts.reading(dsn) as conn:
                if unit:
                    answer = explaining.explain(conn, cell, number)
                elif lists:
                    cells = facts.targets(conn, cell) if target else facts.cells(conn, cell)
    except ValueError as error:
        return render(request, "message.html", title, 404, text=str(error))
    except psycopg.errors.QueryCanceled:
        words = f"Ô này có quá nhiều thực thể cho một trang · Too many entities for a page: make explain {telling.asking(cell)}"
        return render(request, "message.html", title, 503, text=words)
    form = {**asked, "unit": unit, "date": wanted, "release": number, "geography": cell.geography if wanted else asked["geography"]}
    told = list(telling.beside_lines(answer)) if answer else []
    return render(
        request, "explain.html", title, a=answer, beside=told, asked=form, lists=lists or [asked["geography"]], cells=cells, kpis=kpis.KPIS, units=kpis.UNITS,
        periods=kpis.PERIODS, roles=ROLES, part_words=telling.PART_WORDS, number=telling.number, lists_of=telling.walk, most=facts.ROWS,
        levels=telling.LEVEL_WORDS, targets=progress.INDICATORS, columns=progress.COLUMNS, hamlet_kpis=progress.HAMLET_KPIS, around=telling.around,
        asking=telling.asking, hidden=telling.hidden,
    )  # fmt: skip


def create_app(dsn: Callable[[], str], is_allowed: Callable[..., Any], rights: Callable[..., Callable[[str], bool]] = nobody) -> FastAPI:
    """The app; ``dsn`` is asked per request, ``is_allowed`` is the dependency that lets a caller in or raises 401 or 403, ``rights`` the one that
    tells which DAGs the caller may start."""

    def note_rights(request: Request, may_start: Callable[[str], bool] = Depends(rights)) -> None:
        request.state.may_start = may_start

    guards = [Depends(is_allowed), Depends(note_rights)]
    app = FastAPI(title="kinhteso board", docs_url=None, redoc_url=None, openapi_url=None, dependencies=guards)

    def missing(request: Request, words: str) -> HTMLResponse:
        return render(request, "message.html", "Không có · Not found", 404, text=words)

    @app.exception_handler(psycopg.Error)
    def unreachable(request: Request, error: Exception) -> HTMLResponse:
        words = f"Không đọc được kho dữ liệu · The warehouse cannot be read ({type(error).__name__})."
        return render(request, "message.html", "Kho dữ liệu không trả lời · No answer", 503, text=words, runbook="warehouse-down")

    @app.exception_handler(NoWarehouse)
    def unknown(request: Request, error: Exception) -> HTMLResponse:
        return render(request, "message.html", "Chưa khai báo kho dữ liệu · No warehouse", 503, text=str(error), runbook="warehouse-down")

    @app.get("/")
    def root(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{str(request.scope.get('root_path') or '').rstrip('/')}/board")

    @app.get("/board")
    def overview(request: Request, until: date | None = None) -> HTMLResponse:
        with facts.reading(dsn()) as conn:
            return render(request, "overview.html", "Tổng quan · Overview", o=facts.overview(conn, until), until=until, most=facts.DAYS)

    @app.get("/board/day/{day}")
    def day(request: Request, day: date) -> HTMLResponse:
        with facts.reading(dsn()) as conn:
            rows, failed = facts.day(conn, day), facts.day_checks(conn, day)
        before, after = day - timedelta(days=1), day + timedelta(days=1)
        return render(request, "day.html", f"{day:%d/%m/%Y}", day=day, before=before, after=after, rows=rows, failed=failed)

    @app.get("/board/export/{export_id}")
    def export(request: Request, export_id: int) -> HTMLResponse:
        with facts.reading(dsn()) as conn:
            found = facts.export(conn, export_id)
        return (
            render(request, "export.html", f"{found['source']}/{found['dataset']}", e=found) if found else missing(request, f"{export_id}: no such delivery.")
        )

    @app.get("/board/export/{export_id}/data-docs")
    def data_docs(request: Request, export_id: int) -> HTMLResponse:
        from markupsafe import Markup

        with facts.reading(dsn()) as conn:
            found = facts.export(conn, export_id)
        if not found:
            return missing(request, f"{export_id}: no such delivery.")
        version, sections = docs.sections(found, found["checks"])
        body = Markup(sections)  # noqa: S704  # escaped by docs
        return render(request, "data_docs.html", f"Data Docs {found['source']}/{found['dataset']}", e=found, version=version, sections=body)

    @app.get("/board/quarantine")
    def quarantine(request: Request) -> HTMLResponse:
        with facts.reading(dsn()) as conn:
            return render(request, "quarantine.html", "Cách ly · Quarantine", rows=facts.quarantine(conn))

    @app.get("/board/builds")
    def builds(request: Request, build: int | None = None) -> HTMLResponse:
        with facts.reading(dsn()) as conn:
            return render(request, "builds.html", "Dựng và phát hành · Builds", b=facts.builds(conn, build), build=build)

    @app.get("/board/explain")
    def explain(
        request: Request,
        geography: str = "2021",
        level: str = "commune",
        unit: str = "",
        commune: str = "",
        date: str = "",
        kpi: str = "households_with_store",
        target: str = "",
        measure: str = "",
        release: str = "",
    ) -> HTMLResponse:
        asked = {"geography": geography, "level": level, "unit": unit, "commune": commune, "date": date, "kpi": kpi}
        return _explain(request, dsn(), {**asked, "target": target, "measure": measure, "release": release})

    @app.get("/board/runbooks")
    def runbook_list(request: Request) -> HTMLResponse:
        return render(request, "runbooks.html", "Sổ tay · Runbooks", names=runbooks(), text=None)

    @app.get("/board/runbooks/{name}")
    def runbook(request: Request, name: str) -> HTMLResponse:
        if name.removesuffix(".md") not in runbooks():
            return missing(request, f"{name}: no such runbook.")
        from markdown_it import MarkdownIt
        from markupsafe import Markup

        source = (RUNBOOKS / f"{name.removesuffix('.md')}.md").read_text(encoding="utf-8")
        text = MarkdownIt("commonmark", {"html": False}).enable("table").render(source)
        return render(request, "runbooks.html", name, text=Markup(text))  # noqa: S704  # our own file, rendered without HTML

    @app.api_route("/{path:path}", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
    def anything_else(request: Request, path: str) -> HTMLResponse:
        """Behind the login too: nobody learns what is there."""
        return missing(request, "Không có trang này. · There is no such page.")

    return app
