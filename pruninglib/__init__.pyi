from .experiments.datasets import Dataset, load_dataset, shifted
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
from .pruning.saliency import activation_aware, greedy_units, taylor
from .pruning.masks import make_masks
from .pruning.prune import hold, measure_sparsity, prune, set_masks, strip
from .pruning.shrink import CannotShrink, plan_shrink, shrink
from .recovery.repair import merge_units, repair
from .recovery.retraining import budget, retrain
from .recovery.gradual import GradualPruning, prune_gradually
from .recovery.regrowth import Regrowth
from .structure.costs import count_macs, count_parameters, file_bytes
from .execution.executable import Executable
from .execution.runtimes import compiled, eager, litert, onnx
from .execution.numpy_runtime import numpy_dense, sparse
from .execution.files import export, load
from .execution.sharing import HoldShared, share_weights
from .experiments.evaluation import compare, dead_units, evaluate, kernel_statistics
from .experiments.timing import time_models, timing_sweep
from .experiments.sweeps import prune_sweep, recovery_sweep, sensitivity, tolerated
from .experiments.tables import gain_over_dense, percent, plateau, published, treatments
from .batch.results import parameters_in, run_folder, write_result
from .progress_line import progress
from .plotting.slider import explorer
