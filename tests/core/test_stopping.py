"""Early stopping of all members by the ensemble's validation loss."""

from dataclasses import replace

import numpy as np
import pytest

import seedbed as sb

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3)).astype(np.float32)
CLASSES = (X[:, 0] + 0.8 * rng.normal(size=60) > 0).astype(int)
NUMBERS = X[:, :1] - X[:, 1:2] + 0.5 * rng.normal(size=(60, 1)).astype(np.float32)
FOLDS = [np.arange(60) % 3 == fold for fold in (0, 1, 2, 0)]


def train(network, *data, **given):
    return sb.train(network, *data, **given)


def options(loss, engine="numpy", **given):
    outputs = 2 if loss is sb.cross_entropy else 1
    network = sb.Network(3, [sb.Dense(6, sb.tanh), sb.Dense(outputs)])
    return {
        "network": network, "X": X, "loss": loss, "optimizer": sb.Adam(0.05), "epochs": 40,
        "batch_size": 16, "seeds": range(4), "monitor": "ensemble", "patience": 8, "engine": engine,
        "Y": CLASSES if loss in (sb.cross_entropy, sb.binary_cross_entropy) else NUMBERS, **given,
    }  # fmt: skip


def ensemble_loss(population, Y, held):
    """Return the loss of the mean prediction of the members that hold a row out."""
    predictions = population.predict(X).astype(np.float64)
    mean = np.stack([predictions[held[:, row], row].mean(axis=0) for row in range(60)])
    loss = population.recipe.loss
    if loss is sb.cross_entropy:
        return -np.log(mean[np.arange(60), Y]).mean()
    if loss is sb.binary_cross_entropy:
        p = mean[:, 0]
        return -np.where(Y == 1, np.log(p), np.log(1 - p)).mean()
    if loss is sb.poisson:
        return (mean - Y * np.log(mean)).mean()
    return ((mean - Y) ** 2).mean()


@pytest.mark.parametrize(
    "loss", [sb.cross_entropy, sb.binary_cross_entropy, sb.squared_error, sb.poisson],
    ids=lambda loss: loss.name,
)  # fmt: skip
def test_ensemble_loss_is_that_of_the_mean_held_out_prediction(loss):
    given = options(loss)
    if loss is sb.poisson:
        given["Y"] = np.abs(np.round(NUMBERS))
    population = train(**given, held_out=FOLDS)
    curve = population.history.ensemble_val_loss
    ran = population.epochs[0]
    assert np.isfinite(curve[:ran]).all()
    assert np.isnan(curve[ran:]).all()
    best = int(np.nanargmin(curve)) + 1
    assert (population.best_epoch == best).all()
    assert ran in (40, best + 8)
    assert set(population.status) == ({"stopped"} if ran < 40 else {"finished"})
    found = ensemble_loss(population, given["Y"], np.array(FOLDS))
    assert curve[best - 1] == pytest.approx(found, rel=1e-5)


def test_parameters_are_those_of_the_best_epoch():
    population = train(**options(sb.squared_error), held_out=FOLDS)
    best = int(population.best_epoch[0])
    assert 1 < best < 40
    without = {"monitor": "members", "patience": None, "epochs": best}
    plain = train(
        **{**options(sb.squared_error), **without},
        rows=[np.flatnonzero(~fold) for fold in FOLDS],
    )
    np.testing.assert_array_equal(plain.theta, population.theta)
    np.testing.assert_allclose(plain.loss, population.loss, rtol=1e-6)
    held = train(**{**options(sb.squared_error), **without}, held_out=FOLDS)
    np.testing.assert_array_equal(held.theta, population.theta)
    both = population.history.val_loss[:, :best]
    np.testing.assert_allclose(both, held.history.val_loss, rtol=1e-5)


def test_engines_agree():
    by_engine = [
        train(**options(sb.cross_entropy, engine), held_out=FOLDS) for engine in ("numpy", "auto")
    ]
    np.testing.assert_allclose(by_engine[0].theta, by_engine[1].theta, atol=1e-4)


def test_members_may_share_validation_data():
    Xv, Yv = X[:20] + 0.1, NUMBERS[:20]
    weights = np.linspace(0, 1, 20)
    population = train(**options(sb.squared_error), validation=(Xv, Yv, weights))
    mean = population.predict_mean(Xv)
    best = population.best_epoch[0] - 1
    expected = np.average(((mean - Yv) ** 2)[:, 0], weights=weights)
    assert population.history.ensemble_val_loss[best] == pytest.approx(expected, rel=1e-5)
    split = train(**options(sb.squared_error), validation=0.3)
    assert len(set(split.best_epoch.tolist())) == 1


