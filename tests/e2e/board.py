"""What a person sees on the board of a running Airflow (called by the test whose Airflow has a rejected delivery)."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import httpx
from browser import CHROMIUM, browser
from kinhteso.board import pages

REJECTED = "postmart/orders"


def closed_without_a_login(airflow: Any) -> None:
    """401 or 403 on every route, for nobody and for a made-up token."""
    for route in pages.create_app(lambda: "", lambda: None).routes:
        path = route.path.replace("{day}", "2021-09-13").replace("{export_id}", "1").replace("{name}", "export-late").replace("{path:path}", "openapi.json")  # type: ignore[attr-defined]
        for method in route.methods:  # type: ignore[attr-defined]
            for headers in ({}, {"Authorization": "Bearer made.up.token"}):
                answer = httpx.request(method, f"{airflow.url}/kinhteso{path}", headers=headers, trust_env=False, timeout=30)
                assert answer.status_code in (401, 403), f"{method} {path}: {answer.status_code}"
                assert "kinhteso" not in answer.text


def seen_in_a_browser(airflow: Any, day: str, pictures: Path) -> bool:
    """Log in, find the board in the navigation, read why a delivery was rejected, open its runbook, start a replay; false without a browser."""
    if not CHROMIUM:
        warnings.warn("the board was not looked at: there is no Chromium here (apt-get install chromium)", stacklevel=2)
        return False
    with browser() as page:
        page.go(f"{airflow.url}/kinhteso/board")
        assert "Overview" not in page.text(), "shown without a login"
        page.go(f"{airflow.url}/")
        page.type("input[name=username]", "admin")
        page.type("input[name=password]", airflow.password)
        page.click("button[type=submit]")
        page.until("location.pathname.indexOf('login') < 0 && document.body.innerText.includes('Home')")
        page.go(f"{airflow.url}/plugin/kinhteso-board")
        page.until("document.querySelector('iframe') !== null && document.querySelector('iframe').src.includes('/kinhteso/board')")
        page.go(f"{airflow.url}/kinhteso/board")
        assert "bị từ chối" in page.text() and "postmart/orders" in page.text(), page.text()[:800]
        page.picture(pictures / "board.png")
        page.go(f"{airflow.url}/kinhteso/board/day/{day}")
        assert "rows declared, 0 found" in page.text(), page.text()[:1500]
        page.picture(pictures / "day.png")
        page.click("a[href$='/board/runbooks/export-rejected']")
        page.until("location.pathname.endsWith('/runbooks/export-rejected') && document.querySelector('main h1') !== null")
        assert "make replay" in page.text()
        page.go(f"{airflow.url}/kinhteso/board/quarantine")
        page.picture(pictures / "quarantine.png")
        page.go(f"{airflow.url}/kinhteso/board/builds")
        page.picture(pictures / "builds.png")
        page.go(f"{airflow.url}/kinhteso/board/day/{day}")
        page.click("form[data-dag=warehouse_daily] button")
        started = page.until("document.querySelector('form[data-dag=warehouse_daily] [role=status]').textContent.length > 1 && "
                             "document.querySelector('form[data-dag=warehouse_daily] [role=status]').textContent")  # fmt: skip
        assert str(started).startswith("Đã chạy"), started
        page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        page.go(f"{airflow.url}/kinhteso/board")
        page.picture(pictures / "board-dark.png")
    return True
