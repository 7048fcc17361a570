"""Decide which channels of a pruned model can be removed."""

from typing import NamedTuple

import numpy as np

from pruninglib.structure.channels import flow
from pruninglib.structure.readers import carriers_needed, is_uneven, reads, weighs

LEAST = 0.01  # of the largest: a smaller constant would need a large kernel to carry others


class Plan(NamedTuple):
    """Which channels of a model are removed, and why the others stay.

    steps: a `Step` for each call of a layer.
    channels: {id of a tensor: its `Channels`}.
    labels: (groups,) the joint group of each group.
    goes: (joint groups,) whether it is removed.
    why: {joint group: why it stays}.
    must: the joint groups that stay even if all their weights are zero.
    """

    steps: list
    channels: dict
    labels: np.ndarray
    goes: np.ndarray
    why: dict
    must: set

    def left(self, channels):
        """Return which channels are left, as an array of bool."""
        return ~self.goes[self.labels[channels.groups]]


def make_plan(model, round_to=1):
    """Return the `Plan` for a pruned model.

    A joint group of channels goes if it may, and if each layer that reads one of its channels
    has only zero weights from it to what stays, or can take it as a constant into its bias. A
    layer with zero padding cannot, for there a constant contributes less near the border: one
    channel stays, and carries the constants of the others with its own.

    Args:
        round_to: keep just enough more channels that the number left is a multiple of this.
    """
    steps, channels, groups = flow(model)
    count, labels = groups.labels()
    why = groups.kept(labels)
    stays = np.zeros(count, bool)
    must, stays[list(why)] = set(why), True
    readers = [step for step in steps if step.output is not None and reads(step.call.layer)]
    read = _read_channels(readers, labels, stays)
    alive = _alive(steps, labels)
    for step, seen in zip(readers, read, strict=True):
        varying = seen & np.isnan(step.inputs[0].constant)
        for label in labels[step.inputs[0].groups[varying]]:
            reason = f"its constant is spread unevenly on the way to {step.call.name!r}"
            _keep(stays, why, [label], alive.get(int(label), reason))
    for step, seen in zip(readers, read, strict=True):
        _keep_carriers(step, seen, labels, stays, why)
    _round(readers, labels, stays, why, round_to)
    return Plan(steps, channels, labels, ~stays, why, must)


def _read_channels(readers, labels, stays):
    """Return which input channels of each reader affect, directly or not, what stays."""
    weighed = [weighs(step.call.layer) for step in readers]
    needed, before = stays.copy(), None
    while before is None or (needed != before).any():
        before = needed.copy()
        read = [
            kernel[:, needed[labels[step.output.groups]]].any(axis=1)
            for step, kernel in zip(readers, weighed, strict=True)
        ]
        for step, seen in zip(readers, read, strict=True):
            needed[labels[step.inputs[0].groups[seen]]] = True
    return read


def _alive(steps, labels):
    """Return {joint group: in words, the layers of which it has units that are not constant}."""
    alive = {}
    for step in steps:
        if step.has_units():
            for label in np.unique(labels[step.output.groups[np.isnan(step.output.constant)]]):
                alive.setdefault(int(label), []).append(repr(step.call.name))
    return {
        label: f"it goes only together with units of {', '.join(names)}"
        for label, names in alive.items()
    }


def _keep(stays, why, labels, reason):
    for label in labels:
        if not stays[label]:
            stays[label] = True
            why[int(label)] = reason


def _keep_carriers(step, seen, labels, stays, why):
    """Keep as many of the largest constants as zero padding needs to carry the others.

    Or all of them, if too few are near the size of the largest (`LEAST`).
    """
    channels = step.inputs[0]
    if is_uneven(step.call.layer, channels.bordered):
        here = labels[channels.groups]
        sizes = np.nan_to_num(np.abs(channels.constant))
        going = seen & (sizes > 0) & ~stays[here]
        fit = sizes >= LEAST * sizes[going].max(initial=0)
        missing = carriers_needed(step.call.layer) - np.count_nonzero(fit & stays[here])
        if missing > 0 and going.any():
            reason = f"it carries the constants of others into the padding of {step.call.name!r}"
            largest = np.flatnonzero(going)[np.argsort(-sizes[going], kind="stable")]
            enough = np.count_nonzero(fit & going) >= missing
            _keep(stays, why, here[largest[:missing] if enough else largest], reason)


def _round(readers, labels, stays, why, multiple):
    """Keep more units, until each layer's number of them is a multiple, or all stay."""
    todo = multiple > 1
    while todo:
        todo = False
        for step in readers:
            here = labels[step.output.groups]
            missing = -np.count_nonzero(stays[here]) % multiple
            if missing and stays[here].any() and not stays[here].all():
                reason = f"{step.call.name!r} keeps a multiple of {multiple} units"
                _keep(stays, why, here[~stays[here]][:missing], reason)
                todo = True
