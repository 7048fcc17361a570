"""Build the smaller network that computes the same function as a pruned one.

A channel is removed when nothing reads it, or when it is constant: a unit whose incoming weights
are all zero outputs activation(bias), whatever its input. What such a constant contributes to the
layers that read it is folded into their biases, so that the outputs stay the same to rounding.
"""

from collections import Counter
from numbers import Integral

import numpy as np

from pruninglib.backend import keras
from pruninglib.pruning.plan import make_plan
from pruninglib.pruning.prune import HoldMask, held_masks, set_constraint
from pruninglib.structure.copying import copy_weights, finish, has_own_constructor, rebuild
from pruninglib.structure.graph import check_graph, check_model, is_graph, leaves
from pruninglib.structure.layers import (
    DEPTHWISE,
    PRUNABLE,
    SEPARABLE,
    TRANSPOSED,
    as_kernel,
    constrained,
    kernel_values,
    number_of_units,
    units_last,
)
from pruninglib.structure.prunable import prunable_layers
from pruninglib.structure.readers import bias_values, carriers_needed, given, is_uneven, reads

PER_CHANNEL = ("scale", "offset", "mean", "variance")  # settings that may be arrays


class CannotShrink(ValueError):
    """Raised where `shrink` would remove all units of a layer."""


def shrink(pruned, round_to=1):
    """Return a smaller model with the outputs of `pruned`, to 1e-5 relative in float32.

    What cannot be made smaller stays as it is; `plan_shrink` says what and why. Masks on the
    weights that are left are still held.

    Args:
        pruned: a Sequential or Functional model, nested models included; it is left as it is.
        round_to: keep just enough more units that each layer made smaller has a multiple of this.

    Raises CannotShrink (a ValueError) if a layer would lose all of its units, and ValueError for a
    subclassed model, and for one in which layers would get smaller that its class makes itself.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = pl.prune(model, pl.make_masks(model, pl.unit_norm, 0.5))
    >>> [layer.units for layer in shrink(pruned).layers]
    [3, 3, 3]
    """
    _check(pruned, round_to)
    return smaller(pruned, round_to)


