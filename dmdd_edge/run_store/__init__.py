"""Runs in a store: ``--runs-dir s3://plant/runs``. A run is worked on in a folder of this machine and sent.

The store has, of each run::

    RUN/files/HASH-NAME              a file of the run; its name begins with its SHA-256
    RUN/whole-LEASE-NUMBER-HASH.json the files of one whole state; written last, so all of them are there
    RUN/lease-NUMBER.json            who writes the run now

The newest list that can be fetched with every hash right is the run. Nothing is overwritten, so whatever ends
a sender, and whenever, what was whole before is still there.
"""
