"""Judge the claims by the tables."""

from typing import NamedTuple

from ledger.claims import CLAIMS, Part
from ledger.costs import MEASURED
from ledger.verdicts import MISSING, Measured, of_claim, of_part, over_seeds

DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
ON_ONE = ("times", "tf_sparse", "bytes")  # tables of times and bytes


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
