"""Write a model to a file in the format of its suffix, and read it back."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pruninglib.atomic import of_the_machine, written_whole
from pruninglib.backend import keras
from pruninglib.execution.executable import thread_count
from pruninglib.execution.packed import read_packed, write_packed
from pruninglib.execution.runtimes import UnsupportedModel, litert_file, run_litert
from pruninglib.structure.copying import has_own_constructor
from pruninglib.structure.graph import in_several_models

KERAS_PARTS = {"metadata.json", "config.json", "model.weights.h5"}


def export(model, path, **settings):
    """Write a model to a file; a failure leaves what was there before.

    Args:
        model: a built Keras model; it is left as it is.
        path: ending in .keras, as `model.save` writes it; in .npz, the smallest, with a bit for
            each zero and without optimizer state; or in .tflite, for LiteRT, which is run once
            before it is moved there.
        settings: for .npz values="float16", which rounds the weights; for .tflite sparse=True,
            which stores kernels without their zeros.

    Raises ValueError for another suffix, and for a model that Keras cannot convert to .tflite, that
    LiteRT cannot run, or that `load` could not make again, and TypeError for a setting that the
    format lacks.

    >>> export(pl.make_mlp(4, [6, 5], 3), "small.npz")
    >>> load("small.npz").count_params()
    69
    """
    form = _form(path)
    _check(settings, form.writing, path)
    with written_whole(path) as temporary:
        form.write(model, temporary, **settings)
        try:
            form.read(temporary)
        except Exception as error:
            if of_the_machine(error):
                raise
            raise ValueError(
                f"Model {model.name!r} was not written, for load could not read it again: {error} "
                "Register classes and functions of your own by "
                "keras.saving.register_keras_serializable; in place of a Lambda take such a class."
            ) from error


def load(path, **settings):
    """Return the model in a file: a Keras model, or for .tflite an `Executable`.

    .keras and .tflite files may come from other programs, too. The `Executable` of a file with
    several inputs takes {name: array}, for the file has them in another order than the model.

    Args:
        path: as in `export`; FileNotFoundError if there is no such file.
        settings: for .tflite the number of threads, such as threads=2; default all cores.

    Raises ValueError if the file is truncated or altered, as far as its format tells: .tflite
    files have no checksum, so a changed weight in one goes unnoticed.
    """
    form = _form(path)
    _check(settings, form.reading, path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    return form.read(Path(path), **settings)


class _Form(NamedTuple):
    """How to write and read a file format, and the settings for each."""

    write: Callable
    read: Callable
    writing: set
    reading: set


def _form(path):
    forms = {
        ".keras": _Form(_write_keras, _read_keras, set(), set()),
        ".npz": _Form(write_packed, read_packed, {"values"}, set()),
        ".tflite": _Form(_write_litert, _read_litert, {"sparse"}, {"threads"}),
    }
    if Path(path).suffix not in forms:
        raise ValueError(f"Expected a file ending in {', '.join(forms)}, got {str(path)!r}.")
    return forms[Path(path).suffix]


def _check(settings, known, path):
    if unknown := set(settings) - known:
        raise TypeError(f"{Path(path).suffix} files have no setting {', '.join(sorted(unknown))}.")


def _write_keras(model, path):
    if (shared := in_several_models(model)) and not has_own_constructor(model):
        raise ValueError(
            f"In model {model.name!r} the layers {list(shared)} stand in several nested models, "
            "or in one and outside of it, which Keras does not read back from .keras files. Build "
            "it without that nesting, or keep its weights by model.save_weights."
        )
    model.save(path)


def _read_keras(path):
    try:
        with zipfile.ZipFile(path) as archive:
            damaged, missing = archive.testzip(), KERAS_PARTS - set(archive.namelist())
    except Exception as error:  # a damaged zip file raises many kinds
        if of_the_machine(error):
            raise
        raise _damaged(path, error) from error
    if damaged or missing:
        reason = "has another checksum" if damaged else "is missing"
        raise _damaged(path, f"{damaged or min(missing)} {reason}")
    return keras.models.load_model(path)


def _write_litert(model, path, sparse=False):
    path.write_bytes(litert_file(model, sparse))


def _read_litert(path, threads=None):
    content, threads = path.read_bytes(), thread_count(threads)
    try:
        return run_litert(content, threads)
    except UnsupportedModel as error:
        raise UnsupportedModel(f"{path}: {error}") from error
    except ValueError as error:  # LiteRT checks the positions of all parts of the content
        raise _damaged(path, error) from error


def _damaged(path, reason):
    return ValueError(
        f"{path} is truncated, altered or no model of that kind: {reason}. Export it again."
    )
