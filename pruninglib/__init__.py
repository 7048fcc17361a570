"""Prune Keras 3 models, hold the mask, shrink the network exactly and measure it."""

from pruninglib import quiet  # noqa: I001  (first: it imports TensorFlow without its log lines)
from pruninglib.data import Dataset, load_dataset
from pruninglib.augmentation import shifted
from pruninglib.models import baseline, baselines, make_mlp
from pruninglib.training import compile_training, fit_iterations, train
from pruninglib.criteria import (
    magnitude,
    n_m_mask,
    random_scores,
    random_unit_scores,
    top_k_mask,
    top_k_masks,
    unit_norm,
)
from pruninglib.masks import make_masks
from pruninglib.pruning import hold, measure_sparsity, prune, set_masks, strip
from pruninglib.schedules import GradualPruning
from pruninglib.regrowth import Regrowth
from pruninglib.saliency import activation_aware, greedy_units, taylor
from pruninglib.repair import repair
from pruninglib.merging import merge_units
from pruninglib.shrink import CannotShrink, plan_shrink, shrink
from pruninglib.costs import count_macs, count_parameters, file_bytes
from pruninglib.execution import Executable, compiled, eager, litert, numpy_dense, onnx, sparse
from pruninglib.files import export, load
from pruninglib.sharing import HoldShared, share_weights
from pruninglib.rates import budget
from pruninglib.retraining import retrain
from pruninglib.gradual import prune_gradually
from pruninglib.timing import time_models
from pruninglib.evaluation import compare, evaluate
from pruninglib.inspection import dead_units, kernel_statistics
from pruninglib.sensitivity import sensitivity, tolerated
from pruninglib.sweeps import prune_sweep
from pruninglib.recovery_sweep import recovery_sweep
from pruninglib.timing_sweep import timing_sweep
from pruninglib.tables import gain_over_dense, percent, plateau

__version__ = "0.1.0"
