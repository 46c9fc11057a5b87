"""The page in a real browser: Debian's chromium, or what DMDD_CHROMIUM names."""

from __future__ import annotations

from typing import Any

import pytest

from dmdd_edge.runtime.page import Page, open_page
from tests.runtime.page.a_run import BROKEN, FakeControl, feed, result_of
from tests.runtime.page.chromium import Browser, wait_for
from tests.runtime.page.looks import fits, shows

pytestmark = pytest.mark.slow


def test_the_page_shows_the_run(browser: Browser, page: Page, control: FakeControl) -> None:
    control.source.message = ""
    feed(control, page, result_of(0), result_of(1, 0.75, dropped=3), result_of(2, 0.125))
    control.statistics.skip()
    page.broken(BROKEN)
    browser.open(page.url)
    shows(browser, "#link", "Live")
    shows(browser, "#verdict", "Good")
    assert browser.text("#verdict-score") == "0.1250 ≤ 0.5000"
    assert "line/2.png" in browser.text("#caption")
    shown = [
        browser.text(f"#count-{name}") for name in ("good", "anomalous", "unreliable", "skipped", "dropped")
    ]
    assert shown == ["2", "1", "0", "1", "3"]
    assert [browser.text(f"#latency-{name}") for name in ("p50", "p90", "p99")] == ["10.0 ms", "n/a", "n/a"]
    assert [browser.text(name) for name in ("#category", "#bundle", "#backend")] == [
        "plate",
        control.version,
        "cpu",
    ]
    assert "ms" in browser.text("#ages"), "the source is live"
    assert browser.text("#source-size") == "96 × 64"
    assert browser.text("#source-reconnects") == "2"
    assert "the file is empty" in browser.text("#skipped")
    browser.until("document.getElementById('frame').naturalWidth === 384")
    # Status is shown by a word and by the shape of its sign, not by color alone.
    assert browser.js("document.querySelector('#verdict use').getAttribute('href')") == "#sign-good"
    feed(control, page, result_of(3, 0.9))
    shows(browser, "#verdict", "Anomalous")
    assert browser.js("document.querySelector('#verdict use').getAttribute('href')") == "#sign-anomalous"
    feed(control, page, result_of(4, float("nan"), "unreliable", reason="too dark"))
    shows(browser, "#verdict", "Unreliable")
    assert "too dark" in browser.text("#caption")
    assert browser.complaints == []


def test_the_trace_moves(browser: Browser, page: Page, control: FakeControl) -> None:
    feed(control, page, *(result_of(index, 0.2) for index in range(5)))
    browser.open(page.url)
    label = "document.querySelector('#score-trace svg').getAttribute('aria-label')"
    browser.until(f"{label}?.includes('last 5 frames')")
    series = "document.querySelector('#score-trace .series').getAttribute('d')"
    before = browser.js(series)
    assert before.count("L") == 4, "five points, four lines"
    feed(control, page, result_of(5, 0.8))
    browser.until(f"{label}.includes('last 6 frames')")
    after = browser.js(series)
    assert after != before
    assert after.count("L") == 5
    assert (
        browser.js("document.querySelector('#score-trace .marks-anomalous').getAttribute('d')").count("M")
        == 1
    )
    assert browser.js(label) == "Score, last 6 frames: 0.2000 to 0.8000, threshold 0.5000, 1 marked anomalous"
    # The score is read off where the pointer is: at the right end, the newest.
    browser.js(
        "(svg => { const box = svg.getBoundingClientRect();"
        "svg.dispatchEvent(new PointerEvent('pointermove', {clientX: box.right, clientY: box.top})); })"
        "(document.querySelector('#score-trace svg'))"
    )
    assert browser.text("#readout") == "frame 6: anomalous, score 0.8000, 10.0 ms"
    browser.js("document.querySelector('[name=span][value=hour]').click()")
    browser.until(f"{label}.includes('last hour')")
    assert "seconds ago" in browser.text("#oldest")
    assert browser.complaints == []


