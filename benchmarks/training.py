"""Time training with held masks against the same without, and against other tools.

    python benchmarks/training.py

Random data: the time does not depend on the values. Writes its section of benchmarks/README.md.
Run it with nothing else running; `make bench` makes the environments of the other tools.
"""

import numpy as np
from machine import multiplication_rate, spread
from sections import write_section
from turns import Worker, take_turns

ROUNDS, SPARSITY, STEPS = 7, 0.9, {128: 200, 512: 60}
WEIGHTS = 784 * 1000 + 1000 * 1000 + 1000 * 500 + 500 * 200 + 200 * 10
KINDS = {  # what it is: (worker, name there, what it is compared with)
    "pruninglib, no mask, one step at a time": ("keras", "single", None),
    "pruninglib, no mask, without XLA": ("keras", "without XLA", None),
    "pruninglib, no mask": ("keras", "dense", None),
    "pruninglib, mask held": ("keras", "masked", "pruninglib, no mask"),
    "Keras 3, plain `fit`, no mask": ("keras", "plain", None),
    "the same, a callback rewrites weights": (
        "keras",
        "rewritten",
        "Keras 3, plain `fit`, no mask",
    ),
    "tf_keras, plain `fit`, no mask": ("tfmot", "dense", None),
    "TF Model Optimization, every 100 steps": (
        "tfmot",
        "every 100",
        "tf_keras, plain `fit`, no mask",
    ),
    "the same, every step": ("tfmot", "every step", "tf_keras, plain `fit`, no mask"),
    "PyTorch, no mask": ("torch", "dense", None),
    "PyTorch, `torch.nn.utils.prune`": ("torch", "masked", "PyTorch, no mask"),
}


def measure(batch_size, steps):
    """Return {kind: seconds of a step in each round} and {kind: share of the zeros that are left}."""
    workers = {
        "keras": Worker("training_keras.py", "", batch_size, SPARSITY),
        "tfmot": Worker("training_tfmot.py", "tfmot", batch_size, SPARSITY),
        "torch": Worker("training_torch.py", "torch", batch_size, SPARSITY),
    }
    few = {"every step": max(10, steps // 10)}  # for it takes ten times as long
    times = take_turns(
        {
            kind: lambda w=w, n=n: workers[w](n, few.get(n, steps)) / few.get(n, steps)
            for kind, (w, n, _) in KINDS.items()
        },
        ROUNDS,
    )
    zeros = {name: worker("zeros") for name, worker in workers.items()}
    for worker in workers.values():
        worker.close()
    return times, {kind: zeros[worker].get(name) for kind, (worker, name, _) in KINDS.items()}


lines = [
    "| batch | | steps per second, median (all rounds) | cost of the mask, median | share of the "
    "limit | zeros left |",
    "|---|---|---|---|---|---|",
]
rate = multiplication_rate()
for batch_size, steps in STEPS.items():
    times, zeros = measure(batch_size, steps)
    limit = 6 * WEIGHTS * batch_size / rate
    for kind, found in times.items():
        against = KINDS[kind][2]
        cost = np.median(np.divide(found, times[against])) - 1 if against else None
        lines.append(
            f"| {batch_size} | {kind} | {spread(1 / np.array(found), digits=0)} "
            f"| {'' if cost is None else f'{cost:+.0%}'} | {limit / np.median(found):.2f} "
            f"| {f'{zeros[kind]:.2%}' if zeros[kind] is not None and against else ''} |"
        )
table = "\n".join(lines)
write_section(
    "Training with held masks",
    f"""
784-1000-1000-500-200-10, no biases, Adam, 60,000 random images, {SPARSITY:.0%} of the weights
pruned, {ROUNDS} rounds of {" and ".join(f"{n} steps at batch {b}" for b, n in STEPS.items())}, variants in turn.

{table}

The limit: 6 operations for each weight and image (2 forward, 4 backward) at the rate of large
products, {rate / 1e9:.0f} GFLOP/s. Zeros left: of those that the mask asks for. Cost of the mask: over the same
without one in the same round, within the same library. What a call of `fit` costs before its first step and
after its last is not counted. Plain `fit` at times waits after its last step for as long as it trained: the thread
that tunes TensorFlow's input pipeline sleeps on. `train` and `retrain` do without that thread, compile the step of a long training by XLA (`jit_compile`), which
takes about a second, and, if asked as here (`steps_per_execution=10`; the sweeps do), run several steps in one go.
""",
)
