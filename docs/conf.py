"""How the pages are built:  sphinx-build -WE docs docs/_build

Every example is run while they are, lines of the library are taken from its files, and a warning is
an error: an example that fails, a line that is not there any more, a public name without a place.
"""

import os
import re
import sys
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
os.environ["NO_COLOR"] = "1"
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

from docstrings import attribute_words, to_rst

import seedbed

project = "Seedbed"
author = "the Seedbed founders"
copyright = "the Seedbed founders"  # noqa: A001  # the name that Sphinx asks for
version = release = seedbed.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # types of other libraries, which are not looked up

nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
copybutton_prompt_text = r">>> |\$ "
copybutton_prompt_is_regexp = True

html_theme = "furo"
html_title = f"Seedbed {version}"
html_show_sphinx = False
html_static_path = ["static"]
html_css_files = ["output.css"]
html_copy_source = False


def words_of_data(app, what, name, unit, options, lines):
    """Put a docstring into reStructuredText; an activation's are those under it in its file."""
    own = attribute_words().get(name.rpartition(".")[2]) if what == "data" else None
    lines[:] = to_rst(lines if own is None else own)


def refuse_what_is_not_run(app, name, source):
    """Refuse Python in a page that is shown without being run."""
    if re.search(r"^[`:]{3,} *(?:python|py|\{code-block\} *python)\s*$", source[0], re.MULTILINE):
        raise ValueError(f"{name} shows Python that is not run: make it a {{code-cell}}")
    cells = re.findall(r"^```\{code-cell\}\n(.*?)^```", source[0], re.MULTILINE | re.DOTALL)
    for cell, after in pairwise([*cells, ""]):
        if re.search("^!", cell, re.MULTILINE) and "assert _exit_code" not in after:
            raise ValueError(f"{name}: no cell after {cell.strip()!r} looks at its exit status")


def every_public_name_has_a_place(app, env):
    """Refuse a public name that no page describes."""
    from sphinx.errors import SphinxError

    there = {name for name, *_ in env.get_domain("py").get_objects()}
    missing = [name for name in seedbed.__all__ if f"seedbed.{name}" not in there]
    if [name for name in missing if name not in ("metrics", "xor")]:  # modules, of pages
        raise SphinxError(f"no page describes {', '.join(missing)}: add it under docs/api")


def setup(app):
    """Connect the above."""
    app.connect("autodoc-process-docstring", words_of_data)
    app.connect("source-read", refuse_what_is_not_run)
    app.connect("env-check-consistency", every_public_name_has_a_place)
