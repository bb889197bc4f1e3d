"""Makes the pictures of the pages: structures, the two spectra, and contact sheets of what the commands and the figures draw.

`python -m docs.pictures` writes docs/structures.png, docs/spectra.png, docs/cost.png, and the sheets docs/contact-light.png,
docs/contact-dark.png and docs/contact-figures.png, in some minutes. The first two sheets show what the commands draw, at 3.3 and
6.8 inches, on a light and on a dark ground; the last one all figures of the pages, at their size on paper. Words that follow, as
in `python -m docs.pictures sheets figures`, choose among pages, sheets and figures.
"""

import contextlib
import io
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import torch
from PIL import Image, ImageDraw

import landscape as ls
from figures import figure_cost, figure_spectrum
from figures.__main__ import names
from landscape.cli import run
from landscape.model.logit_form import write_parameters
from landscape.plot.point import draw_logits
from landscape.plot.theme import PAGE_WIDTH, new_figure, save_figure
from landscape.points.point import CriticalPoint, Origin
from landscape.structures.analytic import logit_form
from landscape.structures.names import in_words
from landscape.structures.notation import parse_structure

HERE = Path(__file__).parent
STRUCTURES = (
    "dnc",
    "pairs",
    "partition:6,2,2",
    "blocks:antiprism8+2",
    "blocks:polygon5+3+2",
    "blocks:bipyramid10",
    "blocks:T5",
    "blocks:H3x2",
    "apex",
)
MODEL = ["--problem", "K=10,n=5,d=70,L=2,decay=2**-10"]
DRAWN = {
    "landscape spectrum FILE": ["spectrum", "{point}"],
    "landscape spectrum FILE FILE --arrange stacked": ["spectrum", "{point}", "{other}", "--arrange", "stacked"],
    "landscape spectrum FILE FILE --arrange overlaid": ["spectrum", "{point}", "{other}", "--arrange", "overlaid"],
    "landscape spectrum FOLDER": ["spectrum", "{folder}"],
    "landscape spectrum FILE --method slq": ["spectrum", "{point}", "--method", "slq"],
    "landscape spectrum FILE --method pyhessian": ["spectrum", "{point}", "--method", "pyhessian"],
    "landscape spectrum --axis linear": ["spectrum", *MODEL, "--start", "partition:5,5", "--axis", "linear"],
    "landscape show FILE": ["show", "{point}"],
    "landscape atlas": ["atlas", *MODEL],
    "landscape phase": ["phase", "--over", "decay,depth", "--decay", "1e-4:0.2", "--depth", "1:6", "--steps", "30"],
    "landscape slice FILE --along gauge": ["slice", "{point}", "--along", "gauge"],
    "landscape slice FILE --along stiffest,gauge": ["slice", "{point}", "--along", "stiffest,gauge"],
    "landscape slice FILE --surface": ["slice", "{point}", "--along", "stiffest,gauge", "--surface"],
    "landscape slice FILE FILE": ["slice", "{point}", "{other}"],
    "landscape network inspect, landscape spectrum NETWORK": ["spectrum", "{network}", "--run-sources", "--title", "a network"],
    "landscape network slice, landscape slice NETWORK": ["slice", "{network}", "--run-sources", "--steps", "31"],
    "landscape network slice --along second": ["slice", "{network}", "--run-sources", "--along", "second"],
    "landscape slice NETWORK CHECKPOINT": ["slice", "{network}", "{weights}", "--run-sources"],
}
SIZES = {"3.3 inches": "3.3", "6.8 inches": "6.8"}
NETWORK = """import torch

torch.manual_seed(0)
data = [(torch.randn(40, 6), torch.arange(40) % 4)]


def build():
    layers = torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8, bias=False), torch.nn.Linear(8, 4, bias=False)
    return torch.nn.Sequential(*layers)
"""
_DOTS, _GAP = 110, 24  # dots per inch of a sheet, dots between its pictures


def points(folder: Path) -> dict[str, str]:
    """Returns the files that the commands draw: two points, a folder with steps of a descent, a network and weights for it."""
    run_folder, code, weights = folder / "run", folder / "code.py", folder / "first.pt"
    run_folder.mkdir()
    code.write_text(NETWORK)
    space: dict[str, object] = {}
    exec(NETWORK, space)
    torch.save(space["build"]().state_dict(), weights)  # type: ignore[operator]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for name, start in (("collapse", "3"), ("lowrank", "2")):
            run(["solve", *MODEL, "--seed", start, "--out", str(folder / f"{name}.safetensors")])
        small = ["solve", "--problem", "K=4,n=2,d=6,L=2,decay=1e-2", "--seed", "0", "--method", "gd"]
        for steps in (10, 30, 100, 200, 400, 800):
            run([*small, "--max-steps", str(steps), "--out", str(run_folder / f"step {steps}.safetensors")])
        network = ["network", "inspect", f"{code}:build", "--data", f"{code}:data", "--decay", "1e-2", "--polish"]
        run([*network, "--out", str(folder / "network.safetensors")])
    files = {"point": "collapse.safetensors", "other": "lowrank.safetensors", "folder": "run", "network": "network.safetensors"}
    return {"weights": str(weights), **{name: str(folder / file) for name, file in files.items()}}


