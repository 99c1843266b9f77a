"""A headless Chromium over its pipe (the DevTools protocol): opens a page at a width, watches, measures.

No driver and no port: messages are JSON between zero bytes on two inherited descriptors.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PROGRAM = next((found for name in NAMES if (found := shutil.which(name))), None)
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="Chromium is not installed")

_SECONDS = 60.0


@dataclass
class Visit:
    """What opening a page did: addresses asked for, console messages, sizes in CSS pixels."""

    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    scroll_width: int = 0
    client_width: int = 0
    scroll_height: int = 0


class Browser:
    """``with Browser(folder) as browser: browser.visit(page, 390)``; the profile lies in ``folder``."""

    def __init__(self, folder: Path) -> None:
        assert PROGRAM is not None
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()
        self._buffer, self._number = b"", 0
        self._events: list[dict[str, Any]] = []
        options = ("--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run")
        shell = f'exec "$0" "$@" 3<&{to_child} 4>&{from_child}'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, PROGRAM, *options, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            pass_fds=(to_child, from_child),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_child)
        os.close(from_child)
        targets = self._call("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        attached = self._call("Target.attachToTarget", {"targetId": page, "flatten": True})
        self._session = str(attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable", session=self._session)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(_SECONDS)
        os.close(self._out)
        os.close(self._in)

    def visit(self, page: Path, width: int, height: int = 844) -> Visit:
        """Open a local file at that width and wait until it is loaded."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", metrics, self._session)
        self._events.clear()
        self._call("Page.navigate", {"url": page.resolve().as_uri()}, self._session)
        while not any(e["method"] == "Page.loadEventFired" for e in self._events):
            self._events.append(self._read())
        found = Visit(
            scroll_width=self._evaluate("document.documentElement.scrollWidth"),
            client_width=self._evaluate("document.documentElement.clientWidth"),
            scroll_height=self._evaluate("document.documentElement.scrollHeight"),
        )
        for event in self._events:
            values = event.get("params", {})
            if event["method"] == "Network.requestWillBeSent":
                found.requests.append(values["request"]["url"])
            elif event["method"] == "Log.entryAdded":
                found.console.append(values["entry"]["text"])
            elif event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                found.console.append(json.dumps(values))
        return found

    def screenshot(self, file: Path) -> None:
        """The whole page that is open, as PNG."""
        options = {"format": "png", "captureBeyondViewport": True}
        file.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", options, self._session)["data"]))

    def pdf(self, file: Path) -> None:
        """The page that is open, printed on A4."""
        options = {"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": False, "preferCSSPageSize": True}
        file.write_bytes(base64.b64decode(self._call("Page.printToPDF", options, self._session)["data"]))

    def _evaluate(self, expression: str) -> int:
        values = {"expression": expression, "returnByValue": True}
        return int(self._call("Runtime.evaluate", values, self._session)["result"]["value"])

    def _call(
        self, method: str, values: dict[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": values or {}}
        if session is not None:
            message["sessionId"] = session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") != self._number:
                self._events.append(answer)
                continue
            assert "error" not in answer, answer
            result: dict[str, Any] = answer["result"]
            return result

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + _SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(self._in, 1 << 20) if ready else b""
            assert data, "Chromium ended or did not answer"
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        found: dict[str, Any] = json.loads(message)
        return found
