"""Training has the same bits on every machine: digests at each vector width of this CPU."""

import json
import os
import platform
import subprocess
import sys

import pytest

import seedbed
from seedbed import verification
from seedbed.engines.compiled.target import HAS_FMA, VECTOR_BYTES

X86 = platform.machine().lower() in ("x86_64", "amd64")
NARROWER = {"nehalem": 16, "haswell": 32} if X86 else {}
"""CPUs to compile for, and their vector widths in bytes."""


def test_every_training_has_a_known_digest():
    assert list(verification.known()) == list(verification.CASES)
    assert len(verification.CASES) >= 20


@pytest.mark.kernels
@pytest.mark.parametrize("name", verification.CASES)
def test_digests_match_the_committed_ones(name):
    assert verification.digest(name) == verification.known()[name]


TRAINED = """
import hashlib, json
import numpy as np
import seedbed as sb
from seedbed.engines.compiled.target import HAS_FMA, VECTOR_BYTES
from seedbed.engines.select import COMPILED
x = (np.arange(23 * 9).reshape(23, 9) * 37 % 193 - 96) / 32
network = sb.Network(9, [sb.Dense(37, sb.relu), sb.Dense(18, sb.relu), sb.Dense(3)])
digests = []
for members in (1, 21):
    population = sb.train(network, x, np.arange(23) % 3, loss=sb.cross_entropy, epochs=3,
                          seeds=range(members), batch_size=9, dropout=0.1, clip_norm=1.0,
                          engine="compiled", progress=False)
    parts = (population.theta, population.loss, population.history.train_loss)
    digests += [hashlib.sha256(part.tobytes()).hexdigest() for part in parts]
print(json.dumps([VECTOR_BYTES, HAS_FMA, digests]))
"""


def trained(cpu=None):
    """Return the vector bytes, whether multiply-adds are in hardware, and digests of trainings
    compiled for ``cpu``, or for this CPU.
    """
    variables = {"NUMBA_OPT": "1"}  # compiles faster; bits must not change
    if cpu:
        variables |= {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    process = subprocess.run(
        [sys.executable, "-c", TRAINED],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | variables,
    )
    return json.loads(process.stdout)


@pytest.mark.parametrize("cpu", [cpu for cpu, width in NARROWER.items() if width < VECTOR_BYTES])
def test_bits_are_the_same_on_narrower_vectors(cpu):
    """.ci/run verifies all trainings at these widths; this test trains one network."""
    width, fused, digests = trained(cpu)
    assert width == NARROWER[cpu]
    assert fused == (cpu != "nehalem")
    assert [VECTOR_BYTES, HAS_FMA, digests] == trained()


def test_command_reports_different_digests(run, monkeypatch):
    name = "one row, one member, float64"
    status, out, _ = run("verify", "ONE row")
    assert status == 0
    assert "as committed: 1 of 1 (" in out
    assert "same" in out
    assert "DIFFERENT" not in out
    monkeypatch.setattr(verification, "known", lambda: {name: "0" * 64})
    status, out, _ = run("verify", "one row")
    assert status == 1
    assert "DIFFERENT  one row, one member, float64" in out
    assert "not as committed: 1 of 1" in out


def test_unknown_name_and_missing_numba_are_errors(run, monkeypatch):
    status, out, err = run("verify", "nothing")
    assert (status, out) == (2, "")
    assert "no training's name begins with 'nothing'" in err
    monkeypatch.setitem(sys.modules, "numba", None)
    status, out, err = run("verify")
    assert (status, out) == (2, "")
    assert "pip install 'seedbed[fast]'" in err


def test_missing_scikit_learn_is_an_error_before_training(run, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("seedbed.estimators")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(seedbed, "estimators", raising=False)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    status, out, err = run("verify")
    assert (status, out) == (2, "")
    assert "pip install 'seedbed[sklearn]'" in err
