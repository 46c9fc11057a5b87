"""The report of a run: one self-contained HTML page with embedded charts and images."""
