"""Import Keras, and TensorFlow only where it is used, without TensorFlow's log lines.

TensorFlow writes times and process numbers to standard error when it is imported, when it
runs its first operation and when it first compiles one; in a notebook they end up in the
cells. Native code writes them, so only redirecting the file descriptor silences them. Set
PRUNINGLIB_VERBOSE=1 to see them.

`from pruninglib.backend import tf` imports TensorFlow. With Keras on JAX or PyTorch it is not
imported until then.
"""

import logging
import os
import sys
from contextlib import contextmanager
from threading import Lock

_lock, _silenced, _kept = Lock(), 0, None


@contextmanager
def native_stderr_silenced():
    """Discard what is written to file descriptor 2 in the block, unless PRUNINGLIB_VERBOSE is set.

    The whole process is silenced, until the last of several concurrent blocks ends.
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
    """Silence TensorFlow's messages below errors, such as that many networks were compiled."""
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
