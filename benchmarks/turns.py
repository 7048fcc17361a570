"""Let variants take turns in one run, some of them in processes with packages of their own."""

import contextlib
import gc
import json
import subprocess
import sys
from itertools import cycle
from pathlib import Path
from time import perf_counter, sleep

import numpy as np

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv" / "peers"
START = 10  # steps of training that are not timed
LONG = 0.5  # seconds, with which one call is enough
PAUSE = 0.15  # seconds, after which the busy threads of BLAS libraries sleep


class Worker:
    """A script that waits in an environment of its own and runs one of its functions when asked.

    Args:
        script: file in benchmarks/peers; it ends with `serve(functions)`.
        environment: folder of .venv/peers whose Python runs it; "" for this one.
        arguments: of the script.
    """

    def __init__(self, script, environment="", *arguments):
        python = PEERS / environment / "bin" / "python" if environment else sys.executable
        command = [str(python), str(HERE / "peers" / script), *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen(command, **pipes)

    def __call__(self, name, *arguments):
        """Return what the function `name` of the script returns: seconds, or numbers in a dict."""
        self.process.stdin.write(json.dumps([name, *arguments]) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("> "):
                return json.loads(line[2:])
        raise RuntimeError(f"{self.process.args} ended with code {self.process.wait()}.")

    def close(self):
        with contextlib.suppress(BrokenPipeError):  # it ended before
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()


def serve(functions):
    """Answer, on standard output, each request on standard input: a list of a name and arguments."""
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(">", json.dumps(functions[name](*arguments)), flush=True)


def seconds(function, *arguments):
    """Return how long a call takes, in seconds."""
    start = perf_counter()
    function(*arguments)
    return perf_counter() - start


def clock(callback):
    """Return a Keras callback that has `seconds(start)`, those of the steps after `start` ones.

    Args:
        callback: the class keras.callbacks.Callback, for there is more than one Keras.
    """

    class Clock(callback):
        def on_train_begin(self, logs=None):
            self.times = {}

        def on_train_batch_end(self, batch, logs=None):
            self.times[batch + 1] = perf_counter()

        def seconds(self, start):
            return max(self.times.values()) - self.times[start]

    return Clock()


def repeated(function, least=0.02):
    """Return the seconds that a call takes, from as many calls as fill `least` seconds, warm."""
    if (once := seconds(function)) > LONG:
        return once
    calls = 1 + int(least / max(1e-9, min(once, seconds(function), seconds(function))))

    def all_calls():
        for _ in range(calls):
            function()

    all_calls()  # threads that wake up are slow at first
    return seconds(all_calls) / calls


def in_turn(function, inputs, size):
    """Return a function without arguments that calls another with the next batch each time."""
    batches = cycle(
        inputs[i : i + size] for i in range(0, min(100, len(inputs) // size) * size, size)
    )
    return lambda: function(next(batches))


def cold(function, calls=20):
    """Return the median seconds of a call, each after other data went through the caches."""
    other, found = np.zeros(2**25, np.float32), []  # 128 MB
    for _ in range(calls):
        other += 1
        found.append(seconds(function))
    return np.median(found)


def take_turns(variants, rounds, warm_up=1):
    """Return {name: list of results} of functions that are called in turn, after a warm-up.

    Args:
        variants: {name: function without arguments that returns its seconds}.
    """
    for function in variants.values():
        for _ in range(warm_up):
            function()
    results = {name: [] for name in variants}
    for _ in range(rounds):
        for name, function in variants.items():
            gc.collect()  # what another variant left
            sleep(PAUSE)
            results[name].append(function())
    return results
