"""How all figures look, and how they are kept and shown: one style, and words for each.

plt.style.use(figures.STYLE)
figures.show(fig, "Accuracy falls from 98 % ...", folder / "sweep.png")
"""

import base64
from html import escape
from io import BytesIO

import matplotlib.pyplot as plt
from PIL import Image, PngImagePlugin

from pruninglib.experiments.paths import written_whole

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


def panels(count):
    """Return a figure of `count` panels with common axes, two in a row, and the list of them."""
    rows = -(-count // 2)
    how = {"sharex": True, "sharey": True, "squeeze": False}
    fig, axes = plt.subplots(rows, min(count, 2), figsize=(WIDTH, 0.6 + 2.9 * rows), **how)
    for ax in axes.flat[count:]:
        ax.remove()
    return fig, list(axes.flat[:count])


def png(fig, words):
    """Return a figure as the bytes of a PNG file that has the words in it; the figure is closed."""
    file = BytesIO()
    fig.savefig(file, format="png", metadata={"Software": None, "Description": words})
    plt.close(fig)
    return file.getvalue()


def smaller(content):
    """Return a PNG with 128 colours, which is a third of the size, and the same words."""
    file, about = BytesIO(), PngImagePlugin.PngInfo()
    with Image.open(BytesIO(content)) as picture:
        about.add_text("Description", picture.text["Description"])
        few = picture.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    few.save(file, "PNG", pnginfo=about)
    return file.getvalue()


def show(fig, words, path=None):
    """Show a figure in a notebook, and write it as PNG, whole or not at all.

    Args:
        words: what the figure shows, for those who do not see it.
        path: where to write it (or None); the words are in the file, too.

    The notebook has the words as the picture's alternative text, and below the picture, for
    JupyterLab shows pictures without their alternative text.
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
        table: with the columns "sparsity" and "accuracy", and those of the names.
        names: list of the columns of the names, which stand in their order of appearance.

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
