"""Formulas of the pages as MathML, which browsers typeset without a network."""

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.errors import SphinxError


def visit_inline(translator, node):
    """Write an inline formula."""
    translator.body.append(_mathml(node, as_block=False))
    raise SkipNode


def visit_block(translator, node):
    """Write a formula on lines of its own; a wide one scrolls on a narrow screen."""
    translator.body.append(f'<div class="formula">{_mathml(node, as_block=True)}</div>')
    raise SkipNode


def _mathml(node, as_block):
    try:
        formula = tex2mathml(node.astext(), as_block=as_block)
    except Exception as error:
        raise SphinxError(f"formula {node.astext()!r}: {error}") from error
    return formula.replace("<mo>'</mo>", "<mo>′</mo>")  # docutils leaves the apostrophe


def setup(app):
    """Register the renderer as "mathml"."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
