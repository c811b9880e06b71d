"""A table model is one thing, as estimator, file or command; functions take it with raw tables."""

import gzip
import io
import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seedbed as sb
from seedbed import writing
from seedbed.cli import main
from seedbed.estimators import NetworkClassifier, NetworkRegressor
from seedbed.plots.plane import plane_of_table
from seedbed.tables import csv_frames
from seedbed.tables.columns import read_column, read_numbers
from seedbed.tables.csv_text import CsvReader, TextRows
from seedbed.tables.notation import PLAIN, Notation
from seedbed.tables.reading import parse

N = 60
QUICK = {
    "max_iter": 120, "learning_rate_init": 0.03, "random_state": 0, "engine": "numpy",
    "codes": "bins",
}  # fmt: skip


@pytest.fixture(scope="module")
def table():
    """Return a frame with numbers, gaps, a category, a class and a quantity."""
    rng = np.random.default_rng(0)
    x, colour = rng.normal(size=N), rng.choice(["red", "blue", "green"], N)
    frame = pd.DataFrame({"x": x, "colour": colour, "size": 3 * x + (colour == "red")})
    frame["label"] = np.where(x + (colour == "red") > 0.3, "yes", "no")
    frame.loc[::7, "x"] = np.nan
    return frame


@pytest.fixture(scope="module")
def classifier(table):
    return NetworkClassifier(
        [6], members=3, max_iter=120, learning_rate_init=0.03, random_state=0, engine="numpy"
    ).fit(table[["x", "colour"]], table["label"])


@pytest.fixture(scope="module")
def regressor(table):
    return NetworkRegressor(
        [6], members=3, max_iter=120, learning_rate_init=0.03, random_state=0, engine="numpy"
    ).fit(table[["x", "colour"]], table["size"])


@pytest.fixture
def files_of(tmp_path, table, classifier):
    """Return the paths of the table and of the classifier's file."""
    csv, model = tmp_path / "data.csv", tmp_path / "m.safetensors"
    table.to_csv(csv, index=False)
    classifier.save(model)
    return csv, model


@pytest.mark.parametrize("kind", ["population", "classifier", "regressor"])
def test_load_returns_what_was_saved(kind, table, classifier, regressor, tmp_path):
    X = table[["x", "colour"]]
    given = {
        "population": classifier.population_, "classifier": classifier, "regressor": regressor
    }[kind]  # fmt: skip
    sb.save(tmp_path / "m.safetensors", given)
    loaded = sb.load(tmp_path / "m.safetensors")
    assert type(loaded) is type(given)
    if kind == "population":
        np.testing.assert_array_equal(loaded.theta, given.theta)
    else:
        np.testing.assert_array_equal(loaded.predict(X), given.predict(X))
        assert loaded.get_params() == given.get_params()


def test_only_models_are_saved(tmp_path):
    for what in (3, NetworkClassifier, {"theta": 1}):
        with pytest.raises(sb.SettingError, match="expected a Population or a fitted estimator"):
            sb.save(tmp_path / "m.safetensors", what)
    with pytest.raises(ValueError, match="is not fitted yet"):
        sb.save(tmp_path / "m.safetensors", NetworkClassifier())


