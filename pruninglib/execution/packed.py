"""Store a model in a small file: zeros as bits, the other weights as floats or codes.

The file is an .npz of a few byte arrays, each compressed by LZMA, which comes close to their
entropy. Which weights are zero takes one bit a weight. The nonzero weights of an array with at
most 256 different values, as after `share_weights`, are stored as a codebook and a byte each;
others as floats, all first bytes together, all second bytes together and so on, for similar bytes
compress better.
"""

import base64
import io
import json
import zipfile
import zlib

import numpy as np

from pruninglib.atomic import of_the_machine
from pruninglib.backend import keras
from pruninglib.structure.copying import finish, in_several_places
from pruninglib.structure.graph import check_model, is_graph

STREAMS = ("codes", "codebooks", "floats", "others")
VERSION = 1  # of the format; older files, which name no version, have this one, too
DATE = (1980, 1, 1, 0, 0, 0)  # the same model makes the same file
CODES = 256  # most values in a codebook, so that a code is a byte


def packed_bytes(model, values="float32"):
    """Return the size in bytes of the file that `write_packed` writes."""
    file = io.BytesIO()
    write_packed(model, file, values)
    return file.getbuffer().nbytes


def write_packed(model, file, values="float32"):
    """Write a model with its masks and compile settings, but without optimizer state.

    Args:
        file: path or binary file.
        values: "float32", which is lossless, or "float16", which rounds the float32 weights
            without a codebook.

    Raises ValueError for a model that cannot be rebuilt from its config and weights, and for a
    weight too large for float16.
    """
    if values not in ("float32", "float16"):
        raise ValueError(f'values must be "float32" or "float16", got {values!r}.')
    _check(model)
    masks, streams = {}, {name: bytearray() for name in STREAMS}
    weights = [encode(np.asarray(weight), masks, streams) for weight in model.weights]
    config = _with_bits(
        keras.saving.serialize_keras_object(model),
        lambda bits: masks.setdefault(zlib.decompress(base64.b64decode(bits)), len(masks)),
    )
    floats = np.frombuffer(streams["floats"], "<f4")
    with np.errstate(over="ignore"):  # an error below
        rounded = floats.astype(np.dtype(values).newbyteorder("<"))
    if np.isinf(rounded).sum() > np.isinf(floats).sum():
        largest = np.abs(floats[np.isfinite(floats)]).max()
        raise ValueError(
            f'A weight of {largest:.3g} is too large for {values}. Pass values="float32".'
        )
    streams["floats"] = rounded.view(np.uint8).reshape(-1, rounded.itemsize).T.tobytes()
    header = {"version": VERSION, "model": config, "weights": weights}
    header["floats"] = rounded.dtype.str
    header["masks"] = [len(bits) for bits in masks]
    streams = streams | {"header": json.dumps(header).encode(), "masks": b"".join(masks)}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in streams.items():
            entry = zipfile.ZipInfo(f"{name}.npy", DATE)
            entry.compress_type = zipfile.ZIP_LZMA
            with archive.open(entry, "w") as stream:
                np.lib.format.write_array(stream, np.frombuffer(bytes(content), np.uint8))


def read_packed(file):
    """Return the model that `write_packed` wrote; raise ValueError if the file is not whole."""
    try:
        with zipfile.ZipFile(file) as archive:
            arrays = {name: archive.read(f"{name}.npy") for name in (*STREAMS, "header", "masks")}
        content = {
            name: np.lib.format.read_array(io.BytesIO(array)).tobytes()
            for name, array in arrays.items()
        }
        header = dict(json.loads(content.pop("header")))
    except Exception as error:  # zip, LZMA, NumPy and JSON each raise their own
        raise _damaged(file, error) from error
    if header.get("version", VERSION) != VERSION:
        raise ValueError(
            f"{file} is of format {header['version']}, this pruninglib reads format {VERSION}: "
            "upgrade it, or export the model again with this one."
        )
    try:
        kind = np.dtype(header["floats"])
        planes = np.frombuffer(content["floats"], np.uint8).reshape(kind.itemsize, -1)
        content["floats"] = planes.T.copy().view(kind).astype("<f4").tobytes()
        streams = {name: io.BytesIO(part) for name, part in content.items()}
        masks = [streams["masks"].read(size) for size in header["masks"]]
        values = [decode(entry, masks, streams) for entry in header["weights"]]
    except Exception as error:  # what was altered may ask for anything
        raise _damaged(file, error) from error
    config = _with_bits(
        header["model"], lambda i: base64.b64encode(zlib.compress(masks[i])).decode("ascii")
    )
    model = keras.saving.deserialize_keras_object(config)
    for weight, value in zip(model.weights, values, strict=True):
        weight.assign(value)
    for layer in model._flatten_layers():
        finish(layer)
    return model


