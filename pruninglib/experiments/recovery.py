"""The experiment on recovery: networks pruned, repaired and retrained."""

from functools import partial
from itertools import product
from time import perf_counter

from pruninglib.execution.runtimes import eager
from pruninglib.experiments.evaluation import evaluate
from pruninglib.experiments.rows import asked, levels, sparsity_within
from pruninglib.experiments.sweeps import prune_sweep
from pruninglib.progress_line import progress
from pruninglib.pruning.prune import prune
from pruninglib.recovery.merging import merge_units
from pruninglib.recovery.rates import check_total
from pruninglib.recovery.repair import repair
from pruninglib.recovery.retraining import retrainer, without_removed_units
from pruninglib.structure.costs import count_parameters


def recovery_sweep(
    model,
    dataset,
    criteria,
    sparsities,
    iterations=(500,),
    hold_masks=(True,),
    starts=("pruned",),
    learning_rate=0.008,
    schedule="budget",
    total=None,
    scope="layer",
    seed=0,
    batch_size=128,
    examples=10_000,
    repairing=None,
    distillation=0.0,
    training=None,
    visit=None,
    **labels,
):
    """Yield the rows of `prune_sweep`, then those after repair and after retraining.

    Args:
        iterations: batches to retrain for; each number is a training of its own, but at a constant
            rate, where one training passes through all of them.
        hold_masks: True holds the mask while retraining, False lets the weights grow back.
        starts: the networks to measure and to retrain: "pruned"; "merged" by `merge_units`;
            "repaired" on the first `examples` training images. The last two always hold the mask.
        repairing: {"ridge": ..., "passes": ...}, as in `repair`.
        learning_rate, schedule, total, distillation, training: as in `retrain`.
        visit: function (row, network) that is called with each repaired or retrained network,
            such as to keep a copy (`strip`); the next one may be trained in its place.

    Rows after `prune_sweep` add seconds; those of retrained networks also start, mask ("held"
    or "free"), iterations and distillation. Sparsity 0 is the control: the dense network,
    treated alike; with schedule="budget" it learns only if `total` is given.
    """
    if unknown := set(starts) - {"pruned", "merged", "repaired"}:
        raise ValueError(f'starts must be among "pruned", "merged", "repaired", got {unknown}.')
    if schedule == "rewound" and iterations:
        check_total(total, max(iterations))
    if not all(hold_masks) and "pruned" not in starts:
        raise ValueError(
            f'hold_masks has False, but of starts={tuple(starts)} only "pruned" can be retrained '
            "with its mask free. Add it, or pass hold_masks=(True,)."
        )
    sparsities = list(sparsities)
    settings = (batch_size, seed, learning_rate, schedule, total, distillation, training or {})
    numbers = sorted(set(iterations))
    in_one = [numbers] if schedule == "constant" and numbers else [[n] for n in numbers]
    trainings = [
        (start, held) for start, held in product(starts, hold_masks) if held or start == "pruned"
    ]
    ways = {
        "merged": merge_units,
        "repaired": partial(repair, inputs=dataset.x_train[:examples], **repairing or {}),
    }
    ways = {stage: ways[stage] for stage in starts if stage in ways}
    yield from prune_sweep(model, dataset, criteria, sparsities, scope, seed=seed, **labels)
    for method, criterion in progress(criteria.items(), "criterion"):
        retrainers = []
        pairs = levels(model, criterion, sparsities, scope)
        for sparsity, masks in progress(pairs, "sparsity", len(sparsities)):
            pruned = prune(model, masks)
            if not retrainers:
                retrainers = [retrainer(model, masks, dataset, each, *settings) for each in in_one]
            recovered = _recover(model, pruned, masks, ways, product(trainings, retrainers))
            for stage, network, columns in recovered:
                if stage == "retrained":
                    columns["distillation"] = distillation
                row = {
                    **labels,
                    "seed": seed,
                    **asked(dataset, method, scope, stage, sparsity),
                    "measured_sparsity": sparsity_within(model, network),
                    "parameters": count_parameters(network, nonzero=True),
                    **columns,
                    **evaluate(eager(network), dataset.x_test, dataset.y_test, network.loss),
                }
                if visit:
                    visit(row, network)
                yield row


def _recover(model, pruned, masks, ways, trainings):
    """Yield (stage, network, columns of its row) of one pruned network."""
    networks = {"pruned": pruned}
    for stage, way in ways.items():
        began = perf_counter()
        networks[stage] = way(pruned, model)
        seconds = perf_counter() - began
        yield stage, without_removed_units(networks[stage], masks), {"seconds": seconds}
    for (start, held), retrain in trainings:
        about = {"start": start, "mask": "held" if held else "free"}
        for (number, network), seconds in _timed(retrain(networks[start], masks, held)):
            yield "retrained", network, {**about, "iterations": number, "seconds": seconds}


def _timed(steps):
    """Yield what an iterator does, and the seconds that it has spent on it so far."""
    seconds, began = 0.0, perf_counter()
    for found in steps:
        seconds += perf_counter() - began
        yield found, seconds
        began = perf_counter()
