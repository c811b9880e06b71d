"""The package's public names, import cost and dependencies."""

import ast
import doctest
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import seedbed as sb
from seedbed.formulas import activations, initializers, losses, optimizers, schedules
from seedbed.layers import BY_NAME as LAYERS

ROOT = Path(__file__).parents[2]

OPTIONAL = [
    "fastexcel",
    "jax",
    "matplotlib",
    "narwhals",
    "numba",
    "onnx",
    "pandas",
    "polars",
    "pyarrow",
    "rich",
    "safetensors",
    "scipy",
    "sklearn",
    "threadpoolctl",
    "torch",
]


def python(code: str, **environment: str) -> str:
    """Return the output of code run in a new interpreter with bytecode caching."""
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
    modules = {path.stem for path in Path(sb.__file__).parent.iterdir()} - set(sb.__all__)
    visible = {name for name in vars(sb) if not name.startswith("_")} - modules
    assert visible == set(sb.__all__)


def test_everything_public_is_found_at_the_top():
    listed = dir(sb)
    assert {*sb.__all__, "estimators", "plots", "__version__"} <= set(listed)
    assert not [name for name in listed if name.startswith("_") and name[:2] != "__"]
    for name in listed:
        if name != "estimators":  # needs scikit-learn
            getattr(sb, name)
    with pytest.raises(AttributeError, match="module 'seedbed' has no attribute 'plot'"):
        sb.plot  # noqa: B018


def test_names_at_the_top_are_imported_on_first_use():
    code = (
        "import sys; import seedbed as sb; "
        "lazy = ['seedbed.plots', 'seedbed.checking.check', 'seedbed.explaining']; "
        "print(*[name in sys.modules for name in lazy]); "
        "sb.plots.losses, sb.check_gradient, sb.explain, sb.diagnose, sb.metrics.accuracy; "
        "print(*[name in sys.modules for name in lazy])"
    )
    assert python(code).splitlines() == ["False False False", "True True True"]


def test_every_public_function_has_a_docstring():
    for name in sb.__all__:
        value = getattr(sb, name)
        if callable(value):
            assert value.__doc__, name


EXAMPLES = [
    "checking.check", "comparing.compare", "comparing.equal_time", "comparing.judge",
    "comparing.plan", "comparing.space", "comparing.splitting", "comparing.wording",
    "layers.embedding", "layers.periodic", "metrics", "network", "population", "progress",
    "testing", "training",
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
    found = {name for name in found if not name.startswith("estimators.")}  # need scikit-learn
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
        "print(json.dumps(sorted({*sys.modules} - before)))"  # Python may load some before
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
    """Modules are counted, as import times depend on the machine."""
    code = (
        "import sys; import numpy; before = {*sys.modules}; import seedbed; "
        "print(*sorted({*sys.modules} - before))"
    )
    loaded = python(code).split()
    ours = [name for name in loaded if name.split(".")[0] == "seedbed"]
    assert 20 < len(ours) < 60
    assert len(loaded) - len(ours) < 60  # older NumPy imports fewer itself


def test_core_works_with_numpy_alone():
    code = f"""
import sys
for name in {OPTIONAL}:
    sys.modules[name] = None  # makes its import fail
import seedbed as sb
X, Y = sb.xor.data()
population = sb.train(sb.xor.recipe(epochs=20), X, Y, seeds=range(3))
assert population.theta.shape == (3, 21)
for function in (lambda: sb.save("never.safetensors", population),
                 lambda: sb.load("never.safetensors")):
    try:
        function()
    except sb.MissingDependencyError as error:
        print(error)
    else:
        raise SystemExit("no error")
from seedbed.cli import main
raise SystemExit(main(["xor", "--seeds", "2", "--epochs", "5", "--json"]))
"""
    first, second, *rest = python(code).splitlines()
    assert first == second == "this needs safetensors: run pip install 'seedbed[files]'"
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
        "pip install -e '.[dev]' && pytest -n auto",
    ]


def imports_of(path, package):
    """Yield the names of Seedbed's modules that a file imports, inside functions, too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("seedbed."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seedbed"):
            for each in node.names:
                inner = package / Path(*f"{node.module}.{each.name}".split(".")[1:])
                is_module = inner.is_dir() or inner.with_suffix(".py").is_file()
                yield f"{node.module}.{each.name}" if is_module else node.module


def test_imports_follow_the_order_of_modules_in_contributing():
    package = Path(sb.__file__).parent
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    (\S.*?)  +\S", text, flags=re.MULTILINE)
    names = [name for line in lines for name in re.findall(r"[\w.]+", line)]
    position = {name: number for number, name in enumerate(names)}
    modules = {path.stem for path in package.glob("*.py") if not path.stem.startswith("__")}
    modules |= {path.parent.name for path in package.glob("*/__init__.py")}
    assert modules == position.keys()
    wrong = []
    for path in package.rglob("*.py"):
        parts = path.relative_to(package).parts
        if parts[0].startswith("__"):
            continue
        name = parts[0].removesuffix(".py")
        for module in imports_of(path, package):
            other = module.split(".")[1] if "." in module else name
            if other != name and not position[other] < position[name]:
                wrong.append(f"{'/'.join(parts)} imports {module}")
    assert not wrong


def test_imports_have_no_cycles():
    package = Path(sb.__file__).parent
    graph = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name not in ("seedbed", "seedbed.__main__"):
            graph[name] = set(imports_of(path, package)) - {"seedbed", name}
    visited, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in visited or name not in graph:
            return
        path.append(name)
        for other in sorted(graph[name]):
            visit(other)
        path.pop()
        visited.add(name)

    for name in sorted(graph):
        visit(name)


def test_every_file_that_contributing_names_exists():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## To add")[2].partition("## Rules")[0]
    named = set(re.findall(r"`([\w/]+(?:\.(?:md|py|toml)|/))`", table))
    assert {"formulas/activations.py", "layers/", "pyproject.toml", "docs/api/"} <= named
    package = Path(sb.__file__).parent
    assert not [name for name in named if not ((package / name).exists() or (ROOT / name).exists())]


def test_the_first_page_lists_every_formula_and_layer():
    page = (ROOT / "docs" / "first-steps.md").read_text(encoding="utf-8")
    words = set(re.findall(r"\w+", page.partition("## What you can combine")[2]))
    for module in (activations, initializers, losses, optimizers, schedules):
        assert module.BY_NAME.keys() <= words
    assert LAYERS.keys() <= words
