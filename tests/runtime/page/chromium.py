"""Chromium without a window, driven over its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.runtime.page.devtools import Link

#: The longest anything in the browser is waited for, in seconds; a shared machine may be slow.
PATIENCE = 60.0

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """The browser's path; DMDD_CHROMIUM names another than the first that is found."""
    named = os.environ.get("DMDD_CHROMIUM")
    return named or next(filter(None, map(shutil.which, NAMES)), None)


def wait_for(true: Callable[[], Any], what: str) -> Any:
    """Ask again and again until the answer is true, and give it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        answer = true()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


class Browser:
    """One tab in a profile of its own, as one person has it.

    A dialog blocks the tab until it is answered, so each is accepted at once. The browser asks one when an
    address is left with work that is not saved.

    Args:
        address: of the tab's web socket.

    Attributes:
        requests: the address of each request that the tab made.
        complaints: errors and warnings of the console, and exceptions.
        dialogs: the kind of each dialog that was accepted, such as ``beforeunload``.
    """

    def __init__(self, address: str) -> None:
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.dialogs: list[str] = []
        self._link = Link(address, self._note)
        self.call = self._link.call
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.javascriptDialogOpening":
            self.dialogs.append(params["type"])
            self._link.send("Page.handleJavaScriptDialog", accept=True)
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.complaints.append(json.dumps(params["entry"]))

    def js(self, code: str) -> Any:
        """The value of an expression in the tab; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, code: str) -> Any:
        """Wait until an expression is true, and give its value."""
        return wait_for(lambda: self.js(code), code)

    def text(self, selector: str) -> str:
        """The text of an element as it is seen."""
        return str(self.js(f"document.querySelector({json.dumps(selector)}).innerText"))

    def open(self, url: str) -> None:
        """Go to an address and wait until it is loaded."""
        self.call("Page.navigate", url=url)
        there = f"location.href.startsWith({json.dumps(url.split('#')[0])})"
        self.until(f"{there} && document.readyState === 'complete'")

    def resize(self, width: int, height: int, phone: bool = False) -> None:
        """Show the tab on a screen of that size; a phone has more device pixels, and is touched."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def colours(self, scheme: str) -> None:
        """Have the user prefer ``light`` or ``dark``."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """Write what the tab shows, the whole page by default, as PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self) -> None:
        """Leave the tab as it is; who opened it removes it."""
        self._link.close()


class Chromium:
    """The program, which gives each test a tab and a profile of its own.

    It starts with the first tab, and again after it did not answer, so that one fault costs one test.

    Args:
        program: its path.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def tab(self) -> Iterator[Browser]:
        """An empty tab of 1280 x 900 pixels in light colors, which shares nothing with other tabs."""
        profile, browser = self._open()
        try:
            yield browser
        finally:
            try:
                # Without asking the page, so nothing that a test leaves behind can keep it open.
                self._link.call("Target.disposeBrowserContext", browserContextId=profile)
            except Exception:
                self.close()
            browser.close()

    def _open(self) -> tuple[str, Browser]:
        if self._process is not None:
            try:
                return self._new_tab()
            except Exception:
                self.close()
        self._start()
        return self._new_tab()

    def _new_tab(self) -> tuple[str, Browser]:
        profile = self._link.call("Target.createBrowserContext", disposeOnDetach=True)["browserContextId"]
        tab = self._link.call("Target.createTarget", url="about:blank", browserContextId=profile)["targetId"]
        browser = Browser(f"{self._address}/devtools/page/{tab}")
        browser.resize(1280, 900)
        browser.colours("light")
        return profile, browser

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self._process = subprocess.Popen(
            [
                self._program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-background-timer-throttling",
                "--disable-backgrounding-occluded-windows",
                "--disable-component-update",
                "--disable-extensions",
                "--disable-renderer-backgrounding",
                "--no-first-run",
                "--no-startup-window",
                "--remote-debugging-port=0",
                f"--user-data-dir={self._folder.name}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # the wrapper script and all that the browser starts end together
        )
        try:
            file = Path(self._folder.name) / "DevToolsActivePort"
            wait_for(lambda: file.is_file() and file.read_text().count("\n"), "the browser")
            port, path = file.read_text().splitlines()[:2]
            self._address = f"ws://127.0.0.1:{port}"
            self._link = Link(self._address + path)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the program, even if it hangs."""
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(PATIENCE)
        self._process = None
        self._folder.cleanup()