def draw(command: list[str], files: dict[str, str], path: Path, size: str, dark: bool) -> Image.Image:
    """Returns the picture that a command draws, at the size of a sheet."""
    narrow = float(size) < 5
    height = {"show": "x6" if narrow else "x2.4"}.get(command[0], "x3")
    if "stacked" in command or (narrow and "{folder}" in command):
        height = "x4.2"
    options = ["--plot", str(path), "--size", f"{size}{height}", *(["--style", "dark"] if dark else [])]
    path.unlink(missing_ok=True)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        run([part.format(**files) for part in command] + options)
    if not path.exists():
        sys.exit(f"no picture by landscape {' '.join(command)}: {said.getvalue()}")
    return on_sheet(path)


def on_sheet(path: Path) -> Image.Image:
    """Returns a picture of 300 dots per inch at the size of a sheet."""
    with Image.open(path) as image:
        inches = (image.width / 300, image.height / 300)
        return image.convert("RGB").resize((round(inches[0] * _DOTS), round(inches[1] * _DOTS)), Image.Resampling.LANCZOS)


def sheet(rows: list[tuple[str, list[Image.Image]]], dark: bool) -> Image.Image:
    """Returns a page with rows of pictures, their words above each."""
    width = _GAP + max(sum(picture.width + _GAP for picture in pictures) for _, pictures in rows)
    height = sum(max(picture.height for picture in pictures) + 3 * _GAP for _, pictures in rows)
    paper = Image.new("RGB", (width, height), "#303030" if dark else "#e8e8e8")
    pen, top = ImageDraw.Draw(paper), _GAP
    for words, pictures in rows:
        pen.text((_GAP, top), words, fill="white" if dark else "black", font_size=16)
        left = _GAP
        for picture in pictures:
            paper.paste(picture, (left, top + _GAP))
            left += picture.width + _GAP
        top += max(picture.height for picture in pictures) + 3 * _GAP
    return paper


def keep(paper: Image.Image, path: Path) -> None:
    """Writes a sheet with 256 colours, chosen so that rare ones, as those of thin lines, stay what they are."""
    paper.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)


def structures(path: Path) -> None:
    """Draws the class-mean logits of the structures of the glossary."""
    figure, axes = new_figure(3, 3, width=PAGE_WIDTH, height=6.6)
    for place, typed in zip(axes, STRUCTURES, strict=True):
        structure = parse_structure(typed, "large")
        classes = {"blocks:H3x2": 8, "apex": 7}.get(typed, 10)
        problem = ls.Problem.balanced(classes=classes, samples=1, width=classes, depth=2, decay=1e-3)
        theta = write_parameters(problem, logit_form(problem, structure), gauge=0)
        point = CriticalPoint.at(problem, theta, Origin(typed))
        found = ls.analyse(point).kind
        draw_logits(place, point.class_logits, in_words(found))
        place.set(xlabel="", ylabel="", xticks=[], yticks=[])
    save_figure(figure, path)


def of_pages(folder: Path) -> None:
    """Writes the pictures that stand alone on a page."""
    structures(HERE / "structures.png")
    save_figure(figure_spectrum.draw(figure_spectrum.load()), HERE / "spectra.png")
    save_figure(figure_cost.draw(figure_cost.load()), HERE / "cost.png")


def of_commands(folder: Path) -> None:
    """Writes the sheets of what the commands draw."""
    files = points(folder)
    for dark in (False, True):
        picture = folder / "picture.png"
        rows = [(words, [draw(each, files, picture, size, dark) for size in SIZES.values()]) for words, each in DRAWN.items()]
        keep(sheet(rows, dark), HERE / f"contact-{'dark' if dark else 'light'}.png")


def of_figures(folder: Path) -> None:
    """Writes the sheet of the figures."""
    rows = []
    for name in names():
        module = import_module(f"figures.{name}")
        save_figure(module.draw(module.load()), folder / "figure.png")
        rows.append((name, [on_sheet(folder / "figure.png")]))
    keep(sheet(rows, dark=False), HERE / "contact-figures.png")


PARTS = {"pages": of_pages, "sheets": of_commands, "figures": of_figures}


if __name__ == "__main__":
    if unknown := set(sys.argv[1:]) - set(PARTS):
        sys.exit(f"expected words among {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    for part in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as name:
            PARTS[part](Path(name))
