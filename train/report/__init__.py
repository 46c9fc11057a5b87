"""The report of a run: one self-contained HTML page, with charts drawn here and pictures embedded."""
