from .data import Dataset, load_dataset
from .augmentation import shifted
from .models import baseline, baselines, make_mlp
from .training import compile_training, fit_iterations, train
from .criteria import (
    magnitude,
    n_m_mask,
    random_scores,
    random_unit_scores,
    top_k_mask,
    top_k_masks,
    unit_norm,
)
from .masks import make_masks
from .pruning import hold, measure_sparsity, prune, set_masks, strip
from .schedules import GradualPruning
from .regrowth import Regrowth
from .saliency import activation_aware, greedy_units, taylor
from .repairing import repair
from .merging import merge_units
from .shrinking import CannotShrink, plan_shrink, shrink
from .costs import count_macs, count_parameters, file_bytes
from .execution import Executable, compiled, eager, litert, numpy_dense, onnx, sparse
from .files import export, load
from .sharing import HoldShared, share_weights
from .rates import budget
from .retraining import retrain
from .gradual import prune_gradually
from .timing import time_models
from .evaluation import compare, evaluate
from .inspection import dead_units, kernel_statistics
from .sensitivities import sensitivity, tolerated
from .sweeps import prune_sweep
from .recovery import recovery_sweep
from .speed_ups import timing_sweep
from .tables import gain_over_dense, percent, plateau
from .results import parameters_in, write_result
from .progress_line import progress
from .exploring import explore, explorer
