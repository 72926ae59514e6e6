"""What a person sees on the board of a running Airflow (called by the test whose Airflow has a rejected delivery)."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import httpx
from browser import browser
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


def read_only_for_a_viewer(airflow: Any, day: str) -> None:
    """Who may not start a DAG sees every page, no button, and is refused by Airflow itself."""
    words = json.loads((airflow.home / "passwords.json").read_text())
    for name, buttons, refused in (("viewer", 0, 403), ("admin", 4, 404)):
        token = httpx.post(f"{airflow.url}/auth/token", json={"username": name, "password": words[name]}, trust_env=False, timeout=30).json()["access_token"]
        asked = httpx.Client(base_url=airflow.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False, timeout=60)
        page = asked.get(f"/kinhteso/board/day/{day}")
        assert page.status_code == 200 and REJECTED in page.text
        assert page.text.count("<form data-dag=") == buttons, name
        assert asked.post("/api/v2/dags/no_such_dag/dagRuns", json={"logical_date": None, "conf": {}}).status_code == refused, name


def builds(airflow: Any) -> list[str]:
    """What became of the tasks of warehouse_daily."""
    runs = airflow.call("GET", "/dags/warehouse_daily/dagRuns")["dag_runs"]
    return [f"{t['task_id']} {t['state']} since {t['start_date']}" for run in runs for t in airflow.tasks("warehouse_daily", run["dag_run_id"])]


def seen_in_a_browser(airflow: Any, day: str, pictures: Path) -> None:
    """Log in, go to the board by the navigation, read why a delivery was rejected, open its runbook and another's Data Docs, press replay, and see the
    release that follows with what dbt built for it."""
    at = f"{airflow.url}/kinhteso/board"
    with browser() as page:
        page.go(at)
        assert "Overview" not in page.text(), "shown without a login"
        page.go(f"{airflow.url}/")
        page.type("input[name=username]", "admin")
        page.type("input[name=password]", airflow.password)
        page.click("button[type=submit]")
        page.until("location.pathname.indexOf('login') < 0 && document.body.innerText.includes('Home')")
        page.press("Browse")
        page.press("Chất lượng dữ liệu · Data quality")
        inside = "document.querySelector('iframe')?.contentDocument?.body?.innerText || ''"
        page.until(f"({inside}).includes('{REJECTED}')")
        assert "bị từ chối" in page.value(inside) and "No release yet" in page.value(inside)
        page.picture(pictures / "navigation.png")

        page.go(f"{at}/day/{day}")
        assert "rows declared, 0 found" in page.text(), page.text()[:1500]
        page.picture(pictures / "day.png")
        page.click("a[href$='/board/runbooks/export-rejected']")
        page.until("location.pathname.endsWith('/runbooks/export-rejected') && document.querySelector('main h1') !== null")
        assert "make replay" in page.text()

        page.go(f"{at}/day/{day}")
        page.click("a[href$='/data-docs']")
        page.until("location.pathname.endsWith('/data-docs') && document.querySelector('.gx table') !== null")
        assert "Great Expectations" in page.text() and "Successful Expectations" in page.text()
        loaded = page.value("[location.href, ...performance.getEntriesByType('resource').map(entry => entry.name)]")
        assert [address for address in loaded if not address.startswith(airflow.url)] == [], "readable without internet"
        page.picture(pictures / "data-docs.png")

        page.go(f"{at}/day/{day}")
        page.click("form[data-dag=postmart_daily] button")
        status = "document.querySelector('form[data-dag=postmart_daily] [role=status]').textContent"
        assert str(page.until(f"{status}.length > 1 && {status}")).startswith("Đã chạy"), page.value(status)
        deadline = time.monotonic() + 400
        while "Release 1" not in page.text():
            assert time.monotonic() < deadline, f"no release follows the replay: {builds(airflow)}"
            time.sleep(3)
            page.go(at)
        page.picture(pictures / "board.png")
        page.go(f"{at}/builds")
        page.value("document.querySelectorAll('details').forEach(one => one.open = true)")
        told = page.text()
        assert "đã phát hành" in told and "model.kinhteso.kpi_commune_daily" in told and re.search(r"test\.kinhteso\.\S+\s+đạt · pass", told), told[:1500]
        page.picture(pictures / "builds.png")
        page.go(f"{at}/quarantine")
        page.picture(pictures / "quarantine.png")

        page.go(f"{airflow.url}/")  # light or dark is what the reader has chosen in Airflow
        for theme, color in (("dark", "rgb(18, 22, 28)"), ("light", "rgb(255, 255, 255)")):
            page.value(f"localStorage.setItem('theme', '{theme}')")
            page.go(f"{airflow.url}/")
            page.until(f"document.documentElement.classList.contains('{theme}')")
            page.go(at)
            assert page.value("getComputedStyle(document.body).backgroundColor") == color
            page.picture(pictures / f"board-{theme}.png")
