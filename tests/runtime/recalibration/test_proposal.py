"""When alarms without a verdict matter, and what is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.errors import DataError
from dmdd_edge.runtime.recalibration.evidence import Evidence, read_evidence
from dmdd_edge.runtime.recalibration.proposal import propose
from tests.runtime.recalibration.archives import Archive


def evidence(
    path: Path, missing: list[float], bad: list[float], verdict: str = "", gone: int = 0
) -> Evidence:
    """960 parts passed, of which 96 are sampled; 40 alarms from 0.51 to 0.9 are good."""
    archive = Archive(path / "line", "screw", "v1")
    archive.keep_all([0.1] * 96)
    archive.keep_all([round(0.5 + at / 100, 2) for at in range(1, 41)], "good")
    archive.keep_all(missing, verdict)
    archive.keep_all(bad, "bad")
    archive.count(960, 40 + len(missing) + len(bad) + gone)
    return read_evidence(archive.folder, "screw", "v1")


def test_with_every_verdict_there_is_one_threshold(tmp_path: Path) -> None:
    # 1 % of 1001 is 10.01: the 10th largest of 0.51 to 0.9 is 0.81.
    found = propose(evidence(tmp_path, [], [0.7, 0.95]), 0.01, 0.5)
    assert (found.new, found.lowest, found.highest) == (0.81, 0.81, 0.81)
    assert (found.found_old, found.found_new, found.lost.tolist()) == (2, 1, [0.7])
    assert found.rate_old.estimate == 0.04
    assert found.rate_new.estimate == 0.009
    assert found.holds


def test_few_missing_verdicts_take_the_threshold_that_holds_whatever_they_are(tmp_path: Path) -> None:
    found = propose(evidence(tmp_path, [0.95, 0.96], [0.7]), 0.01, 0.5)
    # At 0.83 seven good ones and the two are above it, and the next makes ten of 1003 * 0.01.
    assert (found.new, found.lowest, found.highest) == (0.83, 0.81, 0.83)


def test_missing_verdicts_below_the_threshold_do_not_matter(tmp_path: Path) -> None:
    found = propose(evidence(tmp_path, [0.52] * 20, []), 0.01, 0.5)
    assert (found.new, found.lowest, found.highest) == (0.81, 0.81, 0.81)


@pytest.mark.parametrize("verdict", ["", "unsure"])
def test_many_missing_verdicts_are_refused_with_both_bounds(tmp_path: Path, verdict: str) -> None:
    known = evidence(tmp_path, [0.95] * 8, [], verdict)
    with pytest.raises(DataError, match=r"8 of 48 alarms have no verdict.* 0\.8100 .*0\.8900 ") as caught:
        propose(known, 0.01, 0.5, archive="line")
    assert "dmdd-edge review line" in caught.value.fix
    assert propose(known, 0.01, 0.5, "bad").new == 0.81
    assert propose(known, 0.01, 0.5, "good").new == 0.89


def test_one_missing_verdict_is_refused_where_it_would_cost_a_known_bad_part(tmp_path: Path) -> None:
    known = evidence(tmp_path, [0.95, 0.96], [0.82])
    with pytest.raises(DataError, match="2 of 43 alarms have no verdict"):
        propose(known, 0.01, 0.5)
    assert propose(known, 0.01, 0.5, "bad").lost.tolist() == []


def test_alarms_that_are_gone_without_a_verdict_may_leave_no_promise(tmp_path: Path) -> None:
    known = evidence(tmp_path, [], [], gone=12)
    for chosen in (None, "good"):
        with pytest.raises(DataError, match="12 of them are no longer in the archive"):
            propose(known, 0.01, 0.5, chosen)  # type: ignore[arg-type]
    assert propose(known, 0.01, 0.5, "bad").new == 0.81


def test_a_sample_without_any_reviewed_alarm_is_refused(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "line", "screw", "v1")
    archive.keep_all([0.1] * 96)
    archive.keep_all([0.6 + at / 100 for at in range(30)])
    archive.count(960, 30)
    with pytest.raises(DataError, match="30 of 30 alarms have no verdict"):
        propose(read_evidence(archive.folder, "screw", "v1"), 0.01, 0.5)


def test_too_few_parts_say_what_they_support(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "line", "screw", "v1")
    archive.keep_all([0.1] * 5)
    archive.count(49, 0)
    found = propose(read_evidence(archive.folder, "screw", "v1"), 0.01, 0.5)
    assert not found.holds
    assert found.attainable == 1 / 50


def test_a_sample_whose_counts_are_missing_promises_nothing(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "line", "screw", "v1", rate=0.01)
    archive.keep_all([0.1] * 200)
    archive.keep_all([round(0.5 + at / 100, 2) for at in range(1, 41)], "good")
    with pytest.raises(DataError, match=r"counts\.jsonl lacks lines: .* 200 sampled ones stand for"):
        propose(read_evidence(archive.folder, "screw", "v1"), 0.01, 0.5)
    # 200 of 15,900 are what a rate of 1 % may choose, and what a killed run did not count.
    archive.count(15_900, 40)
    assert propose(read_evidence(archive.folder, "screw", "v1"), 0.01, 0.5).rate_old.low < 0.01


@pytest.mark.parametrize(("sampled", "uncounted"), [(10, 0), (13, 0), (14, 14)])
def test_chance_alone_is_no_missing_line(tmp_path: Path, sampled: int, uncounted: int) -> None:
    # Of 300 parts at 1 % three are expected; 3 + 4 sqrt(3) + 4 = 13.93.
    archive = Archive(tmp_path / "line", "screw", "v1", rate=0.01)
    archive.keep_all([0.1] * sampled)
    archive.count(300, 0)
    assert read_evidence(archive.folder, "screw", "v1").uncounted == uncounted
