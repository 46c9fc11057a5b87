"""Training stage: images to checkpoint. Needs torch."""
