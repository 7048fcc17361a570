"""A slider through the sparsities: what is left of a network, and how accurate it is.

It shows what a sweep measured, and answers at once: `explorer(model, DataFrame(prune_sweep(...)))`.
"""

from html import escape

from pruninglib.plotting.pictures import draw, views
from pruninglib.pruning.criteria import magnitude, unit_norm

CRITERIA = {"weight": magnitude, "unit": unit_norm}


def explorer(model, table, criteria=None, scope="layer", by="stage"):
    """Show a slider and buttons in a notebook: the sparsity, what is pruned, and what follows.

    They select rows of a table, and a figure of their accuracy, the masks and the network that is
    left. Without ipywidgets a printed sentence says so instead.

    Args:
        model: the dense model, a chain of Dense layers, else ValueError; it is left as it is.
        table: DataFrame of the rows of a sweep over the sparsities of this model.
        criteria: {method: criterion} of the methods in the table to show, as in the sweep; default
            "weight" by `magnitude` and "unit" by `unit_norm`, as far as they are there.
        scope: that of the sweep.
        by: column that says what followed the pruning, such as "stage" or "treatment".
    """
    try:
        import ipywidgets as widgets
    except ImportError:
        print("The slider cannot be shown, for ipywidgets is missing: pip install ipywidgets")
        return
    from IPython.display import display

    criteria = {k: v for k, v in (criteria or CRITERIA).items() if k in set(table["method"])}
    table = table[table["method"].isin(criteria)]
    sparsities = sorted(table["sparsity"].unique())
    seen = views(model, criteria, scope, sparsities)
    slider = widgets.SelectionSlider(
        options=[(f"{100 * s:g}%", s) for s in sparsities],
        value=sparsities[len(sparsities) // 2],
        description="sparsity",
        continuous_update=False,
    )
    choices = {"prune": [(f"{m}s", m) for m in criteria], "then": list(table[by].unique())}
    buttons = [
        widgets.ToggleButtons(options=options, description=name)
        for name, options in choices.items()
    ]
    picture, words = widgets.Image(format="png"), widgets.HTML()

    def update(_=None):
        method, then = (button.value for button in buttons)
        rows = table[table["method"] == method]
        at = rows[(rows[by] == then) & (rows["sparsity"] == slider.value)]
        sentence = _sentence(at, method, then, slider.value)
        words.value = escape(sentence)
        picture.value = draw(rows, by, at, seen[method, slider.value], sentence)

    for control in (slider, *buttons):
        control.observe(update, names="value")
    update()
    box = widgets.VBox([slider, *buttons, words, picture])
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    said = "A slider through the sparsities stands here as long as the notebook runs."
    data = {"application/vnd.jupyter.widget-view+json": view, "text/plain": said}
    display(data, raw=True)


def _sentence(at, method, then, sparsity):
    """Return a sentence on the rows of one method, sparsity and treatment."""
    what = f"{100 * sparsity:g}% of the {method}s pruned, {then}"
    if at.empty:
        return f"{what}: not measured."
    return (
        f"{what}: {at['accuracy'].mean():.1%} of all test images are classified correctly. "
        f"{at['parameters'].mean():,.0f} weights are left."
    )
