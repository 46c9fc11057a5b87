"""Known-bad parts that every version and threshold of a category must find."""