def test_a_table_model_needs_scikit_learn_only_in_python(files_of):
    """Without scikit-learn, load says what to install, and the command still predicts."""
    csv, model = files_of
    code = f"""
import sys
from contextlib import closing
for name in ("sklearn", "narwhals", "polars"):
    sys.modules[name] = None
import seedbed as sb
try:
    sb.load({str(model)!r})
except sb.MissingDependencyError as error:
    print(error, file=sys.stderr)
from seedbed.cli import main
raise SystemExit(main(["predict", {str(model)!r}, {str(csv)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pip install 'seedbed[sklearn]'" in done.stderr
    assert done.stdout.count("\n") == N + 1


def test_what_looks_at_a_model_takes_the_raw_table(table, classifier, files_of):
    """Estimator, file and population with encoded rows give the same findings and numbers."""
    csv, model = files_of
    X, y = table[["x", "colour"]], table["label"]
    inputs = classifier.table_model_.inputs(X)
    codes = (y == "yes").to_numpy().astype(int)
    for row in (0, 7):
        expected = sb.explain(classifier.population_, inputs, codes, row=row)
        for found in (
            sb.explain(classifier, X, y, row=row),
            sb.explain(classifier, table, row=row),
            sb.explain(
                model,
                pl.DataFrame(
                    table.astype({"colour": object, "label": object}).to_dict("list"),
                    nan_to_null=True,
                ),
                row=row,
            ),
            sb.explain(str(model), csv, row=row),
        ):
            for ours, theirs in zip(found.numbers, expected.numbers, strict=True):
                np.testing.assert_array_equal(ours.value, theirs.value)
    wrong = classifier.population_.theta.copy()
    broken = sb.load(model)
    broken.population_.network.views(broken.population_.theta)[0].b[...] = -99
    assert sb.diagnose(broken, X, y) == sb.diagnose(broken.population_, inputs, codes)
    assert sb.diagnose(broken, X, y)
    np.testing.assert_array_equal(classifier.population_.theta, wrong)


def test_columns_and_classes_are_named(table, classifier):
    names = classifier.table_model_.input_names
    X = classifier.table_model_.inputs(table)
    assert len(names) == X.shape[1]
    assert names[0] == "x"
    assert names[-4:] == ["x is missing", "colour = blue", "colour = green", "colour = red"]
    np.testing.assert_array_equal(X[:, names.index("x is missing")], table["x"].isna())
    np.testing.assert_array_equal(X[:, names.index("colour = red")], table["colour"] == "red")
    text = str(sb.explain(classifier, table, row=0))
    assert "x = the inputs: x, x " in text
    assert "t = the targets: no, yes" in text


def test_rows_without_a_target_are_left_out(table, regressor):
    gaps = table.copy()
    gaps.loc[[2, 5], "size"] = np.nan
    rows = regressor.table_model_.rows(gaps)
    assert rows.numbers.tolist() == [row for row in range(N) if row not in (2, 5)]
    weights = np.ones(N)
    weights[[2, 5]] = 1e6
    assert sb.diagnose(regressor, gaps, sample_weight=weights) == sb.diagnose(
        regressor, table.drop([2, 5])
    )
    for wrong in (weights[:3], weights[:, None], 1.0):
        with pytest.raises(sb.ShapeError, match="sample_weight has shape"):
            sb.diagnose(regressor, gaps, sample_weight=wrong)


def test_wrong_models_and_tables_are_refused_in_one_line(table, classifier):
    X = table[["x", "colour"]]
    for model, rows, target, message in (
        (3, X, table["label"], "expected a Population, a fitted estimator .* not 3"),
        (NetworkClassifier(), X, table["label"], "call its fit first"),
        ("nothing.safetensors", X, table["label"], "cannot read nothing.safetensors"),
        (classifier, X, None, "Y is missing, and X has no column 'label'"),
        (classifier, X, ["yes"], r"Y has shape \(1,\) and X 60 rows"),
        (classifier, X, ["maybe"] * N, "holds 'maybe' in row 1, which is not in the training data"),
        (classifier, X, [None] * N, "no row of X has a value in 'label'"),
        (classifier, X[["x"]], table["label"], "no column 'colour'"),
        (classifier, X.to_numpy()[:, :1], table["label"], r"X has shape \(60, 1\)"),
    ):
        with pytest.raises(sb.SeedbedError, match=message) as caught:
            sb.explain(model, rows, target)
        assert "\n" not in str(caught.value)


def test_several_targets_and_arrays(table):
    values = table[["x", "size"]].fillna(0).to_numpy()
    both = NetworkRegressor(
        [4], members=2, max_iter=120, learning_rate_init=0.03, random_state=0, engine="numpy"
    ).fit(values, np.c_[values, values.sum(axis=1)])
    x, t, _ = both.table_model_.rows(values, np.c_[values, values.sum(axis=1)])
    assert x.shape[0] == t.shape[0] == N
    assert both.table_model_.output_names == ["y0", "y1", "y2"]
    np.testing.assert_allclose(t.mean(axis=0), 0, atol=1e-6)
    assert len(sb.explain(both, values, np.c_[values, values.sum(axis=1)])["t"]) == N
    labels = NetworkClassifier(
        [4], members=2, max_iter=120, learning_rate_init=0.03, random_state=0, engine="numpy"
    ).fit(values, (values > 0).astype(int))
    assert sb.explain(labels, values, (values > 0).astype(int))["t"].shape == (N, 2)


@pytest.mark.parametrize("classes", [[False, True], [0, 1], [1.0, 2.0], ["no", "yes"], ["1", "2"]])
def test_classes_of_every_kind_are_found_again(table, classes, tmp_path):
    X = table[["size"]]
    y = np.array(classes)[(table["size"] > 0.5).astype(int)]
    fitted = NetworkClassifier([4], members=2, **QUICK).fit(X, y)
    fitted.save(tmp_path / "m.safetensors")
    expected = sb.explain(fitted.population_, fitted.table_model_.inputs(X), (y == classes[1]) * 1)
    for labels in (y, y.tolist(), pd.Series(y), pl.Series(y)):
        for model in (fitted, tmp_path / "m.safetensors"):
            np.testing.assert_array_equal(sb.explain(model, X, labels)["t"], expected["t"])


# ---------------------------------------------------------------- the command


def test_info_shows_what_a_file_holds(files_of, capsys, tmp_path):
    _, model = files_of
    assert main(["info", str(model)]) == 0
    text = capsys.readouterr().out
    for part in (
        "NetworkClassifier", "target ", "label", "no, yes", "'x': number",
        "'colour': category (blue, green, red)", "3 (", "seedbed 0.1.0", "sha256",
    ):  # fmt: skip
        assert part in text
    assert main(["info", str(model), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["classes"] == ["no", "yes"]
    assert described["members"]["count"] == 3
    assert described["scores"] is None
    assert len(described["sha256"]) == 64
    sb.save(tmp_path / "p.safetensors", sb.load(model).population_)
    assert main(["info", str(tmp_path / "p.safetensors")]) == 0
    assert "p.safetensors: Population\n" in capsys.readouterr().out


def test_info_shows_the_classes_of_a_population(capsys, tmp_path):
    network = sb.Network(1, [sb.Dense(2)])
    population = sb.train(network, [[0.0], [1.0]], ["a", "b"], loss="ce", optimizer="sgd", epochs=1)
    sb.save(tmp_path / "p.safetensors", population)
    assert main(["info", str(tmp_path / "p.safetensors"), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert (described["kind"], described["classes"]) == ("Population", ["a", "b"])


def test_out_is_written_as_rows_are_predicted(files_of, tmp_path, monkeypatch):
    """So memory does not grow with the file."""
    csv, model = files_of
    head, *rows = csv.read_bytes().splitlines(keepends=True)
    large, out, sizes = tmp_path / "large.csv", tmp_path / "out.csv", []
    large.write_bytes(head + b"".join(rows) * 400)

    class Recorder(io.BytesIO):
        def write(self, content):
            sizes.append(len(content))
            return super().write(content)

    monkeypatch.setattr(writing, "replacement", lambda path: Recorder())
    assert main(["predict", str(model), str(large), "--out", str(out)]) == 0
    assert max(sizes) < sum(sizes) / 4
    monkeypatch.undo()
    large.write_bytes(large.read_bytes() + b"1,green,bad,yes,9,9\n")
    assert main(["predict", str(model), str(large), "--out", str(out)]) == 2
    assert [path.name for path in tmp_path.glob("*out*")] == []


def test_rows_are_predicted_as_they_arrive(files_of):
    """Each row is answered before the next one is sent; the whole file gives the same bytes."""
    csv, model = files_of
    lines = csv.read_bytes().splitlines(keepends=True)
    whole = subprocess.run(
        [sys.executable, "-m", "seedbed", "predict", model, csv], capture_output=True, check=True
    ).stdout
    with subprocess.Popen(
        [sys.executable, "-m", "seedbed", "predict", model, "-"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        answers = []
        process.stdin.write(lines[0])
        for number, line in enumerate(lines[1:5]):
            process.stdin.write(line)
            process.stdin.flush()
            answers += [process.stdout.readline() for _ in range(2 if number == 0 else 1)]
        rest, error = process.communicate(b"".join(lines[5:]), timeout=60)
    assert b"".join(answers) + rest == whole
    assert b"missing values, taken as the median" in error


def test_few_rows_need_neither_polars_nor_scikit_learn(files_of):
    csv, model = files_of
    code = (
        "import sys; from seedbed.cli import main; "
        f"main(['predict', {str(model)!r}, {str(csv)!r}]); "
        "print(*sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.splitlines()[-1].split())
    assert not loaded & {"numba", "polars", "sklearn", "narwhals", "pandas", "scipy", "matplotlib"}


def test_an_unseen_category_in_a_later_row_is_named_by_its_row(files_of, tmp_path, capsys):
    csv, model = files_of
    text = csv.read_text() * 40
    text = text.replace("x,colour,size,label\n", "")
    long = tmp_path / "long.csv"
    long.write_text("x,colour,size,label\n" + text + "1.0,violet,1,no\n")
    assert main(["predict", str(model), str(long), "--json"]) == 2
    assert f"holds 'violet' in row {40 * N + 1}, " in capsys.readouterr().err


VALUES = st.one_of(
    st.sampled_from(
        ["", " ", "NA", "?", "nan", "inf", "-Infinity", "1", "-1.5", "+2", ".5", "5.", "1e5",
         "1E-3", "1,5", "1.000,5", "0x10", "1_000", "1 000", "١", "e5", "-", "+", "1e", "--1",
         "red", "true", "\u22121", "1e400", " 7 ", "\t8", "a\nb", 'q"r', "00", "1.5.2"]
    ),
    st.floats(allow_nan=False).map(repr),
    st.integers(-(10**20), 10**20).map(str),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=6), st.sampled_from(",;\t"))
def test_rows_and_whole_files_are_read_alike(values, separator):
    text = pl.DataFrame({"a": values, "b": ["x"] * len(values)}).write_csv(separator=separator)
    content = text.encode()
    whole = parse("t.csv", content)
    arriving = iter([content[i : i + 3] for i in range(0, len(content), 3)] + [b""])
    reader = CsvReader(lambda _: next(arriving), "t.csv")
    records = [row for rows in reader for row in rows]
    rows = TextRows(reader, records, 0)
    assert rows.columns == whole.columns
    assert rows.texts("a").tolist() == whole.texts("a").tolist()
    for notation in (PLAIN, Notation(","), Notation(",", "."), Notation(unit="%")):
        assert _numbers(rows, notation) == _numbers(whole, notation)


def _numbers(source, notation):
    """Return a column's numbers, or the error's message."""
    try:
        numbers = read_numbers(source, "a", notation)
        return [None if np.isnan(x) else x for x in numbers]
    except sb.TableError as error:
        return str(error)


@settings(max_examples=100, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=6), st.sampled_from(",;\t"))
def test_the_fast_path_reads_what_inference_reads(values, separator):
    frame = pl.DataFrame({"a": values, "b": ["x"] * len(values)})
    table = parse("t.csv", frame.write_csv(separator=separator).encode())
    try:
        plain = table.plain_numbers("a")
    except sb.TableError:  # an infinite number
        return
    if plain is None:
        return
    table.plain_numbers = lambda _: None
    slow = read_column(table, "a")
    assert (slow.kind, slow.notation, slow.odd) == ("number", plain[1], ())
    np.testing.assert_array_equal(slow.values, plain[0])


def test_check_gradient_takes_models(table, classifier, files_of):
    csv, model = files_of
    X, y = table[["x", "colour"]], table["label"]
    blocks = {block.name: block.shape for block in sb.check_gradient(classifier, X, y).blocks}
    assert len(blocks) == 5  # W and b of both layers, and u of the first
    for arguments in (
        (classifier, table), (model, csv), (classifier.population_,
         classifier.table_model_.inputs(X), (y == "yes").astype(int)),
    ):  # fmt: skip
        report = sb.check_gradient(*arguments)
        assert report.agrees
        assert {block.name: block.shape for block in report.blocks} == blocks
    with pytest.raises(sb.DataError, match="Y is missing"):
        sb.check_gradient(classifier, X)


# ---------------------------------------------------------------- pictures


@pytest.fixture(scope="module")
def wide():
    """Return a table whose first column is a text, and estimators of its class and quantity."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({
        "town": rng.choice(["Ulm", "Bonn"], N), "age": rng.uniform(20, 80, N),
        "income": rng.uniform(1e3, 9e3, N), "height": rng.normal(170, 9, N),
    })  # fmt: skip
    kinds = np.array(["high", "low", "middle"])[(frame["income"] // 3001).astype(int)]
    classes = NetworkClassifier([5], members=2, **QUICK).fit(frame, pd.Series(kinds, name="level"))
    numbers = NetworkRegressor([5], members=2, **QUICK).fit(
        frame, pd.Series(frame["income"] * 2 + frame["age"], name="cost")
    )
    return frame, kinds, classes, numbers


def test_regions_are_drawn_over_a_tables_columns(wide, tmp_path):
    """The axes have the columns' names and units; the classes have theirs; others are typical."""
    frame, kinds, classes, numbers = wide
    axes = sb.plots.regions(classes, frame, kinds, columns=("income", "age"))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("income", "age")
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["high", "low", "middle"]
    low, high = axes.child_axes[0].get_xlim()
    assert low < frame["income"].min() < frame["income"].max() < high
    default = sb.plots.regions(numbers, frame)
    assert (default.get_xlabel(), default.get_ylabel()) == ("age", "income")
    assert "Cost of 2 seeds" in default.get_title()
    by_place = sb.plots.regions(numbers, frame.to_numpy(), columns=(1, 2))
    assert by_place.get_xlabel() == "age"


def test_the_plane_is_what_the_estimator_predicts(wide):
    frame, _, _, numbers = wide
    model = numbers.table_model_
    plane = plane_of_table(model, model.population, frame, None, ("income", "age"), 5)
    rows = pd.DataFrame({
        "town": frame["town"].mode()[0], "age": np.repeat(plane.sides[1], 5),
        "income": np.tile(plane.sides[0], 5),
        "height": np.sort(frame["height"])[(N + 1) // 2 - 1],
    })  # fmt: skip
    expected = numbers.predict(rows)
    np.testing.assert_allclose(plane.predictions.mean(axis=0).reshape(-1), expected, rtol=1e-5)
    assert plane.points.tolist() == frame[["income", "age"]].to_numpy().tolist()


def test_other_plots_take_models(wide, files_of):
    frame, kinds, classes, numbers = wide
    _, model = files_of
    labels = {text.get_text() for text in sb.plots.network(classes).texts}
    assert {"high", "low", "middle"} <= labels
    assert "town = Bonn" in labels or "age" in labels
    assert sb.plots.line(classes, frame, kinds).get_xlabel()
    assert sb.plots.line(numbers, frame.assign(cost=1.5)).get_xlabel()
    for what in (classes, model, classes.population_):
        assert sb.plots.losses(what).get_ylabel()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (("age", "town"), "column 'town' does not hold numbers that the model uses"),
        (("age", "agge"), "has no column 'agge'; did you mean 'age'"),
        (("age", "age"), "columns are both 'age'"),
        ("age", "regions are drawn over two columns of numbers"),
        ((1, 9), "columns must be from 0 to 3, not 9"),
    ],
)
def test_wrong_columns_of_a_plot_are_refused(wide, columns, message):
    frame, _, classes, _ = wide
    with pytest.raises(sb.SeedbedError, match=message):
        sb.plots.regions(classes, frame, columns=columns)


CELLS = st.sampled_from(
    ["", "1", "a", "a b", "é", " x ", '"q"', '"q,r"', '"a\nb"', '"a""b"', '5" pipe', "'", "-", '""']
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=3), min_size=1, max_size=4),
    st.sampled_from([",", ";", "\t"]), st.sampled_from(["\n", "\r\n"]), st.booleans(),
)  # fmt: skip
def test_large_files_are_read_as_small_ones(rows, separator, end, ends):
    """Polars parses large files; small ones, and what polars refuses, are parsed here."""
    lines = [separator.join(["a", "b", "c"][: len(rows[0])]), *map(separator.join, rows)]
    content = (end.join(lines) + end * ends).encode()
    found = []
    for limit in (2**22, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csv_frames, "LARGE_FILE", limit)
            try:
                table = parse("t.csv", content)
                found.append([table.columns, *(table.texts(n).tolist() for n in table.columns)])
            except sb.TableError as error:
                found.append(str(error))
    assert found[0] == found[1]


