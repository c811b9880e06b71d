"""diagnose(): each fault is planted, found and named."""

from dataclasses import replace

import numpy as np
import pytest

import seedbed as sb
from seedbed import xor
from seedbed.diagnosis import baseline

X = np.random.default_rng(0).normal(size=(60, 3))
Y = X[:, :1] - X[:, 1:2]


def trained(activation, epochs=60, hidden=1, T=Y, init=None, seeds=range(3), **options):
    layers = [sb.Dense(8, activation, init)] * hidden
    network = sb.Network(3, [*layers, sb.Dense(1)])
    options = {"optimizer": sb.Adam(0.02), "schedule": sb.cosine(), **options}
    return sb.train(
        network, X, T, loss=sb.squared_error, epochs=epochs, seeds=seeds, engine="numpy",
        **options,
    )  # fmt: skip


def kinds(population, T=Y, inputs=X):
    return [finding.kind for finding in sb.diagnose(population, inputs, T)]


@pytest.mark.parametrize("activation", [sb.relu, sb.tanh, sb.sigmoid, sb.mish, sb.identity])
def test_a_sound_population_has_no_findings(activation):
    assert kinds(trained(activation, epochs=300)) == []


def test_units_that_never_fire_are_dead():
    population = trained(sb.relu, epochs=300)
    population.recipe.network.views(population.theta)[0].b[...] = -50
    (finding,) = sb.diagnose(population, X, Y)
    assert finding.kind == "dead units"
    assert "100% of the units of hidden layer 1 are dead" in finding.message
    assert "leaky_relu" in finding.message
    population.recipe.network.views(population.theta)[0].b[0, 0, :4] = 1
    assert kinds(population) == ["dead units"]  # most still are


@pytest.mark.parametrize("activation", [sb.tanh, sb.sigmoid])
def test_units_where_the_activation_is_flat_are_saturated(activation):
    population = trained(activation, epochs=300)
    population.recipe.network.views(population.theta)[0].b[...] = 40
    (finding,) = sb.diagnose(population, X, Y)
    assert finding.kind == "saturated units"
    assert "lower the learning rate, scale the inputs" in finding.message


def test_unscaled_targets_are_found():
    for T in (Y + 1000, Y * 1000, Y * 1e-5):
        assert kinds(trained(sb.tanh, epochs=3, T=T), T) == ["unscaled target"]
    assert kinds(trained(sb.tanh, epochs=300, T=Y * 3 + 1), Y * 3 + 1) == []


@pytest.mark.parametrize("change", [lambda x: x * 50, lambda x: x + 40, lambda x: x * 1e-4])
def test_unscaled_inputs_are_found(change):
    population = trained(sb.identity, epochs=3)
    other = X.copy()
    other[:, 2] = change(X[:, 2])
    (finding,) = sb.diagnose(population, other, Y)
    assert finding.kind == "unscaled inputs"
    assert finding.message.startswith("1 of 3 inputs are far from mean 0")
    assert f"input 2: {other[:, 2].mean():.3g} and {other[:, 2].std():.3g}" in finding.message
    assert finding.members == ()
    other[:, 2] = 40  # constant, like a bias
    assert kinds(population, inputs=other) == []


def test_a_slow_training_is_still_falling():
    population = trained(sb.tanh, optimizer=sb.Adam(1e-4), schedule=sb.constant)
    (finding,) = sb.diagnose(population, X, Y)
    assert finding.kind == "still falling"
    assert "still falling after 60 epochs" in finding.message


def test_members_that_diverged_are_counted():
    with pytest.warns(sb.DivergenceWarning):
        population = trained(sb.tanh, optimizer=sb.SGD([0.01, 0.01, 1e30]), epochs=300)
    findings = sb.diagnose(population, X, Y)
    assert findings[0].kind == "diverged"
    assert findings[0].message.startswith("1 of 3 members diverged")


def test_a_loss_that_rose_again_is_not_still_falling():
    population = trained(sb.tanh, epochs=300)
    curve = np.linspace(1, 0.2, 300)
    population.history.train_loss[...] = curve
    assert kinds(population) == ["still falling"]
    population.history.train_loss[:, 230:] = 2
    assert kinds(population) == []


