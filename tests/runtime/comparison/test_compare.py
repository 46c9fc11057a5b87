"""Two versions on the same images: verdicts, counts, words, page and the command."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.bundle.versions import read_current
from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.runtime.challenge.edit import add_parts
from dmdd_edge.runtime.comparison import page
from dmdd_edge.runtime.comparison.compare import compare
from dmdd_edge.runtime.comparison.outcome import Count, Pair, Verdict
from dmdd_edge.runtime.comparison.versions import find_operand
from dmdd_edge.runtime.comparison.words import difference, headline
from dmdd_edge.runtime.options.compare import CompareOptions

Picture = Callable[..., NDArray[Any]]
#: Blue of the parts' patches; the graph's score is the largest blue / 255.
GOOD, BAD = (30, 100, 140, 160), (150, 200, 255)


@pytest.fixture
def versions(make_bundle: Callable[..., Bundle]) -> tuple[Bundle, Bundle]:
    """Thresholds 0.5 and 0.7: the first rejects 140 and 160 and finds all, the second misses 150."""
    old = make_bundle(threshold=threshold_from_normals([0.25, 0.5]))
    return old, make_bundle(threshold=threshold_from_normals([0.25, 0.7]))


@pytest.fixture
def parts(tmp_path: Path, make_picture: Picture) -> Path:
    """Good parts in ``ok``, defective ones in ``ng/dent``, named after their blue."""
    for folder, levels in (("ok", GOOD), ("ng/dent", BAD)):
        (tmp_path / folder).mkdir(parents=True)
        for level in levels:
            cv2.imwrite(str(tmp_path / folder / f"{level}.png"), make_picture(patch=level))
    return tmp_path


def options_of(versions: tuple[Bundle, Bundle], parts: Path, **more: Any) -> CompareOptions:
    return CompareOptions(
        old=str(versions[0].path),
        new=str(versions[1].path),
        good=parts / "ok",
        known_bad=parts / "ng",
        models_dir=parts / "models",
        backend="cpu",
        **more,
    )


def test_each_version_decides_at_its_own_threshold(versions: tuple[Bundle, Bundle], parts: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    found = compare(options_of(versions, parts), lambda *call: calls.append(call))
    assert found.good == Count(images=4, old=2, new=0, only_old=2, only_new=0, unreliable=0)
    assert found.bad == Count(images=3, old=3, new=2, only_old=1, only_new=0, unreliable=0)
    assert [(pair.path.name, pair.kind) for pair in found.differing] == [
        ("150.png", "no longer found"),
        ("140.png", "no longer rejected"),
        ("160.png", "no longer rejected"),
    ]
    assert (found.old.in_use, found.new.in_use) == (False, True)
    assert (found.old.threshold, found.new.threshold) == (0.5, 0.7)
    assert headline(found) == (
        "screw: the new version finds 2 of 3 defects (the old 3) and rejects 0 of 4 good parts (the old 2)"
    )
    assert calls[-1] == ("new", 7, 7)


def test_a_file_that_cannot_be_read_is_left_out_and_named(
    versions: tuple[Bundle, Bundle], parts: Path
) -> None:
    (parts / "ok" / "broken.png").write_bytes(b"no image")
    found = compare(options_of(versions, parts))
    assert found.good.images == 4
    (skipped,) = found.as_dict()["skipped"]
    assert skipped["file"].endswith("broken.png")
    assert skipped["reason"]


@pytest.mark.parametrize(
    ("both", "words"),
    [
        ((12, 3, 3, 0, 0), "both versions decide the same on all 12 images"),
        ((12, 3, 0, 3, 0), "cannot tell from 12 images: .*fewer than 6 different decisions never can"),
        ((40, 9, 5, 7, 3), "cannot tell from 40 images: the new one alone rejects 3, the old one alone 7"),
        ((40, 8, 0, 8, 0), r"the new version rejects fewer: .* in 0\.78 % of cases"),
        ((40, 1, 9, 1, 9), r"the new version rejects more: .* in 2\.1 % of cases"),
    ],
)
def test_what_a_difference_means(both: tuple[int, int, int, int, int], words: str) -> None:
    assert re.search(words, difference(Count(*both, unreliable=0), "rejects"))


def test_another_status_is_a_difference() -> None:
    pairs = [
        Pair(Path("a.png"), "dent", False, Verdict("suspect", 0.5), Verdict("good", 0.4)),
        Pair(Path("b.png"), "dent", False, Verdict("anomalous", 0.9), Verdict("anomalous", 0.8)),
    ]
    counts = Count.of(pairs)
    assert (counts.only_old, counts.only_new, counts.other) == (0, 0, 1)
    assert difference(counts, "finds") == (
        "both versions find the same images; 1 of 2 images get another status"
    )


def test_a_suspect_challenge_part_that_becomes_good_is_announced_and_refused(
    make_bundle: Callable[..., Bundle],
    parts: Path,
    dmdd_edge: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    scores = [0.25, 0.55, 0.7]
    banded = threshold_from_normals(scores, 0.25, suspect_rate=0.5)
    assert (banded.suspect, banded.image) == (0.55, 0.7)
    old, new = make_bundle(threshold=banded), make_bundle(threshold=threshold_from_normals(scores, 0.25))
    dmdd_edge("models", "use", "screw", old.version)
    # 150 / 255 = 0.59 is suspect to the old version and good to the new one.
    dmdd_edge("challenge", "add", "ng/dent/150.png", "ng/dent/255.png")
    done = dmdd_edge("compare", "screw", f"screw@{new.version}", "--challenge", "--json", "--backend", "cpu")
    said = " ".join(done.stderr.split())
    assert "both versions find the same images; 1 of 2 images get another status" in said
    assert f"models use refuses {new.version}, since it loses 1 challenge part: 150 (suspect -> good)" in said
    (file,) = json.loads(done.stdout)["refused"]
    assert Path(file).name == "150.png"
    done = dmdd_edge("models", "use", "screw", new.version)
    assert done.returncode == 1
    assert "150 (now suspect" in " ".join(done.stderr.split())
    # Without the set, the same image is no challenge part.
    done = dmdd_edge(
        "compare", "screw", f"screw@{new.version}", "--known-bad", "ng", "--json", "--backend", "cpu"
    )
    assert json.loads(done.stdout)["refused"] == []


def test_an_unreliable_frame_is_neither_found_nor_rejected() -> None:
    pairs = [
        Pair(Path("a.png"), "good", True, Verdict("anomalous", 0.9), Verdict("unreliable", 0.9, "dark")),
        Pair(Path("b.png"), "good", True, Verdict("good", 0.1), Verdict("good", 0.2)),
    ]
    assert Count.of(pairs) == Count(images=2, old=1, new=0, only_old=1, only_new=0, unreliable=1)
    assert pairs[0].kind == "another verdict"


def test_the_page_shows_the_differences_and_nothing_from_elsewhere(
    versions: tuple[Bundle, Bundle], parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (parts / "ng" / "dent" / "150.png").rename(parts / "ng" / "dent" / "150<b>.png")
    found = compare(options_of(versions, parts, report=parts / "out" / "page.html"))
    text = (parts / "out" / "page.html").read_text()
    assert found.report == parts / "out" / "page.html"
    assert text.count("<figure") == 3
    assert text.count("data:image/jpeg;base64,") == 9
    assert text.index("150&lt;b&gt;.png") < text.index("140.png")
    assert "<b>.png" not in text
    assert "http" not in text
    assert "0.5000 (set at export)" in text
    monkeypatch.setattr(page, "MOST_IMAGES", 1)
    compare(options_of(versions, parts, report=parts / "small.html"))
    text = (parts / "small.html").read_text()
    assert text.count("<figure") == 1
    assert "2 more are not shown" in text


def test_operands(versions: tuple[Bundle, Bundle], tmp_path: Path) -> None:
    old, new = versions
    models = tmp_path / "models"
    assert find_operand("screw", models) == new.path
    assert find_operand(f"screw@{old.version}", models) == old.path
    assert find_operand(str(models / "screw"), tmp_path / "none") == new.path
    assert find_operand(str(old.path), tmp_path / "none") == old.path
    with pytest.raises(OptionError, match="cpu is a backend") as error:
        find_operand("screw@cpu", models)
    assert "--backend cpu" in (error.value.fix or "")
    with pytest.raises(OptionError, match=r"nut names no bundle .*screw"):
        find_operand("nut", models)
    with pytest.raises(DmddError, match="no version '1999'"):
        find_operand("screw@1999", models)


def test_what_cannot_be_compared(
    versions: tuple[Bundle, Bundle], parts: Path, make_bundle: Callable[..., Bundle]
) -> None:
    nut = make_bundle("nut")
    with pytest.raises(OptionError, match="are the same version"):
        compare(options_of((versions[1], versions[1]), parts))
    with pytest.raises(OptionError, match=r"inspects screw, and .* nut"):
        compare(options_of((versions[0], nut), parts))
    with pytest.raises(OptionError, match="compare needs images"):
        CompareOptions(old="a", new="b")


def test_the_command(
    versions: tuple[Bundle, Bundle],
    parts: Path,
    dmdd_edge: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    old, new = versions
    done = dmdd_edge(
        "compare",
        "screw",
        f"screw@{old.version}",
        "--good",
        "ok",
        "--known-bad",
        "ng",
        "--backend",
        "cpu",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.strip()]
    assert any("the new version finds 3 of 3 defects (the old 2)" in line for line in said)
    assert said[-1] == f"next: dmdd-edge models use screw {old.version}"
    document = json.loads(done.stdout)
    assert document["known_bad"]["new"]["anomalous"] == 3
    assert document["good"]["chance"] == 0.5
    assert [item["change"] for item in document["differences"]] == ["newly rejected"] * 2 + ["newly found"]
    assert read_current(parts / "models" / "screw") == new.version


def test_the_challenge_set_counts_as_defective(versions: tuple[Bundle, Bundle], parts: Path) -> None:
    add_parts(
        parts / "models" / "screw", [parts / "ng" / "dent" / "150.png", parts / "ng" / "dent" / "255.png"]
    )
    options = CompareOptions(
        old=str(versions[0].path), new=str(versions[1].path), challenge=True, models_dir=parts / "models"
    )
    found = compare(options)
    assert (found.bad.images, found.bad.old, found.bad.new, found.good.images) == (2, 2, 1, 0)
    assert [(pair.group, pair.kind) for pair in found.differing] == [("challenge", "no longer found")]
    (parts / "models" / "screw" / "challenge" / "150.png").write_bytes(b"another image")
    found = compare(options)
    assert found.bad.images == 1
    assert "altered" in found.skipped[0][1]


def test_a_version_that_is_in_use_is_not_put_into_use_again(
    versions: tuple[Bundle, Bundle],
    parts: Path,
    dmdd_edge: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    old, _ = versions
    done = dmdd_edge("compare", f"screw@{old.version}", "screw", "--good", "ok", "--backend", "cpu")
    assert done.returncode == 0, done.stderr
    *_, back, last = done.stderr.splitlines()
    assert back == (
        "The new version is in use already; to return to the old one: "
        f"dmdd-edge models use screw {old.version}"
    )
    assert last == "next: dmdd-edge models show screw"
    assert dmdd_edge(*last.split()[2:]).returncode == 0
