"""The rules by which each claim is judged, and their verdicts on the tables."""

from math import inf
from typing import NamedTuple

from evidence.claims import measures as c
from evidence.claims import measures as m
from evidence.claims.measures import MEASURED
from evidence.claims.verdicts import MISSING, Measured, of_claim, of_part, over_seeds

POINT = 0.01
WITHIN, SAME = (-POINT, inf), (-POINT, POINT)
STRONGLY = (-inf, -0.1)
MORE, LESS = (1e-9, inf), (-inf, -1e-9)
FASTER = (1.0, inf)
MNIST, FASHION, BOTH = ("mnist",), ("fashion_mnist",), ("mnist", "fashion_mnist")
BATCHES = (1, 32, 256, 10_000)
DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
ON_ONE = ("times", "tf_sparse", "bytes")  # tables of times and bytes


class Part(NamedTuple):
    """One thing that a claim says: that what is measured lies within limits."""

    what: str  # with {names} of the settings
    table: str  # where it is measured
    limits: tuple
    measure: object  # function (tables, dataset, **settings) -> values by seed, or `Measured`
    settings: dict


def part(what, table, limits, measure, **settings):
    """Return a `Part` whose settings fill in the words."""
    return Part(what.format(**settings), table, limits, measure, settings)


def gain(method, sparsity, limits, **training):
    """Return the part on what pruning to a sparsity gains, seen from the dense network."""
    what = "{method}s, {sparsity:.0%} pruned, minus dense, {epochs} epochs"
    how = {"method": method, "sparsity": sparsity, **training}
    return part(what, "sweep", limits, m.gain, **how)


def plateau(method, low, high, **training):
    """Return the part that says from which sparsity on a curve loses more than a point."""
    what = "sparsity within 1 point, {method}s, {epochs} epochs"
    return part(what, "sweep", (low, high), m.plateau, method=method, **training)


def recovered(method, sparsity, iterations, limits=WITHIN):
    """Return the part on networks retrained with the mask held, seen from the dense network."""
    what = "{method}s, {sparsity:.0%} pruned, {iterations} iterations of retraining, minus dense"
    how = {"method": method, "sparsity": sparsity, "iterations": iterations}
    return part(what, f"{method}s", limits, m.recovered, **how)


def each(what, table, limits, measure, **lists):
    """Return the parts for each value of the one setting that is a tuple."""
    ((name, values),) = [item for item in lists.items() if isinstance(item[1], tuple)]
    return [part(what, table, limits, measure, **lists | {name: value}) for value in values]


def sparse(batch_size, sparsity):
    """Return the parts on sparse execution at several sparsities."""
    what = "fastest sparse over fastest dense, {sparsity:.0%}, batch {batch_size:,}"
    how = {"stage": "sparse", "batch_size": batch_size, "sparsity": sparsity}
    return each(what, "times", FASTER, c.speed_up, **how)


