"""Foreground-aware anomaly synthesis (paper, FAS): foreground, Perlin masks, textures, blending, feeding."""
