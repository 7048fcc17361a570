"""The same axis for the same quantity, in all figures.

Sparsity and accuracy are shares whose end matters most: from 97 to 99 % is as far as from 0 to 67,
for each step away from 100 % is measured by the factor that it leaves (the logarithm of what is
missing). Counts, losses, errors and times are logarithmic.
"""

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

SPARSITY = (0, 0.5, 0.8, 0.9, 0.95, 0.99)
TICKS = {
    "sparsity": SPARSITY,
    "measured_sparsity": SPARSITY,
    "accuracy": (0, 0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995),
}
FORMS = {  # of logarithmic axes: how numbers are written, and which of each decade
    "parameters": ("{:,.0f}", (1,)),
    "weights": ("{:,.0f}", (1,)),
    "error": ("{:.2%}", (1, 2, 5)),
    **dict.fromkeys(("loss", "median_ms"), ("{:g}", (1, 2, 5))),
    **dict.fromkeys(("speed_up", "speed_up_fastest", "fewer"), ("{:g}", (1, 2, 5))),
}
LEAST = 1e-4  # what is missing at the end of such an axis, so that 1 has a place
WORDS = {
    "measured_sparsity": "sparsity that is left",
    "parameters": "weights left",
    "weights": "weights left",
    "median_ms": "milliseconds for one batch",
    "speed_up": "speed-up",
    "speed_up_fastest": "speed-up",
    "fewer": "times fewer MACs",
}


def set_axes(ax, x, y):
    """Give the axes the names and scales of the quantities x and y; return them."""
    for letter, quantity in (("x", x), ("y", y)):
        getattr(ax, f"set_{letter}label")(WORDS.get(quantity, quantity))
        if quantity in TICKS:
            _shares(ax, letter, TICKS[quantity])
        elif quantity in FORMS:
            _logarithmic(ax, letter, *FORMS[quantity])
    return ax


def _shares(ax, letter, ticks):
    getattr(ax, f"set_{letter}scale")("function", functions=(_missing, _share))
    axis = getattr(ax, f"{letter}axis")
    axis.set_major_locator(FixedLocator(ticks))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))


def _missing(share):
    return -np.log10(np.maximum(1 - np.asarray(share, float), LEAST))


def _share(missing):
    return 1 - 10.0 ** -np.asarray(missing, float)


def _logarithmic(ax, letter, form, digits):
    getattr(ax, f"set_{letter}scale")("log")
    axis = getattr(ax, f"{letter}axis")
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: form.format(value)))
