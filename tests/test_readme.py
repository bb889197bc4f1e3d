"""How the blocks of a page are read and run, in order, in one folder, in one shell, as a reader would.

Commands that make an environment or fetch something are not run again here; that their scripts exist and can run is asserted.
"""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import landscape as ls

ROOT = Path(__file__).resolve().parent.parent
SETTING_UP = re.compile(r"^\s*(?:(?:\./)?scripts/(?:test|quickstart)|git clone|(?:python3? -m )?pip install)\b")

OF_TORCH = "ignore:`torch.jit.script` is deprecated:DeprecationWarning"  # raised by torch.func inside torch itself


def blocks(text: str) -> list[tuple[str, str]]:
    """Returns language and content of every block that is a command or a program."""
    return re.findall(r"^```(bash|console|python)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(language: str, content: str) -> str:
    """Returns what a shell is given for a block; of a console block only what stands after a prompt."""
    if language == "python":
        return f"python -W error -W '{OF_TORCH}' - <<'END_OF_BLOCK'\n{content}END_OF_BLOCK\n"
    if language == "console":
        content = "".join(f"{line[2:]}\n" for line in content.splitlines() if line.startswith("$ "))
    return "".join(f"{line}\n" for line in content.splitlines() if not SETTING_UP.match(line))


def execute(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{script}"], cwd=folder, env=environment, capture_output=True, text=True, timeout=900
    )


def test_the_reading_of_blocks() -> None:
    page = "```bash\nscripts/test  # all\necho 1\n```\n```text\nno\n```\n```console\n$ echo 2\n2\n```\n```python\nprint(3)\n```\n"
    assert [language for language, _ in blocks(page)] == ["bash", "console", "python"]
    script = "".join(commands(*block) for block in blocks(page))
    assert "scripts/test" not in script
    assert script.startswith("echo 1\necho 2\npython")


def test_a_block_that_fails_is_seen_and_state_is_kept(tmp_path: Path) -> None:
    assert execute("x=7\n" + commands("bash", 'echo "$x" > kept\n'), tmp_path).returncode == 0
    assert (tmp_path / "kept").read_text() == "7\n"
    assert execute(commands("bash", "false\necho on\n"), tmp_path).returncode != 0
    assert execute(commands("bash", "false | cat\n"), tmp_path).returncode != 0
    assert execute(commands("python", "import warnings\nwarnings.warn('old')\n"), tmp_path).returncode != 0


def test_the_readme_has_blocks_and_its_scripts_can_run() -> None:
    found = blocks((ROOT / "README.md").read_text())
    assert {language for language, _ in found} >= {"bash", "python"}
    lines = [line for language, content in found if language == "bash" for line in content.splitlines()]
    named = {match for line in lines for match in re.findall(r"scripts/\w+", line)}
    assert named >= {"scripts/quickstart", "scripts/test"}
    for script in named:
        assert os.access(ROOT / script, os.X_OK), f"{script} cannot be executed"


def test_the_readme_is_short_and_its_numbers_are_those_of_the_quickstart() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 120
    assert "decay/2 * (|H_1|^2" in text, "the convention of the loss stands before the first use"
    assert text.index("decay/2") < text.index("landscape solve")
    problem = ls.Problem.balanced(classes=10, samples=5, width=70, depth=2, decay=2.0**-10)
    structures: tuple[ls.Collapse | ls.Pairs, ...] = (ls.Collapse(), ls.Pairs())
    for column, structure in enumerate(structures):
        rows = dict(ls.analyse(ls.place_reduced(problem, structure)).rows())
        for name in ("structure", "parameters", "rank", "loss", "nullity", "index", "orbit dimension", "paper dimension", "excess"):
            (line,) = re.findall(rf"^{name}  +(.*)$", text, re.MULTILINE)
            assert re.split(r"  +", line)[column] == rows[name], name


@pytest.mark.slow
def test_every_block_of_the_readme_runs(tmp_path):
    """In order, in one folder; the two set-up scripts are what made the environment that this runs in."""
    text = (Path(__file__).parents[1] / "README.md").read_text()
    found = re.findall(r"```(bash|python)\n(.*?)```", text, re.DOTALL)
    blocks = [(language, code) for language, code in found if "scripts/" not in code and not SETTING_UP.match(code)]
    assert {language for language, _ in blocks} == {"bash", "python"}
    environment = {**os.environ, "PATH": f"{sysconfig.get_path('scripts')}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    for language, code in blocks:
        command = ["bash", "-euc", code] if language == "bash" else [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{code}\n{done.stderr}"
