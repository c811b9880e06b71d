"""Formulas given by name, in layers, recipes and training."""

import numpy as np
import pytest

import seedbed as sb
from seedbed.formulas import activations, initializers, losses, optimizers, schedules
from seedbed.formulas.named import as_formula

KINDS = {
    activations: sb.Activation, initializers: sb.Initializer, losses: sb.Loss,
    optimizers: sb.Optimizer, schedules: sb.Schedule,
}  # fmt: skip

SPELLED = [
    (sb.Activation, "ReLU", sb.relu),
    (sb.Activation, "linear", sb.identity),
    (sb.Activation, "logistic", sb.sigmoid),
    (sb.Activation, "swish", sb.silu),
    (sb.Activation, "leaky-relu", sb.leaky_relu()),
    (sb.Activation, "LeakyReLU", sb.leaky_relu()),
    (sb.Loss, "mse", sb.squared_error),
    (sb.Loss, "MSE", sb.squared_error),
    (sb.Loss, "mae", sb.absolute_error),
    (sb.Loss, "bce", sb.binary_cross_entropy),
    (sb.Loss, "binary_crossentropy", sb.binary_cross_entropy),
    (sb.Loss, "ce", sb.cross_entropy),
    (sb.Loss, "crossentropy", sb.cross_entropy),
    (sb.Loss, "Huber", sb.huber()),
    (sb.Optimizer, "sgd", sb.SGD()),
    (sb.Optimizer, "adam", sb.Adam()),
    (sb.Optimizer, "ADAMW", sb.AdamW()),
    (sb.Optimizer, "RMSProp", sb.RMSprop()),
    (sb.Optimizer, "rprop", sb.Rprop()),
    (sb.Schedule, "cosine", sb.cosine()),
    (sb.Schedule, "OneCycleLR", sb.one_cycle()),
    (sb.Initializer, "xavier", sb.glorot),
    (sb.Initializer, "kaiming_normal", sb.he),
]


@pytest.mark.parametrize(("kind", "name", "formula"), SPELLED)
def test_the_fields_names_find_the_formula(kind, name, formula):
    found = as_formula("it", name, kind)
    assert found == formula
    assert type(found) is type(formula)


@pytest.mark.parametrize("module", KINDS)
def test_every_name_and_alias_finds_one_formula(module):
    for name, formula in module.BY_NAME.items():
        if name == "quantile":  # has no default
            continue
        found = as_formula("it", name, KINDS[module])
        assert found == (formula if isinstance(formula, KINDS[module]) else formula())
    aliases = getattr(module, "ALIASES", {})
    assert set(aliases.values()) <= module.BY_NAME.keys()

    def folded(name):
        return name.lower().replace("_", "")

    names = [folded(name) for name in (*module.BY_NAME, *aliases)]
    assert len(names) == len(set(names))  # no alias repeats or hides a name


def test_a_recipe_of_names_is_the_recipe_of_the_formulas():
    layers = [
        sb.Embedding([1], [2], 3, "lecun_normal"), sb.Dense(4, "tanh", "he", "zeros"), sb.Dense(1)
    ]  # fmt: skip
    named = sb.Recipe(network=sb.Network(2, layers), loss="mse", optimizer="sgd", schedule="cosine")
    layers = [
        sb.Embedding([1], [2], 3, sb.lecun), sb.Dense(4, sb.tanh, sb.he, sb.zeros), sb.Dense(1)
    ]  # fmt: skip
    given = sb.Recipe(
        network=sb.Network(2, layers), loss=sb.squared_error, optimizer=sb.SGD(),
        schedule=sb.cosine(),
    )  # fmt: skip
    assert named == given
    assert repr(named) == repr(given)
    assert named.identity == given.identity


def test_train_takes_names_and_gives_the_same_bits():
    X, Y = sb.xor.data()
    names = {"loss": "cross_entropy", "optimizer": "adam", "schedule": "cosine"}
    formulas = {"loss": sb.cross_entropy, "optimizer": sb.Adam(), "schedule": sb.cosine()}
    network = sb.Network(3, [sb.Dense(4, "relu"), sb.Dense(2)])
    labels = Y[:, 0].astype(int)
    named, given = (sb.train(network, X, labels, epochs=5, **each) for each in (names, formulas))
    np.testing.assert_array_equal(named.theta, given.theta)
    assert named.recipe == given.recipe
    again = sb.train(given.recipe, X, labels, optimizer="rprop", schedule="constant", epochs=1)
    assert again.recipe.optimizer == sb.Rprop()
