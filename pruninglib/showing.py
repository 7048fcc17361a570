"""Where a line of text about long work can be shown: in a notebook, on a terminal, or nowhere."""

import os
import sys
from shutil import get_terminal_size


def place():
    """Return how to show a line here, a function (text, whether it is the last), or None."""
    if os.environ.get("PRUNINGLIB_QUIET"):
        return None
    if hasattr(_shell(), "kernel"):
        return _in_notebook()
    return _on_terminal if sys.stdout and sys.stdout.isatty() else None


def cell():
    """Return the number of the notebook's cell that runs, or None."""
    return getattr(_shell(), "execution_count", None)


def _shell():
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _in_notebook():
    """One output that is replaced, so that a saved notebook has the last line alone."""
    from IPython.display import display

    handle = None

    def show(text, last):
        nonlocal handle
        if handle is None:
            handle = display({"text/plain": text}, raw=True, display_id=True)
        else:
            handle.update({"text/plain": text}, raw=True)

    return show


def _on_terminal(text, last):
    width = get_terminal_size().columns - 1
    print(f"\r{text[:width]:<{width}}", end="\n" if last else "", flush=True)