def test_vanishing_gradients_are_shown_layer_by_layer():
    population = trained(sb.sigmoid, epochs=1, hidden=8)
    (finding,) = sb.diagnose(population, X, Y)
    assert finding.kind == "vanishing gradients"
    assert finding.members == (0, 1, 2)
    norms = [float(part) for part in finding.message.split("first: ")[1].split(";")[0].split(", ")]
    assert len(norms) == 9
    assert norms[-1] < 0.01 * norms[0]
    expected = np.median(delta_norms(population), axis=0)[::-1]
    np.testing.assert_allclose(norms, expected, rtol=0.05)
    assert "use relu, mish or selu, or fewer layers" in finding.message
    for activation in (sb.tanh, sb.relu, sb.mish):
        assert kinds(trained(activation, epochs=1, hidden=8)) == []


def delta_norms(population):
    """Return the derivative's norm by each layer's z: the bias gradient's on single rows."""
    result = []
    for member in range(len(population)):
        rows = []
        for x, t in zip(X, Y, strict=True):
            theta = population.theta[member : member + 1].astype(float)
            g = sb.value_and_grad(population.recipe, theta, x[None], t[None])[1]
            rows.append([np.square(b).sum() for _, b in population.network.views(g)])
        result.append(np.sqrt(np.mean(rows, axis=0)))
    return np.array(result)


def test_gradients_near_zero_do_not_explode():
    layers = [sb.Dense(8, sb.relu, sb.standard_normal)] * 10
    network = sb.Network(3, [*layers, sb.Dense(2)])
    T = (X[:, 0] > 0).astype(int)
    population = sb.train(network, X, T, loss=sb.cross_entropy, epochs=0, seeds=range(3))
    assert "exploding gradients" in kinds(population, T)
    views = population.network.views(population.theta)
    views[0].W[...] *= 1e-4
    views[-1].b[:, 0, 1] = 60  # certain of the right class: the gradient is near 0
    assert kinds(population, np.ones(60, dtype=int)) == []


def test_exploding_gradients_are_found():
    untrained = trained(sb.relu, 1, hidden=10, init=sb.standard_normal, optimizer=sb.SGD(1e-30))
    findings = sb.diagnose(untrained, X, Y)
    assert findings[0].kind == "exploding gradients"
    assert "all 3 members explodes" in findings[0].message
    with pytest.warns(sb.DivergenceWarning):
        diverged = trained(sb.relu, hidden=10, init=sb.standard_normal, optimizer=sb.SGD(0.1))
    assert kinds(diverged) == ["diverged", "exploding gradients"]


def test_a_zigzagging_loss_means_a_rate_too_high():
    rates = sb.Adam([0.01, 0.02, 2.0, 3.0])
    options = {"optimizer": rates, "schedule": sb.constant, "batch_size": 12}
    population = trained(sb.tanh, 300, seeds=range(4), **options)
    (finding,) = sb.diagnose(population, X, Y)
    assert finding.kind == "rate too high"
    assert finding.members == (2, 3)
    assert "the members with lr of 2 or more" in finding.message
    population.history.train_loss[2:, 100:] = 0.1  # no zigzag
    population.history.train_loss[2:, :100] = np.linspace(3, 0.1, 100)
    assert kinds(population) == []


def test_a_loss_that_rises_or_exceeds_a_constants_means_a_rate_too_high():
    population = trained(sb.tanh, 300)
    curves = population.history.train_loss
    original = curves.copy()
    curves[:] = np.r_[1.0, np.full(299, 1.2)]
    assert kinds(population) == ["rate too high"]
    assert "ends above where it began" in sb.diagnose(population, X, Y)[0].message
    constant = float(Y.var())
    curves[:] = np.r_[9 * constant, np.full(299, 1.5 * constant)]
    (finding,) = sb.diagnose(population, X, Y)
    assert f"stays above {constant:.3g}, that of predicting the mean" in finding.message
    curves[:] = original
    assert kinds(population) == []


