"""Judge the claims by the tables."""

from typing import NamedTuple

from ledger.claims import CLAIMS, Part
from ledger.verdicts import UNKNOWN, Measured, of_claim, of_part, over_seeds

DATASETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}
OF_NO_DATASET = ("times", "tf_sparse", "bytes")


class Judged(NamedTuple):
    """A part of a claim, measured on a dataset."""

    part: Part
    dataset: str
    own: bool  # whether the source speaks of this dataset
    measured: Measured | None
    verdict: str


def judge(tables):
    """Return {claim: list of `Judged`}; what is not in the tables cannot be said.

    What depends on no dataset is judged once, as of the source's first one.
    """
    return {
        claim: [
            _judge(part, tables, dataset, dataset in own)
            for part in parts
            for dataset in DATASETS
            if part.table not in OF_NO_DATASET or dataset == own[0]
        ]
        for claim, (own, parts) in CLAIMS.items()
    }


def _judge(part, tables, dataset, own):
    try:
        found = part.measure(tables, dataset, **part.settings)
    except LookupError:
        return Judged(part, dataset, own, None, UNKNOWN)
    measured = found if isinstance(found, Measured) else over_seeds(found)
    return Judged(part, dataset, own, measured, of_part(measured, *part.limits))


def verdict(found, own=True):
    """Return the verdict on a claim for the source's datasets, or for the others; "" if none."""
    parts = [judged.verdict for judged in found if judged.own == own]
    return of_claim(parts) if parts else ""
