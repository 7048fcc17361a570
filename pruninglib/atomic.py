"""Write files atomically: whole or not at all."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path


def of_the_machine(error):
    """Say whether an error while reading a file is the machine's fault, not the content's.

    A damaged zip file may point before its start; seeking there raises an OSError (EINVAL), too.
    """
    return isinstance(error, (OSError, MemoryError)) and getattr(error, "errno", 0) != errno.EINVAL


@contextmanager
def written_whole(path):
    """Yield a temporary path beside `path`, moved to `path` only if the block succeeds.

    A reader never sees a half-written file, and a failure leaves what was there before.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
