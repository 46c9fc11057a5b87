from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.challenge.edit import add_parts
from dmdd_edge.runtime.doctor.challenge import examine_challenge_sets, look
from dmdd_edge.runtime.doctor.context import Context
from dmdd_edge.runtime.doctor.subprocess_call import Reply
from tests.runtime.conftest import picture


def test_each_set_is_counted_and_a_damaged_one_is_broken(
    make_bundle: Callable[..., Bundle],
    make_context: Callable[..., Context],
    tmp_path: Path,
) -> None:
    make_bundle("nut")
    folder = make_bundle().path.parent
    hole, dent = tmp_path / "hole.png", tmp_path / "dent.png"
    cv2.imwrite(str(hole), picture(patch=255))
    cv2.imwrite(str(dent), picture(patch=200))
    add_parts(folder, [hole, dent])

    def call(function: str, *arguments: str, limit: float = 0) -> Reply:
        return Reply(value=look(*arguments))

    context = replace(make_context({}), call=call)
    nut, screw = examine_challenge_sets(context)
    assert (nut.name, nut.state, nut.detail) == ("challenge.nut", "ok", "none")
    assert (screw.name, screw.state, screw.detail) == ("challenge.screw", "ok", "2 known-bad parts")
    (folder / "challenge" / "dent.png").write_bytes(b"")
    _, screw = examine_challenge_sets(context)
    assert (screw.state, screw.facts["parts"]) == ("broken", 2)
    assert "dent.png was altered" in screw.detail
    assert screw.fix.startswith("Restore the file")
    (folder / "challenge" / "index.json").write_text("{")
    _, screw = examine_challenge_sets(context)
    assert (screw.state, screw.facts["parts"]) == ("broken", None)
    assert "index.json is damaged" in screw.detail


def test_libraries_that_crash_are_reported(make_context: Callable[..., Context]) -> None:
    (found,) = examine_challenge_sets(
        make_context({"look": Reply(failure="it crashed (SIGSEGV)", kind="crash")})
    )
    assert (found.name, found.state, found.detail) == ("challenge.sets", "broken", "it crashed (SIGSEGV)")
