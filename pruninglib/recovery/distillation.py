"""Let a network learn from the outputs of another one, by Keras' own distiller."""

from pruninglib.backend import keras
from pruninglib.structure.copying import fresh_copy
from pruninglib.structure.prunable import logits_layers, prunable_layers


def taught(student, dense, share):
    """Return what to fit so that the compiled `student` learns from `dense` too.

    Args:
        student: a compiled model; it is trained in place, with its own optimizer and loss.
        dense: the model whose outputs are softened at temperature 4 (Hinton et al. 2015). A copy
            of it is used, for Keras freezes it. Both must compute logits of several classes.
        share: share in [0, 1] of these outputs in what is learned, the rest being the labels.
            With 0 it is the student itself that is returned.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"The share of distillation must be in [0, 1], got {share}.")
    if not share:
        return student
    for model in (student, dense):
        _check_logits(model)
    if not hasattr(keras, "distillation"):
        raise ValueError(
            f"Keras {keras.__version__} has no keras.distillation, which came with 3.12. Upgrade: "
            "pip install -U keras."
        )
    if student.losses:
        raise ValueError(
            f"Model {student.name!r} has losses of its own, such as those of a kernel_regularizer, "
            "which Keras' distiller leaves out. Pass distillation=0, or a model without them."
        )
    teacher = fresh_copy(dense)
    distiller = keras.distillation.Distiller(
        teacher,
        student,
        # an object: its name would, in Keras 3.15, compare logits as if they were probabilities
        keras.distillation.LogitsDistillation(4.0, keras.losses.KLDivergence()),
        student_loss_weight=1 - share,
    )
    how = {"jit_compile": student.jit_compile, "steps_per_execution": student.steps_per_execution}
    distiller.compile(student.optimizer, student.loss, **how)
    distiller.build(student.input_shape)
    return distiller


def _check_logits(model):
    layers = prunable_layers(model)
    last = [layers[name] for name in logits_layers(model)]
    last += [output._keras_history.operation for output in model.outputs]
    if any(_makes_probabilities(layer) for layer in last):
        raise ValueError(
            f"The outputs of model {model.name!r} are probabilities; distillation needs logits. "
            "Give its last layer no activation and its loss from_logits=True."
        )
    if any(output.shape[-1] == 1 for output in model.outputs):
        raise ValueError(
            f"Model {model.name!r} has a single output; distillation compares those of several "
            "classes. Pass distillation=0."
        )


def _makes_probabilities(layer):
    functions = (keras.activations.softmax, keras.activations.sigmoid)
    activation = getattr(layer, "activation", None)
    return isinstance(layer, keras.layers.Softmax) or activation in functions
