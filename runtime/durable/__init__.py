"""Writing that survives a kill, a full disk and a power cut; shared by result files and delivery spools.

``Appender`` appends a piece wholly or not at all, ``lines`` finds where a torn tail begins, ``Syncer``
follows ``--fsync``, and ``open_locked`` keeps a file to one process.
"""
