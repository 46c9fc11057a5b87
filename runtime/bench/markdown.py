"""Former name of ``document``."""

from dmdd_edge.runtime.bench.document import markdown_row, summary_cells

__all__ = ["markdown_row", "summary_cells"]
