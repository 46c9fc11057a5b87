"""Names of frames, addresses without their secrets, options, and which frames are wanted."""

from __future__ import annotations

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.options.source import parse_control, parse_size
from dmdd_edge.runtime.sources import SourceOptions, open_source
from dmdd_edge.runtime.sources.names import UniqueNames, live_name
from dmdd_edge.runtime.sources.thinning import Thinner
from dmdd_edge.runtime.sources.urls import host_label, scheme_of


def test_parts_of_an_address() -> None:
    assert scheme_of("RTSP://cam/1") == "rtsp"
    assert scheme_of("a/b.png") == ""
    assert host_label("rtsp://u:p@10.0.0.7:554/x") == "10.0.0.7"
    assert host_label("http://[fe80::1]/x") == "fe80--1"
    assert host_label("rtsp:///x") == "stream"


def test_a_name_that_comes_again_gets_a_number() -> None:
    names = UniqueNames()
    assert names.take("a/part.png", 0) == "a/part.png"
    assert names.take("b/part.png", 1) == "b/part.png"
    assert names.take("a/part.png", 2) == "a/part-000002.png"
    assert names.take("a/part.png", 3) == "a/part-000003.png"
    assert names.take("a/part-000005.png", 4) == "a/part-000005.png"
    assert names.take("a/part.png", 5) == "a/part-000005-1.png"


def test_hardly_a_name_of_very_many_gets_a_number_for_nothing() -> None:
    names = UniqueNames()
    given = [names.take(f"{number}.png", number) for number in range(20_000)]
    assert len(set(given)) == 20_000
    assert sum(name != f"{number}.png" for number, name in enumerate(given)) < 5


def test_the_name_of_a_live_frame() -> None:
    assert live_name("video0", 0.9996, 12) == "video0/1970-01-01/00-00-00-999-000012"


def test_each_third_frame() -> None:
    thinner = Thinner(every=3)
    assert [thinner.wants(0.0) for _ in range(7)] == [True, False, False, True, False, False, True]


def test_a_limit_keeps_its_rate_although_frames_jitter() -> None:
    thinner = Thinner(fps=10)
    # 30 frames per second, each second one 1 ms early: by the distance to the one before, 7.5 would be taken.
    times = [number / 30 - 0.001 * (number % 2) for number in range(300)]
    assert sum(thinner.wants(time) for time in times) == pytest.approx(100, abs=1)


def test_a_limit_makes_nothing_up_after_a_pause() -> None:
    thinner = Thinner(fps=10)
    assert thinner.wants(0.0)
    assert [thinner.wants(100.0 + number / 100) for number in range(11)].count(True) == 2


def test_a_slow_camera_is_not_held_back_by_a_limit() -> None:
    thinner = Thinner(fps=10)
    assert all(thinner.wants(number / 4) for number in range(20))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"every": 0}, "--every is 0; it must be at least 1"),
        ({"fps": 0}, "--fps is 0; it must be more than 0"),
        ({"fps": float("nan")}, "--fps is nan"),
        ({"watch_settle": -1}, "--watch-settle is -1"),
        ({"stream_timeout": float("inf")}, "--stream-timeout is inf"),
        ({"camera_size": (0, 480)}, "--camera-size is 0; it must be at least 1"),
    ],
)
def test_options_out_of_their_range(fields: dict[str, object], message: str) -> None:
    with pytest.raises(DmddError, match=message):
        SourceOptions(**fields)  # type: ignore[arg-type]


def test_options_as_they_are_written() -> None:
    assert parse_size("1920x1080") == (1920, 1080)
    assert parse_control("focus_absolute=-3") == ("focus_absolute", -3)
    for size in ("1920", "x", "1920x", "0x10", "1920x1080x3", "-1x5"):
        with pytest.raises(DmddError, match=f"--camera-size is '{size}'") as caught:
            parse_size(size)
        assert "1920x1080" in caught.value.fix
    for control in ("focus", "=3", "focus=near"):
        with pytest.raises(DmddError, match="NAME=NUMBER"):
            parse_control(control)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("images", {"fps": 5.0}, "--fps applies to a camera and a CSI camera and .* only, not to images"),
        ("images", {"exposure": 5.0}, "--exposure applies to .* not to images"),
        ("rtsp://u:p@cam/x", {"gain": 1}, r"--gain applies to .* not to rtsp://\*\*\*@cam/x"),
        (
            "/dev/video0",
            {"stream_timeout": 1.0},
            "--stream-timeout applies to a GenICam camera and a stream only, not to /dev/video0",
        ),
        ("csi://0", {"white_balance": 4000}, "--white-balance applies to a camera only, not to csi://0"),
        (
            "replay:a.mp4",
            {"watch_existing": True},
            "--watch-existing applies to a watched folder only, not to replay:a.mp4",
        ),
    ],
)
def test_an_option_that_the_source_could_only_ignore_is_refused(
    source: str, options: dict[str, object], message: str
) -> None:
    with pytest.raises(DmddError, match=message):
        open_source(source, SourceOptions(**options))  # type: ignore[arg-type]


def test_a_path_that_cannot_be_looked_at() -> None:
    with pytest.raises(DmddError, match=r"Cannot read x+\.png: File name too long"):
        open_source("x" * 5000 + ".png")


@pytest.mark.parametrize("source", ["ftp://u:secret@cam/x", "rtmp://cam/x", "s3://bucket/x.png"])
def test_an_unknown_scheme(source: str) -> None:
    with pytest.raises(DmddError, match="unsupported source scheme") as caught:
        open_source(source)
    assert "secret" not in str(caught.value)
    assert "rtsp://, http:// or https://" in caught.value.fix
