"""Show the progress of long work in one line of text: what, how far, and the time left.

It is rewritten once a second at most, in a notebook or on a terminal; elsewhere, and with
PRUNINGLIB_QUIET=1, nothing is shown. Nested loops share the line, the outermost first.

Why not tqdm: for one minute of four nested loops, run by papermill, its bars on standard output
left 320 outputs in the saved notebook and 697 lines in the log; a bar for the outermost loop alone
left 62 and 130, and showed no time left before its first step was done. This leaves one output, the
last line. Made as tidy, by a stream that replaces its output, tqdm took hardly less code.
"""

import os
import sys
from contextlib import contextmanager
from shutil import get_terminal_size
from time import perf_counter

EVERY = 1.0  # seconds from one line to the next, at least
_works = []  # under way, the outermost first; that one writes the line


def progress(steps, what, total=None):
    """Yield from `steps` and show the progress: "network 2 of 3, 40 s left".

    Args:
        steps: the iterable to loop over.
        what: the noun for one step.
        total: number of steps; default len(steps), needed for an iterator without a length.

    Shown in a notebook or on a terminal, once a second at most; not with PRUNINGLIB_QUIET=1.

    >>> sum(progress([1, 2, 3], "number"))
    6
    """
    with working(what, len(steps) if total is None else total) as tell:
        for done, step in enumerate(steps, start=1):
            yield step
            tell(done)


@contextmanager
def working(what, total):
    """Yield a function to be called, as often as one likes, with the number of steps done."""
    if _works and _works[0].cell != cell():
        _works.clear()  # an earlier cell left them unfinished
    work = _Work(what, total)
    _works.append(work)

    def tell(done):
        work.done, work.since = done, perf_counter()
        if work in _works:
            _rewrite(_works)

    how = "stopped"
    try:
        yield tell
        how = "done"
    finally:
        if work in _works:  # else the loop around it has ended first
            del _works[_works.index(work) :]
            if not _works and work.told is not None:
                took = _duration(perf_counter() - work.began)
                work.show(f"{work.count(work.done)}, {how} after {took}", True)


class _Work:
    def __init__(self, what, total):
        self.what, self.total, self.done = what, total, 0
        self.began = self.since = perf_counter()  # since: when the last step was done
        self.show, self.cell, self.told = place(), cell(), None  # told: when a line was shown

    def count(self, number):
        """Return the text "iteration 3 of 500"; for a single step the noun alone."""
        return f"{self.what} {number:,} of {self.total:,}" if self.total > 1 else self.what


def _rewrite(works):
    """Rewrite the line, unless it was rewritten less than `EVERY` seconds ago."""
    first, now = works[0], perf_counter()
    if first.show and now - (first.told or first.began) >= EVERY:
        first.told = now
        many = [work for work in works if work.total > 1] or [first]
        parts = [work.count(min(work.done + 1, work.total)) for work in many]
        left = _left(works, now)
        parts += [] if left is None else [f"{_duration(left)} left"]
        first.show(", ".join(parts), False)


def _left(works, now):
    """Return the estimated seconds left of the outermost work, or None if there is no estimate.

    Its steps are taken to last as long as those done so far. In its first step the estimate of
    the work nested in it is used, though that step may hold several such works.
    """
    work, *within = works
    step = now - work.since
    if work.done:
        each = (work.since - work.began) / work.done
        rest = max(0.0, each - step)
    elif within and (rest := _left(within, now)) is not None:
        each = step + rest
    else:
        return None
    return max(0.0, rest + (work.total - work.done - 1) * each)


def _duration(seconds):
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def place():
    """Return a function (text, whether it is the last) that shows a line here, or None."""
    if os.environ.get("PRUNINGLIB_QUIET"):
        return None
    if hasattr(_shell(), "kernel"):
        return _in_notebook()
    return _on_terminal if sys.stdout and sys.stdout.isatty() else None


def cell():
    """Return the number of the notebook cell that is running, or None."""
    return getattr(_shell(), "execution_count", None)


def _shell():
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _in_notebook():
    """Return a function that replaces one output, so that a saved notebook has only the last."""
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
