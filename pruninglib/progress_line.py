"""One line of text about long work: what, how far, and the time left.

It is rewritten once a second at most, in a notebook or on a terminal; elsewhere nothing is said,
nor with PRUNINGLIB_QUIET=1. Work within work stands in the same line, the outermost first.
"""

import os
import sys
from contextlib import contextmanager
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
    work = {"what": what, "total": total, "done": 0}
    _line.begin(work)

    def tell(done):
        work["done"] = done
        _line.rewrite()

    try:
        yield tell
    except BaseException:
        _line.end(work, "stopped")
        raise
    _line.end(work, "done")


def place():
    """Return how to show a line here, a function (text, whether it is the last), or None."""
    shell = "IPython" in sys.modules and sys.modules["IPython"].get_ipython()
    if os.environ.get("PRUNINGLIB_QUIET"):
        return None
    if hasattr(shell, "kernel"):
        return _in_notebook()
    return _on_terminal if sys.stdout and sys.stdout.isatty() else None


class _Line:
    """The line of the work that is under way, and of what is within that."""

    def __init__(self):
        self.works, self.began, self.last, self.said, self.show = [], 0.0, 0.0, False, None

    def begin(self, work):
        if not self.works:
            self.began = self.last = perf_counter()
            self.said, self.show = False, place()
        self.works.append(work)

    def rewrite(self):
        now = perf_counter()
        if self.show and now - self.last >= EVERY:
            self.last, self.said = now, True
            parts = [
                f"{work['what']} {min(work['done'] + 1, work['total']):,} of {work['total']:,}"
                for work in self.works
                if work["total"] > 1
            ]
            if done := self._share_done():
                parts.append(f"{_duration((now - self.began) * (1 / done - 1))} left")
            self.show(", ".join(parts), False)

    def _share_done(self):
        share = 0.0
        for work in reversed(self.works):
            share = min(1.0, (work["done"] + share) / max(1, work["total"]))
        return share

    def end(self, work, how):
        if work not in self.works:
            return  # what it was within has ended before it
        outermost = self.works[0] is work
        del self.works[self.works.index(work) :]
        if outermost and self.said:
            done = work["total"] if how == "done" else work["done"]
            took = _duration(perf_counter() - self.began)
            self.show(f"{work['what']} {done:,} of {work['total']:,}, {how} after {took}", True)


_line = _Line()


def _duration(seconds):
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


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
