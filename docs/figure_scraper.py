"""Shows a tutorial's figures: sphinx-gallery looks for pyplot's, and landscape makes none of those."""

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_shown: set[int] = set()


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Saves every figure among the variables of a tutorial the first time that it is seen."""
    paths = []
    for value in block_vars["example_globals"].values():
        if isinstance(value, Figure) and id(value) not in _shown:
            _shown.add(id(value))
            path = next(block_vars["image_path_iterator"])
            value.savefig(path, dpi=200)
            paths.append(path)
    return figure_rst(paths, gallery_conf["src_dir"])
