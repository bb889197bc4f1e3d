"""Writes the tutorials as notebooks: `python docs/notebooks.py [FOLDER]`, build/notebooks if no folder is named.

They are those that the site has for download at the foot of each tutorial. Run them wherever landscape and Jupyter are.
"""

import sys
from pathlib import Path

from sphinx_gallery.gen_gallery import DEFAULT_GALLERY_CONF
from sphinx_gallery.notebook import jupyter_notebook, save_notebook
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

EXAMPLES = Path(__file__).parent / "examples"
FIRST_CELL = "# needs landscape; the tutorial on a network of your own needs scikit-learn too\n%matplotlib inline"


def write(folder: Path) -> list[Path]:
    """Writes every tutorial into a folder, and returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for source in sorted(EXAMPLES.glob("*.py")):
        _, blocks = split_code_and_text_blocks(str(source))
        settings = {**DEFAULT_GALLERY_CONF, "first_notebook_cell": FIRST_CELL}
        written.append(folder / f"{source.stem}.ipynb")
        save_notebook(jupyter_notebook(blocks, settings, str(EXAMPLES)), written[-1])
    return written


if __name__ == "__main__":
    print(*write(Path(sys.argv[1] if len(sys.argv) > 1 else "build/notebooks")), sep="\n")
