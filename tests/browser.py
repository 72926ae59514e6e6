"""A real browser (headless Chromium) over its debugging protocol: enough to log in, follow links and read what is shown."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One tab."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._numbers = socket, itertools.count(1)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the protocol; its result."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            told = json.loads(self._socket.recv(timeout=60))
            if told.get("id") == number:
                assert "error" not in told, told
                return told.get("result", {})

    def value(self, expression: str) -> Any:
        """What an expression gives in the page."""
        told = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def until(self, expression: str, seconds: float = 40) -> Any:
        """Wait until an expression is true in the page."""
        deadline, last = time.monotonic() + seconds, None
        while time.monotonic() < deadline:
            try:
                last = self.value(expression)
            except AssertionError as error:  # the page is being replaced
                last = error
            else:
                if last:
                    return last
            time.sleep(0.2)
        raise AssertionError(f"never true: {expression}; {last!r}; the page says: {self.text()[:1500]}")

    def go(self, address: str) -> None:
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def text(self) -> str:
        """What a person reads."""
        return str(self.value("document.body ? document.body.innerText : ''"))

    def type(self, selector: str, words: str) -> None:
        """Into a field, as typed."""
        self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        self.value(f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=words)

    def click(self, selector: str) -> None:
        self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        self.value(f"document.querySelector({json.dumps(selector)}).click()")

    def press(self, words: str) -> None:
        """What a person would press who reads ``words``: the button, link or menu item that says just this."""
        says = f"one => one.innerText.trim() === {json.dumps(words)} && one.offsetParent !== null"
        found = f"[...document.querySelectorAll('button, a, [role=menuitem]')].find({says})"
        self.until(f"{found} !== undefined")
        x, y = self.value(f"(() => {{ const r = {found}.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; }})()")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))
        return path


@contextmanager
def browser(width: int = 1400, height: int = 1000) -> Iterator[Browser]:
    """Chromium with an empty profile, ended afterwards."""
    assert CHROMIUM
    profile = tempfile.mkdtemp(prefix="kinhteso-browser-")
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--remote-debugging-port=0",
        "--remote-allow-origins=*",
    ]
    process = subprocess.Popen(
        [CHROMIUM, *options, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        told, deadline = Path(profile) / "DevToolsActivePort", time.monotonic() + 30
        while not told.exists() or not told.read_text().strip():
            assert time.monotonic() < deadline and process.poll() is None, "Chromium did not start"
            time.sleep(0.1)
        port = told.read_text().splitlines()[0]
        (tab, *_) = [t for t in httpx.get(f"http://127.0.0.1:{port}/json", trust_env=False).json() if t["type"] == "page"]
        with connect(tab["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
            found = Browser(socket)
            found.call("Page.enable")
            yield found
    finally:
        process.terminate()
        process.wait(15)
        shutil.rmtree(profile, ignore_errors=True)
