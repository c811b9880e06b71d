"""The pages' table of MLPClassifier's parameters names every parameter of both sides."""

import inspect
import re
from pathlib import Path

from sklearn.neural_network import MLPClassifier, MLPRegressor

from seedbed.estimators import NetworkClassifier, NetworkRegressor

PAGE = Path(__file__).parents[2] / "docs" / "tables.md"


def parameters(*kinds):
    return {
        name: each for kind in kinds for name, each in inspect.signature(kind).parameters.items()
    }


def test_the_table_names_every_parameter():
    text = PAGE.read_text(encoding="utf-8")
    section = text.split("## From MLPClassifier to NetworkClassifier")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    given, ours = set(), set()
    theirs = parameters(MLPClassifier, MLPRegressor)
    own = parameters(NetworkClassifier, NetworkRegressor)
    for left, right, _ in rows[1:]:
        names = re.findall(r"`(\w+)`", left)
        given.update(names)
        if right.startswith("same"):
            ours.update(names)
            default = re.search(r'\((?:`("?\w+"?)`|([\d.]+))\)', right)
            if default:
                shown = repr(own[names[0]].default).replace("'", '"')
                assert shown == (default[1] or default[2])
        elif right != "–":
            ours.update(re.findall(r"`([a-z_]+)`", right))
            assert not own.keys() & set(names)
        else:
            assert not own.keys() & set(names)
    assert given == set(theirs)
    assert ours == set(own)
