"""The review in a real browser: Debian's chromium, or what DMDD_CHROMIUM names."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.runtime.archive.feedback import Feedback
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.page.review.page import ReviewPage
from tests.runtime.archive.shelf import drop, keep, record_of, stocked
from tests.runtime.page.chromium import Browser, Chromium, wait_for
from tests.runtime.page.looks import fits, shows

pytestmark = pytest.mark.slow
TOKEN = "correct-horse-battery"
WORDS = {"g": "good", "b": "bad", "u": "unsure"}
READY = "document.getElementById('say-good').disabled === false"


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFolder:
    return stocked(tmp_path / "archive", 12)


@pytest.fixture
def page(archive: ArchiveFolder) -> Iterator[ReviewPage]:
    page = ReviewPage("127.0.0.1:0", archive.path, TOKEN)
    yield page
    page.close()


@pytest.fixture
def second(chromium: Chromium) -> Iterator[Browser]:
    """A browser of somebody else, with another profile."""
    with chromium.tab() as second:
        yield second


def enter(browser: Browser, url: str, who: str = "Ann") -> None:
    """Open the review with its token, as a person who has given a name before."""
    browser.open(url)
    browser.js(f"localStorage.setItem('dmdd-edge-who', '{who}')")
    browser.open("about:blank")
    browser.open(f"{url}#token={TOKEN}")
    browser.until(READY)
    shows(browser, "#link", "Ready")


def press(browser: Browser, key: str) -> None:
    more: dict[str, Any] = {"text": key} if len(key) == 1 else {}
    if key == "Escape":
        more = {"windowsVirtualKeyCode": 27}  # the browser itself closes a dialog, and knows keys by number
    browser.call("Input.dispatchKeyEvent", type="keyDown", key=key, **more)
    browser.call("Input.dispatchKeyEvent", type="keyUp", key=key)


def judge(browser: Browser, key: str) -> None:
    """Give a verdict on the image that is seen, once it is seen."""
    browser.until(READY)
    press(browser, key)


def choose(browser: Browser, field: str, value: str) -> None:
    """Set a field of the filter."""
    browser.js(
        f"(e => {{ e.value = '{value}'; e.dispatchEvent(new Event('change')); }})"
        f"(document.getElementById('{field}'))"
    )


def given(archive: ArchiveFolder) -> dict[int, tuple[str, str]]:
    """The verdicts in force: verdict and person by number of the image."""
    return {int(name[-4:]): (each.verdict, each.who) for name, each in archive.feedback.latest().items()}


def current(browser: Browser) -> int:
    """The number of the image that is seen; its source is named with it."""
    return int(browser.text("#fact-source").rsplit(" ", 1)[1])


def serve(archive: Path, port: int = 0) -> tuple[subprocess.Popen[str], str]:
    """The command itself; also its address."""
    code = "from dmdd_edge.cli.main import main; main()"
    program = [sys.executable, "-c", code, "review", str(archive), "--serve", str(port)]
    process = subprocess.Popen(
        [*program, "--serve-token-env", "REVIEW_TOKEN"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "REVIEW_TOKEN": TOKEN},
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    while "review page: " not in line:
        assert line, "it ended"
        line = process.stderr.readline()
    return process, line.split()[-1]


def test_150_images_are_reviewed_by_keyboard_through_a_kill(browser: Browser, tmp_path: Path) -> None:
    archive = stocked(tmp_path / "archive", 150)
    process, url = serve(archive.path)
    port = int(re.findall(r":(\d+)/", url)[0])
    wanted = {}
    try:
        enter(browser, url)
        for number in range(149, -1, -1):
            if number == 75:
                # Killed with verdicts on their way: whatever the page called saved must be there.
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                saved = int(browser.text("#progress-text").split()[0])
                assert len(given(archive)) >= saved >= 50
                process, url = serve(archive.path, port)
            browser.until(
                f"{READY} && document.getElementById('fact-source').innerText.endsWith(' {number}')"
            )
            key = "gbu"[number % 3]
            wanted[number] = (WORDS[key], "Ann")
            press(browser, key)
        shows(browser, "#progress-text", "150 of 150 reviewed: 50 good, 50 bad, 50 unsure")
        shows(browser, "#empty", "Everything is reviewed here.")
        assert browser.js("document.getElementById('unsaved').hidden") is True
        assert given(archive) == wanted
        assert len(list(archive.feedback.history())) == 150
    finally:
        process.kill()
        process.wait()


def test_two_reviewers_see_each_other_and_lose_nothing(
    browser: Browser, second: Browser, archive: ArchiveFolder, page: ReviewPage
) -> None:
    enter(browser, page.url, "Ann")
    enter(second, page.url, "Bo")
    assert (current(browser), current(second)) == (11, 11)
    press(browser, "g")
    shows(second, "#given", "Good: saved, Ann")
    # Bo has seen it, so his verdict replaces hers; hers stays in the file.
    press(second, "b")
    wait_for(lambda: given(archive).get(11) == ("bad", "Bo"), "Bo's verdict")
    press(browser, "ArrowLeft")
    shows(browser, "#given", "Bad: saved, Bo")
    press(browser, "ArrowRight")
    browser.until(READY)
    # Both go through the rest, each faster than it hears of the other. A verdict that the server has
    # acknowledged is one that the page calls saved.
    people = {"Ann": (browser, "g"), "Bo": (second, "u")}
    for person, key in people.values():
        person.js(
            "window.saved = 0; window.kept = window.fetch; window.fetch = async (path, ...rest) => { "
            "const answer = await window.kept(path, ...rest); "
            "if (answer.ok && String(path).includes('/verdict')) window.saved += 1; return answer; };"
            f"window.going = setInterval(() => document.getElementById('say-{WORDS[key]}').click(), 30)"
        )
    for person, _ in people.values():
        shows(person, "#progress-text", "12 of 12 reviewed")
        shows(person, "#empty", "Everything is reviewed here.")
        person.js("clearInterval(window.going)")

    def agreed() -> bool:
        """Both pages and the archive, once no verdict is on its way."""
        lines = Counter(each.who for each in list(archive.feedback.history())[2:])
        words = Counter(verdict for verdict, _ in given(archive).values())
        text = f"12 of 12 reviewed: {words['good']} good, {words['bad']} bad, {words['unsure']} unsure"
        return all(
            lines[who] == page.js("saved") and page.text("#progress-text") == text
            for who, (page, _) in people.items()
        )

    wait_for(agreed, "both pages to show what the archive has")
    history = list(archive.feedback.history())
    assert [(one.verdict, one.who) for one in history[:2]] == [("good", "Ann"), ("bad", "Bo")]


def test_a_verdict_that_was_not_seen_is_asked_again(
    browser: Browser, archive: ArchiveFolder, page: ReviewPage
) -> None:
    enter(browser, page.url)
    # Somebody is faster by less than the page needs to hear of it: the page hears nothing now.
    browser.js(
        "window.kept = window.fetch; window.fetch = (path, ...rest) => "
        "String(path).includes('/state') ? new Promise(() => {}) : window.kept(path, ...rest)"
    )
    archive.feedback.add(Feedback.on(record_of(11), "bad", "Bo"))
    press(browser, "g")
    shows(browser, "#said", "Not saved: Bo said bad meanwhile")
    browser.until(f"{READY} && document.getElementById('fact-source').innerText.endsWith(' 11')")
    assert given(archive) == {11: ("bad", "Bo")}
    press(browser, "g")
    wait_for(lambda: given(archive) == {11: ("good", "Ann")}, "the verdict that was given again")


def test_an_image_that_could_not_be_fetched_is_tried_again(
    browser: Browser, archive: ArchiveFolder, page: ReviewPage
) -> None:
    enter(browser, page.url)
    # The server goes while images are on their way; those next to the one that is seen were fetched before.
    browser.js(
        "window.kept = window.fetch; window.fetch = (path, ...rest) => "
        "/[.]jpg|item/.test(path) ? Promise.reject(new TypeError('Failed to fetch'))"
        " : window.kept(path, ...rest)"
    )
    for _ in range(3):
        press(browser, "j")
    shows(browser, "#empty", "The image could not be fetched. Retrying.")
    browser.js("window.fetch = window.kept")
    browser.until(f"{READY} && document.getElementById('fact-source').innerText.endsWith(' 8')")
    judge(browser, "g")
    wait_for(lambda: given(archive) == {8: ("good", "Ann")}, "the verdict")


def test_keys_move_undo_and_filter(browser: Browser, archive: ArchiveFolder, page: ReviewPage) -> None:
    enter(browser, page.url)
    for key, number in (("j", 10), ("ArrowRight", 9), ("k", 10), ("ArrowLeft", 11)):
        press(browser, key)
        browser.until(f"{READY} && document.getElementById('fact-source').innerText.endsWith(' {number}')")
    press(browser, "k")
    shows(browser, "#said", "There is no newer image.")
    judge(browser, "b")
    wait_for(lambda: given(archive) == {11: ("bad", "Ann")}, "the verdict")
    browser.until(f"{READY} && document.getElementById('fact-source').innerText.endsWith(' 10')")
    press(browser, "z")
    wait_for(lambda: given(archive) == {}, "the undo")
    browser.until(f"{READY} && document.getElementById('fact-source').innerText.endsWith(' 11')")
    shows(browser, "#given", "No verdict yet")
    assert [each.verdict for each in archive.feedback.history()] == ["bad", "none"]
    overlay = "document.getElementById('overlay').getAttribute('aria-pressed')"
    press(browser, "o")
    assert browser.js(overlay) == "false"
    browser.until("document.getElementById('image').naturalWidth === 32")
    press(browser, "o")
    browser.until("document.getElementById('image').naturalWidth === 320")
    press(browser, "?")
    browser.until("document.getElementById('help-dialog').open")
    press(browser, "g")
    press(browser, "Escape")
    browser.until("!document.getElementById('help-dialog').open")
    press(browser, "f")
    browser.until("document.activeElement.id === 'filter-verdict'")
    shows(browser, "#filter-now", "Not reviewed")
    choose(browser, "filter-status", "anomalous")
    shows(browser, "#progress-text", "0 of 4 reviewed")
    browser.until(f"{READY} && document.getElementById('fact-source').innerText.endsWith(' 9')")
    browser.js("document.activeElement.blur()")
    press(browser, "j")
    browser.until(f"{READY} && document.getElementById('fact-source').innerText.endsWith(' 6')")
    assert given(archive) == {}, "a letter in a dialog or a field is no verdict"
    assert browser.complaints == []


def test_times_are_those_of_the_browser(browser: Browser, archive: ArchiveFolder, page: ReviewPage) -> None:
    browser.call("Emulation.setTimezoneOverride", timezoneId="Asia/Kolkata")
    enter(browser, page.url)
    assert "13:30:11" in browser.text("#fact-time"), "08:00:11 in UTC"
    choose(browser, "filter-since", "2026-11-29T13:31")
    shows(browser, "#progress-text", "0 of 0 reviewed")
    choose(browser, "filter-since", "2026-11-29T13:30")
    shows(browser, "#progress-text", "0 of 12 reviewed")


def test_a_name_is_asked_once_and_the_token_when_it_is_missing(
    browser: Browser, archive: ArchiveFolder, page: ReviewPage
) -> None:
    browser.open(page.url)
    browser.until(READY)
    press(browser, "b")
    browser.until("document.getElementById('who-dialog').open")
    browser.js("document.getElementById('who-name').value = ' Zoë '")
    browser.js("document.querySelector('#who-form button').click()")
    shows(browser, "#unsaved", "1 verdict is not saved. Enter the token to save.")
    shows(browser, "#who", "You are Zoë")
    judge(browser, "g")
    shows(browser, "#unsaved", "2 verdicts are not saved.")
    assert given(archive) == {}
    browser.js(f"document.getElementById('token').value = '{TOKEN}'")
    browser.js("document.querySelector('#token-form button').click()")
    wait_for(lambda: given(archive) == {11: ("bad", "Zoë"), 10: ("good", "Zoë")}, "the verdicts")
    browser.until("document.getElementById('unsaved').hidden")


def test_leaving_asks_while_a_verdict_is_not_saved(
    browser: Browser, archive: ArchiveFolder, page: ReviewPage
) -> None:
    enter(browser, page.url)
    judge(browser, "g")
    wait_for(lambda: given(archive) == {11: ("good", "Ann")}, "the verdict")
    wait_for(lambda: browser.text("#progress-text").split()[0] == "1", "the page that has the answer")
    browser.open("about:blank")
    assert browser.dialogs == [], "all is saved"
    enter(browser, page.url)
    page.close()
    judge(browser, "b")
    shows(browser, "#unsaved", "1 verdict is not saved.")
    browser.open("about:blank")
    assert browser.dialogs == ["beforeunload"]


def test_deleted_and_new_images(browser: Browser, archive: ArchiveFolder, page: ReviewPage) -> None:
    enter(browser, page.url)
    for number in (8, 7):
        drop(archive, record_of(number))
    for number in (10, 9, 6):
        press(browser, "j")
        browser.until(f"{READY} && document.getElementById('fact-source').innerText.endsWith(' {number}')")
    shows(browser, "#said", "deleted by the archive meanwhile")
    keep(archive, record_of(12))
    shows(browser, "#newest", "1 newer")
    browser.js("document.getElementById('newest').click()")
    browser.until(f"{READY} && document.getElementById('fact-source').innerText.endsWith(' 12')")


def test_it_fits_a_phone_and_is_labelled(browser: Browser, archive: ArchiveFolder, page: ReviewPage) -> None:
    enter(browser, page.url)
    browser.js("document.getElementById('filter').open = true")
    for scheme in ("light", "dark"):
        browser.colours(scheme)
        for width in (360, 768, 1280):
            browser.resize(width, 800, phone=width < 768)
            fits(browser, width)
    assert browser.js("[...document.querySelectorAll('select')].every(e => e.labels.length === 1)")
    assert browser.js("document.getElementById('image').alt").startswith("Image of ")
    browser.resize(360, 740, phone=True)
    box = browser.js("document.getElementById('say-bad').getBoundingClientRect().toJSON()")
    spot = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    assert spot["y"] < 740, "in reach without scrolling"
    browser.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[spot])
    browser.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    wait_for(lambda: given(archive) == {11: ("bad", "Ann")}, "the verdict that was tapped")
    elsewhere = [each for each in browser.requests if not each.startswith((page.url, f"blob:{page.url}"))]
    assert [each for each in elsewhere if not each.startswith(("data:", "about:"))] == []
    assert browser.complaints == []
