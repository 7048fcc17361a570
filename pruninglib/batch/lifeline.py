"""Let a process end with the one that started it, even if that is killed (Linux).

    python -m pruninglib.batch.lifeline PARENT MODULE ARGUMENTS...

runs a module as `python -m` does, in a process that ends as soon as the process PARENT has.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def end_with(parent):
    """Have the kernel kill this process when its parent, of that number, ends.

    Elsewhere than on Linux this does nothing.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before that
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    sys.argv = sys.argv[2:]
    # when papermill is imported, jsonschema would build a grammar of addresses for 3 s, which no
    # notebook is checked by; it does without if there is none
    sys.modules["rfc3987_syntax"] = None
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
