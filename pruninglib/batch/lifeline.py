"""End a process with the one that started it, even if that one is killed (Linux).

    python -m pruninglib.batch.lifeline PARENT MODULE ARGUMENTS...

runs a module as `python -m` does, in a process that ends as soon as the process PARENT does.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


def end_with(parent):
    """Have the operating system kill this process when its parent ends; Linux only.

    Args:
        parent: process id. Does nothing on other systems.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it has ended already
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    sys.argv = sys.argv[2:]
    # importing papermill makes jsonschema spend 3 s on a grammar of addresses, which checks
    # nothing in a notebook; without this module it is skipped
    sys.modules["rfc3987_syntax"] = None
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
