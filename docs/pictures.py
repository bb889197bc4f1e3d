"""Makes the pictures of the pages: structures, the two spectra, and contact sheets of what the commands draw.

`python docs/pictures.py` writes docs/structures.png, docs/spectra.png, docs/cost.png, docs/contact-light.png and
docs/contact-dark.png, in about a minute. The sheets show what the commands draw, at 3.3 and 6.8
inches, on a light and on a dark ground.
"""

import contextlib
import io
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

import landscape as ls
from figures import figure_cost, figure_spectrum
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
    "landscape spectrum FILE FILE": ["spectrum", "{point}", "{other}", "--arrange", "stacked"],
    "landscape spectrum FILE FILE --arrange overlaid": ["spectrum", "{point}", "{other}", "--arrange", "overlaid"],
    "landscape spectrum FOLDER": ["spectrum", "{folder}"],
    "landscape spectrum FILE --method slq": ["spectrum", "{point}", "--method", "slq"],
    "landscape spectrum FILE --method pyhessian": ["spectrum", "{point}", "--method", "pyhessian"],
    "landscape spectrum --axis linear": ["spectrum", *MODEL, "--start", "partition:5,5", "--axis", "linear"],
    "landscape show FILE": ["show", "{point}"],
    "landscape atlas": ["atlas", *MODEL],
    "landscape phase": ["phase", "--over", "decay,depth", "--decay", "1e-4:0.2", "--depth", "1:6", "--steps", "30"],
}
SIZES = {"3.3 inches": "3.3", "6.8 inches": "6.8"}
_DOTS, _GAP, _COLORS = 110, 24, 128  # dots per inch of a sheet, dots between its pictures, colours of a file


def points(folder: Path) -> dict[str, str]:
    """Returns the files that the commands draw: two points, and a folder with steps of a descent."""
    run_folder = folder / "run"
    run_folder.mkdir()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for name, start in (("collapse", "3"), ("lowrank", "2")):
            run(["solve", *MODEL, "--seed", start, "--out", str(folder / f"{name}.safetensors")])
        small = ["solve", "--problem", "K=4,n=2,d=6,L=2,decay=1e-2", "--seed", "0", "--method", "gd"]
        for steps in (10, 30, 100, 200, 400, 800):
            run([*small, "--max-steps", str(steps), "--out", str(run_folder / f"step {steps}.safetensors")])
    return {"point": str(folder / "collapse.safetensors"), "other": str(folder / "lowrank.safetensors"), "folder": str(run_folder)}


def draw(command: list[str], files: dict[str, str], path: Path, size: str, dark: bool) -> Image.Image:
    """Returns the picture that a command draws, at the size of a sheet."""
    narrow = float(size) < 5
    height = {"show": "x6" if narrow else "x2.4"}.get(command[0], "x3")
    if "stacked" in command or (narrow and "{folder}" in command):
        height = "x4.2"
    options = ["--plot", str(path), "--size", f"{size}{height}", *(["--style", "dark"] if dark else [])]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run([part.format(**files) for part in command] + options)
    with Image.open(path) as image:
        inches = (image.width / 300, image.height / 300)
        return image.convert("RGB").resize((round(inches[0] * _DOTS), round(inches[1] * _DOTS)), Image.Resampling.LANCZOS)


def sheet(files: dict[str, str], folder: Path, dark: bool) -> Image.Image:
    """Returns a page with every picture at both sizes, the command above each pair."""
    rows = []
    for words, command in DRAWN.items():
        pair = [draw(command, files, folder / "picture.png", size, dark) for size in SIZES.values()]
        rows.append((words, pair))
    width = 3 * _GAP + sum(picture.width for picture in rows[0][1])
    height = sum(max(picture.height for picture in pair) + 3 * _GAP for _, pair in rows)
    paper = Image.new("RGB", (width, height), "#303030" if dark else "#e8e8e8")
    pen, top = ImageDraw.Draw(paper), _GAP
    for words, pair in rows:
        pen.text((_GAP, top), words, fill="white" if dark else "black", font_size=16)
        left = _GAP
        for picture in pair:
            paper.paste(picture, (left, top + _GAP))
            left += picture.width + _GAP
        top += max(picture.height for picture in pair) + 3 * _GAP
    return paper


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


def main() -> None:
    """Writes all pictures of the pages."""
    structures(HERE / "structures.png")
    save_figure(figure_spectrum.draw(figure_spectrum.load()), HERE / "spectra.png")
    save_figure(figure_cost.draw(figure_cost.load()), HERE / "cost.png")
    with tempfile.TemporaryDirectory() as name:
        files = points(Path(name))
        for dark in (False, True):
            paper = sheet(files, Path(name), dark).quantize(_COLORS)
            paper.save(HERE / f"contact-{'dark' if dark else 'light'}.png", optimize=True)


if __name__ == "__main__":
    main()
