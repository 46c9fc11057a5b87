"""Writes reviewed images for other programs: folders in MVTec AD's layout, COCO and Label Studio JSON."""

from __future__ import annotations
