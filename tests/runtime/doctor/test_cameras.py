from __future__ import annotations

import errno
import grp
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.runtime.doctor import cameras
from dmdd_edge.runtime.doctor.cameras import examine_cameras
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.subprocess_call import Reply, call

C920: dict[str, Any] = {
    "card": "HD Pro Webcam C920",
    "modes": [
        ["YUYV", 640, 480, 30.0],
        ["YUYV", 2304, 1536, 2.0],
        ["MJPG", 1280, 720, 60.0],
        ["MJPG", 1920, 1080, 30.0],
    ],
    "busy": False,
}
REFUSED = {"errno": errno.EACCES, "error": "Permission denied"}


@pytest.fixture
def examine(
    make_context: Callable[..., Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[dict[str, Any]], list[Finding]]:
    """Examine devices of these names with these replies."""
    monkeypatch.setattr(cameras, "_DEVICES", tmp_path)

    def run(replies: dict[str, Any]) -> list[Finding]:
        for name in replies:
            (tmp_path / name).touch()
        given = {f"look {tmp_path / name}": reply for name, reply in replies.items()}
        return examine_cameras(make_context(given))

    return run


def test_cameras_are_described_and_devices_without_video_left_out(
    examine: Callable[[dict[str, Any]], list[Finding]],
) -> None:
    found = examine(
        {
            "video10": {**C920, "busy": True},
            "video2": C920,
            "video3": {"card": None},  # the metadata of video2
            "video4": {"errno": errno.ENODEV, "error": "No such device"},  # unplugged meanwhile
        }
    )
    assert [finding.name for finding in found] == ["cameras.video2", "cameras.video10"]
    described = "HD Pro Webcam C920, MJPG to 1920 x 1080 at 30 frames/s and 1 more format"
    assert [finding.detail for finding in found] == [described, f"{described}, in use by another program"]
    assert {finding.state for finding in found} == {"ok"}
    assert found[0].facts["modes"][2] == {"format": "MJPG", "width": 1280, "height": 720, "fps": 60.0}


def test_no_camera_is_missing(examine: Callable[[dict[str, Any]], list[Finding]]) -> None:
    (found,) = examine({})
    assert (found.name, found.state) == ("cameras.v4l2", "missing")


def test_one_that_hangs_or_fails_does_not_hide_the_others(
    examine: Callable[[dict[str, Any]], list[Finding]],
) -> None:
    hung = Reply(failure="no reply within 30 s", kind="timeout")
    found = examine({"video0": hung, "video1": C920, "video2": {"errno": errno.EIO, "error": "I/O error"}})
    assert [finding.state for finding in found] == ["broken", "ok", "broken"]
    assert found[0].detail == hung.failure


def test_a_forbidden_one_names_the_group_that_may(
    examine: Callable[[dict[str, Any]], list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    members: list[str] = []
    monkeypatch.setattr(
        grp, "getgrgid", lambda gid: grp.struct_group(("video", "x", 44, members)) if gid >= 0 else None
    )
    (found,) = examine({"video0": REFUSED})
    assert found.state == "broken"
    assert found.detail == "the user ada may not open it; the group video may"
    assert found.fix == "sudo usermod -aG video ada, then log out and in again."
    members.append("ada")
    (found,) = examine({"video0": REFUSED})
    assert found.fix == "Log out and in again."


def test_a_broken_opencv_does_not_hide_a_camera(module: Any, tmp_path: Path) -> None:
    module = module("")
    (tmp_path / "modules" / "cv2.py").write_text("import os; os.abort()")
    assert call(f"{module}:no_such_function").kind == "AttributeError"  # the folder is on the search path
    reply = call("dmdd_edge.runtime.doctor.cameras:look", "/dev/null")
    assert reply.value["errno"] in (errno.ENOTTY, errno.EINVAL)


def test_a_device_is_read_through_the_kernel(tmp_path: Path) -> None:
    absent = cameras.look(str(tmp_path / "video0"))
    assert absent["errno"] == errno.ENOENT
    assert cameras.look("/dev/null")["errno"] in (errno.ENOTTY, errno.EINVAL)
    if os.getuid() != 0:
        closed = tmp_path / "video1"
        closed.touch(mode=0)
        assert cameras.look(str(closed))["errno"] == errno.EACCES
