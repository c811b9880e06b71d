"""Tables: reading, encoding, targets, splits and error messages."""

import io
import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seedbed as sb
from seedbed.tables import saved as saved_encoding
from seedbed.tables.columns import read_column, read_numbers, read_texts
from seedbed.tables.encoding import MAX_BINS, fit
from seedbed.tables.notation import PLAIN
from seedbed.tables.numbers import NumberColumn
from seedbed.tables.reading import parquet_bytes, read, rename_clashes
from seedbed.tables.targets import Target, find_target, split_rows


@pytest.fixture
def table(tmp_path):
    def write_and_read(text, name="t.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return read(path)

    return write_and_read


def is_number(t, name):
    return read_column(t, name).kind == "number"


def numbers(t, name):
    """Return a column as numbers, in the notation of all its values."""
    read = read_column(t, name)
    return read_numbers(t, name, read.notation, read.odd)


def texts(t, name):
    return read_texts(t, name, ()).tolist()


def test_columns_as_numbers_and_as_texts(table):
    t = table(
        'n,text,mixed,flag,gone\n1,red,1,true,\n-2.5e3,"a, ""b""",x,false,NA\n ,?,,true,nan\n'
    )
    assert len(t) == 3
    np.testing.assert_array_equal(numbers(t, "n"), [1, -2500, np.nan])
    assert texts(t, "n") == ["1", "-2.5e3", None]
    assert texts(t, "text") == ["red", 'a, "b"', None]
    assert texts(t, "mixed") == ["1", "x", None]
    assert texts(t, "flag") == ["true", "false", "true"]
    assert texts(t, "gone") == [None, None, None]
    assert [is_number(t, name) for name in t.frame.columns] == [True, False, False, False, False]
    with pytest.raises(sb.TableError, match=r"'mixed' of .* holds 'x' in row 2, where a number is"):
        numbers(t, "mixed")


def test_brackets_in_a_file_name_are_literal(tmp_path):
    (tmp_path / "data1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "data[1].csv").write_text("c,d\n3,4\n")
    assert read(tmp_path / "data[1].csv").frame.columns == ["c", "d"]


def test_parquet_columns_as_numbers_and_as_texts(tmp_path):
    frame = pl.DataFrame(
        {
            "i": [1, None, 3],
            "f": [0.5, float("nan"), None],
            "s": ["7", None, "b"],
            "b": [True, False, None],
            "c": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    t = read(tmp_path / "t.parquet")
    np.testing.assert_array_equal(numbers(t, "i"), [1, np.nan, 3])
    assert texts(t, "i") == ["1", None, "3"]
    np.testing.assert_array_equal(numbers(t, "f"), [0.5, np.nan, np.nan])
    assert texts(t, "s") == ["7", None, "b"]
    assert texts(t, "b") == ["true", "false", None]
    assert texts(t, "c") == ["x", "y", "x"]
    assert [is_number(t, name) for name in "ifsbc"] == [True, True, False, False, False]


def test_absent_files_and_unsupported_values_are_refused(tmp_path):
    with pytest.raises(sb.TableError, match=r"cannot read .*No such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(sb.TableError, match=r"cannot read .*Is a directory"):
        read(tmp_path)
    path = tmp_path / "dates.parquet"
    pl.DataFrame({"day": ["2020-01-01"]}).with_columns(pl.col("day").str.to_date()).write_parquet(
        path
    )
    with pytest.raises(sb.TableError, match=r"column 'day' of .* holds dates, where numbers are"):
        read_numbers(read(path), "day", PLAIN)


TEXT = """x,colour,same,gone,id,y
1,red,5,,a1,yes
2,blue,5,,a2,no
,red,5,,a3,yes
6,,5,,a4,no
"""


def quantile(values, share):
    """Return the smallest value that a ``share`` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def clipped(x, values):
    """Return the smooth clip of x, by its formula."""
    z = (x - quantile(values, 0.5)) / (quantile(values, 0.75) - quantile(values, 0.25))
    return z / math.sqrt(1 + (z / 3) ** 2)


def test_encoding_of_numbers_categories_and_missing_values(table):
    t = table("\n".join([*TEXT.splitlines(), *(f"3,red,5,,b{i},no" for i in range(24))]) + "\n")
    target, rows = find_target(t, "y", None)
    assert target == Target(("y",), ("no", "yes"), "text")
    assert len(rows) == 28
    encoding, notes = fit(t, rows[:4], target, drop=["id"])
    assert [tuple(note) for note in notes] == [
        ("constant", "same", "same is left out: it has the same value in every row"),
        ("constant", "gone", "gone is left out: it has no value in any row"),
    ]
    X, more = encoding.inputs(t)
    assert encoding.columns[0] == NumberColumn("x", 2, 5, True, (1, 2, 6))
    np.testing.assert_allclose(
        X[:5, 0], [clipped(x, [1, 2, 6]) for x in (1, 2, 2, 6, 3)], rtol=1e-6
    )
    np.testing.assert_allclose(X[:5, 1], [0, 1, 1, 1, 1])  # between 1 and 2
    np.testing.assert_allclose(X[:5, 2], [0, 0, 0, 1, 0.25])  # between 2 and 6
    np.testing.assert_array_equal(X[:4, 3], [0, 0, 1, 0])  # missing, marked
    np.testing.assert_array_equal(X[:4, 4], [-1, 1, -1, 0])  # blue 1, red -1
    assert "x: 1 missing value, taken as the median" in more.lines()
    assert "colour: 1 missing value, taken as no category" in more.lines()
    np.testing.assert_array_equal(encoding.target.encode(t)[:4], [1, 0, 1, 0])
    assert saved_encoding.from_dict(saved_encoding.to_dict(encoding)) == encoding
    whole, notes = fit(t, rows, target)
    assert any(
        note.line.startswith("id is left out: 28 different texts in 28 rows") for note in notes
    )
    assert [column.name for column in whole.columns] == ["x", "colour"]


def test_constant_columns_with_missing_values_are_kept(table):
    t = table("paid,tag,y\n1,new,3\n,,4\n1,new,9\n")
    target, rows = find_target(t, "y", "regression")
    encoding, notes = fit(t, rows, target)
    X, _ = encoding.inputs(t)
    assert notes == []
    np.testing.assert_array_equal(X, [[0, 0, 1], [0, 1, 0], [0, 0, 1]])
    # also for a constant that is not exact in binary
    t = table("paid,y\n" + "0.1,1.5\n" * 3 + ",2.5\n")
    encoding, _ = fit(t, np.arange(4), find_target(t, "y", None)[0])
    new, _ = encoding.inputs(table("paid\n0.2\n", "new.csv"))
    np.testing.assert_allclose(new, [[0.1, 0]], rtol=1e-3)


def test_texts_that_are_nearly_all_different_are_left_out(table):
    many = "".join(f"w{i % 300},{i}.5\n" for i in range(550))
    t = table("word,y\n" + many)
    with pytest.raises(sb.TableError, match="300 different texts in 550 rows make no categories"):
        fit(t, np.arange(550), find_target(t, "y", None)[0])


def test_the_most_frequent_of_many_categories_are_inputs_and_the_rest_is_one(table):
    texts = [f"w{i}" for i in range(300) for _ in range(3 if i < 46 else 2)]
    t = table("word,y\n" + "".join(f"{text},{i}.5\n" for i, text in enumerate(texts)))
    encoding, notes = fit(t, np.arange(len(texts)), find_target(t, "y", None)[0])
    (column,) = encoding.columns
    # of those that occur twice the first in the order of texts
    twice = sorted(f"w{i}" for i in range(46, 300))[: 254 - 46]
    assert set(column.categories) == {f"w{i}" for i in range(46)} | set(twice)
    assert [note.line for note in notes] == [
        "word: of 300 different texts the 254 most frequent are categories, and all others are one"
    ]
    assert not notes[0].is_warning
    assert encoding.width == len(encoding.input_names) == len(encoding.input_keys) == 255
    assert encoding.input_names[-1] == "word is another"
    new = table(f"word\nw0\nw99\nnever\n\nw0\n{twice[-1]}\n", "new.csv")
    X, counts = encoding.inputs(new)  # an unseen one is no error
    assert X.sum(axis=1).tolist() == [1, 1, 1, 0, 1, 1]
    assert X[:, -1].tolist() == [0, 1, 1, 0, 0, 0]
    assert X[:, column.categories.index("w0")].tolist() == [1, 0, 0, 0, 1, 0]
    assert counts.lines() == ["word: 1 missing value, taken as no category"]
    heavy = np.ones(len(texts))
    heavy[texts.index("w99")] = 5
    encoding, _ = fit(t, np.arange(len(texts)), find_target(t, "y", None)[0], weights=heavy)
    assert "w99" in encoding.columns[0].categories
    written = json.loads(json.dumps(saved_encoding.to_dict(encoding)))
    assert saved_encoding.from_dict(written) == encoding


def test_missing_values_are_not_category_0(table):
    t = table("c,y\n0,1.5\n1,2.5\nx,3.5\n")
    encoding, _ = fit(t, np.arange(3), find_target(t, "y", None)[0])
    X, _ = encoding.inputs(table("c,z\n0,1\n1,1\n,1\n", "new.csv"))
    np.testing.assert_array_equal(X, [[1, 0, 0], [0, 1, 0], [0, 0, 0]])


def test_codes_keep_leading_zeros_in_prediction(table):
    t = table("id,zip,y\n" + "01,01000,1.5\n02,02000,2.5\nx3,01000,0.5\n" * 3)
    encoding, _ = fit(t, np.arange(9), find_target(t, "y", None)[0])
    new = table("id,zip\n02,01000\n", "new.csv")
    np.testing.assert_array_equal(encoding.inputs(new)[0], [[0, 1, 0, 1]])
    target, _ = find_target(t, "zip", None)
    assert target.classes == ("01000", "02000")


def test_the_encoding_is_fitted_on_training_rows_only(table):
    t = table("x,y\n" + "".join(f"{i},{i * i}.5\n" for i in range(30)))
    target, _ = find_target(t, "y", None)
    train = np.arange(0, 30, 3)
    encoding, _ = fit(t, train, target)
    x, y = np.arange(30.0), np.arange(30.0) ** 2 + 0.5
    (column,) = encoding.columns
    assert column.center == quantile(x[train], 0.5)
    assert column.scale == quantile(x[train], 0.75) - quantile(x[train], 0.25)
    shares = np.arange(MAX_BINS + 1) / MAX_BINS
    assert column.knots == tuple(sorted({quantile(x[train], share) for share in shares}))
    assert encoding.target.mean == pytest.approx((y[train].mean(),))
    assert encoding.target.scale == pytest.approx((y[train].std(),))


@pytest.mark.parametrize("outliers", [1, 2])
def test_outliers_hardly_change_the_encoding(table, outliers):
    """An outlier in a column or in the target leaves other rows about the same."""
    rows = [f"{i % 17},{i % 13}.5\n" for i in range(200)]
    t = table("x,y\n" + "".join(rows))
    encoding, _ = fit(t, np.arange(200), find_target(t, "y", None)[0])
    far = table("x,y\n" + "".join(rows) + "1e9,3.5\n5,-1e9\n" * outliers)
    other, notes = fit(far, np.arange(200 + 2 * outliers), find_target(far, "y", None)[0])
    X, Y = other.inputs(far)[0], other.target.clip_outliers(other.target.encode(far))
    assert [(note.kind, note.column) for note in notes] == [("outliers", "y")]
    assert np.abs(X).max() <= 3
    assert np.abs(Y).max() < 15
    np.testing.assert_allclose(X[:200, 0], encoding.inputs(t)[0][:, 0], atol=0.2)
    assert other.target.scale[0] < 2.5 * encoding.target.scale[0]


def test_an_outlier_that_an_input_explains_is_kept(table):
    rows = [f"{i % 17},{i % 13}.5\n" for i in range(200)]
    explained, wrong = "1e3,1e3\n", "5,-1e9\n"
    t = table("x,y\n" + "".join([*rows, explained, wrong]))
    encoding, notes = fit(t, np.arange(202), find_target(t, "y", None)[0])
    assert encoding.target.high[0] == pytest.approx(1e3, rel=0.01)  # the true value is kept
    assert -1e3 < encoding.target.low[0] < 0
    assert [note.line.partition(",")[0] for note in notes] == ["y holds 1 outlier"]
    t = table("x,y\n" + "".join([*rows, explained]))
    encoding, notes = fit(t, np.arange(201), find_target(t, "y", None)[0])
    assert encoding.target.high == (np.inf,)
    assert not notes


def test_a_row_of_weight_2_counts_as_two(table):
    rows = [f"{i * 7 % 23},{i * 5 % 11}.5,c{i % 3}\n" for i in range(40)]
    twice = [row for i, row in enumerate(rows) for _ in range(1 + i % 3)]
    t, repeated = (table("x,y,c\n" + "".join(each)) for each in (rows, twice))
    weights = 1.0 + np.arange(40) % 3
    weighted, _ = fit(t, np.arange(40), find_target(t, "y", None)[0], weights=weights)
    expected, _ = fit(repeated, np.arange(len(twice)), find_target(repeated, "y", None)[0])
    assert weighted.columns == expected.columns
    assert weighted.target.mean == pytest.approx(expected.target.mean)
    assert weighted.target.low == expected.target.low


def test_unused_columns_may_hold_unsupported_values(tmp_path):
    frame = pl.DataFrame({"day": [[1], [2], [3], []], "x": [1.0, 2, 3, 4], "y": [1.5, 2, 3, 4]})
    frame.write_parquet(tmp_path / "t.parquet")
    t = read(tmp_path / "t.parquet")
    target, _ = find_target(t, "y", "regression")
    encoding, notes = fit(t, np.arange(4), target)
    assert [note.line for note in notes] == [
        "day is left out: it holds List(Int64) values: no numbers, texts or dates"
    ]
    assert fit(t, np.arange(4), target, drop=["day"])[1] == []
    frame.drop("day").write_parquet(tmp_path / "new.parquet")
    assert encoding.inputs(read(tmp_path / "new.parquet"))[0].shape == (4, 4)


def test_targets_too_large_to_train_on_are_refused(table):
    t = table("x,y\n1,1.6e308\n2,2.5\n3,1.7e308\n")
    with pytest.raises(sb.TableError, match=r"target 'y' of .* as large as 1.7e\+308, too large"):
        fit(t, np.arange(3), find_target(t, "y", None)[0])


@pytest.mark.parametrize("factor", [1e-170, 1e306])
def test_tiny_and_huge_numbers_are_scaled_like_others(table, factor):
    t = table("x,y\n" + "".join(f"{factor * i!r},{i}.5\n" for i in (1, 2, 3)))
    encoding, _ = fit(t, np.arange(3), find_target(t, "y", None)[0])
    X = encoding.inputs(t)[0]
    one = clipped(3, [1, 2, 3])
    np.testing.assert_allclose(X, [[-one, 0, 0], [0, 1, 0], [one, 1, 1]], atol=1e-6)


def test_inputs_beyond_the_training_range_are_clipped_to_3(table):
    t = table("x,y\n1,1.5\n2,2.5\n3,0.5\n")
    encoding, _ = fit(t, np.arange(3), find_target(t, "y", None)[0])
    X = encoding.inputs(table("x\n-1e300\n1e39\n1.7e308\n", "new.csv"))[0]
    np.testing.assert_allclose(X, [[-3, 0, 0], [3, 1, 1], [3, 1, 1]])


def test_the_error_names_a_text_among_numbers(table):
    rows = "".join(f"{i}.5,{i % 2}\n" for i in range(60))
    t = table("x,y\n" + rows + "none,1\n1,0\n" + "odd,1\n" * 3)
    encoding, notes = fit(t, np.arange(65), find_target(t, "y", None)[0])
    assert [note.line for note in notes] == [
        "x: all but 3 of 64 values are numbers: 'odd' in row 63 and the others are taken as missing"
    ]
    assert np.flatnonzero(encoding.inputs(t)[0][:, -1]).tolist() == [60, 62, 63, 64]
    t = table("x,y\n" + rows + "none,1\n1,0\n" + "odd,1\n" * 10)
    with pytest.raises(
        sb.TableError, match=r"all but 10 of 71 values are numbers, .* 'odd' in row 63"
    ):
        fit(t, np.arange(72), find_target(t, "y", None)[0])


def test_unseen_categories_are_refused_or_taken_as_missing(table):
    t = table("c,y\nred,1.5\nblue,2.5\nred,3.5\n")
    encoding, _ = fit(t, np.arange(3), *find_target(t, "y", "regression")[:1])
    new = table("c,y\nred,1\nviolet,2\n,3\n", "new.csv")
    with pytest.raises(
        sb.TableError,
        match=r"column 'c' of .* holds 'violet' in row 2, .*\(blue, red\): mend it, .*--unseen",
    ):
        encoding.inputs(new)
    X, notes = encoding.inputs(new, "missing")
    np.testing.assert_array_equal(X, [[-1], [0], [0]])
    assert notes.lines()[-1] == "c: 1 value not seen in training, taken as missing ('violet')"


def test_absent_columns_and_columns_of_another_type_are_refused(table):
    t = table("length,c,y\n1,red,1.5\n2,blue,2.5\n")
    encoding, _ = fit(t, np.arange(2), *find_target(t, "y", "regression")[:1])
    with pytest.raises(sb.TableError, match="has no column 'length'; did you mean 'Lenght'"):
        encoding.inputs(table("Lenght,c\n1,red\n", "a.csv"))
    with pytest.raises(
        sb.TableError, match=r"'length' of .* holds 'long' in row 1, where a number"
    ):
        encoding.inputs(table("length,c\nlong,red\n", "b.csv"))
    with pytest.raises(sb.TableError, match=r"has no column 'c'; it has length, z"):
        encoding.inputs(table("length,z\n1,red\n", "c.csv"))


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["yes", "no"] * 5, None, ("no", "yes")),
        ([0, 1] * 5, None, ("0", "1")),
        ([2.0, 10.0] * 5, None, ("2", "10")),
        ([0.5, 1.0] * 5, None, ()),
        (range(40), None, ()),
        ([3, 4, 5] * 5, "regression", ()),
        ([0.5, 1.5] * 5, "classification", ("0.5", "1.5")),
    ],
)
def test_the_task_is_inferred_and_can_be_set(table, values, task, classes):
    t = table("x,y\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values)))
    target, _ = find_target(t, "y", task)
    assert target.classes == classes
    if not classes:
        encoding, _ = fit(t, np.arange(len(t)), target)
        assert encoding.target.mean == pytest.approx((np.mean(values),))
        assert encoding.target.scale == pytest.approx((np.std(values),))


@pytest.mark.parametrize(
    ("text", "name", "task", "message"),
    [
        ("target,b\n1,2\n2,3\n", "Tarjet", None, "has no target column 'Tarjet'; did you mean 't"),
        ("a,b\n1,2\n2,2\n", "b", None, "target 'b' of .* is '2' in all 2 rows: there is nothing"),
        ("a,b\n1,\n2,\n", "b", None, "has no value in any row"),
        ("a,b\n1,x\n2,y\n", "b", "regression", "holds 'x' in row 1, where a number is expected"),
        ("a,b\n1,x\n2,y\n3,z\n4,w\n", "b", None, "4 different values in 4 rows, too many"),
        ("a,b\n1,2\n2,3\n", "b", "ranking", "task must be one of"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(table, text, name, task, message):
    with pytest.raises(sb.SeedbedError, match=message):
        find_target(table(text), name, task)


def test_rows_without_a_target_are_left_out(table):
    _, rows = find_target(table("a,b\n1,x\n2,\n3,y\n4,x\n5,y\n"), "b", None)
    assert rows.tolist() == [0, 2, 3, 4]


@given(
    st.integers(4, 60), st.floats(0.1, 0.6), st.integers(0, 99), st.booleans(), st.integers(2, 4)
)
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
def test_a_split_has_two_sides_and_keeps_every_class_in_training(n, share, seed, stratify, k):
    classes = np.arange(n) % k
    rows = np.arange(n) * 3
    try:
        train, test = split_rows(rows, share, seed, classes if stratify else None)
    except sb.TableError:
        assert round(share * (n // k)) == 0 or round(share * n) in (0, n) or n // k == 1
        return
    assert sorted([*train, *test]) == rows.tolist()
    assert len(train) > 0
    assert len(test) > 0
    if stratify:
        assert set(classes[train // 3]) == set(range(k))
    else:
        assert len(test) == round(share * n)


def test_written_tables_keep_their_columns_and_add_new_ones(table, tmp_path):
    t = table('a,predicted\n1,"x, y"\n02,NA\n')
    columns = {"predicted": np.array(["p", "q"], dtype=object), "share": np.array([0.25, 1.0])}
    renamed = rename_clashes(t.columns, columns)
    assert list(renamed) == ["predicted_", "share"]
    clash = rename_clashes(t.columns, {"a": columns["share"], "a_": columns["share"]})
    assert list(clash) == ["a__", "a_"]
    frame = pl.read_parquet(io.BytesIO(parquet_bytes(t, renamed)))
    assert frame["share"].to_list() == [0.25, 1.0]
    assert frame["a"].to_list() == ["1", "02"]


def test_a_saved_encoding_is_checked(table):
    t = table("x,c,y\n1,red,1.5\n2,blue,2.5\n3,red,0.5\n")
    encoding, _ = fit(t, np.arange(3), find_target(t, "y", None)[0])
    for corrupt in (
        lambda w: w["columns"][0].update(center="1"),
        lambda w: w["columns"][0].update(center=None),
        lambda w: w["columns"][0].update(scale=0.0),
        lambda w: w["columns"][0].update(scale=float("nan")),
        lambda w: w["columns"][0].update(flagged=10**12),
        lambda w: w["columns"][0].update(name=["x"]),
        lambda w: w["columns"][1].update(categories=["red", "red"]),
        lambda w: w["columns"][1].update(categories=3),
        lambda w: w["columns"][1].update(categories=[]),
        lambda w: w["columns"][1].update(has_rest=True),
        lambda w: w["columns"][1].update(embedded=1),
        lambda w: w["columns"][1].pop("has_rest"),
        lambda w: w["columns"][1].update(name="x"),
        lambda w: w["target"].update(classes=[1, 2]),
        lambda w: w["columns"][0].update(knots=[1.0, 1.0, 2.0]),
        lambda w: w["columns"][0].update(knots=[1.0]),
        lambda w: w["target"].pop("mean"),
        lambda w: w["target"].update(mean=[1.0, 2.0]),
        lambda w: w["target"].update(names=[]),
        lambda w: w["target"].update(kind="word"),
        lambda w: w.pop("columns"),
    ):
        saved = json.loads(json.dumps(saved_encoding.to_dict(encoding)))
        assert saved_encoding.from_dict(saved) == encoding
        corrupt(saved)
        with pytest.raises((KeyError, TypeError, ValueError)):
            saved_encoding.from_dict(saved)
