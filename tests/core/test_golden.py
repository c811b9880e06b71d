"""Losses, gradients and optimizer steps against PyTorch; see golden/make_golden.py."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import seedbed as sb
from seedbed.formulas import activations, losses, optimizers

BOUND = 1e-12

GOLDEN = json.loads((Path(__file__).parent / "golden" / "torch.json").read_text())
INPUTS, CASES = GOLDEN["inputs"], GOLDEN["cases"]
TRAINING = [case for case in CASES if case["kind"] == "training"]
GRADIENTS = [case for case in CASES if case["kind"] != "training"]


def parametrized(cases):
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def from_spec(spec):
    """Return the formula or factory of a name, called with the options if there are any."""
    formula = getattr(sb, spec["name"])
    return formula(**spec["options"]) if spec["options"] else formula


def relative_error(found, expected):
    """Return max|found - expected| / max|expected| over the last axis, for the worst row."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.dtype == np.float64
    assert found.shape == expected.shape
    return (np.abs(found - expected).max(axis=-1) / np.abs(expected).max(axis=-1)).max()


def assert_equal(found, expected):
    assert relative_error(found, expected) <= BOUND


def value_and_grad(case):
    loss = from_spec(case["loss"])
    recipe = sb.Recipe(
        network=sb.Network(3, [sb.Dense(5, from_spec(case["hidden"])), sb.Dense(case["outputs"])]),
        loss=loss.smoothed(case["smoothing"]) if case["smoothing"] else loss,
        **case["arguments"],
    )
    return sb.value_and_grad(
        recipe,
        np.array(INPUTS["theta"][str(case["outputs"])]),
        np.array(INPUTS["X"]),
        np.array(INPUTS["targets"][case["targets"]]),
        sample_weight=np.array(INPUTS["sample_weight"]) if case["kind"] == "weighted" else None,
    )


@parametrized(GRADIENTS)
def test_value_and_gradient_equal_pytorchs(case):
    value, gradient = value_and_grad(case)
    assert_equal(value[:, None], np.array(case["value"])[:, None])  # one row per member
    assert_equal(gradient, case["gradient"])


@parametrized(TRAINING)
def test_twenty_steps_equal_pytorchs(case):
    optional = {"clip_norm": case["clip_norm"]} if "clip_norm" in case else {}
    if "schedule" in case:
        optional["schedule"] = from_spec(case["schedule"])
    population = sb.train(
        sb.Network(3, [sb.Dense(5, sb.tanh), sb.Dense(2)]),
        np.array(INPUTS["X"]),
        np.array(INPUTS["targets"]["training"]),
        loss=sb.squared_error,
        optimizer=from_spec(case["optimizer"]),
        start=np.array(INPUTS["start"]),
        epochs=20,
        dtype="float64",
        seeds=0,
        **optional,
    )
    assert_equal(population.theta, [case["theta"]])
    assert_equal(population.history.train_loss, [case["train_loss"]])


def test_no_case_is_missing():
    kinds = {"activation": 26, "loss": 16, "weighted": 2, "penalized": 1, "training": 9}
    assert Counter(case["kind"] for case in CASES) == kinds
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names)


def test_every_formula_has_a_case():
    assert {case["hidden"]["name"] for case in GRADIENTS} == set(activations.BY_NAME)
    assert {case["loss"]["name"] for case in GRADIENTS} == set(losses.BY_NAME)
    assert {case["optimizer"]["name"] for case in TRAINING} == set(optimizers.BY_NAME)


@parametrized(GRADIENTS)
def test_a_planted_fault_is_found(case):
    _, gradient = value_and_grad(case)
    assert_equal(gradient, case["gradient"])
    planted = np.array(case["gradient"])
    planted[1, 4] += 1e-10 * np.abs(planted[1]).max()
    with pytest.raises(AssertionError):
        assert_equal(gradient, planted)