def test_members_still_falling_are_listed_with_their_setting():
    rates = [1e-4, 1e-4, 0.02, 0.03]
    population = trained(
        sb.tanh, 300, seeds=range(4), optimizer=sb.Adam(rates), schedule=sb.constant
    )
    (finding,) = sb.diagnose(population, X, Y)
    assert (finding.kind, finding.members) == ("still falling", (0, 1))
    assert "the members with lr of 0.0001 or less" in finding.message


def test_stuck_members_of_xor_and_the_reason():
    population = sb.train(xor.recipe(4000), *xor.data(), seeds=[40, 41, 42, 43, 44, 45, 191, 448])
    (finding,) = sb.diagnose(population, *xor.data())
    assert finding.kind == "stuck members"
    stuck = np.flatnonzero(~xor.solved(population))
    assert finding.members == tuple(stuck.tolist()) == (4, 6, 7)
    assert finding.message.startswith("3 of 8 members are stuck at a loss of 0.12")
    y = population.predict(xor.data()[0])[stuck, :, 0]
    halves = np.abs(y - 0.5) < 0.03
    assert (halves.sum(axis=1) == 2).all()  # each predicts one half twice
    seed = int(finding.message.split("seed ")[1].split(" ")[0])
    rows = np.flatnonzero(halves[list(population.seeds[stuck]).index(seed)])
    assert f"gives rows {rows[0]} and {rows[1]} the same activations" in finding.message


def test_few_stuck_members_among_many_are_found():
    recipe = replace(xor.recipe(4000), engine="numpy")  # needs no compilation
    population = sb.train(recipe, *xor.data(), seeds=range(460), record_every=20)
    slow = np.flatnonzero(xor.solved(population))[:3]
    population.loss[slow] = 0.03, 0.05, 0.08  # between the two groups, still improving
    population.history.train_loss[slow, -60:] = np.linspace(0.2, 0.03, 60)
    (finding,) = sb.diagnose(population, *xor.data())
    assert finding.kind == "stuck members"
    assert set(finding.members) == {44, 191, 448}
    assert "weights scaled to the layer's size" in finding.message


def test_members_that_hold_out_an_outlier_do_not_make_the_others_stuck():
    T = Y.copy()
    T[7] = 30.0
    population = trained(sb.tanh, 100, T=T, seeds=range(8), validation=0.25)
    order = np.sort(population.loss)
    assert order[-1] > 5 * order[0]  # most train on the outlier
    assert "stuck members" not in kinds(population, T)


def test_members_stuck_by_a_setting_are_named_by_it():
    weights = [0.0] * 5 + [2.0, 2.0]
    population = trained(sb.tanh, 400, seeds=range(7), l2=weights)
    (finding,) = sb.diagnose(population, X, Y)
    assert (finding.kind, finding.members) == ("stuck members", (5, 6))
    assert "they are the members with l2 of 2 or more" in finding.message


def test_dead_units_are_the_reason_of_a_stuck_member():
    population = trained(sb.relu, 400, seeds=range(6))
    population.network.views(population.theta)[0].b[2] = -50
    population.loss[2] = population.history.train_loss[2, 100:] = 1.5
    (finding,) = sb.diagnose(population, X, Y)
    assert finding.members == (2,)
    assert "1 of 6 members is stuck at a loss of 1.5" in finding.message
    assert "for example seed 2 has 100% of the units of hidden layer 1 idle" in finding.message


def test_many_members_are_measured_in_chunks(monkeypatch):
    from seedbed.diagnosis import gradient_flow

    population = sb.train(xor.recipe(300), *xor.data(), seeds=range(30))
    X, Y = xor.data()
    whole = gradient_flow.measure(population, X, Y)
    monkeypatch.setattr(gradient_flow, "_CHUNK_SIZE", 1)
    chunked = gradient_flow.measure(population, X, Y)
    for name, array in zip(whole._fields, chunked, strict=True):
        np.testing.assert_allclose(array, getattr(whole, name), rtol=1e-12, err_msg=name)


def test_data_that_do_not_fit_are_refused():
    population = trained(sb.tanh, 2)
    with pytest.raises(sb.ShapeError, match="3 inputs"):
        sb.diagnose(population, X[:, :2], Y)
    with pytest.raises(sb.DataError, match="nan"):
        sb.diagnose(population, X, Y * np.nan)


