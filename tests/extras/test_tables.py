"""Tables to arrays and back: what is read, what it becomes, and what is refused."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seedbed as sb
from seedbed.tables.encoding import Encoding, Target, find_target, fit, split_rows
from seedbed.tables.reading import read, with_columns, write


@pytest.fixture
def table(tmp_path):
    def write_and_read(text, name="t.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
        return read(path)

    return write_and_read


def test_columns_are_numbers_or_texts(table):
    t = table(
        'n,text,mixed,flag,gone\n1,red,1,true,\n-2.5e3,"a, ""b""",x,false,NA\n ,?,,true,nan\n'
    )
    assert len(t) == 3
    np.testing.assert_array_equal(t.columns["n"], [1, -2500, np.nan])
    assert t.columns["text"].tolist() == ["red", 'a, "b"', None]
    assert t.columns["mixed"].tolist() == ["1", "x", None]
    assert t.columns["flag"].tolist() == ["true", "false", "true"]
    assert t.columns["gone"].tolist() == [None, None, None]


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x\n2,y\n",
        "a;b\n1;x\n2;y\n",
        "a\tb\n1\tx\n2\ty\n",
        "a,b\r\n1,x\r\n2,y\r\n",
        "\ufeffa,b\n1,x\n2,y\n",
        "a,b\n\n1,x\n\n2,y\n\n",
        "a,b\n1,x\n,\n2,y",
        '"a","b"\n"1","x"\n"2","y"\n',
    ],
)
def test_ways_to_write_one_table(table, text):
    t = table(text)
    np.testing.assert_array_equal(t.columns["a"], [1, 2])
    assert t.columns["b"].tolist() == ["x", "y"]


