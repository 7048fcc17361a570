"""A slider through the sparsities: what is left of a network, and how accurate it is.

Everything is measured first, `found = pd.DataFrame(explore(model, dataset, [0.5, 0.9]))`, which
takes a while; then `explorer(model, found)` answers at once.
"""

from html import escape

from pruninglib.experiments.sweeps import recovery_sweep
from pruninglib.plotting.pictures import draw, views
from pruninglib.progress_line import progress
from pruninglib.pruning.criteria import magnitude, unit_norm

CRITERIA = {"weight": magnitude, "unit": unit_norm}
SCOPES = ("layer", "global")


def explore(model, dataset, sparsities, examples=2000, **settings):
    """Yield the rows that `explorer` shows: those of `recovery_sweep`, without retraining.

    Weights are pruned by magnitude and units by norm, in layer and in global scope, and repaired
    on the first `examples` training images.

    Args:
        model, dataset, sparsities: as in `prune_sweep`; the model is left as it is.
        settings: repairing, seed and labels, as in `recovery_sweep`.
    """
    for scope in progress(SCOPES, "scope"):
        how = {"scope": scope, "examples": examples, "starts": ("repaired",), "iterations": ()}
        yield from recovery_sweep(model, dataset, CRITERIA, sparsities, **how, **settings)


def explorer(model, table):
    """Show a slider and buttons in a notebook: sparsity, weights or units, scope, repaired or not.

    They select rows of a table, and a figure of their accuracy, the masks and the network that is
    left. Without ipywidgets a printed sentence says so instead.

    Args:
        model: the dense model, a chain of Dense layers, else ValueError; it is left as it is.
        table: the rows of `explore`, as a DataFrame.
    """
    try:
        import ipywidgets as widgets
    except ImportError:
        print("The slider cannot be shown, for ipywidgets is missing: pip install ipywidgets")
        return
    from IPython.display import display

    sparsities = sorted(table["sparsity"].unique())
    seen = views(model, CRITERIA, SCOPES, sparsities)
    slider = widgets.SelectionSlider(
        options=[(f"{100 * s:g}%", s) for s in sparsities],
        value=sparsities[len(sparsities) // 2],
        description="sparsity",
        continuous_update=False,
    )
    choices = {
        "prune": [("weights", "weight"), ("units", "unit")],
        "scope": SCOPES,
        "then": [("nothing", "pruned"), ("repair", "repaired")],
    }
    buttons = [
        widgets.ToggleButtons(options=options, description=name)
        for name, options in choices.items()
    ]
    picture, words = widgets.Image(format="png"), widgets.HTML()

    def update(_=None):
        method, scope, stage = (button.value for button in buttons)
        rows = table[(table["method"] == method) & (table["scope"] == scope)]
        sentence = _sentence(rows, stage, slider.value)
        words.value = escape(sentence)
        picture.value = draw(rows, stage, slider.value, seen[method, scope, slider.value], sentence)

    for control in (slider, *buttons):
        control.observe(update, names="value")
    update()
    box = widgets.VBox([slider, *buttons, words, picture])
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    said = "A slider through the sparsities stands here as long as the notebook runs."
    data = {"application/vnd.jupyter.widget-view+json": view, "text/plain": said}
    display(data, raw=True)


def _sentence(rows, stage, sparsity):
    """Return a sentence on one sparsity and stage in the rows of one method and scope."""
    at = rows[(rows["stage"] == stage) & (rows["sparsity"] == sparsity)]
    method, scope = rows[["method", "scope"]].iloc[0]
    return (
        f"{100 * sparsity:g}% of the {method}s pruned, {scope} scope, {stage}: "
        f"{at['accuracy'].mean():.1%} of all test images are classified correctly. "
        f"{at['parameters'].mean():,.0f} weights are left."
    )
