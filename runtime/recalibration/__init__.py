"""A threshold from what an archive kept and people said: a random sample of passing parts, reviewed alarms.

- ``evidence``: what an archive says of one version, by the threshold and sampling rate that were in force;
- ``rate``: the false-alarm rate of any threshold, and the threshold of a rate, through the archive's censor;
- ``proposal``: the new threshold beside the old one, and when it is refused;
- ``recalibrate``: sets it.
"""
