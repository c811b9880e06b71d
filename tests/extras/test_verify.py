"""The same bits on every machine: known digests, at every vector width that this machine has."""

import json
import os
import platform
import subprocess
import sys

import pytest

from seedbed import verification
from seedbed.engines import choice
from seedbed.engines.compiled.vectors import BYTES

X86 = platform.machine().lower() in ("x86_64", "amd64")
NARROWER = {"nehalem": 16, "haswell": 32} if X86 else {}
"""CPUs that Numba can be told to compile for, and how wide their vectors are."""


def test_every_training_has_a_known_digest():
    assert list(verification.known()) == list(verification.CASES)
    assert len(verification.CASES) >= 18


@pytest.mark.kernels
@pytest.mark.parametrize("name", verification.CASES)
def test_this_machines_bits_are_everyones(name):
    assert verification.digest(name) == verification.known()[name]


@pytest.mark.parametrize("cpu", [cpu for cpu, width in NARROWER.items() if width < BYTES])
def test_bits_are_the_same_on_narrower_vectors(cpu):
    """With fused multiply-adds in software on the narrowest; .ci/run verifies all of them so."""
    done = subprocess.run(
        [sys.executable, "-m", "seedbed", "verify", "8-16-1", "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""},
    )
    told = json.loads(done.stdout)
    assert told["machine"]["bytes a vector"] == NARROWER[cpu]
    fused = told["machine"]["fused multiply-add"]
    assert fused == ("in software" if cpu == "nehalem" else "in hardware")
    assert len(told["found"]) == 1
    assert told["different"] == []


def test_the_command_says_what_differs(run, monkeypatch):
    name = "one row, one member, float64"
    status, out, _ = run("verify", "one row")
    assert status == 0
    assert "same" in out
    assert "DIFFERENT" not in out
    monkeypatch.setattr(verification, "known", lambda: {name: "0" * 64})
    status, out, _ = run("verify", "one row")
    assert status == 1
    assert "DIFFERENT  one row, one member, float64" in out
    assert "1 of 1 differ" in out


def test_a_name_that_is_none_and_a_missing_numba_are_said_in_one_line(run, monkeypatch):
    status, out, err = run("verify", "nothing")
    assert (status, out) == (2, "")
    assert "no training is called 'nothing'" in err
    monkeypatch.setattr(choice, "numba_is_there", lambda: False)
    status, out, err = run("verify")
    assert (status, out) == (2, "")
    assert "pip install 'seedbed[fast]'" in err
