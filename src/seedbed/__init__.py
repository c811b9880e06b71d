"""Seedbed trains small neural networks on NumPy, many at a time.

One call trains a network from many seeds, so every result has a spread, and a better method can be
told from a luckier seed.
"""

import importlib as _importlib
import typing as _typing

from seedbed import metrics, xor
from seedbed.engines.objective import value_and_grad
from seedbed.errors import (
    CallbackWarning,
    DataError,
    DivergenceWarning,
    FileError,
    FormulaError,
    InterruptWarning,
    MethodError,
    MissingDependencyError,
    SeedbedError,
    SeedbedWarning,
    SettingError,
    ShapeError,
    TableError,
)
from seedbed.formulas.activations import (
    Activation,
    elu,
    gelu,
    identity,
    leaky_relu,
    mish,
    relu,
    selu,
    sigmoid,
    silu,
    softplus,
    softsign,
    tanh,
)
from seedbed.formulas.initializers import (
    Initializer,
    glorot,
    he,
    lecun,
    orthogonal,
    standard_normal,
    zeros,
)
from seedbed.formulas.losses import (
    Loss,
    absolute_error,
    binary_cross_entropy,
    cross_entropy,
    huber,
    poisson,
    quantile,
    squared_error,
)
from seedbed.formulas.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop, Rprop
from seedbed.formulas.schedules import (
    Schedule,
    constant,
    cosine,
    coslog4,
    one_cycle,
    step_decay,
)
from seedbed.layers.dense import Dense
from seedbed.layers.embedding import Embedding
from seedbed.layers.periodic import Periodic
from seedbed.metrics import Metric
from seedbed.models import load, save
from seedbed.network import Network
from seedbed.population import History, Population
from seedbed.progress import Progress, every
from seedbed.recipe import Recipe
from seedbed.training import train

if _typing.TYPE_CHECKING:
    from seedbed import estimators as estimators  # the alias makes it public to type checkers
    from seedbed import logs as logs
    from seedbed import plots as plots
    from seedbed.checking.check import check_gradient
    from seedbed.checking.report import GradientReport
    from seedbed.comparing.compare import compare
    from seedbed.comparing.comparison import Comparison
    from seedbed.comparing.equal_time import equal_time
    from seedbed.comparing.judge import judge, judge_in_order
    from seedbed.comparing.plan import Plan, plan
    from seedbed.comparing.search import Search, search
    from seedbed.comparing.space import Space, log_uniform, uniform
    from seedbed.comparing.splitting import splits
    from seedbed.comparing.verdict import Verdict
    from seedbed.diagnosis.diagnose import diagnose
    from seedbed.diagnosis.finding import Finding
    from seedbed.explaining import Explanation, explain
    from seedbed.exporting.export import export

__version__ = "0.1.0"

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "AdamW",
    "CallbackWarning",
    "Comparison",
    "DataError",
    "Dense",
    "DivergenceWarning",
    "Embedding",
    "Explanation",
    "FileError",
    "Finding",
    "FormulaError",
    "GradientReport",
    "History",
    "Initializer",
    "InterruptWarning",
    "Loss",
    "MethodError",
    "Metric",
    "MissingDependencyError",
    "Network",
    "Optimizer",
    "Periodic",
    "Plan",
    "Population",
    "Progress",
    "RMSprop",
    "Recipe",
    "Rprop",
    "Schedule",
    "Search",
    "SeedbedError",
    "SeedbedWarning",
    "SettingError",
    "ShapeError",
    "Space",
    "TableError",
    "Verdict",
    "absolute_error",
    "binary_cross_entropy",
    "check_gradient",
    "compare",
    "constant",
    "cosine",
    "coslog4",
    "cross_entropy",
    "diagnose",
    "elu",
    "equal_time",
    "every",
    "explain",
    "export",
    "gelu",
    "glorot",
    "he",
    "huber",
    "identity",
    "judge",
    "judge_in_order",
    "leaky_relu",
    "lecun",
    "load",
    "log_uniform",
    "metrics",
    "mish",
    "one_cycle",
    "orthogonal",
    "plan",
    "poisson",
    "quantile",
    "relu",
    "save",
    "search",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "splits",
    "squared_error",
    "standard_normal",
    "step_decay",
    "tanh",
    "train",
    "uniform",
    "value_and_grad",
    "xor",
    "zeros",
]


_LAZY = {
    "Comparison": "seedbed.comparing.comparison",
    "Explanation": "seedbed.explaining",
    "Finding": "seedbed.diagnosis.finding",
    "GradientReport": "seedbed.checking.report",
    "Plan": "seedbed.comparing.plan",
    "Search": "seedbed.comparing.search",
    "Space": "seedbed.comparing.space",
    "Verdict": "seedbed.comparing.verdict",
    "check_gradient": "seedbed.checking.check",
    "compare": "seedbed.comparing.compare",
    "diagnose": "seedbed.diagnosis.diagnose",
    "equal_time": "seedbed.comparing.equal_time",
    "explain": "seedbed.explaining",
    "export": "seedbed.exporting.export",
    "judge": "seedbed.comparing.judge",
    "judge_in_order": "seedbed.comparing.judge",
    "log_uniform": "seedbed.comparing.space",
    "plan": "seedbed.comparing.plan",
    "search": "seedbed.comparing.search",
    "splits": "seedbed.comparing.splitting",
    "uniform": "seedbed.comparing.space",
}


_LAZY_MODULES = ("estimators", "logs", "plots", "testing")
"""Not in ``__all__``, as ``import *`` loads all that is listed; some need further packages."""


def __getattr__(name: str) -> _typing.Any:
    """Import rarely used names on first access."""
    if name in _LAZY_MODULES:
        return _importlib.import_module(f"{__name__}.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = getattr(_importlib.import_module(_LAZY[name]), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*__all__, *_LAZY_MODULES, *(name for name in globals() if name[:2] == "__")})