def test_the_threshold_is_changed_with_the_token(
    browser: Browser, page: Page, control: FakeControl, token: str
) -> None:
    feed(control, page, result_of(0, 0.25), result_of(1, 0.375), result_of(2, 0.75))
    browser.open(page.url)
    shows(browser, "#limit-now", "0.5000")
    assert browser.js("document.getElementById('limit-fields').disabled") is True
    assert "Read-only" in browser.text("#token-form")
    unlock = "document.querySelector('#token-form button').click()"
    browser.js(f"document.getElementById('token').value = 'wrong-token'; {unlock}")
    shows(browser, "#token-said", "The token does not match")
    assert browser.js("document.getElementById('limit-fields').disabled") is True
    browser.complaints.clear()  # the browser itself notes the refusal
    browser.js(f"document.getElementById('token').value = '{token}'; {unlock}")
    browser.until("!document.getElementById('limit-fields').disabled")
    assert browser.js("document.getElementById('token-form').hidden") is True

    def propose(text: str) -> None:
        browser.js(
            f"(e => {{ e.value = '{text}'; e.dispatchEvent(new Event('input')); }})"
            "(document.getElementById('limit-value'))"
        )

    propose("0,3")
    assert browser.text("#limit-preview") == (
        "At 0.3000, 2 of the last 3 frames would be anomalous; at 0.5000, 1."
    )
    assert browser.js("document.querySelector('#score-trace .preview').getAttribute('d')") != ""
    assert control.threshold == 0.5, "not yet"
    browser.js("document.getElementById('limit-set').click()")
    shows(browser, "#limit-said", "Now 0.3000, was 0.5000. For this run only.")
    assert control.threshold == 0.3
    shows(browser, "#limit-now", "0.3000")
    assert browser.complaints == []
    propose("1.5")
    browser.js("document.getElementById('limit-set').click()")
    shows(browser, "#limit-said", "a threshold of 1.5 is out of range. Choose 0 to 1.")
    propose("much")
    browser.js("document.getElementById('limit-set').click()")
    shows(browser, "#limit-said", "“much” is not a number")
    assert control.threshold == 0.3
    browser.js("document.getElementById('limit-undo').click()")
    assert browser.js("document.getElementById('limit-value').value") == "0.3"


def test_the_printed_address_brings_the_token(browser: Browser, control: FakeControl) -> None:
    page = open_page("127.0.0.1:0", control)
    try:
        (printed,) = [word for line in page.announcement for word in line.split() if "#token=" in word]
        browser.open(printed)
        browser.until("!document.getElementById('limit-fields').disabled")
        assert browser.js("location.href") == page.url, "it does not stay in the address"
        assert not any(page.token in request for request in browser.requests if "#" not in request)
        browser.call("Page.reload")
        browser.until("document.getElementById('limit-fields')?.disabled === false")
        assert browser.complaints == []
    finally:
        page.close()


def test_an_anomaly_opens_large(browser: Browser, page: Page, control: FakeControl) -> None:
    feed(control, page, result_of(0), result_of(1, 0.75))
    browser.open(page.url)
    browser.until("document.querySelector('#gallery img')?.naturalWidth > 0")
    feed(control, page, result_of(2, 0.875))
    browser.until("document.querySelectorAll('#gallery li').length === 2")
    assert browser.text("#gallery li:first-child").startswith("0.8750"), "the newest first"
    browser.js("document.querySelector('#gallery li:last-child button').click()")
    browser.until("document.getElementById('viewer').open")
    browser.until("document.getElementById('viewer-image').naturalWidth === 384")
    assert browser.text("#viewer-title") == "Frame 2, score 0.7500"
    assert "line/1.png" in browser.text("#viewer-caption")
    assert browser.js("document.getElementById('viewer-older').disabled") is True
    browser.js("document.getElementById('viewer-newer').click()")
    assert browser.text("#viewer-title") == "Frame 3, score 0.8750"
    browser.js("document.getElementById('viewer-close').click()")
    assert browser.js("document.getElementById('viewer').open") is False
    assert browser.complaints == []


