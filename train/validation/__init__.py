"""Synthetic damage on normal images of kinds unknown to training, for choices without images of defects."""
