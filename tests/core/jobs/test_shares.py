"""Cores and GPUs are shared out: none is in two shares, none is left over that a share could have."""

from __future__ import annotations

from dmdd_edge.jobs.shares import share_out

#: Four physical cores with two threads each.
GROUPS = [(0, 4), (1, 5), (2, 6), (3, 7)]


def test_one_job_has_everything() -> None:
    (share,) = share_out(1, GROUPS, 4)
    assert share.cores == (0, 4, 1, 5, 2, 6, 3, 7)
    assert share.threads == 4
    assert share.gpu is None


def test_cores_that_do_not_divide_go_to_the_first_jobs() -> None:
    shares = share_out(3, GROUPS, 4)
    assert [share.cores for share in shares] == [(0, 4, 1, 5), (2, 6), (3, 7)]
    assert [share.threads for share in shares] == [2, 1, 1]


def test_there_are_no_more_shares_than_cores() -> None:
    assert [share.cores for share in share_out(9, GROUPS[:2], 2)] == [(0, 4), (1, 5)]


def test_a_quota_below_the_visible_cores_counts() -> None:
    shares = share_out(3, GROUPS, 2)
    assert [(share.cores, share.threads) for share in shares] == [((0, 4), 1), ((1, 5), 1)]


def test_each_gpu_has_one_job() -> None:
    shares = share_out(4, GROUPS, 4, ["3", "GPU-5"])
    assert [share.gpu for share in shares] == ["3", "GPU-5"]
    assert [share.threads for share in shares] == [2, 2]


def test_the_environment_of_a_job_limits_its_threads_and_shows_its_gpu() -> None:
    share = share_out(2, GROUPS, 4, ["0", "1"])[1]
    found = share.environment({"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "16", "HOME": "/h"})
    assert found == {
        "OMP_NUM_THREADS": "1",  # set smaller by hand
        "MKL_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "1",  # as OpenMP
        "CUDA_VISIBLE_DEVICES": "1",
        "HOME": "/h",
    }
    assert "CUDA_VISIBLE_DEVICES" not in share_out(1, GROUPS, 4)[0].environment({})


def test_the_threads_of_openmp_set_by_hand_count_for_the_libraries_that_would_raise_them() -> None:
    share = share_out(1, GROUPS, 4)[0]
    for given in ("1", "1,2"):
        found = share.environment({"OMP_NUM_THREADS": given})
        assert [found[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")] == ["1", "1"]
    assert share.environment({"OMP_NUM_THREADS": "many"})["MKL_NUM_THREADS"] == "4"
