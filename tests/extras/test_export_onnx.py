"""Models as ONNX: onnxruntime predicts what ``predict`` does, within rounding."""

import json
import math

import numpy as np
import onnx
import onnxruntime
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_export import CASES, NETWORKS, ODD_NUMBERS, SMALL, table, targets, trained_on

import seedbed as sb
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.exporting.onnx_graph import TYPES, Graph
from seedbed.exporting.rows import predicted_rows, row_values, source_of
from seedbed.exporting.tracing import trace
from seedbed.formulas import activations, losses
from seedbed.tables.columns import CategoryColumn

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class Model:
    """An exported model in onnxruntime; ``predict`` takes rows and returns arrays by name."""

    def __init__(self, model, folder):
        (path,) = sb.export(model, "onnx", folder, replace=True).files
        self.proto = onnx.load(path)
        onnx.checker.check_model(self.proto, full_check=True)
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.inputs = [each.name for each in self.session.get_inputs()]
        self.texts = {each.name for each in self.session.get_inputs() if "string" in each.type}
        self.outputs = [each.name for each in self.session.get_outputs()]

    def predict(self, rows):
        columns = zip(self.inputs, zip(*rows, strict=True), strict=True)
        return self.run({
            name: np.array(["" if v is None else v for v in values], object)
            if name in self.texts else np.array(values, np.float64)
            for name, values in columns
        })  # fmt: skip

    def run(self, given):
        return dict(zip(self.outputs, self.session.run(None, given), strict=True))


@pytest.mark.parametrize("given", CASES, ids=str)
def test_tables_agree(tmp_path, given):
    frame = table()
    y, z = targets(frame)
    classifier = NetworkClassifier(**{**SMALL, **given}).fit(frame, y)
    made = Model(classifier, tmp_path)
    rows = row_values(classifier.encoding_, classifier.table_model_.source(frame))
    p, std = classifier.predict_proba(frame, return_std=True)
    for size in (1, 7, len(rows)):
        found = made.predict(rows[:size])
        assert found["probabilities"].shape == (size, 3)
        assert np.abs(found["probabilities"] - p[:size]).max() < 1e-5
        assert np.abs(found["spread"] - std[:size]).max() < 1e-5
        clear = np.sort(p[:size])[:, -1] - np.sort(p[:size])[:, -2] > 1e-4
        assert clear.any()
        assert (found["label"] == classifier.predict(frame[:size]))[clear].all()
        assert found["unseen"].tolist() == [0] * size

    regressor = NetworkRegressor(**{**SMALL, **given}).fit(frame, z)
    found = Model(regressor, tmp_path).predict(rows)
    mean, std = regressor.predict(frame, return_std=True)
    assert np.abs(found["value"][:, 0] - mean).max() < 1e-5 * max(1, np.abs(mean).max())
    assert np.abs(found["spread"][:, 0] - std).max() < 1e-5 * max(1, np.abs(mean).max())


@pytest.mark.parametrize(("dtype", "layers", "loss"), NETWORKS, ids=str)
def test_populations_agree(tmp_path, dtype, layers, loss):
    population, x = trained_on(dtype, layers, loss)
    found = Model(population, tmp_path).run({"x": x})
    expected = population.predict_mean(x)
    if "label" in found:
        clear = np.sort(np.abs(expected - 0.5))[:, 0] > 1e-4
        assert clear.any()
        assert (found["label"].astype(int) == population.predict_labels(x))[clear].all()
    value = found["probabilities" if loss == "cross_entropy" else "value"]
    assert np.abs(value - expected).max() < (1e-5 if dtype == "float32" else 1e-12)
    each = population.predict(x).std(axis=0)
    assert np.abs(found["spread"] - each).max() < (1e-5 if dtype == "float32" else 1e-12)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    frame = table()
    classifier = NetworkClassifier(**SMALL, hidden_layer_sizes=(8,)).fit(frame, targets(frame)[0])
    return classifier.table_model_, Model(classifier, tmp_path_factory.mktemp("onnx"))


ODD_TEXTS = [None, "", "Bern", "bern", "Oslö", "NA", "na", "Null", "NaN", "Not Available", "TRUE",
             "0", "item 7", "x" * 5000, "\U0001f600", "a\\b\"c??/"]  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.data())
