"""Where INT8 may be: inside the backbones, at the same places of teacher and student.

A stage's last convolution makes the feature that the distances are computed from. It stays in half precision,
as do the decoupling, the PMN and the islands. So does a convolution of one pixel (squeeze-and-excite): it
costs nothing, and a gate's error reaches every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from dmdd_edge.export.graph import DeploymentGraph

NETWORKS = ("teacher", "student")


@dataclass(frozen=True)
class Place:
    """One convolution of a backbone, in both networks.

    Attributes:
        name: its path inside a network, such as ``stages.0.3.0.conv_pw``.
    """

    name: str

    @property
    def stage(self) -> int:
        """The index of its stage, 0..3."""
        return int(self.name.split(".")[1])

    @property
    def convolutions(self) -> tuple[str, ...]:
        """The names of its convolutions, as modules of the graph and as the stems of nodes."""
        return tuple(f"{network}.{self.name}" for network in NETWORKS)


def interior(graph: DeploymentGraph) -> list[Place]:
    """The places where INT8 may be, in the order of execution.

    Args:
        graph: in float32.
    """
    found: list[Place] = []
    for index, stage in enumerate(graph.teacher.stages):
        names = [name for name, module in stage.named_modules() if isinstance(module, nn.Conv2d)]
        found += [Place(f"stages.{index}.{name}") for name in names[:-1]]
    return found


def convolution(graph: nn.Module, name: str) -> nn.Conv2d:
    """The convolution of a name."""
    module = graph.get_submodule(name)
    assert isinstance(module, nn.Conv2d)
    return module
