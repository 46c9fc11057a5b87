"""The page of a station in a real browser."""

from __future__ import annotations

import pytest

from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.page import StationPage, open_station_page
from tests.runtime.page.chromium import Browser, wait_for
from tests.runtime.page.looks import fits, shows
from tests.runtime.station.page.a_station import FakeStation, judged

pytestmark = pytest.mark.slow

TILES = "[...document.querySelectorAll('.tile')].map(e => e.innerText)"
TWO_IMAGES = "[...document.querySelectorAll('.tile img')].filter(e => e.naturalWidth === 384).length === 2"


def test_the_page_shows_the_station(browser: Browser, page: StationPage, station: FakeStation) -> None:
    judged(page, 1, lid=0.25, seal=0.75)
    station.sources["side"].connected = False
    station.sources["side"].message = "no answer, trying again in 4 s"
    browser.open(page.url)
    shows(browser, "#link", "Ready")
    assert browser.text("#name") == "line1"
    assert browser.text("#recipe") == "1 product 1"
    counts = [
        browser.text(f"#count-{name}") for name in ("passed", "anomalous", "unreliable", "late", "missed")
    ]
    assert counts == ["6", "2", "1", "1", "3"]
    assert browser.text("#latency-p50") == "12.5 ms"
    # A tile for each camera, with an image for each of its inspections.
    browser.until(TWO_IMAGES)
    top, side = (browser.text(f".tile:nth-child({place})") for place in (1, 2))
    assert "top" in top
    assert "Connected" in top
    assert "lid: Good" in top
    assert "0.2500 ≤ 0.5000" in top
    assert "Lost" in side
    assert "no answer, trying again in 4 s" in side
    assert "seal: Anomalous" in side
    assert "cap <b>" in side, "a name is text, whatever it holds"
    rows = browser.js("[...document.querySelectorAll('#inspections tr')].map(e => e.innerText.split('\\t'))")
    assert rows[0] == ["lid", "top", "lid 20261124-080000, cpu", "0.5000", "6", "2", "0", "1"]
    assert rows[2][2] == "not in force"
    assert browser.js("document.querySelector('#parts tr').innerText").split("\t")[1:4] == [
        "1001",
        "1",
        "Anomalous",
    ]
    shows(browser, "#signals", "AcquisitionID\n42")
    shows(browser, "#commands", "PartID\n70000")
    browser.until("document.querySelector('#gallery img')?.naturalWidth > 0")
    browser.js("document.querySelector('#gallery button').click()")
    assert browser.text("#viewer-title") == "Part 1, score 0.7500"
    browser.js("document.getElementById('viewer-close').click()")
    # What changes is seen without loading the page again.
    judged(page, 2, lid=0.75)
    shows(browser, ".tile:nth-child(1)", "lid: Anomalous")
    station.desk.change(ready=False, changing_to=12)
    shows(browser, "#link", "Loading recipe 12")
    station.desk.change(
        changing_to=0, fault=True, code=ErrorCode.CAMERA_LOST, message="Camera side: no answer"
    )
    shows(browser, "#link", "Fault 5")
    assert browser.text("#trouble") == "Camera side: no answer"
    station.counts.problem = "/state cannot be written: no space is left on the disk."
    shows(browser, "#message", "no space is left")
    assert browser.complaints == []


def test_recipe_and_fault_are_changed_with_the_token(
    browser: Browser, page: StationPage, station: FakeStation, token: str
) -> None:
    browser.open(page.url)
    shows(browser, "#link", "Ready")
    locked = "[...document.querySelectorAll('.change')].every(e => e.disabled)"
    assert browser.js(locked) is True
    unlock = "document.querySelector('#token-form button').click()"
    browser.js(f"document.getElementById('token').value = 'wrong-token'; {unlock}")
    shows(browser, "#token-said", "The token does not match")
    assert browser.js(locked) is True
    browser.complaints.clear()  # the browser itself notes the refusal
    browser.js(f"document.getElementById('token').value = '{token}'; {unlock}")
    button = "document.querySelector('#recipes tr:nth-child(2) button')"
    browser.until(f"!{button}.disabled")
    assert browser.js("document.querySelector('#recipes tr:nth-child(1) button').disabled") is True
    browser.js(f"{button}.click()")
    shows(browser, "#said", "Recipe 12 was requested")
    assert station.desk.requested == [12]
    station.desk.change(recipe=12, recipe_name="product 12")
    shows(browser, "#recipe", "12 product 12")
    browser.until(f"{button}.disabled && {button}.textContent === 'In force'")
    browser.js("document.getElementById('trigger').click()")
    shows(browser, "#said", "Part 7 was triggered")
    browser.js("document.getElementById('clear').click()")
    wait_for(lambda: station.desk.cleared == 1, "the fault to be cleared")
    assert browser.complaints == []


def test_another_station_at_the_same_address(browser: Browser, station: FakeStation, token: str) -> None:
    page = open_station_page("127.0.0.1:0", station.settings, token)
    page.show(station.view())
    try:
        judged(page, 1, lid=0.25)
        browser.open(page.url)
        shows(browser, "#link", "Ready")
        shows(browser, ".tile:nth-child(1)", "lid: Good")
        page.close()
        shows(browser, "#link", "Connection lost")
        page = open_station_page(page.url.removeprefix("http://").rstrip("/"), station.settings, token)
        page.show(station.view())
        judged(page, 1, lid=0.75)
        shows(browser, "#link", "Ready")
        wait_for(lambda: "lid: Anomalous" in browser.js(TILES)[0], "the image of the other station")
        assert browser.js("document.querySelectorAll('.tile').length") == 2
    finally:
        page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 1280])
def test_the_page_fits_and_can_be_read(
    width: int, scheme: str, browser: Browser, page: StationPage, station: FakeStation, token: str
) -> None:
    station.sources["top"].message = "x" * 200
    for number in range(1, 25):
        judged(page, number, late=number % 5 == 0, lid=0.75 if number % 4 == 0 else 0.2, seal=0.1)
    browser.resize(width, 844, phone=width < 500)
    browser.colours(scheme)
    browser.open(f"{page.url}#token={token}")
    browser.until(TWO_IMAGES)
    browser.until("document.querySelectorAll('#gallery li').length > 0")
    browser.until("!document.querySelector('#clear').disabled")
    fits(browser, width)
    assert browser.complaints == []
