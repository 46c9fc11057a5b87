"""Collecting images of good parts for training: each is checked as it comes, and kept without loss."""
