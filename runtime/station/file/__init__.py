"""The station file: read and checked, described for editors and people, and written for the first time."""
