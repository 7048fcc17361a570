"""Give all figures one style, the same axis for the same quantity, and a description in words.

fig, ax = style.figure()
style.show(fig, "Accuracy falls from 98 % ...", folder / "sweep.png")
"""

import base64
from html import escape
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from PIL import Image, PngImagePlugin

from pruninglib.atomic import written_whole

STYLE = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "savefig.dpi": "figure",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
}
WIDTH = 9  # inches, shown as 900 pixels: about what fits into a README or a notebook
SPARSITY = (0, 0.5, 0.8, 0.9, 0.95, 0.99)
TICKS = {
    "sparsity": SPARSITY,
    "measured_sparsity": SPARSITY,
    "accuracy": (0, 0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995),
}
FORMS = {  # of logarithmic axes: number format, and the ticks of each decade
    "parameters": ("{:,.0f}", (1, 2, 5)),
    "weights": ("{:,.0f}", (1, 2, 5)),
    "bytes": ("{:,.0f}", (1, 2, 5)),
    "error": ("{:.2%}", (1, 2, 5)),
    **dict.fromkeys(("loss", "median_ms"), ("{:g}", (1, 2, 5))),
    **dict.fromkeys(("speed_up", "speed_up_fastest", "fewer"), ("{:g}", (1, 2, 5))),
}
LEAST = 1e-4  # axes of shares are logarithmic in 1 - share, which is at least this
WORDS = {
    "measured_sparsity": "sparsity that is left",
    "parameters": "weights left",
    "weights": "weights left",
    "median_ms": "milliseconds for one batch",
    "speed_up": "speed-up",
    "speed_up_fastest": "speed-up",
    "fewer": "times fewer MACs",
}


def figure(columns=1, rows=1, height=4, **how):
    """Return a figure and its axes, one or an array of them; all drawn from now on has this style.

    Args:
        columns, rows: of panels.
        height: of the whole figure, inches.
        how: sharex and others, as in `plt.subplots`.
    """
    plt.style.use(STYLE)
    return plt.subplots(rows, columns, figsize=(WIDTH, height), **how)


def png(fig, words):
    """Return a figure as the bytes of a PNG file with the words as description, and close it."""
    file = BytesIO()
    fig.savefig(file, format="png", metadata={"Software": None, "Description": words})
    plt.close(fig)
    return file.getvalue()


def smaller(content):
    """Return a PNG reduced to 128 colours, a third of the size, with the same words."""
    file, about = BytesIO(), PngImagePlugin.PngInfo()
    with Image.open(BytesIO(content)) as picture:
        about.add_text("Description", picture.text["Description"])
        few = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    few.save(file, "PNG", pnginfo=about)
    return file.getvalue()


def show(fig, words, path=None):
    """Show a figure in a notebook, close it, and write it as PNG, whole or not at all.

    Args:
        words: what the figure shows, for those who cannot see it.
        path: where to write it, with the words in the file; None for nowhere.

    The words become the picture's alternative text in the notebook, and stand below it, too, for
    JupyterLab drops alternative texts.
    """
    from IPython.display import display

    content = smaller(png(fig, words))
    if path:
        with written_whole(path) as temporary:
            temporary.write_bytes(content)
    data = {"image/png": base64.b64encode(content).decode(), "text/plain": words}
    about = {"alt": words, "width": round(WIDTH * 100)}
    display(data, metadata={"image/png": about}, raw=True)
    display({"text/html": f"<p><small>{escape(words)}</small></p>", "text/plain": words}, raw=True)


def means(table, names, sparsity=0.9):
    """Return words for a figure: mean accuracies at the sparsity nearest to the one asked for.

    Args:
        table: DataFrame with the columns "sparsity", "accuracy" and `names`.
        names: list of columns whose values name the groups, in order of appearance.

    >>> import pandas as pd
    >>> table = pd.DataFrame({"way": ["old", "new", "new"], "accuracy": [0.5, 0.6, 0.7]})
    >>> means(table.assign(sparsity=0.8), ["way"])
    'at a sparsity of 80% old 50.0%, new 65.0%'
    """
    far = (table["sparsity"] - sparsity).abs()
    near = table[far == far.min()]
    groups = near.groupby(names, sort=False)["accuracy"]
    said = ", ".join(f"{' '.join(name)} {rows.mean():.1%}" for name, rows in groups)
    return f"at a sparsity of {100 * near['sparsity'].iloc[0]:g}% {said}"


def set_axes(ax, x, y):
    """Label and scale the axes, in place, for the quantities x and y; return them."""
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
