"""Find the layers of a model that can be pruned, and choose among them."""

from pruninglib.structure.graph import check_built, check_graph, is_graph, leaves, places, unnested
from pruninglib.structure.layers import (
    DEPTHWISE,
    PRUNABLE,
    is_prunable,
    kernel_of,
    weight_matrices,
)


def prunable_layers(model):
    """Return {name: layer} of the Dense and convolution layers of a model, in order.

    Those of nested models are named "model/layer"; those of a subclassed model are the ones that
    Keras tracks. A layer that stands in several places is listed once, by its first name. Raises
    ValueError if there are none, if two share a name, or if the model is unbuilt.
    """
    check_built(model)
    found = [(name, layer) for name, layer in leaves(model) if is_prunable(layer)]
    if not found:
        kinds = sorted({type(layer).__name__ for _, layer in leaves(model)})
        raise ValueError(
            f"Model {model.name!r} has no layer that can be pruned: expected a Dense or "
            "convolution layer, not quantized and without LoRA, found "
            f"{', '.join(kinds) or 'no layer at all'}."
        )
    layers = dict(found)
    if len(layers) < len(found):
        names = sorted(name for name, layer in found if layers[name] is not layer)
        raise ValueError(f"Model {model.name!r} has several layers named {names}. Rename them.")
    return layers


def unprunable_layers(model):
    """Return {name: layer} of the layers with weight matrices that cannot be pruned, in order."""
    check_built(model)
    layers = leaves(model)
    return {name: x for name, x in layers if not is_prunable(x) and weight_matrices(x)}


def chosen(model, include=None, exclude=()):
    """Return the names of the layers to prune, in order.

    Args:
        include: names of layers, or types such as keras.layers.Conv2D; default all but those that
            make the logits and the depthwise convolutions.
        exclude: names or types of layers to leave alone.

    A layer that stands in several places may be named by any of them. Raises ValueError if no
    layer is left.
    """
    prunable = prunable_layers(model)
    include, exclude = (by_first_name(model, wanted) for wanted in (include, exclude))
    names = default_layers(model) if include is None else matching(prunable, include)
    left_alone = matching(prunable, exclude)
    names = [name for name in names if name not in left_alone]
    if not names:
        raise ValueError(
            f"Model {model.name!r} has no layer to prune besides the one that makes its logits, "
            f"or those excluded. To prune that too, name it: include={list(prunable)}."
        )
    return names


def by_first_name(model, wanted):
    """Return names, or what stands for them, with the names of `prunable_layers`."""
    first = {id(layer): name for name, layer in leaves(model)}
    names = {name: first[id(layer)] for name, layer in places(model)}
    if isinstance(wanted, (str, type)):
        wanted = [wanted]
    return wanted and [names.get(each, each) for each in wanted]


def default_layers(model):
    """Return the names of the layers that are pruned by default.

    Raises ValueError for a subclassed model, whose logits layer cannot be told.
    """
    prunable = prunable_layers(model)
    if not is_graph(model):
        raise ValueError(
            f"Model {model.name!r} is subclassed, so which of its layers makes the logits cannot "
            f"be told. Name those to prune: include={list(prunable)}."
        )
    logits = logits_layers(model)
    return [
        name
        for name, layer in prunable.items()
        if name not in logits and not isinstance(layer, DEPTHWISE)
    ]


def matching(prunable, wanted):
    """Return the names of the layers wanted by name or by type; ValueError if one is unknown."""
    if isinstance(wanted, (str, type)):
        wanted = [wanted]
    types = tuple(kind for kind in wanted if isinstance(kind, type))
    names = [name for name in wanted if not isinstance(name, type)]
    check_names(names, prunable)
    if absent := [
        t.__name__ for t in types if not any(isinstance(x, t) for x in prunable.values())
    ]:
        kinds = sorted({type(layer).__name__ for layer in prunable.values()})
        raise ValueError(f"No layer to prune is of type {absent}; expected some of {kinds}.")
    return [name for name, layer in prunable.items() if name in names or isinstance(layer, types)]


def check_names(names, known):
    """Raise ValueError if a name is not among the known layer names."""
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"Unknown layers {unknown}; expected some of {list(known)}, those that can be pruned."
        )


def logits_layers(model):
    """Return the names of the layers whose units are the model's outputs.

    From each output the graph is followed back to the nearest layers that have units.
    """
    check_graph(model)
    calls, outputs, _ = unnested(model)
    makers = {id(tensor): call for call in calls for tensor in call.outputs}
    names, visited, to_visit = set(), set(), list(outputs)
    while to_visit:
        call = makers.get(id(to_visit.pop()))
        if call is None:  # an input of the model
            continue
        if isinstance(call.layer, PRUNABLE):
            names.add(call.name)
        elif id(call.node) not in visited:
            visited.add(id(call.node))
            to_visit += call.inputs
    return names


def check_same_kernels(pruned, dense):
    """Raise ValueError unless the models have the same layers in the same order."""
    of_pruned, of_dense = (
        {name: tuple(kernel_of(layer).shape) for name, layer in prunable_layers(model).items()}
        for model in (pruned, dense)
    )
    if list(of_pruned.items()) != list(of_dense.items()):
        raise ValueError(
            "The dense model must be the one that was pruned, with the same layers, not shrunk. "
            f"Expected kernels {of_pruned}, got {of_dense}."
        )
