"""Put an array of weights into streams of bytes, and take it out again.

The streams are "codes" and "codebooks", "floats" and "others"; zeros are bits in a mask, of which
each is kept once however many arrays have it.
"""

import numpy as np

CODES = 256  # of a codebook, so that a code is a byte


def encode(weight, masks, streams):
    """Put an array into the streams; return what it takes to find it there."""
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
