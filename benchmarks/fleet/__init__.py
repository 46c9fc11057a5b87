"""What a fleet of bundles withstands."""
