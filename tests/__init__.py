"""The tests mirror the folders of the product; helpers are imported by their full name."""
