"""Watches a line for drift: light, sharpness and position of the pictures, scores and alarms of the parts."""
