"""The number of threads that torch computes with."""

from __future__ import annotations

import torch

from dmdd_edge.cores import usable_cores


def keep_to_quota() -> None:
    """Limit torch's threads to what this process may keep busy; a smaller number set by hand is kept."""
    if torch.get_num_threads() > usable_cores():
        torch.set_num_threads(usable_cores())
