"""The largest memory that a process took (Linux), and memory that is there at once."""

from pathlib import Path

import numpy as np


def peak_memory():
    """Return the largest resident memory, in bytes, since `forget_peak`."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def forget_peak():
    """Let the largest resident memory count from now on (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def wake_memory(size):
    """Write to so many bytes and release them.

    A virtual machine may have given its free memory back, and then takes ten times as long to get
    it as to use it.
    """
    np.ones(size, np.uint8)