def test_odd_rows_agree(fitted, data):
    model, made = fitted
    numbers = st.one_of(st.sampled_from(ODD_NUMBERS), st.floats(allow_infinity=False))
    days = st.one_of(st.just(math.nan), st.integers(-800_000, 2_000_000).map(lambda d: d / 8))
    texts = st.sampled_from(ODD_TEXTS)
    kinds = {"a": numbers, "b b": numbers, "int": numbers, "when": days}
    row = tuple(data.draw(kinds.get(column.name, texts)) for column in model.encoding.columns)
    expected = predicted_rows(model, [row])
    _, counts = model.encoding.inputs(source_of(model.encoding, [row]), unseen="missing")
    found = made.predict([row])
    assert np.abs(found["probabilities"] - expected.expected).max() < 1e-5
    assert np.abs(found["spread"] - expected.spread).max() < 1e-5
    assert found["unseen"].tolist() == [sum(counts.unseen.values())]


@pytest.mark.parametrize(("method", "count"), [("partial_fit", 300), ("fit", 5_200)])
def test_rare_categories(tmp_path, method, count):
    """An unseen text counts as a rare one where training had rare ones; a missing one does not."""
    rng, N = np.random.default_rng(0), 3 * count
    items = [f"item {k % count}" for k in range(N)]
    frame = pl.DataFrame({"item": items, "a": rng.normal(size=N)})
    settings = {**SMALL, "max_iter": 1, "hidden_layer_sizes": (4,)}
    model = getattr(NetworkRegressor(**settings), method)(frame, rng.normal(size=N))
    column = next(c for c in model.encoding_.columns if isinstance(c, CategoryColumn))
    assert (column.embedded, column.has_rest) == (method == "fit", True)
    rows = [(text, 0.5) for text in ("item 9", "item 1", "new", None, "NA", "na", "none")]
    expected = predicted_rows(model.table_model_, rows).expected
    assert expected[2] != expected[3]
    found = Model(model, tmp_path).predict(rows)
    assert np.abs(found["value"] - expected).max() < 1e-5
    assert not found["unseen"].any()


def test_infinite_numbers_give_nan(fitted):
    model, made = fitted
    names = [column.name for column in model.encoding.columns]
    row = [None if name in ("city", "item", "yes?") else 0.0 for name in names]
    for value in (math.inf, -math.inf):
        row[names.index("a")] = value
        assert np.isnan(made.predict([row])["probabilities"]).all()


def test_a_row_does_not_change_with_its_batch(fitted):
    model, made = fitted
    rows = row_values(model.encoding, model.source(table()))
    whole = made.predict(rows)["probabilities"]
    for row, expected in zip(rows[:40], whole[:40], strict=True):
        assert np.abs(made.predict([row])["probabilities"][0] - expected).max() < 1e-6


def test_the_file_describes_itself(fitted):
    model, made = fitted
    metadata = {each.key: each.value for each in made.proto.metadata_props}
    assert json.loads(metadata["classes"]) == ["p", "q", "r"]
    columns = json.loads(metadata["columns"])
    assert list(columns) == made.inputs == [column.name for column in model.encoding.columns]
    assert columns["when"] == "days since 1970-01-01; NaN where missing"
    rows = [[math.nan if v is None and name not in made.texts else v
             for name, v in zip(made.inputs, row, strict=True)]
            for row in json.loads(metadata["test_rows"])]  # fmt: skip
    assert len(rows) == 20
    found = made.predict(rows)["probabilities"]
    assert np.abs(found - json.loads(metadata["expected"])).max() < 1e-5
    assert made.outputs == ["label", "probabilities", "spread", "unseen"]


def test_columns_may_be_named_like_outputs(tmp_path):
    rng = np.random.default_rng(0)
    names = ["value", "spread", "layer 1", "numbers", "unseen"]
    frame = pl.DataFrame({name: rng.normal(size=60) for name in names})
    model = NetworkRegressor(**SMALL).fit(frame, rng.normal(size=60))
    made = Model(model, tmp_path)
    assert made.inputs == names
    assert made.outputs == ["value 2", "spread 2", "unseen 2"]
    rows = frame.rows()
    found = made.predict(rows)["value 2"][:, 0]
    assert np.abs(found - model.predict(frame)).max() < 1e-5


