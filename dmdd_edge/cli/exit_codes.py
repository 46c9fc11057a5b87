"""The exit codes of the program, besides 0 (done), 1 (a user's error) and 2 (usage)."""

#: Anomalies were found under --fail-on-anomaly.
ANOMALIES_FOUND = 3
#: A part of the challenge set is not found: the other answer of a gate, with the same number.
PARTS_LOST = 3
#: After Ctrl-C.
INTERRUPTED = 130