@pytest.mark.parametrize(
    ("loss", "T", "expected"),
    [
        (sb.squared_error, Y, Y.var()),
        (sb.cross_entropy, np.arange(60) % 3 // 2, np.log(3) - 2 / 3 * np.log(2)),
        (sb.cross_entropy.smoothed(0.2), np.arange(60) % 2, np.log(2)),
        (sb.binary_cross_entropy, (np.arange(60) % 4 == 0) * 1.0, 0.5623351446188083),
        (sb.poisson, np.arange(60) % 5 * 1.0, 2 - 2 * np.log(2)),
    ],
)
def test_the_constant_loss_is_that_of_predicting_the_mean(loss, T, expected):
    from seedbed.diagnosis import gradient_flow

    outputs = 2 if loss.targets == "classes" else 1
    network = sb.Network(3, [sb.Dense(outputs)])
    population = sb.train(network, X, T, loss=loss, epochs=0, seeds=range(2), engine="numpy")
    t = np.eye(2)[T] if outputs == 2 else np.reshape(T, (-1, 1))
    assert gradient_flow.measure(population, X, t).constant_loss == pytest.approx(expected)


def test_a_rate_far_too_low_is_named():
    for lr in (1e-8, 1e-6):
        findings = sb.diagnose(trained(sb.relu, 100, optimizer=sb.Adam(lr), batch_size=12), X, Y)
        assert {each.kind for each in findings} <= {"rate too low", "still falling"}
        assert findings
    message = sb.diagnose(trained(sb.relu, 100, optimizer=sb.Adam(1e-8)), X, Y)[0].message
    assert "hardly moved" in message
    assert "raise the learning rate" in message


@pytest.mark.parametrize("epochs", [8, 12, 20])
def test_short_sound_trainings_have_no_rate_too_high(epochs):
    random = np.random.default_rng(1)
    for T in (Y, random.normal(size=(60, 1)), np.sin(3 * X[:, :1])):
        population = trained(sb.relu, epochs, T=T, optimizer=sb.Adam(0.005), batch_size=12)
        assert "rate too high" not in kinds(population, T)


def test_a_jump_in_the_first_epoch_means_a_rate_too_high():
    network = sb.Network(3, [*[sb.Dense(64, sb.relu)] * 2, sb.Dense(1)])
    population = sb.train(
        network, X, Y, loss=sb.squared_error, optimizer=sb.Adam(10.0), epochs=60, batch_size=12,
        seeds=range(6), engine="numpy",
    )  # fmt: skip
    assert np.median(population.history.train_loss[:, 0]) > 1e6
    assert "rate too high" in kinds(population)


def test_the_constant_loss_uses_sample_weights():
    random = np.random.default_rng(0)
    T, w = random.normal(size=(60, 1)), np.where(X[:, 0] > 0.5, 20.0, 0.01)
    T[w > 1] *= 3
    population = trained(sb.tanh, 30, T=T, sample_weight=w, optimizer=sb.SGD(1e-3))
    population.history.train_loss[:, 10] *= 2  # a jump
    findings = sb.diagnose(population, X, T, sample_weight=w)
    assert "rate too high" not in [each.kind for each in findings]
    with pytest.raises(sb.ShapeError, match="sample_weight"):
        sb.diagnose(population, X, T, sample_weight=w[:3])


@pytest.mark.parametrize("value", [40.1, 0.001, 1e-5, 2024.3])
def test_a_constant_column_is_ignored(value):
    other = X.copy()
    other[:, 2] = value
    assert kinds(trained(sb.identity, 3), inputs=other) == []


def test_the_unscaled_target_of_several_is_named():
    network = sb.Network(3, [sb.Dense(3)])
    for factors, worst in (((1, 1e4, 1), 1), ((1e-5, 1, 1), 0), ((1, 1, -1e3), 2)):
        T = np.tile(Y, 3) * factors
        population = sb.train(network, X, T, loss=sb.squared_error, epochs=3, engine="numpy")
        (finding,) = sb.diagnose(population, X, T)
        assert f"the target of output {worst} has mean {T[:, worst].mean():.3g}" in finding.message


def test_weights_shrunk_by_a_penalty_are_named():
    T = np.random.default_rng(0).normal(size=(60, 1))
    population = trained(sb.tanh, 300, hidden=2, T=T, l2=1.0)
    (finding,) = [each for each in sb.diagnose(population, X, T) if "vanish" in each.kind]
    assert "the penalty has shrunk the weights; lower l1, l2 or weight_decay" in finding.message


def test_diverged_members_are_judged_by_their_initial_weights():
    with pytest.warns(sb.DivergenceWarning):
        diverged = trained(sb.tanh, 300, optimizer=sb.SGD(5.0), schedule=sb.constant)
    assert diverged.diverged.all()
    assert kinds(diverged) == ["diverged"]


def test_targets_of_several_outputs_are_shown_in_full():
    X2, Y2 = xor.data()[0], np.column_stack([xor.data()[1], 1 - xor.data()[1]])
    network = sb.Network(3, [sb.Dense(4, sb.sigmoid, *[sb.standard_normal] * 2),
                             sb.Dense(2, sb.sigmoid, *[sb.standard_normal] * 2)])  # fmt: skip
    population = sb.train(
        network, X2, Y2, loss=sb.squared_error, optimizer=sb.SGD(1.0), epochs=6000,
        seeds=[360, 361, 362, 363, 364, 365, 367, 433], record_every=50, dtype="float64",
    )  # fmt: skip
    (finding,) = [each for each in sb.diagnose(population, X2, Y2) if each.kind == "stuck members"]
    assert "targets differ ((1, 0) and (0, 1))" in finding.message or (
        "targets differ ((0, 1) and (1, 0))" in finding.message
    )


def test_a_loss_held_up_by_weight_decay_is_no_rate_too_high():
    T = np.sin(X[:, :1]) + 0.5 * X[:, 1:2] * X[:, 2:]
    options = {"optimizer": sb.AdamW(0.01, weight_decay=30.0), "batch_size": 12}
    population = trained(sb.tanh, 200, T=T, seeds=range(12), schedule=sb.constant, **options)
    assert "rate too high" not in kinds(population, T)


def test_category_numbers_are_no_unscaled_inputs():
    X = np.random.default_rng(0).normal(size=(100, 3))
    X[:, 1] = np.arange(100) % 50
    network = sb.Network(3, [sb.Embedding([1], [50], 2), sb.Dense(4, sb.tanh), sb.Dense(1)])
    population = sb.train(network, X, X[:, 0], loss=sb.squared_error, epochs=3, seeds=range(2))
    assert "unscaled inputs" not in [each.kind for each in sb.diagnose(population, X, X[:, 0])]
    X[:, 2] *= 1000
    (finding,) = [e for e in sb.diagnose(population, X, X[:, 0]) if e.kind == "unscaled inputs"]
    assert "1 of 3 inputs" in finding.message
    assert "(input 2:" in finding.message


# ---------------------------------------------------------------- no better than a constant


def of_classes(signal, share, seed=0, n=500, **options):
    """Return a population, and its rows and fresh ones; ``share`` of them are positive."""
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(2 * n, 5))
    score = signal * (inputs[:, 0] + inputs[:, 1] * inputs[:, 2]) + random.logistic(size=2 * n)
    classes = (score > np.quantile(score, 1 - share)).astype(int)
    network = sb.Network(5, [sb.Dense(16, sb.relu), sb.Dense(2)])
    given = {"validation": 0.25, "patience": 8, "epochs": 40, "batch_size": 32, **options}
    population = sb.train(
        network, inputs[:n], classes[:n], loss=sb.cross_entropy, optimizer=sb.Adam(0.005),
        engine="numpy", seeds=range(4), **given,
    )  # fmt: skip
    return population, (inputs[:n], classes[:n]), (inputs[n:], classes[n:])


