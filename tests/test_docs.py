"""The documentation: it builds without a warning, its blocks run, its reference is complete, its tutorials are short."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from itertools import groupby
from pathlib import Path
from pkgutil import walk_packages

import pytest

import landscape
import landscape as ls
from landscape.sweep.grid import read_grid
from tests.test_readme import blocks, commands, execute

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if not {"tutorials", "reference"} & set(path.parts))
LANGUAGES = {"bash", "python", "text", "toml", "{toctree}", "{include} ../CHANGELOG.md"}


def fences(text: str) -> list[str]:
    """Returns the language of every fenced block."""
    return re.findall(r"^```([^`\n]*)\n.*?^```$", text, re.MULTILINE | re.DOTALL)


def script(text: str) -> str:
    """Returns the blocks of a page as one shell script; Python blocks that follow each other share a session."""
    parts = []
    for language, group in groupby(blocks(text), key=lambda block: block[0]):
        contents = [content for _, content in group]
        parts += [commands(language, "\n".join(contents))] if language == "python" else [commands(language, c) for c in contents]
    return "".join(parts)


def test_the_reading_of_pages() -> None:
    page = "```python\nx = 1\n```\nwords\n```python\nprint(x)\n```\n```bash\necho 2\n```\n```text\nonly shown\n```\n"
    assert script(page).count("python -W error") == 1
    assert "x = 1\n\nprint(x)\n" in script(page)
    assert "only shown" not in script(page)
    assert fences(page) == ["python", "python", "bash", "text"]


def test_every_block_is_run_or_output() -> None:
    kinds = {path: fences(path.read_text()) for path in PAGES}
    assert {kind for found in kinds.values() for kind in found} <= LANGUAGES
    run = sum(kind in {"bash", "python"} for found in kinds.values() for kind in found)
    assert run >= 15
    assert sum(kind == "text" for found in kinds.values() for kind in found) <= run / 4


def code_lines(text: str) -> list[str]:
    """Returns the lines of all blocks: fenced ones, and those that are indented."""
    fenced = [
        line for block in re.findall(r"^```[^`\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL) for line in block.splitlines()
    ]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return fenced + [line[4:] for line in prose.splitlines() if line.startswith("    ")]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_code_fits_the_page(page: Path) -> None:
    assert [line for line in code_lines(page.read_text()) if len(line) > 88] == []


def test_the_reference_of_the_command_line_is_what_the_commands_say() -> None:
    done = subprocess.run(
        [sys.executable, "docs/command_line.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    text = (DOCS / "command-line.md").read_text()
    sections = re.split(r"^## landscape ", text, flags=re.MULTILINE)[1:]
    assert len(sections) >= 17
    for section in sections:
        name = section.split("\n", 1)[0]
        if name != "install-completion":
            assert "| `--json` |" in section, name
            assert re.search(rf"^landscape {name} ", section, re.MULTILINE), (
                f"no example of {name}: add one to docs/command_line.py"
            )


def test_links_between_pages_lead_somewhere() -> None:
    for page in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            path, _, anchor = target.partition("#")
            if target.startswith("http") or path.startswith(("tutorials/", "reference/")):
                continue
            found = page if not path else page.parent / path
            assert found.exists(), f"{page.name}: {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, (
                    f"{page.name}: {target}"
                )


def test_reading_a_file_needs_numpy_alone() -> None:
    programs = [content for language, content in blocks((DOCS / "formats.md").read_text()) if language == "python"]
    assert len(programs) >= 5
    imported = {name for content in programs for name in re.findall(r"^(?:import|from) (\w+)", content, re.MULTILINE)}
    assert imported == {"hashlib", "json", "struct", "pathlib", "numpy"}


def test_grids_on_pages_can_be_read(tmp_path: Path) -> None:
    """The blocks of a page are the parts of one file, but for points that people have: those are a file of their own."""
    (tmp_path / "runs").mkdir()
    ls.place(ls.Problem.balanced(classes=3, samples=1, width=3, depth=2, decay=1e-2), ls.Collapse()).save(
        tmp_path / "runs" / "a.safetensors"
    )
    pages = [re.findall(r"^```toml\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL) for path in PAGES]
    assert any(pages)
    for place, parts in enumerate(pages):
        own = [part for part in parts if part.startswith("[points]")]
        for number, text in enumerate([*own, "\n".join(part for part in parts if part not in own)]):
            if text:
                (tmp_path / f"{place}-{number}.toml").write_text(text)
                read_grid(tmp_path / f"{place}-{number}.toml")


@pytest.mark.slow
@pytest.mark.parametrize("page", [path.relative_to(DOCS).as_posix() for path in PAGES if script(path.read_text()).strip()])
def test_the_blocks_of_a_page_run(page: str, tmp_path: Path) -> None:
    if "from transformers import" in (DOCS / page).read_text():
        pytest.importorskip("transformers", reason="in the extra interop")
    done = execute(script((DOCS / page).read_text()), tmp_path)
    assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"


def test_the_reference_has_every_module(tmp_path: Path) -> None:
    spec = spec_from_file_location("reference_pages", DOCS / "reference_pages.py")
    pages = module_from_spec(spec)
    spec.loader.exec_module(pages)
    pages.write(tmp_path)
    written = [name for path in tmp_path.glob("*.md") for name in re.findall(r"automodule:: (\S+)", path.read_text())]
    public = {module.name for module in walk_packages(landscape.__path__, "landscape.")}
    assert sorted(written) == sorted(name for name in public if not name.startswith("landscape.cli"))


def test_the_page_has_the_table_of_what_was_measured() -> None:
    spec = spec_from_file_location("supported_table", DOCS / "supported_table.py")
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    text = made.PAGE.read_text()
    assert made.filled(text) == text, "run python docs/supported_table.py --write"
    assert made.filled(text.replace("; causal attention;", ";")) == text
    assert "none wrong" in made.table()


def test_the_tutorials_are_notebooks_that_show_their_pictures(tmp_path: Path) -> None:
    """Figures are no pyplot's: a notebook shows one that is the value of a cell, once the inline backend is there."""
    spec = spec_from_file_location("notebooks", DOCS / "notebooks.py")
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    written = made.write(tmp_path)
    assert [path.stem for path in written] == [path.stem for path in sorted((DOCS / "examples").glob("*.py"))]
    for path in written:
        book = json.loads(path.read_text())
        assert book["nbformat"] == 4
        texts = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown"]
        assert not any(re.search(r":\w+:`|^\.\. ", text, re.MULTILINE) for text in texts), "markup that only the site reads"
        first, *cells = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
        assert first.endswith("%matplotlib inline")
        drawing = [ast.parse(cell).body[-1] for cell in cells if re.search(r"\bls\.(new_figure|plot_\w+)\(", cell)]
        assert drawing
        assert all(isinstance(last, ast.Expr) and ast.unparse(last).endswith("figure") for last in drawing)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, since the tutorials are written beside the pages."""
    copy = tmp_path_factory.mktemp("site") / "docs"
    shutil.copytree(DOCS, copy, ignore=shutil.ignore_patterns("tutorials", "reference", "__pycache__"))
    shutil.copy(ROOT / "CHANGELOG.md", copy.parent)  # a page includes it
    return copy


def build(source: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", str(source), str(source.parent / "site")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(source: Path) -> None:
    done = build(source)
    assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
    site = source.parent / "site"
    for page in ("index", "quickstart", "mathematics", "comparison", "reference/public", "reference/curvature", "tutorials/index"):
        assert (site / f"{page}.html").stat().st_size > 5_000
    text = (site / "reference" / "curvature.html").read_text()
    assert "landscape.curvature.counting.interface.nullity" in text
    tutorials = sorted((DOCS / "examples").glob("*.py"))
    assert len(tutorials) == 4
    for tutorial in tutorials:
        words = re.sub(r"<[^>]+>", "", (site / "tutorials" / f"{tutorial.stem}.html").read_text())
        minutes, seconds = re.search(r"Total running time of the script: \((\d+) minutes ([\d.]+) seconds", words).groups()
        assert 60 * int(minutes) + float(seconds) < 90, f"{tutorial.stem}: 30 s on a quiet machine are the limit"
        assert list((site / "_images").glob(f"*{tutorial.stem}*.png"))
        assert "UserWarning" not in words


@pytest.mark.slow
def test_a_tutorial_that_fails_stops_the_build(source: Path, tmp_path: Path) -> None:
    small = tmp_path / "docs"
    (small / "examples").mkdir(parents=True)
    (small / "static").mkdir()
    for name in (
        "conf.py",
        "figure_scraper.py",
        "floor_plan.py",
        "notebooks.py",
        "public_names.py",
        "reference_pages.py",
        "static/pages.css",
        "examples/GALLERY_HEADER.rst",
    ):
        shutil.copy(source / name, small / name)
    (small / "index.md").write_text("# x\n\n```{toctree}\ntutorials/index\n```\n")
    (small / "examples" / "1_wrong.py").write_text('"""\nWrong\n=====\n"""\nassert 1 + 1 == 3\n')
    done = build(small)
    assert done.returncode != 0
    assert "assert 1 + 1 == 3" in done.stdout + done.stderr
