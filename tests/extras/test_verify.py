"""Training has the same bits on every machine: digests at each vector width of this CPU."""

import json
import os
import platform
import re
import subprocess
import sys
from functools import cache

import pytest

import seedbed
from seedbed import verification
from seedbed.engines.compiled.target import VECTOR_BYTES

pytestmark = pytest.mark.usefixtures("compiled_float64")

X86 = platform.machine().lower() in ("x86_64", "amd64")
NARROWER = {"nehalem": 16, "haswell": 32} if X86 else {}
"""CPUs to compile for, and their vector widths in bytes."""
KEPT_CPU = "haswell" if X86 and VECTOR_BYTES > 32 else None
"""The CPU whose code one test inspects and another runs; None is this CPU."""


def test_every_training_has_a_known_digest():
    assert list(verification.known()) == list(verification.CASES)
    assert len(verification.CASES) >= 20


@pytest.mark.kernels
@pytest.mark.parametrize("name", verification.CASES)
def test_digests_match_the_committed_ones(name):
    assert verification.digest(name) == verification.known()[name]


TRAINED = """
import hashlib
import numpy as np
import seedbed as sb
from seedbed.engines.compiled.target import HAS_FMA, VECTOR_BYTES
x = (np.arange(23 * 9).reshape(23, 9) * 37 % 193 - 96) / 32
network = sb.Network(9, [sb.Dense(37, sb.relu), sb.Dense(18, sb.relu), sb.Dense(3)])
digests = []
for members in (1, 21):
    population = sb.train(network, x, np.arange(23) % 3, loss=sb.cross_entropy, epochs=3,
                          seeds=range(members), batch_size=9, dropout=0.1, clip_norm=1.0,
                          engine="compiled")
    parts = (population.theta, population.loss, population.history.train_loss)
    digests += [hashlib.sha256(part.tobytes()).hexdigest() for part in parts]
"""
PRINTED = TRAINED + "import json; print(json.dumps([VECTOR_BYTES, HAS_FMA, digests]))"


def process(cpu, variables):
    """Run the training in a new process, compiled for ``cpu``, or for this CPU."""
    if cpu:
        variables = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": "", **variables}
    return subprocess.run(
        [sys.executable, "-c", PRINTED],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | variables,
    )


@pytest.fixture(scope="module")
def first_process(tmp_path_factory):
    """Return a function of ``KEPT_CPU``: a directory and the process that compiles into it."""

    @cache
    def run(cpu):
        directory = tmp_path_factory.mktemp("compiled")
        return directory, process(cpu, {"NUMBA_CACHE_DIR": str(directory)})

    return run


@pytest.mark.parametrize("cpu", [cpu for cpu, width in NARROWER.items() if width < VECTOR_BYTES])
def test_bits_are_the_same_on_narrower_vectors(cpu, first_process):
    """.ci/run verifies all trainings at these widths; this test trains one network."""
    done = first_process(cpu)[1] if cpu == KEPT_CPU else process(cpu, {})
    width, fused, digests = json.loads(done.stdout)
    assert width == NARROWER[cpu]
    assert fused == (cpu != "nehalem")
    here = {}
    exec(TRAINED, here)
    assert digests == here["digests"]


def test_compiled_code_is_kept_and_reported_once(first_process):
    directory, cold = first_process(KEPT_CPU)
    assert re.fullmatch(r"seedbed: compiling the engine .* kept in .*\n", cold.stderr)
    assert str(directory) in cold.stderr
    kept = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    assert len(kept) > 10
    warm = process(KEPT_CPU, {"NUMBA_CACHE_DIR": str(directory)})
    assert warm.stderr == ""
    assert warm.stdout == cold.stdout
    after = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    assert after == kept


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
