"""``station check``: everything that a station file names is opened once, and what fails is listed."""
