"""The documentation site: sphinx-build -W docs build/site. Why Sphinx and these extensions: docs/architecture.md."""

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

from docutils.nodes import SkipNode
from latex2mathml.converter import convert
from pygments.lexer import inherit
from pygments.lexers import BashLexer
from pygments.token import Name

sys.path.insert(0, str(Path(__file__).parent))  # for the scraper of figures and the reference

import notebooks
import reference_pages

import landscape

reference_pages.write(Path(__file__).parent / "reference")

project = "landscape"
author = "The landscape founders"
version = release = landscape.__version__
copyright = "the landscape founders, Apache-2.0"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["build", "examples"]
default_role = "code"  # docstrings write `name`

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_title = f"landscape {version}"
html_show_sphinx = False
html_math_renderer = "mathml"  # browsers draw it themselves; MathJax would be fetched by every reader

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_typehints = "signature"
napoleon_use_ivar = True
napoleon_attr_annotations = False  # types stand in the signature; a shape such as "*b p" would be read as markup
napoleon_numpy_docstring = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "tutorials",
    "filename_pattern": "",  # all of them are run
    "plot_gallery": os.environ.get("LANDSCAPE_TUTORIALS", "run") != "skip",  # skip: shown without being run, in seconds
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("figure_scraper.scrape",),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "reset_modules": (),
    "write_computation_times": False,
    "capture_repr": ("_repr_html_", "__str__"),
    "ignore_repr_types": r"matplotlib\.figure",  # the scraper shows them
    "first_notebook_cell": notebooks.FIRST_CELL,
}


def plain(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with `code`: stars are no markup, and what is indented after a blank line stays as it is."""
    written: list[str] = []
    depth = last = 0  # of the literal block that we are in, or 0; of the last line that is not blank
    example = False  # from a prompt to the next blank line
    for line in lines:
        indent = len(line) - len(line.lstrip())
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if line.strip():
            if depth and indent < depth:
                depth = 0
            elif not depth and written and not written[-1].strip() and indent >= last + 4:
                depth = indent
                written += [" " * last + "::", ""]
            last = indent
        written.append(line if depth or example else escaped(line))
    lines[:] = written


def escaped(line: str) -> str:
    """Returns a line in which formulas cannot be taken for markup."""
    parts = re.split(r"(`[^`]*`)", line)
    parts[::2] = [re.sub(r"([*|]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
    return "".join(parts)


def formula(display: Literal["inline", "block"]) -> Callable[[Any, Any], None]:
    """Returns how a formula is written into a page."""

    def write(writer: Any, node: Any) -> None:
        # Browsers draw letters of one shape alone (MathML Core): a bold digit is a character of its own.
        written = convert(node.astext(), display=display)
        writer.body.append(
            re.sub(r'<mn mathvariant="bold">(\d)</mn>', lambda digit: f"<mn>{chr(0x1D7CE + int(digit[1]))}</mn>", written)
        )
        raise SkipNode

    return write


class Commands(BashLexer):
    """A shell whose options are tokens, so that the style sheet can keep `--json` on one line."""

    tokens: ClassVar = {"root": [(r"(?<=\s)--?[A-Za-z][\w-]*", Name.Attribute), inherit]}


def setup(app: Any) -> None:
    """Docstrings are made plain before napoleon, which writes markup of its own."""
    app.connect("autodoc-process-docstring", plain, priority=100)
    app.add_lexer("bash", Commands)
    app.add_html_math_renderer("mathml", (formula("inline"), None), (formula("block"), None))
