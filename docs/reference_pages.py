"""Writes the pages of the reference, one for each group of modules; a module that no group names is on the last page."""

from pathlib import Path
from pkgutil import walk_packages

import landscape

GROUPS = {
    "model": (
        "The model: the loss, its known critical points, what must be true of them",
        "problem objective chain structures codes construction theory notation symmetry symmetry_projector",
    ),
    "solving": ("Finding and keeping points", "solver point point_file point_rounding weights store seal tensor_file"),
    "degeneracy": (
        "Counting at a point",
        "degeneracy degeneracy_report judgement proved proof routes reduction partitions kinks collapse naming fingerprint "
        "estimates",
    ),
    "curvature": ("The curvature engine: operators of any model, counts, spectra, densities", "curvature"),
    "landscape": (
        "The landscape as a whole: all points of a problem, how often each is found, why",
        "atlas entries enumeration copies free_energy search phase prevalence prediction sweep survey basin slices sampling "
        "explanations",
    ),
    "other": ("Pictures, pages, claims and the rest", ""),
}
INDEX = """# Reference

Made from the docstrings. Shapes stand in the signatures in jaxtyping's notation: `Float[Tensor, "p k"]` is a matrix of p rows and k
columns. Bad input raises `InputError`, everywhere.

"""


def modules() -> list[str]:
    """Returns all modules of the package but the command line's, without the name of the package."""
    names = [module.name.removeprefix("landscape.") for module in walk_packages(landscape.__path__, "landscape.")]
    return [name for name in names if name.partition(".")[0] != "cli"]


def write(folder: Path) -> None:
    """Writes the pages into a folder, which is made."""
    folder.mkdir(exist_ok=True)
    pages = "\n".join(GROUPS)
    (folder / "index.md").write_text(f"{INDEX}```{{toctree}}\n:maxdepth: 1\n\n{pages}\n```\n")
    named = {top: page for page, (_, tops) in GROUPS.items() for top in tops.split()}
    for page, (title, tops) in GROUPS.items():
        mine = [name for name in modules() if named.get(name.partition(".")[0], "other") == page]
        order = tops.split()
        mine.sort(key=lambda name: order.index(name.partition(".")[0]) if order else 0)
        parts = [f"## landscape.{name}\n\n```{{eval-rst}}\n.. automodule:: landscape.{name}\n```\n" for name in mine]
        (folder / f"{page}.md").write_text("\n".join([f"# {title}\n", *parts]))
