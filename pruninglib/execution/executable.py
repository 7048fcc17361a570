"""What every way to run a network returns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Executable:
    """A network made ready to run: a function inputs (batch, ...) -> outputs, and what it is.

    Its bytes are the size of the network on disk. Raises ValueError if inputs have another shape
    than the network's.

    Args:
        runtime: name of the way it runs.
        threads: how many it may use.
        run: the function, from an array of `dtype` to an array.
        measure: function that returns its bytes.
        shape: of one input, with None where any size will do; None if it is not known.
        dtype: of the inputs, to which others are converted; None to leave them as they are.
    """

    runtime: str
    threads: int
    run: Callable = field(repr=False)
    measure: Callable = field(repr=False)
    shape: tuple | None = field(repr=False, default=None)
    dtype: str | None = field(repr=False, default=None)

    def __call__(self, inputs):
        inputs = np.asarray(inputs, self.dtype)
        if self.shape is not None and inputs.shape[1:] != self.shape:
            self._check(inputs.shape)
        return self.run(inputs)

    @cached_property
    def bytes(self):
        """Size of the network on disk, in bytes."""
        return self.measure()

    def _check(self, found):
        same_rank = len(found) == len(self.shape) + 1
        pairs = zip(self.shape, found[1:], strict=True) if same_rank else [(1, 0)]
        if any(size not in (None, other) for size, other in pairs):
            sizes = ", ".join("any" if size is None else str(size) for size in self.shape)
            raise ValueError(f"Expected inputs of shape (batch, {sizes}), got {found}.")


def single_input(model):
    """Return the shape and dtype of the only input of a model, without the batch.

    Raises ValueError unless the model has one input and one output, as far as is known.
    """
    inputs, outputs = (getattr(model, name, None) or () for name in ("inputs", "outputs"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"Model {model.name!r} has {len(inputs)} known inputs and {len(outputs)} outputs, "
            "expected one of each. Build a Sequential or Functional model of that part, or, if it "
            "is subclassed, use eager(model)."
        )
    return {"shape": tuple(inputs[0].shape[1:]), "dtype": inputs[0].dtype}