def test_diverged_member_leaves_the_ensemble():
    given = options(sb.squared_error, optimizer=sb.SGD([0.01, 0.01, 1e25, 0.01]))
    with pytest.warns(sb.DivergenceWarning, match="1 of 4 members diverged"):
        population = train(**given, held_out=FOLDS)
    assert population.diverged.tolist() == [False, False, True, False]
    assert np.isfinite(population.history.ensemble_val_loss[: population.epochs[0]]).all()
    alone = {**given, "optimizer": sb.SGD(0.01), "seeds": [0, 1, 3]}
    others = train(**alone, held_out=[FOLDS[0], FOLDS[1], FOLDS[3]])
    np.testing.assert_array_equal(others.theta, population.theta[[0, 1, 3]])


def test_without_patience_the_ensemble_loss_is_only_recorded():
    monitored = train(**options(sb.squared_error, patience=None), held_out=FOLDS)
    plain = train(**options(sb.squared_error, patience=None, monitor="members"), held_out=FOLDS)
    np.testing.assert_array_equal(monitored.theta, plain.theta)
    assert (monitored.best_epoch == 40).all()
    stopping = train(**options(sb.squared_error, patience=40), held_out=FOLDS)
    np.testing.assert_array_equal(
        monitored.history.ensemble_val_loss, stopping.history.ensemble_val_loss
    )


def test_members_losses_are_weighted_and_the_first_of_equal_epochs_is_best():
    weights = np.arange(60) % 4
    population = train(
        **options(sb.squared_error, optimizer=sb.SGD(0.0)), held_out=FOLDS, sample_weight=weights
    )
    losses = ((population.predict(X) - NUMBERS) ** 2)[:, :, 0]
    for member, fold in enumerate(FOLDS):
        expected = np.average(losses[member, fold], weights=weights[fold])
        np.testing.assert_allclose(population.history.val_loss[member, :9], expected, rtol=1e-5)
    assert (population.best_epoch == 1).all()  # the learning rate is 0: all epochs are equal
    assert (population.epochs == 9).all()


def test_member_with_overflowing_predictions_is_frozen_and_leaves():
    """It diverges in the epoch's last step, so the engine has no loss that shows it."""
    start = sb.Network(3, [sb.Dense(1)]).init(range(2), "float32")
    given = {
        **options(sb.squared_error), "network": sb.Network(3, [sb.Dense(1)]), "seeds": range(2),
        "optimizer": sb.SGD([1e-3, 1e22]), "epochs": 1, "batch_size": None, "start": start,
    }  # fmt: skip
    with pytest.warns(sb.DivergenceWarning, match="1 of 2 members diverged"):
        population = train(**given, held_out=FOLDS[:2])
    np.testing.assert_array_equal(population.theta[1], start[1])
    assert population.epochs.tolist() == [1, 0]
    assert np.isfinite(population.history.ensemble_val_loss).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"held_out": None}, "patience needs the validation loss"),
        ({"held_out": None, "patience": None}, "needs the validation loss: give validation"),
        ({"monitor": "others"}, r"monitor must be one of \('members', 'ensemble'\)"),
        ({"validation": 0.2}, "held_out and validation are both given"),
        ({"held_out": FOLDS[:3]}, "held_out holds 3 sequences and there are 4 seeds"),
        ({"held_out": [range(60)] * 4}, r"held_out\[0\] leaves no row to train on"),
        ({"held_out": [[61]] * 4}, r"held_out\[0\] names row 61"),
        ({"held_out": 0.2}, "held_out is 0.2: give a sequence of row numbers"),
        (
            {"loss": sb.Loss("own", lambda y, t: (y - t) ** 2, lambda y, t: 2 * (y - t), np.exp)},
            "give own its inverse_predict",
        ),
    ],
)
def test_invalid_arguments_are_refused(change, message):
    with pytest.raises(sb.SeedbedError, match=message):
        train(**{**options(sb.squared_error), "held_out": FOLDS, **change})


def test_comparison_refuses_monitor_ensemble():
    given = options(sb.squared_error)
    names = (
        "network",
        "loss",
        "optimizer",
        "epochs",
        "batch_size",
        "monitor",
        "patience",
        "engine",
    )
    recipe = sb.Recipe(**{name: given[name] for name in names}, validation=0.2)
    with pytest.raises(sb.SettingError, match="a comparison scores members one by one"):
        sb.compare({"a": recipe, "b": replace(recipe, epochs=5)}, X, NUMBERS)