def test_several_targets_and_labels(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    Y = np.stack([X[:, 0] * 100, X[:, 1] + 1e6], axis=1)
    regressor = NetworkRegressor(**SMALL).fit(X, Y)
    found = Model(regressor, tmp_path).predict(X.tolist())["value"]
    assert np.abs((found - regressor.predict(X)) / Y.std(axis=0)).max() < 1e-5
    labels = (X[:, :2] > 0).astype(int)
    classifier = NetworkClassifier(**SMALL).fit(X, labels)
    made = Model(classifier, tmp_path)
    assert made.outputs == ["value", "spread", "unseen"]
    found = made.predict(X.tolist())["value"]
    assert np.abs(found - classifier.predict_proba(X)).max() < 1e-5


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_every_formula_is_translated(kind):
    formulas = {name: activations.by_name(name).f for name in activations.BY_NAME}
    made = [loss for loss in losses.BY_NAME.values() if isinstance(loss, sb.Loss)]
    formulas |= {f"{loss.name} prediction": loss.predict for loss in made}
    formulas |= {
        "powers": lambda z: z**2 + np.abs(z) ** 1.5,
        "masks": lambda z: np.square(z) * (z > 0) - (z <= -1) * ((z != -2) + (z == 3)),
        "constant": lambda z: np.ones_like(z),
        "steps of constants": lambda z: np.ones_like(z) * 2.0,
        "others": lambda z: np.sign(z) * np.sqrt(np.abs(z)) + np.exp(0.1 * np.ones_like(z)),
    }
    graph = Graph(["x"])
    results = {name: graph.formula(trace(f, kind=kind, whole=True), "x", name)
               for name, f in formulas.items()}  # fmt: skip
    value = onnx.helper.make_tensor_value_info
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes, "formulas", [value("x", TYPES[kind], ["rows"])],
            [value(each, TYPES[kind], ["rows"]) for each in {*results.values()} - {"x"}],
            graph.constants,
        ),
        opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip
    onnx.checker.check_model(proto, full_check=True)
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    x = np.concatenate([np.linspace(-30, 30, 601), [-1e-9, 1e-9, 0.0, 3.0]]).astype(kind)
    names = [each.name for each in session.get_outputs()]
    found = {"x": x} | dict(zip(names, session.run(None, {"x": x}), strict=True))
    scale = 2e-6 if kind == "float32" else 1e-14
    for name, formula in formulas.items():
        with np.errstate(all="ignore"):
            expected = np.asarray(formula(x))
        error = np.abs(found[results[name]] - expected) / np.maximum(np.abs(expected), 1)
        assert error.max() < scale, name


def test_without_onnx(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnx", None)
    for name in ("seedbed.exporting.onnx", "seedbed.exporting.onnx_graph"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.delattr("seedbed.exporting.onnx", raising=False)
    population = sb.train(sb.xor.recipe(epochs=2), *sb.xor.data(), seeds=[1])
    with pytest.raises(sb.MissingDependencyError, match=r"pip install 'seedbed\[onnx\]'"):
        sb.export(population, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_odd_names(tmp_path):
    """A column without a name is the input "column"; a text that is no Unicode is refused."""
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"": rng.normal(size=60), "b": ["x", "y"] * 30})
    model = NetworkRegressor(**SMALL).fit(frame, rng.normal(size=60))
    made = Model(model, tmp_path)
    assert made.inputs == ["column", "b"]
    found = made.predict(frame.rows())["value"][:, 0]
    assert np.abs(found - model.predict(frame)).max() < 1e-5
    frame = pl.DataFrame({"": rng.normal(size=60), "column": rng.normal(size=60)})
    model = NetworkRegressor(**SMALL).fit(frame, rng.normal(size=60))
    made = Model(model, tmp_path)
    assert made.inputs == ["column_", "column"]
    found = made.predict(frame.rows())
    assert np.abs(found["value"][:, 0] - model.predict(frame)).max() < 1e-5
    assert not found["unseen"].any()
    values = np.array([["\ud800", "y"] * 30, ["x", "y"] * 30], object).T
    model = NetworkRegressor(**SMALL).fit(values, rng.normal(size=60))
    with pytest.raises(sb.SettingError, match=r"ONNX cannot hold .* which is no Unicode text"):
        sb.export(model, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()
