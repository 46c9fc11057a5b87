"""Many jobs on one machine: a process each, with its share of the cores and GPUs, within the memory."""
