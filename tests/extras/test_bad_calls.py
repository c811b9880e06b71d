"""Hundreds of bad calls of the public functions: each ends in one line of the library's own."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import seedbed as sb
from seedbed import logs, testing
from seedbed.estimators import NetworkClassifier, NetworkRegressor

rng = np.random.default_rng(0)
X = rng.normal(size=(30, 3))
Y = X[:, :1] * 2
CLASSES = (X[:, 0] > 0).astype(int)
NETWORK = sb.Network(3, [sb.Dense(4, sb.tanh), sb.Dense(1)])
RECIPE, OTHER = (
    sb.Recipe(network=NETWORK, loss=sb.squared_error, epochs=epochs, engine="numpy")
    for epochs in (3, 4)
)
METHODS = {"a": RECIPE, "b": OTHER}
SCORES = {"a": rng.normal(size=8), "b": rng.normal(size=8)}
POPULATION = sb.train(RECIPE, X, Y, seeds=range(3))
QUICK = {"members": 2, "max_iter": 2, "random_state": 0, "codes": "bins", "dropout": 0.0}
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    CLASSIFIER = NetworkClassifier(**QUICK).fit(X, CLASSES)
FOUND = sb.judge(SCORES, higher_is_better=True, design="adaptive")


class Odd:
    pass


VALUES = {
    "None": None, "3": 3, "-1": -1, "0": 0, "nan": float("nan"), "inf": float("inf"), "x": "x",
    "[]": [], "object": Odd(), "{}": {}, "10**12": 10**12, "tanh": sb.tanh, "ragged": [[1], [1, 2]],
    "texts": ["a", "b"], "2-D": np.zeros((2, 2)), "True": True, "bytes": b"x", "type": int,
    "1j": 1j, "no rows": np.zeros((0, 3)),
}  # fmt: skip

TABLE = {
    "X": X, "y": CLASSES, "sample_weight": None, "validation_data": None, "callbacks": (),
    "from_disk": None,
}  # fmt: skip
COMPARED = {
    "methods": METHODS, "X": X, "Y": Y, "metric": None, "baseline": None, "alpha": 0.05,
    "delta": None, "seeds": range(6), "split": "resampled", "test": 0.25, "task": None,
    "first_seed": 0,
}  # fmt: skip
CALLS = {
    "train": (sb.train, {
        "method": RECIPE, "X": X, "Y": Y, "seeds": 0, "validation": None, "sample_weight": None,
        "rows": None, "held_out": None, "start": None, "callbacks": (), "record_every": 1,
        "threads": None, "checkpoint": None, "checkpoint_every": 60.0, "progress": None,
    }),
    "train with settings": (sb.train, {
        "method": NETWORK, "X": X, "Y": Y, "loss": "mse", "optimizer": "adam", "epochs": 2,
        "batch_size": None, "schedule": "constant", "l1": 0.0, "l2": 0.0, "dropout": 0.0,
        "clip_norm": None, "patience": None, "monitor": "members", "engine": "numpy",
        "dtype": "float32",
    }),
    "Network": (sb.Network, {"inputs": 3, "layers": [sb.Dense(1)]}),
    "Dense": (sb.Dense, {"units": 3, "activation": sb.tanh}),
    "SGD": (sb.SGD, {"lr": 0.1, "momentum": 0.0}),
    "Adam": (sb.Adam, {"lr": 0.1, "beta1": 0.9}),
    "predict": (POPULATION.predict, {"X": X}),
    "predict_mean": (POPULATION.predict_mean, {"X": X}),
    "weights": (POPULATION.weights, {"member": 0}),
    "save": (sb.save, {"path": None, "model": POPULATION}),
    "load": (sb.load, {"path": None}),
    "export": (sb.export, {
        "model": POPULATION, "to": "c", "out": None, "name": "model", "replace": False,
    }),
    "compare": (sb.compare, {
        **COMPARED, "callbacks": (), "threads": None, "checkpoint": None, "executor": None,
    }),
    "plan": (sb.plan, COMPARED),
    "judge": (sb.judge, {
        "scores": SCORES, "higher_is_better": True, "design": "fixed", "alpha": 0.05,
        "delta": None, "baseline": None,
    }),
    "search": (sb.search, {
        "space": sb.Space(RECIPE, lr=[0.1, 0.2]), "X": X, "Y": Y, "budget": 8, "baseline": None,
        "metric": None, "alpha": 0.05, "delta": None, "split": "resampled", "test": 0.25,
        "task": None, "seed": 0, "threads": None, "checkpoint": None, "executor": None,
    }),
    "uniform": (sb.uniform, {"low": 0.0, "high": 1.0}),
    "log_uniform": (sb.log_uniform, {"low": 0.1, "high": 1.0}),
    "equal_time": (sb.equal_time, {
        "methods": METHODS, "X": X, "Y": Y, "seconds": None, "test": 0.25, "task": None,
    }),
    "explain": (sb.explain, {"model": POPULATION, "X": X[:2], "Y": Y[:2]}),
    "diagnose": (sb.diagnose, {"model": POPULATION, "X": X, "Y": Y}),
    "every": (sb.every, {"epochs": 3, "function": print}),
    "assert_not_worse": (testing.assert_not_worse, {
        "candidate": SCORES["a"], "baseline": SCORES["a"], "margin": 9.0,
        "higher_is_better": True, "alpha": 0.05,
    }),
    "extend": (FOUND.extend, {"seeds": 128}),
    "metrics.by_name": (sb.metrics.by_name, {"name": "auc"}),
    "logs.Table": (logs.Table, {"path": None}),
    "quantile": (sb.quantile, {"q": 0.5}),
    "classifier's fit": (NetworkClassifier(**QUICK).fit, TABLE),
    "regressor's fit": (NetworkRegressor(**QUICK).fit, {**TABLE, "y": Y[:, 0]}),
    "classifier's predict": (CLASSIFIER.predict, {"X": X}),
    "classifier's score": (CLASSIFIER.score, {"X": X, "y": CLASSES}),
    **{
        f"classifier's {name}": (
            lambda **given: NetworkClassifier(**QUICK | given).fit(X, CLASSES), {name: None}
        )
        for name in CLASSIFIER.get_params()
        if name != "verbose"
    },
}  # fmt: skip

GOOD = {
    "train.seeds": "3 0 10**12", "train.callbacks": "[]", "train.record_every": "3 10**12",
    "train.threads": "3 10**12", "train.checkpoint": "x", "train.checkpoint_every": "3 0 10**12",
    "train.progress": "True", "train with settings.epochs": "3 0 10**12",
    "train with settings.batch_size": "3 10**12", "train with settings.l1": "3 0 10**12",
    "train with settings.l2": "3 0 10**12", "train with settings.dropout": "0",
    "train with settings.clip_norm": "3 10**12", "Network.inputs": "3 10**12",
    "Dense.units": "3 10**12", "Dense.activation": "tanh", "SGD.lr": "3 0 10**12",
    "SGD.momentum": "0", "Adam.lr": "3 0 10**12", "Adam.beta1": "0", "weights.member": "0",
    "save.path": "x", "export.name": "x", "export.out": "x", "export.replace": "True",
    "compare.delta": "3 10**12", "compare.first_seed": "3 0 10**12",
    "compare.callbacks": "[]", "compare.threads": "3 10**12", "compare.checkpoint": "x",
    "plan.X": "None", "plan.delta": "3 10**12", "plan.first_seed": "3 0 10**12",
    "judge.higher_is_better": "True", "judge.delta": "3 10**12", "search.budget": "3 10**12",
    "search.delta": "3 10**12", "search.seed": "3 0 10**12", "search.threads": "3 10**12",
    "search.checkpoint": "x", "uniform.low": "-1 0", "uniform.high": "3 10**12",
    "log_uniform.high": "3 10**12", "equal_time.seconds": "3 10**12",
    "every.epochs": "3 10**12", "every.function": "tanh type",
    "assert_not_worse.margin": "3 0 10**12", "assert_not_worse.higher_is_better": "True",
    "extend.seeds": "10**12", "classifier's fit.sample_weight": "3 10**12 True",
    "classifier's fit.callbacks": "[]", "regressor's fit.sample_weight": "3 10**12 True",
    "regressor's fit.callbacks": "[]", "classifier's members": "3",
    "classifier's learning_rate_init": "3 0", "classifier's weight_decay": "3 0",
    "classifier's dropout": "0", "classifier's batch_size": "3 10**12",
    "classifier's max_time": "3 10**12", "classifier's max_iter": "3 10**12",
    "classifier's n_iter_no_change": "3 10**12", "classifier's random_state": "3 0 True",
    "classifier's n_jobs": "3 -1 10**12", "classifier's hidden_layer_sizes": "3 [] 0",
    "classifier's activation": "tanh", "classifier's early_stopping": "True",
    "classifier's warm_start": "True", "classifier's class_weight": "{}",
}  # fmt: skip
"""Values that are not bad, by function and parameter; the default is not bad either."""


def bad_calls():
    for function, (_, given) in CALLS.items():
        for parameter, default in given.items():
            alone = f"classifier's {parameter}"
            good = GOOD.get(alone if function == alone else f"{function}.{parameter}", "").split()
            none = default is None and parameter not in ("path", "out")
            for name in VALUES:
                if name not in good and not (name == "None" and none):
                    yield function, parameter, name


BAD = list(bad_calls())


def test_there_are_many():
    assert len(BAD) > 1500


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", CALLS)
def test_a_bad_call_is_one_line_of_the_library(function, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    call, given = CALLS[function]
    for of, parameter, name in BAD:
        if of != function:
            continue
        where = f"{function}({parameter}={name})"
        try:
            call(**given | {parameter: VALUES[name]})
        except sb.SeedbedError as error:
            message = str(error)
        except (ValueError, TypeError, NotFittedError) as error:
            trace = error.__traceback__
            while trace.tb_next is not None:
                trace = trace.tb_next
            file = Path(trace.tb_frame.f_code.co_filename)
            if "sklearn" in file.parts:  # in scikit-learn's own words
                continue
            raise AssertionError(f"{where}: {type(error).__name__}: {error} in {file}") from error
        except Exception as error:
            raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
        else:
            raise AssertionError(f"{where} is accepted")
        assert 10 < len(message) <= 300, (where, message)
        assert "\n" not in message, where
    assert not list(tmp_path.iterdir()), "something was written"
