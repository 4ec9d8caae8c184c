"""Which files may hold a secret: only their owner reads them, or they are a Kubernetes Secret mounted for us.

Apart from their readers, the bus's and the certificates', so that both judge alike. It reads no file.
"""

import os
import stat
from collections.abc import Iterable

OTHERS = 0o077

MOUNTED_MODE = 0o440
"""Of a Secret in a pod with an fsGroup: kubelet gives root the file and the pod's group the right to read it. A process
there that is not root can have it in no stricter way."""

ROOT_USER = 0


def is_private(found: os.stat_result, groups: Iterable[int]) -> bool:
    """`groups` are those of the process that would read the file."""
    mode = stat.S_IMODE(found.st_mode)
    mounted = found.st_uid == ROOT_USER and found.st_gid in groups and mode & ~MOUNTED_MODE == 0
    return mode & OTHERS == 0 or mounted


def our_groups() -> frozenset[int]:
    """Of this process."""
    return frozenset((os.getegid(), *os.getgroups()))
