"""The package's public names, import cost and dependencies."""

import doctest
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import seedbed as sb

ROOT = Path(__file__).parents[2]

OPTIONAL = [
    "jax",
    "matplotlib",
    "narwhals",
    "numba",
    "pandas",
    "polars",
    "rich",
    "safetensors",
    "scipy",
    "sklearn",
    "threadpoolctl",
    "torch",
]


def python(code: str, **environment: str) -> str:
    """Run code in a fresh interpreter that may cache bytecode, and return what it prints."""
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**variables, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_all_is_sorted_and_complete():
    assert sb.__all__ == sorted(sb.__all__, key=lambda name: (not name.isupper(), name))
    for name in sb.__all__:
        assert getattr(sb, name) is not None
    modules = {"arrays", "checks", "engines", "errors", "formulas", "network", "population"}
    modules |= {"splits", "progress", "recipe", "streams", "training", "files", "tables", "cli"}
    modules |= {"comparing", "plots", "stopping", "estimators", "diagnosis", "folds"}
    modules |= {"checking", "explaining", "interrupts", "jsonable", "reproducible", "verification"}
    visible = {name for name in vars(sb) if not name.startswith("_")} - modules
    assert visible == set(sb.__all__)


def test_every_public_function_has_a_docstring():
    for name in sb.__all__:
        value = getattr(sb, name)
        if callable(value):
            assert value.__doc__, name


EXAMPLES = [
    "checking.check", "comparing.compare", "comparing.judge", "comparing.space", "metrics",
    "network", "training",
]  # fmt: skip


@pytest.mark.parametrize("module", EXAMPLES)
def test_docstring_examples_pass(module):
    assert doctest.testmod(importlib.import_module(f"seedbed.{module}")).failed == 0


def test_all_docstring_examples_run():
    paths = (ROOT / "src" / "seedbed").rglob("*.py")
    found = {
        ".".join(path.relative_to(ROOT / "src" / "seedbed").with_suffix("").parts)
        for path in paths
        if ">>>" in path.read_text(encoding="utf-8")
    }
    found = {name for name in found if not name.startswith("estimators.")}  # they need scikit-learn
    assert found == set(EXAMPLES)


def test_version_matches_the_changelog():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changelog, flags=re.MULTILINE)
    assert newest is not None
    assert newest[1] == sb.__version__


def test_package_is_marked_as_typed():
    assert (Path(sb.__file__).parent / "py.typed").is_file()


def test_import_loads_only_numpy():
    code = (
        "import json, sys; before = {*sys.modules}; import seedbed; "
        "print(json.dumps(sorted({*sys.modules} - before)))"  # Python itself may load some before
    )
    loaded = {name.split(".")[0] for name in json.loads(python(code))}
    assert "numpy" in loaded
    foreign = {
        name
        for name in loaded - {"seedbed", "numpy"}
        if name not in sys.stdlib_module_names and not name.startswith("_")
    }
    assert not foreign


def test_import_loads_few_modules():
    """A count of modules, because times depend on the machine."""
    code = (
        "import sys; import numpy; before = {*sys.modules}; import seedbed; "
        "print(*sorted({*sys.modules} - before))"
    )
    loaded = python(code).split()
    ours = [name for name in loaded if name.split(".")[0] == "seedbed"]
    assert 20 < len(ours) < 45
    assert len(loaded) - len(ours) < 40


def test_core_works_with_numpy_alone():
    code = f"""
import sys
for name in {OPTIONAL}:
    sys.modules[name] = None  # its import fails as if it were not installed
import seedbed as sb
X, Y = sb.xor.data()
population = sb.xor.recipe(epochs=20).train(X, Y, seeds=range(3))
assert population.theta.shape == (3, 21)
for act, extra in ((lambda: population.save("never.safetensors"), "files"),
                   (lambda: sb.load("never.safetensors"), "files")):
    try:
        act()
    except sb.MissingDependencyError as error:
        print(error)
    else:
        raise SystemExit("no error")
from seedbed.cli import main
raise SystemExit(main(["xor", "--seeds", "2", "--epochs", "5", "--json"]))
"""
    first, second, *rest = python(code).splitlines()
    assert first == second == "this needs safetensors: run  pip install 'seedbed[files]'"
    assert json.loads("\n".join(rest))["seeds"] == 2


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"])
def test_project_files_are_not_empty(name):
    assert (ROOT / name).read_text(encoding="utf-8").strip()


def test_readme_begins_with_two_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^```[a-z]*\n(.*?)^```", readme, flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    assert block[1].splitlines() == [
        "pip install '.[all]' && seedbed xor",
        "pip install -e '.[dev]' && pytest",
    ]
