"""Two paths change places at once, so that one of the two is always in each.

Linux has ``renameat2(RENAME_EXCHANGE)`` (Linux 3.15, most local file systems), macOS
``renamex_np(RENAME_SWAP)`` (10.12, APFS). Elsewhere, and on most network file systems, there is no
such call, and the caller has to rename twice.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux and RENAME_SWAP of macOS
_UNSUPPORTED = {errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}


def exchange(first: Path, second: Path) -> bool:
    """Let two existing paths of one file system change places.

    Args:
        first: A file or folder.
        second: Another one.

    Returns:
        Whether they did; False where the system or the file system has no such call, and then
        nothing has changed.

    Raises:
        OSError: The system has the call and refuses.
    """
    names = os.fsencode(first), os.fsencode(second)
    if sys.platform == "win32":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        result = library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)
    elif sys.platform == "darwin" and hasattr(library, "renamex_np"):
        result = library.renamex_np(*names, _EXCHANGE)
    else:
        return False
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(second))
