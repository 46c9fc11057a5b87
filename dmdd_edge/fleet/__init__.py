"""A fleet of bundles: versions in a store that many machines read, and the ways to and from it."""
