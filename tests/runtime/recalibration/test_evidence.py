"""What counts of an archive, and what is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.errors import DataError
from dmdd_edge.runtime.recalibration.evidence import Evidence, read_evidence
from dmdd_edge.runtime.recalibration.proposal import propose
from tests.runtime.recalibration.archives import Archive


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "line", "screw", "v1")


def read(archive: Archive) -> Evidence:
    return read_evidence(archive.folder, "screw", "v1")


def test_each_kind_of_part_counts_as_what_it_is(archive: Archive) -> None:
    archive.keep_all([0.1, 0.2, 0.3, 0.35])  # of the random sample
    archive.keep(0.4, "bad")  # a sampled part that the threshold misses
    archive.keep(0.48, kept="close", sampled=False)
    archive.keep(0.49, "bad", kept="close", sampled=False)
    archive.keep(0.47, kept="close", sampled=True)
    archive.keep_all([0.6, 0.7], "good")
    archive.keep(0.9, "bad")
    archive.keep(0.8, "unsure")
    archive.keep(0.75)
    archive.keep(None, status="unreliable", kept="unreliable")
    archive.keep(0.99, version="v0")
    archive.count(30, 4, unreliable=1)
    archive.count(30, 3)
    found = read(archive)
    (period,) = found.periods
    assert period.sample.tolist() == [0.1, 0.2, 0.3, 0.35, 0.47]
    assert period.alarms.tolist() == [0.6, 0.7]
    assert period.unreviewed.tolist() == [0.75, 0.8]
    assert period.passing == pytest.approx(60 * 5 / 6), "one of six sampled ones is bad"
    assert period.unknown == 2, "seven alarms were counted, five are known"
    assert found.bad.tolist() == [0.4, 0.49, 0.9]
    assert (found.passing, found.sampled, found.sampled_bad, found.close) == (60, 6, 1, 2)
    assert (found.alarms, found.reviewed, found.unreviewed, found.unsure, found.gone) == (7, 3, 4, 1, 2)
    assert found.other == {"screw v0": 1}


def test_a_precision_with_a_separate_threshold_has_its_own_evidence(archive: Archive) -> None:
    for precision, score in (("", 0.11), ("fp32", 0.12), ("fp16", 0.13), ("int8", 0.3)):
        archive.keep(score, precision=precision)
        archive.count(10, 0, precision=precision)
    both, coarse, fine = (read_evidence(archive.folder, "screw", "v1", it) for it in (None, "int8", ""))
    assert [found.periods[0].sample.tolist() for found in (both, coarse, fine)] == [
        [0.11, 0.12, 0.13, 0.3],
        [0.3],
        [0.12, 0.13],
    ]
    assert (both.passing, coarse.passing, fine.passing) == (40, 10, 20)
    assert not both.other
    assert coarse.other == {
        "screw v1 in fp32": 1,
        "screw v1 in fp16": 1,
        "screw v1 in an unknown precision": 1,
    }
    assert fine.other == {"screw v1 in int8": 1, "screw v1 in an unknown precision": 1}


def test_a_verdict_outlives_its_image_but_only_kept_parts_are_a_random_sample(archive: Archive) -> None:
    archive.keep(0.1)
    archive.keep(0.3, "good", deleted=True)
    archive.keep(0.7, "good", deleted=True)
    archive.keep(0.8, "bad", deleted=True)
    archive.count(100, 2)
    found = read(archive)
    (period,) = found.periods
    assert period.sample.tolist() == [0.1]
    assert period.alarms.tolist() == [0.7]
    assert found.bad.tolist() == [0.8]
    assert found.gone == 0


def test_a_verdict_that_was_taken_back_is_none(archive: Archive) -> None:
    record = archive.keep(0.7, "good")
    archive.keep(0.1)
    archive.folder.feedback.add(next(archive.folder.feedback.history()).on(record, "none"))
    archive.count(10, 1)
    assert read(archive).periods[0].unreviewed.tolist() == [0.7]


def test_each_threshold_and_sampling_rate_is_a_period(archive: Archive) -> None:
    archive.keep_all([0.1, 0.2])
    archive.keep(0.55, "good")
    archive.count(20, 1)
    archive.judged["threshold"] = 0.6
    archive.keep(0.55)
    archive.count(40, 0)
    archive.judged["sample_rate"] = 0.5
    archive.keep_all([0.3, 0.4, 0.5])
    archive.count(6, 0)
    found = read(archive)
    assert [(period.threshold, period.passing, len(period.sample)) for period in found.periods] == [
        (0.5, 20, 2),
        (0.6, 40, 1),
        (0.6, 6, 3),
    ]
    assert [period.weight for period in found.periods] == [7, 20.5, 1.75]


def test_a_part_that_passed_above_the_threshold_counts_at_it(archive: Archive) -> None:
    archive.keep(0.9, status="good", kept="sample", sampled=True)  # no region was large enough
    archive.count(1, 0)
    assert read(archive).periods[0].sample.tolist() == [0.5]


def test_with_a_band_everything_above_the_lower_threshold_was_kept(archive: Archive) -> None:
    archive.judged["suspect_threshold"] = 0.4
    archive.keep_all([0.1, 0.2])
    archive.keep(0.45, "good", status="suspect", kept="suspect", sampled=False)
    archive.keep(0.48, status="suspect", kept="suspect", sampled=False)
    archive.keep(0.6, "good")
    archive.count(20, 1, suspect=2)
    found = read(archive)
    (period,) = found.periods
    assert period.threshold == 0.4
    assert period.alarms.tolist() == [0.45, 0.6]
    assert period.unreviewed.tolist() == [0.48]
    assert (found.alarms, period.unknown) == (3, 0)


@pytest.mark.parametrize("counted", [True, False])
def test_alarms_alone_are_refused(archive: Archive, counted: bool) -> None:
    archive.judged["sample_rate"] = 0.0
    archive.keep_all([0.6, 0.7, 0.8], "good")
    archive.keep(0.49, kept="close", sampled=False)
    if counted:
        archive.count(500, 3)
    with pytest.raises(DataError, match="no random sample of passing parts") as caught:
        propose(read(archive), 0.01, 0.5)
    assert "--archive-sample" in caught.value.fix


def test_parts_from_before_the_sample_are_left_out(archive: Archive) -> None:
    archive.judged["sample_rate"] = 0.0
    archive.keep_all([0.6, 0.7, 0.8], "good")
    archive.count(500, 3)
    archive.judged["sample_rate"] = 0.1
    archive.keep_all([0.1] * 10)
    archive.count(100, 0)
    found = read(archive)
    assert [period.passing for period in found.periods] == [100]
    assert found.unsampled == 503


def test_an_archive_of_another_version_is_named(archive: Archive) -> None:
    archive.judged["version"] = "v0"
    archive.keep_all([0.1, 0.2])
    with pytest.raises(DataError, match=r"no part that this version judged; it has parts of screw v0 \(2\)"):
        propose(read(archive), 0.01, 0.5)


def test_the_score_of_a_part_that_was_ended_early_is_a_lower_bound(archive: Archive) -> None:
    archive.keep(0.1)
    archive.keep(0.7, "good", stopped_early=True)
    archive.keep(0.75, stopped_early=True)
    archive.keep(0.8, "bad", stopped_early=True)
    archive.count(100, 3)
    found = read(archive)
    (period,) = found.periods
    # No threshold passes the two that may be good; the bad one is sure to be found up to its bound.
    assert (period.alarms.tolist(), period.unreviewed.tolist()) == ([1.0], [1.0])
    assert found.bad.tolist() == [0.8]
