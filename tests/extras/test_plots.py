"""Plots of losses: the drawn numbers are the population's."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import seedbed as sb
from seedbed import plots
from seedbed.cli import main


@pytest.fixture(scope="module")
def population():
    random = np.random.default_rng(0)
    X = random.normal(size=(80, 3))
    network = sb.Network(3, [sb.Dense(6, sb.tanh), sb.Dense(1)])
    with pytest.warns(sb.DivergenceWarning):
        return sb.train(
            network, X, X[:, 0] * X[:, 1], loss=sb.squared_error, epochs=60, batch_size=16,
            optimizer=sb.SGD([0.05] * 7 + [1e4]), seeds=range(8), validation=0.25, engine="numpy",
        )  # fmt: skip


def test_loss_bands_are_quantiles_over_members(population):
    axes = Figure().subplots()
    assert plots.losses(population, axes) is axes
    training, validation, diverged = axes.lines
    sound = ~population.diverged
    history = population.history
    np.testing.assert_array_equal(training.get_xdata(), np.arange(1, 61))
    np.testing.assert_allclose(training.get_ydata(), np.median(history.train_loss[sound], axis=0))
    np.testing.assert_allclose(validation.get_ydata(), np.median(history.val_loss[sound], axis=0))
    np.testing.assert_array_equal(diverged.get_xdata(), population.epochs[~sound] + 1)
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == ["training, median", "validation, median", "diverged (1)"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "loss (squared error)")
    assert axes.get_yscale() == "log"
    whole = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert whole.max() == pytest.approx(history.train_loss[sound].max(), rel=1e-6)
    assert whole.min() == pytest.approx(history.train_loss[sound].min(), rel=1e-6)


def test_loss_bands_of_one_member_and_of_an_ensemble(tmp_path, population):
    one = plots.losses(population[0])
    one.figure.savefig(tmp_path / "one.png")
    assert len(one.lines) == 2
    X = np.random.default_rng(0).normal(size=(40, 2))
    network = sb.Network(2, [sb.Dense(3, sb.tanh), sb.Dense(1)])
    monitored = sb.train(
        network, X, X[:, 0], loss=sb.squared_error, epochs=30, patience=20, monitor="ensemble",
        validation=0.3, seeds=range(3), engine="numpy",
    )  # fmt: skip
    axes = plots.losses(monitored)
    np.testing.assert_array_equal(axes.lines[2].get_ydata(), monitored.history.ensemble_val_loss)
    axes.figure.savefig(tmp_path / "ensemble.png")
    assert (tmp_path / "ensemble.png").stat().st_size > 10_000


def test_the_train_command_draws_losses(tmp_path, capsys):
    csv, picture = tmp_path / "t.csv", tmp_path / "losses.svg"
    csv.write_text("x,y\n" + "".join(f"{i},{i * i}.5\n" for i in range(40)), encoding="utf-8")
    words = ["train", str(csv), "--target", "y", "--epochs", "5", "--members", "2"]
    assert main([*words, "--plot", str(picture)]) == 0
    assert "<svg" in picture.read_text(encoding="utf-8")
    for place, message in (
        ("x.txt", "must end in .png, .svg or .pdf"),
        ("no/x.png", "cannot write"),
    ):
        assert main([*words, "--plot", str(tmp_path / place)]) == 2
        assert message in capsys.readouterr().err


def test_losses_of_few_epochs_and_of_none(population, tmp_path):
    network, X = population.network, np.random.default_rng(0).normal(size=(30, 3))

    def trained(epochs, lr=0.1, **options):
        return sb.train(
            network, X, X[:, 0], loss=sb.squared_error, epochs=epochs, seeds=range(4),
            optimizer=sb.SGD(lr), engine="numpy", **options,
        )  # fmt: skip

    axes = plots.losses(trained(0))
    assert "no epoch was recorded" in [text.get_text() for text in axes.texts]
    axes = plots.losses(trained(1))
    assert [line.get_marker() for line in axes.lines if len(line.get_xdata()) == 1][-1] == "o"
    axes.figure.savefig(tmp_path / "one.png")
    with pytest.warns(sb.DivergenceWarning):
        diverged = trained(9, lr=1e30, validation=0.2)
    axes = plots.losses(diverged)
    assert axes.get_legend().get_texts()[-1].get_text() == "diverged (4)"
    axes.figure.savefig(tmp_path / "diverged.png")


def test_a_stopped_member_keeps_its_last_loss_in_the_bands():
    random = np.random.default_rng(0)
    X = random.normal(size=(40, 3))
    stopped = sb.train(
        sb.Network(3, [sb.Dense(8, sb.tanh), sb.Dense(1)]), X, random.normal(size=40),
        loss=sb.squared_error, optimizer=sb.Adam(0.03), epochs=80, patience=5, validation=0.3,
        seeds=range(6), engine="numpy",
    )  # fmt: skip
    assert len(set(stopped.epochs)) > 2
    axes = plots.losses(stopped, members=[1])
    curves = stopped.history.train_loss.copy()
    for curve, epochs in zip(curves, stopped.epochs, strict=True):
        curve[epochs:] = curve[epochs - 1]
    there = np.isfinite(stopped.history.train_loss).any(axis=0)
    np.testing.assert_allclose(axes.lines[0].get_ydata(), np.median(curves[:, there], axis=0))
    assert axes.get_title() == "Loss of 6 members"
    assert "stopped members keep their last loss" in axes.texts[0].get_text()
    (own,) = [line for line in axes.lines if line.get_label() == "seed 1"]
    np.testing.assert_array_equal(own.get_ydata(), stopped.history.train_loss[1])
    with pytest.raises(sb.SettingError, match=r"members \[9\]: expected places from 0 to 5"):
        plots.losses(stopped, members=[9])
