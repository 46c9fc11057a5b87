"""INT8: where it may be, with which ranges, at what loss, and the gate that decides whether it is written."""
