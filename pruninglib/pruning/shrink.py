"""Build the smaller network that computes the same function as a pruned one.

A channel goes when nothing reads it, or when it is constant: a unit whose incoming weights are
all zero outputs activation(bias), whatever comes in. What such a constant gives to the layers
that read it goes into their biases, so that the outputs stay the same to rounding.
"""

from collections import Counter
from numbers import Integral

from pruninglib.pruning.cutting import cut_model
from pruninglib.pruning.plan import make_plan
from pruninglib.structure.graph import check_graph
from pruninglib.structure.layers import kernel_values, number_of_units
from pruninglib.structure.prunable import prunable_layers


class CannotShrink(ValueError):
    """The model has a layer that `shrink` cannot make smaller without changing the outputs."""


def shrink(pruned, round_to=1):
    """Return a smaller model with the outputs of `pruned`, to 1e-5 relative in float32.

    Works on any Sequential or Functional model, nested ones included. What cannot be made smaller
    stays as it is; `plan_shrink` says what and why. Masks on the weights that are left are still
    held. The original is untouched.

    Args:
        round_to: keep so many more units that each layer that gets smaller has a multiple of this.

    Raises CannotShrink (a ValueError) where a layer would lose all of its units.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = pl.prune(model, pl.make_masks(model, pl.unit_norm, 0.5))
    >>> [layer.units for layer in shrink(pruned).layers]
    [3, 3, 3]
    """
    _check(pruned, round_to)
    plan = make_plan(pruned, round_to)
    for row in _rows(pruned, plan):
        if not row["units_after"]:
            raise CannotShrink(
                f"Layer {row['layer']!r} would lose all of its {row['units']} units. Prune it "
                "less: lower its sparsity, for example with a dict of sparsities per layer."
            )
    return cut_model(pruned, plan)


def plan_shrink(pruned, round_to=1):
    """Return rows of what `shrink` would do, one for each Dense or convolution layer, in order.

    Columns: layer, units, units_after, and why: why not fewer are left, where zero units stay or
    none goes. `pd.DataFrame(plan_shrink(pruned))` is a table of it. Nothing is built.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = pl.prune(model, pl.make_masks(model, pl.unit_norm, 0.5))
    >>> plan_shrink(pruned)[0]
    {'layer': 'hidden_1', 'units': 6, 'units_after': 3, 'why': ''}
    """
    _check(pruned, round_to)
    return list(_rows(pruned, make_plan(pruned, round_to)))


def _check(pruned, round_to):
    prunable_layers(pruned)
    check_graph(pruned)
    if not isinstance(round_to, Integral) or isinstance(round_to, bool) or round_to < 1:
        raise ValueError(f"round_to must be a whole number from 1 on, got {round_to!r}.")


def _rows(model, plan):
    steps = {step.call.name: step for step in plan.steps}
    for name, layer in prunable_layers(model).items():
        zero = ~kernel_values(layer).reshape(-1, number_of_units(layer)).any(axis=0)
        row = {"layer": name, "units": zero.size, "units_after": zero.size}
        if name not in steps:
            yield row | {"why": "it is in a model that is not looked into"}
            continue
        if steps[name].output is None:
            yield row | {"why": steps[name].reason}
            continue
        labels = plan.labels[steps[name].output.groups]
        left = ~plan.goes[labels]
        row["units_after"] = int(left.sum())
        if (left & zero).any():
            why = Counter(plan.why[n] for n in labels[left & zero])
            yield row | {"why": "; ".join(f"{n} zero units: {text}" for text, n in why.items())}
        elif left.all():
            must = sorted({plan.why[n] for n in plan.must.intersection(labels)})
            yield row | {"why": "; ".join(must) or "none of its units is zero"}
        else:
            yield row | {"why": ""}
