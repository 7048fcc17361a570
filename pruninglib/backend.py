"""Keras, and TensorFlow only where it is used, without the log lines that TensorFlow prints.

TensorFlow writes times and process numbers to standard error when it is imported, when it
runs its first operation and when it first compiles one; in a notebook they end up in the
cells. They are native code's, so only redirecting the file descriptor silences them. Set
PRUNINGLIB_VERBOSE=1 to see them.

`from pruninglib.backend import tf` imports TensorFlow. Keras on JAX or PyTorch does without it as
long as nobody asks.
"""

import logging
import os
import sys
from contextlib import contextmanager
from threading import Lock

_lock, _silenced, _kept = Lock(), 0, None


@contextmanager
def native_stderr_silenced():
    """Send file descriptor 2 to nowhere inside the block, unless PRUNINGLIB_VERBOSE is set.

    It is the whole process that is silenced; of several blocks at a time, the last one ends it.
    """
    global _silenced, _kept
    if os.environ.get("PRUNINGLIB_VERBOSE"):
        yield
        return
    with _lock:
        if not _silenced:
            sys.stderr.flush()
            _kept = os.dup(2)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
        _silenced += 1
    try:
        yield
    finally:
        with _lock:
            _silenced -= 1
            if not _silenced:
                os.dup2(_kept, 2)
                os.close(_kept)


@contextmanager
def tensorflow_log_silenced():
    """Silence what TensorFlow logs below an error: that many networks are compiled, or exported."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def __getattr__(name):
    if name != "tf":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with native_stderr_silenced():
        import tensorflow as tf

        tf.zeros(())  # the first operation logs, too
    globals()["tf"] = tf
    return tf


with native_stderr_silenced():
    import keras

if keras.config.backend() == "tensorflow":
    __getattr__("tf")
