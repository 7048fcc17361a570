"""Decide when a claim holds: when the measured value and its interval lie within its limits."""

from typing import NamedTuple

import numpy as np
from scipy import stats

HOLDS, IN_PART = "holds", "holds in part"
FAILS, UNKNOWN = "does not hold", "cannot be said"
MISSING = "not measured yet"


class Measured(NamedTuple):
    """A value with its interval."""

    value: float
    low: float
    high: float


def over_seeds(values):
    """Return the mean of values, one for each seed, and its 95 % interval (Student's t).

    With less than two values the interval is unknown (nan).

    >>> [round(x, 3) for x in over_seeds([0.97, 0.98, 0.99])]
    [0.98, 0.955, 1.005]
    """
    values = np.asarray(values, dtype=float)
    mean, count = values.mean(), len(values)
    if count < 2:
        return Measured(float(mean), np.nan, np.nan)
    half = stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / count**0.5
    return Measured(float(mean), float(mean - half), float(mean + half))


def of_part(measured, low, high):
    """Return whether a value lies in [low, high]: its interval inside, outside or across."""
    if low <= measured.low and measured.high <= high:
        return HOLDS
    if measured.high < low or measured.low > high:
        return FAILS
    return UNKNOWN


def of_claim(parts):
    """Return the verdict on a claim from those on its parts: it says all of them.

    >>> of_claim(["holds", "does not hold"])
    'holds in part'
    """
    found = set(parts)
    if found == {HOLDS}:
        return HOLDS
    if HOLDS in found:
        return IN_PART
    return FAILS if FAILS in found else UNKNOWN