def smaller(pruned, round_to=1):
    """Return what `shrink` returns, for a model whose weights were checked."""
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

    Columns: layer, units, units_after, and why: the reason, if units that are zero stay or none
    goes. `pd.DataFrame(plan_shrink(pruned))` makes a table. The model is left as it is. Arguments
    as in `shrink`.

    >>> model = pl.make_mlp(4, [6, 5], 3)
    >>> pruned = pl.prune(model, pl.make_masks(model, pl.unit_norm, 0.5))
    >>> plan_shrink(pruned)[0]
    {'layer': 'hidden_1', 'units': 6, 'units_after': 3, 'why': ''}
    """
    _check(pruned, round_to)
    return list(_rows(pruned, make_plan(pruned, round_to)))


def _check(pruned, round_to):
    check_model(pruned)
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


def cut_model(model, plan):
    """Return a copy without the channels that a `Plan` removes, with the same outputs.

    The masks that the model holds are still held on what is left.
    """
    steps = {id(step.call.layer): step for step in plan.steps if step.output is not None}
    _check_constructors(model, steps, plan)

    def resize(layer, config):
        return _resized(steps[id(layer)], config, plan) if id(layer) in steps else config

    def input_shape(tensor):
        channels = plan.channels.get(id(tensor))
        if channels is None or not channels.groups.size:  # of a model that is not unnested
            return tensor.shape
        return (*tensor.shape[:-1], int(plan.left(channels).sum()))

    cut = rebuild(model, resize, input_shape)
    for (_, twin), (_, layer) in zip(leaves(cut), leaves(model), strict=True):
        _fill(twin, layer, steps.get(id(layer)), plan)
    return cut


def _check_constructors(model, steps, plan):
    """Raise ValueError if layers change in a model that only its own constructor can make."""
    changed = [
        name
        for name, layer in leaves(model)
        if id(layer) in steps and not _is_whole(steps[id(layer)], plan)
    ]
    if changed and has_own_constructor(model):
        raise ValueError(
            f"Layers {changed} would get smaller, but model {model.name!r} is made by the "
            f"constructor of its class {type(model).__name__}, which makes them of their full "
            "size. Make a plain model of it, keras.Model(model.inputs, model.outputs); of a "
            "nested one, before the model around it is built."
        )
    for layer in model.layers if changed else ():
        if is_graph(layer):
            _check_constructors(layer, steps, plan)


def _is_whole(step, plan):
    return all(plan.left(channels).all() for channels in (*step.inputs, step.output))


def _resized(step, config, plan):
    """Return the config of a layer for the channels that are left."""
    layer, left = step.call.layer, plan.left(step.output)
    size = int(left.sum())
    if isinstance(layer, keras.layers.Dense):
        config["units"] = size
    elif isinstance(layer, PRUNABLE) and not isinstance(layer, DEPTHWISE):
        config["filters"] = size
        if not reads(layer):  # a convolution with a group for each input
            config["groups"] = int(plan.left(step.inputs[0]).sum())
    elif isinstance(layer, keras.layers.Reshape):
        config["target_shape"] = (*step.call.outputs[0].shape[1:-1], size)
    if reads(layer):
        config["use_bias"] = layer.use_bias or bool(folded_bias(step, plan).any())
    for name in PER_CHANNEL:
        if np.size(config.get(name)) == left.size > 1:
            config[name] = np.asarray(config[name])[..., left].tolist()
    return config


def _fill(twin, layer, step, plan):
    """Assign to a layer of the smaller model its part of the weights and masks of the larger."""
    if step is None:
        copy_weights(twin, layer)
        return
    new = {weight.name: weight for weight in twin.weights}
    old = {weight.name: np.array(weight) for weight in layer.weights}  # copies, see `copy_weights`
    held = held_masks(layer) if isinstance(layer, PRUNABLE) else {}
    masks = {name: np.broadcast_to(held[name].mask, old[name].shape) for name in held}
    if reads(layer):
        old, masks = carry(step, plan, old, masks)
    cut = {name: _axes(layer, name, values.shape, step, plan) for name, values in old.items()}
    old = {name: _compress(values, cut[name]) for name, values in old.items()}
    masks = {name: _compress(mask, cut[name]) for name, mask in masks.items()}
    if reads(layer) and twin.use_bias:
        old["bias"] = folded_bias(step, plan)
    for name, values in old.items():
        new[name].assign(values)
    for name, constraint in constrained(layer) if held else ():
        if name in held:
            then = held[name].then
            left = then if masks[name].all() else HoldMask(masks[name], then)
            set_constraint(twin, name, constraint, left)
    finish(twin)


def _compress(array, axes):
    for axis, left in axes:
        array = np.compress(left, array, axis)
    return array


def _axes(layer, name, shape, step, plan):
    """Return pairs (axis of a weight, which of its entries are left)."""
    into, out = plan.left(step.inputs[0]), plan.left(step.output)
    if name == "depthwise_kernel" or (isinstance(layer, DEPTHWISE) and name == "kernel"):
        return [(-2, into)]
    if name == "pointwise_kernel":
        return [(-2, np.repeat(into, shape[-2] // into.size)), (-1, out)]
    if name == "kernel" and isinstance(layer, TRANSPOSED):
        return [(-2, out), (-1, into)]
    if name == "kernel" and reads(layer):
        return [(-2, into), (-1, out)]
    return [(-1, out)] if shape[-1:] == out.shape else []


def folded_bias(step, plan):
    """Return the bias of the units that are left, with the removed constants folded in."""
    gone, bias = _constants(step, ~plan.left(step.inputs[0])), bias_values(step.call.layer)
    if gone.any() and not _uneven(step):
        bias = bias + given(step.call.layer, gone).sum(axis=0)
    return bias[plan.left(step.output)]


def carry(step, plan, weights, masks):
    """Return a layer's weights and masks in which remaining channels carry the removed constants.

    With zero padding, channels of constants c contribute the sum over i of c[i] * kernel[p, i] at
    each position p of the kernel that is not on the padding. One constant channel with a kernel
    of its own can contribute the same; in a separable convolution, which has one kernel a channel
    for all units, it takes one channel a position. Constant channels that stay take this over.

    Args:
        weights: {name of a weight: array}.
        masks: {name of a weight: bool array of its shape}, the masks held.
    """
    left = plan.left(step.inputs[0])
    gone, layer = _constants(step, ~left), step.call.layer
    if not (gone.any() and _uneven(step)):
        return weights, masks
    constants = _constants(step, left)
    carriers = np.argsort(-np.abs(constants), kind="stable")[: carriers_needed(layer)]
    moved = gone.copy()
    moved[carriers] = constants[carriers]
    if not constants[carriers].all():  # nothing that is left reads what was removed
        return weights, masks
    carry_with = _by_position if isinstance(layer, SEPARABLE) else _by_one
    weights = carry_with(layer, weights, given(layer, moved), carriers, constants)
    return weights, _joined_masks(layer, masks, carriers, moved != 0)


def _by_one(layer, weights, sums, carriers, constants):
    (carrier,) = carriers
    kernel = units_last(layer, weights["kernel"]).copy()
    kernel[..., carrier, :] = (sums / constants[carrier]).reshape(kernel[..., carrier, :].shape)
    return weights | {"kernel": as_kernel(layer, kernel)}


def _by_position(layer, weights, sums, carriers, constants):
    """Let the first depthwise channel of each carrier read one position."""
    depthwise, pointwise = (weights[f"{kind}_kernel"].copy() for kind in ("depthwise", "pointwise"))
    *_, inputs, multiplier = depthwise.shape
    seen = depthwise.reshape(-1, inputs, multiplier)
    weighed = pointwise.reshape(inputs, multiplier, -1)
    seen[:, carriers], weighed[carriers] = 0, 0
    seen[range(len(seen)), carriers, 0] = 1
    weighed[carriers, 0] = sums / constants[carriers, None]
    return weights | {"depthwise_kernel": depthwise, "pointwise_kernel": pointwise}


def _joined_masks(layer, masks, carriers, moved):
    """Return masks in which the carriers keep each weight that any of the moved channels kept."""
    name = "pointwise_kernel" if isinstance(layer, SEPARABLE) else "kernel"
    if name not in masks:
        return masks
    mask = units_last(layer, masks[name]).copy()
    times = mask.shape[-2] // moved.size  # the multiplier of a separable convolution
    rows = (np.flatnonzero(moved)[:, None] * times + np.arange(times)).ravel()
    joined = mask[..., rows, :].any(axis=-2)
    mask[..., carriers * times, :] |= joined[..., None, :]
    return masks | {name: as_kernel(layer, mask)}


def _constants(step, which):
    """Return a layer's input constants in these channels, 0 in others and in those that vary."""
    return np.where(which, np.nan_to_num(step.inputs[0].constant), 0)


def _uneven(step):
    return is_uneven(step.call.layer, step.inputs[0].bordered)
