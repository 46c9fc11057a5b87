"""A run on a GenICam camera, from the command line to its result lines."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from dmdd_edge.bundle.bundle import Bundle
from tests.runtime.sources.genicam.cameras import VIVA_SERIAL, needs_viva, viva_camera

Program = Callable[..., "subprocess.CompletedProcess[str]"]
pytestmark = [needs_viva, pytest.mark.slow]


def test_result_lines_have_the_camera_s_number_and_time(
    make_bundle: Callable[..., Bundle], dmdd_edge: Program
) -> None:
    make_bundle()
    source = f"genicam://{VIVA_SERIAL}?ExposureTime=2000&PixelFormat=Mono8"
    with viva_camera(width=128, height=96, fps=20):
        done = dmdd_edge("run", "--source", source, "--limit", "4", "--gain", "3", "--json")
        refused = dmdd_edge("run", "--source", f"{source}&ExposureTim=1", "--limit", "1")
    assert done.returncode == 0, done.stderr
    *lines, summary = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["result"] * 4
    assert {line["source"] for line in lines} == {f"genicam://{VIVA_SERIAL}"}
    for name in ("frame_id", "device_time_ns"):
        values = [line[name] for line in lines]
        assert values == sorted(set(values))
    assert (summary["frames"], summary["skipped"]) == (4, 0)
    assert "by viva" in " ".join(done.stderr.split())
    assert "ExposureTime 2000 us" in " ".join(done.stderr.split())
    assert refused.returncode == 1
    assert "Did you mean 'ExposureTime'?" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr


def test_incomplete_frames_are_counted_as_skipped(
    make_bundle: Callable[..., Bundle], dmdd_edge: Program
) -> None:
    make_bundle()
    with viva_camera(
        width=128, height=96, fps=20, packet_resend=False, drop_packets=[(n, 1) for n in range(3, 9999)]
    ):
        done = dmdd_edge("run", "--source", "genicam://", "--limit", "5", "--json")
    *lines, summary = [json.loads(line) for line in done.stdout.splitlines()]
    errors = [line for line in lines if line["type"] == "error"]
    assert len(errors) >= 3
    assert summary["skipped"] == len(errors)
    assert "is incomplete: 1 packets were lost" in json.dumps(errors[0])
