"""One writer a file: a lock that goes with the process, however it ends."""

from __future__ import annotations

import fcntl


def lock(descriptor: int) -> bool:
    """Lock an open file for this process; false when another one has it.

    A file system without locks (some network shares) cannot tell, and counts as free.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