def test_a_lost_source_and_a_lost_run_are_reported(
    browser: Browser, control: FakeControl, token: str
) -> None:
    page = open_page("127.0.0.1:0", control, token)
    try:
        feed(control, page, result_of(0))
        browser.open(page.url)
        shows(browser, "#link", "Live")
        shows(browser, "#verdict", "Good")
        control.source.connected = False
        control.source.message = "no answer, trying again in 4 s"
        control.message = "the bundle was not changed"
        shows(browser, "#link", "Source lost")
        assert browser.text("#trouble") == "Source: no answer, trying again in 4 s"
        assert browser.text("#message") == "the bundle was not changed"
        assert browser.text("#verdict").startswith("Last frame: Good"), "an old verdict is called old"
        control.source.connected = True
        shows(browser, "#link", "Live")
        assert browser.complaints == []
        page.close()
        shows(browser, "#link", "Connection lost")
        assert "The run has ended or is unreachable" in browser.text("#trouble")
        # Another run on the same port: the page continues with its figures.
        again = FakeControl(category="bottle")
        page = open_page(page.url.removeprefix("http://").rstrip("/"), again, token)
        feed(again, page, result_of(0, 0.8))
        shows(browser, "#link", "Live")
        shows(browser, "#category", "bottle")
        shows(browser, "#verdict", "Anomalous")
        label = "document.querySelector('#score-trace svg').getAttribute('aria-label')"
        browser.until(f"{label}.includes('last 1 frames')")
    finally:
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 320, 1280])
def test_the_page_fits_and_can_be_read(
    width: int, scheme: str, browser: Browser, page: Page, control: FakeControl
) -> None:
    control.source.name = (
        "rtsp://a-camera-with-a-long-name.factory.example:8554/streams/line-2/main?channel=1"
    )
    control.message = "x" * 200
    feed(control, page, *(result_of(index, 0.75 if index % 4 == 0 else 0.2) for index in range(40)))
    browser.resize(width, 844, phone=width < 500)
    browser.colours(scheme)
    browser.open(page.url)
    browser.until("document.getElementById('frame').naturalWidth === 384")
    browser.until("document.querySelectorAll('#gallery li').length > 0")
    fits(browser, width)
    assert browser.complaints == []


def test_nothing_is_asked_of_anybody_else(
    browser: Browser, page: Page, control: FakeControl, token: str
) -> None:
    feed(control, page, *(result_of(index, 0.75) for index in range(3)))
    browser.open(f"{page.url}#token={token}")
    browser.until("!document.getElementById('limit-fields').disabled")
    browser.until("document.querySelector('#gallery img')?.naturalWidth > 0")
    browser.js("document.querySelector('#gallery button').click()")
    browser.until("document.getElementById('viewer-image').naturalWidth > 0")
    asked = [request.removeprefix("blob:") for request in browser.requests]
    assert len(asked) > 10
    assert [request for request in asked if not request.startswith(page.url)] == []
    assert browser.complaints == []
    # Were something foreign in the page, the browser would refuse it.
    refused: Any = browser.js("fetch('http://192.0.2.1/').then(() => 'sent', () => 'refused')")
    assert refused == "refused"
    assert any("Content Security Policy" in text for text in browser.complaints)


def test_a_hidden_page_asks_for_nothing(browser: Browser, page: Page, control: FakeControl) -> None:
    feed(control, page, result_of(0))
    browser.open(page.url)
    shows(browser, "#link", "Live")
    browser.js(
        "Object.defineProperty(document, 'hidden', {get: () => window.away ?? false, configurable: true});"
        "window.away = true; window.asked = 0; window.real = fetch;"
        "window.fetch = (...given) => { window.asked += 1; return window.real(...given); }"
    )
    # Running requests end; then none is sent during six periods.
    asked = browser.js(
        "new Promise(done => setTimeout(() => { window.asked = 0; "
        "setTimeout(() => done(window.asked), 3000); }, 1500))"
    )
    assert asked == 0
    feed(control, page, result_of(1, 0.75))
    browser.js("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    shows(browser, "#verdict", "Anomalous")


def test_the_image_can_be_frozen_and_shown_plain(browser: Browser, page: Page, control: FakeControl) -> None:
    feed(control, page, result_of(0, 0.75))
    browser.open(page.url)
    shows(browser, "#verdict", "Anomalous")
    browser.js("document.getElementById('hold').click()")
    feed(control, page, result_of(1))
    shows(browser, "#count-good", "1")
    assert "Frame 1," in browser.text("#caption"), "the image is frozen, the counts continue"
    browser.js("document.getElementById('hold').click()")
    shows(browser, "#caption", "Frame 2,")
    feed(control, page, result_of(2, 0.75))
    shows(browser, "#caption", "Frame 3,")

    def red() -> int:
        return int(
            browser.js(
                "(image => { const c = document.createElement('canvas').getContext('2d');"
                "c.drawImage(image, 0, 0, 96, 64); return c.getImageData(36, 24, 1, 1).data[0]; })"
                "(document.getElementById('frame'))"
            )
        )

    wait_for(lambda: red() > 150, "the overlay")
    browser.js("document.getElementById('overlay').click()")
    wait_for(lambda: red() < 100, "the plain image")