CLAIMS = {  # id: (datasets of the source, parts)
    "X1": (
        FASHION,
        [
            part("dense, {epochs} epochs minus {than}", "sweep", SAME, m.longer, epochs=e, than=t)
            for e, t in ((10, 5), (20, 5), (20, 10))
        ],
    ),
    "X2": (FASHION, [plateau("weight", 0.7, 0.75, epochs=10)]),
    "X3": (FASHION, [plateau("unit", 0.4, 0.499, epochs=10)]),
    "X4": (
        FASHION,
        each(
            "weights minus units, {sparsity:.0%} pruned, {epochs} epochs",
            *("sweep", MORE, m.weights_minus_units),
            sparsity=(0.25, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97, 0.99),
            epochs=10,
        ),
    ),
    "X5": (
        FASHION,
        [
            part(
                "mean distance of a seed's curve from the mean curve, units minus weights",
                *("sweep", MORE, m.more_variable),
                epochs=10,
            )
        ],
    ),
    "L1": (
        MNIST,
        each(
            "dense, rate {rate:g}, 50 epochs",
            *("sweep", (0.97, 0.99), m.pruned),
            rate=(1e-3, 1e-5),
            **{"method": "weight", "sparsity": 0.0, "epochs": 50},
        ),
    ),
    "L2": (  # -1.2 is uniform, 0 is Gaussian: nearer to the one than to the other
        MNIST,
        [
            part(
                "excess kurtosis of the weights of {layer}, rate {rate:g}, 50 epochs",
                *("shapes", limits, m.kurtosis),
                **{"layer": f"hidden_{i}", "rate": rate},
            )
            for rate, limits in ((1e-5, (-1.8, -0.6)), (1e-3, (-0.6, 0.6)))
            for i in (1, 2, 3, 4)
        ],
    ),
    "L3": (
        MNIST,
        each(
            "sparsity within 1 point, {method}s, rate 1e-05 minus that at 0.001",
            *("sweep", LESS, m.plateau_at_the_lower_rate),
            method=("weight", "unit"),
        ),
    ),
    "L4": (
        MNIST,
        each(
            "weights, mean of {sparsities} pruned, minus dense, rate {rate:g}, 50 epochs",
            *("sweep", MORE, m.light_gain),
            rate=(1e-3, 1e-5),
            sparsities=[0.1, 0.15, 0.2, 0.25, 0.4, 0.5],
        ),
    ),
    "L5": (MNIST, [gain("weight", 0.7, WITHIN, epochs=50)]),  # more may go, too
    "L6": (
        MNIST,
        [
            *each(
                "tf.sparse over TensorFlow's dense, {sparsity:.0%}, batch 64",
                *("tf_sparse", FASTER, c.of_tf_sparse),
                sparsity=(0.5, 0.9, 0.99),
            ),
            part("tf.sparse at 99 % over 50 %", "tf_sparse", FASTER, c.growth_of_tf_sparse),
            *(p for size in BATCHES for p in sparse(size, (0.5, 0.9, 0.99))),
        ],
    ),
    "C1": (MNIST, [gain("weight", 0.5, WITHIN, epochs=5)]),
    "C2": (  # at 99 % they lost 3.5 points of 97.0 %, and called it almost complete
        MNIST,
        [
            *(recovered("weight", sparsity, 500) for sparsity in (0.9, 0.95, 0.97)),
            recovered("weight", 0.99, 500, (-0.035, inf)),
            part(
                "sparsity after retraining, mask {mask}, asked for 99 %",
                *("weights", (0.989, 1.0), m.sparsity_left),
                **{"sparsity": 0.99, "iterations": 500, "mask": "held"},
            ),
        ],
    ),
    "C3": (
        MNIST,
        [recovered("unit", 0.8, 500), recovered("unit", 0.95, 1000), recovered("unit", 0.99, 4000)],
    ),
    "C4": (
        MNIST,
        [
            part(
                "speed-up, compiled, 10,000 MNIST images, with most units gone within 1 point",
                *("units, times", (6.0, inf), c.at_equal_accuracy),
            )
        ],
    ),
    "C5": (
        MNIST,
        [part("time after over before retraining", "times", (0.9, 1.1), c.time_after_retraining)],
    ),
    "C6": (MNIST, [recovered("unit", 0.5, 1000)]),
    "V1": (
        BOTH,
        [
            part(
                "weights, {sparsity:.0%} pruned, {epochs} epochs",
                *("sweep", (0.8, 1.0), m.pruned),
                **{"method": "weight", "sparsity": 0.9, "epochs": 5},
            )
        ],
    ),
    "V2": (BOTH, [gain("unit", 0.9, STRONGLY, epochs=5)]),
    "V3": (BOTH, [gain(method, 0.6, SAME, epochs=5) for method in ("weight", "unit")]),
    "V4": (
        MNIST,
        [part("units, 99 % pruned minus 97 %, 5 epochs", "sweep", MORE, m.from_97_to_99)],
    ),
    "V5": (
        BOTH,
        [
            *each(
                "bytes of the file, {sparsity:.0%} of the weights pruned, over dense",
                *("bytes", (0.0, 0.99), c.share_of_bytes),
                sparsity=(0.25, 0.5, 0.9),
            ),
            *(p for size in BATCHES for p in sparse(size, (0.5, 0.9))),
        ],
    ),
    "N1": (
        MNIST,
        [
            plateau("weight", 0.7, 0.8, epochs=5),
            plateau("unit", 0.45, 0.55, epochs=5),
            gain("unit", 0.75, STRONGLY, epochs=5),
        ],
    ),
    "N2": (
        MNIST,
        [
            p
            for size in BATCHES
            for p in each(
                "time of sparse over shrunk, {sparsity:.0%}, batch {batch_size:,}",
                *("times", FASTER, c.sparse_over_shrunk),
                **{"sparsity": (0.25, 0.5), "batch_size": size},
            )
        ],
    ),
    "N3": (
        MNIST,
        [
            part(
                "share of weights below half their mean, minus that of norms, 5 epochs",
                *("shapes", MORE, m.more_small_weights),
            )
        ],
    ),
}


class Judged(NamedTuple):
    """A part of a claim, measured on a dataset."""

    part: Part
    dataset: str
    own: bool  # whether the source speaks of this dataset
    measured: Measured | None
    verdict: str


def judge(tables):
    """Return {claim: list of `Judged`}; what is not in the tables is not measured yet.

    Times and bytes are judged once, for their dataset.
    """
    return {
        claim: [
            _judge(part, tables, dataset, dataset in own)
            for part in parts
            for dataset in DATASETS
            if part.table not in ON_ONE or dataset == MEASURED
        ]
        for claim, (own, parts) in CLAIMS.items()
    }


def _judge(part, tables, dataset, own):
    try:
        found = part.measure(tables, dataset, **part.settings)
    except LookupError:
        return Judged(part, dataset, own, None, MISSING)
    measured = found if isinstance(found, Measured) else over_seeds(found)
    return Judged(part, dataset, own, measured, of_part(measured, *part.limits))


def verdict(found, own=True):
    """Return the verdict on a claim for the source's datasets, or for the others; "" if none.

    There is none as long as a part is not measured.
    """
    parts = [judged for judged in found if judged.own == own]
    if not parts:
        return ""
    if any(judged.verdict == MISSING for judged in parts):
        return MISSING
    return of_claim([judged.verdict for judged in parts])
