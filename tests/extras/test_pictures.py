"""Plots of networks, predictions and scores: the drawn numbers are the population's."""

import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.path import Path

import seedbed as sb
from seedbed import plots, xor
from seedbed.cli import main

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(90, 2))
CLASSES = ((np.arctan2(POINTS[:, 1], POINTS[:, 0]) // 2.2) % 3).astype(int)


@pytest.fixture(scope="module")
def tutorial():
    return sb.train(xor.recipe(1500), *xor.data(), seeds=range(6))


@pytest.fixture(scope="module")
def thirds():
    network = sb.Network(2, [sb.Dense(20, sb.tanh), sb.Dense(3)])
    return sb.train(
        network, POINTS, CLASSES, loss=sb.cross_entropy, epochs=150, seeds=range(5),
        optimizer=sb.Adam(0.03), engine="numpy", l2=0.001,
    )  # fmt: skip


def assert_saved(axes, path):
    axes.figure.savefig(path, bbox_inches="tight")
    assert path.stat().st_size > 5_000


def test_lines_of_a_network_are_its_weights(tutorial, tmp_path):
    given = Figure().subplots()
    names = {"inputs": ["left", "right", "one"], "outputs": ["a$b"]}
    axes = plots.network(tutorial, given, member=2, **names)
    assert axes is given
    (W1, b1), (W2, b2) = ((W[2], b[2, 0]) for W, b in tutorial.network.views(tutorial.theta))
    largest = max(np.abs(each).max() for each in (W1, b1, W2, b2))
    lines = [line for line in axes.lines if list(np.diff(line.get_xdata())) == [1]]
    assert len(lines) == 16
    widths = sorted(line.get_linewidth() for line in lines)
    expected = sorted(5 * np.abs(np.r_[W1.ravel(), W2.ravel()]) / largest)
    np.testing.assert_allclose(widths, np.maximum(expected, 0.3))
    below = [line for line in lines if line.get_linestyle() == "--"]
    assert len(below) == (W1 < 0).sum() + (W2 < 0).sum() > 0
    assert {line.get_color() for line in below} == {plots.styling.LIGHT.colours[1]}
    heights = [np.arange(3) - 1.0, np.arange(4) - 1.5, np.zeros(1)]
    widest = max(lines, key=lambda line: line.get_linewidth())
    layer = int(widest.get_xdata()[0])
    W = (W1, W2)[layer]
    i, o = np.unravel_index(np.abs(W).argmax(), W.shape)
    assert list(widest.get_ydata()) == [heights[layer][i], heights[layer + 1][o]]
    words = [text.get_text() for text in axes.texts]
    assert {"left", "right", "one", r"a\$b", "3 inputs", "4 sigmoid", "1 sigmoid"} <= set(words)
    signs = [word for word in words if word in "+−"]
    assert signs == ["−" if bias < 0 else "+" for bias in (*b1, *b2)]
    assert_saved(axes, tmp_path / "network.png")


def test_a_wide_layer_is_drawn_in_part(thirds, tmp_path):
    axes = plots.network(thirds)
    assert "20 tanh\n5 more not drawn" in [text.get_text() for text in axes.texts]
    assert sum(list(np.diff(line.get_xdata())) == [1] for line in axes.lines) == 15 * 2 + 15 * 3
    assert_saved(axes, tmp_path / "network.svg")
    with pytest.raises(sb.SettingError, match="member must be from 0 to 4, not 5"):
        plots.network(thirds, member=5)
    with pytest.raises(sb.ShapeError, match="inputs holds 1 names and the network has 2 inputs"):
        plots.network(thirds, inputs=["a"])


def test_line_is_the_loss_with_its_tangent(tutorial, tmp_path):
    X, Y = xor.data()
    untrained = sb.train(xor.recipe(0), X, Y, seeds=[4])
    axes = plots.line(untrained, X, Y, reach=0.5)
    curve, tangent, here = axes.lines
    g = sb.value_and_grad(untrained.recipe, untrained.theta, X, Y)[1][0]
    for place in (0, 30, 120):
        moved = untrained.theta - curve.get_xdata()[place] * g / np.linalg.norm(g)
        z = sb.value_and_grad(untrained.recipe, moved, X, Y)[0]
        assert curve.get_ydata()[place] == pytest.approx(z[0], rel=1e-12)
    assert curve.get_xdata()[[0, -1]].tolist() == [-0.5, 0.5]
    assert here.get_ydata()[0] == pytest.approx(((untrained.predict(X)[0] - Y) ** 2).mean())
    slope = np.polyfit(tangent.get_xdata(), tangent.get_ydata(), 1)[0]
    r, value = curve.get_xdata()[59:62], curve.get_ydata()[59:62]
    assert slope == pytest.approx((value[2] - value[0]) / (r[2] - r[0]), rel=1e-3)
    assert slope == pytest.approx(-np.linalg.norm(g))
    assert "down the gradient" in axes.get_xlabel()
    assert axes.get_ylabel() == "loss (squared error)"
    assert_saved(plots.line(tutorial, X, Y, member=3), tmp_path / "line.png")


def test_line_in_a_given_direction(thirds):
    u = np.zeros(thirds.network.size)
    u[3] = 2.0
    axes = plots.line(thirds, POINTS, CLASSES, direction=u, member=1)
    curve = axes.lines[0]
    moved = thirds.theta[1:2].astype(float)
    moved[0, 3] += curve.get_xdata()[-1]
    value = sb.value_and_grad(thirds[1].recipe, moved, POINTS, CLASSES)[0]
    assert curve.get_ydata()[-1] == pytest.approx(value[0])
    assert axes.get_ylabel() == "loss and penalty (cross entropy)"
    for given, message in ((np.zeros(len(u)), "all zeros"), (u[:4], r"shape \(4,\)")):
        with pytest.raises(sb.SeedbedError, match=message):
            plots.line(thirds, POINTS, CLASSES, direction=given)
    with pytest.raises(sb.SettingError, match="invalid reach: -1"):
        plots.line(thirds, POINTS, CLASSES, reach=-1)


def test_boundaries_of_regions_lie_at_one_half(tutorial, tmp_path):
    X, Y = xor.data()
    axes = plots.regions(tutorial, X, Y, members=[5, 0, 1], resolution=60)
    assert len(axes.child_axes) == 3
    for member, panel in zip((5, 0, 1), axes.child_axes, strict=True):
        assert panel.get_title() == f"seed {member}: {tutorial.loss[member]:.2g}"
        boundary = panel.collections[-1]
        assert boundary.levels.tolist() == [0.5]
        places = np.concatenate([path.vertices for path in boundary.get_paths()])
        rows = np.column_stack([places, np.ones(len(places))])
        np.testing.assert_allclose(tutorial[member].predict(rows), 0.5, atol=0.05)
        ones, zeros = (line for line in panel.lines if line.get_marker() in "so")
        assert {ones.get_marker(), zeros.get_marker()} == {"s", "o"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x1", "x2")
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["rows with Y = 0", "rows with Y = 1"]
    assert_saved(axes, tmp_path / "regions.png")


def test_regions_of_classes_equal_the_predictions(thirds, tmp_path):
    axes = plots.regions(thirds, POINTS, CLASSES, resolution=120)
    assert len(axes.child_axes) == 5
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["class 0", "class 1", "class 2"]
    probes = RANDOM.uniform(-2, 2, size=(200, 2))
    for member, panel in enumerate(axes.child_axes):
        y = np.sort(thirds[member].predict(probes)[0], axis=1)
        likeliest = thirds[member].predict(probes)[0].argmax(axis=1)
        clear = y[:, 2] - y[:, 1] > 0.2
        assert clear.sum() > 100
        filled = [each for each in panel.collections if each.filled]
        for number, region in enumerate(filled):
            (path,) = region.get_paths()
            pieces = [Path(each) for each in path.to_polygons()]
            inside = np.sum([piece.contains_points(probes) for piece in pieces], axis=0) % 2
            np.testing.assert_array_equal(inside[clear] == 1, likeliest[clear] == number)
    assert_saved(axes, tmp_path / "regions.svg")


def test_regions_of_quantities_and_of_diverged_members(tmp_path):
    with pytest.warns(sb.DivergenceWarning):
        population = sb.train(
            sb.Network(2, [sb.Dense(4, sb.tanh), sb.Dense(1)]), POINTS, POINTS[:, 0],
            loss=sb.squared_error, optimizer=sb.SGD([0.1, 1e30]), epochs=9, seeds=[3, 4],
            engine="numpy",
        )  # fmt: skip
    axes = plots.regions(population, POINTS, POINTS[:, 0], across=2)
    first, diverged = axes.child_axes
    assert diverged.get_title() == "seed 4: diverged"
    assert not diverged.collections
    assert first.collections
    assert_saved(axes, tmp_path / "quantity.png")
    for options, message in (
        ({"columns": (0, 0)}, "columns are both 0"),
        ({"columns": (0, 7)}, "columns must be from 0 to 1, not 7"),
        ({"output": 1}, "output must be 0, not 1"),
        ({"resolution": 1}, "resolution must be"),
        ({"columns": (0,)}, "over two of the inputs, of which there are 2; columns is"),
        ({"members": [9]}, r"members \[9\]: expected places from 0 to 1"),
        ({"members": []}, "expected places from 0 to 1"),
    ):
        with pytest.raises(sb.SettingError, match=message):
            plots.regions(population, POINTS, **options)


def test_scores_are_dots_and_quartiles(tmp_path):
    values = np.arange(1.0, 102.0)
    axes = plots.scores({"all": values, "some": [5.0, np.nan]}, label="error, %",
                        marks={"ensemble": 4})  # fmt: skip
    dots, span, box, middle = axes.lines[:4]
    np.testing.assert_array_equal(dots.get_xdata(), values)
    assert list(span.get_xdata()) == [1, 101]
    assert list(box.get_xdata()) == [26, 76]
    assert list(middle.get_xdata()) == [51, 51]
    places = np.column_stack([np.floor((values - 1) / (100 / 60)), dots.get_ydata()])
    assert len(np.unique(places, axis=0)) == 101  # no dot covers another in its bin
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all", "some\n1 failed"]
    assert axes.get_xlabel() == "error, %"
    assert axes.get_legend().get_texts()[0].get_text() == "ensemble 4"
    assert_saved(axes, tmp_path / "scores.png")
    assert plots.scores([1e-3, 1e-1], log=True).get_xscale() == "log"
    assert plots.scores([1e-3, 2e-3], log=True).get_xscale() == "linear"
    for given, options, message in (
        ([np.nan], {}, "no finite number"), ([0.0, 1.0], {"log": True}, "logarithmic axis"),
        (["a"], {}, "give numbers"),
    ):  # fmt: skip
        with pytest.raises(sb.DataError, match=message):
            plots.scores(given, **options)


def test_pyplot_shows_the_figure_if_it_is_in_use(tutorial, monkeypatch):
    assert "matplotlib.pyplot" not in sys.modules
    alone = plots.losses(tutorial)
    monkeypatch.setenv("MPLBACKEND", "agg")
    from matplotlib import pyplot

    try:
        shown = plots.losses(tutorial)
        assert [pyplot.figure(number) for number in pyplot.get_fignums()] == [shown.figure]
        assert alone.figure is not shown.figure
        given = Figure().subplots()
        assert plots.losses(tutorial, given) is given
        assert len(pyplot.get_fignums()) == 1
    finally:
        pyplot.close("all")
        sys.modules.pop("matplotlib.pyplot")


def test_commands_draw_plots(tmp_path, capsys):
    for words in (
        ["xor", "--seeds", "20", "--epochs", "50"],
        ["explain"],
        ["explain", "--row", "1"],
    ):
        picture = tmp_path / f"{len(words)}.svg"
        assert main([*words, "--plot", str(picture)]) == 0
        assert "<svg" in picture.read_text(encoding="utf-8")
        assert main([*words, "--plot", str(tmp_path / "x.doc")]) == 2
        assert "must end in .png, .svg or .pdf" in capsys.readouterr().err


def test_ten_classes_have_distinct_markers():
    random = np.random.default_rng(3)
    T = np.arange(90) % 10
    population = sb.train(
        sb.Network(2, [sb.Dense(5, sb.tanh), sb.Dense(10)]), POINTS, T, loss=sb.cross_entropy,
        epochs=2, seeds=[0], engine="numpy",
    )  # fmt: skip
    axes = plots.regions(population, POINTS + random.normal(size=(90, 2)), T, across=6)
    (panel,) = axes.child_axes
    looks = {(line.get_marker(), line.get_markerfacecolor()) for line in panel.lines}
    assert len(looks) == 10
    assert panel.get_position().width > 0.3  # one panel has the full width
    one = sb.train(sb.Network(1, [sb.Dense(1)]), [[1.0]], [[1.0]], loss=sb.squared_error)
    with pytest.raises(sb.SettingError, match="over two of the inputs, of which there are 1"):
        plots.regions(one, [[1.0]])


def test_plots_with_categories(tmp_path):
    X = np.random.default_rng(0).normal(size=(60, 3))
    X[:, 1] = np.arange(60) % 4  # its median, 1.5, is no category
    network = sb.Network(3, [sb.Embedding([1], [4], 2), sb.Dense(4, sb.tanh), sb.Dense(1)])
    population = sb.train(network, X, X[:, 0], loss=sb.squared_error, epochs=3, seeds=range(2))
    assert_saved(plots.regions(population, X, columns=(0, 2)), tmp_path / "regions.png")
    assert_saved(plots.line(population, X, X[:, 0]), tmp_path / "line.png")
    with pytest.raises(sb.SettingError, match=r"column 1 holds category .* give two"):
        plots.regions(population, X)
    with pytest.raises(sb.SettingError, match=r"only dense .* draw plots.losses"):
        plots.network(population)
