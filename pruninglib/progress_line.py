"""One line of text about long work: what, how far, and the time left.

It is rewritten once a second at most, in a notebook or on a terminal; elsewhere nothing is said,
nor with PRUNINGLIB_QUIET=1. Work within work stands in the same line, the outermost first.
"""

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from shutil import get_terminal_size
from time import perf_counter

EVERY = 1.0  # seconds from one line to the next, at least


def progress(steps, what, total=None):
    """Yield from `steps`, and tell how far it is: "network 2 of 3, 40 s left".

    Args:
        steps: what to go through.
        what: the word for one of them.
        total: how many there are; by default len(steps).

    Shown in a notebook or on a terminal, once a second at most; with PRUNINGLIB_QUIET=1 not at all.

    >>> sum(progress([1, 2, 3], "number"))
    6
    """
    with working(what, len(steps) if total is None else total) as tell:
        for done, step in enumerate(steps, start=1):
            yield step
            tell(done)


@contextmanager
def working(what, total):
    """Yield a function to be called with the number of steps done so far, as often as one likes."""
    now = perf_counter()
    work = _Work(what, total, now, now)
    _line.begin(work)

    def tell(done):
        work.done, work.since = done, perf_counter()
        _line.rewrite()

    try:
        yield tell
    except BaseException:
        _line.end(work, "stopped")
        raise
    _line.end(work, "done")


@dataclass(eq=False)  # two works that look alike are still two
class _Work:
    what: str
    total: int
    began: float
    since: float  # the last step was done
    done: int = 0

    def count(self, number):
        """Return the text "iteration 3 of 500"; of a single step the word alone."""
        return f"{self.what} {number:,} of {self.total:,}" if self.total > 1 else self.what


def _left(works, now):
    """Return the seconds that the first work still takes, or None while nothing tells.

    As long as its steps took so far; in its first step, as long as the work within that tells,
    which may be one of several there.
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


class _Line:
    """The line of the work that is under way, and of what is within that."""

    def __init__(self):
        self.works, self.last, self.said, self.show, self.cell = [], 0.0, False, None, None

    def begin(self, work):
        if self.cell != (current := cell()):  # what an earlier cell left unfinished is over
            self.works, self.cell = [], current
        if not self.works:
            self.last, self.said, self.show = work.began, False, place()
        self.works.append(work)

    def rewrite(self):
        now = perf_counter()
        if self.works and self.show and now - self.last >= EVERY:
            self.last, self.said = now, True
            many = [work for work in self.works if work.total > 1] or self.works[:1]
            parts = [work.count(min(work.done + 1, work.total)) for work in many]
            left = _left(self.works, now)
            parts += [] if left is None else [f"{_duration(left)} left"]
            self.show(", ".join(parts), False)

    def end(self, work, how):
        if work not in self.works:
            return  # what it was within has ended before it
        outermost = self.works[0] is work
        del self.works[self.works.index(work) :]
        if outermost and self.said:
            done = work.total if how == "done" else work.done
            took = _duration(perf_counter() - work.began)
            self.show(f"{work.count(done)}, {how} after {took}", True)


_line = _Line()


def _duration(seconds):
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


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