def test_parquet_is_read_as_csv_is(tmp_path):
    frame = pl.DataFrame(
        {
            "i": [1, None, 3],
            "f": [0.5, float("nan"), None],
            "s": ["a", None, "b"],
            "b": [True, False, None],
            "c": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    t = read(tmp_path / "t.parquet")
    np.testing.assert_array_equal(t.columns["i"], [1, np.nan, 3])
    np.testing.assert_array_equal(t.columns["f"], [0.5, np.nan, np.nan])
    assert t.columns["s"].tolist() == ["a", None, "b"]
    assert t.columns["b"].tolist() == ["true", "false", None]
    assert t.columns["c"].tolist() == ["x", "y", "x"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no rows"),
        ("a,b\n", "has no rows"),
        ("a,b\n,\n", "has no rows"),
        ("a,b\n1,2\n3\n", "line 3 of .* has 1 fields and the header 2: mend that line"),
        ("a,b\n1,2,3\n", "line 2 of .* has 3 fields and the header 2"),
        ("a,a\n1,2\n", "holds 'a' 2 times"),
        ("a,\n1,2\n", "holds '' 1 times"),
        (b"\x00\x01\x02\xff", "is a binary file"),
        (b"a,b\n\xff\xfe,2\n", "is not UTF-8 text"),
        ("a,b\n1,inf\n", "column 'b' of .* holds inf in row 1"),
        ('a,b\n"1,2\n', "fields|parse|cannot read"),
        (b"PAR1 and nothing else", "cannot read .* as a table"),
    ],
)
def test_files_that_are_no_tables_are_refused_in_one_line(table, text, words):
    with pytest.raises(sb.TableError, match=words) as raised:
        table(text)
    assert "\n" not in str(raised.value)


def test_files_that_are_not_there_or_of_another_kind_are_refused(tmp_path):
    with pytest.raises(sb.TableError, match=r"cannot read .*No such file"):
        read(tmp_path / "none.csv")
    with pytest.raises(sb.TableError, match=r"cannot read .*Is a directory"):
        read(tmp_path)
    path = tmp_path / "dates.parquet"
    pl.DataFrame({"day": ["2020-01-01"]}).with_columns(pl.col("day").str.to_date()).write_parquet(
        path
    )
    with pytest.raises(sb.TableError, match=r"column 'day' of .* holds Date values: turn them"):
        read(path)


TEXT = """x,colour,same,gone,id,y
1,red,5,,a1,yes
2,blue,5,,a2,no
,red,5,,a3,yes
6,,5,,a4,no
"""


def test_numbers_are_standardised_categories_one_hot_missing_values_marked(table):
    t = table("\n".join([*TEXT.splitlines(), *(f"3,red,5,,b{i},no" for i in range(24))]) + "\n")
    target, rows = find_target(t, "y", None)
    assert target == Target("y", ("no", "yes"))
    assert len(rows) == 28
    encoding, notes = fit(t, rows[:4], target, drop=["id"])
    assert "same is left out: it has the same value in every row" in notes
    assert "gone is left out: it has no value in any row" in notes
    X, more = encoding.inputs(t)
    scale = np.std([1, 2, 6])
    np.testing.assert_allclose(X[:5, 0], [-2 / scale, -1 / scale, 0, 3 / scale, 0])
    np.testing.assert_array_equal(X[:4, 1], [0, 0, 1, 0])  # missing, marked
    np.testing.assert_array_equal(X[:4, 2:4], [[0, 1], [1, 0], [0, 1], [0, 0]])  # blue, red
    assert "x: 1 missing value, taken as the mean" in more
    assert "colour: 1 missing value, taken as no category" in more
    np.testing.assert_array_equal(encoding.targets(t)[:4], [1, 0, 1, 0])
    assert Encoding.from_words(encoding.to_words()) == encoding
    whole, notes = fit(t, rows, target)
    assert any(note.startswith("id is left out: 28 different texts in 28 rows") for note in notes)
    assert [column.name for column in whole.columns] == ["x", "colour"]


def test_a_constant_with_gaps_tells_by_its_gaps(table):
    t = table("paid,tag,y\n1,new,3\n,,4\n1,new,9\n")
    target, rows = find_target(t, "y", "regression")
    encoding, notes = fit(t, rows, target)
    X, _ = encoding.inputs(t)
    assert notes == []
    np.testing.assert_array_equal(X, [[0, 0, 1], [0, 1, 0], [0, 0, 1]])


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
    np.testing.assert_array_equal(X, [[0, 1], [0, 0], [0, 0]])
    assert "c: 1 value not seen in training, taken as missing" in notes


def test_columns_that_changed_their_kind_or_left_are_refused(table):
    t = table("length,c,y\n1,red,1.5\n2,blue,2.5\n")
    encoding, _ = fit(t, np.arange(2), *find_target(t, "y", "regression")[:1])
    with pytest.raises(sb.TableError, match="has no column 'length'; did you mean 'Lenght'"):
        encoding.inputs(table("Lenght,c\n1,red\n", "a.csv"))
    with pytest.raises(
        sb.TableError, match=r"'length' of .* holds 'long' in row 1, where a number"
    ):
        encoding.inputs(table("length,c\nlong,red\n", "b.csv"))
    with pytest.raises(sb.TableError, match="has no column 'c'; it has length, z"):
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
        assert target.mean == pytest.approx(np.mean(values))


@pytest.mark.parametrize(
    ("text", "name", "task", "words"),
    [
        ("target,b\n1,2\n2,3\n", "Tarjet", None, "has no target column 'Tarjet'; did you mean 't"),
        ("a,b\n1,2\n2,2\n", "b", None, "target 'b' of .* is '2' in all 2 rows: there is nothing"),
        ("a,b\n1,\n2,\n", "b", None, "has no value in any row"),
        ("a,b\n1,x\n2,y\n", "b", "regression", "holds 'x' in row 1, where a number is expected"),
        ("a,b\n1,x\n2,y\n3,z\n4,w\n", "b", None, "4 different values in 4 rows, too many"),
        ("a,b\n1,2\n2,3\n", "b", "ranking", "task must be one of"),
    ],
)
def test_targets_that_cannot_be_learned_are_refused(table, text, name, task, words):
    with pytest.raises(sb.SeedbedError, match=words):
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


def test_what_is_written_is_the_table_with_columns_added(table, tmp_path):
    t = table('a,predicted\n1,"x, y"\n02,\n')
    columns = {"predicted": np.array(["p", "q"], dtype=object), "share": np.array([0.25, 1.0])}
    assert with_columns(t, columns).columns == ["a", "predicted", "predicted_", "share"]
    write(tmp_path / "out.csv", t, columns)
    assert (tmp_path / "out.csv").read_text() == (
        'a,predicted,predicted_,share\n1,"x, y",p,0.25\n02,,q,1.0\n'
    )
    write(tmp_path / "out.parquet", t, columns)
    assert pl.read_parquet(tmp_path / "out.parquet")["share"].to_list() == [0.25, 1.0]