def test_members_that_learn_nothing_are_no_better_than_a_constant():
    population, own, fresh = of_classes(0.0, 0.07, seed=3)
    for rows, where in ((own, "rows, each held out"), (fresh, "500 rows,")):
        nothing, commonest = sb.diagnose(population, *rows)
        assert (nothing.kind, commonest.kind) == ("no better than constant", "commonest class only")
        assert where in nothing.message
        assert "no better than the class shares" in nothing.message
        assert "4 members predict the commonest class 0 for each of 500 rows" in commonest.message
        assert "of which it has 9" in commonest.message
        assert nothing.members == (0, 1, 2, 3)
        assert len(commonest.members) >= 3


def test_members_that_learn_a_rare_class_have_no_finding():
    population, own, fresh = of_classes(4.0, 0.2)
    assert sb.diagnose(population, *own) == sb.diagnose(population, *fresh) == []


def test_informative_members_may_predict_the_commonest_class_only():
    population, _, fresh = of_classes(0.6, 0.05, n=1500, epochs=60)
    (finding,) = sb.diagnose(population, *fresh)
    assert finding.kind == "commonest class only"
    area = sb.metrics.auc.f(fresh[1], population.predict_mean(fresh[0]))
    assert area > 0.6
    assert f"rank these rows with an AUC of {area:.2f}" in finding.message


