"""Measure how the time of a sweep grows with the network and with the number of sparsities.

    python benchmarks/growth.py

Random data. Writes benchmarks/growth.png and a section of benchmarks/README.md.
"""

import matplotlib.pyplot as plt
import numpy as np
from machine import multiplication_rate
from sections import write_section
from turns import HERE, seconds

import pruninglib as pl
from pruninglib.atomic import written_whole
from pruninglib.plotting import curves, style

ROUNDS, IMAGES = 3, 2000
WIDTHS, LEVELS = (250, 500, 1000, 2000, 4000, 8000), (1, 2, 3, 5, 7, 10)
rng = np.random.default_rng(0)
x, y = rng.random((IMAGES, 784), np.float32), rng.integers(0, 10, IMAGES)
dataset = pl.Dataset("random", x[:1], y[:1], x[:1], y[:1], x, y)


def sweep(width, levels):
    """Return the median seconds of a sweep over `levels` sparsities, and the network's weights."""
    hidden = [width, width, width // 2, width // 5]
    model = pl.compile_training(pl.make_mlp(784, hidden, 10), 1)
    sparsities = np.linspace(0.5, 0.99, levels)
    run = lambda: list(pl.prune_sweep(model, dataset, {"weight": pl.magnitude}, sparsities))  # noqa: E731
    run()
    return np.median([seconds(run) for _ in range(ROUNDS)]), pl.count_parameters(model)


def slope(x, y):
    """Return the power with which y grows with x, over the upper half of the points."""
    half = len(x) // 2
    return np.polyfit(np.log(x[half:]), np.log(y[half:]), 1)[0]


by_width = np.array([sweep(width, 10) for width in WIDTHS])
by_levels = np.array([sweep(1000, levels)[0] for levels in LEVELS])
rate = multiplication_rate()
floor = 2 * by_width[:, 1] * IMAGES * 11 / rate  # the dense network, and ten levels
plt.style.use(style.STYLE)
fig, axes = plt.subplots(1, 2, figsize=(style.WIDTH, 3.6))
power = slope(by_width[:, 1], by_width[:, 0])
axes[0].plot(
    by_width[:, 1],
    by_width[:, 0],
    **curves.STYLE["weight"],
    label=f"10 sparsities,\nslope {power:.2f}",
)
axes[0].plot(by_width[:, 1], floor, color="black", linewidth=0.8, label="floor:\ndense products")
axes[0].set(xscale="log", yscale="log", xlabel="weights", ylabel="seconds")
each = np.polyfit(LEVELS, by_levels, 1)
axes[1].plot(LEVELS, by_levels, **curves.STYLE["weight"], label="2.4 million weights")
axes[1].plot(
    LEVELS,
    np.polyval(each, LEVELS),
    color="black",
    linewidth=0.8,
    label=f"{each[1]:.2f} s + {each[0]:.3f} s a sparsity",
)
axes[1].set(xlabel="sparsities", ylim=(0, None))
for ax in axes:
    ax.legend()
words = "Seconds of a sweep against the number of weights and against the number of sparsities"
with written_whole(HERE / "growth.png") as path:
    path.write_bytes(style.smaller(style.png(fig, words)))
write_section(
    "How cost grows",
    f"""
![{words}](growth.png)

`prune_sweep` on {IMAGES:,} images, weights pruned, median of {ROUNDS} rounds. From width {WIDTHS[0]} to {WIDTHS[-1]:,} (784-w-w-w/2-w/5-10)
the time grows with the number of weights to the power {power:.2f} (upper half of the widths), and is {np.min(by_width[:, 0] / floor):.1f} to
{np.max(by_width[:, 0] / floor):.0f} times the floor: compiling, which does not grow, counts in small networks. With the number of sparsities
it grows by {each[0]:.3f} s each on {each[1]:.2f} s.
""",
)
