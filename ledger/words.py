"""What was measured, and the reason of a verdict, in words."""

from collections import Counter
from math import inf

from ledger.judging import DATASETS
from ledger.verdicts import FAILS, HOLDS, IN_PART, MISSING, UNKNOWN, Measured, of_part

IN_PERCENT = ("sweep", "weights", "units")
AT_MOST = 2  # parts that a sentence names
PLURAL = {HOLDS: "hold", IN_PART: "hold in part", FAILS: "do not hold"}


def why(found):
    """Return the reason of a verdict: what held, what did not, what cannot be said."""
    own = [judged for judged in found if judged.own]
    sentences = []
    if len(own) > 1:
        counts = Counter(judged.verdict for judged in own)
        sentences.append(f"Of {len(own)} parts: {told(counts)}.")
    for mark, begin in ((HOLDS, "Holds"), (FAILS, "Does not"), (UNKNOWN, "Cannot be said")):
        parts = [judged for judged in own if judged.verdict == mark]
        named = [f"{j.part.what}{_where(j, found)}: {_value(j)}" for j in parts[:AT_MOST]]
        if len(parts) > AT_MOST:
            named.append(f"and {len(parts) - AT_MOST} more")
        if parts:
            sentences.append(f"{begin}: {'; '.join(named)}.")
    return " ".join(sentences)


def told(counts):
    """Return how often each verdict occurs, from the best to the worst, as text."""
    verdicts = [v for v in (HOLDS, IN_PART, FAILS, UNKNOWN, MISSING) if counts[v]]
    return ", ".join(f"{counts[v]} {v if counts[v] == 1 else PLURAL.get(v, v)}" for v in verdicts)


def _where(judged, found):
    """Return the dataset as text, if the source speaks of more than one."""
    own = {other.dataset for other in found if other.own}
    return f" ({DATASETS[judged.dataset]})" if len(own) > 1 else ""


def cell(judged):
    """Return what was measured and the verdict on it; nothing of what was not."""
    return f"{_value(judged)} {judged.verdict}" if judged else ""


def _value(judged):
    """Return a measured value with its interval as text."""
    if judged.measured is None:
        return ""
    part, digits = judged.part, _digits(judged)
    value, low, high = (_number(x, part.table, digits) for x in judged.measured)
    return f"{value} [{low}, {high}]{_unit(part)}"


def _digits(judged):
    """Return how many decimals of percent a reader needs to come to the same verdict."""
    for digits in (1, 2, 3):
        rounded = Measured(*(round(x, 2 + digits) for x in judged.measured))
        if of_part(rounded, *judged.part.limits) == judged.verdict:
            return digits
    return digits


def limits(part):
    """Return when a part of a claim holds."""
    low, high = (_number(x, part.table) for x in part.limits)
    if part.limits[1] == inf:
        return "above 0" if 0 < part.limits[0] < 1e-6 else f"at least {low}{_unit(part)}"
    if part.limits[0] == -inf:
        return "below 0" if -1e-6 < part.limits[1] < 0 else f"at most {high}{_unit(part)}"
    return f"{low} to {high}{_unit(part)}"


def _unit(part):
    if part.table not in IN_PERCENT:
        return ""
    return " points" if "minus" in part.what else " %"


def _number(x, table, digits=1):
    if table not in IN_PERCENT:
        return f"{x:.3g}"
    return f"{round(100 * x, digits) + 0:.{digits}f}"  # no -0.0
