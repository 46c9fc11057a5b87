"""The answers of the review: lists, images, verdicts; also of two reviewers at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DataError
from dmdd_edge.runtime.archive.choice import Choice
from dmdd_edge.runtime.archive.feedback import Feedback, FeedbackFile
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.record import Box
from dmdd_edge.runtime.archive.tally import Key
from dmdd_edge.runtime.archive.waiting import Waiting
from dmdd_edge.runtime.archive.writing import encoded, write_files
from dmdd_edge.runtime.page import open_page
from dmdd_edge.runtime.page.review.page import ReviewPage
from dmdd_edge.runtime.result import Result, Timings
from tests.runtime.archive.shelf import START, drop, gray, keep, name_of, record_of, stocked
from tests.runtime.page.a_run import FakeControl
from tests.runtime.page.asking import Answer, send
from tests.runtime.page.chromium import wait_for

TOKEN = "correct-horse-battery"
Ask = Callable[..., Answer]


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFolder:
    return stocked(tmp_path / "archive", 60)


@pytest.fixture
def ask(archive: ArchiveFolder) -> Iterator[Ask]:
    page = ReviewPage("127.0.0.1:0", archive.path, TOKEN)
    wait_for(lambda: not send(page.url, "/api/review/state").json["unread"], "the archive to be read")
    yield partial(send, page.url)
    page.close()


def judge(ask: Ask, number: int, verdict: str, who: str = "Ann", seen: int = 0, **headers: str) -> Answer:
    body = {"id": name_of(number), "verdict": verdict, "who": who, "seen": seen}
    return ask("/api/review/verdict", "POST", body, TOKEN, **headers)


def decoded(answer: Answer) -> NDArray[np.uint8]:
    image = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image.astype(np.uint8)


def names(answer: Answer) -> list[int]:
    return [int(item["id"][-4:]) for item in answer.json["items"]]


def test_the_page_is_served_without_anything_from_elsewhere(ask: Ask) -> None:
    home = ask("/")
    assert home.status == 200
    assert "default-src 'self'" in home.headers["Content-Security-Policy"]
    assert home.body == ask("/review.html").body
    text = home.body.decode()
    assert "http" not in text.replace("http-equiv", "")
    assert ask("/review.js").status == ask("/review.css").status == 200


def test_images_are_listed_in_pages(ask: Ask) -> None:
    first = ask("/api/review/list")
    assert names(first) == list(range(59, 9, -1))
    assert first.json["more"] is True
    assert first.json["items"][0] == {
        "id": name_of(59),
        "status": "good",
        "kept": "sample",
        "category": "plate",
        "inspection": "",
        "time": START.timestamp() + 59,
        "given": None,
    }
    rest = ask(f"/api/review/list?than={name_of(10)}")
    assert (names(rest), rest.json["more"]) == (list(range(9, -1, -1)), False)
    assert names(ask(f"/api/review/list?newer=1&than={name_of(57)}")) == [58, 59]
    assert names(ask("/api/review/list?status=anomalous&since=1795939200&until=1795939206")) == [6, 3, 0]
    assert names(ask("/api/review/list?kept=nothing")) == []


def test_the_state_says_how_far_the_review_is(ask: Ask, archive: ArchiveFolder) -> None:
    for number, verdict in ((0, "good"), (3, "bad"), (6, "unsure"), (1, "good")):
        assert judge(ask, number, verdict).status == 200
    state = ask("/api/review/state?status=anomalous&after=0").json
    assert state["progress"] == {"records": 20, "reviewed": 3, "good": 1, "bad": 1, "unsure": 1}
    assert state["facets"] == {
        "status": {"anomalous": 20, "good": 40},
        "kept": {"anomalous": 20, "close": 20, "sample": 20},
        "parts": [{"category": "plate", "inspection": "", "records": 60}],
    }
    assert [(given["id"], given["verdict"], given["who"]) for given in state["news"]] == [
        (name_of(number), verdict, "Ann")
        for number, verdict in ((0, "good"), (3, "bad"), (6, "unsure"), (1, "good"))
    ]
    assert state["number"] == state["news"][-1]["number"] == archive.feedback.path.stat().st_size
    assert (state["archive"], state["live"], state["newer"]) == ("archive", False, 0)
    assert ask(f"/api/review/state?after={state['number']}").json["news"] == []
    assert ask(f"/api/review/state?first={name_of(50)}").json["newer"] == 9
    assert names(ask("/api/review/list?verdict=done")) == [6, 3, 1, 0]
    assert names(ask("/api/review/list?verdict=bad")) == [3]
    assert len(ask("/api/review/list?verdict=open&status=anomalous").json["items"]) == 17


def test_an_image_is_shown_with_its_map_in_fixed_colors(ask: Ask, archive: ArchiveFolder) -> None:
    facts = ask(f"/api/review/item?id={name_of(3)}").json
    assert (facts["score"], facts["threshold"], facts["kept"]) == (0.75, 0.5, "anomalous")
    assert facts["regions"] == [{"x": 8, "y": 6, "width": 10, "height": 4, "area": 30, "peak": 0.75}]

    def seen(number: int, query: str = "") -> NDArray[np.uint8]:
        answer = ask(f"/review/{name_of(number)}.jpg{query}")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/jpeg")
        return decoded(answer)

    plain = seen(3, "?overlay=0")
    assert plain.shape == (24, 32, 3)
    assert np.abs(plain.astype(int) - 3).max() <= 3, "the image itself"
    # 0.75 of a threshold of 0.5 is three quarters of the scale: orange that covers 60 %.
    corner = seen(3)[-4:, -4:].reshape(-1, 3).mean(0)
    assert corner == pytest.approx([0.4 * 3, 0.6 * 120 + 0.4 * 3, 0.6 * 255 + 0.4 * 3], abs=6)
    faint = seen(5)[-4:, -4:].reshape(-1, 3).mean(0)  # a tenth of the scale: 4.8 % of a blue
    assert faint == pytest.approx(5, abs=16)
    keep(archive, record_of(60, map=""))
    assert seen(60).shape == (240, 320, 3), "enlarged as an overlay is, without a map"


def test_regions_are_shown_at_full_resolution_on_request(ask: Ask, archive: ArchiveFolder) -> None:
    image = np.full((600, 800, 3), 40, np.uint8)
    image[300:312, 500:512] = (0, 250, 0)
    box = Box(x=500, y=300, width=12, height=12, area=144, peak=0.75)
    record = record_of(63, regions=(box,), status="anomalous")
    keep(archive, record, image)
    drawn = decoded(ask(f"/review/{record.id}.jpg?closeups=1"))
    green = (drawn[..., 1] > 180) & (drawn[..., 2] < 90)
    # 96 pixels of the image on 416: 12 become 52 each way.
    assert np.sqrt(np.count_nonzero(green)) == pytest.approx(52, abs=4)
    plain = record_of(64, regions=(), status="good")
    keep(archive, plain, image)
    shown = ask(f"/review/{plain.id}.jpg?closeups=1&overlay=0")
    assert decoded(shown).shape == (600, 800, 3), "an image without a region stays whole"


@pytest.mark.parametrize("fit", ["pad", "crop"])
def test_a_padded_or_cropped_map_lies_where_it_was_seen(ask: Ask, archive: ArchiveFolder, fit: str) -> None:
    image = np.full((48, 96, 3), 60, np.uint8)
    hot = np.zeros((32, 32), np.float32)
    hot[8:16, 0:8] = 1.0  # the upper left corner of the padded image; below that of the cropped one
    preprocess = Preprocess(fit=fit)  # type: ignore[arg-type]
    geometry = preprocess.geometry(image.shape, 32)
    result = Result(
        "x", 0, "unreliable", 0.0, 0.9, 0.9, 0.5, True, hot, (), Timings(), 0, "", 0.5, preprocess, geometry
    )
    item = Waiting(image, 0, result, Choice("unreliable"), Key("plate", "1", "", 0.5, 0.0))
    name = name_of(65)
    write_files(archive.path, encoded(item, name, "png"), sync=False)
    shown = decoded(ask(f"/review/{name}.jpg"))
    rows, columns = np.nonzero(shown[..., 2] > 120)
    scale = shown.shape[1] / 96
    left, right = (0, 24) if fit == "pad" else (24, 36)
    top, bottom = (0, 24) if fit == "pad" else (12, 24)
    found = [columns.min() / scale, (columns.max() + 1) / scale, rows.min() / scale, (rows.max() + 1) / scale]
    assert found == pytest.approx([left, right, top, bottom], abs=2.5)


def test_the_map_lies_where_it_was_seen(ask: Ask, archive: ArchiveFolder) -> None:
    # The map is hot in its upper left corner; turned by 90 degrees that is the lower left of the region.
    record = record_of(61, roi=(16, 0, 16, 16), rotate=90, regions=())
    keep(archive, record, np.zeros((64, 64, 3), np.uint8))
    hot = np.zeros((16, 16), np.uint8)
    hot[:8, :8] = 255
    cv2.imwrite(str(archive.path / record.map), hot)
    answer = ask(f"/review/{record.id}.jpg")
    drawn = decoded(answer)
    scale = drawn.shape[0] // 64
    red = drawn[:, :, 2].reshape(64, scale, 64, scale).mean((1, 3))
    assert red[10:14, 18:22].min() > 100
    assert red[2:6, 18:22].max() < 60
    assert red[:, 34:].max() < 60


def test_a_verdict_needs_the_token_and_is_on_the_disk(ask: Ask, archive: ArchiveFolder) -> None:
    body = {"id": name_of(0), "verdict": "good", "who": "Ann", "seen": 0}
    assert ask("/api/review/verdict", "POST", body).status == 401
    refused = ask("/api/review/verdict", "POST", body, "wrong")
    assert (refused.status, refused.json["message"]) == (401, "The token does not match.")
    assert "Giving a verdict" in ask("/api/review/verdict", "POST", body).json["message"]
    assert judge(ask, 0, "good", Origin="http://example.com").status == 403
    assert ask("/api/review/verdict").status == 405
    assert not archive.feedback.path.exists()
    answer = judge(ask, 0, "good")
    assert answer.status == 200
    (line,) = archive.feedback.path.read_text().splitlines()
    kept = json.loads(line)
    assert {name: kept[name] for name in ("id", "verdict", "who", "status", "score", "kept")} == {
        "id": name_of(0),
        "verdict": "good",
        "who": "Ann",
        "status": "anomalous",
        "score": 0.75,
        "kept": "anomalous",
    }
    assert answer.json == {
        "number": archive.feedback.path.stat().st_size,
        **{name: kept[name] for name in ("id", "verdict", "who", "given")},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "fine"},
        {"verdict": None},
        {"id": 3},
        {"seen": "0"},
        {"seen": None},
        {"who": 5},
        {"who": "x" * 61},
        {"who": "Ann\x1b[0m"},
        {"who": "\u202eAnn"},
    ],
)
def test_what_is_no_verdict_is_refused(change: dict[str, object], ask: Ask, archive: ArchiveFolder) -> None:
    body = {"id": name_of(0), "verdict": "good", "who": "Ann", "seen": 0, **change}
    assert ask("/api/review/verdict", "POST", body, TOKEN).status == 400
    assert not archive.feedback.path.exists()


def test_a_verdict_that_is_sent_twice_is_kept_once(ask: Ask, archive: ArchiveFolder) -> None:
    # The answer was lost on the way, so the browser sends it again.
    first, second = judge(ask, 0, "good"), judge(ask, 0, "good")
    assert first.json == second.json
    assert len(list(archive.feedback.history())) == 1


def test_a_verdict_does_not_replace_one_that_its_giver_has_not_seen(ask: Ask, archive: ArchiveFolder) -> None:
    number = judge(ask, 0, "good", "Ann").json["number"]
    conflict = judge(ask, 0, "bad", "Bo")
    assert conflict.status == 409
    assert (conflict.json["given"]["who"], conflict.json["given"]["verdict"]) == ("Ann", "good")
    assert len(list(archive.feedback.history())) == 1
    assert judge(ask, 0, "bad", "Bo", seen=number).status == 200
    assert archive.feedback.latest()[name_of(0)].verdict == "bad"
    assert judge(ask, 0, "none", "Bo", seen=number).status == 409, "her own later verdict was not seen"


def test_verdicts_of_another_process_are_seen(ask: Ask, archive: ArchiveFolder) -> None:
    FeedbackFile(archive.feedback.path).add(Feedback.on(record_of(4), "bad", "Bo"))
    state = ask("/api/review/state?after=0").json
    assert [(given["id"], given["who"]) for given in state["news"]] == [(name_of(4), "Bo")]
    assert judge(ask, 4, "good").status == 409


def test_reviewers_at_once_lose_no_verdict(ask: Ask, archive: ArchiveFolder) -> None:
    def give(who: str, numbers: range) -> None:
        for number in numbers:
            assert judge(ask, number, "bad" if number % 3 == 0 else "good", who).status == 200

    people = [threading.Thread(target=give, args=(f"P{k}", range(k, 60, 4))) for k in range(4)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    found = archive.feedback.latest()
    assert {name: each.verdict for name, each in found.items()} == {
        name_of(number): "bad" if number % 3 == 0 else "good" for number in range(60)
    }
    assert {each.who for each in found.values()} == {"P0", "P1", "P2", "P3"}
    assert ask("/api/review/state").json["progress"]["reviewed"] == 60


def test_a_deleted_image_is_gone_and_one_just_seen_may_be_judged(ask: Ask, archive: ArchiveFolder) -> None:
    assert ask(f"/api/review/item?id={name_of(1)}").status == 200
    for number in (1, 2):
        drop(archive, record_of(number))
    assert ask(f"/review/{name_of(1)}.jpg").status == 410
    assert judge(ask, 1, "good").status == 200, "it was on the screen"
    assert judge(ask, 2, "good").status == 410
    assert ask(f"/api/review/item?id={name_of(2)}").status == 410
    assert ask(f"/review/{name_of(2)}.jpg").status == 410
    assert ask("/api/review/item?id=../archive").status == 410
    assert ask("/review/..%2farchive.jpg").status == 404
    assert [feedback.id for feedback in archive.feedback.history()] == [name_of(1)]


def test_a_damaged_image_is_named_and_the_others_are_shown(ask: Ask, archive: ArchiveFolder) -> None:
    (archive.path / record_of(1).image).write_bytes(b"not an image")
    answer = ask(f"/review/{name_of(1)}.jpg")
    assert (answer.status, record_of(1).image in answer.json["message"]) == (422, True)
    outside = record_of(2, image="kept/2026-11-29/link.png")
    keep(archive, outside)
    link = archive.path / outside.image
    link.unlink()
    link.symlink_to("/etc/hostname")
    link.with_name(f"{outside.id}.json").write_text(outside.model_dump_json())
    assert ask(f"/review/{outside.id}.jpg").status in (410, 422)
    assert ask(f"/review/{name_of(3)}.jpg").status == 200


def test_a_full_disk_is_said_and_the_verdict_is_not(
    ask: Ask, archive: ArchiveFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dmdd_edge.runtime.durable.appender import Appender

    def full(self: Appender, piece: bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Appender, "append", full)
        answer = judge(ask, 0, "good")
        assert (answer.status, "no space is left" in answer.json["message"]) == (503, True)
    assert judge(ask, 0, "good").status == 200
    assert [each.verdict for each in archive.feedback.history()] == ["good"]


def test_a_live_page_has_the_review_as_a_tab(tmp_path: Path) -> None:
    archive = stocked(tmp_path / "archive", 3)
    page = open_page("127.0.0.1:0", FakeControl(), TOKEN, archive.path)
    try:
        assert send(page.url, "/api/state").json["review"] is True
        assert send(page.url, "/api/review/state").json["live"] is True
        assert judge(partial(send, page.url), 0, "good").status == 200
        wrong = send(page.url, "/api/threshold", "POST", {"threshold": 0.5}).json["message"]
        assert wrong.startswith("Changing the threshold")
    finally:
        page.close()
    assert "page-review" not in "".join(thread.name for thread in threading.enumerate())


def test_without_an_archive_the_live_page_has_no_review() -> None:
    page = open_page("127.0.0.1:0", FakeControl(), TOKEN)
    try:
        assert send(page.url, "/api/state").json["review"] is False
        assert send(page.url, "/api/review/state").status == 404
    finally:
        page.close()


def test_a_folder_that_is_no_archive_takes_no_port(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not an archive"):
        ReviewPage("127.0.0.1:0", tmp_path, TOKEN)


def test_what_was_looked_at_stays_known_up_to_a_bound(ask: Ask, archive: ArchiveFolder) -> None:
    for number in range(60, 330):
        record = record_of(number, map="")
        keep(archive, record, gray(9))
        assert ask(f"/api/review/item?id={record.id}").status == 200
    drop(archive, record_of(60, map=""))
    drop(archive, record_of(329, map=""))
    assert judge(ask, 60, "good").status == 410
    assert judge(ask, 329, "good").status == 200
