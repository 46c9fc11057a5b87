"""Watches a line for drift: light, sharpness and position of the images, scores and alarms of the parts."""
