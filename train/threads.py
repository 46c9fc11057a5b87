"""How many threads torch computes with."""

from __future__ import annotations

import torch

from dmdd_edge.cores import usable_cores


def keep_to_quota() -> None:
    """Let torch start no more threads than this process may keep busy; fewer, as set by hand, stay."""
    if torch.get_num_threads() > usable_cores():
        torch.set_num_threads(usable_cores())