def test_one_output_and_numbers_are_compared_with_a_constant():
    random = np.random.default_rng(4)
    inputs = random.normal(size=(300, 3))
    for loss, T, what in (
        (sb.binary_cross_entropy, (random.uniform(size=300) < 0.1).astype(float), "shares"),
        (sb.squared_error, random.normal(size=300), "the same number for all"),
        (sb.absolute_error, random.exponential(size=300), "the same number for all"),
        (sb.poisson, random.poisson(2, 300), "the same number for all"),
    ):
        network = sb.Network(3, [sb.Dense(8, sb.tanh), sb.Dense(1)])
        population = sb.train(
            network, inputs, T, loss=loss, optimizer=sb.Adam(0.03), epochs=40, seeds=range(3),
            validation=0.25, patience=9, engine="numpy",
        )  # fmt: skip
        findings = {each.kind: each.message for each in sb.diagnose(population, inputs, T)}
        assert what in findings["no better than constant"]


def test_memorised_rows_show_nothing():
    """Without held-out rows, members that memorise noise look good on their own rows alone."""
    population, own, fresh = of_classes(0.0, 0.3, validation=None, patience=None, epochs=80, n=200)
    assert "no better than constant" not in kinds(population, own[1], own[0])
    assert "no better than constant" in kinds(population, fresh[1], fresh[0])


def test_predictions_of_weighted_classes_are_worse_than_the_shares_for_another_reason():
    rng = np.random.default_rng(1)
    x, labels = rng.normal(size=(400, 3)), (rng.random(400) < 0.06) * 1
    w = np.where(labels, 1 / 0.06, 1.0)
    network = sb.Network(3, [sb.Dense(2)])
    population = sb.train(
        network, x, labels, loss="ce", optimizer=sb.Adam(0.02), epochs=60, sample_weight=w
    )
    messages = [finding.message for finding in sb.diagnose(population, x, labels)]
    (worse,) = [each for each in messages if "the member predicts worse than the class" in each]
    assert "give sample_weight" in worse
    assert "mistakes in the table" not in worse
    findings = sb.diagnose(population, x, labels, sample_weight=w)
    assert not any("worse than" in finding.message for finding in findings)


def test_few_rows_of_the_rarer_class_are_not_judged():
    population, own, _ = of_classes(0.0, 0.07)
    chosen = np.r_[np.flatnonzero(own[1] == 0)[:100], np.flatnonzero(own[1])[:4]]
    assert kinds(population, own[1][chosen], own[0][chosen]) == []


def test_row_losses_are_those_of_the_training():
    population, (inputs, classes), _ = of_classes(1.0, 0.3)
    p = population.predict(inputs).astype(np.float64)
    t = np.eye(2)[classes]
    out = baseline._held_out(population, np.arange(4), p, t)
    for member in range(4):
        own = baseline.row_losses(sb.cross_entropy, p[member], t)
        assert own[~out[member]].mean() == pytest.approx(population.loss[member], rel=1e-5)
    assert baseline._held_out(population, np.arange(4), p[:, ::-1], t[::-1]) is None