def test_long_values_are_read_in_time_and_cut_in_messages(files_of, capsys, tmp_path):
    _, model = files_of
    long = tmp_path / "long.csv"
    long.write_text("x,colour\n1.0," + "q" * 120_000 + "\n")
    assert main(["predict", str(model), str(long), "--unseen", "missing", "--json"]) == 0
    assert len(capsys.readouterr().err) < 400
    assert main(["predict", str(model), str(long)]) == 2
    assert len(capsys.readouterr().err) < 500


def test_predict_reads_what_train_reads(files_of, table, capsys, tmp_path):
    """CSV, gzip, Parquet, Excel, lines of JSON and SQLite give the same predictions."""
    csv, model = files_of
    rows = pl.read_csv(csv)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(csv.read_bytes()))
    rows.write_parquet(tmp_path / "t.parquet")
    rows.write_ndjson(tmp_path / "t.jsonl")
    with closing(sqlite3.connect(tmp_path / "t.db")) as database:
        table.to_sql("rows", database, index=False)
    answers = {}
    for name in ("data.csv", "t.csv.gz", "t.parquet", "t.jsonl", "t.db::rows"):
        assert main(["predict", str(model), str(tmp_path / name), "--json"]) == 0, name
        answers[name] = capsys.readouterr().out
        assert main(["predict", str(model), str(tmp_path / name)]) == 0, name
        assert capsys.readouterr().out.count("\n") == N + 1
    assert len(set(answers.values())) == 1
