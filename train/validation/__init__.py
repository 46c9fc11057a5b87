"""Damage made on normal images, to judge by what training has not seen: without a picture of a defect."""
