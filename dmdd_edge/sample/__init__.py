"""The sample data set: drawn plates with holes, with and without defects."""

from dmdd_edge.sample.write import write_sample

__all__ = ["write_sample"]
