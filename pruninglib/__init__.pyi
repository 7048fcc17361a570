from .experiments.datasets import Dataset, load_dataset
from .experiments.augmentation import shifted
from .experiments.networks import baseline, baselines, make_mlp
from .recovery.training import compile_training, fit_iterations, train
from .pruning.criteria import (
    magnitude,
    n_m_mask,
    random_scores,
    random_unit_scores,
    top_k_mask,
    top_k_masks,
    unit_norm,
)
from .pruning.masks import make_masks
from .pruning.prune import hold, measure_sparsity, prune, set_masks, strip
from .recovery.schedules import GradualPruning
from .recovery.regrowth import Regrowth
from .pruning.saliency import activation_aware, greedy_units, taylor
from .recovery.repair import repair
from .recovery.merging import merge_units
from .pruning.shrink import CannotShrink, plan_shrink, shrink
from .structure.costs import count_macs, count_parameters, file_bytes
from .execution import Executable, compiled, eager, litert, numpy_dense, onnx, sparse
from .execution.files import export, load
from .execution.sharing import HoldShared, share_weights
from .recovery.rates import budget
from .recovery.retraining import retrain
from .recovery.gradual import prune_gradually
from .experiments.timing import time_models
from .experiments.evaluation import compare, evaluate
from .experiments.inspection import dead_units, kernel_statistics
from .experiments.sensitivities import sensitivity, tolerated
from .experiments.sweeps import prune_sweep
from .experiments.recovery import recovery_sweep
from .experiments.speed_ups import timing_sweep
from .experiments.tables import gain_over_dense, percent, plateau
from .batch.results import parameters_in, write_result
from .progress_line import progress
from .plotting.slider import explore, explorer
