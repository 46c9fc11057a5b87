"""How a cluster is shared out, against cases computed by hand."""

from __future__ import annotations

import pytest

from dmdd_edge.cluster.connection import Node
from dmdd_edge.errors import OptionError
from dmdd_edge.jobs.cluster_room import require_gpu, room_for

SMALL = Node("1", "small", 4, 0, 8000)
LARGE = Node("2", "large", 16, 0, 64000)
GPU = Node("3", "gpu", 12, 2, 32000)
HEAD = Node("4", "head", 0, 0, 4000)


def test_the_cores_are_shared_out_among_what_is_wanted() -> None:
    room = room_for([HEAD, SMALL, LARGE], 80)
    assert (room.cpus, room.gpus, room.at_once, room.a_node) == (1, 0.0, 20, 16)
    assert (room.memory, room.share) == (64000, 2000)
    # Five jobs on 20 cores: 4 each, so that the small machine holds one and the large one four.
    room = room_for([SMALL, LARGE], 5)
    assert (room.cpus, room.at_once, room.a_node, room.share) == (4, 5, 4, 8000)


def test_a_gpu_each_or_a_part_of_one() -> None:
    room = room_for([SMALL, GPU], 80)
    assert (room.cpus, room.gpus, room.at_once) == (6, 1.0, 2)
    room = room_for([SMALL, GPU], 80, gpus=0.5)
    assert (room.cpus, room.gpus, room.at_once, room.share) == (3, 0.5, 4, 8000)
    room = room_for([SMALL, GPU], 80, gpus=0.0)
    assert (room.cpus, room.at_once) == (1, 16)
    assert room_for([SMALL, GPU], 80, cpus=8, gpus=0.0).at_once == 1


def test_what_ray_is_asked_for_fits_the_largest_node() -> None:
    room = room_for([SMALL], 2, cpus=2)
    assert room.resources(500.0) == {"num_cpus": 2, "memory": 500 * 2**20}
    assert room.resources(9e9)["memory"] == 8000 * 2**20
    assert room_for([GPU], 2).resources(1.0)["num_gpus"] == 1.0


def test_what_no_machine_has_is_refused() -> None:
    with pytest.raises(OptionError, match="No machine of the cluster has 32 cores for a job") as caught:
        room_for([SMALL, LARGE], 2, cpus=32)
    assert "the largest has 16 cores" in caught.value.fix
    with pytest.raises(OptionError, match="1 core and 4 GPU"):
        room_for([GPU], 2, gpus=4)
    with pytest.raises(OptionError, match="1 core for a job"):
        room_for([HEAD], 2)


def test_a_gpu_that_no_machine_has_is_refused() -> None:
    require_gpu([SMALL, GPU], "--job-gpus")
    with pytest.raises(OptionError, match="The cluster has no GPU, and --job-gpus wants one"):
        require_gpu([SMALL, LARGE], "--job-gpus")
