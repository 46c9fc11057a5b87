"""Addresses are shown without their secrets, wherever they come from."""

from __future__ import annotations

import pytest

from dmdd_edge import DmddError
from dmdd_edge.messages.addresses import redacted, secret_parts, split_address


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://10.0.0.7:554/main", "rtsp://10.0.0.7:554/main"),
        ("rtsp://line:secret@10.0.0.7/main", "rtsp://***@10.0.0.7/main"),
        ("rtsp://line:se/c@re?t@10.0.0.7/main", "rtsp://***@10.0.0.7/main"),
        ("rtsp://line:my pass\nword@10.0.0.7/main", "rtsp://***@10.0.0.7/main"),
        ("rtsp://admin:pa]s[s@10.0.0.7/x", "rtsp://***@10.0.0.7/x"),
        ("http://cam/snap.cgi?usr=a&pwd=b&size=1", "http://cam/snap.cgi?usr=***&pwd=***&size=1"),
        ("https://cam/x?access_token=abc", "https://cam/x?access_token=***"),
        ("https://cam/x?hunter2", "https://cam/x?***"),
        ("https://cam/x?k=v&channel=12&area=640x480", "https://cam/x?k=***&channel=12&area=640x480"),
        ("https://u:p@h/results-of-the-line/3?k=v", "https://***@h/results-of-the-line/3?k=***"),
        ("https://hooks/T024BE7LD/aB3dE5gH7jK9mN1pQ3", "https://hooks/T024BE7LD/***"),
        ("http://camera12.plant.example/line3_recording_01.mp4",) * 2,
        ("rtsp://cam/user=a_password=b_channel=1.sdp", "rtsp://cam/user=***_password=***_channel=1.sdp"),
        ("cannot open 'http://u:p@cam/x': no", "cannot open 'http://***@cam/x': no"),
        ("a rtsp://a:b@h/x, then http://c:d@k/y", "a rtsp://***@h/x, then http://***@k/y"),
        ("user:hunter2@h/t", "***@h/t"),
        ("models/screw@cpu", "models/screw@cpu"),
        ("C:/images/keys", "C:/images/keys"),
    ],
)
def test_what_is_shown_of_an_address(address: str, shown: str) -> None:
    assert redacted(address) == shown
    assert redacted(shown) == shown


def test_the_secrets_of_an_address() -> None:
    assert secret_parts("rtsp://line:secret@h/x?channel=1&key=abc") == {
        "line:secret",
        "line",
        "secret",
        "abc",
    }
    assert secret_parts("models/screw@cpu") == set()


@pytest.mark.parametrize(
    "url", ["rtsp://admin:pa]s[s@h/x", "http://u:secret@h:99999/x", "http://u:secret@h:x"]
)
def test_an_address_that_cannot_be_read_shows_no_password(url: str) -> None:
    with pytest.raises(DmddError, match="is not a valid address") as caught:
        split_address(url)
    shown = str(caught.value)
    assert not [part for part in ("pa]s", "s[s", "secret", "admin") if part in shown]
