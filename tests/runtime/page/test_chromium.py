"""The browser of the tests: what one test leaves behind does not reach the next."""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.page import devtools
from tests.runtime.page.chromium import Browser, Chromium

exceptions = pytest.importorskip("websockets.exceptions", reason="needs websockets>=13.1")
server = pytest.importorskip("websockets.sync.server", reason="needs websockets>=13.1")

pytestmark = pytest.mark.slow


@pytest.fixture
def url(tmp_path: Path) -> str:
    file = tmp_path / "page.html"
    file.write_text("<body>a page")
    return file.as_uri()


def test_a_tab_that_wants_to_stay_is_left(browser: Browser, url: str) -> None:
    browser.open(url)
    browser.js("addEventListener('beforeunload', (event) => event.preventDefault()); 0")
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="g", text="g")  # asked only after a key
    browser.open("about:blank")
    assert browser.dialogs == ["beforeunload"]
    assert browser.js("prompt('Name?', 'Ann')") == ""
    assert browser.dialogs == ["beforeunload", "prompt"]


def test_tabs_share_nothing(chromium: Chromium, url: str) -> None:
    for value in ("first", "second"):
        with chromium.tab() as tab:
            tab.open(url)
            assert tab.js("localStorage.getItem('left')") is None
            tab.js(f"localStorage.setItem('left', '{value}')")
            tab.js("console.error('left')")
            assert len(tab.complaints) == 1


def test_a_browser_that_died_is_started_again(chromium: Chromium, url: str) -> None:
    with chromium.tab() as tab:
        tab.open(url)
        with pytest.raises(exceptions.ConnectionClosed):
            tab.call("Browser.crash")
    with chromium.tab() as tab:
        tab.open(url)
        assert tab.text("body") == "a page"


def test_a_browser_that_says_nothing_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events do not prolong the wait."""
    monkeypatch.setattr(devtools, "ANSWER", 0.3)
    event = json.dumps({"method": "Page.frameResized", "params": {}})

    def busy(connection: Any) -> None:
        with suppress(exceptions.ConnectionClosed):
            while True:
                connection.send(event)
                time.sleep(0.05)

    with server.serve(busy, "127.0.0.1", 0) as listening:
        threading.Thread(target=listening.serve_forever).start()
        address = f"ws://127.0.0.1:{listening.socket.getsockname()[1]}"
        with closing(devtools.Link(address)) as link:
            begun = time.monotonic()
            with pytest.raises(TimeoutError, match=r"no answer to Page\.navigate within 0\.3 s"):
                link.call("Page.navigate", url="about:blank")
            assert 0.3 <= time.monotonic() - begun < 20
        listening.shutdown()