def _damaged(file, error):
    """Return the error to raise for one met while reading a file."""
    if of_the_machine(error):
        return error
    return ValueError(
        f"{file} is truncated, altered or no packed model ({error}). Export the model again."
    )


def _check(model):
    """Raise ValueError if a model is unbuilt, cannot be rebuilt, or stores more than weights."""
    check_model(model)
    if not is_graph(model) or in_several_places(model):
        _check_made_again(model)
    for layer in model._flatten_layers():
        own = not type(layer).save_own_variables.__module__.startswith("keras.")
        if own or hasattr(layer, "save_assets"):
            raise ValueError(
                f"Layer {layer.name!r} ({type(layer).__name__}) stores more than its weights, "
                "which .npz files do not hold. Export to .keras."
            )


def _check_made_again(model):
    """Raise ValueError unless Keras can rebuild the model from its config, without sharing."""
    try:
        twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
        alike = [w.shape for w in twin.weights] == [w.shape for w in model.weights]
        reason = "its copy has other weights"
    except Exception as error:  # a class of the user's may raise anything
        alike, reason = False, error
    if alike:
        return
    if is_graph(model):
        names = [layer.name for layer in in_several_places(model)]
        raise ValueError(
            f"In model {model.name!r} the layers {names} stand in several places, or other layers "
            f"are tied to them, which .npz files do not hold: {reason}. Export to .keras, or build "
            "it without layers in several models."
        )
    raise ValueError(
        f"Model {model.name!r} is subclassed and cannot be made again from its config: "
        f"{reason}. Give {type(model).__name__} get_config and build, or make it a "
        "Functional model."
    )


def _with_bits(config, change):
    """Return a config in which the bits of each held mask are replaced by change(bits)."""
    if isinstance(config, dict):
        if config.get("class_name") == "HoldMask":
            held = config["config"]
            held = held | {"bits": change(held["bits"]), "then": _with_bits(held["then"], change)}
            return config | {"config": held}
        return {key: _with_bits(value, change) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [_with_bits(value, change) for value in config]
    return config


def encode(weight, masks, streams):
    """Append an array to the streams; return the entry by which `decode` finds it there."""
    entry = {"shape": weight.shape, "dtype": weight.dtype.name}
    if weight.dtype != np.float32:
        streams["others"] += weight.tobytes()
        return entry
    nonzero = weight.ravel() != 0
    if not nonzero.all():
        entry["mask"] = masks.setdefault(np.packbits(nonzero).tobytes(), len(masks))
    kept = weight.ravel()[nonzero]
    codebook, codes = np.unique(kept, return_inverse=True)
    if len(codebook) <= min(CODES, len(kept) // 2):
        entry["values"] = len(codebook)
        streams["codebooks"] += codebook.astype("<f4").tobytes()
        streams["codes"] += codes.astype(np.uint8).tobytes()
    else:
        streams["floats"] += kept.astype("<f4").tobytes()
    return entry


def decode(entry, masks, streams):
    """Return the array that `encode` put into the streams."""
    kind, size = np.dtype(entry["dtype"]), int(np.prod(entry["shape"]))
    if kind != np.float32:
        content = streams["others"].read(size * kind.itemsize)
        return np.frombuffer(content, kind).reshape(entry["shape"])
    bits = np.frombuffer(masks[entry["mask"]], np.uint8) if "mask" in entry else None
    nonzero = np.ones(size, bool) if bits is None else np.unpackbits(bits, count=size).astype(bool)
    count, weight = np.count_nonzero(nonzero), np.zeros(size, np.float32)
    if "values" in entry:
        codebook = np.frombuffer(streams["codebooks"].read(4 * entry["values"]), "<f4")
        weight[nonzero] = codebook[np.frombuffer(streams["codes"].read(count), np.uint8)]
    else:
        weight[nonzero] = np.frombuffer(streams["floats"].read(4 * count), "<f4")
    return weight.reshape(entry["shape"])
