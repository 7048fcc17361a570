"""Time making masks of many weights, and measure the memory it takes, against other ways.

    python benchmarks/masks.py

Writes its section of benchmarks/README.md. Run it with nothing else running.
"""

import numpy as np
from machine import spread
from sections import write_section
from turns import Worker, take_turns

ROUNDS, SPARSITY = 5, 0.9
WAYS = {
    "`top_k_mask(magnitude(w), 0.9)`": ("masks_numpy.py", "", "top_k_mask"),
    "the same with `np.partition`": ("masks_numpy.py", "", "partition"),
    "`np.quantile` as a threshold": ("masks_numpy.py", "", "quantile"),
    "`np.argsort`": ("masks_numpy.py", "", "argsort"),
    "`torch.topk`": ("masks_torch.py", "torch", "topk"),
}

lines = ["| weights | | ns a weight, median (all rounds) | bytes a weight | ratio |"]
lines.append("|---|---|---|---|---|")
for count in (10**6, 10**7, 10**8):
    workers = {
        name: Worker(script, environment, way, count, SPARSITY)
        for name, (script, environment, way) in WAYS.items()
    }
    times = take_turns({name: lambda w=w: w("time") for name, w in workers.items()}, ROUNDS)
    ours = next(iter(times.values()))
    for name, worker in workers.items():
        memory = f"{worker('memory') / count:.1f}" if count >= 10**7 else ""
        lines.append(
            f"| {count:.0e} | {name} | {spread(times[name], 1e9 / count, 1)} | {memory} "
            f"| {np.median(np.divide(times[name], ours)):.1f} |"
        )
        worker.close()
table = "\n".join(lines)
write_section(
    "Masks",
    f"""
{SPARSITY:.0%} of the weights of one array masked, one thread (torch: all), {ROUNDS} rounds, variants in
turn, each in a process of its own. Bytes: the peak of that process above the weights (below 10 million
weights it cannot be told from the rest). Free memory is woken before each measurement: where a virtual machine
has given it back, getting it anew takes several times as long as making the mask.

{table}

`np.quantile` masks too much or too little where weights are equal, and interpolates in float64; the others
count. Scores of any criterion, not only magnitudes, take 4 bytes a weight.
""",
)
