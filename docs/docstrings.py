"""Convert the code's docstrings to reStructuredText."""

import functools
import importlib
import re
from collections.abc import Iterator

from sphinx.pycode import ModuleAnalyzer

_TERM = re.compile(r"^([^\s=](?:[^=]*?[^\s;])??) {2,}(\S.*)$")
_LABEL = re.compile(r"^(Shapes|Units|Raises|Returns|Source|Fitted): +(.*)$")
_FORMULAS = ("activations", "initializers", "losses", "optimizers", "schedules")


@functools.cache
def attribute_docstrings() -> dict[str, list[str]]:
    """Return the docstring below each formula in its file, by name."""
    found = {}
    for name in _FORMULAS:
        module = importlib.import_module(f"seedbed.formulas.{name}")
        analyzer = ModuleAnalyzer.for_module(module.__name__)
        analyzer.analyze()
        found.update({key[1]: words for key, words in analyzer.attr_docs.items() if not key[0]})
    return found


def to_rst(lines: list[str]) -> list[str]:
    """Return a docstring's lines as reStructuredText.

    Aligned columns become definitions, formulas become literal blocks, labelled lines (Shapes:,
    Raises:) become paragraphs, and characters of markup in prose are escaped.
    """
    result: list[str] = []
    for paragraph in _paragraphs(lines):
        if paragraph[0].startswith(">>>"):
            result += paragraph
        elif definitions := _definitions(paragraph):
            for term, words in definitions:
                result += [f"``{term}``", *(f"    {_escaped(line)}" for line in words)]
        elif any(line.startswith(" ") or "  " in line.strip() for line in paragraph):
            result += ["::", "", *(f"    {line}" for line in paragraph)]
        else:
            for line in paragraph:
                labelled = _LABEL.match(line)
                if labelled:
                    result += ["", f"**{labelled[1]}:** {_escaped(labelled[2])}"]
                else:
                    result.append(_escaped(line))
        result.append("")
    return result


def _paragraphs(lines: list[str]) -> Iterator[list[str]]:
    paragraph: list[str] = []
    for line in [*lines, ""]:
        example = line.startswith(">>>") and paragraph and not paragraph[0].startswith(">>>")
        if (not line.strip() or example) and paragraph:
            yield paragraph
            paragraph = []
        if line.strip():
            paragraph.append(line)


def _definitions(paragraph: list[str]) -> list[tuple[str, list[str]]] | None:
    """Return terms and their descriptions if the paragraph is two columns, else None."""
    column, found = 0, []
    for line in paragraph:
        term = _TERM.match(line)
        if term and column in (0, term.start(2)):
            column = term.start(2)
            found.append((term[1], [term[2]]))
        elif term and column and len(term[1]) >= column - 2 and not line.startswith(" "):
            found.append((term[1], [term[2]]))  # a term longer than its column
        elif found and line.startswith(" " * column):
            found[-1][1].append(line.strip())
        else:
            return None
    return found


def _escaped(text: str) -> str:
    """Return the text with markup escaped, except in ``code``."""
    pieces = re.split(r"(``[^`]*``)", text)
    for place in range(0, len(pieces), 2):
        pieces[place] = re.sub(r"([*|`\\])|(?<=\w)(_)(?!\w)", r"\\\1\2", pieces[place])
    return "".join(pieces)
